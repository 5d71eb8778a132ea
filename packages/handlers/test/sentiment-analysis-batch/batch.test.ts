import { afterAll, describe, expect, test } from "vitest";
import { analyseBatch, closeSharedThreads } from "../../src/sentiment-analysis-batch/batch.ts";
import type { BatchProgress } from "../../src/sentiment-analysis-batch/batch.ts";
import { UnsupportedLanguage } from "../../src/sentiment-analysis-batch/language.ts";
import { ThreadDied, Threads } from "../../src/threads.ts";

afterAll(closeSharedThreads);

const numbered = (count: number): string[] =>
  Array.from(
    { length: count },
    (_, index) => `Item ${index} is good, write to a${index}@example.com`,
  );

test("the documented example", async () => {
  const result = await analyseBatch({
    texts: [
      "I love this product!",
      "This is terrible quality.",
      "The parcel came on Tuesday. Questions to bob@example.com",
    ],
  });
  expect(result).toEqual({
    totalProcessed: 3,
    results: [
      {
        index: 0,
        text: "I love this product!",
        sentiment: "positive",
        score: 0.6696,
        confidence: 0.87,
      },
      {
        index: 1,
        text: "This is terrible quality.",
        sentiment: "negative",
        score: -0.4767,
        confidence: 0.77,
      },
      {
        index: 2,
        text: "The parcel came on Tuesday. Questions to [EMAIL]",
        sentiment: "neutral",
        score: 0,
        confidence: expect.closeTo(0.44, 1),
      },
    ],
    summary: {
      successful: 3,
      failed: 0,
      averageScore: 0.0643,
      distribution: { positive: 1, negative: 1, neutral: 1 },
    },
    failures: [],
  });
});

test("options reach the threads", async () => {
  const { results } = await analyseBatch({
    texts: ["Good, bob@example.com"],
    enablePIIMasking: false,
    includeKeywords: true,
    language: "en-GB",
  });
  expect(results[0]).toMatchObject({ text: "Good, bob@example.com", keywords: ["good"] });
});

test("results are in the order of the texts, over many chunks", async () => {
  const { results, totalProcessed } = await analyseBatch({
    texts: numbered(3000),
    enablePIIMasking: false,
  });
  expect(totalProcessed).toBe(3000);
  expect(results.map(({ text }) => text)).toEqual(numbered(3000));
  expect(results.map(({ index }) => index)).toEqual(numbered(3000).map((_, index) => index));
});

test("a text that fails leaves the others alone and is not quoted", async () => {
  const { results, failures, summary } = await analyseBatch({
    texts: ["Good.", "Bad \ud800 one", "Awful."],
  });
  expect(results.map(({ index }) => index)).toEqual([0, 2]);
  expect(failures).toEqual([{ index: 1, error: "The text is not well-formed Unicode" }]);
  expect(summary).toMatchObject({ successful: 2, failed: 1 });
  expect(summary.averageScore).toBeCloseTo((0.4404 - 0.4588) / 2, 4);
});

test("a batch of failures has an average of 0", async () => {
  const { summary } = await analyseBatch({ texts: ["\ud800"] });
  expect(summary).toEqual({
    successful: 0,
    failed: 1,
    averageScore: 0,
    distribution: { positive: 0, negative: 0, neutral: 0 },
  });
});

test("progress grows to the whole, failures included", async () => {
  const seen: BatchProgress[] = [];
  await analyseBatch(
    { texts: [...numbered(1200), "\ud800"] },
    { onProgress: (progress) => void seen.push(progress) },
  );
  expect(seen.length).toBeGreaterThan(3);
  expect(seen.at(-1)).toEqual({ totalItems: 1201, processedItems: 1201, failedItems: 1 });
  const processed = seen.map(({ processedItems }) => processedItems);
  expect(processed).toEqual(processed.toSorted((one, other) => one - other));
});

test("long texts make small chunks", async () => {
  let reports = 0;
  await analyseBatch(
    { texts: Array.from({ length: 100 }, () => "good ".repeat(2000)) },
    { onProgress: () => void reports++ },
  );
  expect(reports).toBeGreaterThanOrEqual(4);
});

test("another language is refused before any work", async () => {
  await expect(analyseBatch({ texts: ["Bien"], language: "fr" })).rejects.toThrow(
    UnsupportedLanguage,
  );
});

describe("aborting", () => {
  test("before the start", async () => {
    const reason = new Error("cancelled");
    const signal = AbortSignal.abort(reason);
    await expect(analyseBatch({ texts: ["Good"] }, { signal })).rejects.toBe(reason);
  });

  test("on the way: no further chunk is started, and the threads go on working", async () => {
    const reason = new Error("cancelled");
    const abort = new AbortController();
    let last = 0;
    const batch = analyseBatch(
      { texts: numbered(10_000) },
      {
        signal: abort.signal,
        onProgress({ processedItems }) {
          last = processedItems;
          abort.abort(reason);
        },
      },
    );
    await expect(batch).rejects.toBe(reason);
    expect(last).toBeLessThan(1000);
    await expect(analyseBatch({ texts: ["Good"] })).resolves.toMatchObject({ totalProcessed: 1 });
  });

  test("by an error of onProgress", async () => {
    const lost = new Error("the lease is lost");
    const onProgress = () => Promise.reject(lost);
    await expect(analyseBatch({ texts: numbered(2000) }, { onProgress })).rejects.toBe(lost);
  });
});

describe("threads", () => {
  const exits = new URL("../threads/exits.thread.ts", import.meta.url);
  const exhaustsMemory = new URL("../threads/exhausts-memory.thread.ts", import.meta.url);
  const throwsLater = new URL("../threads/throws-later.thread.ts", import.meta.url);
  const neverReturns = new URL("../threads/never-returns.thread.ts", import.meta.url);
  const small = { size: 1, memoryMb: 32 };

  test.each([
    ["exits", exits],
    ["exhausts its memory", exhaustsMemory],
    ["throws later on", throwsLater],
  ])("one that %s is told from other errors, and the next run works", async (_, file) => {
    const threads = new Threads(small);
    const run = threads.run(file, {});
    await expect(run).rejects.toBeInstanceOf(ThreadDied);
    await expect(run).rejects.toMatchObject({ code: "THREAD_DIED" });
    await expect(analyseBatch({ texts: ["Good"] }, { threads })).resolves.toMatchObject({
      totalProcessed: 1,
    });
    await threads.close();
  });

  test("a batch on one that dies fails as that", async () => {
    class Doomed extends Threads {
      override run<Answer>(): Promise<Answer> {
        return super.run(exits, {});
      }
    }
    const threads = new Doomed(small);
    await expect(analyseBatch({ texts: ["Good"] }, { threads })).rejects.toBeInstanceOf(ThreadDied);
    await threads.close();
  });

  test("an abort ends even one that never returns", async () => {
    const threads = new Threads(small);
    const abort = new AbortController();
    const started = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const run = threads.run(neverReturns, { started }, abort.signal);
    await Atomics.waitAsync(started, 0, 0).value;
    const reason = new Error("cancelled");
    abort.abort(reason);
    await expect(run).rejects.toBe(reason);
    await expect(analyseBatch({ texts: ["Good"] }, { threads })).resolves.toBeDefined();
    await threads.close();
  });

  test("closed ones start again when needed", async () => {
    const threads = new Threads(small);
    await analyseBatch({ texts: ["Good"] }, { threads });
    await threads.close();
    await expect(analyseBatch({ texts: ["Good"] }, { threads })).resolves.toBeDefined();
    await threads.close();
  });
});
