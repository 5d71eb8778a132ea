import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { cpSync, existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { QueueAdapter } from "@jobyard/core";
import { BullmqAdapter, BullmqAtRest } from "../src/adapters/bullmq/index.ts";
import { SqliteAdapter, SqliteAtRest } from "../src/adapters/sqlite/index.ts";
import { abandonMove, type MovedStore, type MoveReport, moveStore } from "../src/move.ts";
import { jobSpec, jobSpecs, VirtualClock } from "../src/testing/index.ts";
import { runOrder } from "./faults/store-on-disk.ts";
import { differences, fill, tenant, whole } from "./move-stores.ts";
import { startCluster } from "./redis-cluster.ts";
import { startRedis, type TestRedis } from "./redis.ts";

let redis: TestRedis;
let folder: string;
let clock: VirtualClock;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.stop());

beforeEach(async () => {
  folder = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "jobyard-move-"));
  clock = new VirtualClock();
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
});

interface Place {
  readonly adapter: () => QueueAdapter;
  readonly moved: MovedStore;
}

function file(name = "jobyard"): Place {
  const path = join(folder, `${name}.db`);
  return {
    adapter: () => new SqliteAdapter({ path, clock }),
    moved: { store: new SqliteAtRest({ path, clock }), payloadFolder: join(folder, `${name}-files`) },
  };
}

function keys(url: string | readonly string[] = redis.url): Place {
  const prefix = `t-${randomUUID()}`;
  return {
    adapter: () => new BullmqAdapter({ url, prefix, clock }),
    moved: {
      store: new BullmqAtRest({ url, prefix, clock }),
      payloadFolder: join(folder, `${prefix}-files`),
    },
  };
}

async function using<T>(place: Place, work: (adapter: QueueAdapter) => Promise<T>): Promise<T> {
  const adapter = place.adapter();
  await adapter.open();
  try {
    await adapter.upkeep();
    return await work(adapter);
  } finally {
    await adapter.close();
  }
}

const move = (from: Place, to: Place): Promise<MoveReport> =>
  moveStore({ from: from.moved, to: to.moved });

/** On a clock of its own: the others stay where they are in time. */
async function runOrderOf(place: Place): Promise<string[]> {
  const shared = clock;
  clock = new VirtualClock(shared.now());
  try {
    return await using(place, (adapter) => runOrder({ adapter, clock }));
  } finally {
    clock = shared;
  }
}

async function refusal(tried: Promise<unknown>): Promise<string> {
  return tried.then(
    () => "none",
    (error: unknown) => (error as Error).message,
  );
}

describe("moving a store from engine to engine", () => {
  test("there and back, everything that the port shows stays, and so does the order of the work", async () => {
    const first = file();
    await using(first, (adapter) => fill(adapter, clock));
    const before = await using(first, whole);
    for (const name of ["a", "b"]) cpSync(join(folder, "jobyard.db"), join(folder, `${name}.db`));
    const expected = await runOrderOf(file("a"));
    const there = keys();
    const report = await move(first, there);
    expect(report).toMatchObject({ resumed: false, crashedRuns: 0, warnings: [] });
    expect(report.jobs).toBeGreaterThan(2500);
    expect(differences(before, await using(there, whole))).toEqual([]);
    const back = file("back");
    await move(there, back);
    expect(differences(before, await using(back, whole))).toEqual([]);
    expect(await runOrderOf(back)).toEqual(expected);
    const other = keys();
    await move(file("b"), other);
    expect(await runOrderOf(other)).toEqual(expected);
  });
});
