import { describe, expect, it } from "vitest";

import type { QueueError } from "../../errors.ts";
import { type Answer, ANSWERS_KEPT_MS, type JobSpec } from "../../queue-adapter.ts";
import { jobSpec, jobSpecs } from "../job-factory.ts";
import { at, counts, expectRefused, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

interface CallWish {
  readonly key?: string;
  readonly tenant?: string;
  readonly atomic?: boolean;
  readonly note?: string;
}

export function describeIdempotency(factory: EngineFactory): void {
  describe("idempotency keys", () => {
    const d = useDriver(factory);

    const once = (jobs: readonly JobSpec[], wish: CallWish = {}): Promise<Answer> =>
      d.adapter.enqueueOnce({
        jobs,
        atomic: false,
        tenant: "default",
        key: "order-7",
        note: "",
        ...wish,
      });

    const recall = (key = "order-7", tenant = "default"): Promise<Answer | null> =>
      d.adapter.recall({ tenant, key });

    it("are answered as the first call was, whatever comes with them, and add nothing", async () => {
      expect(await recall()).toBeNull();
      const first = await once(jobSpecs(3));
      expect(first.repeated).toBe(false);
      const recorder = await d.record();
      const again = await once(jobSpecs(5, () => ({ queue: "other", priority: 3 })));
      expect(again).toEqual({ ...first, repeated: true });
      expect(await recall()).toEqual(again);
      expect(await d.count()).toEqual(counts({ waiting: 3 }));
      expect(await d.adapter.listQueues({ tenant: "*" })).toHaveLength(1);
      expect((await d.total()).added).toBe(3);
      expect(await recorder.all()).toEqual([]);
      expect(await d.drain()).toEqual(first.outcome);
    });

    it("are answered as the first call was when its jobs are long gone", async () => {
      const { outcome } = await once([jobSpec({ uniqueKey: "k" })]);
      const [id] = outcome as number[];
      await d.complete(await d.take());
      await d.remove(id!);
      expect(await once([jobSpec({ uniqueKey: "k" })])).toEqual({
        outcome: [id],
        note: "",
        repeated: true,
      });
      expect(await d.count()).toEqual(counts({}));
    });

    it("keep refusals in their places, and the note of the first call", async () => {
      const held = await d.add({ uniqueKey: "k" });
      const jobs = [
        jobSpec({ uniqueKey: "k" }),
        jobSpec(),
        jobSpec({ dependsOn: [held, held + 1_000_000] }),
        jobSpec({ dependsOnSiblings: [2] }),
      ];
      const first = await once(jobs, { note: '[{"of":"core"}]' });
      const again = await once(jobs, { note: "another" });
      expect(again.note).toBe('[{"of":"core"}]');
      const outcomes = again.outcome as readonly (number | QueueError)[];
      expect(outcomes).toEqual(first.outcome);
      expect(outcomes).toHaveLength(4);
      expect(expectRefused(outcomes[0], "DUPLICATE_JOB")).toMatchObject({
        index: 0,
        existingId: held,
      });
      expect(await d.state(outcomes[1] as number)).toBe("waiting");
      expect(expectRefused(outcomes[2], "DEPENDENCY_NOT_FOUND")).toMatchObject({
        index: 2,
        ids: [held + 1_000_000],
      });
      expectRefused(outcomes[3], "DEPENDENCY_NOT_FOUND");
      expect(await d.count()).toEqual(counts({ waiting: 2 }));
    });

    it("keep the refusal of an atomic call", async () => {
      const held = await d.add({ uniqueKey: "k" });
      const jobs = [jobSpec(), jobSpec({ uniqueKey: "k" })];
      const first = await once(jobs, { atomic: true });
      expect(expectRefused(first.outcome, "DUPLICATE_JOB")).toMatchObject({
        index: 1,
        existingId: held,
      });
      await d.complete(await d.take());
      const again = await once(jobs, { atomic: true });
      expect(again).toEqual({ ...first, repeated: true });
      expect(await d.count()).toEqual(counts({ completed: 1 }));
    });

    it("are a tenant's own, and told apart in full", async () => {
      const keys = ["a", "A", "a:", "~!{}:'\"\\", `${"k".repeat(254)}1`, `${"k".repeat(254)}2`];
      const calls = ["default", "acme", "acme-a"].flatMap((tenant) =>
        keys.map((key) => ({ tenant, key })),
      );
      for (const call of calls) {
        const { repeated } = await once([jobSpec({ tenant: call.tenant })], call);
        expect([call, repeated]).toEqual([call, false]);
      }
      for (const call of calls) {
        const kept = await recall(call.key, call.tenant);
        const [id] = kept!.outcome as number[];
        expect((await d.job(id!, "*")).tenant).toBe(call.tenant);
      }
      expect(await d.count({ tenant: "*" })).toEqual(counts({ waiting: calls.length }));
    });

    it("let one of many calls made at once add", async () => {
      const answers = await Promise.all(
        Array.from({ length: 30 }, (_, i) => once(jobSpecs(2, () => ({ name: `call ${i}` })))),
      );
      expect(answers.filter(({ repeated }) => !repeated)).toHaveLength(1);
      for (const { outcome } of answers) expect(outcome).toEqual(at(answers, 0).outcome);
      expect(await d.count()).toEqual(counts({ waiting: 2 }));
    });

    it("take a batch of 1,000 with refusals among them", async () => {
      const jobs = jobSpecs(1000, (index) => (index % 3 === 0 ? { uniqueKey: "k" } : {}));
      const first = await once(jobs);
      expect((await once(jobs)).outcome).toEqual(first.outcome);
      expect(await d.count()).toEqual(counts({ waiting: 667 }));
    });

    it("are forgotten after 24 hours", async () => {
      const first = await once([jobSpec()]);
      await d.advance(ANSWERS_KEPT_MS / 2);
      await once([jobSpec()], { key: "later" });
      await d.advance(ANSWERS_KEPT_MS / 2 - 1);
      expect((await once([jobSpec()])).outcome).toEqual(first.outcome);
      await d.advance(1);
      expect(await recall()).toBeNull();
      const anew = await once([jobSpec()], { note: "anew" });
      expect(anew.repeated).toBe(false);
      // From then on it counts anew, for as long.
      await d.advance(ANSWERS_KEPT_MS - 1);
      expect(await recall("later")).toBeNull();
      expect(await recall()).toEqual({ ...anew, repeated: true });
      expect(await d.count()).toEqual(counts({ waiting: 3 }));
    });
  });
}
