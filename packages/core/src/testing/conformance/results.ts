import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { PayloadFile } from "../../job.ts";
import { jobSpec, jsonText } from "../job-factory.ts";
import { expectRefused, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";
import { holds, PROPERTY_TIMEOUT_MS } from "./property.ts";

export function describeResults(factory: EngineFactory): void {
  describe("data and results", () => {
    const d = useDriver(factory);
    const file = (name: string): PayloadFile => ({ file: name, bytes: 2_000_000 });

    it.each([
      '{ "a" : 1.0,\t"a":1e400 , "big":123456789012345678901234567890 }',
      '{"__proto__":{"x":1},"\\u0000":"\\ud800","é":"\u{1F980}"}',
      "  null  ",
      '""',
      "[]",
      "-0",
    ])("are kept byte for byte: %s", async (text) => {
      const id = await d.add({ data: text });
      const run = await d.take();
      expect(run.data).toBe(text);
      await d.complete(run, { result: text });
      const job = await d.job(id);
      expect(job.data).toBe(text);
      expect(job.result).toBe(text);
    });

    it(
      "are kept byte for byte, whatever they are",
      async () => {
        await holds(factory, fc.array(jsonText, { minLength: 1 }), async (driver, texts) => {
          for (const data of texts) {
            const id = await driver.add({ data });
            const run = await driver.take();
            expect(run.data).toBe(data);
            await driver.complete(run, { result: data });
            expect((await driver.job(id)).result).toBe(data);
          }
        });
      },
      PROPERTY_TIMEOUT_MS,
    );

    it("may be large", async () => {
      const text = JSON.stringify({ text: "äöü\n".repeat(1_000_000) });
      const id = await d.add({ data: text });
      const run = await d.take();
      expect(run.data === text).toBe(true);
      await d.complete(run, { result: text });
      expect((await d.job(id)).result === text).toBe(true);
    });

    it("tell no result from a result that is null", async () => {
      const a = await d.add();
      await d.complete(await d.take(), { result: null });
      const b = await d.add();
      await d.complete(await d.take(), { result: "null" });
      expect((await d.job(a)).result).toBeNull();
      expect((await d.job(b)).result).toBe("null");
    });

    it("may lie in files", async () => {
      const id = await d.add({ data: file("data-1") });
      const run = await d.take();
      expect(run.data).toEqual(file("data-1"));
      await d.complete(run, { result: file("result-1") });
      expect(await d.job(id)).toMatchObject({ data: file("data-1"), result: file("result-1") });
    });

    it("name their files when their job is removed", async () => {
      const id = await d.add({ data: file("data-1") });
      await d.complete(await d.take(), { result: file("result-1") });
      const plain = await d.add();
      const [gone, bare, unknown, twice] = await d.adapter.remove({
        tenant: "default",
        ids: [id, plain, 999_999_999, id],
      });
      const at = { tenant: "default", queue: "work" };
      expect(gone).toEqual({ ...at, id, files: [file("data-1"), file("result-1")] });
      expect(bare).toEqual({ ...at, id: plain, files: [] });
      expectRefused(unknown, "JOB_NOT_FOUND");
      expectRefused(twice, "JOB_NOT_FOUND");
    });

    it("know which files belong to a job", async () => {
      const kept = await d.add({ data: file("data-1") });
      await d.complete(await d.take(), { result: file("result-1") });
      const gone = await d.add({ data: file("data-2") });
      await d.complete(await d.take(), { result: file("result-2") });
      await d.add({ data: '{"file":"data-3","bytes":1}' });
      await d.offer([jobSpec({ data: file("data-4"), dependsOn: [999_999_999] })]);
      const asked = ["data-1", "result-1", "data-2", "result-2", "data-3", "data-4", "none"];
      const inUse = async (): Promise<string[]> =>
        [...(await d.adapter.filesInUse(asked))].toSorted();
      expect(await inUse()).toEqual(["data-1", "data-2", "result-1", "result-2"]);
      await d.remove(gone);
      expect(await inUse()).toEqual(["data-1", "result-1"]);
      await d.advance(1000);
      await d.adapter.prune({ completedBefore: d.now(), failedBefore: d.now(), limit: 10 });
      expect(await d.find(kept)).toBeNull();
      expect(await inUse()).toEqual([]);
      expect(await d.adapter.filesInUse([])).toEqual([]);
    });

    it("stay when removal is refused", async () => {
      const id = await d.add({ data: file("data-1") });
      await d.take();
      expect(expectRefused(await d.remove(id), "INVALID_STATE").state).toBe("active");
      expect(await d.state(id)).toBe("active");
    });

    it("are no longer shown once the job was retried", async () => {
      const id = await d.add();
      const run = await d.take({ inProcess: true, timeoutFrom: "start" });
      await d.cancel(id);
      await d.complete(run, { result: "1" });
      await d.retry(id);
      expect((await d.job(id)).result).toBeNull();
    });
  });
}
