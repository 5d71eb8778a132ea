import { describe, expect, it } from "vitest";

import { jobSpecs } from "../job-factory.ts";
import { at, counts, ids, isPending, only, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeClaims(factory: EngineFactory): void {
  describe("claims", () => {
    const d = useDriver(factory);

    it("answer with an empty list at once when there is nothing", async () => {
      expect(await d.claim()).toEqual([]);
      expect(await d.claim({ queue: "never seen" })).toEqual([]);
      // Asking creates nothing.
      expect(await d.adapter.listQueues({ tenant: "*" })).toEqual([]);
    });

    it("take each job once, however many ask at once", async () => {
      const given = await d.addAll(jobSpecs(100));
      const claims = await Promise.all(Array.from({ length: 30 }, () => d.claim({ limit: 7 })));
      const claimed = claims.flat();
      expect(ids(claimed).toSorted((a, b) => a - b)).toEqual(given);
      expect(claims.every((claim) => claim.length <= 7)).toBe(true);
    });

    it("carry the whole job", async () => {
      const id = await d.add({ data: '{"a":1}', tags: ["t"], project: "p", uniqueKey: "k" });
      const { lease, ...run } = await d.take();
      expect(lease).not.toBe("");
      expect(run).toEqual(await d.job(id));
      expect(run).toMatchObject({ data: '{"a":1}', tags: ["t"], project: "p", uniqueKey: "k" });
    });

    it("keep to the limit of each queue and to that of all", async () => {
      for (const queue of ["a", "b", "c"]) await d.addAll(jobSpecs(10, () => ({ queue })));
      const queues = [
        { queue: "a", limit: 2 },
        { queue: "b", limit: 5 },
      ];
      const perQueue = (claimed: readonly { queue: string }[]): number[] =>
        ["a", "b", "c"].map((queue) => claimed.filter((job) => job.queue === queue).length);
      expect(perQueue(await d.claim({ queues }))).toEqual([2, 5, 0]);
      const four = await d.claim({ queues, limit: 4 });
      expect(four).toHaveLength(4);
      expect(perQueue(four)[0]).toBeLessThanOrEqual(2);
      expect(await d.claim({ queues: [{ queue: "c", limit: 100 }], limit: 3 })).toHaveLength(3);
    });

    it("take from every queue that is asked for", async () => {
      const a = await d.add({ queue: "a" });
      const b = await d.add({ queue: "b" });
      const queues = ["a", "none", "b"].map((queue) => ({ queue, limit: 1 }));
      expect(ids(await d.claim({ queues })).toSorted((x, y) => x - y)).toEqual([a, b]);
    });

    it("of untyped queues take from all of those, and from no typed one", async () => {
      await d.add({ queue: "mail", typed: true });
      const a = await d.add({ queue: "a" });
      const b = await d.add({ queue: "b" });
      await d.add({ queue: "a", tenant: "acme" });
      const claimed = await d.claim({ queues: "untyped" });
      expect(ids(claimed).toSorted((x, y) => x - y)).toEqual([a, b]);
      expect(await d.claim({ queues: "untyped" })).toEqual([]);
      expect(await d.claim({ queue: "mail" })).toHaveLength(1);
    });

    it("of untyped queues wait for one that does not exist yet", async () => {
      const claim = d.claim({ queues: "untyped", waitMs: 60_000 });
      await d.add({ queue: "mail", typed: true });
      expect(await isPending(d, claim)).toBe(true);
      const id = await d.add({ queue: "brand-new" });
      expect(ids(await claim)).toEqual([id]);
    });

    it("wait no longer than they were told", async () => {
      const claim = d.claim({ waitMs: 1000 });
      expect(await isPending(d, claim)).toBe(true);
      await d.advance(999);
      expect(await isPending(d, claim)).toBe(true);
      await d.advance(1);
      expect(await claim).toEqual([]);
      const id = await d.add();
      expect((await d.take()).id).toBe(id);
    });

    it("do not wait when there is a job, even fewer than the limit", async () => {
      const given = await d.addAll(jobSpecs(2));
      expect(ids(await d.claim({ waitMs: 60_000, limit: 10 }))).toEqual(given);
    });

    it("that wait are served by a push at once", async () => {
      const claim = d.claim({ waitMs: 60_000, worker: "patient" });
      expect(await isPending(d, claim)).toBe(true);
      await d.advance(500);
      const id = await d.add();
      const run = only(await claim);
      expect(run).toMatchObject({ id, state: "active", worker: "patient", startedAt: d.now() });
      expect(await d.complete(run)).toBe(true);
    });

    it("that wait are served by whatever makes a job ready", async () => {
      const delayed = await d.add({ delayMs: 500 });
      let claim = d.claim({ waitMs: 60_000 });
      expect(await isPending(d, claim)).toBe(true);
      await d.advance(500);
      const run = only(await claim);
      expect(run.id).toBe(delayed);

      claim = d.claim({ waitMs: 60_000 });
      expect(await isPending(d, claim)).toBe(true);
      await d.release(run);
      const again = only(await claim);

      claim = d.claim({ waitMs: 60_000 });
      expect(await isPending(d, claim)).toBe(true);
      await d.fail(again);
      expect(await isPending(d, claim)).toBe(true);
      await d.retry(delayed);
      expect(ids(await claim)).toEqual([delayed]);

      const later = await d.add({ delayMs: 100_000 });
      claim = d.claim({ waitMs: 60_000 });
      expect(await isPending(d, claim)).toBe(true);
      await d.promote(later);
      expect(ids(await claim)).toEqual([later]);

      const first = await d.add({ queue: "first" });
      const second = await d.add({ dependsOn: [first] });
      claim = d.claim({ waitMs: 60_000, leaseMs: 1000 });
      expect(await isPending(d, claim)).toBe(true);
      await d.complete(await d.take({ queue: "first" }));
      expect(ids(await claim)).toEqual([second]);

      claim = d.claim({ waitMs: 60_000 });
      expect(await isPending(d, claim)).toBe(true);
      await d.advance(1001);
      expect(ids(await claim)).toEqual([second]);
    });

    it("that wait are served in the order in which they came", async () => {
      const claims = Array.from({ length: 5 }, () => d.claim({ waitMs: 60_000, limit: 1 }));
      expect(await isPending(d, Promise.race(claims))).toBe(true);
      const first = await d.add();
      expect(ids(await at(claims, 0))).toEqual([first]);
      const rest = await d.addAll(jobSpecs(4));
      const served = await Promise.all(claims.slice(1));
      expect(served.map(ids)).toEqual(rest.map((id) => [id]));
    });

    it("that wait each get a job when many come", async () => {
      const claims = Array.from({ length: 40 }, () => d.claim({ waitMs: 60_000, limit: 1 }));
      expect(await isPending(d, Promise.race(claims))).toBe(true);
      const given = await d.addAll(jobSpecs(40));
      const served = (await Promise.all(claims)).flat();
      expect(ids(served).toSorted((a, b) => a - b)).toEqual(given);
    });

    it("that wait for several queues are served from any, once", async () => {
      const queues = ["a", "b"].map((queue) => ({ queue, limit: 1 }));
      const claim = d.claim({ queues, waitMs: 60_000, limit: 1 });
      expect(await isPending(d, claim)).toBe(true);
      const b = await d.add({ queue: "b" });
      expect(ids(await claim)).toEqual([b]);
      const a = await d.add({ queue: "a" });
      expect(ids(await d.claim({ queues }))).toEqual([a]);
    });

    it("that wait for one queue are not held up by those that wait for another", async () => {
      const other = d.claim({ queue: "other", waitMs: 60_000 });
      const mine = d.claim({ waitMs: 60_000 });
      const theirs = d.claim({ tenant: "acme", waitMs: 60_000 });
      expect(await isPending(d, Promise.race([other, mine, theirs]))).toBe(true);
      const id = await d.add();
      expect(ids(await mine)).toEqual([id]);
      expect(await isPending(d, Promise.race([other, theirs]))).toBe(true);
      await d.advance(60_000);
      expect(await Promise.all([other, theirs])).toEqual([[], []]);
    });

    it("take nothing after they were called off", async () => {
      const abort = new AbortController();
      const claim = d.claim({ waitMs: 60_000, signal: abort.signal });
      expect(await isPending(d, claim)).toBe(true);
      abort.abort();
      expect(await claim.catch(() => [])).toEqual([]);
      const id = await d.add();
      expect(await d.count()).toEqual(counts({ waiting: 1 }));
      const gone = AbortSignal.abort();
      expect(await d.claim({ signal: gone }).catch(() => [])).toEqual([]);
      expect(await d.claim({ waitMs: 1000, signal: gone }).catch(() => [])).toEqual([]);
      expect((await d.take()).id).toBe(id);
    });

    it("lose no job when they are called off just as it comes", async () => {
      for (let turn = 0; turn < 10; turn++) {
        const abort = new AbortController();
        const claim = d.claim({ waitMs: 60_000, signal: abort.signal });
        if (turn % 2 === 0) await d.settle();
        const added = d.add();
        if (turn % 3 === 0) await Promise.resolve();
        abort.abort();
        const id = await added;
        const claimed = await claim.catch(() => []);
        const state = await d.state(id);
        expect(claimed.length === 0 ? "waiting" : "active").toBe(state);
        await d.drain();
      }
    });

    it("pass on to the next when one is called off", async () => {
      const abort = new AbortController();
      const first = d.claim({ waitMs: 60_000, limit: 1, signal: abort.signal });
      const second = d.claim({ waitMs: 60_000, limit: 1 });
      expect(await isPending(d, Promise.race([first, second]))).toBe(true);
      abort.abort();
      const id = await d.add();
      expect(ids(await second)).toEqual([id]);
      expect(await first.catch(() => [])).toEqual([]);
    });

    it("take no job that was cancelled or removed before", async () => {
      const [a, b, c] = await d.addAll(jobSpecs(3));
      await d.cancel(a!);
      await d.remove(b!);
      expect(await d.drain()).toEqual([c]);
    });
  });
}
