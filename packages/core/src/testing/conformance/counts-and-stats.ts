import { describe, expect, it } from "vitest";

import type { StatsParams, StatsRow } from "../../queue-adapter.ts";
import { jobSpecs } from "../job-factory.ts";
import { at, counts, only, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

const MINUTE = 60_000;
const HOUR = 3_600_000;

const nothing: StatsRow = {
  key: "",
  added: 0,
  completed: 0,
  failed: 0,
  cancelled: 0,
  retried: 0,
  stalled: 0,
  removed: 0,
  durationAvg: null,
  durationMin: null,
  durationMax: null,
  waitAvg: null,
  tokens: 0,
  peakConcurrency: 0,
};

export function describeCountsAndStats(factory: EngineFactory): void {
  describe("counts", () => {
    const d = useDriver(factory);

    it("are of each state, and follow every transition", async () => {
      expect(await d.count()).toEqual(counts({}));
      const ids = await d.addAll(jobSpecs(6));
      const delayed = await d.add({ delayMs: 1000 });
      await d.add({ dependsOn: [delayed] });
      expect(await d.count()).toEqual(counts({ waiting: 6, delayed: 1, blocked: 1 }));
      const runs = await d.claim({ limit: 4 });
      expect(await d.count()).toEqual(counts({ waiting: 2, delayed: 1, blocked: 1, active: 4 }));
      await d.complete(at(runs, 0));
      await d.fail(at(runs, 1));
      await d.fail(at(runs, 2), { retryAt: d.now() + 10_000 });
      await d.cancel(at(runs, 3).id);
      expect(await d.count()).toEqual(
        counts({ waiting: 2, delayed: 2, blocked: 1, completed: 1, failed: 1, cancelled: 1 }),
      );
      await d.remove(at(ids, 4));
      await d.advance(1000);
      await d.retry(at(ids, 1));
      const now = counts({ waiting: 3, delayed: 1, blocked: 1, completed: 1, cancelled: 1 });
      expect(await d.count()).toEqual(now);
      expect(only(await d.adapter.listQueues({ tenant: "default" })).counts).toEqual(now);
    });
  });

  describe("statistics", () => {
    const d = useDriver(factory);

    async function byKey(
      groupBy: NonNullable<StatsParams["groupBy"]>,
      params: Partial<StatsParams> = {},
    ): Promise<Map<string, StatsRow>> {
      const rows = await d.stats({ groupBy, ...params });
      return new Map(rows.map((row) => [row.key, row]));
    }

    it("are one row of nothing at first", async () => {
      expect(await d.stats()).toEqual([nothing]);
      expect(await d.stats({ groupBy: "queue" })).toEqual([]);
    });

    it("tell what happened to the jobs", async () => {
      await d.addAll(jobSpecs(6, () => ({ maxAttempts: 2 })));
      await d.advance(100);
      const runs = await d.claim({ leaseMs: 10_000 });
      await d.advance(200);
      await d.complete(at(runs, 0), { tokens: 70 });
      await d.advance(400);
      await d.complete(at(runs, 1), { tokens: 30 });
      await d.fail(at(runs, 2));
      await d.fail(at(runs, 3), { retryAt: d.now() + 60_000 });
      await d.cancel(at(runs, 4).id);
      await d.advance(10_000);
      expect(await d.total()).toEqual({
        key: "",
        added: 6,
        completed: 2,
        failed: 1,
        cancelled: 1,
        retried: 1,
        stalled: 1,
        removed: 0,
        durationAvg: 400,
        durationMin: 200,
        durationMax: 600,
        waitAvg: 100,
        tokens: 100,
        peakConcurrency: 6,
      });
    });

    it("measure the wait from when a job could run, and the run that completed", async () => {
      await d.add({ delayMs: 1000, maxAttempts: 2 });
      await d.advance(1000);
      await d.advance(50);
      await d.fail(await d.take(), { retryAt: d.now() + 500 });
      await d.advance(500);
      await d.advance(30);
      const run = await d.take();
      await d.advance(7);
      await d.complete(run);
      expect(await d.total()).toMatchObject({ durationAvg: 7, durationMax: 7, waitAvg: 30 });
    });

    it("are kept by queue", async () => {
      await d.addAll(jobSpecs(3, (index) => ({ queue: index === 0 ? "a" : "b" })));
      await d.complete(await d.take({ queue: "b" }));
      const rows = await byKey("queue");
      expect([...rows.keys()].toSorted()).toEqual(["a", "b"]);
      expect(rows.get("a")).toMatchObject({ added: 1, completed: 0 });
      expect(rows.get("b")).toMatchObject({ added: 2, completed: 1 });
      expect(await d.total({ queues: ["b"] })).toMatchObject({ added: 2, completed: 1 });
      expect(await d.total({ queues: ["a", "b", "none"] })).toMatchObject({ added: 3 });
      expect(await d.total({ queues: [] })).toMatchObject({ added: 0 });
    });

    it("are kept by level of priority", async () => {
      const priorities = [-1_000_000, -7, -6, -1, 0, 0, 0, 1, 10];
      await d.addAll(jobSpecs(9, (index) => ({ priority: at(priorities, index) })));
      await d.complete(await d.take());
      const rows = await byKey("level");
      expect(Object.fromEntries([...rows].map(([key, { added }]) => [key, added]))).toEqual({
        critical: 2,
        high: 2,
        medium: 3,
        low: 2,
      });
      expect(rows.get("critical")).toMatchObject({ completed: 1 });
      expect(await d.total({ level: "critical" })).toMatchObject({ added: 2, completed: 1 });
    });

    it("are kept by project", async () => {
      await d.addAll(jobSpecs(3, (index) => ({ project: index === 2 ? null : `p${index}` })));
      for (const run of await d.claim()) await d.complete(run, { tokens: 5 });
      const rows = await byKey("project");
      expect(rows.get("p0")).toMatchObject({ added: 1, completed: 1, tokens: 5 });
      expect(rows.get("p1")).toMatchObject({ added: 1, completed: 1 });
      expect(await d.total({ project: "p0" })).toMatchObject({ added: 1, tokens: 5 });
      expect(await d.total({ project: "none" })).toMatchObject({ added: 0, completed: 0 });
      const narrow = await byKey("queue", { project: "p1" });
      expect(narrow.get("work")).toMatchObject({ added: 1 });
    });

    it("are kept by minute and hour of the event", async () => {
      const start = await d.alignTo(HOUR);
      await d.addAll(jobSpecs(3));
      await d.advance(MINUTE + 1000);
      const runs = await d.claim({ leaseMs: 10 * HOUR });
      await d.complete(at(runs, 0));
      await d.advance(HOUR);
      await d.complete(at(runs, 1));
      const told = async (groupBy: "minute" | "hour"): Promise<unknown[]> =>
        [...(await byKey(groupBy))]
          .filter(([, row]) => row.added + row.completed > 0)
          .map(([key, row]) => [Number(key) - start, row.added, row.completed]);
      expect(await told("minute")).toEqual([
        [0, 3, 0],
        [MINUTE, 0, 1],
        [HOUR + MINUTE, 0, 1],
      ]);
      expect(await told("hour")).toEqual([
        [0, 3, 1],
        [HOUR, 0, 1],
      ]);
    });

    it("are told for a window, from included and to excluded", async () => {
      const start = await d.alignTo(MINUTE);
      for (let minute = 0; minute < 4; minute++) {
        await d.addAll(jobSpecs(minute + 1));
        await d.advance(MINUTE);
      }
      const added = async (from?: number, to?: number): Promise<number> => {
        const window = {
          ...(from === undefined ? {} : { from: start + from * MINUTE }),
          ...(to === undefined ? {} : { to: start + to * MINUTE }),
        };
        return (await d.total(window)).added;
      };
      expect(await added(1)).toBe(9);
      expect(await added(1, 3)).toBe(5);
      expect(await added(undefined, 2)).toBe(3);
      expect(await added(4)).toBe(0);
      expect(await added()).toBe(10);
    });

    it("survive removal and pruning, which they count", async () => {
      const given = await d.addAll(jobSpecs(3));
      for (const run of await d.claim()) await d.complete(run, { tokens: 1 });
      const [before] = await d.stats();
      await d.remove(at(given, 0));
      await d.advance(1000);
      const now = d.now();
      await d.adapter.prune({ completedBefore: now, failedBefore: now, limit: 100 });
      expect(await d.count()).toEqual(counts({}));
      expect(await d.stats()).toEqual([{ ...before, removed: 3 }]);
      expect((await byKey("queue")).get("work")).toMatchObject({ completed: 3 });
    });

    it("know the most runs at once", async () => {
      await d.addAll(jobSpecs(6));
      const runs = await d.claim({ limit: 3 });
      await d.complete(at(runs, 0));
      await d.complete(at(runs, 1));
      await d.claim({ limit: 1 });
      expect(await d.total({ queues: ["work"] })).toMatchObject({ peakConcurrency: 3 });
      await d.claim({ limit: 2 });
      expect(await d.total({ queues: ["work"] })).toMatchObject({ peakConcurrency: 4 });
    });

    it("know the most runs at once of all typed queues together", async () => {
      const typed = { typed: true };
      await d.addAll(jobSpecs(2, () => ({ queue: "a", ...typed })));
      await d.addAll(jobSpecs(2, () => ({ queue: "b", ...typed })));
      const a = await d.claim({ queue: "a" });
      const b = await d.claim({ queue: "b", limit: 1 });
      await d.complete(at(a, 0));
      await d.complete(at(a, 1));
      await d.complete(at(b, 0));
      await d.claim({ queue: "b" });
      expect(await d.total()).toMatchObject({ peakConcurrency: 3 });
      const rows = await byKey("queue");
      expect(rows.get("a")).toMatchObject({ peakConcurrency: 2 });
      expect(rows.get("b")).toMatchObject({ peakConcurrency: 1 });
    });

    it("are of each tenant, and of all for *", async () => {
      await d.add();
      await d.addAll(jobSpecs(2, () => ({ tenant: "acme" })));
      expect(await d.total({ tenant: "acme" })).toMatchObject({ added: 2 });
      expect(await d.total({ tenant: "*" })).toMatchObject({ added: 3 });
      expect((await byKey("queue", { tenant: "*" })).get("work")).toMatchObject({ added: 3 });
    });
  });
}
