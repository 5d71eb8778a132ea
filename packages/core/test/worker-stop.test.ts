import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { SqliteAdapter } from "../src/adapters/sqlite/index.ts";
import { systemClock } from "../src/clock.ts";
import { QueueError } from "../src/errors.ts";
import { defineHandler, HandlerCrash, HandlerError } from "../src/handler.ts";
import { securityScan } from "../src/job-types/security-scan.ts";
import { INLINE_BYTES } from "../src/payload-files.ts";
import { CRASH_LIMIT } from "../src/retry-policy.ts";
import { STOP_GRACE_MS } from "../src/worker.ts";
import { Desk } from "./desk.ts";
import { ended, Gate, handlerOf, type Run, startWorker, told } from "./run-worker.ts";

const long = process.env["JOBYARD_LONG"] === "1";

/** Heeds its signal: rejects with the reason. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });
}

/** Until it is called off, the store refuses whatever a worker asks of it. */
function outage(desk: Desk): () => void {
  const methods = [
    "claim",
    "renew",
    "complete",
    "fail",
    "release",
    "progress",
    "log",
    "heartbeatWorker",
    "forgetWorker",
  ] as const;
  const spies = methods.map((method) => vi.spyOn(desk.adapter, method));
  const error = new QueueError("UNAVAILABLE", "The store cannot be reached");
  for (const spy of spies) spy.mockRejectedValue(error);
  return () => {
    for (const spy of spies) spy.mockRestore();
  };
}

describe("a run that takes longer than its timeout", () => {
  test("is told to stop, told as stalled, and counted as a failed attempt", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    const reasons: unknown[] = [];
    startWorker(desk, async ({ signal }) => {
      void gate.pass();
      await aborted(signal).catch((error: unknown) => {
        reasons.push(error);
        throw error;
      });
    });
    const spec = { queue: "work", data: 1, timeoutMs: 1000, maxAttempts: 2, backoffMs: 5000 };
    const id = await desk.ours.add(spec);
    await gate.reached(1);
    await desk.advance(999);
    expect((await desk.ours.get(id)).state).toBe("active");
    const stalled = told(desk, "job.stalled");
    const failed = told(desk, "job.failed");
    await desk.advance(1);
    expect(await stalled).toMatchObject({ jobId: id, error: "timeout" });
    expect(await failed).toMatchObject({ jobId: id, final: false });
    const error = { code: "timeout", message: "timeout: not done within 1000 ms" };
    expect(await desk.ours.get(id)).toMatchObject({
      state: "delayed",
      runAt: desk.clock.now() + 5000,
      attemptsMade: 1,
      crashes: 0,
      error,
    });
    await desk.advance(5000);
    await gate.reached(2);
    await desk.advance(1000);
    const job = await ended(desk, id);
    expect(job).toMatchObject({ state: "failed", attemptsMade: 2, crashes: 0, error });
    expect(reasons).toEqual([expect.any(HandlerError), expect.any(HandlerError)]);
  });

  test("has its type's timeout if the job has none of its own", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    startWorker(desk, [
      defineHandler(securityScan, ({ signal }) => {
        void gate.pass();
        return aborted(signal);
      }),
    ]);
    const data = { filePath: "a.csv", datasetId: "d" };
    const id = await desk.ours.add({ queue: "security_scan", data });
    await gate.reached();
    // Its lease is renewed meanwhile.
    await desk.pass(1_799_999, 60_000);
    expect(await desk.ours.get(id)).toMatchObject({ state: "active", crashes: 0 });
    await desk.advance(1);
    // The type retries network errors only.
    expect(await ended(desk, id)).toMatchObject({ state: "failed", error: { code: "timeout" } });
  });

  test("is given up when its handler never settles: its slot is free again", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    const begun: unknown[] = [];
    const { worker, errors } = startWorker(
      desk,
      async ({ data }) => {
        begun.push(data);
        if (data === "stuck") await gate.pass();
        return data;
      },
      { concurrency: 1 },
    );
    const stuck = await desk.ours.add({ queue: "work", data: "stuck", timeoutMs: 1000 });
    const next = await desk.ours.add({ queue: "work", data: "next" });
    await gate.reached();
    await desk.advance(1000);
    expect(await ended(desk, stuck)).toMatchObject({ state: "failed", attemptsMade: 1 });
    // Its handler may still be at work.
    await desk.advance(STOP_GRACE_MS - 1);
    expect(begun).toEqual(["stuck"]);
    expect(worker.active).toBe(1);
    await desk.advance(1);
    expect((await ended(desk, next)).state).toBe("completed");
    expect(errors).toEqual([{ error: expect.any(Error), doing: `stop job ${stuck} of work` }]);
    // What it does in the end concerns nobody any more.
    gate.open();
    await desk.settle();
    expect(await desk.ours.get(stuck)).toMatchObject({ state: "failed", result: null });
    expect(worker.active).toBe(0);
    expect(errors).toHaveLength(1);
  });

  test("is not completed although its handler returns, when it held up all timers", async () => {
    const desk = await Desk.open();
    const { worker } = startWorker(desk, async () => {
      // Nothing else has its turn before it returns.
      desk.clock.advance(1500);
      return "late";
    });
    const id = await desk.ours.add({ queue: "work", data: 1, timeoutMs: 1000 });
    expect(await ended(desk, id)).toMatchObject({
      state: "failed",
      attemptsMade: 1,
      crashes: 0,
      result: null,
      error: { code: "timeout" },
    });
    await desk.settle();
    expect(worker.active).toBe(0);
  });

  test("and blocks the event loop for real, is timed out as any other", async () => {
    const adapter = new SqliteAdapter({ path: ":memory:" });
    const desk = await Desk.open({ adapter, clock: systemClock });
    const order: unknown[] = [];
    startWorker(desk, async ({ data }) => {
      order.push(data);
      if (data === "block") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
      return "done";
    });
    const block = await desk.ours.add({ queue: "work", data: "block", timeoutMs: 100 });
    expect(await ended(desk, block)).toMatchObject({
      state: "failed",
      attemptsMade: 1,
      crashes: 0,
      result: null,
      error: { code: "timeout" },
    });
    const next = await desk.ours.add({ queue: "work", data: "next", timeoutMs: 15_000 });
    expect((await ended(desk, next)).state).toBe("completed");
    expect(order).toEqual(["block", "next"]);
  });
});

describe("a run whose lease runs out", () => {
  test("is kept alive by its worker for as long as it takes", async () => {
    const desk = await Desk.open({ leaseMs: 9000 });
    const gate = new Gate();
    startWorker(desk, () => gate.pass());
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await gate.reached();
    await desk.pass(90_000, 1000);
    expect(await desk.ours.get(id)).toMatchObject({ state: "active", crashes: 0 });
    gate.open();
    expect(await ended(desk, id)).toMatchObject({ state: "completed", crashes: 0 });
  });

  test("is called off and runs again, counted as a crash, and its late result is not taken", async () => {
    const desk = await Desk.open({ leaseMs: 9000 });
    const gates = [new Gate(), new Gate()];
    const signals: AbortSignal[] = [];
    startWorker(desk, async ({ signal }) => {
      const run = signals.push(signal);
      await gates[run - 1]?.pass();
      return `run ${run}`;
    });
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await gates[0]?.reached();
    const away = vi.spyOn(desk.adapter, "renew");
    away.mockRejectedValue(new QueueError("UNAVAILABLE", "cut off"));
    const stalled = told(desk, "job.stalled", id);
    await desk.advance(9000);
    expect(await stalled).toMatchObject({ error: expect.stringContaining("no sign of life") });
    away.mockRestore();
    await gates[1]?.reached();
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
    expect(await desk.ours.get(id)).toMatchObject({ state: "active", crashes: 1, attemptsMade: 0 });
    gates[0]?.open();
    await desk.settle();
    expect((await desk.ours.get(id)).state).toBe("active");
    gates[1]?.open();
    expect(await ended(desk, id)).toMatchObject({
      state: "completed",
      result: '"run 2"',
      crashes: 1,
      attemptsMade: 1,
    });
  });

  test("is called off when its renewal says that it is over", async () => {
    const desk = await Desk.open({ leaseMs: 9000 });
    const gate = new Gate();
    const signals: AbortSignal[] = [];
    const { worker } = startWorker(desk, ({ signal }) => {
      signals.push(signal);
      void gate.pass();
      return aborted(signal);
    });
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await gate.reached();
    const ends = (["complete", "fail", "release"] as const).map((end) =>
      vi.spyOn(desk.adapter, end),
    );
    const over = new QueueError("STALE_LEASE", "over");
    vi.spyOn(desk.adapter, "renew").mockResolvedValueOnce([over]);
    await desk.advance(3000);
    expect(signals).toHaveLength(1);
    expect(signals[0]?.reason).toMatchObject({ code: "LOST" });
    expect(worker.active).toBe(0);
    // Whoever ended it has decided what becomes of the job.
    for (const end of ends) expect(end).not.toHaveBeenCalled();
    expect((await desk.ours.get(id)).state).toBe("active");
  });

  test("while the event loop is blocked beyond three leases, is run again or taken, never both", async () => {
    const adapter = new SqliteAdapter({ path: ":memory:" });
    const desk = await Desk.open({ adapter, clock: systemClock, leaseMs: 100 });
    const runs = new Map<unknown, number>();
    startWorker(desk, async ({ data }) => {
      const run = (runs.get(data) ?? 0) + 1;
      runs.set(data, run);
      // All of them hold leases when the first one blocks.
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (run === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 350);
      return run;
    });
    const added = await desk.ours.addMany(
      [0, 1, 2].map((data) => ({ queue: "work", data })),
      { atomic: true },
    );
    const jobs = await Promise.all(added.map((id) => ended(desk, id as number)));
    for (const [data, job] of jobs.entries()) {
      expect(job).toMatchObject({ state: "completed", attemptsMade: 1 });
      // Every run but the last was lost, and counted so.
      expect(job.crashes).toBe((runs.get(data) ?? 0) - 1);
      expect(job.result).toBe(String(runs.get(data)));
    }
  });
});

describe("a handler whose thread dies", () => {
  test("crashes the run: no attempt, and it is run again at once", async () => {
    const desk = await Desk.open();
    const attempts: number[] = [];
    startWorker(desk, async ({ attempt }) => {
      if (attempts.push(attempt) <= 2) throw new HandlerCrash("out of memory");
      return "survived";
    });
    const id = await desk.ours.add({ queue: "work", data: 1 });
    expect(await ended(desk, id)).toMatchObject({
      state: "completed",
      attemptsMade: 1,
      crashes: 2,
      error: null,
    });
    expect(attempts).toEqual([1, 1, 1]);
  });

  test("five times is in the dead-letter queue, with a clear error", async () => {
    const desk = await Desk.open();
    let runs = 0;
    const stalls: unknown[] = [];
    await desk.ours.subscribe({
      types: ["job.stalled"],
      onEvents: (events) => void stalls.push(...events),
    });
    startWorker(desk, async () => {
      runs++;
      throw new HandlerCrash("out of memory");
    });
    const id = await desk.ours.add({ queue: "work", data: 1, maxAttempts: 100 });
    const job = await ended(desk, id);
    expect(job).toMatchObject({ state: "failed", attemptsMade: 0, crashes: CRASH_LIMIT });
    expect(job.error?.code).toBe("crashed");
    expect(job.error?.message).toMatch(/5 times.*out of memory/);
    expect(runs).toBe(CRASH_LIMIT);
    expect(stalls).toHaveLength(CRASH_LIMIT);
    // By hand it starts anew.
    const again = told(desk, "job.failed", id);
    await desk.ours.retry(id);
    await again;
    expect(await desk.ours.get(id)).toMatchObject({ state: "failed", crashes: CRASH_LIMIT });
    expect(runs).toBe(2 * CRASH_LIMIT);
  });

  test.each([
    ["cancelled", "cancelled"],
    ["drained", "waiting"],
  ])("because it was stopped does not crash it: %s", async (how, state) => {
    const desk = await Desk.open();
    const gate = new Gate();
    const { worker } = startWorker(desk, ({ signal }) => {
      void gate.pass();
      return aborted(signal).catch(() => {
        throw new HandlerCrash("terminated");
      });
    });
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await gate.reached();
    if (how === "cancelled") await desk.ours.cancel(id, { running: true });
    else await worker.drain(0);
    await desk.settle();
    expect(await desk.ours.get(id)).toMatchObject({ state, attemptsMade: 0, crashes: 0 });
  });
});

describe("cancelling a running job", () => {
  const deeds: Readonly<Record<string, (signal: AbortSignal, gate: Gate) => Promise<unknown>>> = {
    "stops at once": aborted,
    "fails in its own way": (signal) =>
      aborted(signal).catch(() => {
        throw new TypeError("half written");
      }),
    "returns all the same": (signal) => aborted(signal).catch(() => "done after all"),
    "says its data are at fault": (signal) =>
      aborted(signal).catch(() => {
        throw new HandlerError("BAD", "no", { dataFault: true });
      }),
  };

  test.each(Object.keys(deeds))("cancels it when its handler %s", async (deed) => {
    const desk = await Desk.open();
    const gate = new Gate();
    const cancelled = told(desk, "job.cancelled");
    const seen: unknown[] = [];
    const { worker, errors } = startWorker(desk, async ({ signal }) => {
      void gate.pass();
      signal.addEventListener("abort", () => seen.push(signal.reason));
      return deeds[deed]?.(signal, gate);
    });
    const id = await desk.ours.add({ queue: "work", data: 1, maxAttempts: 3 });
    await gate.reached();
    await desk.ours.cancel(id, { running: true, reason: "changed my mind" });
    const job = await ended(desk, id);
    expect(job).toMatchObject({
      state: "cancelled",
      attemptsMade: 0,
      crashes: 0,
      result: null,
      error: { code: "cancelled", message: "changed my mind" },
    });
    expect(await cancelled).toMatchObject({ jobId: id, error: "changed my mind" });
    expect(seen).toEqual([expect.objectContaining({ code: "CANCELLED" })]);
    expect(worker.active).toBe(0);
    expect(errors).toEqual([]);
  });

  test("cancels it within five seconds although its handler ignores it", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    const { worker, errors } = startWorker(
      desk,
      ({ data }) => (data === "deaf" ? gate.pass() : Promise.resolve()),
      { concurrency: 1 },
    );
    const deaf = await desk.ours.add({ queue: "work", data: "deaf" });
    const next = await desk.ours.add({ queue: "work", data: "next" });
    await gate.reached();
    await desk.ours.cancel(deaf, { running: true });
    await desk.settle();
    expect((await desk.ours.get(deaf)).state).toBe("active");
    await desk.advance(5000);
    expect(await ended(desk, deaf)).toMatchObject({ state: "cancelled", attemptsMade: 0 });
    expect((await ended(desk, next)).state).toBe("completed");
    expect(errors).toEqual([{ error: expect.any(Error), doing: `stop job ${deaf} of work` }]);
    gate.open();
    await desk.settle();
    expect(await desk.ours.get(deaf)).toMatchObject({ state: "cancelled", result: null });
    expect(worker.active).toBe(0);
  });

  test("takes no longer by a clock on the wall", async () => {
    const adapter = new SqliteAdapter({ path: ":memory:" });
    const desk = await Desk.open({ adapter, clock: systemClock });
    const gate = new Gate();
    startWorker(desk, () => gate.pass());
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await gate.reached();
    const since = performance.now();
    await desk.ours.cancel(id, { running: true });
    expect((await ended(desk, id)).state).toBe("cancelled");
    expect(performance.now() - since).toBeLessThan(5000);
  });

  test("reaches a job that is being claimed in the same moment", async () => {
    const desk = await Desk.open();
    const id = await desk.ours.add({ queue: "work", data: 1 });
    const signals: AbortSignal[] = [];
    const claim = vi.spyOn(desk.adapter, "claim");
    const { promise, resolve } = Promise.withResolvers<void>();
    claim.mockImplementationOnce((params) => {
      // Behind the claim, in the same commit: the request to stop is there before the claim's answer.
      const claimed = SqliteAdapter.prototype.claim.call(desk.adapter, params);
      void desk.ours.cancel(id, { running: true }).then(resolve);
      return claimed;
    });
    const { worker } = startWorker(desk, ({ signal }) => {
      signals.push(signal);
      return aborted(signal);
    });
    await promise;
    expect(await ended(desk, id)).toMatchObject({ state: "cancelled", attemptsMade: 0 });
    expect(signals.every((signal) => signal.aborted)).toBe(true);
    expect(worker.active).toBe(0);
    // The worker goes on.
    const cancelled = told(desk, "job.cancelled");
    const next = await desk.ours.add({ queue: "work", data: 2 });
    await expect.poll(() => worker.active).toBe(1);
    await desk.ours.cancel(next, { running: true });
    await cancelled;
  });

  test("leaves no file of a result that is told in the same moment", async () => {
    const desk = await Desk.open();
    const complete = vi.spyOn(desk.adapter, "complete");
    const id = await desk.ours.add({ queue: "work", data: 1 });
    complete.mockImplementationOnce((params) => {
      void desk.ours.cancel(id, { running: true });
      return SqliteAdapter.prototype.complete.call(desk.adapter, params);
    });
    startWorker(desk, async () => "x".repeat(INLINE_BYTES));
    expect(await ended(desk, id)).toMatchObject({ state: "cancelled", result: null });
    await expect.poll(() => desk.files()).toEqual([]);
  });

  test("leaves no file of a result that was being written when it was given up", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    const { payloads } = desk.queue;
    const discard = vi.spyOn(payloads, "discard");
    const keepValue = payloads.keepValue.bind(payloads);
    vi.spyOn(payloads, "keepValue").mockImplementationOnce(async (value, field) => {
      const kept = await keepValue(value, field);
      await gate.pass();
      return kept;
    });
    startWorker(desk, async () => "x".repeat(INLINE_BYTES));
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await gate.reached();
    await desk.ours.cancel(id, { running: true });
    await desk.advance(STOP_GRACE_MS);
    expect((await ended(desk, id)).state).toBe("cancelled");
    expect(await desk.files()).toHaveLength(1);
    gate.open();
    await expect.poll(() => discard).toHaveBeenCalledTimes(1);
    await expect.poll(() => desk.files()).toEqual([]);
  });

  test("stops many at once", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    startWorker(
      desk,
      ({ signal }) => {
        void gate.pass();
        return aborted(signal);
      },
      { concurrency: 50 },
    );
    const added = await desk.ours.addMany(
      Array.from({ length: 60 }, (_, data) => ({ queue: "work", data })),
      { atomic: true },
    );
    await gate.reached(50);
    expect(await desk.ours.applyToMany({ queues: ["work"] }, "cancel")).toBe(60);
    const jobs = await Promise.all(added.map((id) => ended(desk, id as number)));
    expect(new Set(jobs.map((job) => job.state))).toEqual(new Set(["cancelled"]));
  });
});

describe("draining", () => {
  test("lets running jobs finish, and begins no other", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    const { worker } = startWorker(desk, () => gate.pass(), { concurrency: 2 });
    const [a, b, c] = (await desk.ours.addMany(
      [1, 2, 3].map((data) => ({ queue: "work", data })),
      { atomic: true },
    )) as [number, number, number];
    await gate.reached(2);
    let over = false;
    const drained = worker.drain(10_000).then(() => (over = true));
    await desk.advance(5000);
    expect(over).toBe(false);
    gate.open();
    await drained;
    expect((await desk.ours.get(a)).state).toBe("completed");
    expect((await desk.ours.get(b)).state).toBe("completed");
    expect(await desk.ours.get(c)).toMatchObject({ state: "waiting", crashes: 0 });
    const late = await desk.ours.add({ queue: "work", data: 4 });
    await desk.pass(60_000, 10_000);
    expect((await desk.ours.get(late)).state).toBe("waiting");
  });

  test.each([
    ["heed their signal", true],
    ["ignore it", false],
  ])("hands back within the time what has not finished, when handlers %s", async (_, heed) => {
    const desk = await Desk.open();
    const gate = new Gate();
    const { worker } = startWorker(
      desk,
      ({ signal }) => (heed ? Promise.race([gate.pass(), aborted(signal)]) : gate.pass()),
      { concurrency: 2 },
    );
    const ids = (await desk.ours.addMany(
      [1, 2, 3].map((data) => ({ queue: "work", data })),
      { atomic: true },
    )) as number[];
    await gate.reached(2);
    const drained = worker.drain(3000);
    await desk.pass(3000, 500);
    await drained;
    expect(worker.active).toBe(0);
    for (const id of ids) {
      expect(await desk.ours.get(id)).toMatchObject({
        state: "waiting",
        attemptsMade: 0,
        crashes: 0,
      });
    }
    // Nothing waits for a lease, and the old order stands.
    const next = await desk.ours.pull({ queue: "work", limit: 10 });
    expect(next.map(({ id }) => id)).toEqual(ids);
    // What abandoned handlers do in the end concerns nobody any more.
    gate.open();
    await desk.settle();
    expect((await desk.ours.count()).active).toBe(3);
  });

  test("keeps what handlers finish after they were told to stop", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    const { worker } = startWorker(desk, ({ signal, data }) => {
      void gate.pass();
      return aborted(signal).catch((error: unknown) => {
        if (data === "finish") return "just in time";
        throw error;
      });
    });
    const kept = await desk.ours.add({ queue: "work", data: "finish" });
    const back = await desk.ours.add({ queue: "work", data: "stop", maxAttempts: 1 });
    await gate.reached(2);
    await worker.drain(0);
    expect(await desk.ours.get(kept)).toMatchObject({
      state: "completed",
      result: '"just in time"',
    });
    expect(await desk.ours.get(back)).toMatchObject({ state: "waiting", attemptsMade: 0 });
  });

  test("cancels what was to be cancelled, whoever told the handler first", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    const { worker } = startWorker(desk, () => gate.pass(), { concurrency: 2 });
    const before = await desk.ours.add({ queue: "work", data: 1 });
    const during = await desk.ours.add({ queue: "work", data: 2 });
    await gate.reached(2);
    await desk.ours.cancel(before, { running: true });
    const drained = worker.drain(1000);
    await desk.advance(600);
    await desk.ours.cancel(during, { running: true });
    await desk.advance(400);
    await drained;
    expect((await desk.ours.get(before)).state).toBe("cancelled");
    expect((await desk.ours.get(during)).state).toBe("cancelled");
  });

  test("hands back jobs of a claim whose answer comes too late", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    const run = vi.fn(async () => null);
    const id = await desk.ours.add({ queue: "work", data: 1 });
    vi.spyOn(desk.adapter, "claim").mockImplementationOnce(async (params) => {
      const jobs = await SqliteAdapter.prototype.claim.call(desk.adapter, params);
      await gate.pass();
      return jobs;
    });
    const { worker } = startWorker(desk, run);
    await gate.reached();
    let over = false;
    const drained = worker.drain(5000).then(() => (over = true));
    await desk.settle();
    expect(over).toBe(false);
    gate.open();
    await drained;
    expect(run).not.toHaveBeenCalled();
    expect(await desk.ours.get(id)).toMatchObject({ state: "waiting", crashes: 0 });
  });

  test("does not wait for a store that is away", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    const { worker } = startWorker(desk, () => gate.pass());
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await gate.reached();
    const back = outage(desk);
    gate.open();
    await desk.settle();
    let over = false;
    void worker.drain(2000).then(() => (over = true));
    await desk.pass(5000, 250);
    expect(over).toBe(true);
    back();
    // It was not told: the lease runs out, and the job is not lost.
    await desk.pass(300_000, 10_000);
    expect(await desk.ours.get(id)).toMatchObject({ state: "waiting", crashes: 1 });
  });

  test("can be asked for twice, before the start, and of an idle worker", async () => {
    const desk = await Desk.open();
    const { worker } = startWorker(desk, async () => null);
    await desk.settle();
    await Promise.all([worker.drain(60_000), worker.drain(0)]);
    await worker.drain(0);
    worker.start();
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await desk.settle();
    expect((await desk.ours.get(id)).state).toBe("waiting");
  });

  test("at any moment leaves every job finished or waiting, and another worker does the rest", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ turns: fc.nat(12), heed: fc.boolean() }), {
          minLength: 1,
          maxLength: 30,
        }),
        fc.nat(20),
        fc.integer({ min: 1, max: 8 }),
        async (list, moment, concurrency) => {
          const desk = await Desk.open();
          const done = new Map<number, number>();
          const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
          const run: Run = async ({ data, signal, job }) => {
            const { turns, heed } = data as (typeof list)[number];
            for (let i = 0; i < turns; i++) {
              await turn();
              if (heed) signal.throwIfAborted();
            }
            done.set(job.id, (done.get(job.id) ?? 0) + 1);
          };
          const first = startWorker(desk, run, { id: "first", concurrency });
          const ids = (await desk.ours.addMany(
            list.map((data) => ({ queue: "work", data })),
            { atomic: true },
          )) as number[];
          for (let i = 0; i < moment; i++) await turn();
          await first.worker.drain(0);
          const { waiting, completed } = await desk.ours.count();
          expect(waiting + completed).toBe(list.length);
          startWorker(desk, run, { id: "second", concurrency });
          for (const [i, id] of ids.entries()) {
            const job = await ended(desk, id);
            expect(job).toMatchObject({ state: "completed", attemptsMade: 1, crashes: 0 });
            // A handler that is deaf may still be at it when the next one begins.
            if (list[i]?.heed === true) expect(done.get(id)).toBe(1);
          }
        },
      ),
      { numRuns: long ? 300 : 20 },
    );
  });
});

describe("while the store is away", () => {
  test("a worker asks again, and takes up its work afterwards", async () => {
    const desk = await Desk.open();
    const id = await desk.ours.add({ queue: "work", data: 1 });
    const back = outage(desk);
    const { errors } = startWorker(desk, async () => "done");
    await desk.pass(5000, 500);
    expect((await desk.ours.get(id)).state).toBe("waiting");
    expect(new Set(errors.map(({ doing }) => doing))).toContain("claim jobs");
    // Not as fast as it can.
    expect(errors.length).toBeLessThan(20);
    back();
    await desk.advance(500);
    expect((await ended(desk, id)).state).toBe("completed");
  });

  test("ends are kept and told when it is back, each once", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    let runs = 0;
    const { worker } = startWorker(
      desk,
      async ({ data, progress, log }) => {
        runs++;
        await gate.pass();
        progress({ progress: 40, message: "while it was away" });
        log("while it was away");
        if (data === "fail") throw new HandlerError("E", "no");
        if (data === "crash" && runs <= 4) throw new HandlerCrash("dead");
        return data;
      },
      { concurrency: 4 },
    );
    const data = ["complete", "fail", "crash", "again"];
    const ids = (await desk.ours.addMany(
      data.map((data) => ({ queue: "work", data })),
      { atomic: true },
    )) as number[];
    await gate.reached(4);
    const back = outage(desk);
    gate.open();
    await desk.pass(20_000, 500);
    expect(await desk.ours.count()).toMatchObject({ active: 4 });
    back();
    await desk.pass(1000, 500);
    const jobs = await Promise.all(ids.map((id) => ended(desk, id)));
    expect(jobs.map(({ state, crashes }) => [state, crashes])).toEqual([
      ["completed", 0],
      ["failed", 0],
      ["completed", 1],
      ["completed", 0],
    ]);
    expect(runs).toBe(5);
    for (const id of ids) {
      expect((await desk.ours.get(id)).progressMessage).toBe("while it was away");
      const { lines } = await desk.ours.logs(id, { offset: 0, limit: 10 });
      expect(lines.length).toBeGreaterThanOrEqual(1);
    }
    await desk.settle();
    expect(worker.active).toBe(0);
  });

  test("reports and log lines wait for it", async () => {
    const desk = await Desk.open();
    const gate = new Gate();
    const release = new Gate();
    startWorker(desk, async ({ progress, log }) => {
      await gate.pass();
      progress({ progress: 10 });
      log("first");
      progress({ message: "half" });
      await release.pass();
    });
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await gate.reached();
    const back = outage(desk);
    gate.open();
    await release.reached();
    await desk.pass(3000, 250);
    expect(await desk.ours.get(id)).toMatchObject({ progress: 0, progressMessage: null });
    back();
    await desk.pass(1000, 250);
    expect(await desk.ours.get(id)).toMatchObject({ progress: 10, progressMessage: "half" });
    const { lines } = await desk.ours.logs(id, { offset: 0, limit: 10 });
    expect(lines.map(({ line }) => line)).toEqual(["first"]);
  });

  test("leases are renewed again before they run out", async () => {
    const desk = await Desk.open({ leaseMs: 30_000 });
    const gate = new Gate();
    startWorker(desk, () => gate.pass());
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await gate.reached();
    for (let round = 0; round < 3; round++) {
      const back = outage(desk);
      await desk.pass(19_000, 1000);
      back();
      await desk.pass(11_000, 1000);
      expect(await desk.ours.get(id)).toMatchObject({ state: "active", crashes: 0 });
    }
    gate.open();
    expect(await ended(desk, id)).toMatchObject({ state: "completed", crashes: 0 });
  });

  test("and fails only some calls, no job is lost or run twice to its end", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.infiniteStream(fc.nat(3)),
        fc.integer({ min: 1, max: 25 }),
        async (luck, count) => {
          const desk = await Desk.open();
          const done = new Map<number, number>();
          const unavailable = new QueueError("UNAVAILABLE", "hiccup");
          for (const method of ["claim", "complete", "fail", "renew", "progress", "log"] as const) {
            const through = SqliteAdapter.prototype[method] as (params: unknown) => Promise<never>;
            const spy = vi.spyOn(desk.adapter, method) as unknown as {
              mockImplementation(call: (params: unknown) => Promise<never>): void;
            };
            spy.mockImplementation((params) =>
              luck.next().value === 0
                ? Promise.reject(unavailable)
                : through.call(desk.adapter, params),
            );
          }
          startWorker(desk, [
            handlerOf("work", async ({ job, progress, attempt }) => {
              progress({ progress: 50 });
              await new Promise((resolve) => setImmediate(resolve));
              if (attempt === 1) throw new Error("once more");
              done.set(job.id, (done.get(job.id) ?? 0) + 1);
            }),
          ]);
          const ids = (await desk.ours.addMany(
            Array.from({ length: count }, (_, data) => {
              return { queue: "work", data, maxAttempts: 2, backoffMs: 0 };
            }),
            { atomic: true },
          )) as number[];
          const all = Promise.all(ids.map((id) => ended(desk, id)));
          const left = new Set(ids);
          for (const id of ids) void ended(desk, id).then(() => left.delete(id));
          while (left.size > 0) await desk.advance(100);
          for (const job of await all) {
            expect(job).toMatchObject({ state: "completed", attemptsMade: 2, crashes: 0 });
            expect(done.get(job.id)).toBe(1);
          }
          vi.restoreAllMocks();
          await desk.pass(1000, 500);
        },
      ),
      { numRuns: long ? 200 : 15 },
    );
  });
});
