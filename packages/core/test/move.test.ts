import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { cpSync, existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { ClaimedJob, QueueAdapter } from "@jobyard/core";
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
    moved: {
      store: new SqliteAtRest({ path, clock }),
      payloadFolder: join(folder, `${name}-files`),
    },
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

  test("killed again and again, it goes on where it was, and nothing comes twice", async () => {
    const ids = await using(file(), async (adapter) => {
      const jobs = jobSpecs(1000, (i) => ({
        data: `{"i":${i}}`,
        priority: i % 3,
        lifo: i % 7 === 0,
      }));
      for (let i = 0; i < 20; i++) await adapter.enqueue({ jobs, atomic: true });
      return idsOf(adapter);
    });
    const prefix = `t-${randomUUID()}`;
    const there: Place = {
      adapter: () => new BullmqAdapter({ url: redis.url, prefix, clock }),
      moved: { store: new BullmqAtRest({ url: redis.url, prefix }), payloadFolder: folder },
    };
    const path = join(folder, "jobyard.db");
    expect(await killedAfter([1, 2, 1], "out", path, prefix)).toBe(3);
    expect(await move(file(), there)).toMatchObject({ resumed: true, jobs: 20_000 });
    expect(await using(there, idsOf)).toEqual(ids);
    expect(await killedAfter([1, 2], "back", join(folder, "back.db"), prefix)).toBe(2);
    expect(await move(there, file("back"))).toMatchObject({ resumed: true, jobs: 20_000 });
    expect(await using(file("back"), idsOf)).toEqual(ids);
  });

  test("killed when all is there but the target is not released yet, it releases it", async () => {
    const from = file();
    await using(from, (adapter) => adapter.enqueue({ jobs: [jobSpec()], atomic: true }));
    const there = keys();
    await move(from, there);
    const [source, target] = [from.moved.store, there.moved.store];
    await source.open({ create: false });
    const mark = await source.mark();
    await source.close();
    if (mark === null) throw new Error("It is not marked");
    await target.open({ create: false });
    await target.begin({ ...mark, role: "target", done: false }, 1);
    await target.close();
    expect(await refusal(using(there, idsOf))).toContain("is being filled");
    expect(await move(from, there)).toMatchObject({ resumed: true, jobs: 1 });
    expect(await using(there, idsOf)).toHaveLength(1);
  });

  test("a run of a process that is gone comes over as crashed once, and its lease is void", async () => {
    const from = file();
    const run = await using(from, async (adapter) => {
      await adapter.enqueue({ jobs: jobSpecs(2, () => ({ maxAttempts: 3 })), atomic: true });
      return (await claim(adapter))[0];
    });
    const there = keys();
    expect(await move(from, there)).toMatchObject({ crashedRuns: 1 });
    const id = run?.id ?? 0;
    await using(there, async (adapter) => {
      const [job] = await adapter.get({ tenant, ids: [id] });
      expect(job).toMatchObject({ state: "waiting", crashes: 1, attemptsMade: 0 });
      expect((await adapter.runs({ tenant, id })).map(({ outcome }) => outcome)).toEqual([
        "crashed",
      ]);
      expect((await adapter.stats({ tenant }))[0]).toMatchObject({ stalled: 1 });
      const stale = [{ id, lease: run?.lease ?? "", result: null }];
      // In its old place: it is the first again.
      expect((await claim(adapter))[0]?.id).toBe(id);
      expect(await adapter.complete({ tenant, runs: stale })).toMatchObject([
        { code: "STALE_LEASE" },
      ]);
    });
    const back = file("back");
    expect(await move(there, back)).toMatchObject({ crashedRuns: 1 });
    await using(back, async (adapter) => {
      expect((await adapter.get({ tenant, ids: [id] }))[0]).toMatchObject({ crashes: 2 });
      const [added] = await adapter.enqueue({ jobs: [jobSpec()], atomic: true });
      expect(added).toBeGreaterThan(id + 1);
    });
  });

  test("what is served is left alone, on either side, and so is what is not empty", async () => {
    const from = file();
    const there = keys();
    await using(from, async (adapter) => {
      await adapter.enqueue({ jobs: [jobSpec()], atomic: true });
      expect(await refusal(move(from, there))).toContain("Another process is using");
    });
    await using(there, async (adapter) => {
      expect(await refusal(move(from, there))).toContain("is being served by 1 process");
      await adapter.enqueue({ jobs: [jobSpec()], atomic: true });
    });
    expect(await refusal(move(from, there))).toContain("is not empty");
    expect(await refusal(move(file("missing"), keys()))).toContain("There is no store at");
    // Nothing of it keeps them from being served.
    for (const place of [from, there]) expect(await using(place, idsOf)).toHaveLength(1);
  });

  test("who was moved refuses to be served, and says where its jobs are", async () => {
    const from = file();
    await using(from, (adapter) => adapter.enqueue({ jobs: [jobSpec()], atomic: true }));
    const there = keys();
    await move(from, there);
    expect(await refusal(using(from, idsOf))).toContain(`were moved to ${redis.url}`);
    expect(await refusal(move(from, keys()))).toContain("already");
    expect(await refusal(move(there, from))).toContain("still holds the jobs that were moved");
    await move(there, file("back"));
    expect(await refusal(using(there, idsOf))).toContain("were moved to");
    expect(await using(file("back"), idsOf)).toHaveLength(1);
  });

  test.each(["file", "keys"])("half moved from %s, it can be given up", async (first) => {
    const [from, there] = first === "file" ? [file(), keys()] : [keys(), file()];
    const ids = await using(from, async (adapter) => {
      await adapter.enqueue({ jobs: jobSpecs(3000), atomic: true });
      return idsOf(adapter);
    });
    const stop = new AbortController();
    const half = moveStore({
      from: from.moved,
      to: there.moved,
      signal: stop.signal,
      onProgress: () => stop.abort(new Error("enough")),
    });
    expect(await refusal(half)).toBe("enough");
    expect(await refusal(using(from, idsOf))).toContain("are being moved to");
    expect(await refusal(using(there, idsOf))).toContain("is being filled");
    await abandonMove({ from: from.moved, to: there.moved });
    expect(await refusal(abandonMove({ from: from.moved, to: there.moved }))).toMatch(
      /nothing to abandon|no store at/,
    );
    await using(from, async (adapter) => {
      expect(await idsOf(adapter)).toEqual(ids);
      expect(await adapter.enqueue({ jobs: [jobSpec()], atomic: true })).toEqual([
        (ids.at(-1) ?? 0) + 1,
      ]);
      expect(await claim(adapter)).toHaveLength(1);
    });
    expect(await using(there, idsOf)).toEqual([]);
    await using(there, () => Promise.resolve());
    expect(await move(from, first === "file" ? keys() : file("other"))).toMatchObject({
      jobs: 3001,
    });
  });

  test("large payloads go with their jobs", async () => {
    const from = file();
    const name = `${randomUUID()}.json`;
    await mkdir(from.moved.payloadFolder);
    await writeFile(join(from.moved.payloadFolder, name), `"large"`);
    await using(from, (adapter) =>
      adapter.enqueue({ jobs: [jobSpec({ data: { file: name, bytes: 7 } })], atomic: true }),
    );
    const there = keys();
    await move(from, there);
    expect(await readFile(join(there.moved.payloadFolder, name), "utf8")).toBe(`"large"`);
    expect(await using(there, (adapter) => adapter.filesInUse([name]))).toEqual([name]);
  });

  test("to a cluster and back", async () => {
    const cluster = await startCluster();
    onTestFinished(() => cluster.stop());
    const from = file();
    await using(from, (adapter) => fill(adapter, clock));
    const before = await using(from, whole);
    const there = keys(cluster.urls);
    await move(from, there);
    expect(differences(before, await using(there, whole))).toEqual([]);
    const back = file("back");
    await move(there, back);
    expect(differences(before, await using(back, whole))).toEqual([]);
  });
});

async function idsOf(adapter: QueueAdapter): Promise<number[]> {
  const page = { limit: 40_000, order: "asc" } as const;
  return (await adapter.list({ filter: { tenant }, page })).jobs.map(({ id }) => id);
}

function claim(adapter: QueueAdapter): Promise<readonly ClaimedJob[]> {
  return adapter.claim({
    tenant,
    queues: [{ queue: "work", limit: 1 }],
    limit: 1,
    worker: "w1",
    leaseMs: 600_000,
    inProcess: false,
    timeoutFrom: "progress",
    waitMs: 0,
  });
}

/** Processes that are killed when they have said so many lines; answers how many were. */
async function killedAfter(
  lines: readonly number[],
  direction: "out" | "back",
  path: string,
  prefix: string,
): Promise<number> {
  let killed = 0;
  for (const count of lines) {
    const program = new URL("move-process.ts", import.meta.url).pathname;
    const args = ["--conditions=@jobyard/source", program, direction, path, redis.url, prefix];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const gone = once(child, "exit");
    let said = 0;
    for await (const line of createInterface(child.stdout)) {
      said++;
      if (line === "done") break;
      if (said === count) child.kill("SIGKILL");
    }
    await gone;
    if (child.signalCode === "SIGKILL") killed++;
  }
  return killed;
}
