import { describe, expect, it } from "vitest";

import { jobSpec } from "../job-factory.ts";
import { at, counts, expectRefused, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeUniqueKeys(factory: EngineFactory): void {
  describe("unique keys", () => {
    const d = useDriver(factory);
    const keyed = jobSpec({ uniqueKey: "k" });

    async function expectHeldBy(id: number): Promise<void> {
      const [outcome] = await d.offer([keyed]);
      expect(expectRefused(outcome, "DUPLICATE_JOB").existingId).toBe(id);
    }

    it("are held by every unfinished job, in whatever state", async () => {
      const blocker = await d.add({ queue: "other" });
      const id = await d.add({ uniqueKey: "k", dependsOn: [blocker], delayMs: 1000 });
      expect(await d.state(id)).toBe("blocked");
      await expectHeldBy(id);
      await d.complete(await d.take({ queue: "other" }));
      expect(await d.state(id)).toBe("delayed");
      await expectHeldBy(id);
      await d.advance(1000);
      expect(await d.state(id)).toBe("waiting");
      await expectHeldBy(id);
      const run = await d.take();
      await expectHeldBy(id);
      await d.fail(run, { retryAt: d.now() + 1000 });
      await expectHeldBy(id);
      expect(await d.count({ queues: ["work"] })).toEqual(counts({ delayed: 1 }));
    });

    it("are free after completion, failure, cancellation and removal", async () => {
      const completed = await d.add({ uniqueKey: "k" });
      await d.complete(await d.take());
      const failed = await d.add({ uniqueKey: "k" });
      await d.fail(await d.take());
      const cancelled = await d.add({ uniqueKey: "k" });
      await d.cancel(cancelled);
      const removed = await d.add({ uniqueKey: "k" });
      await d.remove(removed);
      const last = await d.add({ uniqueKey: "k" });
      await expectHeldBy(last);
      expect(await d.states([completed, failed, cancelled, removed, last])).toEqual([
        "completed",
        "failed",
        "cancelled",
        null,
        "waiting",
      ]);
      // What is gone frees nothing that others hold now.
      await d.remove(failed);
      await expectHeldBy(last);
    });

    it("are free when the holder is lost for good, and only then", async () => {
      const id = await d.add({ uniqueKey: "k", timeoutMs: 1000, maxAttempts: 2, backoffMs: 100 });
      await d.take();
      await d.advance(1001);
      await expectHeldBy(id);
      await d.advance(100);
      await d.take();
      await d.advance(1001);
      expect(await d.state(id)).toBe("failed");
      expect(await d.add({ uniqueKey: "k" })).toBeGreaterThan(id);
    });

    it("are of one queue and one tenant", async () => {
      await d.add({ uniqueKey: "k" });
      await d.add({ uniqueKey: "k", queue: "other" });
      await d.add({ uniqueKey: "k", tenant: "acme" });
      await d.add({ uniqueKey: "K" });
      expect(await d.count({ tenant: "*" })).toEqual(counts({ waiting: 4 }));
    });

    it("admit one of several in a batch", async () => {
      const outcomes = await d.offer([keyed, jobSpec(), keyed, keyed]);
      const first = at(outcomes, 0);
      expect(first).toBeTypeOf("number");
      expect(outcomes[1]).toBeTypeOf("number");
      expect(expectRefused(outcomes[2], "DUPLICATE_JOB").existingId).toBe(first);
      expect(expectRefused(outcomes[3], "DUPLICATE_JOB").existingId).toBe(first);
    });

    it("admit one of many calls made at once", async () => {
      const outcomes = (
        await Promise.all(Array.from({ length: 20 }, () => d.offer([keyed])))
      ).flat();
      const admitted = outcomes.filter((outcome) => typeof outcome === "number");
      expect(admitted).toHaveLength(1);
      for (const outcome of outcomes) {
        if (typeof outcome === "number") continue;
        expect(expectRefused(outcome, "DUPLICATE_JOB").existingId).toBe(admitted[0]);
      }
    });

    it("are taken again by a retry, unless somebody else holds them", async () => {
      const first = await d.add({ uniqueKey: "k" });
      await d.fail(await d.take());
      expect(await d.retry(first)).toBe(true);
      await expectHeldBy(first);
      await d.fail(await d.take());
      const second = await d.add({ uniqueKey: "k" });
      expect(expectRefused(await d.retry(first), "DUPLICATE_JOB").existingId).toBe(second);
      expect(await d.state(first)).toBe("failed");
      await d.complete(await d.take());
      expect(await d.retry(first)).toBe(true);
    });

    it("are held until a run that is being cancelled has ended", async () => {
      const id = await d.add({ uniqueKey: "k" });
      const run = await d.take({ inProcess: true, timeoutFrom: "start" });
      await d.cancel(id);
      await expectHeldBy(id);
      await d.release(run);
      expect(await d.add({ uniqueKey: "k" })).toBeGreaterThan(id);
    });
  });
}
