import { describe, expect, it } from "vitest";

import type { Job } from "../../job.ts";
import type { Answer } from "../../queue-adapter.ts";
import { jobSpecs } from "../job-factory.ts";
import {
  at,
  counts,
  expectRefused,
  expectRejected,
  ids,
  isPending,
  only,
  ref,
  useDriver,
} from "./driver.ts";
import type { EngineFactory } from "./engine.ts";
import { groups } from "./groups.ts";

export function describeDurability(factory: EngineFactory): void {
  describe.each(["reopen", "crash"] as const)("durability: %s", (how) => {
    const d = useDriver(factory);
    const restart = (): Promise<void> => d.engine[how]();

    it("keeps jobs of each state, whole", async () => {
      const delayed = await d.add({ delayMs: 60_000, tags: ["a", "b"], origin: { via: "v1" } });
      const given = [
        delayed,
        await d.add({ dependsOn: [delayed], uniqueKey: "k", project: "p" }),
        ...(await d.addAll(jobSpecs(5, (index) => ({ data: `{"n":${index}}`, maxAttempts: 3 })))),
        await d.add({ data: { file: "d", bytes: 5 }, tenant: "acme" }),
      ];
      const runs = await d.claim({ limit: 4 });
      await d.complete(at(runs, 1), { result: '{ "done": 1 }' });
      await d.fail(at(runs, 2), { error: { message: "x", code: "Y", stage: "z", stack: "s" } });
      await d.cancel(at(runs, 3).id);
      const before = await d.adapter.get({ tenant: "*", ids: given });
      expect(new Set(before.map((job) => job?.state)).size).toBe(7);
      await restart();
      expect(await d.adapter.get({ tenant: "*", ids: given })).toEqual(before);
      expect(await d.count()).toEqual(
        counts({
          waiting: 1,
          delayed: 1,
          blocked: 1,
          active: 1,
          completed: 1,
          failed: 1,
          cancelled: 1,
        }),
      );
      const page = { limit: 10, order: "asc" } as const;
      const list = await d.adapter.list({ filter: { tenant: "default", tag: "b" }, page });
      expect(ids(list.jobs)).toEqual([delayed]);
      // Nothing is lost, and nothing is there twice.
      expect(await d.complete(at(runs, 0))).toBe(true);
      expect(await d.drain({ leaseMs: 1_000_000 })).toEqual([given[6]]);
      await d.advance(60_000);
      await d.complete(await d.take());
      expect((await d.take()).id).toBe(given[1]);
    });

    it("keeps what failed, and how", async () => {
      const id = await d.add({ maxAttempts: 2 });
      await d.fail(await d.take(), { retryAt: d.now(), error: { message: "no 1" } });
      await d.fail(await d.take(), { error: { message: "no 2" } });
      const runs = await d.adapter.runs({ tenant: "default", id });
      const groups = await d.adapter.errorGroups({ tenant: "default", limit: 5 });
      expect([runs.length, groups.length]).toEqual([2, 1]);
      await restart();
      expect(await d.adapter.runs({ tenant: "default", id })).toEqual(runs);
      expect(await d.adapter.errorGroups({ tenant: "default", limit: 5 })).toEqual(groups);
    });

    it("goes on building the indexes of payloads", async () => {
      const given = await d.addAll(
        jobSpecs(1000, (index) => ({ data: JSON.stringify({ n: index % 500 }) })),
      );
      await d.configure({ indexedPaths: ["data.n"] });
      await restart();
      await d.adapter.upkeep();
      const later = await d.add({ data: '{"n":7}' });
      const payload = { path: "data.n", equals: 7 };
      const { jobs } = await d.adapter.list({
        filter: { tenant: "default", queues: ["work"], payload },
        page: { limit: 10, order: "asc" },
      });
      expect(ids(jobs)).toEqual([given[7], given[507], later]);
    });

    it("keeps the order", async () => {
      const priorities = [0, -2, 3, 0, -2, 3];
      await d.addAll(jobSpecs(6, (index) => ({ priority: at(priorities, index) })));
      await d.addAll(jobSpecs(3, () => ({ lifo: true })));
      const released = await d.take();
      const run = await d.take();
      await d.release(released);
      await d.fail(run, { retryAt: d.now() });
      await d.add({ delayMs: 100 });
      await d.advance(100);
      const expected = (await d.claim()).map(({ id }) => id);
      await d.adapter.release({
        tenant: "default",
        runs: expected.map((id) => ({ id })),
      });
      await restart();
      const later = await d.add();
      const drained = await d.drain();
      expect(drained.filter((id) => id !== later)).toEqual(expected);
      const equals = await d.adapter.get({ tenant: "default", ids: drained });
      expect(equals.findLast((job) => job?.priority === 0)?.id).toBe(later);
    });

    it("keeps giving ids that are new", async () => {
      const before = await d.addAll(jobSpecs(10));
      await d.remove(at(before, 9));
      await restart();
      const after = await d.addAll(jobSpecs(10));
      expect(after[0]).toBeGreaterThan(at(before, 9));
    });

    it("keeps queues and their settings", async () => {
      await d.configure({ paused: true, rateLimit: 7, concurrency: 2 });
      await d.add({ queue: "mail", typed: true, tenant: "acme" });
      const before = await d.adapter.listQueues({ tenant: "*" });
      expect(before).toHaveLength(2);
      await restart();
      expect(await d.adapter.listQueues({ tenant: "*" })).toEqual(before);
      await d.add();
      expect(await d.claim()).toEqual([]);
      await d.configure({ paused: false });
      expect(await d.claim()).toHaveLength(1);
      expect(await d.claim({ tenant: "acme", queues: "untyped" })).toEqual([]);
    });

    it("keeps to the concurrency limit", async () => {
      await d.configure({ concurrency: 2 });
      await d.addAll(jobSpecs(4));
      const run = await d.take();
      await restart();
      expect(await d.claim()).toHaveLength(1);
      await d.complete(run);
      expect(await d.claim()).toHaveLength(1);
    });

    it("keeps unique keys and dependencies", async () => {
      const a = await d.add({ uniqueKey: "k" });
      const b = await d.add({ dependsOn: [a], queue: "next" });
      await restart();
      await expectRejected(d.add({ uniqueKey: "k" }), "DUPLICATE_JOB");
      await d.complete(await d.take());
      expect(await d.state(b)).toBe("waiting");
      expect(await d.add({ uniqueKey: "k" })).toBeGreaterThan(b);
    });

    it("keeps schedules and webhooks", async () => {
      const schedule = {
        tenant: "default",
        name: "nightly",
        cron: "0 3 * * *",
        timezone: "UTC",
        enabled: true,
        description: null,
        queue: "work",
        template: "{}",
        via: "v1",
        createdAt: d.now(),
        nextRun: d.now() + 1000,
        lastRun: null,
      };
      const version = await d.adapter.putSchedule({ schedule, replaces: null });
      const webhook = await d.adapter.putWebhook({
        tenant: "default",
        url: "https://example.com/",
        events: ["job.completed"],
        queue: null,
        secret: "s",
        shape: "wellflow",
        enabled: true,
      });
      await restart();
      expect(await d.adapter.listSchedules({ tenant: "default" })).toEqual([
        { ...schedule, version },
      ]);
      expect(await d.adapter.listWebhooks({ tenant: "default" })).toEqual([webhook]);
    });

    it("keeps statistics and logs", async () => {
      const id = await d.add({ project: "p" });
      const run = await d.take();
      await d.adapter.log({ tenant: "default", run: ref(run), lines: ["one", "two"] });
      await d.advance(100);
      await d.complete(run, { tokens: 9 });
      const before = [await d.total(), ...(await d.stats({ groupBy: "project" }))];
      await restart();
      expect([await d.total(), ...(await d.stats({ groupBy: "project" }))]).toEqual(before);
      const logs = await d.adapter.logs({ tenant: "default", id, offset: 0, limit: 9 });
      expect(logs.lines.map(({ line }) => line)).toEqual(["one", "two"]);
    });

    it("keeps pulled runs with their leases", async () => {
      await d.addAll(jobSpecs(2));
      const [a, b] = await d.claim({ leaseMs: 1000 });
      await restart();
      expect(await d.states([a!.id, b!.id])).toEqual(["active", "active"]);
      expect(await d.count()).toEqual(counts({ active: 2 }));
      expect(await d.claim()).toEqual([]);
      expect(await d.renew(a!, 1000)).toBe(true);
      expect(await d.complete(a!)).toBe(true);
      await d.advance(1001);
      expect(await d.job(b!.id)).toMatchObject({ state: "waiting", crashes: 1 });
    });

    it("keeps what a run reported, and the renewal of its lease", async () => {
      const id = await d.add();
      const run = await d.take({ leaseMs: 1000 });
      await d.advance(900);
      await d.report(run, { progress: 30, message: "on it" }, 5000);
      await restart();
      await d.advance(900);
      expect(await d.job(id)).toMatchObject({
        state: "active",
        progress: 30,
        progressMessage: "on it",
      });
    });

    it("keeps the attempts and crashes of a job", async () => {
      const id = await d.add({ maxAttempts: 9 });
      await d.fail(await d.take(), { retryAt: d.now() + 100, error: { message: "first" } });
      await d.advance(100);
      await d.release(await d.take(), { message: "it died" });
      await restart();
      expect(await d.job(id)).toMatchObject({ state: "waiting", attemptsMade: 1, crashes: 1 });
      const run = await d.take();
      await restart();
      expect(await d.fail(run, { retryAt: d.now() + 100 })).toBe("delayed");
      await restart();
      expect(await d.job(id)).toMatchObject({ state: "delayed", attemptsMade: 2, crashes: 1 });
      await d.advance(100);
      await d.complete(await d.take());
      await restart();
      expect(await d.job(id)).toMatchObject({ state: "completed", attemptsMade: 3 });
    });

    it("does what became due meanwhile", async () => {
      const delayed = await d.add({ delayMs: 1000 });
      const expiring = await d.add({ ttlMs: 1000, delayMs: 50_000 });
      const timed = await d.add({ timeoutMs: 1000, queue: "timed" });
      await d.take({ queue: "timed" });
      await restart();
      await d.advance(1001);
      expect(await d.states([delayed, expiring, timed])).toEqual(["waiting", "failed", "failed"]);
    });

    it("tells of a gap behind an old cursor", async () => {
      await d.add();
      const cursor = await d.adapter.cursor();
      await restart();
      const recorder = await d.record({ after: cursor });
      const id = await d.add();
      expect((await recorder.all()).map(({ jobId }) => jobId)).toEqual([id]);
      expect(recorder.gaps).toBe(1);
    });

    it("keeps what was cancelled cancelled", async () => {
      const id = await d.add({ maxAttempts: 3 });
      const run = await d.take({ inProcess: true, timeoutFrom: "start" });
      await d.cancel(id, { reason: "not now" });
      await restart();
      expect(await d.state(id)).toBe("cancelled");
      expect((await d.job(id)).error?.message).toBe("not now");
      expectRefused(await d.complete(run), "STALE_LEASE");
    });
  });

  describe.each(["reopen", "crash"] as const)("durability of groups: %s", (how) => {
    const d = useDriver(factory, groups);

    it("keeps places that are taken", async () => {
      await d.addAll(jobSpecs(6, (index) => ({ queue: index < 4 ? "scan" : "export" })));
      const runs = await d.claim({ queue: "scan", limit: 2 });
      await d.engine[how]();
      expectRefused((await d.offer(jobSpecs(1, () => ({ queue: "import" }))))[0], "LIMIT_REACHED");
      expect(await d.claim({ queue: "export" })).toHaveLength(1);
      expect(await d.claim({ queue: "scan" })).toEqual([]);
      expect(await d.complete(at(runs, 0))).toBe(true);
      expect(await d.claim({ queue: "scan" })).toHaveLength(1);
      await d.add({ queue: "import" });
    });

    it("gives the places of runs that died with the process to others", async () => {
      await d.addAll(jobSpecs(4, (index) => ({ queue: index < 3 ? "scan" : "export" })));
      await d.claim({ queue: "scan", inProcess: true, timeoutFrom: "start" });
      const claim = await d.claim({ queue: "export" });
      expect(claim).toEqual([]);
      await d.engine[how]();
      expect(await d.claim({ queue: "export" })).toHaveLength(1);
      expect(await d.claim({ queue: "scan" })).toHaveLength(2);
    });
  });

  describe("closing", () => {
    const d = useDriver(factory);

    it("gives runs in process back, uncounted", async () => {
      const id = await d.add();
      const later = await d.add();
      const run = await d.take({ inProcess: true, timeoutFrom: "start" });
      await d.engine.reopen();
      expect(await d.job(id)).toMatchObject({ state: "waiting", crashes: 0, attemptsMade: 0 });
      expectRefused(await d.complete(run), "STALE_LEASE");
      expect(await d.drain()).toEqual([id, later]);
      expect((await d.total()).stalled).toBe(0);
    });

    it("ends waits", async () => {
      const claim = d.claim({ waitMs: 60_000 });
      expect(await isPending(d, claim)).toBe(true);
      await d.engine.reopen();
      expect(await claim.catch(() => [])).toEqual([]);
      const id = await d.add();
      expect((await d.take()).id).toBe(id);
    });

    it("keeps what was asked for before", async () => {
      const calls = Array.from({ length: 20 }, () => d.addAll(jobSpecs(5)));
      await d.engine.reopen();
      const added = (await Promise.all(calls)).flat();
      expect(await d.drain()).toEqual(added.toSorted((a, b) => a - b));
      expect(added).toHaveLength(100);
    });
  });

  describe("crashing", () => {
    const d = useDriver(factory);

    it("returns runs in process at once, with the crash counted", async () => {
      const id = await d.add();
      const later = await d.add();
      const run = await d.take({ inProcess: true, timeoutFrom: "start", leaseMs: 1_000_000 });
      await d.engine.crash();
      expect(await d.job(id)).toMatchObject({ state: "waiting", crashes: 1, attemptsMade: 0 });
      expect(await d.count()).toEqual(counts({ waiting: 2 }));
      expectRefused(await d.complete(run), "STALE_LEASE");
      expect(await d.drain()).toEqual([id, later]);
      expect((await d.total()).stalled).toBe(1);
    });

    it("five times with the same job fails it", async () => {
      const id = await d.add({ maxAttempts: 100 });
      const seen: Pick<Job, "state" | "crashes">[] = [];
      for (let crash = 0; crash < 5; crash++) {
        await d.take({ inProcess: true, timeoutFrom: "start" });
        await d.engine.crash();
        const { state, crashes } = await d.job(id);
        seen.push({ state, crashes });
      }
      expect(seen.map(({ state }) => state)).toEqual([
        "waiting",
        "waiting",
        "waiting",
        "waiting",
        "failed",
      ]);
      expect((await d.job(id)).error?.code).toBe("crashed");
    });

    it("loses nothing that was acknowledged, however much was under way", async () => {
      const acknowledged: number[] = [];
      const calls = Array.from({ length: 200 }, async (_, index) => {
        if (index >= 100) await Promise.resolve();
        const given = await d.addAll(jobSpecs(1 + (index % 3)));
        acknowledged.push(...given);
      });
      // Some calls are answered by now; what becomes of the promises of the others is nobody's concern.
      for (const call of calls) call.catch(() => {});
      await Promise.race(calls);
      const before = [...acknowledged];
      await d.engine.crash();
      const states = await d.states(before);
      expect(states.every((state) => state === "waiting")).toBe(true);
      expect(before.length).toBeGreaterThan(0);
      const drained = await d.drain();
      expect(new Set(drained).size).toBe(drained.length);
    });

    it("keeps the answers to calls with an idempotency key with their jobs, or neither", async () => {
      const call = (i: number): Promise<Answer> =>
        d.adapter.enqueueOnce({
          jobs: jobSpecs(1),
          atomic: false,
          tenant: "default",
          key: `k${i}`,
          note: "n",
        });
      const calls = Array.from({ length: 40 }, (_, i) => call(i));
      for (const one of calls) one.catch(() => {});
      const answered = await Promise.any(calls);
      await d.engine.crash();
      const kept = await Promise.all(
        calls.map((_, i) => d.adapter.recall({ tenant: "default", key: `k${i}` })),
      );
      const given = kept.flatMap((answer) => (answer?.outcome ?? []) as number[]);
      expect(given).toContain(only(answered.outcome as number[]));
      expect((await d.drain()).toSorted((a, b) => a - b)).toEqual(given.toSorted((a, b) => a - b));
      for (const [i, answer] of kept.entries()) {
        const again = await call(i);
        expect(again.repeated).toBe(answer !== null);
        expect(again).toEqual(answer ?? again);
      }
    });

    it("leaves a run that was completed completed", async () => {
      await d.addAll(jobSpecs(50));
      const runs = await d.claim({ inProcess: true, timeoutFrom: "start" });
      const completions = runs.slice(0, 25).map((run) => ({ ...ref(run), result: "1" }));
      await d.adapter.complete({ tenant: "default", runs: completions });
      await d.engine.crash();
      expect(await d.count()).toEqual(counts({ completed: 25, waiting: 25 }));
      expect(only(await d.adapter.listQueues({ tenant: "*" })).counts).toEqual(
        counts({ completed: 25, waiting: 25 }),
      );
    });
  });
}
