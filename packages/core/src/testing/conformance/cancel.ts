import { describe, expect, it } from "vitest";

import type { StopRequest } from "../../queue-adapter.ts";
import { jobSpecs } from "../job-factory.ts";
import { counts, expectRefused, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

const OURS = { inProcess: true, timeoutFrom: "start" } as const;

export function describeCancel(factory: EngineFactory): void {
  describe("cancel", () => {
    const d = useDriver(factory);

    it("ends jobs that do not run at once, with the reason", async () => {
      const recorder = await d.record();
      const waiting = await d.add();
      const delayed = await d.add({ delayMs: 1000 });
      const blocked = await d.add({ dependsOn: [delayed] });
      for (const id of [waiting, blocked, delayed]) {
        expect(await d.cancel(id, { running: false, reason: "changed my mind" })).toBe(true);
        const job = await d.job(id);
        expect(job).toMatchObject({ state: "cancelled", attemptsMade: 0, finishedAt: d.now() });
        expect(job.error?.message).toBe("changed my mind");
        expect(await recorder.of(id)).toEqual(["job.pushed", "job.cancelled"]);
      }
      expect((await recorder.all()).at(-1)).toMatchObject({ error: "changed my mind" });
      await d.advance(1000);
      expect(await d.claim()).toEqual([]);
      expect(await d.count()).toEqual(counts({ cancelled: 3 }));
    });

    it("answers each job of a batch by itself", async () => {
      const [a, b, c] = await d.addAll(jobSpecs(3));
      await d.complete(await d.take());
      const outcomes = await d.adapter.cancel({
        tenant: "default",
        ids: [a!, 999_999_999, b!, b!, c!],
        running: true,
        reason: "",
      });
      expect(expectRefused(outcomes[0], "INVALID_STATE").state).toBe("completed");
      expectRefused(outcomes[1], "JOB_NOT_FOUND");
      expect(outcomes[2]).toBe(true);
      expect(expectRefused(outcomes[3], "INVALID_STATE").state).toBe("cancelled");
      expect(outcomes[4]).toBe(true);
    });

    it("refuses finished jobs", async () => {
      const failed = await d.add();
      await d.fail(await d.take());
      expect(expectRefused(await d.cancel(failed), "INVALID_STATE").state).toBe("failed");
    });

    it("refuses running jobs when asked to", async () => {
      const id = await d.add();
      const run = await d.take();
      const refused = await d.cancel(id, { running: false });
      expect(expectRefused(refused, "INVALID_STATE").state).toBe("active");
      expect(await d.complete(run)).toBe(true);
    });

    it("ends a pulled run at once, and makes its lease void", async () => {
      const recorder = await d.record();
      const id = await d.add({ maxAttempts: 3 });
      const run = await d.take();
      await d.advance(500);
      expect(await d.cancel(id)).toBe(true);
      expect(await d.job(id)).toMatchObject({
        state: "cancelled",
        attemptsMade: 0,
        finishedAt: d.now(),
      });
      expectRefused(await d.complete(run), "STALE_LEASE");
      expectRefused(await d.fail(run), "STALE_LEASE");
      expectRefused(await d.renew(run), "STALE_LEASE");
      expectRefused(await d.report(run, { progress: 50 }), "STALE_LEASE");
      expectRefused(await d.release(run), "STALE_LEASE");
      expect(expectRefused(await d.complete({ id }), "INVALID_STATE").state).toBe("cancelled");
      expect(await recorder.of(id)).toEqual(["job.pushed", "job.started", "job.cancelled"]);
      await d.advance(1_000_000);
      expect(await d.job(id)).toMatchObject({ state: "cancelled", crashes: 0 });
    });

    it.each(["complete", "fail", "retry", "release", "crash"] as const)(
      "asks a run in process to stop, and ends it as cancelled when it does: %s",
      async (end) => {
        const requests: StopRequest[] = [];
        d.adapter.onStopRequest((request) => requests.push(request));
        const recorder = await d.record();
        const id = await d.add({ maxAttempts: 3 });
        const run = await d.take(OURS);
        await d.advance(100);
        expect(await d.cancel(id, { reason: "too late" })).toBe(true);
        await d.settle();
        expect(requests).toEqual([{ id, lease: run.lease, reason: "cancelled" }]);
        expect(await d.state(id)).toBe("active");
        // It may take a while to reach its next checkpoint.
        expect(await d.renew(run)).toBe(true);
        await d.advance(100);

        if (end === "complete") await d.complete(run, { result: '"done"' });
        if (end === "fail") await d.fail(run);
        if (end === "retry") await d.fail(run, { retryAt: d.now() + 100 });
        if (end === "release") expect(await d.release(run)).toBe("cancelled");
        if (end === "crash") await d.release(run, { message: "out of memory" });
        const job = await d.job(id);
        expect(job).toMatchObject({ state: "cancelled", finishedAt: d.now() });
        expect(job.error?.message).toBe("too late");
        expect(await recorder.of(id)).toEqual(["job.pushed", "job.started", "job.cancelled"]);
        expect(requests).toHaveLength(1);
        await d.advance(1_000_000);
        expect(await d.state(id)).toBe("cancelled");
        expect(await d.total()).toMatchObject({ cancelled: 1, completed: 0, failed: 0 });
      },
    );

    it("ends a run in process that never answers with its lease", async () => {
      const id = await d.add();
      const run = await d.take({ ...OURS, leaseMs: 1000 });
      await d.cancel(id);
      await d.advance(1001);
      expect(await d.state(id)).toBe("cancelled");
      expectRefused(await d.complete(run), "STALE_LEASE");
    });

    it("ends a run in process that never answers with its timeout", async () => {
      const id = await d.add({ timeoutMs: 1000, maxAttempts: 3 });
      await d.take(OURS);
      await d.cancel(id);
      await d.advance(1001);
      expect(await d.state(id)).toBe("cancelled");
    });

    it("frees the place among the runs", async () => {
      await d.configure({ concurrency: 1 });
      const [, b] = await d.addAll(jobSpecs(2));
      await d.cancel((await d.take()).id);
      expect((await d.take()).id).toBe(b);
    });

    it("lets a cancelled job be retried", async () => {
      const id = await d.add();
      const run = await d.take(OURS);
      await d.cancel(id);
      await d.release(run);
      await d.retry(id);
      // The old request does not follow it into its next run.
      await d.complete(await d.take(OURS));
      expect(await d.state(id)).toBe("completed");
    });
  });
}
