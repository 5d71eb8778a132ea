import { describe, expect, it } from "vitest";

import { jobSpec, jobSpecs } from "../job-factory.ts";
import { accepted, at, counts, expectRefused, expectRejected, ids, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeDependencies(factory: EngineFactory): void {
  describe("dependencies", () => {
    const d = useDriver(factory);

    async function runOne(queue = "work"): Promise<number> {
      const run = await d.take({ queue });
      expect(await d.complete(run)).toBe(true);
      return run.id;
    }

    it("block a job until all of them completed, whatever their queues", async () => {
      const a = await d.add({ queue: "a" });
      const b = await d.add({ queue: "b" });
      const id = await d.add({ dependsOn: [a, b] });
      expect(await d.job(id)).toMatchObject({ state: "blocked", dependsOn: [a, b] });
      expect(await d.claim()).toEqual([]);
      await runOne("b");
      expect(await d.state(id)).toBe("blocked");
      await runOne("a");
      expect(await d.state(id)).toBe("waiting");
      expect((await d.take()).id).toBe(id);
    });

    it("may be siblings in the same batch, before or after", async () => {
      const [sink, source, middle] = await d.addAll([
        jobSpec({ dependsOnSiblings: [2] }),
        jobSpec(),
        jobSpec({ dependsOnSiblings: [1] }),
      ]);
      expect(await d.states([sink!, source!, middle!])).toEqual(["blocked", "waiting", "blocked"]);
      expect((await d.job(sink!)).dependsOn).toEqual([middle]);
      expect([await runOne(), await runOne(), await runOne()]).toEqual([source, middle, sink]);
    });

    it("may be siblings in an atomic batch", async () => {
      const outside = await d.add({ queue: "other" });
      const [a, b] = accepted(
        await d.offer([jobSpec(), jobSpec({ dependsOn: [outside], dependsOnSiblings: [0] })], true),
      );
      expect((await d.job(b!)).dependsOn.toSorted((x, y) => x - y)).toEqual([outside, a]);
      await runOne();
      expect(await d.state(b!)).toBe("blocked");
      await runOne("other");
      expect(await d.state(b!)).toBe("waiting");
    });

    it("count once when named twice", async () => {
      const a = await d.add({ queue: "a" });
      const id = await d.add({ dependsOn: [a, a] });
      await runOne("a");
      expect(await d.state(id)).toBe("waiting");
    });

    it("refuse a job whose sibling was refused", async () => {
      await d.add({ uniqueKey: "k" });
      const outcomes = await d.offer([
        jobSpec({ uniqueKey: "k" }),
        jobSpec({ dependsOnSiblings: [0] }),
        jobSpec({ dependsOnSiblings: [1] }),
        jobSpec(),
      ]);
      expectRefused(outcomes[0], "DUPLICATE_JOB");
      expectRefused(outcomes[1], "DEPENDENCY_NOT_FOUND");
      expectRefused(outcomes[2], "DEPENDENCY_NOT_FOUND");
      expect(outcomes[3]).toBeTypeOf("number");
      expect(await d.count()).toEqual(counts({ waiting: 2 }));
    });

    it("must be known, to this tenant", async () => {
      const mine = await d.add();
      const theirs = await d.add({ tenant: "acme" });
      const removed = await d.add();
      await d.remove(removed);
      const outcomes = await d.offer([
        jobSpec({ dependsOn: [mine, 999_999_999] }),
        jobSpec({ dependsOn: [theirs] }),
        jobSpec({ dependsOn: [removed, theirs, mine] }),
      ]);
      expect(expectRefused(outcomes[0], "DEPENDENCY_NOT_FOUND").ids).toEqual([999_999_999]);
      expect(expectRefused(outcomes[1], "DEPENDENCY_NOT_FOUND").ids).toEqual([theirs]);
      expect(expectRefused(outcomes[2], "DEPENDENCY_NOT_FOUND").ids).toEqual([removed, theirs]);
      expect(
        await expectRejected(
          d.offer([jobSpec(), jobSpec({ dependsOn: [theirs] })], true),
          "DEPENDENCY_NOT_FOUND",
        ),
      ).toMatchObject({ index: 1, ids: [theirs] });
    });

    it("that completed already do not block", async () => {
      const a = await d.add();
      await runOne();
      const id = await d.add({ dependsOn: [a] });
      expect(await d.job(id)).toMatchObject({ state: "waiting", dependsOn: [a] });
      const delayed = await d.add({ dependsOn: [a], delayMs: 100 });
      expect(await d.state(delayed)).toBe("delayed");
    });

    it("that were cancelled are refused", async () => {
      const a = await d.add();
      await d.cancel(a);
      const [outcome] = await d.offer([jobSpec({ dependsOn: [a] })]);
      expect(expectRefused(outcome, "DEPENDENCY_NOT_FOUND").ids).toEqual([a]);
    });

    it("that fail leave a job blocked, and a retry frees it", async () => {
      const a = await d.add({ queue: "a" });
      const early = await d.add({ dependsOn: [a] });
      await d.fail(await d.take({ queue: "a" }));
      const late = await d.add({ dependsOn: [a] });
      expect(await d.states([early, late])).toEqual(["blocked", "blocked"]);
      await d.retry(a);
      await runOne("a");
      expect(await d.states([early, late])).toEqual(["waiting", "waiting"]);
      expect(await d.drain()).toEqual([early, late]);
    });

    it("that are tried again keep a job blocked", async () => {
      const a = await d.add({ queue: "a", maxAttempts: 2 });
      const id = await d.add({ dependsOn: [a] });
      await d.fail(await d.take({ queue: "a" }), { retryAt: d.now() + 100 });
      expect(await d.state(id)).toBe("blocked");
      await d.advance(100);
      await runOne("a");
      expect(await d.state(id)).toBe("waiting");
    });

    it("that are cancelled fail the job, but not those that wait for it", async () => {
      const recorder = await d.record();
      const a = await d.add({ queue: "a" });
      const b = await d.add({ queue: "b" });
      const id = await d.add({ dependsOn: [a, b], maxAttempts: 5 });
      const next = await d.add({ dependsOn: [id] });
      await d.cancel(a);
      const job = await d.job(id);
      expect(job).toMatchObject({ state: "failed", attemptsMade: 0, finishedAt: d.now() });
      expect(job.error?.code).toBe("dependency_cancelled");
      expect(await d.states([b, next])).toEqual(["waiting", "blocked"]);
      expect(await recorder.of(id)).toEqual(["job.pushed", "job.failed"]);
      await runOne("b");
      expect(await d.state(id)).toBe("failed");
      await d.retry(id);
      expect(await runOne()).toBe(id);
      expect(await d.state(next)).toBe("waiting");
    });

    it("that are cancelled while they run fail the job", async () => {
      const [pulled, ours] = await d.addAll(jobSpecs(2, () => ({ queue: "a" })));
      const first = await d.add({ dependsOn: [pulled!] });
      const second = await d.add({ dependsOn: [ours!] });
      await d.take({ queue: "a" });
      const run = await d.take({ queue: "a", inProcess: true, timeoutFrom: "start" });
      await d.cancel(pulled!);
      await d.cancel(ours!);
      expect(await d.states([first, second])).toEqual(["failed", "blocked"]);
      await d.complete(run);
      expect(await d.states([ours!, second])).toEqual(["cancelled", "failed"]);
    });

    it("that are removed fail the job", async () => {
      const waiting = await d.add({ queue: "a" });
      const failed = await d.add({ queue: "b" });
      await d.fail(await d.take({ queue: "b" }));
      const given = [await d.add({ dependsOn: [waiting] }), await d.add({ dependsOn: [failed] })];
      await d.adapter.remove({ tenant: "default", ids: [waiting, failed] });
      expect(await d.states([waiting, failed, ...given])).toEqual([null, null, "failed", "failed"]);
      for (const id of given) expect((await d.job(id)).error?.code).toMatch(/^dependency_/);
    });

    it("that completed may be removed, and still count as completed", async () => {
      const a = await d.add({ queue: "a" });
      const b = await d.add({ queue: "b" });
      const id = await d.add({ dependsOn: [a, b] });
      await runOne("a");
      await d.remove(a);
      expect(await d.state(id)).toBe("blocked");
      await runOne("b");
      expect(await d.state(id)).toBe("waiting");
    });

    it("give way to a delay that is not over yet", async () => {
      const a = await d.add({ queue: "a" });
      const id = await d.add({ dependsOn: [a], delayMs: 1000 });
      const over = await d.add({ dependsOn: [a], delayMs: 100 });
      await d.advance(500);
      expect(await d.states([id, over])).toEqual(["blocked", "blocked"]);
      await runOne("a");
      expect(await d.states([id, over])).toEqual(["delayed", "waiting"]);
      await d.advance(500);
      expect(await d.state(id)).toBe("waiting");
    });

    it("put freed jobs behind those that wait, by their priority", async () => {
      const a = await d.add({ queue: "a" });
      const urgent = await d.add({ dependsOn: [a], priority: -1 });
      const freed = await d.addAll(jobSpecs(3, () => ({ dependsOn: [a] })));
      const waiting = await d.add();
      await runOne("a");
      const later = await d.add();
      expect(await d.drain()).toEqual([urgent, waiting, ...freed, later]);
    });

    it("do not keep a blocked job from being cancelled or removed", async () => {
      const a = await d.add({ queue: "a" });
      const [x, y] = await d.addAll(jobSpecs(2, () => ({ dependsOn: [a] })));
      expect(await d.cancel(x!)).toBe(true);
      await d.remove(y!);
      await runOne("a");
      expect(await d.states([x!, y!])).toEqual(["cancelled", null]);
      expect(await d.claim()).toEqual([]);
    });

    it("may be many, and shared by many", async () => {
      const sources = await d.addAll(jobSpecs(200, () => ({ queue: "a" })));
      const sinks = await d.addAll(jobSpecs(200, () => ({ dependsOn: sources })));
      const runs = await d.claim({ queue: "a" });
      const [last, ...rest] = runs.toReversed();
      const done = rest.map(({ id, lease }) => ({ id, lease, result: null }));
      await d.adapter.complete({ tenant: "default", runs: done });
      expect(await d.count({ queues: ["work"] })).toEqual(counts({ blocked: 200 }));
      await d.complete(last!);
      expect(await d.drain()).toEqual(sinks);
    });

    it("hand on along a long chain", async () => {
      const specs = jobSpecs(50, (index) => ({
        dependsOnSiblings: index === 0 ? [] : [index - 1],
      }));
      const chain = await d.addAll(specs);
      for (const id of chain) expect(await runOne()).toBe(id);
      expect(await d.state(at(chain, 49))).toBe("completed");
    });

    it("are known from the other side, until the dependent is finished", async () => {
      const [a, b] = await d.addAll([jobSpec({ queue: "a" }), jobSpec({ queue: "b" })]);
      const first = await d.add({ dependsOn: [a!] });
      const both = await d.add({ dependsOn: [a!, b!], queue: "other" });
      const of = (id: number, limit = 100, tenant = "default") =>
        d.adapter.dependents({ tenant, id, limit });
      expect(await of(a!)).toEqual({ ids: [first, both], total: 2 });
      expect(await of(a!, 1)).toEqual({ ids: [first], total: 2 });
      expect(await of(a!, 0)).toEqual({ ids: [], total: 2 });
      expect(await of(b!, 100, "*")).toEqual({ ids: [both], total: 1 });
      expect(await of(first)).toEqual({ ids: [], total: 0 });
      expect(await of(a!, 100, "acme")).toEqual({ ids: [], total: 0 });
      expect(await of(999_999_999)).toEqual({ ids: [], total: 0 });
      await runOne("a");
      expect(await of(a!)).toEqual({ ids: [first, both], total: 2 });
      await runOne();
      expect(await of(a!)).toEqual({ ids: [both], total: 1 });
      await d.remove(both);
      expect(await of(a!)).toEqual({ ids: [], total: 0 });
    });

    it("are not pruned while others wait for them", async () => {
      const a = await d.add({ queue: "a" });
      const free = await d.add({ queue: "a" });
      const id = await d.add({ dependsOn: [a] });
      for (const run of await d.claim({ queue: "a" })) await d.fail(run);
      await d.advance(1000);
      const limits = { completedBefore: d.now(), failedBefore: d.now(), limit: 100 };
      expect(ids(await d.adapter.prune(limits))).toEqual([free]);
      expect(await d.states([a, free, id])).toEqual(["failed", null, "blocked"]);
      await d.retry(a);
      await runOne("a");
      expect(await d.state(id)).toBe("waiting");
      await runOne();
      await d.advance(1000);
      await d.adapter.prune({ ...limits, completedBefore: d.now() });
      expect(await d.states([a, id])).toEqual([null, null]);
    });
  });
}
