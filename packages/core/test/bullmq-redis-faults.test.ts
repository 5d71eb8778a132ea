/** What a Redis that fails may do to the jobs it has acknowledged: nothing. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { expect, it, onTestFinished } from "vitest";
import type { BullmqAdapter } from "../src/adapters/bullmq/index.ts";
import type { ClaimedJob } from "../src/job.ts";
import type { StopRequest } from "../src/queue-adapter.ts";
import type { NewJob } from "../src/queue.ts";
import { jobSpecs } from "../src/testing/index.ts";
import {
  add,
  allOver,
  claim,
  eventually,
  failure,
  full,
  join,
  jobsOf,
  queueOn,
  redis,
  seconds,
  startWorker,
  stateOf,
  tell,
  unlessAway,
  WAIT_MS,
  workOf,
} from "./bullmq-faults.ts";
import { tcpProxy } from "./tcp-proxy.ts";

it("killed and restarted: nothing acknowledged is lost, work goes on within 15 s", async () => {
  const adapter = await join();
  const warnings: Error[] = [];
  const warned = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warned);
  onTestFinished(() => void process.off("warning", warned));
  const workers = await Promise.all([startWorker(), startWorker()]);
  const stop = keepAdding(adapter, workOf(20));
  const resumed: number[] = [];
  for (let i = 0; i < full.restarts; i++) {
    await sleep(300 + ((i * 277) % 900));
    await redis.kill();
    await sleep(200 + ((i * 389) % 1000));
    const failures = await Promise.all(
      Array.from({ length: 20 }, () => failure(() => add(adapter))),
    );
    for (const { code, ms } of failures) {
      expect(code).toBe("UNAVAILABLE");
      expect(ms).toBeLessThan(5000);
    }
    expect((await adapter.health()).reachable).toBe(false);
    await redis.restart();
    const up = performance.now();
    const works = () => workers.every(({ started }) => (started.at(-1)?.at ?? 0) > up);
    resumed.push(await eventually(works, 15_000));
  }
  const ids = await stop();
  const took = await allOver(adapter, 60_000);
  const jobs = await jobsOf(adapter, ids);
  expect(ids.length).toBeGreaterThan(full.restarts);
  // However many calls wait for Redis to come back, none of them is taken for a leak.
  expect(warnings).toEqual([]);
  expect(jobs.filter((job) => job?.state !== "completed")).toEqual([]);
  tell(
    `${full.restarts} restarts, ${ids.length} jobs acknowledged, 0 lost; work resumed after ` +
      `${seconds(Math.max(...resumed))} at most; all done ${seconds(took)} after the last`,
  );
});

it("cutting all connections again and again: nothing is lost, nothing is stored twice", async () => {
  const adapter = await join();
  const queue = queueOn(adapter);
  await Promise.all([startWorker({ slots: 100 }), startWorker({ slots: 100 })]);
  const control = new Redis(redis.url);
  onTestFinished(() => control.disconnect());
  let cuts = 0;
  const cutting = setInterval(() => {
    void control.call("CLIENT", "KILL", "TYPE", "pubsub");
    void control.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").then(() => cuts++);
  }, 300);
  const end = performance.now() + full.cutForMs;
  const acknowledged = new Map<number, number>();
  const unanswered = new Set<number>();
  let n = 0;
  const batch = () =>
    Array.from({ length: 10 }, () => ({ queue: "work", data: { ms: 10, n: n++ } }));
  const note = (jobs: ReturnType<typeof batch>, ids: readonly unknown[]): void => {
    for (const [i, { data }] of jobs.entries()) acknowledged.set(data.n, ids[i] as number);
  };
  while (performance.now() < end) {
    // Asked again until there is an answer: the key makes one of all.
    const jobs = batch();
    const how = { atomic: true, idempotencyKey: randomUUID() };
    let ids: readonly unknown[] | undefined;
    while (ids === undefined) ids = await unlessAway(() => queue.addMany(jobs, how));
    note(jobs, ids);
    const once = batch();
    const answer = await unlessAway(() => queue.addMany(once, { atomic: true }));
    if (answer === undefined) for (const { data } of once) unanswered.add(data.n);
    else note(once, answer);
  }
  clearInterval(cutting);
  const took = await allOver(adapter, 60_000);

  const stored = new Map<number, number[]>();
  const { completed } = await adapter.count({ tenant: "*" });
  const jobs = await jobsOf(
    adapter,
    Array.from({ length: n * 2 }, (_, i) => i + 1),
  );
  for (const job of jobs) {
    if (job === null) continue;
    expect(job.state).toBe("completed");
    const { n: number } = JSON.parse(job.data as string) as { n: number };
    stored.set(number, [...(stored.get(number) ?? []), job.id]);
  }
  expect([...stored.values()].flat()).toHaveLength(completed);
  for (const [number, id] of acknowledged) expect(stored.get(number)).toEqual([id]);
  for (const number of unanswered) expect(stored.get(number)?.length ?? 0).toBeLessThanOrEqual(1);
  expect(acknowledged.size).toBeGreaterThan(0);
  tell(
    `${cuts} cuts, ${acknowledged.size} jobs acknowledged, 0 lost, 0 stored twice, ` +
      `${unanswered.size} without an answer; all done ${seconds(took)} after the last cut`,
  );
});

it("behind connections that hang: they are given up, calls and news come through within 15 s", async () => {
  const proxy = await tcpProxy(redis.port);
  onTestFinished(() => proxy.close());
  const url = `redis://127.0.0.1:${proxy.port}`;
  const direct = await join();
  const adapter = await join(url);
  const requests: StopRequest[] = [];
  adapter.onStopRequest((request) => requests.push(request));
  const worker = await startWorker({ url });
  const added = await adapter.enqueue({
    jobs: jobSpecs(2, (i) => ({ queue: `own-${i}` })),
    atomic: true,
  });
  const [short, mine] = added as number[];
  const runOf = async (queue: string, leaseMs: number): Promise<ClaimedJob> => {
    const queues = [{ queue, limit: 1 }];
    const [run] = await claim(adapter, { queues, leaseMs, inProcess: true });
    return run as ClaimedJob;
  };
  await runOf("own-1", 600_000);
  const stale = await runOf("own-0", 500);

  proxy.hang();
  const began = performance.now();
  const id = await add(direct);
  await eventually(() => worker.started.some((start) => start.id === id), 15_000);
  // Who comes back with a lease that has ended meanwhile is refused.
  await eventually(async () => (await stateOf(direct, short as number)) === "waiting", 15_000);
  const [fresh] = await claim(direct, { queues: [{ queue: "own-0", limit: 1 }] });
  const endOf = (run: ClaimedJob) => ({ tenant: "default", runs: [{ ...run, result: null }] });
  let late: readonly unknown[] | undefined;
  await eventually(async () => {
    late = await unlessAway(() => adapter.complete(endOf(stale)));
    return late !== undefined;
  }, 15_000);
  expect(late).toEqual([expect.objectContaining({ code: "STALE_LEASE" })]);
  expect(await direct.complete(endOf(fresh as ClaimedJob))).toEqual([true]);
  // The connection that hears news has nothing to answer: it must be found dead all the same.
  await direct.cancel({ tenant: "default", ids: [mine as number], running: true, reason: "x" });
  await eventually(() => requests.some((request) => request.id === mine), 15_000);
  const took = performance.now() - began;
  expect(took).toBeLessThan(15_000);

  // The worker, too, hears of jobs again, and does not only find them when it looks, every 5 s.
  let started = Infinity;
  const heard = async (): Promise<boolean> => {
    const next = await add(direct);
    started = await eventually(() => worker.started.some((start) => start.id === next), 15_000);
    return started < 1000;
  };
  await eventually(heard, 15_000);
  tell(
    `recovered after ${seconds(took)}, 1 stale lease refused; the next job started after ${seconds(started)}`,
  );
});

it("behind connections that are cut: calls and waiting claims come through within 15 s", async () => {
  const proxy = await tcpProxy(redis.port);
  onTestFinished(() => proxy.close());
  const direct = await join();
  const adapter = await join(`redis://127.0.0.1:${proxy.port}`);
  const waiting = claim(adapter, { waitMs: WAIT_MS });
  await sleep(100);
  proxy.cut();
  const began = performance.now();
  const id = await add(direct);
  expect((await waiting).map((job) => job.id)).toEqual([id]);
  await eventually(
    async () => (await failure(() => adapter.cursor())).code.startsWith("no"),
    15_000,
  );
  const took = performance.now() - began;
  expect(took).toBeLessThan(15_000);
  tell(`recovered after ${seconds(took)}`);
});

it("answering a claim too late: the jobs come back", async () => {
  const proxy = await tcpProxy(redis.port);
  onTestFinished(() => proxy.close());
  const direct = await join();
  const adapter = await join(`redis://127.0.0.1:${proxy.port}`);
  // Redis has to know the script already, or it would only have asked for it.
  expect(await claim(adapter)).toEqual([]);
  const id = await add(direct);
  proxy.deafen();
  const claiming = failure(() => claim(adapter, { inProcess: true, leaseMs: 600_000 }));
  await eventually(async () => (await stateOf(direct, id)) === "active", WAIT_MS);
  expect((await claiming).code).toBe("UNAVAILABLE");
  const took = await eventually(async () => (await stateOf(direct, id)) === "waiting", 15_000);
  const runs = await direct.runs({ tenant: "default", id });
  expect(runs).toEqual([expect.objectContaining({ outcome: "released" })]);
  tell(`back after ${seconds(took)}`);
});

it("at its memory limit: adds are refused at once and whole, work goes on, and all is well again after", async () => {
  const adapter = await join();
  await add(adapter);
  await add(adapter);
  await redis.command("CONFIG", "SET", "maxmemory", "1mb");
  // What is there can still be worked off.
  const [run] = await claim(adapter, { limit: 1 });
  const done = { tenant: "default", runs: [{ ...run!, result: "1" }] };
  expect(await adapter.complete(done)).toEqual([true]);
  const { code, ms } = await failure(() => adapter.enqueue({ jobs: jobSpecs(50), atomic: false }));
  expect(code).toBe("UNAVAILABLE");
  expect(ms).toBeLessThan(1000);
  await redis.command("CONFIG", "SET", "maxmemory", "0");
  expect(await adapter.count({ tenant: "default" })).toMatchObject({ waiting: 1 });
  expect(await adapter.enqueue({ jobs: jobSpecs(50), atomic: false })).toHaveLength(50);
  expect(await adapter.count({ tenant: "default" })).toMatchObject({ waiting: 51 });
  tell(`refused after ${ms.toFixed(0)} ms, 0 of 50 stored; 50 of 50 stored after`);
});

/** Adds jobs in small batches until told to stop; answers with the ids that were acknowledged. */
function keepAdding(adapter: BullmqAdapter, job: NewJob): () => Promise<number[]> {
  const queue = queueOn(adapter);
  const acknowledged: number[] = [];
  const over = new AbortController();
  const adding = (async () => {
    while (!over.signal.aborted) {
      const jobs = Array.from({ length: 10 }, () => job);
      const ids = await unlessAway(() => queue.addMany(jobs, { atomic: true }));
      acknowledged.push(...((ids ?? []) as number[]));
      await sleep(30);
    }
  })();
  return async () => {
    over.abort();
    await adding;
    return acknowledged;
  };
}
