import { describe, expect, it } from "vitest";

import { jobSpec, jobSpecs } from "../job-factory.ts";
import { at, counts, expectRefused, expectRejected, ids, only, ref, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeTenants(factory: EngineFactory): void {
  describe("tenants", () => {
    const d = useDriver(factory);
    const them = { tenant: "acme" };

    it("do not see each other's jobs", async () => {
      const mine = await d.add({ tags: ["t"] });
      const theirs = await d.add({ ...them, tags: ["t"] });
      expect(await d.find(mine, "acme")).toBeNull();
      expect(await d.find(theirs)).toBeNull();
      expect(await d.adapter.get({ ...them, ids: [theirs, mine] })).toEqual([
        expect.objectContaining({ id: theirs }),
        null,
      ]);
      const page = { limit: 10, order: "asc" } as const;
      const list = await d.adapter.list({ filter: { ...them, tag: "t" }, page });
      expect([ids(list.jobs), list.total]).toEqual([[theirs], 1]);
      expect(await d.count({ ...them, tag: "t" })).toEqual(counts({ waiting: 1 }));
      expect((await d.total({ ...them })).added).toBe(1);
    });

    it("do not pull each other's jobs", async () => {
      const mine = await d.add();
      const theirs = await d.add(them);
      expect(ids(await d.claim(them))).toEqual([theirs]);
      expect(ids(await d.claim())).toEqual([mine]);
    });

    it("do not touch each other's jobs: they answer as if they never existed", async () => {
      const id = await d.add();
      const delayed = await d.add({ delayMs: 1000 });
      const failed = await d.add();
      const runs = await d.claim();
      const run = at(runs, 0);
      await d.fail(at(runs, 1));
      const held = ref(run);
      const outcomes = [
        ...(await d.adapter.complete({
          ...them,
          runs: [
            { ...held, result: null },
            { id, result: null },
          ],
        })),
        ...(await d.adapter.fail({
          ...them,
          runs: [{ ...held, error: { message: "x" }, retryAt: null, attempt: 1 }],
        })),
        ...(await d.adapter.release({ ...them, runs: [held, { id }] })),
        ...(await d.adapter.renew({ ...them, runs: [held, { id }], leaseMs: 1000 })),
        ...(await d.adapter.progress({ ...them, reports: [{ ...held, progress: 9 }], leaseMs: 9 })),
        ...(await d.adapter.cancel({ ...them, ids: [id, delayed], running: true, reason: "x" })),
        ...(await d.adapter.retry({ ...them, ids: [failed] })),
        ...(await d.adapter.promote({ ...them, ids: [delayed] })),
        ...(await d.adapter.remove({ ...them, ids: [delayed, failed] })),
      ];
      expect(outcomes).toHaveLength(14);
      for (const outcome of outcomes) expectRefused(outcome, "JOB_NOT_FOUND");
      await expectRejected(d.adapter.log({ ...them, run: held, lines: ["x"] }), "JOB_NOT_FOUND");
      await d.adapter.log({ tenant: "default", run: held, lines: ["mine"] });
      expect(await d.adapter.logs({ ...them, id, offset: 0, limit: 10 })).toEqual({
        lines: [],
        total: 0,
      });
      const all = { filter: them, reason: "x", limit: 10 };
      for (const action of ["cancel", "retry", "remove", "promote"] as const) {
        expect(await d.adapter.applyToMany({ ...all, action })).toMatchObject({
          applied: 0,
          refused: 0,
          next: null,
        });
      }
      expect(await d.states([id, delayed, failed])).toEqual(["active", "delayed", "failed"]);
      expect(await d.job(id)).toMatchObject({ progress: 0 });
    });

    it("have their own queues, settings and statistics under one name", async () => {
      await d.configure({ paused: true, rateLimit: 4, concurrency: 2 });
      await d.add(them);
      expect(only(await d.adapter.listQueues(them))).toMatchObject({
        ...them,
        paused: false,
        rateLimit: null,
        concurrency: null,
        counts: counts({ waiting: 1 }),
      });
      expect(only(await d.adapter.listQueues({ tenant: "default" }))).toMatchObject({
        paused: true,
        counts: counts({}),
      });
    });

    it("hear of their own events alone", async () => {
      const mine = await d.record();
      const theirs = await d.record(them);
      const all = await d.record({ tenant: "*" });
      const a = await d.add();
      const b = await d.add(them);
      expect((await mine.all()).map(({ jobId }) => jobId)).toEqual([a]);
      expect((await theirs.all()).map(({ jobId }) => jobId)).toEqual([b]);
      expect((await all.all()).map(({ jobId, tenant }) => [jobId, tenant])).toEqual([
        [a, "default"],
        [b, "acme"],
      ]);
    });

    it("are all seen and served by *", async () => {
      const a = await d.add();
      const b = await d.add(them);
      const all = { tenant: "*" } as const;
      expect(await d.states([a, b])).toEqual(["waiting", "waiting"]);
      expect(await d.count(all)).toEqual(counts({ waiting: 2 }));
      expect((await d.total(all)).added).toBe(2);
      const runs = await d.claim(all);
      expect(runs).toHaveLength(2);
      const completions = runs.map((run) => ({ ...ref(run), result: null }));
      expect(await d.adapter.complete({ ...all, runs: completions })).toEqual([true, true]);
      expect(only(await d.adapter.remove({ ...all, ids: [b] }))).toMatchObject({ id: b });
      expect(await d.states([a, b])).toEqual(["completed", null]);
    });

    it("take turns in a queue, whatever each has waiting", async () => {
      const many = await d.addAll(jobSpecs(50));
      const few = await d.addAll(jobSpecs(3, () => them));
      const claimed: number[] = [];
      for (let turn = 0; turn < 8; turn++) claimed.push((await d.take({ tenant: "*" })).id);
      expect(claimed.filter((id) => few.includes(id))).toEqual(few);
      expect(claimed.slice(0, 6).filter((id) => few.includes(id))).toHaveLength(3);
      expect(claimed.filter((id) => many.includes(id))).toEqual(many.slice(0, 5));
    });

    it("take turns within one claim", async () => {
      await d.addAll(jobSpecs(50));
      await d.addAll(jobSpecs(50, () => ({ tenant: "acme" })));
      await d.addAll(jobSpecs(2, () => ({ tenant: "zoo" })));
      const claimed = await d.claim({ tenant: "*", limit: 6 });
      for (const tenant of ["default", "acme", "zoo"]) {
        expect(claimed.filter((job) => job.tenant === tenant)).toHaveLength(2);
      }
      const more = await d.claim({ tenant: "*", limit: 10 });
      expect(more.filter(({ tenant }) => tenant === "default")).toHaveLength(5);
    });

    it("do not hold up others with urgent jobs", async () => {
      await d.addAll(jobSpecs(20, () => ({ priority: -9 })));
      const [theirs] = await d.addAll([jobSpec({ ...them, priority: 9 })]);
      const claimed = [await d.take({ tenant: "*" }), await d.take({ tenant: "*" })];
      expect(ids(claimed)).toContain(theirs);
    });

    it("do not hold up others when they are paused or at their limit", async () => {
      await d.addAll(jobSpecs(5));
      await d.configure({ concurrency: 1 });
      await d.take();
      const theirs = await d.addAll(jobSpecs(2, () => them));
      expect(await d.drain({ tenant: "*" })).toEqual(theirs);
    });
  });
}
