import { describe, expect, it } from "vitest";

import type { PayloadValue } from "../../payload-paths.ts";
import type { JobFilter } from "../../queue-adapter.ts";
import { jobSpecs } from "../job-factory.ts";
import { expectRejected, ids, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describePayloadSearch(factory: EngineFactory): void {
  describe("search in payloads", () => {
    const d = useDriver(factory);

    async function found(
      path: string,
      equals: PayloadValue,
      filter: Partial<JobFilter> = {},
    ): Promise<number[]> {
      const wanted = { tenant: "default", queues: ["work"], ...filter, payload: { path, equals } };
      const { jobs, total } = await d.adapter.list({
        filter: wanted,
        page: { limit: 1000, order: "asc" },
      });
      expect(total).toBe(jobs.length);
      const tally = Object.values(await d.count(wanted)).reduce((sum, n) => sum + n, 0);
      expect(tally).toBe(total);
      const down = await d.adapter.list({ filter: wanted, page: { limit: 1000, order: "desc" } });
      expect(ids(down.jobs).toReversed()).toEqual(ids(jobs));
      return ids(jobs);
    }

    const add = (data: unknown, queue = "work"): Promise<number> =>
      d.add({ data: JSON.stringify(data), queue });
    const index = (...indexedPaths: string[]) => d.configure({ indexedPaths });

    it("finds jobs by a field of their data, with this very value", async () => {
      expect((await index("data.wellId", "data.a.b.0")).indexedPaths).toEqual([
        "data.wellId",
        "data.a.b.0",
      ]);
      const one = await add({ wellId: "w-1", a: { b: [1.5, 2] } });
      const two = await add({ wellId: "w-2", a: { b: ["1.5"] } });
      const again = await add({ wellId: "w-1", other: "w-2" });
      expect(await found("data.wellId", "w-1")).toEqual([one, again]);
      expect(await found("data.wellId", "w-2")).toEqual([two]);
      expect(await found("data.wellId", "w")).toEqual([]);
      expect(await found("data.a.b.0", 1.5)).toEqual([one]);
      expect(await found("data.a.b.0", "1.5")).toEqual([two]);
      expect(await found("data.wellId", "w-1", { ids: [again, two] })).toEqual([again]);
      await d.cancel(one);
      expect(await found("data.wellId", "w-1", { states: ["cancelled"] })).toEqual([one]);
    });

    it.each<[string, PayloadValue, unknown]>([
      ["0", 0, -0],
      ["a fraction", 0.1, 0.1],
      ["a large number", 1e300, 1e300],
      ["a small one", -5e-324, -5e-324],
      ["a long whole number", 2 ** 53 - 1, 2 ** 53 - 1],
      ["true", true, true],
      ["false", false, false],
      ["null", null, null],
      ["no text", "", ""],
      ["a text of any letters", 'ä"\\ \n\u{1F980}', 'ä"\\ \n\u{1F980}'],
      ["a long text", "ü".repeat(5000), "ü".repeat(5000)],
      ["a text with a NUL", "a\0b", "a\0b"],
    ])("finds %s, and nothing like it", async (_, sought, stored) => {
      await index("data.v");
      const mine = await add({ v: stored });
      for (const other of ["0", "1", 1, "a", "true", "null", [], {}, [sought], { v: sought }]) {
        if (other !== sought) await add({ v: other });
      }
      await add({ w: stored });
      await add(stored);
      expect(await found("data.v", sought)).toEqual([mine]);
    });

    it("finds completed jobs by a field of their results", async () => {
      await index("result.total");
      const id = await add({ total: 3 });
      await d.complete(await d.take(), { result: '{"total":3}' });
      await add({ total: 3 });
      await d.complete(await d.take(), { result: '[{"total":3}]' });
      await add({});
      await d.complete(await d.take());
      expect(await found("result.total", 3)).toEqual([id]);
    });

    it("takes in the jobs that are there already, and what happens to them meanwhile", async () => {
      const given = await d.addAll(
        jobSpecs(1200, (i) => ({ data: JSON.stringify({ n: i % 3 }), priority: i % 2 })),
      );
      const [gone, done] = given;
      await d.complete(await d.take(), { result: '{"ok":true}' });
      await index("data.n", "result.ok");
      await d.remove(given[3]!);
      const later = await add({ n: 0 });
      await d.adapter.upkeep();
      const wanted = [...given.filter((_, i) => i % 3 === 0 && i !== 3), later];
      expect(await found("data.n", 0)).toEqual(wanted);
      expect(await found("result.ok", true)).toEqual([gone]);
      expect(await found("data.n", 1, { priority: { min: 1 } })).toEqual(
        given.filter((_, i) => i % 6 === 1),
      );
      expect(done).toBe(given[1]);
    });

    it("is refused where a queue has no index of the field, and says how to have one", async () => {
      await index("data.a");
      await add({ a: 1 }, "mail");
      await d.adapter.upkeep();
      const filter = {
        tenant: "default",
        queues: ["work"],
        payload: { path: "data.b", equals: 1 },
      };
      const page = { limit: 1, order: "asc" } as const;
      const refusal = await expectRejected(d.adapter.list({ filter, page }), "VALIDATION");
      expect(refusal.errors?.[0]).toMatchObject({
        field: "payload.path",
        message: expect.stringMatching(/work.*data\.b.*indexedPaths/),
      });
      const both = { ...filter, queues: ["work", "mail"], payload: { path: "data.a", equals: 1 } };
      await expectRejected(d.adapter.count(both), "VALIDATION");
      const bulk = { filter, action: "cancel", reason: "x", limit: 5 } as const;
      await expectRejected(d.adapter.applyToMany(bulk), "VALIDATION");
      expect(await found("data.a", 1, { queues: ["work", "nowhere"] })).toEqual([]);
    });

    it("forgets removed and pruned jobs, and fields that are no longer asked for", async () => {
      await index("data.n");
      const [a, b, c] = [await add({ n: 1 }), await add({ n: 1 }), await add({ n: 1 })];
      await d.complete(await d.take(), { result: "1" });
      await d.advance(1000);
      await d.adapter.prune({ completedBefore: d.now(), failedBefore: d.now(), limit: 10 });
      await d.remove(b);
      expect(await found("data.n", 1)).toEqual([c]);
      expect((await index("data.m")).indexedPaths).toEqual(["data.m"]);
      await d.adapter.upkeep();
      const page = { limit: 1, order: "asc" } as const;
      const filter = {
        tenant: "default",
        queues: ["work"],
        payload: { path: "data.n", equals: 1 },
      };
      await expectRejected(d.adapter.list({ filter, page }), "VALIDATION");
      await index("data.m", "data.n");
      await d.adapter.upkeep();
      expect(await found("data.n", 1)).toEqual([c]);
      expect(a).toBeLessThan(b);
    });

    it("is of each tenant's own queue, and a setting like the others", async () => {
      await index("data.n");
      await d.configure({ indexedPaths: ["data.n"] }, "work", "acme");
      const mine = await add({ n: 1 });
      const theirs = await d.add({ tenant: "acme", data: '{"n":1}' });
      expect(await found("data.n", 1)).toEqual([mine]);
      expect(await found("data.n", 1, { tenant: "acme" })).toEqual([theirs]);
      expect(await found("data.n", 1, { tenant: "*" })).toEqual([mine, theirs]);
      expect(await d.configure({ paused: true })).toMatchObject({ indexedPaths: ["data.n"] });
      const [info] = await d.adapter.listQueues({ tenant: "default" });
      expect(info).toMatchObject({ indexedPaths: ["data.n"], paused: true });
      expect((await index()).indexedPaths).toEqual([]);
    });

    it("does not look into files, nor into what is no JSON object", async () => {
      await index("data.file", "data.0", "result.file");
      await d.add({ data: { file: "big", bytes: 1 } });
      await d.complete(await d.take(), { result: { file: "big", bytes: 1 } });
      const list = await add(["x"]);
      for (const data of ["x", 1, null, true]) await add(data);
      expect(await found("data.file", "big")).toEqual([]);
      expect(await found("result.file", "big")).toEqual([]);
      expect(await found("data.0", "x")).toEqual([list]);
      await d.adapter.applyToMany({
        filter: { tenant: "default" },
        action: "remove",
        reason: "x",
        limit: 100,
      });
      expect(await found("data.0", "x")).toEqual([]);
    });

    it("bounds actions on many", async () => {
      await index("data.n");
      const given = await d.addAll(jobSpecs(9, (i) => ({ data: JSON.stringify({ n: i % 3 }) })));
      const filter = {
        tenant: "default",
        queues: ["work"],
        payload: { path: "data.n", equals: 2 },
      };
      const step = { filter, action: "cancel", reason: "x", limit: 2 } as const;
      const one = await d.adapter.applyToMany(step);
      expect(one).toMatchObject({ applied: 2, next: given[5] });
      expect(await d.adapter.applyToMany({ ...step, after: one.next ?? 0 })).toMatchObject({
        applied: 1,
        next: null,
      });
    });
  });
}
