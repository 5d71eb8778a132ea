import { describe, expect, it } from "vitest";

import { jobSpecs } from "../job-factory.ts";
import { at, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeEvents(factory: EngineFactory): void {
  describe("events", () => {
    const d = useDriver(factory);

    it("tell each transition of a job once, in order", async () => {
      const recorder = await d.record();
      const start = d.now();
      const id = await d.add({ maxAttempts: 2 });
      await d.advance(10);
      const run = await d.take();
      await d.report(run, { progress: 30, message: "a third" });
      await d.advance(10);
      await d.fail(run, { retryAt: d.now() + 100, error: { message: "first" } });
      await d.advance(100);
      const again = await d.take();
      await d.advance(10);
      await d.complete(again);
      const base = { tenant: "default", queue: "work", jobId: id };
      const told = await recorder.all();
      expect(told).toEqual([
        { ...base, type: "job.pushed", at: start, cursor: expect.any(String) },
        { ...base, type: "job.started", at: start + 10, cursor: expect.any(String) },
        {
          ...base,
          type: "job.progress",
          at: start + 10,
          cursor: expect.any(String),
          progress: 30,
          message: "a third",
        },
        {
          ...base,
          type: "job.failed",
          at: start + 20,
          cursor: expect.any(String),
          error: "first",
          final: false,
        },
        { ...base, type: "job.started", at: start + 120, cursor: expect.any(String) },
        { ...base, type: "job.completed", at: start + 130, cursor: expect.any(String) },
      ]);
      expect(new Set(told.map(({ cursor }) => cursor)).size).toBe(6);
    });

    it("tell the last failure as final", async () => {
      const recorder = await d.record();
      await d.add();
      await d.fail(await d.take(), { error: { message: "no use", code: "X" } });
      expect((await recorder.all()).at(-1)).toMatchObject({
        type: "job.failed",
        error: "no use",
        final: true,
      });
    });

    it("tell of every job of a batch, in its order", async () => {
      const recorder = await d.record();
      const given = await d.addAll(jobSpecs(500));
      const runs = await d.claim();
      const completions = runs.map(({ id, lease }) => ({ id, lease, result: null }));
      await d.adapter.complete({ tenant: "default", runs: completions });
      const told = await recorder.all();
      for (const type of ["job.pushed", "job.started", "job.completed"] as const) {
        const of = told.filter((event) => event.type === type);
        expect(of.map(({ jobId }) => jobId)).toEqual(given);
      }
      expect(told).toHaveLength(1500);
    });

    it("are told after the change can be read", async () => {
      const id = await d.add();
      const run = await d.take();
      const seen = new Promise<string>((resolve, reject) => {
        const onEvents = (): void => void d.state(id).then(resolve, reject);
        void d.record({ types: ["job.completed"], onEvents }).then(() => d.complete(run));
      });
      expect(await seen).toBe("completed");
    });

    it("tell nothing of what is refused", async () => {
      await d.add({ uniqueKey: "k" });
      const run = await d.take();
      await d.complete(run);
      const recorder = await d.record();
      await d.complete(run);
      await d.cancel(run.id);
      await d.claim();
      expect(await recorder.all()).toEqual([]);
    });

    it("are heard from subscription on", async () => {
      await d.add();
      const recorder = await d.record();
      const id = await d.add();
      expect((await recorder.all()).map(({ jobId }) => jobId)).toEqual([id]);
    });

    it("can be taken up after a cursor", async () => {
      const first = await d.record();
      const before = await d.adapter.cursor();
      const given = await d.addAll(jobSpecs(5));
      const told = await first.all();
      first.stop();
      const middle = at(told, 2).cursor;

      const resumed = await d.record({ after: middle });
      const later = await d.add();
      expect((await resumed.all()).map(({ jobId }) => jobId)).toEqual([...given.slice(3), later]);
      const whole = await d.record({ after: before });
      expect((await whole.all()).map(({ jobId }) => jobId)).toEqual([...given, later]);
      expect((await whole.all()).slice(0, 5)).toEqual(told);
      const newest = await d.record({ after: await d.adapter.cursor() });
      expect(await newest.all()).toEqual([]);
      expect([resumed.gaps, whole.gaps, newest.gaps]).toEqual([0, 0, 0]);
    });

    it("move the cursor with each event", async () => {
      const before = await d.adapter.cursor();
      expect(await d.adapter.cursor()).toBe(before);
      const recorder = await d.record();
      await d.add();
      await recorder.until(({ events }) => events.length === 1);
      expect(await d.adapter.cursor()).toBe(at(recorder.events, 0).cursor);
      expect(await d.adapter.cursor()).not.toBe(before);
    });

    it.each(["", "no such cursor", "99999999999-0", "-1"])(
      "tell of a gap behind a cursor that is not known: %j",
      async (after) => {
        await d.add();
        const recorder = await d.record({ after });
        const id = await d.add();
        const told = await recorder.all();
        expect(recorder.gaps).toBe(1);
        expect(told.at(-1)).toMatchObject({ jobId: id });
      },
    );

    it("can be narrowed to a queue", async () => {
      const recorder = await d.record({ queue: "mail" });
      await d.addAll(jobSpecs(3, (index) => ({ queue: index === 1 ? "work" : "mail" })));
      await d.configure({ paused: true });
      await d.configure({ paused: true }, "mail");
      await recorder.until(({ events }) => events.some(({ type }) => type === "queue.paused"));
      expect(recorder.events.map(({ type, queue }) => [type, queue])).toEqual([
        ["job.pushed", "mail"],
        ["job.pushed", "mail"],
        ["queue.paused", "mail"],
      ]);
    });

    it("can be narrowed to types, also when taken up", async () => {
      const before = await d.adapter.cursor();
      const recorder = await d.record({ types: ["job.completed", "queue.paused"] });
      await d.add();
      await d.complete(await d.take());
      await d.configure({ paused: true }, "end");
      await recorder.until(({ events }) => events.some(({ queue }) => queue === "end"));
      const types = ["job.completed", "queue.paused"];
      expect(recorder.events.map(({ type }) => type)).toEqual(types);
      const resumed = await d.record({ types: ["job.pushed"], after: before });
      await resumed.until(({ events }) => events.length === 1);
      expect(resumed.events.map(({ type }) => type)).toEqual(["job.pushed"]);
    });

    it("stop when they are no longer wanted", async () => {
      const gone = await d.record();
      const recorder = await d.record();
      gone.stop();
      gone.stop();
      await d.add();
      expect(await recorder.all()).toHaveLength(1);
      expect(gone.events).toEqual([]);
    });

    it("reach other listeners when one fails, and harm no call", async () => {
      await d.record({
        onEvents: () => {
          throw new Error("a careless listener");
        },
      });
      const recorder = await d.record();
      const id = await d.add();
      expect((await recorder.all()).map(({ jobId }) => jobId)).toEqual([id]);
    });
  });
}
