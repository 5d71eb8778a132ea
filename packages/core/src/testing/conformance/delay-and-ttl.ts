import { describe, expect, it } from "vitest";

import { jobSpecs } from "../job-factory.ts";
import { counts, expectRefused, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeDelayAndTtl(factory: EngineFactory): void {
  describe("delay", () => {
    const d = useDriver(factory);

    it("does not run a job before its time", async () => {
      const id = await d.add({ delayMs: 1000 });
      expect(await d.job(id)).toMatchObject({ state: "delayed", runAt: d.now() + 1000 });
      await d.advance(999);
      expect(await d.claim()).toEqual([]);
      expect(await d.state(id)).toBe("delayed");
      await d.advance(1);
      expect(await d.state(id)).toBe("waiting");
      expect((await d.take()).id).toBe(id);
    });

    it("waits for months", async () => {
      const days = 24 * 3_600_000;
      const id = await d.add({ delayMs: 60 * days });
      await d.advance(59 * days);
      expect(await d.state(id)).toBe("delayed");
      await d.advance(days);
      expect(await d.state(id)).toBe("waiting");
    });

    it("makes many jobs ready at once", async () => {
      const given = await d.addAll(jobSpecs(1500, (index) => ({ delayMs: 100 + (index % 7) })));
      await d.advance(200);
      expect(await d.count()).toEqual(counts({ waiting: 1500 }));
      expect((await d.drain()).toSorted((a, b) => a - b)).toEqual(given);
    });

    it("promotes delayed jobs alone", async () => {
      const delayed = await d.add({ delayMs: 60_000 });
      const waiting = await d.add();
      const blocked = await d.add({ dependsOn: [delayed] });
      const outcomes = await d.adapter.promote({
        tenant: "default",
        ids: [delayed, waiting, blocked, 999_999_999, delayed],
      });
      expect(outcomes[0]).toBe(true);
      expect(expectRefused(outcomes[1], "INVALID_STATE").state).toBe("waiting");
      expect(expectRefused(outcomes[2], "INVALID_STATE").state).toBe("blocked");
      expectRefused(outcomes[3], "JOB_NOT_FOUND");
      expect(expectRefused(outcomes[4], "INVALID_STATE").state).toBe("waiting");
      expect(await d.states([delayed, waiting, blocked])).toEqual([
        "waiting",
        "waiting",
        "blocked",
      ]);
      // Its old moment makes nothing of it.
      const run = await d.take();
      await d.advance(60_000);
      expect(await d.state(run.id)).not.toBe("delayed");
      expect(await d.drain()).toHaveLength(2);
    });
  });

  describe("ttl", () => {
    const d = useDriver(factory);

    it("drops a job that was not started in time", async () => {
      const recorder = await d.record();
      const id = await d.add({ ttlMs: 1000, maxAttempts: 5 });
      await d.advance(999);
      expect(await d.state(id)).toBe("waiting");
      await d.advance(2);
      const job = await d.job(id);
      expect(job).toMatchObject({ state: "failed", attemptsMade: 0, startedAt: null });
      expect(job.error?.code).toBe("expired");
      expect(job.finishedAt).toBeGreaterThanOrEqual(job.createdAt + 1000);
      expect(await d.claim()).toEqual([]);
      expect(await recorder.of(id)).toEqual(["job.pushed", "job.failed"]);
      expect((await recorder.all()).at(-1)).toMatchObject({ jobId: id, final: true });
      expect((await d.total()).failed).toBe(1);
    });

    it("drops delayed, blocked and paused jobs as well", async () => {
      const other = await d.add({ queue: "other" });
      await d.configure({ paused: true });
      const given = [
        await d.add({ ttlMs: 1000 }),
        await d.add({ ttlMs: 1000, delayMs: 5000 }),
        await d.add({ ttlMs: 1000, dependsOn: [other] }),
      ];
      await d.advance(1001);
      expect(await d.states(given)).toEqual(["failed", "failed", "failed"]);
      await d.configure({ paused: false });
      await d.complete(await d.take({ queue: "other" }));
      await d.advance(10_000);
      expect(await d.claim()).toEqual([]);
      expect(await d.states(given)).toEqual(["failed", "failed", "failed"]);
    });

    it("does not touch a job that was started in time", async () => {
      const [running, retried] = await d.addAll(
        jobSpecs(2, () => ({ ttlMs: 1000, maxAttempts: 2 })),
      );
      const runs = await d.claim();
      await d.fail(runs[1]!, { retryAt: d.now() + 5000 });
      await d.advance(2000);
      expect(await d.states([running!, retried!])).toEqual(["active", "delayed"]);
      await d.advance(3000);
      expect((await d.take()).id).toBe(retried);
    });

    it("gives an expired job that is retried its full time again", async () => {
      const id = await d.add({ ttlMs: 1000 });
      await d.advance(5000);
      expect(await d.retry(id)).toBe(true);
      await d.advance(500);
      expect(await d.state(id)).toBe("waiting");
      expect((await d.take()).id).toBe(id);
    });

    it("frees what the expired job held", async () => {
      const id = await d.add({ ttlMs: 1000, uniqueKey: "k" });
      await d.advance(1001);
      expect(await d.add({ uniqueKey: "k" })).toBeGreaterThan(id);
    });
  });
}
