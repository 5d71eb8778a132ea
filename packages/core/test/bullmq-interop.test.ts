import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { Queue } from "bullmq";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BullmqAdapter } from "../src/adapters/bullmq/index.ts";
import type { ClaimedJob } from "../src/job.ts";
import { jobSpec, jobSpecs } from "../src/testing/index.ts";
import { startRedis, type TestRedis } from "./redis.ts";

let redis: TestRedis;
let adapter: BullmqAdapter;

beforeAll(async () => {
  redis = await startRedis();
  adapter = new BullmqAdapter({ url: redis.url, prefix: "interop" });
  await adapter.open();
});

afterAll(async () => {
  await adapter.close();
  await redis.stop();
});

function claim(limit: number): Promise<readonly ClaimedJob[]> {
  return adapter.claim({
    tenant: "acme",
    queues: [{ queue: "video.hd", limit }],
    limit,
    worker: "w1",
    leaseMs: 60_000,
    inProcess: false,
    timeoutFrom: "progress",
    waitMs: 0,
  });
}

/** One job in each state, by state; all of them in one queue. */
async function oneOfEach(): Promise<Record<string, number>> {
  const at = { tenant: "acme", queue: "video.hd" };
  const outcomes = await adapter.enqueue({
    atomic: true,
    jobs: [
      ...jobSpecs(4, (index) => ({ ...at, name: `encode-${index}`, data: `{"n":${index}}` })),
      jobSpec({ ...at, data: '{"n":4}', priority: -5 }),
      jobSpec({ ...at, data: '{"n":5}', priority: 7, maxAttempts: 3, backoffMs: 250 }),
      jobSpec({ ...at, data: '{"n":6}', delayMs: 3_600_000 }),
      jobSpec({ ...at, data: '{"n":7}', dependsOnSiblings: [6] }),
    ],
  });
  const [completed, failed, active, waiting, urgent, later, delayed, blocked] =
    outcomes.map(Number);
  // The urgent one goes first.
  const [first, ...runs] = await claim(4);
  await adapter.release({ tenant: "acme", runs: [first!] });
  await adapter.progress({
    tenant: "acme",
    leaseMs: 60_000,
    reports: [{ id: active!, progress: 40, message: "on it" }],
  });
  await adapter.log({ tenant: "acme", run: runs[2]!, lines: ["a line"] });
  await adapter.complete({ tenant: "acme", runs: [{ ...runs[0]!, result: '{"ok":true}' }] });
  await adapter.fail({
    tenant: "acme",
    runs: [{ ...runs[1]!, error: { message: "no disk" }, retryAt: null, attempt: 1 }],
  });
  const states = { completed, failed, active, waiting, urgent, later, delayed, blocked };
  return states as Record<string, number>;
}

describe("BullMQ's own tools", () => {
  let ids: Record<string, number>;
  let queue: Queue;

  beforeAll(async () => {
    ids = await oneOfEach();
    const connection = { host: "127.0.0.1", port: redis.port };
    queue = new Queue("acme.video.hd", { connection, prefix: "{interop}" });
  });

  afterAll(() => queue.close());

  const member = (state: string): string => `j${ids[state]}`;

  it("see the same counts", async () => {
    const ours = await adapter.count({ tenant: "acme", queues: ["video.hd"] });
    const theirs = await queue.getJobCounts();
    expect(ours).toEqual({
      waiting: 3,
      delayed: 1,
      blocked: 1,
      active: 1,
      completed: 1,
      failed: 1,
      cancelled: 0,
    });
    expect((theirs["waiting"] ?? 0) + (theirs["prioritized"] ?? 0)).toBe(ours.waiting);
    expect(theirs).toMatchObject({
      prioritized: 2,
      delayed: ours.delayed,
      active: ours.active,
      completed: ours.completed,
      failed: ours.failed,
      "waiting-children": ours.blocked,
    });
  });

  it("see the same states, data and results", async () => {
    const expected: Readonly<Record<string, string>> = {
      completed: "completed",
      failed: "failed",
      active: "active",
      waiting: "waiting",
      urgent: "prioritized",
      later: "prioritized",
      delayed: "delayed",
      blocked: "waiting-children",
    };
    for (const [name, state] of Object.entries(expected)) {
      expect(await queue.getJobState(member(name))).toBe(state);
      const [ours] = await adapter.get({ tenant: "acme", ids: [ids[name]!] });
      const theirs = await queue.getJob(member(name));
      expect(theirs?.data).toEqual(JSON.parse(ours?.data as string));
      expect(theirs).toMatchObject({ timestamp: ours?.createdAt, delay: ours?.delayMs });
      expect(theirs?.attemptsMade).toBe(ours?.attemptsMade);
    }
    expect(await queue.getJob(member("completed"))).toMatchObject({
      name: "encode-0",
      returnvalue: { ok: true },
      processedBy: "w1",
    });
    expect((await queue.getJob(member("completed")))?.finishedOn).toBeTypeOf("number");
    expect(await queue.getJob(member("failed"))).toMatchObject({ failedReason: "no disk" });
    expect(await queue.getJob(member("active"))).toMatchObject({ progress: 40 });
    expect((await queue.getJobLogs(member("active"))).logs).toEqual([
      expect.stringMatching(/^\d+ a line$/),
    ]);
    expect(await queue.getJob(member("later"))).toMatchObject({
      priority: 7,
      opts: { attempts: 3, backoff: { type: "exponential", delay: 250 }, priority: 7 },
    });
  });

  it("list the jobs of each state", async () => {
    const listed = async (state: "waiting" | "prioritized" | "delayed"): Promise<unknown[]> =>
      (await queue.getJobs([state])).map((job) => job.id);
    expect(await listed("waiting")).toEqual([member("waiting")]);
    expect(new Set(await listed("prioritized"))).toEqual(
      new Set([member("urgent"), member("later")]),
    );
    expect(await listed("delayed")).toEqual([member("delayed")]);
    const dependencies = await (await queue.getJob(member("blocked")))?.getDependencies();
    expect(dependencies?.unprocessed).toEqual([`{interop}:acme.video.hd:${member("delayed")}`]);
  });

  it("see a pause and the limits", async () => {
    const at = { tenant: "acme", queue: "video.hd", typed: false };
    await adapter.configureQueue({
      ...at,
      settings: { paused: true, concurrency: 3, rateLimit: 9 },
    });
    expect(await queue.isPaused()).toBe(true);
    expect(await queue.getGlobalConcurrency()).toBe(3);
    expect(await queue.getGlobalRateLimit()).toEqual({ max: 9, duration: 1000 });
    await adapter.configureQueue({
      ...at,
      settings: { paused: false, concurrency: null, rateLimit: null },
    });
    expect(await queue.isPaused()).toBe(false);
  });

  it("are given the queue over the process' own connection", async () => {
    const own = adapter.bullQueue("acme", "video.hd");
    expect(await own.getJobCounts()).toEqual(await queue.getJobCounts());
    await own.close();
    expect((await adapter.health()).reachable).toBe(true);
  });

  it("include Bull Board", async () => {
    const board = await openBoard(queue);
    const body = (await board("/api/queues", {
      activeQueue: "acme.video.hd",
      status: "latest",
    })) as {
      queues: { counts: Record<string, number>; jobs: { id: string; data: unknown }[] }[];
    };
    const [shown] = body.queues;
    expect(shown?.counts).toMatchObject({
      waiting: 1,
      prioritized: 2,
      delayed: 1,
      active: 1,
      completed: 1,
      failed: 1,
      "waiting-children": 1,
    });
    expect(shown?.jobs.map(({ id }) => id).toSorted()).toEqual(
      Object.keys(ids).map(member).toSorted(),
    );
    const completed = shown?.jobs.find(({ id }) => id === member("completed"));
    expect(completed).toMatchObject({
      name: "encode-0",
      data: { n: 0 },
      returnValue: { ok: true },
      attempts: 1,
      isFailed: false,
    });
    expect(shown?.jobs.find(({ id }) => id === member("failed"))).toMatchObject({
      failedReason: "no disk",
      isFailed: true,
    });
  });
});

type ServerAdapter = Parameters<typeof createBullBoard>[0]["serverAdapter"];
type Routes = Parameters<ServerAdapter["setApiRoutes"]>[0];
type Queues = Parameters<ServerAdapter["setQueues"]>[0];

/** Bull Board without a web server: calls its routes. */
async function openBoard(
  queue: Queue,
): Promise<(path: string, query: Record<string, unknown>) => Promise<unknown>> {
  let routes: Routes = [];
  let queues: Queues = new Map();
  const serverAdapter: ServerAdapter = {
    setQueues: (all) => ((queues = all), serverAdapter),
    setViewsPath: () => serverAdapter,
    setStaticPath: () => serverAdapter,
    setEntryRoute: () => serverAdapter,
    setErrorHandler: () => serverAdapter,
    setApiRoutes: (all) => ((routes = all), serverAdapter),
    setUIConfig: () => serverAdapter,
  };
  createBullBoard({
    queues: [new BullMQAdapter(queue, { readOnlyMode: true })],
    serverAdapter,
    options: { uiBasePath: import.meta.dirname },
  });
  return async (path, query) => {
    const route = routes.find((each) => each.route === path);
    const request = { queues, query, params: {}, body: {}, headers: {} };
    const answer = await route?.handler(request as never);
    return answer?.body;
  };
}

it("keeps a job's last lines on a server that knew none of the scripts", async () => {
  await redis.command("SCRIPT", "FLUSH");
  const fresh = new BullmqAdapter({ url: redis.url, prefix: "fresh" });
  await fresh.open();
  try {
    const tenant = "acme";
    await fresh.enqueue({ atomic: true, jobs: [jobSpec({ tenant, queue: "q" })] });
    const [job] = await fresh.claim({
      tenant,
      queues: [{ queue: "q", limit: 1 }],
      limit: 1,
      worker: "w1",
      leaseMs: 60_000,
      inProcess: false,
      timeoutFrom: "progress",
      waitMs: 0,
    });
    // The first call of each script, the second before the first has been answered.
    const [, ended] = await Promise.all([
      fresh.log({ tenant, run: job!, lines: ["the last line"] }),
      fresh.complete({ tenant, runs: [{ ...job!, result: "{}" }] }),
    ]);
    expect(ended[0]).not.toBeInstanceOf(Error);
    const { lines } = await fresh.logs({ tenant, id: job!.id, limit: 10, offset: 0 });
    expect(lines).toMatchObject([{ line: "the last line" }]);
  } finally {
    await fresh.close();
  }
});
