import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { jobSpecs } from "../job-factory.ts";
import { at, counts, ids, isPending, only, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";
import { holds, PROPERTY_TIMEOUT_MS } from "./property.ts";

const WINDOW_MS = 1000;

export function describeQueues(factory: EngineFactory): void {
  describe("queues", () => {
    const d = useDriver(factory);

    it("are listed by name, then tenant, with counts and settings", async () => {
      await d.addAll(jobSpecs(3));
      await d.add({ tenant: "acme" });
      await d.add({ queue: "mail", typed: true, delayMs: 1000 });
      await d.configure({ concurrency: 3 }, "audio");
      await d.take();
      const all = await d.adapter.listQueues({ tenant: "*" });
      expect(all.map(({ queue, tenant }) => [queue, tenant])).toEqual([
        ["audio", "default"],
        ["mail", "default"],
        ["work", "acme"],
        ["work", "default"],
      ]);
      expect(all[0]).toEqual({
        tenant: "default",
        queue: "audio",
        typed: false,
        paused: false,
        rateLimit: null,
        concurrency: 3,
        indexedPaths: [],
        counts: counts({}),
      });
      expect(all[1]).toMatchObject({ typed: true, counts: counts({ delayed: 1 }) });
      expect(all[3]).toMatchObject({ counts: counts({ waiting: 2, active: 1 }) });
      const mine = await d.adapter.listQueues({ tenant: "acme" });
      expect(only(mine)).toMatchObject({ queue: "work", counts: counts({ waiting: 1 }) });
      const some = await d.adapter.listQueues({ tenant: "default", queues: ["work", "none"] });
      expect(only(some)).toMatchObject({ queue: "work", tenant: "default" });
    });

    it("keep the settings that are not mentioned", async () => {
      expect(await d.configure({ rateLimit: 5 })).toEqual({
        paused: false,
        rateLimit: 5,
        concurrency: null,
        indexedPaths: [],
      });
      expect(await d.configure({ concurrency: 2 })).toMatchObject({ rateLimit: 5, concurrency: 2 });
      expect(await d.configure({ indexedPaths: ["data.a"] })).toMatchObject({ rateLimit: 5 });
      expect(await d.configure({})).toEqual({
        paused: false,
        rateLimit: 5,
        concurrency: 2,
        indexedPaths: ["data.a"],
      });
      expect(await d.configure({ rateLimit: null, paused: true })).toEqual({
        paused: true,
        rateLimit: null,
        concurrency: 2,
        indexedPaths: ["data.a"],
      });
    });

    it("know which queues have a job type", async () => {
      await d.adapter.configureQueue({
        tenant: "default",
        queue: "mail",
        typed: true,
        settings: {},
      });
      expect(only(await d.adapter.listQueues({ tenant: "*" }))).toMatchObject({ typed: true });
    });
  });

  describe("pause", () => {
    const d = useDriver(factory);

    it("keeps jobs from starting, and refuses no push", async () => {
      await d.add();
      const running = await d.take();
      await d.configure({ paused: true });
      await d.addAll(jobSpecs(3));
      expect(await d.claim()).toEqual([]);
      expect(await d.count()).toEqual(counts({ waiting: 3, active: 1 }));
      expect(await d.complete(running)).toBe(true);
      await d.configure({ paused: false });
      expect(await d.claim()).toHaveLength(3);
    });

    it("is of one queue and one tenant", async () => {
      await d.addAll(jobSpecs(1));
      await d.addAll(jobSpecs(1, () => ({ queue: "other" })));
      await d.addAll(jobSpecs(1, () => ({ tenant: "acme" })));
      await d.configure({ paused: true });
      expect(await d.claim()).toEqual([]);
      expect(await d.claim({ queue: "other" })).toHaveLength(1);
      const claimed = await d.claim({ tenant: "*" });
      expect(only(claimed).tenant).toBe("acme");
    });

    it("lets claims wait, and resume serves them", async () => {
      await d.configure({ paused: true });
      const claim = d.claim({ waitMs: 10_000 });
      const id = await d.add();
      expect(await isPending(d, claim)).toBe(true);
      await d.configure({ paused: false });
      expect(ids(await claim)).toEqual([id]);
    });

    it("is told once when it changes", async () => {
      const recorder = await d.record();
      await d.configure({ paused: true });
      await d.configure({ paused: true });
      await d.configure({ concurrency: 5 });
      await d.configure({ paused: false });
      await d.configure({ paused: false });
      const told = await recorder.all();
      expect(told.map(({ type }) => type)).toEqual(["queue.paused", "queue.resumed"]);
      expect(told[0]).toMatchObject({
        tenant: "default",
        queue: "work",
        jobId: null,
        at: d.now(),
      });
    });

    it("lets delayed jobs become ready", async () => {
      await d.configure({ paused: true });
      const id = await d.add({ delayMs: 100 });
      await d.advance(100);
      expect(await d.state(id)).toBe("waiting");
      expect(await d.claim()).toEqual([]);
    });
  });

  describe("rate limit", () => {
    const d = useDriver(factory);

    it("starts so many in a window, and no more", async () => {
      await d.configure({ rateLimit: 3 });
      await d.addAll(jobSpecs(8));
      expect(await d.claim({ limit: 2 })).toHaveLength(2);
      await d.advance(WINDOW_MS / 2);
      expect(await d.claim()).toHaveLength(1);
      expect(await d.claim()).toEqual([]);
      // The window began with its first start.
      await d.advance(WINDOW_MS / 2);
      expect(await d.claim()).toHaveLength(3);
      await d.advance(WINDOW_MS - 1);
      expect(await d.claim()).toEqual([]);
      await d.advance(1);
      expect(await d.claim()).toHaveLength(2);
    });

    it("is not refunded by runs that end", async () => {
      await d.configure({ rateLimit: 2 });
      await d.addAll(jobSpecs(4));
      const runs = await d.claim();
      await d.complete(at(runs, 0));
      await d.release(at(runs, 1));
      expect(await d.claim()).toEqual([]);
    });

    it("lets claims wait for the next window", async () => {
      await d.configure({ rateLimit: 1 });
      const [, b] = await d.addAll(jobSpecs(2));
      await d.take();
      const claim = d.claim({ waitMs: 60_000 });
      expect(await isPending(d, claim)).toBe(true);
      await d.advance(WINDOW_MS);
      expect(ids(await claim)).toEqual([b]);
    });

    it("is of one queue and one tenant", async () => {
      await d.configure({ rateLimit: 1 });
      await d.addAll(jobSpecs(3));
      await d.addAll(jobSpecs(3, () => ({ queue: "other" })));
      await d.addAll(jobSpecs(3, () => ({ tenant: "acme" })));
      const claimed = await d.claim({
        tenant: "*",
        queues: [
          { queue: "work", limit: 10 },
          { queue: "other", limit: 10 },
        ],
      });
      const mine = claimed.filter(({ queue, tenant }) => queue === "work" && tenant === "default");
      expect(mine).toHaveLength(1);
      expect(claimed).toHaveLength(7);
    });

    it("ends when it is taken away", async () => {
      await d.configure({ rateLimit: 1 });
      await d.addAll(jobSpecs(5));
      await d.take();
      await d.configure({ rateLimit: null });
      expect(await d.claim()).toHaveLength(4);
    });

    it(
      "holds for claims of any size at any time",
      async () => {
        const input = fc.record({
          rateLimit: fc.integer({ min: 1, max: 6 }),
          claims: fc.array(
            fc.record({
              after: fc.constantFrom(0, 0, 1, 250, 500, 999, 1000, 1700),
              limit: fc.integer({ min: 1, max: 4 }),
            }),
            { maxLength: 25 },
          ),
        });
        await holds(factory, input, async (driver, { rateLimit, claims }) => {
          await driver.configure({ rateLimit });
          await driver.addAll(jobSpecs(100));
          let windowEnd = 0;
          let left = rateLimit;
          for (const { after, limit } of claims) {
            if (after > 0) await driver.advance(after);
            if (driver.now() >= windowEnd) {
              windowEnd = driver.now() + WINDOW_MS;
              left = rateLimit;
            }
            const claimed = await driver.claim({ limit, leaseMs: 10_000_000 });
            expect(claimed).toHaveLength(Math.min(left, limit));
            left -= claimed.length;
          }
        });
      },
      PROPERTY_TIMEOUT_MS,
    );
  });

  describe("concurrency limit", () => {
    const d = useDriver(factory);

    it("holds across claims and workers", async () => {
      await d.configure({ concurrency: 3 });
      await d.addAll(jobSpecs(10));
      const first = await d.claim({ limit: 2, worker: "w1" });
      const second = await d.claim({ limit: 2, worker: "w2" });
      expect([first.length, second.length]).toEqual([2, 1]);
      expect(await d.claim({ worker: "w3" })).toEqual([]);
      await d.complete(at(first, 0));
      await d.fail(at(second, 0));
      expect(await d.claim({ worker: "w3" })).toHaveLength(2);
      expect((await d.count()).active).toBe(3);
    });

    it("holds for claims made at once", async () => {
      await d.configure({ concurrency: 4 });
      await d.addAll(jobSpecs(50));
      const claims = await Promise.all(Array.from({ length: 20 }, () => d.claim({ limit: 3 })));
      expect(claims.flat()).toHaveLength(4);
    });

    it("lets claims wait until a run ends, however it ends", async () => {
      await d.configure({ concurrency: 1 });
      const given = await d.addAll(jobSpecs(4, () => ({ maxAttempts: 2 })));
      let run = await d.take();
      for (const end of ["complete", "fail", "cancel"] as const) {
        const claim = d.claim({ waitMs: 60_000, limit: 1 });
        expect(await isPending(d, claim)).toBe(true);
        if (end === "complete") await d.complete(run);
        if (end === "fail") await d.fail(run, { retryAt: d.now() + 1_000_000 });
        if (end === "cancel") await d.cancel(run.id);
        run = only(await claim);
      }
      expect(run.id).toBe(given[3]);
      const claim = d.claim({ waitMs: 60_000, limit: 1 });
      expect(await isPending(d, claim)).toBe(true);
      await d.release(run);
      expect(only(await claim).id).toBe(given[3]);
    });

    it("lets claims wait until it is raised", async () => {
      await d.configure({ concurrency: 1 });
      const [, b] = await d.addAll(jobSpecs(2));
      await d.take();
      const claim = d.claim({ waitMs: 60_000 });
      expect(await isPending(d, claim)).toBe(true);
      await d.configure({ concurrency: 2 });
      expect(ids(await claim)).toEqual([b]);
    });

    it("is of one queue and one tenant, and stops no run when it is lowered", async () => {
      await d.addAll(jobSpecs(5));
      await d.addAll(jobSpecs(5, () => ({ tenant: "acme" })));
      const runs = await d.claim({ limit: 3 });
      await d.configure({ concurrency: 1 });
      expect(await d.claim()).toEqual([]);
      expect(await d.claim({ tenant: "acme" })).toHaveLength(5);
      expect(await d.complete(at(runs, 0))).toBe(true);
      expect(await d.complete(at(runs, 1))).toBe(true);
      expect(await d.claim()).toEqual([]);
      expect(await d.complete(at(runs, 2))).toBe(true);
      expect(await d.claim()).toHaveLength(1);
    });
  });
}
