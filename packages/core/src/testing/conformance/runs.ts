import { describe, expect, it } from "vitest";

import type { JobRun } from "../../job.ts";
import { LEASE_MS, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeRuns(factory: EngineFactory): void {
  describe("the runs of a job", () => {
    const d = useDriver(factory);

    const runs = (id: number, tenant = "default"): Promise<readonly JobRun[]> =>
      d.adapter.runs({ tenant, id });
    const none = { error: null, nextAt: null };

    it("are none before it is run", async () => {
      const id = await d.add({ delayMs: 1000 });
      expect(await runs(id)).toEqual([]);
      await d.cancel(id);
      expect(await runs(id)).toEqual([]);
      expect(await runs(999_999_999)).toEqual([]);
    });

    it("are told while it is run, and once it completed", async () => {
      const id = await d.add();
      const startedAt = d.now();
      const run = await d.take({ worker: "w7" });
      const first = { number: 1, startedAt, worker: "w7", ...none };
      expect(await runs(id)).toEqual([{ ...first, endedAt: null, outcome: null }]);
      await d.advance(120);
      await d.complete(run);
      const done = [{ ...first, endedAt: startedAt + 120, outcome: "completed" }];
      expect(await runs(id)).toEqual(done);
      expect(await runs(id, "*")).toEqual(done);
      expect(await runs(id, "acme")).toEqual([]);
    });

    it("tell failures, and when the next run was due", async () => {
      const id = await d.add({ maxAttempts: 3 });
      const start = d.now();
      const first = await d.take({ worker: "a" });
      await d.advance(10);
      await d.fail(first, { retryAt: start + 500, error: { message: "no \u00fcber", code: "X" } });
      await d.advance(490);
      const second = await d.take({ worker: null });
      // Due at once: the past is no time to be due.
      await d.fail(second, { retryAt: start, error: { message: "again" } });
      await d.fail(await d.take(), { error: { message: "for good" } });
      const at = { startedAt: start + 500, endedAt: start + 500, outcome: "failed" };
      const failed = [
        {
          number: 1,
          startedAt: start,
          endedAt: start + 10,
          outcome: "failed",
          worker: "a",
          error: "no \u00fcber",
          nextAt: start + 500,
        },
        { number: 2, ...at, worker: null, error: "again", nextAt: start + 500 },
        { number: 3, ...at, worker: "w1", error: "for good", nextAt: null },
      ];
      expect(await runs(id)).toEqual(failed);
      // A retry by hand begins attempts anew, not the history.
      await d.retry(id);
      expect(await runs(id)).toEqual(failed);
      await d.complete(await d.take());
      expect((await runs(id)).at(-1)).toMatchObject({ number: 4, outcome: "completed" });
    });

    it("tell what else ends a run", async () => {
      const start = d.now();
      const timed = await d.add({ timeoutMs: 1000, maxAttempts: 2, backoffMs: 300 });
      await d.take();
      await d.advance(1000);
      const silent = await d.add({ queue: "silent" });
      await d.take({ queue: "silent" });
      await d.advance(LEASE_MS);
      const crashed = await d.add({ queue: "crashed" });
      await d.release(await d.take({ queue: "crashed" }), { message: "out of memory" });
      const released = await d.add({ queue: "released" });
      await d.release(await d.take({ queue: "released" }));
      const cancelled = await d.add({ queue: "cancelled" });
      await d.take({ queue: "cancelled" });
      await d.cancel(cancelled, { reason: "no more" });
      const told = await d.add({ queue: "told" });
      const run = await d.take({ queue: "told", inProcess: true, timeoutFrom: "start" });
      await d.cancel(told, { reason: "stop it" });
      await d.complete(run);
      const now = d.now();
      expect(await runs(timed)).toMatchObject([
        { outcome: "stalled", endedAt: start + 1000, nextAt: start + 1300 },
      ]);
      expect((await runs(timed))[0]?.error).toContain("timeout");
      expect(await runs(silent)).toMatchObject([{ outcome: "stalled", nextAt: now }]);
      expect(await runs(crashed)).toMatchObject([
        { outcome: "crashed", error: "out of memory", nextAt: now },
      ]);
      expect(await runs(released)).toMatchObject([
        { outcome: "released", error: null, nextAt: now },
      ]);
      expect(await runs(cancelled)).toMatchObject([
        { outcome: "cancelled", error: "no more", nextAt: null },
      ]);
      expect(await runs(told)).toMatchObject([
        { outcome: "cancelled", error: "stop it", nextAt: null },
      ]);
    });

    it("are kept up to the newest 50", async () => {
      const id = await d.add();
      for (let turn = 0; turn < 53; turn++) await d.release(await d.take());
      await d.complete(await d.take());
      const kept = await runs(id);
      expect(kept.map(({ number }) => number)).toEqual(Array.from({ length: 51 }, (_, i) => i + 4));
      expect(kept.at(-1)).toMatchObject({ number: 54, outcome: "completed" });
    });
  });
}
