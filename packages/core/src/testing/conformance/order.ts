import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { jobSpec, jobSpecs, priority } from "../job-factory.ts";
import { at, ids, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";
import { holds, PROPERTY_TIMEOUT_MS } from "./property.ts";

interface Added {
  readonly priority: number;
  readonly lifo: boolean;
}

/** Indexes in the order in which jobs added like this, one after another, are run. */
function expectedOrder(added: readonly Added[]): number[] {
  const place = (index: number): number => (at(added, index).lifo ? -1 - index : index);
  return added
    .map((_, index) => index)
    .toSorted((a, b) => at(added, a).priority - at(added, b).priority || place(a) - place(b));
}

export function describeOrder(factory: EngineFactory): void {
  describe("order", () => {
    const d = useDriver(factory);

    it("runs jobs in the order in which they came", async () => {
      const first = await d.addAll(jobSpecs(5));
      const second = await d.addAll(jobSpecs(5));
      expect(await d.drain()).toEqual([...first, ...second]);
    });

    it("runs lower priorities sooner, first in first out among equals", async () => {
      const priorities = [0, 5, -5, 0, 5, -5, -1_000_000, 1_000_000, 1];
      const given = await d.addAll(jobSpecs(9, (index) => ({ priority: at(priorities, index) })));
      const order = [6, 2, 5, 0, 3, 8, 1, 4, 7].map((index) => at(given, index));
      expect(await d.drain({ limit: 2 })).toEqual(order);
    });

    it("runs lifo jobs before their equals, the last one first", async () => {
      const a = await d.add({ name: "a" });
      const b = await d.add({ lifo: true });
      const c = await d.add({});
      const e = await d.add({ lifo: true });
      expect(await d.drain()).toEqual([e, b, a, c]);
    });

    it("keeps lifo within a priority", async () => {
      const low = await d.add({ priority: 3 });
      const high = await d.add({ priority: -3 });
      const lowLifo = await d.add({ priority: 3, lifo: true });
      const highLifo = await d.add({ priority: -3, lifo: true });
      const ordinary = await d.add();
      expect(await d.drain({ limit: 1 })).toEqual([highLifo, high, ordinary, lowLifo, low]);
    });

    it("lets a job of a lower priority number overtake between claims", async () => {
      const [a, b] = await d.addAll(jobSpecs(2));
      expect((await d.take()).id).toBe(a);
      const urgent = await d.add({ priority: -1 });
      expect(await d.drain()).toEqual([urgent, b]);
    });

    it("hands out in order within one claim too", async () => {
      const [late, soon] = await d.addAll([jobSpec({ priority: 9 }), jobSpec({ priority: -9 })]);
      expect(ids(await d.claim())).toEqual([soon, late]);
    });

    it("puts a released run back before later jobs of its priority", async () => {
      const [a, b, c] = await d.addAll(jobSpecs(3));
      const run = await d.take();
      expect(run.id).toBe(a);
      const later = await d.add();
      const urgent = await d.add({ priority: -1 });
      expect(await d.release(run)).toBe("waiting");
      expect(await d.drain()).toEqual([urgent, a, b, c, later]);
    });

    it("keeps the order of runs that are released together", async () => {
      const given = await d.addAll(jobSpecs(4));
      const runs = await d.claim({ limit: 3 });
      await d.adapter.release({ tenant: "default", runs: runs.toReversed() });
      expect(await d.drain()).toEqual(given);
    });

    it("puts a lost run back before later jobs", async () => {
      const [a, b] = await d.addAll(jobSpecs(2));
      await d.take({ leaseMs: 1000 });
      await d.advance(1001);
      expect(await d.drain()).toEqual([a, b]);
    });

    it("puts a retried job behind those that wait", async () => {
      const [a, b] = await d.addAll(jobSpecs(2));
      await d.fail(await d.take());
      await d.retry(a!);
      expect(await d.drain()).toEqual([b, a]);
    });

    it("puts a job that became ready behind those that wait by then", async () => {
      const delayed = await d.add({ delayMs: 1000 });
      const [a] = await d.addAll(jobSpecs(1));
      await d.advance(1000);
      const later = await d.add();
      expect(await d.drain()).toEqual([a, delayed, later]);
    });

    it("sorts jobs that became ready meanwhile by their moments", async () => {
      const second = await d.add({ delayMs: 2000 });
      const first = await d.add({ delayMs: 1000 });
      const alsoFirst = await d.add({ delayMs: 1000 });
      const urgent = await d.add({ delayMs: 3000, priority: -1 });
      await d.advance(5000);
      expect(await d.drain()).toEqual([urgent, first, alsoFirst, second]);
    });

    it("keeps the order of many that became ready at the same moments", async () => {
      const delays = Array.from({ length: 200 }, (_, index) => 100 + ((index * 7) % 5) * 10);
      const given = await d.addAll(
        jobSpecs(200, (index) => ({
          delayMs: at(delays, index),
          ttlMs: index % 9 === 0 ? 50 : null,
        })),
      );
      await d.advance(1000);
      const order = given
        .map((id, index) => ({ id, delay: at(delays, index), expired: index % 9 === 0 }))
        .filter(({ expired }) => !expired)
        .toSorted((a, b) => a.delay - b.delay || a.id - b.id);
      expect(await d.drain()).toEqual(ids(order));
    });

    it("puts a promoted job behind those that wait", async () => {
      const delayed = await d.add({ delayMs: 60_000 });
      const a = await d.add();
      await d.promote(delayed);
      const later = await d.add();
      expect(await d.drain()).toEqual([a, delayed, later]);
    });

    it(
      "orders any mix of priorities and lifo, added and claimed in any portions",
      async () => {
        const job = fc.record({ priority, lifo: fc.boolean() });
        const portion = fc.integer({ min: 1, max: 7 });
        const input = fc.record({
          batches: fc.array(fc.array(job, { minLength: 1, maxLength: 12 }), { maxLength: 6 }),
          portion,
        });
        await holds(factory, input, async (driver, { batches, portion: limit }) => {
          const given: number[] = [];
          for (const batch of batches) given.push(...(await driver.addAll(batch.map(jobSpec))));
          const order = expectedOrder(batches.flat()).map((index) => at(given, index));
          expect(await driver.drain({ limit })).toEqual(order);
        });
      },
      PROPERTY_TIMEOUT_MS,
    );
  });
}
