import { describe, expect, it } from "vitest";

import type { PayloadFile } from "../../job.ts";
import type { RemovedJob } from "../../queue-adapter.ts";
import { jobSpecs } from "../job-factory.ts";
import { at, counts, ids, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeRetention(factory: EngineFactory): void {
  describe("retention", () => {
    const d = useDriver(factory);

    it("deletes jobs that finished before the time for their state", async () => {
      const [completed, failed, cancelled, active, waiting] = await d.addAll(jobSpecs(5));
      const runs = await d.claim({ limit: 4, leaseMs: 10_000_000 });
      await d.complete(at(runs, 0));
      await d.fail(at(runs, 1));
      await d.cancel(cancelled!);
      await d.advance(1000);
      const all = [completed!, failed!, cancelled!, active!, waiting!];
      const cut = d.now() - 500;
      const before = d.now() - 2000;
      const prune = (completedBefore: number, failedBefore: number): Promise<number> =>
        d.adapter
          .prune({ completedBefore, failedBefore, limit: 100 })
          .then((removed) => removed.length);

      expect(await prune(before, before)).toBe(0);
      expect(await prune(d.now() - 1000, d.now() - 1000)).toBe(0);
      await prune(cut, before);
      expect((await d.states(all)).slice(0, 2)).toEqual([null, "failed"]);
      await prune(cut, cut);
      expect(await d.states(all)).toEqual([null, null, null, "active", "waiting"]);
      expect(await prune(cut, cut)).toBe(0);
      expect(await d.count()).toEqual(counts({ active: 1, waiting: 1 }));
    });

    it("goes by the end of a job, not by its beginning", async () => {
      const id = await d.add();
      const run = await d.take({ leaseMs: 10_000_000 });
      await d.advance(100_000);
      await d.complete(run);
      const limits = { completedBefore: d.now() - 1000, failedBefore: d.now(), limit: 10 };
      expect(await d.adapter.prune(limits)).toEqual([]);
      expect(await d.state(id)).toBe("completed");
    });

    it("spares a job that was retried meanwhile", async () => {
      const id = await d.add();
      await d.fail(await d.take());
      await d.advance(1000);
      await d.retry(id);
      await d.adapter.prune({ completedBefore: d.now(), failedBefore: d.now(), limit: 10 });
      expect(await d.state(id)).toBe("waiting");
    });

    it("deletes so many in a call, over all tenants, and names the jobs and their files", async () => {
      const file = (index: number): PayloadFile => ({ file: `f${index}`, bytes: index });
      const given = await d.addAll(
        jobSpecs(25, (index) => ({
          tenant: index % 2 === 0 ? "default" : "acme",
          data: index < 5 ? file(index) : "{}",
        })),
      );
      for (const run of await d.claim({ tenant: "*" })) {
        await d.complete(run, { result: file(100 + run.id) }, "*");
      }
      await d.advance(1000);
      const limits = { completedBefore: d.now(), failedBefore: d.now(), limit: 10 };
      const removed: RemovedJob[] = [];
      for (const expected of [10, 10, 5, 0]) {
        const pruned = await d.adapter.prune(limits);
        expect(pruned).toHaveLength(expected);
        removed.push(...pruned);
      }
      expect(ids(removed).toSorted((a, b) => a - b)).toEqual(given);
      for (const { tenant, queue, id } of removed) {
        expect([tenant, queue]).toEqual([given.indexOf(id) % 2 === 0 ? "default" : "acme", "work"]);
      }
      const files = removed.flatMap((job) => job.files);
      expect(new Set(files.map((each) => each.file)).size).toBe(30);
      expect(files).toHaveLength(30);
      expect(await d.count({ tenant: "*" })).toEqual(counts({}));
    });

    it("tells no events", async () => {
      await d.add();
      await d.complete(await d.take());
      await d.advance(1000);
      const recorder = await d.record();
      await d.adapter.prune({ completedBefore: d.now(), failedBefore: d.now(), limit: 10 });
      expect(await recorder.all()).toEqual([]);
    });
  });
}
