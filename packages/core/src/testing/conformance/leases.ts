import { describe, expect, it } from "vitest";

import type { JobState } from "../../job.ts";
import type { StopRequest } from "../../queue-adapter.ts";
import { CRASH_LIMIT } from "../../retry-policy.ts";
import { jobSpecs } from "../job-factory.ts";
import { at, expectRefused, expectRejected, LEASE_MS, only, ref, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeLeases(factory: EngineFactory): void {
  describe("leases", () => {
    const d = useDriver(factory);

    it("gives a silent run back to the queue, not counted as an attempt", async () => {
      const recorder = await d.record();
      const id = await d.add();
      const run = await d.take({ leaseMs: 1000 });
      await d.advance(999);
      expect(await d.state(id)).toBe("active");
      await d.advance(2);
      expect(await d.job(id)).toMatchObject({ state: "waiting", attemptsMade: 0, crashes: 1 });
      expect(await recorder.of(id)).toEqual(["job.pushed", "job.started", "job.stalled"]);
      expect(await d.total()).toMatchObject({ stalled: 1, failed: 0, retried: 0 });
      const again = await d.take();
      expect(again.lease).not.toBe(run.lease);
      await d.complete(again);
      expect(await d.job(id)).toMatchObject({ state: "completed", attemptsMade: 1, crashes: 1 });
    });

    it("fails a job for good at its fifth crash, with a clear error", async () => {
      const recorder = await d.record();
      const id = await d.add({ maxAttempts: 100 });
      for (let crash = 1; crash <= CRASH_LIMIT; crash++) {
        expect(await d.state(id)).toBe("waiting");
        await d.take({ leaseMs: 1000 });
        await d.advance(1001);
        expect((await d.job(id)).crashes).toBe(crash);
      }
      const job = await d.job(id);
      expect(job).toMatchObject({ state: "failed", attemptsMade: 0 });
      expect(job.error?.code).toBe("crashed");
      expect(job.error?.message).toMatch(/5/);
      expect(job.finishedAt).not.toBeNull();
      expect((await recorder.of(id)).slice(-3)).toEqual([
        "job.started",
        "job.stalled",
        "job.failed",
      ]);
      expect((await recorder.all()).at(-1)).toMatchObject({ final: true });
      await d.retry(id);
      expect(await d.job(id)).toMatchObject({ state: "waiting", crashes: 0, error: null });
    });

    it("counts runs given back as crashed towards the limit, and others not", async () => {
      const id = await d.add();
      for (let turn = 0; turn < 10; turn++) {
        expect(await d.release(await d.take())).toBe("waiting");
      }
      expect(await d.job(id)).toMatchObject({ crashes: 0, attemptsMade: 0 });
      const states: unknown[] = [];
      for (let crash = 1; crash <= CRASH_LIMIT; crash++) {
        states.push(await d.release(await d.take(), { message: "out of memory", code: "oom" }));
      }
      expect(states).toEqual(["waiting", "waiting", "waiting", "waiting", "failed"]);
      const job = await d.job(id);
      expect(job).toMatchObject({ state: "failed", crashes: CRASH_LIMIT, attemptsMade: 0 });
      expect(job.error?.code).toBe("crashed");
    });

    it("releases each run of a batch by itself", async () => {
      const [a, b] = await d.addAll(jobSpecs(2));
      const runs = await d.claim();
      const outcomes = await d.adapter.release({
        tenant: "default",
        runs: [ref(at(runs, 0)), { id: 999_999_999 }, { id: b! }, ref(at(runs, 0)), { id: a! }],
      });
      expect(outcomes[0]).toBe("waiting");
      expectRefused(outcomes[1], "JOB_NOT_FOUND");
      expect(outcomes[2]).toBe("waiting");
      expectRefused(outcomes[3], "STALE_LEASE");
      expect(expectRefused(outcomes[4], "INVALID_STATE").state).toBe("waiting");
    });

    it("keeps a renewed run", async () => {
      const id = await d.add();
      const run = await d.take({ leaseMs: 1000 });
      for (let turn = 0; turn < 5; turn++) {
        await d.advance(900);
        expect(await d.renew(run, 1000)).toBe(true);
      }
      expect(await d.state(id)).toBe("active");
      expect(await d.renew(run, 5000)).toBe(true);
      await d.advance(4900);
      expect(await d.state(id)).toBe("active");
      await d.advance(101);
      expect(await d.state(id)).toBe("waiting");
    });

    it("keeps a run that reports progress", async () => {
      const id = await d.add();
      const run = await d.take({ leaseMs: 1000 });
      await d.advance(900);
      expect(await d.report(run, { progress: 10 }, 2000)).toBe(true);
      await d.advance(1900);
      expect(await d.state(id)).toBe("active");
      await d.advance(101);
      expect(await d.state(id)).toBe("waiting");
    });

    it("keeps the runs of a worker that is heard of, and of no other", async () => {
      await d.addAll(jobSpecs(4));
      await d.addAll(jobSpecs(1, () => ({ tenant: "acme" })));
      const mine = await d.claim({ limit: 2, worker: "w1", leaseMs: 1000 });
      const theirs = await d.claim({ limit: 1, worker: "w2", leaseMs: 1000 });
      const anonymous = await d.claim({ limit: 1, worker: null, leaseMs: 1000 });
      const namesake = await d.claim({ tenant: "acme", worker: "w1", leaseMs: 1000 });
      await d.advance(900);
      await d.heartbeat("w1", "default", 1000);
      await d.advance(900);
      const states = await d.states(
        [...mine, ...theirs, ...anonymous, ...namesake].map(({ id }) => id),
      );
      expect(states).toEqual(["active", "active", "waiting", "waiting", "waiting"]);
    });

    it("renews many runs and says which are lost", async () => {
      await d.addAll(jobSpecs(3));
      const [a, b, c] = await d.claim();
      await d.complete(b!);
      const outcomes = await d.adapter.renew({
        tenant: "default",
        runs: [ref(a!), ref(b!), { id: b!.id }, { id: c!.id }, { id: 999_999_999, lease: "x" }],
        leaseMs: LEASE_MS,
      });
      expect(outcomes[0]).toBe(true);
      expectRefused(outcomes[1], "STALE_LEASE");
      expect(expectRefused(outcomes[2], "INVALID_STATE").state).toBe("completed");
      expect(outcomes[3]).toBe(true);
      expectRefused(outcomes[4], "JOB_NOT_FOUND");
    });

    it("refuses a stale lease everywhere, and leaves the current run alone", async () => {
      const id = await d.add();
      const lost = await d.take({ leaseMs: 1000 });
      await d.advance(1001);
      const current = await d.take();
      expectRefused(await d.complete(lost, { result: '"stale"' }), "STALE_LEASE");
      expectRefused(await d.fail(lost), "STALE_LEASE");
      expectRefused(await d.release(lost), "STALE_LEASE");
      expectRefused(await d.renew(lost), "STALE_LEASE");
      expectRefused(await d.report(lost, { progress: 99 }), "STALE_LEASE");
      await expectRejected(
        d.adapter.log({ tenant: "default", run: ref(lost), lines: ["stale"] }),
        "STALE_LEASE",
      );
      expect(await d.job(id)).toMatchObject({ state: "active", progress: 0, result: null });
      expect((await d.adapter.logs({ tenant: "default", id, offset: 0, limit: 9 })).total).toBe(0);
      expect(await d.complete(current)).toBe(true);
    });

    it("refuses the lease of another job", async () => {
      await d.addAll(jobSpecs(2));
      const a = await d.take();
      const b = await d.take();
      expectRefused(await d.complete({ id: a.id, lease: b.lease }), "STALE_LEASE");
      expect(await d.states([a.id, b.id])).toEqual(["active", "active"]);
    });

    it("takes calls without a lease as meant for the current run", async () => {
      const id = await d.add({ maxAttempts: 2 });
      await d.take({ leaseMs: 1000 });
      await d.advance(1001);
      const current = await d.take({ leaseMs: 1000 });
      expect(await d.report({ id }, { progress: 5 })).toBe(true);
      expect(await d.renew({ id })).toBe(true);
      await d.adapter.log({ tenant: "default", run: { id }, lines: ["one"] });
      expect(await d.complete({ id }, { result: '"done"' })).toBe(true);
      expectRefused(await d.complete(current), "STALE_LEASE");
      expect(await d.job(id)).toMatchObject({ state: "completed", result: '"done"' });
    });

    it("tells apart what is not running, with a lease and without", async () => {
      const waiting = await d.add();
      const delayed = await d.add({ delayMs: 1000 });
      const blocked = await d.add({ dependsOn: [delayed] });
      for (const [id, state] of [
        [waiting, "waiting"],
        [delayed, "delayed"],
        [blocked, "blocked"],
      ] as const) {
        for (const refused of [
          await d.complete({ id }),
          await d.fail({ id }),
          await d.release({ id }),
          await d.renew({ id }),
          await d.report({ id }),
        ]) {
          expect(expectRefused(refused, "INVALID_STATE").state).toBe(state satisfies JobState);
        }
        expectRefused(await d.complete({ id, lease: "made up" }), "STALE_LEASE");
        expectRefused(await d.renew({ id, lease: "made up" }), "STALE_LEASE");
      }
      expectRefused(await d.complete({ id: 999_999_999 }), "JOB_NOT_FOUND");
      expectRefused(await d.fail({ id: 999_999_999 }), "JOB_NOT_FOUND");
      expectRefused(await d.release({ id: 999_999_999 }), "JOB_NOT_FOUND");
      expectRefused(await d.renew({ id: 999_999_999 }), "JOB_NOT_FOUND");
      expectRefused(await d.report({ id: 999_999_999 }), "JOB_NOT_FOUND");
    });

    it("tells the holder in process that its run is lost", async () => {
      const requests: StopRequest[] = [];
      d.adapter.onStopRequest((request) => requests.push(request));
      await d.add();
      const run = await d.take({ inProcess: true, timeoutFrom: "start", leaseMs: 1000 });
      await d.advance(1001);
      await d.settle();
      expect(requests).toEqual([{ id: run.id, lease: run.lease, reason: "lost" }]);
    });
  });

  describe("timeouts", () => {
    const d = useDriver(factory);

    it("count as a failed attempt, told as stalled, and are retried after the backoff", async () => {
      const recorder = await d.record();
      const id = await d.add({ timeoutMs: 1000, maxAttempts: 3, backoffMs: 400 });
      const run = await d.take();
      await d.advance(999);
      expect(await d.state(id)).toBe("active");
      await d.advance(2);
      const job = await d.job(id);
      expect(job).toMatchObject({ state: "delayed", attemptsMade: 1, crashes: 0 });
      expect(job.error?.code).toBe("timeout");
      expect(job.runAt).toBeGreaterThan(d.now());
      expect(job.runAt).toBeLessThanOrEqual(d.now() + 400);
      expectRefused(await d.complete(run), "STALE_LEASE");
      expect(expectRefused(await d.complete({ id }), "INVALID_STATE").state).toBe("delayed");

      // The second backoff is twice as long.
      await d.advance(400);
      await d.take();
      await d.advance(1001);
      expect(await d.job(id)).toMatchObject({ state: "delayed", attemptsMade: 2 });
      await d.advance(700);
      expect(await d.state(id)).toBe("delayed");
      await d.advance(100);
      await d.take();
      await d.advance(1001);
      expect(await d.job(id)).toMatchObject({ state: "failed", attemptsMade: 3 });

      const told = (await recorder.all()).filter(({ type }) => type !== "job.pushed");
      expect(told.map(({ type, final }) => [type, final])).toEqual([
        ["job.started", undefined],
        ["job.stalled", undefined],
        ["job.failed", false],
        ["job.started", undefined],
        ["job.stalled", undefined],
        ["job.failed", false],
        ["job.started", undefined],
        ["job.stalled", undefined],
        ["job.failed", true],
      ]);
      expect(await d.total()).toMatchObject({ stalled: 3, retried: 2, failed: 1 });
    });

    it("count from the last progress of a pulled run", async () => {
      const id = await d.add({ timeoutMs: 1000 });
      const run = await d.take({ timeoutFrom: "progress" });
      for (let turn = 0; turn < 3; turn++) {
        await d.advance(900);
        expect(await d.report(run, { progress: turn })).toBe(true);
      }
      expect(await d.state(id)).toBe("active");
      await d.advance(1001);
      expect(await d.job(id)).toMatchObject({ state: "failed", attemptsMade: 1 });
    });

    it("count from the start of a run of ours, whatever it reports", async () => {
      const id = await d.add({ timeoutMs: 1000 });
      const run = await d.take({ timeoutFrom: "start", inProcess: true });
      await d.advance(900);
      expect(await d.report(run, { progress: 10 })).toBe(true);
      expect(await d.renew(run)).toBe(true);
      await d.advance(101);
      const job = await d.job(id);
      expect(job).toMatchObject({ state: "failed", attemptsMade: 1 });
      expect(job.error?.code).toBe("timeout");
    });

    it("take the place of the lease of a pulled run", async () => {
      const id = await d.add({ timeoutMs: 10_000 });
      await d.take({ leaseMs: 1000, timeoutFrom: "progress" });
      await d.advance(9900);
      expect(await d.state(id)).toBe("active");
      await d.advance(101);
      expect(await d.job(id)).toMatchObject({ state: "failed", crashes: 0, attemptsMade: 1 });
    });

    it("are not put off by a heartbeat", async () => {
      const id = await d.add({ timeoutMs: 1000 });
      const run = await d.take({ timeoutFrom: "progress", worker: "w1" });
      await d.advance(900);
      await d.heartbeat("w1");
      expect(await d.renew(run)).toBe(true);
      await d.advance(101);
      expect(await d.state(id)).toBe("failed");
    });

    it("abort the run in process", async () => {
      const requests: StopRequest[] = [];
      const stop = d.adapter.onStopRequest((request) => requests.push(request));
      await d.addAll(jobSpecs(2, () => ({ timeoutMs: 1000 })));
      const run = await d.take({ timeoutFrom: "start", inProcess: true });
      await d.advance(1001);
      await d.settle();
      expect(only(requests)).toEqual({ id: run.id, lease: run.lease, reason: "lost" });
      stop();
      await d.take({ timeoutFrom: "start", inProcess: true });
      await d.advance(1001);
      await d.settle();
      expect(requests).toHaveLength(1);
    });

    it("free the job's place among the runs", async () => {
      await d.configure({ concurrency: 1 });
      const [, b] = await d.addAll(jobSpecs(2, () => ({ timeoutMs: 1000 })));
      await d.take();
      expect(await d.claim()).toEqual([]);
      await d.advance(1001);
      expect((await d.take()).id).toBe(b);
    });
  });
}
