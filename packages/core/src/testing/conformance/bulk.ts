import { describe, expect, it } from "vitest";

import type { PayloadFile } from "../../job.ts";
import type { BulkAction, JobFilter } from "../../queue-adapter.ts";
import { jobSpecs } from "../job-factory.ts";
import { counts, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeBulk(factory: EngineFactory): void {
  describe("actions on many", () => {
    const d = useDriver(factory);

    /** Steps through to the end, and sums up. */
    async function applyToAll(
      action: BulkAction,
      filter: Partial<JobFilter>,
      limit = 7,
    ): Promise<{ applied: number; refused: number; files: PayloadFile[]; steps: number }> {
      const sum = { applied: 0, refused: 0, files: [] as PayloadFile[], steps: 0 };
      let after: number | null = null;
      do {
        const step = await d.adapter.applyToMany({
          filter: { tenant: "default", ...filter },
          action,
          reason: "in bulk",
          limit,
          ...(after === null ? {} : { after }),
        });
        expect(step.applied + step.refused).toBeLessThanOrEqual(limit);
        sum.applied += step.applied;
        sum.refused += step.refused;
        sum.files.push(...step.removed.flatMap((job) => job.files));
        if (action === "remove") expect(step.removed).toHaveLength(step.applied);
        else expect(step.removed).toEqual([]);
        sum.steps++;
        after = step.next;
        if (sum.steps > 100) throw new Error("it does not end");
      } while (after !== null);
      return sum;
    }

    it("cancel", async () => {
      const given = await d.addAll(jobSpecs(30, () => ({ tags: ["t"] })));
      await d.addAll(jobSpecs(5, () => ({ tags: ["t"], delayMs: 1000 })));
      await d.addAll(jobSpecs(3));
      expect(await applyToAll("cancel", { tag: "t" })).toMatchObject({ applied: 35, refused: 0 });
      expect(await d.count({ tag: "t" })).toEqual(counts({ cancelled: 35 }));
      expect(await d.count()).toEqual(counts({ cancelled: 35, waiting: 3 }));
      expect((await d.job(given[0]!)).error?.message).toBe("in bulk");
      expect(await applyToAll("cancel", { tag: "t" })).toMatchObject({ applied: 0, refused: 35 });
    });

    it("retry", async () => {
      await d.addAll(jobSpecs(20));
      const runs = await d.claim();
      for (const run of runs.slice(0, 15)) await d.fail(run);
      await d.complete(runs[15]!);
      expect(await applyToAll("retry", { states: ["failed"] })).toMatchObject({ applied: 15 });
      expect(await d.count()).toEqual(counts({ waiting: 15, active: 4, completed: 1 }));
      const rest = await applyToAll("retry", { states: ["completed", "active"] });
      expect(rest).toMatchObject({ applied: 0, refused: 5 });
    });

    it("promote", async () => {
      await d.addAll(jobSpecs(10, (index) => ({ delayMs: index < 6 ? 1000 : 0 })));
      expect(await applyToAll("promote", {}, 4)).toMatchObject({ applied: 6, refused: 4 });
      expect(await d.drain()).toHaveLength(10);
    });

    it("remove, and name the files left behind", async () => {
      const file = (index: number): PayloadFile => ({ file: `f${index}`, bytes: index });
      await d.addAll(jobSpecs(12, (index) => ({ data: index < 9 ? file(index) : "{}" })));
      await d.claim({ limit: 2 });
      const { applied, refused, files } = await applyToAll("remove", { queues: ["work"] }, 5);
      expect([applied, refused]).toEqual([10, 2]);
      expect(files.toSorted((a, b) => a.bytes - b.bytes)).toEqual([2, 3, 4, 5, 6, 7, 8].map(file));
      expect(await d.count()).toEqual(counts({ active: 2 }));
    });

    it("end at once where nothing matches", async () => {
      await d.addAll(jobSpecs(3));
      expect(await applyToAll("remove", { project: "none" })).toEqual({
        applied: 0,
        refused: 0,
        files: [],
        steps: 1,
      });
    });

    it("stay within the filter, and reach what it matches in all tenants for *", async () => {
      await d.addAll(jobSpecs(4, (index) => ({ project: index < 2 ? "p" : "q" })));
      await d.addAll(jobSpecs(3, () => ({ tenant: "acme", project: "p" })));
      expect(await applyToAll("cancel", { project: "p" })).toMatchObject({ applied: 2 });
      const all = await applyToAll("cancel", { tenant: "*", states: ["waiting"] }, 2);
      expect(all).toMatchObject({ applied: 5, refused: 0 });
    });

    it("do not act on jobs that are taken while they look", async () => {
      for (let round = 0; round < 5; round++) {
        await d.addAll(jobSpecs(200));
        const filter = { tenant: "default", states: ["waiting"] as const };
        const [step, taken] = await Promise.all([
          d.adapter.applyToMany({ filter, action: "cancel", reason: "x", limit: 200 }),
          d.claim({ limit: 100 }),
        ]);
        expect(step).toMatchObject({ applied: 200 - taken.length, refused: 0 });
        expect(new Set(await d.states(taken.map(({ id }) => id)))).toEqual(
          new Set(taken.length === 0 ? [] : ["active"]),
        );
      }
    });

    it("do not act on jobs that stopped matching", async () => {
      await d.addAll(jobSpecs(6));
      const filter = { tenant: "default", states: ["waiting"] as const };
      const step = { filter, action: "cancel", reason: "x", limit: 2 } as const;
      const first = await d.adapter.applyToMany(step);
      expect(first.applied).toBe(2);
      const taken = await d.claim({ limit: 2 });
      const rest = await d.adapter.applyToMany({ ...step, limit: 10, after: first.next! });
      expect(rest).toMatchObject({ applied: 2, refused: 0, next: null });
      expect(await d.states(taken.map(({ id }) => id))).toEqual(["active", "active"]);
    });
  });
}
