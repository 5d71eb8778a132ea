import { rm } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { defineHandler, HandlerError } from "../src/handler.ts";
import { defineJobType } from "../src/job-types/job-type.ts";
import { securityScan } from "../src/job-types/security-scan.ts";
import { INLINE_BYTES } from "../src/payload-files.ts";
import { Desk } from "./desk.ts";
import { anything, ended, Gate, handlerOf, type Run, startWorker, told } from "./run-worker.ts";

const long = process.env["JOBYARD_LONG"] === "1";

describe("what a handler gets", () => {
  test("data, attempt and job, as the type's schema completes them", async () => {
    const desk = await Desk.open();
    const type = defineJobType({
      name: "greet",
      title: "Greeting",
      data: z.looseObject({ name: z.string(), greeting: z.string().default("Hello") }),
      result: z.string(),
      defaults: { attempts: 1, backoffMs: 1, timeoutMs: 1000 },
    });
    const seen: unknown[] = [];
    startWorker(desk, [
      defineHandler(type, async ({ data, attempt, job, signal }) => {
        seen.push({ attempt, job, aborted: signal.aborted });
        return `${data.greeting}, ${data.name}`;
      }),
    ]);
    const id = await desk.queue
      .of("acme")
      .add({ queue: "greet", name: "first", data: { name: "Ada", extra: 1 } });
    const job = await desk.queue.of("acme").wait(id, { timeoutMs: 60_000 });
    expect(seen).toEqual([
      {
        attempt: 1,
        job: { id, tenant: "acme", queue: "greet", name: "first" },
        aborted: false,
      },
    ]);
    expect(job).toMatchObject({
      state: "completed",
      result: '"Hello, Ada"',
      data: '{"name":"Ada","extra":1}',
      attemptsMade: 1,
      crashes: 0,
      error: null,
    });
  });

  test("the worker's name stands on its jobs and in the list of workers, until it has stopped", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    const { worker } = startWorker(desk, () => gate.pass(), { id: "press-1", concurrency: 3 });
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await gate.reached();
    expect(await desk.ours.get(id)).toMatchObject({ state: "active", worker: "press-1" });
    expect(worker.active).toBe(1);
    expect(await desk.ours.workers()).toMatchObject([
      { id: "press-1", tenant: "*", queues: ["work"], concurrency: 3 },
    ]);
    // Later heartbeats say what it is doing.
    await desk.advance(10_000);
    expect(await desk.ours.workers()).toMatchObject([{ active: 1, jobsProcessed: 0 }]);
    gate.open();
    await ended(desk, id);
    await desk.advance(10_000);
    expect(await desk.ours.workers()).toMatchObject([{ active: 0, jobsProcessed: 1 }]);
    await worker.drain(0);
    expect(await desk.ours.workers()).toEqual([]);
  });
});

describe("a handler that fails", () => {
  const odd = (): never => {
    throw new RangeError("no");
  };
  const thrown: readonly [what: string, value: unknown, error: Record<string, unknown>][] = [
    ["an Error", new Error("broken"), { message: "broken" }],
    [
      "a HandlerError",
      new HandlerError("NETWORK_ERROR", "no route", { stage: "download" }),
      { code: "NETWORK_ERROR", message: "no route", stage: "download" },
    ],
    [
      "a system error",
      Object.assign(new Error("gone"), { code: "ENOENT" }),
      { code: "ENOENT", message: "gone" },
    ],
    ["a string", "just text", { message: "just text" }],
    ["nothing", undefined, { message: "undefined" }],
    ["null", null, { message: "null" }],
    ["a symbol", Symbol("s"), { message: "Symbol(s)" }],
    ["half a character", new Error("a\ud800b"), { message: "a\ufffdb" }],
    ["a long message", new Error("x".repeat(100_000)), { message: "x".repeat(10_000) }],
    ["an object without prototype", Object.create(null), {}],
    ["an object that cannot be spelled", { toString: odd }, {}],
    ["an Error whose message is no text", Object.assign(new Error("x"), { message: 5 }), {}],
    ["an Error whose stack is no text", Object.assign(new Error("x"), { stack: {} }), {}],
    [
      "an Error whose code is no text",
      Object.assign(new Error("x"), { code: 5 }),
      { message: "x" },
    ],
    ["an Error that throws", Object.defineProperty(new Error("x"), "message", { get: odd }), {}],
  ];

  test.each(thrown)("throws %s", async (_, value, error) => {
    const desk = await Desk.open();
    const { errors } = startWorker(desk, async ({ data }) => {
      if (data === "fail") throw value;
      return "fine";
    });
    const failed = await ended(desk, await desk.ours.add({ queue: "work", data: "fail" }));
    expect(failed).toMatchObject({ state: "failed", attemptsMade: 1, crashes: 0, error });
    expect(typeof failed.error?.message).toBe("string");
    // The worker goes on.
    const next = await ended(desk, await desk.ours.add({ queue: "work", data: "work" }));
    expect(next.state).toBe("completed");
    expect(errors).toEqual([]);
  });

  test("throws before it returns a promise", async () => {
    const desk = await Desk.open();
    const run = (): never => {
      throw new Error("at once");
    };
    startWorker(desk, [defineHandler(anything("work"), run)]);
    const job = await ended(desk, await desk.ours.add({ queue: "work", data: 1 }));
    expect(job).toMatchObject({ state: "failed", error: { message: "at once" } });
    expect(job.error?.stack).toContain("worker.test.ts");
  });

  test("is run again after its backoff, which doubles, until no attempt is left", async () => {
    const desk = await Desk.open();
    const attempts: number[] = [];
    let failed = told(desk, "job.failed");
    startWorker(desk, async ({ attempt }) => {
      attempts.push(attempt);
      throw new HandlerError("E", `attempt ${attempt}`);
    });
    const id = await desk.ours.add({ queue: "work", data: 1, maxAttempts: 3, backoffMs: 1000 });
    for (const delay of [1000, 2000]) {
      expect(await failed).toMatchObject({ jobId: id, final: false });
      const runAt = desk.clock.now() + delay;
      expect(await desk.ours.get(id)).toMatchObject({ state: "delayed", runAt });
      const so = attempts.length;
      await desk.advance(delay - 1);
      expect(attempts).toHaveLength(so);
      failed = told(desk, "job.failed");
      desk.clock.advance(1);
    }
    expect(await failed).toMatchObject({ jobId: id, final: true });
    expect(await desk.ours.get(id)).toMatchObject({
      state: "failed",
      attemptsMade: 3,
      error: { code: "E", message: "attempt 3" },
    });
    expect(attempts).toEqual([1, 2, 3]);
  });

  test("finds the data at fault: no further attempt", async () => {
    const desk = await Desk.open();
    startWorker(desk, async () => {
      throw new HandlerError("EMPTY_SHEET", "nothing to read", {
        dataFault: true,
        stage: "parsing",
      });
    });
    const job = await ended(desk, await desk.ours.add({ queue: "work", data: 1, maxAttempts: 5 }));
    expect(job).toMatchObject({
      state: "failed",
      attemptsMade: 1,
      error: { code: "EMPTY_SHEET", message: "nothing to read", stage: "parsing" },
    });
  });

  test.each([
    ["NETWORK_ERROR", "delayed"],
    ["TEMPORARY_FAILURE", "delayed"],
    ["PARSE_ERROR", "failed"],
  ])("with the code %s is %s where the type retries some codes only", async (code, state) => {
    const desk = await Desk.open();
    const event = told(desk, "job.failed");
    startWorker(desk, [
      defineHandler(securityScan, async () => {
        throw new HandlerError(code, "no");
      }),
    ]);
    const data = { filePath: "a.csv", datasetId: "d" };
    const id = await desk.ours.add({ queue: "security_scan", data });
    await event;
    expect(await desk.ours.get(id)).toMatchObject({ state, attemptsMade: 1, error: { code } });
  });

  const strict = defineJobType({
    name: "strict",
    title: "Strict",
    data: z.looseObject({ count: z.number() }),
    result: z.looseObject({ total: z.number() }),
    defaults: { attempts: 1, backoffMs: 1, timeoutMs: 1000 },
  });

  test("returns what its type does not know as a result: a failed attempt", async () => {
    const desk = await Desk.open();
    startWorker(desk, [defineHandler(strict, async () => ({ total: "many" }) as never)]);
    const job = await ended(desk, await desk.ours.add({ queue: "strict", data: { count: 1 } }));
    expect(job).toMatchObject({
      state: "failed",
      attemptsMade: 1,
      result: null,
      error: {
        code: "INVALID_RESULT",
        message: "The handler's result is wrong: total: Expected number, received string",
      },
    });
  });

  const circle: Record<string, unknown> = { total: 1 };
  circle["self"] = circle;
  test.each([
    ["a number JSON cannot say", { total: 1, more: Number.NaN }],
    ["a circle", circle],
    ["a big integer", { total: 1, more: 1n }],
    ["what throws when it is spelled", { total: 1, more: { toJSON: odd } }],
  ])("returns %s: a failed attempt", async (_, result) => {
    const desk = await Desk.open();
    const { errors } = startWorker(desk, [defineHandler(strict, async () => result as never)]);
    const job = await ended(desk, await desk.ours.add({ queue: "strict", data: { count: 1 } }));
    expect(job).toMatchObject({ state: "failed", attemptsMade: 1, result: null });
    expect(job.error?.message).toMatch(/^result/);
    expect(errors).toEqual([]);
  });

  test("is not called for data its type refuses by now, which fail without retries", async () => {
    const desk = await Desk.open();
    const run = vi.fn(async () => ({ total: 1 }));
    startWorker(desk, [defineHandler(strict, run)]);
    const job = await ended(
      desk,
      await desk.ours.add({ queue: "strict", data: { count: "one" }, maxAttempts: 5 }),
    );
    expect(job).toMatchObject({
      state: "failed",
      attemptsMade: 1,
      error: { code: "INVALID_DATA", message: "count: Expected number, received string" },
    });
    expect(run).not.toHaveBeenCalled();
  });
});

describe("slots", () => {
  test("as many jobs as the worker's concurrency run at once, and each end makes room for the next", async () => {
    const desk = await Desk.open();
    const gates = new Map<number, Gate>();
    const begun: number[] = [];
    let running = 0;
    let most = 0;
    const { worker } = startWorker(
      desk,
      async ({ data }) => {
        most = Math.max(most, ++running);
        begun.push(data as number);
        await gates.get(data as number)?.pass();
        running--;
      },
      { concurrency: 3 },
    );
    for (let i = 0; i < 12; i++) gates.set(i, new Gate());
    const added = await desk.ours.addMany(
      Array.from({ length: 12 }, (_, data) => ({ queue: "work", data })),
      { atomic: true },
    );
    await gates.get(2)?.reached();
    await desk.settle();
    expect(begun).toEqual([0, 1, 2]);
    expect(worker.active).toBe(3);
    // One goes, one comes: never do slots wait for each other.
    for (let i = 0; i < 12; i++) {
      gates.get(i)?.open();
      await ended(desk, added[i] as number);
      await gates.get(i + 3)?.reached();
      expect(begun).toHaveLength(Math.min(12, i + 4));
    }
    expect(most).toBe(3);
    expect(worker.active).toBe(0);
  });

  test("are filled with one claim, where there is work for all of them", async () => {
    const desk = await Desk.open();
    await desk.ours.addMany(
      Array.from({ length: 60 }, (_, data) => ({ queue: "work", data })),
      { atomic: true },
    );
    const claim = vi.spyOn(desk.adapter, "claim");
    const gate = new Gate();
    startWorker(desk, () => gate.pass(), { concurrency: 50 });
    await gate.reached(50);
    expect(claim).toHaveBeenCalledTimes(1);
    gate.open();
    await expect.poll(async () => (await desk.ours.count()).completed).toBe(60);
    // Ends that come together make room for a single one.
    expect(claim.mock.calls.length).toBeLessThan(5);
  });

  test("limits by queue hold, whoever sets them, and a full queue holds up no other", async () => {
    const desk = await Desk.open();
    const running = new Map<string, number>();
    const most = new Map<string, number>();
    const run: Run = async ({ job: { queue } }) => {
      const now = (running.get(queue) ?? 0) + 1;
      running.set(queue, now);
      most.set(queue, Math.max(now, most.get(queue) ?? 0));
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      running.set(queue, now - 1 < 0 ? 0 : (running.get(queue) ?? 1) - 1);
    };
    startWorker(
      desk,
      [
        handlerOf("by-option", run),
        handlerOf("by-handler", run, { concurrency: 1 }),
        handlerOf("by-both", run, { concurrency: 4 }),
        handlerOf("free", run),
      ],
      { concurrency: 8, perQueue: { "by-option": 2, "by-both": 3 } },
    );
    const queues = ["by-option", "by-handler", "by-both", "free"];
    const added = await desk.ours.addMany(
      Array.from({ length: 200 }, (_, i) => ({ queue: queues[i % 4] as string, data: i })),
      { atomic: true },
    );
    await Promise.all(added.map((id) => ended(desk, id as number)));
    expect(Object.fromEntries(most)).toMatchObject({
      "by-option": 2,
      "by-handler": 1,
      "by-both": 3,
    });
    expect(most.get("free")).toBeLessThanOrEqual(8);
  });

  test("a job for a queue that has room again is found although the worker waits for others", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    startWorker(
      desk,
      [
        handlerOf("narrow", ({ data }) => (data === "first" ? gate.pass() : Promise.resolve()), {
          concurrency: 1,
        }),
        handlerOf("wide", async () => undefined),
      ],
      { concurrency: 4 },
    );
    const first = await desk.ours.add({ queue: "narrow", data: "first" });
    await gate.reached();
    const second = await desk.ours.add({ queue: "narrow", data: "second" });
    // By now the worker waits for jobs of the other queue alone.
    await desk.settle();
    gate.open();
    await ended(desk, first);
    expect((await ended(desk, second)).state).toBe("completed");
  });

  test("a queue given no room at all is left alone", async () => {
    const desk = await Desk.open();
    startWorker(desk, [handlerOf("off", async () => 1), handlerOf("on", async () => 1)], {
      perQueue: { off: 0 },
    });
    const off = await desk.ours.add({ queue: "off", data: 1 });
    await ended(desk, await desk.ours.add({ queue: "on", data: 1 }));
    await desk.settle();
    expect((await desk.ours.get(off)).state).toBe("waiting");
  });

  test("what is more urgent runs first", async () => {
    const desk = await Desk.open();
    const priorities = [5, 0, -9, 3, -1, 0, 1_000_000, -1_000_000];
    const added = await desk.ours.addMany(
      priorities.map((priority) => ({ queue: "work", data: priority, priority })),
      { atomic: true },
    );
    const order: unknown[] = [];
    startWorker(desk, async ({ data }) => void order.push(data), { concurrency: 1 });
    await Promise.all(added.map((id) => ended(desk, id as number)));
    expect(order).toEqual(priorities.toSorted((a, b) => a - b));
  });

  test("several workers share a queue, and nothing is run twice", async () => {
    const desk = await Desk.open();
    const runs = new Map<unknown, number>();
    const gate = new Gate();
    const count = long ? 5000 : 500;
    const run: Run = async ({ data }) => {
      runs.set(data, (runs.get(data) ?? 0) + 1);
      await gate.pass();
    };
    const workers = [1, 2, 3, 4].map(
      (i) => startWorker(desk, run, { id: `w${i}`, concurrency: 3 }).worker,
    );
    const ids: number[] = [];
    for (let i = 0; i < count; i += 500) {
      const added = await desk.ours.addMany(
        Array.from({ length: 500 }, (_, j) => ({ queue: "work", data: i + j })),
        { atomic: true },
      );
      ids.push(...(added as number[]));
    }
    await gate.reached(12);
    expect(workers.map((worker) => worker.active)).toEqual([3, 3, 3, 3]);
    gate.open();
    const jobs = await Promise.all(ids.map((id) => ended(desk, id)));
    expect(new Set(jobs.map((job) => job.worker)).size).toBe(4);
    expect(jobs.every((job) => job.state === "completed" && job.crashes === 0)).toBe(true);
    expect(runs.size).toBe(count);
    expect([...runs.values()].every((times) => times === 1)).toBe(true);
  });

  test("whatever happens in handlers, every job ends once and every slot comes back", async () => {
    const deeds = fc.array(
      fc.record({
        queue: fc.constantFrom("a", "b", "c"),
        deed: fc.constantFrom("return", "throw", "later", "throw later", "refuse"),
        turns: fc.nat(4),
        maxAttempts: fc.integer({ min: 1, max: 3 }),
        priority: fc.integer({ min: -2, max: 2 }),
      }),
      { minLength: 1, maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(
        deeds,
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 3 }),
        async (list, concurrency, ofA) => {
          const desk = await Desk.open();
          let running = 0;
          let most = 0;
          let ofQueueA = 0;
          let mostOfA = 0;
          const runs = new Map<number, number>();
          const run: Run = async ({ data, job }) => {
            const { deed, turns } = data as { deed: string; turns: number };
            runs.set(job.id, (runs.get(job.id) ?? 0) + 1);
            most = Math.max(most, ++running);
            if (job.queue === "a") mostOfA = Math.max(mostOfA, ++ofQueueA);
            try {
              if (deed.endsWith("later")) {
                for (let i = 0; i < turns; i++) await new Promise((next) => setImmediate(next));
              }
              if (deed.startsWith("throw")) throw new Error(deed);
              if (deed === "refuse") throw new HandlerError("BAD", deed, { dataFault: true });
            } finally {
              running--;
              if (job.queue === "a") ofQueueA--;
            }
          };
          const { worker, errors } = startWorker(
            desk,
            ["a", "b", "c"].map((queue) => handlerOf(queue, run)),
            { concurrency, perQueue: { a: ofA } },
          );
          const added = (await desk.ours.addMany(
            list.map(({ queue, maxAttempts, priority, ...data }) => ({
              queue,
              data,
              maxAttempts,
              priority,
              backoffMs: 0,
            })),
            { atomic: true },
          )) as number[];
          const jobs = await Promise.all(added.map((id) => ended(desk, id)));
          for (const [i, job] of jobs.entries()) {
            const { deed, maxAttempts } = list[i] as (typeof list)[number];
            const fails = deed !== "return" && deed !== "later";
            const expected = fails && deed !== "refuse" ? maxAttempts : 1;
            expect(job).toMatchObject({
              state: fails ? "failed" : "completed",
              attemptsMade: expected,
              crashes: 0,
            });
            expect(runs.get(job.id)).toBe(expected);
          }
          expect(most).toBeLessThanOrEqual(concurrency);
          expect(mostOfA).toBeLessThanOrEqual(ofA);
          await desk.settle();
          expect(worker.active).toBe(0);
          expect(errors).toEqual([]);
          await worker.drain(0);
          await desk.queue.close();
        },
      ),
      { numRuns: long ? 400 : 25 },
    );
  });
});

describe("reports", () => {
  test("are gathered, and visible while the handler runs", async () => {
    const desk = await Desk.open();
    const reports = [vi.spyOn(desk.adapter, "progress"), vi.spyOn(desk.adapter, "log")];
    const gate = new Gate();
    startWorker(desk, async ({ progress, log }) => {
      for (let i = 1; i <= 10_000; i++) {
        progress({ items: { total: 20_000, processed: i, failed: 1 }, message: `row ${i}` });
        if (i <= 500) log(`line ${i}`);
      }
      await gate.pass();
    });
    const event = told(desk, "job.progress");
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await gate.reached();
    // Promised is a second.
    desk.clock.advance(1000);
    expect(await event).toMatchObject({ jobId: id, progress: 50, message: "row 10000" });
    const job = await desk.ours.get(id);
    expect(job).toMatchObject({ state: "active", progress: 50, progressMessage: "row 10000" });
    expect(job.stats).toMatchObject({ totalItems: 20_000, processedItems: 10_000, failedItems: 1 });
    const { lines, total } = await desk.ours.logs(id, { offset: 0, limit: 1000 });
    expect(total).toBe(500);
    expect(lines.map(({ line }) => line)).toEqual(
      Array.from({ length: 500 }, (_, i) => `line ${i + 1}`),
    );
    for (const report of reports) expect(report).toHaveBeenCalledTimes(1);
  });

  test("made just before the end are kept with the job", async () => {
    const desk = await Desk.open();
    startWorker(desk, async ({ progress, log, data }) => {
      progress({ items: { total: 4, processed: 2, failed: 0 } });
      progress({ message: "almost" });
      log("last words");
      if (data === "fail") throw new Error("no");
    });
    for (const data of ["fine", "fail"]) {
      const id = await desk.ours.add({ queue: "work", data });
      const job = await ended(desk, id);
      expect(job).toMatchObject({
        state: data === "fail" ? "failed" : "completed",
        // What is completed is done to the full, whatever was told last.
        progress: data === "fail" ? 50 : 100,
        progressMessage: "almost",
        stats: { totalItems: 4, processedItems: 2 },
      });
      const { lines } = await desk.ours.logs(id, { offset: 0, limit: 10 });
      expect(lines.map(({ line }) => line)).toEqual(["last words"]);
    }
  });

  test("say speed and estimated end by the worker's clock", async () => {
    const desk = await Desk.open();
    startWorker(desk, async ({ progress }) => {
      desk.clock.advance(2000);
      progress({ items: { total: 40, processed: 10, failed: 3 } });
    });
    const job = await ended(desk, await desk.ours.add({ queue: "work", data: 1 }));
    expect(job.stats).toEqual({
      totalItems: 40,
      processedItems: 10,
      failedItems: 3,
      averageItemMs: 200,
      itemsPerSecond: 5,
      estimatedEnd: desk.clock.now() + 6000,
    });
  });

  test("out of bounds, too long or no numbers are put right rather than losing the job", async () => {
    const desk = await Desk.open();
    const { errors } = startWorker(desk, async ({ progress, log, spend, data }) => {
      if (data === "over") progress({ progress: Infinity });
      if (data === "under") progress({ progress: -1 });
      if (data === "none") {
        progress({ items: { total: 10, processed: 3, failed: 0 } });
        progress({ items: { total: 10, processed: 3, failed: Infinity } });
        progress({ items: { total: 10, processed: Number.NaN, failed: 0 } });
        progress({ progress: Number.NaN });
      }
      progress({ message: `${"x".repeat(9999)}\ud83d\ude00` });
      log("y".repeat(20_000));
      log("\ud800");
      for (const tokens of [10, Number.NaN, Infinity, -5, 2.4]) spend(tokens);
      if (data !== "complete") throw new Error("no");
    });
    for (const [data, progress] of [
      ["over", 100],
      ["under", 0],
      ["none", 30],
      ["complete", 100],
    ] as const) {
      const id = await desk.ours.add({ queue: "work", data });
      const job = await ended(desk, id);
      const state = data === "complete" ? "completed" : "failed";
      expect(job).toMatchObject({ state, progress, attemptsMade: 1 });
      if (data === "none") expect(job.stats).toMatchObject({ processedItems: 3, failedItems: 0 });
      // Cut, but not through a character.
      expect(job.progressMessage).toBe(`${"x".repeat(9999)}\ufffd`);
      const { lines } = await desk.ours.logs(id, { offset: 0, limit: 10 });
      expect(lines.map(({ line }) => line)).toEqual(["y".repeat(10_000), "\ufffd"]);
    }
    expect(await desk.ours.stats({ queues: ["work"] })).toMatchObject([{ tokens: 12 }]);
    expect(errors).toEqual([]);
  });

  test("of a handler that goes on after its end change nothing", async () => {
    const desk = await Desk.open();
    const late = Promise.withResolvers<void>();
    const gate = new Gate();
    const { errors } = startWorker(desk, async ({ progress, log, spend }) => {
      void gate.pass().then(() => {
        progress({ progress: 99, message: "too late" });
        log("too late");
        spend(5);
        late.resolve();
      });
      throw new Error("no");
    });
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await ended(desk, id);
    gate.open();
    await late.promise;
    await desk.advance(1000);
    expect(await desk.ours.get(id)).toMatchObject({ progress: 0, progressMessage: null });
    expect(await desk.ours.logs(id, { offset: 0, limit: 10 })).toEqual({ lines: [], total: 0 });
    expect(errors).toEqual([]);
  });
});

describe("large payloads", () => {
  const text = "\u00e9".repeat(INLINE_BYTES / 2 + 1);

  test("a result over the limit goes to a file, comes back whole, and goes with its job", async () => {
    const desk = await Desk.open();
    startWorker(desk, async () => ({ text }));
    const id = await desk.ours.add({ queue: "work", data: 1 });
    const job = await ended(desk, id);
    const bytes = Buffer.byteLength(JSON.stringify({ text }));
    expect(job.result).toEqual({ file: expect.any(String), bytes });
    const { result } = await desk.ours.load(job);
    expect(result).toBe(JSON.stringify({ text }));
    expect(await desk.files()).toHaveLength(1);
    await desk.ours.remove(id);
    expect(await desk.files()).toEqual([]);
  });

  test("data in a file reach the handler", async () => {
    const desk = await Desk.open();
    const lengths: number[] = [];
    const type = defineJobType({
      name: "sentiment_analysis_batch",
      title: "Sentiment",
      data: z.looseObject({ texts: z.array(z.string()) }),
      result: z.any(),
      defaults: { attempts: 1, backoffMs: 1, timeoutMs: 1000 },
    });
    startWorker(desk, [
      defineHandler(type, async ({ data }) => lengths.push(data.texts.join("").length)),
    ]);
    const texts = Array.from({ length: 150 }, () => "\u00e9".repeat(10_000));
    const id = await desk.ours.add({ queue: "sentiment_analysis_batch", data: { texts } });
    expect(await desk.files()).toHaveLength(1);
    expect((await ended(desk, id)).state).toBe("completed");
    expect(lengths).toEqual([1_500_000]);
  });

  test("whose file is gone fail the attempt with a clear error", async () => {
    const desk = await Desk.open();
    const run = vi.fn(async () => 1);
    const id = await desk.ours.add({
      queue: "sentiment_analysis_batch",
      data: { texts: Array.from({ length: 150 }, () => "x".repeat(10_000)) },
      maxAttempts: 1,
    });
    for (const file of await desk.files()) await rm(`${desk.folder}/${file}`);
    startWorker(desk, [handlerOf("sentiment_analysis_batch", run)]);
    expect(await ended(desk, id)).toMatchObject({
      state: "failed",
      error: { message: "A job's large payload cannot be read", code: "UNAVAILABLE" },
    });
    expect(run).not.toHaveBeenCalled();
  });

  test.each(["cancelled", "removed by its timeout"])(
    "a result of a run that was %s meanwhile leaves no file behind",
    async (how) => {
      const desk = await Desk.open();
      const gate = new Gate();
      startWorker(desk, async () => {
        await gate.pass();
        return { text };
      });
      const id = await desk.ours.add({ queue: "work", data: 1, timeoutMs: 1000 });
      await gate.reached();
      if (how === "cancelled") await desk.ours.cancel(id, { running: true });
      else await desk.advance(1000);
      gate.open();
      const job = await ended(desk, id);
      expect(job.state).toBe(how === "cancelled" ? "cancelled" : "failed");
      expect(job.result).toBeNull();
      await expect.poll(() => desk.files()).toEqual([]);
    },
  );

  test("a result of a run that another ended leaves no file behind", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    const { errors } = startWorker(desk, async () => {
      await gate.pass();
      return { text };
    });
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await gate.reached();
    await desk.ours.fail({ id, error: "ended by hand" });
    gate.open();
    await expect.poll(() => errors).toHaveLength(1);
    expect(errors[0]?.error).toMatchObject({ code: "STALE_LEASE" });
    expect(await desk.ours.get(id)).toMatchObject({ state: "failed", result: null });
    await expect.poll(() => desk.files()).toEqual([]);
  });
});
