import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { BullmqAdapter } from "../src/adapters/bullmq/index.ts";
import type { ClaimedJob } from "../src/job.ts";
import type { ClaimParams } from "../src/queue-adapter.ts";
import type { QueueGroup } from "../src/queue-groups.ts";
import { jobSpecs } from "../src/testing/index.ts";
import { someRedis, type TestRedis } from "./redis.ts";

/** Limits that hold for several processes together. */

let redis: Pick<TestRedis, "url" | "stop">;
let prefix: string;
const opened: BullmqAdapter[] = [];

beforeAll(async () => {
  redis = await someRedis();
});

afterAll(() => redis.stop());

beforeEach(() => {
  prefix = `t-${randomUUID()}`;
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((adapter) => adapter.close()));
});

const data: QueueGroup = {
  name: "data",
  queues: ["scan", "export"],
  maxRunning: 2,
  maxUnfinished: 10,
};

async function open(groups?: readonly QueueGroup[]): Promise<BullmqAdapter> {
  const adapter = new BullmqAdapter({
    url: redis.url,
    prefix,
    ...(groups === undefined ? {} : { groups }),
  });
  await adapter.open();
  opened.push(adapter);
  return adapter;
}

const claim = (adapter: BullmqAdapter, rest: Partial<ClaimParams> = {}) =>
  adapter.claim({
    tenant: "default",
    queues: data.queues.map((queue) => ({ queue, limit: 100 })),
    limit: 100,
    worker: "w",
    leaseMs: 60_000,
    inProcess: false,
    timeoutFrom: "progress",
    waitMs: 0,
    ...rest,
  });

const complete = async (adapter: BullmqAdapter, run: ClaimedJob): Promise<void> => {
  const { id, lease } = run;
  await adapter.complete({ tenant: "default", runs: [{ id, lease, result: null }] });
};

const jobs = (count: number) =>
  jobSpecs(count, (index) => ({ queue: data.queues[index % 2] as string }));

test("processes run and keep no more together than one alone, and hand free places on", async () => {
  const all = await Promise.all([open([data]), open([data]), open()]);
  const [a, b, c] = all;
  const outcomes = await Promise.all(
    all.flatMap((adapter) =>
      Array.from({ length: 4 }, () => adapter.enqueue({ jobs: jobs(3), atomic: false })),
    ),
  );
  expect(outcomes.flat().filter((outcome) => typeof outcome === "number")).toHaveLength(10);

  let running = 0;
  let most = 0;
  let done = 0;
  const work = async (adapter: BullmqAdapter): Promise<void> => {
    while (done < 10) {
      const runs = await claim(adapter, { limit: 1, waitMs: 500 });
      for (const run of runs) {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
        done++;
        await complete(adapter, run);
      }
    }
  };
  // Far more hands than places: nobody is left waiting though there is work.
  const began = performance.now();
  await Promise.all([a, b, c].flatMap((adapter) => [work(adapter), work(adapter), work(adapter)]));
  expect(performance.now() - began).toBeLessThan(5000);
  expect(most).toBeLessThanOrEqual(2);
  expect(done).toBe(10);
});

test("limits given later hold at once, for queues that are there and for claims that wait", async () => {
  const a = await open([data]);
  await a.enqueue({ jobs: jobs(10), atomic: false });
  expect(await claim(a)).toHaveLength(2);
  const waiting = claim(a, { waitMs: 60_000 });

  const b = await open([{ ...data, maxRunning: 5, maxUnfinished: null }]);
  expect(await waiting).toHaveLength(3);
  expect(await claim(b)).toEqual([]);
  const [outcome] = await b.enqueue({ jobs: jobs(1), atomic: false });
  expect(outcome).toBeTypeOf("number");

  // A queue that belongs to no group any more is free, the others are not.
  await open([{ ...data, queues: ["export"], maxRunning: 2 }]);
  const free = await claim(a);
  expect(new Set(free.map(({ queue }) => queue))).toEqual(new Set(["scan"]));
  expect(free.length).toBeGreaterThan(1);

  await open([]);
  await claim(b);
  expect(await a.count({ tenant: "default" })).toMatchObject({ waiting: 0, active: 11 });
});
