import { describe, expect, it } from "vitest";

import { QueueError } from "../../errors.ts";
import { jobSpec, jobSpecs } from "../job-factory.ts";
import { accepted, at, counts, expectRefused, expectRejected, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeSubmit(factory: EngineFactory): void {
  describe("submit", () => {
    const d = useDriver(factory);

    it("keeps every field of a job", async () => {
      const dependency = await d.add();
      const spec = jobSpec({
        tenant: "acme",
        queue: "video",
        typed: true,
        name: "transcode",
        data: '{"file":"a.mp4"}',
        priority: -7,
        lifo: true,
        delayMs: 5000,
        ttlMs: 60_000,
        timeoutMs: 9000,
        maxAttempts: 4,
        backoffMs: 250,
        uniqueKey: "a.mp4",
        tags: ["x", "y"],
        project: "p1",
        batch: "b1",
        origin: { via: "wellflow", priority: 3 },
      });
      const [id] = await d.addAll([spec]);
      expect(dependency).not.toBe(id);
      expect(await d.job(id!, "acme")).toEqual({
        id,
        tenant: "acme",
        queue: "video",
        name: "transcode",
        state: "delayed",
        data: '{"file":"a.mp4"}',
        result: null,
        priority: -7,
        lifo: true,
        delayMs: 5000,
        createdAt: d.now(),
        runAt: d.now() + 5000,
        startedAt: null,
        finishedAt: null,
        attemptsMade: 0,
        maxAttempts: 4,
        backoffMs: 250,
        ttlMs: 60_000,
        timeoutMs: 9000,
        uniqueKey: "a.mp4",
        dependsOn: [],
        tags: ["x", "y"],
        project: "p1",
        batch: "b1",
        origin: { via: "wellflow", priority: 3 },
        progress: 0,
        progressMessage: null,
        stats: null,
        error: null,
        crashes: 0,
        worker: null,
      });
    });

    it("keeps an origin without a priority, and text of any script in names and tags", async () => {
      const odd = 'a"b\\c\n\u0000\u{1F980}é';
      const id = await d.add({
        name: odd,
        tags: [odd],
        project: odd,
        batch: odd,
        uniqueKey: odd,
        origin: { via: "native" },
      });
      expect(await d.job(id)).toMatchObject({
        name: odd,
        tags: [odd],
        project: odd,
        batch: odd,
        uniqueKey: odd,
        origin: { via: "native" },
      });
    });

    it("gives ids that grow, over all queues and tenants", async () => {
      const specs = jobSpecs(60, (index) => ({
        queue: `q${index % 3}`,
        tenant: index % 2 === 0 ? "default" : "acme",
      }));
      const given = [
        ...(await d.addAll(specs.slice(0, 20))),
        ...(await d.addAll(specs.slice(20, 21))),
        ...(await d.addAll(specs.slice(21))),
      ];
      expect(given).toEqual(given.toSorted((a, b) => a - b));
      expect(new Set(given).size).toBe(60);
      expect(given.every((id) => Number.isSafeInteger(id) && id > 0)).toBe(true);
    });

    it("gives different ids to calls made at once", async () => {
      const batches = await Promise.all(
        Array.from({ length: 50 }, (_, index) => d.addAll(jobSpecs(1 + (index % 3)))),
      );
      const given = batches.flat();
      expect(new Set(given).size).toBe(given.length);
      expect(await d.count()).toEqual(counts({ waiting: given.length }));
    });

    it("takes a batch of 1,000, and keeps its order", async () => {
      const given = await d.addAll(jobSpecs(1000, (index) => ({ data: `{"n":${index}}` })));
      const jobs = await d.adapter.get({ tenant: "default", ids: given });
      expect(jobs.map((job) => job?.data)).toEqual(given.map((_, index) => `{"n":${index}}`));
      expect(await d.drain()).toEqual(given);
    });

    it("takes an empty batch", async () => {
      expect(await d.offer([])).toEqual([]);
      expect(await d.offer([], true)).toEqual([]);
    });

    it("refuses single jobs of a batch that is not atomic", async () => {
      const held = await d.add({ uniqueKey: "k" });
      const outcomes = await d.offer([
        jobSpec({ name: "first" }),
        jobSpec({ uniqueKey: "k" }),
        jobSpec({ dependsOn: [held + 1_000_000] }),
        jobSpec({ name: "last" }),
      ]);
      expect(outcomes).toHaveLength(4);
      expect(outcomes[0]).toBeTypeOf("number");
      expectRefused(outcomes[1], "DUPLICATE_JOB");
      expectRefused(outcomes[2], "DEPENDENCY_NOT_FOUND");
      expect(outcomes[3]).toBeTypeOf("number");
      expect(await d.count()).toEqual(counts({ waiting: 3 }));
      expect((await d.job(outcomes[3] as number)).name).toBe("last");
    });

    it("refuses an atomic batch whole, and names the place of the job at fault", async () => {
      const held = await d.add({ uniqueKey: "k" });
      const recorder = await d.record();
      const duplicate = await expectRejected(
        d.offer([jobSpec(), jobSpec({ queue: "new" }), jobSpec({ uniqueKey: "k" })], true),
        "DUPLICATE_JOB",
      );
      expect(duplicate).toMatchObject({ index: 2, existingId: held });
      const unknown = await expectRejected(
        d.offer([jobSpec({ uniqueKey: "free" }), jobSpec({ dependsOn: [held + 1_000_000] })], true),
        "DEPENDENCY_NOT_FOUND",
      );
      expect(unknown).toMatchObject({ index: 1, ids: [held + 1_000_000] });

      expect(await d.count()).toEqual(counts({ waiting: 1 }));
      expect((await d.total()).added).toBe(1);
      expect(await recorder.all()).toEqual([]);
      // The refused batch holds no key.
      expect(await d.add({ uniqueKey: "free" })).toBeGreaterThan(held);
    });

    it("names no job of a batch that it refuses whole", async () => {
      const batch = [jobSpec(), jobSpec({ uniqueKey: "k" }), jobSpec({ uniqueKey: "k" })];
      const details = await expectRejected(d.offer(batch, true), "DUPLICATE_JOB");
      expect(details).toEqual({ index: 2 });
      const outcomes = await d.offer(batch);
      expect(expectRefused(outcomes[2], "DUPLICATE_JOB").existingId).toBe(outcomes[1]);
    });

    it("takes an atomic batch whole", async () => {
      const given = accepted(await d.offer(jobSpecs(10), true));
      expect(await d.drain()).toEqual(given);
    });

    it("refuses one job of many batches sent at once without harm to the others", async () => {
      await d.add({ uniqueKey: "k" });
      const calls = Array.from({ length: 30 }, (_, index) =>
        d.offer(index % 3 === 0 ? [jobSpec({ uniqueKey: "k" })] : jobSpecs(2), true).then(
          (outcomes) => outcomes.length,
          (error: unknown) => error,
        ),
      );
      const results = await Promise.all(calls);
      expect(results.filter((result) => result instanceof QueueError)).toHaveLength(10);
      expect(await d.count()).toEqual(counts({ waiting: 41 }));
    });

    it("creates a queue by its first job", async () => {
      expect(await d.adapter.listQueues({ tenant: "default" })).toEqual([]);
      await d.addAll(jobSpecs(2, (index) => ({ queue: `q${index}`, typed: index === 1 })));
      const queues = await d.adapter.listQueues({ tenant: "default" });
      expect(queues.map(({ queue, typed }) => [queue, typed])).toEqual([
        ["q0", false],
        ["q1", true],
      ]);
      expect(at(queues, 0)).toMatchObject({ paused: false, rateLimit: null, concurrency: null });
    });
  });
}
