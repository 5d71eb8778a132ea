import { describe, expect, it } from "vitest";

import type { ProcessingStats } from "../../job.ts";
import { jobSpecs } from "../job-factory.ts";
import { at, expectRefused, expectRejected, only, ref, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

const LOG_LINES_KEPT = 1000;

export function describeProgress(factory: EngineFactory): void {
  describe("progress", () => {
    const d = useDriver(factory);
    const stats: ProcessingStats = {
      totalItems: 10,
      processedItems: 4,
      failedItems: 1,
      averageItemMs: 12.5,
      itemsPerSecond: 80,
      estimatedEnd: null,
    };

    it("keeps percent, message and statistics, each by itself", async () => {
      const id = await d.add();
      const run = await d.take();
      await d.report(run, { progress: 40, message: "reading", stats });
      expect(await d.job(id)).toMatchObject({ progress: 40, progressMessage: "reading", stats });
      await d.report(run, { progress: 62.5 });
      expect(await d.job(id)).toMatchObject({ progress: 62.5, progressMessage: "reading", stats });
      await d.report(run, { message: null });
      expect(await d.job(id)).toMatchObject({ progress: 62.5, progressMessage: null, stats });
      await d.report(run, { stats: { ...stats, processedItems: 9, estimatedEnd: 17 } });
      expect((await d.job(id)).stats).toEqual({ ...stats, processedItems: 9, estimatedEnd: 17 });
      // A report of nothing is a sign of life.
      expect(await d.report(run)).toBe(true);
      await d.complete(run);
      expect(await d.job(id)).toMatchObject({ state: "completed", stats: { totalItems: 10 } });
    });

    it("is told", async () => {
      const recorder = await d.record({ types: ["job.progress"] });
      await d.add();
      const run = await d.take();
      await d.report(run, { progress: 40, message: "reading" });
      await d.report(run, { progress: 50 });
      await recorder.until(({ events }) => events.length === 2);
      expect(recorder.events[0]).toMatchObject({
        jobId: run.id,
        queue: "work",
        progress: 40,
        message: "reading",
      });
      expect(recorder.events[1]).toMatchObject({ progress: 50 });
    });

    it("answers each report of a batch by itself", async () => {
      const [a, b, c] = await d.addAll(jobSpecs(3));
      await d.claim({ limit: 2 });
      const outcomes = await d.adapter.progress({
        tenant: "default",
        reports: [
          { id: a!, progress: 1 },
          { id: c!, progress: 2 },
          { id: b!, progress: 3 },
          { id: b!, lease: "made up", progress: 4 },
        ],
        leaseMs: 1000,
      });
      expect(outcomes[0]).toBe(true);
      expect(expectRefused(outcomes[1], "INVALID_STATE").state).toBe("waiting");
      expect(outcomes[2]).toBe(true);
      expectRefused(outcomes[3], "STALE_LEASE");
      const jobs = await d.adapter.get({ tenant: "default", ids: [a!, b!, c!] });
      expect(jobs.map((job) => job?.progress)).toEqual([1, 3, 0]);
    });
  });

  describe("logs", () => {
    const d = useDriver(factory);

    it("keeps lines in order, with their times, over runs and after the end", async () => {
      const id = await d.add({ maxAttempts: 2 });
      const run = await d.take();
      await d.adapter.log({ tenant: "default", run: ref(run), lines: ["one", "two"] });
      const first = d.now();
      await d.fail(run, { retryAt: d.now() + 100 });
      await d.advance(100);
      const again = await d.take();
      await d.adapter.log({ tenant: "default", run: ref(again), lines: ['three "\n" \u{1F980}'] });
      await d.complete(again);
      expect(await d.adapter.logs({ tenant: "default", id, offset: 0, limit: 10 })).toEqual({
        lines: [
          { at: first, line: "one" },
          { at: first, line: "two" },
          { at: first + 100, line: 'three "\n" \u{1F980}' },
        ],
        total: 3,
      });
    });

    it("keeps the newest 1,000 lines, in pages", async () => {
      const id = await d.add();
      const run = await d.take();
      for (let page = 0; page < 3; page++) {
        const lines = Array.from({ length: 500 }, (_, index) => `line ${page * 500 + index}`);
        await d.adapter.log({ tenant: "default", run: ref(run), lines });
      }
      const page = await d.adapter.logs({ tenant: "default", id, offset: 0, limit: 5 });
      expect(page.total).toBe(LOG_LINES_KEPT);
      expect(page.lines.map(({ line }) => line)).toEqual(
        [500, 501, 502, 503, 504].map((index) => `line ${index}`),
      );
      const end = await d.adapter.logs({ tenant: "default", id, offset: 999, limit: 5 });
      expect(only(end.lines).line).toBe("line 1499");
      const all = await d.adapter.logs({ tenant: "default", id, offset: 0, limit: 5000 });
      expect(all.lines).toHaveLength(LOG_LINES_KEPT);
      const past = await d.adapter.logs({ tenant: "default", id, offset: 2000, limit: 5 });
      expect(past).toEqual({ lines: [], total: LOG_LINES_KEPT });
    });

    it("keeps the newest lines of one call that has too many", async () => {
      const id = await d.add();
      const run = await d.take();
      const lines = Array.from({ length: 1200 }, (_, index) => `${index}`);
      await d.adapter.log({ tenant: "default", run: ref(run), lines });
      const kept = await d.adapter.logs({ tenant: "default", id, offset: 0, limit: 1 });
      expect(kept).toMatchObject({ lines: [{ line: "200" }], total: LOG_LINES_KEPT });
    });

    it("belong to their job", async () => {
      await d.addAll(jobSpecs(2));
      const runs = await d.claim();
      const [a, b] = [at(runs, 0), at(runs, 1)];
      await d.adapter.log({ tenant: "default", run: ref(a), lines: ["of a"] });
      const page = { tenant: "default", offset: 0, limit: 10 };
      expect((await d.adapter.logs({ ...page, id: b.id })).total).toBe(0);
      await d.complete(a);
      await d.remove(a.id);
      const none = { lines: [], total: 0 };
      expect(await d.adapter.logs({ ...page, id: a.id })).toEqual(none);
      expect(await d.adapter.logs({ ...page, id: 999_999_999 })).toEqual(none);
      await expectRejected(
        d.adapter.log({ tenant: "default", run: { id: 999_999_999 }, lines: ["x"] }),
        "JOB_NOT_FOUND",
      );
    });
  });
}
