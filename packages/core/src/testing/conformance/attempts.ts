import { describe, expect, it } from "vitest";

import { jobSpec, jobSpecs } from "../job-factory.ts";
import { accepted, at, counts, expectRefused, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeAttempts(factory: EngineFactory): void {
  describe("attempts", () => {
    const d = useDriver(factory);

    it("runs a job to its completion", async () => {
      const id = await d.add({ maxAttempts: 3 });
      await d.advance(100);
      const run = await d.take({ worker: "w7" });
      expect(run).toMatchObject({
        id,
        state: "active",
        attemptsMade: 0,
        startedAt: d.now(),
        finishedAt: null,
        worker: "w7",
      });
      expect(run.lease).toBeTypeOf("string");
      expect(run.lease).not.toBe("");
      await d.advance(250);
      expect(await d.complete(run, { result: '{"ok":true}' })).toBe(true);
      expect(await d.job(id)).toMatchObject({
        state: "completed",
        attemptsMade: 1,
        result: '{"ok":true}',
        finishedAt: d.now(),
        worker: "w7",
      });
    });

    it("runs a failed attempt again when core says so, and keeps the error", async () => {
      const id = await d.add({ maxAttempts: 3 });
      const error = { message: "no route", code: "NETWORK_ERROR", stage: "upload", stack: "at x" };
      const retryAt = d.now() + 700;
      expect(await d.fail(await d.take(), { retryAt, error })).toBe("delayed");
      const job = await d.job(id);
      expect(job).toMatchObject({ state: "delayed", attemptsMade: 1, runAt: retryAt, error });
      expect(job.finishedAt).toBeNull();
      await d.advance(699);
      expect(await d.claim()).toEqual([]);
      await d.advance(1);
      const again = await d.take();
      expect(again).toMatchObject({ id, attemptsMade: 1, error });
      expect(again.lease).not.toBe("");
      await d.complete(again);
      expect(await d.job(id)).toMatchObject({ state: "completed", attemptsMade: 2 });
    });

    it("runs it again at once when the moment has come already", async () => {
      const [a, b] = await d.addAll(jobSpecs(2));
      expect(await d.fail(await d.take(), { retryAt: d.now() })).toBe("waiting");
      expect(await d.drain()).toEqual([b, a]);
    });

    it("fails for good when core says so", async () => {
      const id = await d.add({ maxAttempts: 3 });
      await d.advance(10);
      const error = { message: "bad input", code: "INVALID" };
      expect(await d.fail(await d.take(), { error })).toBe("failed");
      expect(await d.job(id)).toMatchObject({
        state: "failed",
        attemptsMade: 1,
        error,
        finishedAt: d.now(),
      });
      await d.advance(1_000_000);
      expect(await d.claim()).toEqual([]);
      expect(await d.count({ states: ["failed"] })).toEqual(counts({ failed: 1 }));
    });

    it("answers each run of a batch by itself", async () => {
      const [a, b, c] = await d.addAll(jobSpecs(3));
      const runs = await d.claim({ limit: 2 });
      const outcomes = await d.adapter.complete({
        tenant: "default",
        runs: [
          { id: a!, lease: at(runs, 0).lease, result: null },
          { id: c!, result: null },
          { id: 999_999_999, result: null },
          { id: b!, lease: "no such lease", result: null },
          { id: b!, result: '"b"' },
          { id: a!, result: null },
        ],
      });
      expect(outcomes[0]).toBe(true);
      expect(expectRefused(outcomes[1], "INVALID_STATE").state).toBe("waiting");
      expectRefused(outcomes[2], "JOB_NOT_FOUND");
      expectRefused(outcomes[3], "STALE_LEASE");
      expect(outcomes[4]).toBe(true);
      expect(expectRefused(outcomes[5], "INVALID_STATE").state).toBe("completed");
      expect(await d.states([a!, b!, c!])).toEqual(["completed", "completed", "waiting"]);
    });

    it("fails each run of a batch by itself", async () => {
      const [a, b] = await d.addAll(jobSpecs(2));
      const runs = await d.claim();
      const error = { message: "x" };
      const outcomes = await d.adapter.fail({
        tenant: "default",
        runs: [
          { id: a!, lease: at(runs, 0).lease, error, retryAt: null, attempt: 1 },
          { id: 999_999_999, error, retryAt: null, attempt: 1 },
          { id: b!, error, retryAt: d.now() + 100, attempt: 1 },
          { id: a!, error, retryAt: null, attempt: 1 },
        ],
      });
      expect(outcomes[0]).toBe("failed");
      expectRefused(outcomes[1], "JOB_NOT_FOUND");
      expect(outcomes[2]).toBe("delayed");
      expect(expectRefused(outcomes[3], "INVALID_STATE").state).toBe("failed");
    });

    it("refuses a failure that was decided upon for an earlier attempt", async () => {
      const id = await d.add({ maxAttempts: 3 });
      await d.fail(await d.take(), { retryAt: d.now() });
      const second = await d.take();
      expectRefused(await d.fail({ id }, { attempt: 1 }), "STALE_LEASE");
      expect(await d.state(id)).toBe("active");
      expect(await d.fail({ id }, { attempt: 2 })).toBe("failed");
      expectRefused(await d.complete(second), "STALE_LEASE");
      expect(await d.job(id)).toMatchObject({ attemptsMade: 2 });
    });

    it("retries failed and cancelled jobs anew", async () => {
      const [failed, cancelled, completed, waiting] = await d.addAll(
        jobSpecs(4, () => ({ maxAttempts: 2 })),
      );
      const runs = await d.claim({ limit: 3 });
      await d.report(at(runs, 0), { progress: 60, message: "half" });
      await d.fail(at(runs, 0));
      await d.cancel(cancelled!);
      await d.complete(at(runs, 2));
      await d.advance(50);

      const outcomes = await d.adapter.retry({
        tenant: "default",
        ids: [failed!, completed!, cancelled!, waiting!, 999_999_999, failed!],
      });
      expect(outcomes[0]).toBe(true);
      expect(expectRefused(outcomes[1], "INVALID_STATE").state).toBe("completed");
      expect(outcomes[2]).toBe(true);
      expect(expectRefused(outcomes[3], "INVALID_STATE").state).toBe("waiting");
      expectRefused(outcomes[4], "JOB_NOT_FOUND");
      expect(expectRefused(outcomes[5], "INVALID_STATE").state).toBe("waiting");

      for (const id of [failed!, cancelled!]) {
        expect(await d.job(id)).toMatchObject({
          state: "waiting",
          attemptsMade: 0,
          crashes: 0,
          error: null,
          progress: 0,
          progressMessage: null,
          finishedAt: null,
          result: null,
        });
      }
      expect(await d.drain()).toEqual([waiting, failed, cancelled]);
    });

    it("does not let the old run touch a job that was retried", async () => {
      const id = await d.add();
      const old = await d.take();
      await d.fail(old);
      await d.retry(id);
      expectRefused(await d.complete(old), "STALE_LEASE");
      const current = await d.take();
      expectRefused(await d.complete(old), "STALE_LEASE");
      expectRefused(await d.fail(old), "STALE_LEASE");
      expect(await d.complete(current)).toBe(true);
    });

    it("waits again for dependencies that can still complete, and for no others", async () => {
      const dependency = await d.add({ queue: "first" });
      const calledOff = await d.add({ queue: "second" });
      const [id] = await d.addAll([jobSpec({ dependsOn: [dependency, calledOff] })]);
      await d.cancel(id!);
      await d.cancel(calledOff);
      await d.retry(id!);
      expect((await d.job(id!)).state).toBe("blocked");
      expect(await d.claim()).toEqual([]);
      await d.complete(await d.take({ queue: "first" }));
      expect((await d.take()).id).toBe(id);
    });

    it("gives every run of a job another lease", async () => {
      const id = await d.add({ maxAttempts: 9 });
      const leases = new Set<string>();
      for (let turn = 0; turn < 6; turn++) {
        const run = await d.take();
        leases.add(run.lease);
        if (turn % 3 === 0) await d.release(run);
        if (turn % 3 === 1) await d.fail(run, { retryAt: d.now() });
        if (turn % 3 === 2) {
          await d.fail(run);
          await d.retry(id);
        }
      }
      expect(leases.size).toBe(6);
    });

    it("completes 1,000 runs in one call", async () => {
      await d.addAll(jobSpecs(1000));
      const runs = await d.claim();
      const outcomes = await d.adapter.complete({
        tenant: "default",
        runs: runs.map(({ id, lease }) => ({ id, lease, result: `${id}` })),
      });
      expect(accepted(outcomes)).toEqual(Array(1000).fill(true));
      expect(await d.count()).toEqual(counts({ completed: 1000 }));
    });
  });
}
