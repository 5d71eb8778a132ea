import { beforeEach, describe, expect, test } from "vitest";
import { QueueError } from "../src/errors.ts";
import { jobTypes } from "../src/job-types/index.ts";
import type { NewJob, TenantQueue } from "../src/queue.ts";
import { Desk } from "./desk.ts";

let desk: Desk;
let ours: TenantQueue;
let theirs: TenantQueue;

beforeEach(async () => {
  desk = await Desk.open({ leaseMs: 60_000 });
  ours = desk.queue.of("ours");
  theirs = desk.queue.of("theirs");
});

/** What a call ends in, with the id in question taken out of the words. */
async function answer(call: Promise<unknown>, id: number): Promise<unknown> {
  const spell = (value: unknown): unknown =>
    JSON.stringify(value ?? null).replaceAll(new RegExp(`\\b${id}\\b`, "g"), "ID");
  return call.then(
    (value) => {
      const [first] = Array.isArray(value) ? (value as unknown[]) : [value];
      if (!(first instanceof QueueError)) return { value: spell(value) };
      return { refused: first.code, message: spell(first.message), details: spell(first.details) };
    },
    (error: unknown) => {
      if (!(error instanceof QueueError)) throw error;
      return { refused: error.code, message: spell(error.message), details: spell(error.details) };
    },
  );
}

describe("another tenant's job", () => {
  const calls: Record<string, (queue: TenantQueue, id: number, lease: string) => Promise<unknown>> =
    {
      get: (queue, id) => queue.get(id),
      getMany: (queue, id) => queue.getMany([id]),
      cancel: (queue, id) => queue.cancel(id, { running: true }),
      "cancel, not running": (queue, id) => queue.cancel(id, { running: false }),
      retry: (queue, id) => queue.retry(id),
      promote: (queue, id) => queue.promote(id),
      remove: (queue, id) => queue.remove(id),
      logs: (queue, id) => queue.logs(id, { offset: 0, limit: 10 }),
      wait: (queue, id) => queue.wait(id, { timeoutMs: 0 }),
      ack: (queue, id) => queue.ack([{ id, result: 1 }]),
      "ack with the lease": (queue, id, lease) => queue.ack([{ id, lease, result: 1 }]),
      fail: (queue, id) => queue.fail({ id, error: "x" }),
      "fail with the lease": (queue, id, lease) => queue.fail({ id, lease, error: "x" }),
      release: (queue, id) => queue.release(id),
      "release with the lease": (queue, id, lease) => queue.release(id, lease),
      progress: (queue, id) => queue.progress({ id, progress: 50 }),
      "progress with the lease": (queue, id, lease) => queue.progress({ id, lease, progress: 50 }),
      log: (queue, id) => queue.log(id, ["x"]),
      "log with the lease": (queue, id, lease) => queue.log(id, ["x"], lease),
      "add with dependsOn": (queue, id) => queue.add({ queue: "w", data: 1, dependsOn: [id] }),
    };

  test.each(Object.keys(calls))("answers to %s as an id that never was", async (name) => {
    const call = calls[name] as (typeof calls)[string];
    const add = (rest: Partial<NewJob>) => theirs.add({ queue: "work", data: "secret", ...rest });
    const running = await add({});
    const [run] = await theirs.pull({ queue: "work", limit: 1 });
    const delayed = await add({ delayMs: 1000 });
    const failed = await add({ priority: -1 });
    await theirs.pull({ queue: "work", limit: 1 });
    await theirs.fail({ id: failed, error: "x" });
    const everything = () => theirs.list({}, { limit: 100, order: "asc" });
    const before = await everything();
    expect(before.jobs.map((job) => job.state)).toEqual(["active", "delayed", "failed"]);
    const never = 123_456_789;
    const lease = run?.lease as string;
    const expected = await answer(call(ours, never, lease), never);
    for (const id of [running, delayed, failed]) {
      expect(await answer(call(ours, id, lease), id)).toEqual(expected);
    }
    expect(await everything()).toEqual(before);
    expect((await ours.list({}, { limit: 100, order: "asc" })).total).toBe(0);
  });

  test("is in no list, no count, no statistics, no bulk action and no pull", async () => {
    await theirs.addMany(
      [1, 2].map((data) => ({ queue: "work", data, tags: ["t"] })),
      { atomic: true },
    );
    expect(await ours.list({}, { limit: 10, order: "asc" })).toEqual({ jobs: [], total: 0 });
    expect(await ours.list({ tag: "t" }, { limit: 10, order: "asc" })).toEqual({
      jobs: [],
      total: 0,
    });
    expect(Object.values(await ours.count())).toEqual([0, 0, 0, 0, 0, 0, 0]);
    expect(await ours.stats({ groupBy: "queue" })).toEqual([]);
    expect(await ours.queues()).toEqual([]);
    for (const action of ["cancel", "retry", "promote", "remove"] as const) {
      expect(await ours.applyToMany({}, action)).toBe(0);
    }
    expect(await ours.pull({ queue: "work", limit: 10 })).toEqual([]);
    expect(await ours.pull({ limit: 10 })).toEqual([]);
    expect(await theirs.count()).toMatchObject({ waiting: 2 });
  });

  test("is not kept alive by a worker of the same name", async () => {
    const id = await theirs.add({ queue: "work", data: 1 });
    await theirs.pull({ queue: "work", limit: 1, worker: "twin" });
    await desk.advance(50_000);
    await ours.heartbeat({ id: "twin" });
    expect(await theirs.workers()).toEqual([]);
    await desk.advance(10_000);
    expect(await theirs.get(id)).toMatchObject({ state: "waiting", crashes: 1 });
  });

  test("may have the same queue, unique key, schedule and limits of its own", async () => {
    for (const tenant of [ours, theirs]) {
      await tenant.add({ queue: "work", data: tenant.tenant, uniqueKey: "k" });
      await tenant.putSchedule("s", { cron: "0 0 1 1 *", job: { queue: "work", data: 1 } }, "new");
    }
    await theirs.configure("work", { paused: true });
    expect(await theirs.pull({ queue: "work", limit: 10 })).toEqual([]);
    const [run] = await ours.pull({ queue: "work", limit: 10 });
    expect(run?.data).toBe('"ours"');
    await ours.deleteSchedule("s");
    expect(await ours.schedules()).toEqual([]);
    expect(await theirs.schedules()).toHaveLength(1);
    expect(await answer(ours.putSchedule("s", { enabled: false }, "existing"), 0)).toMatchObject({
      refused: "SCHEDULE_NOT_FOUND",
    });
  });

  test("has webhooks and events that nobody else sees", async () => {
    const hook = {
      url: "https://example.com/hook",
      events: ["job.failed"],
      queue: null,
      secret: "s",
      shape: "native",
      enabled: true,
    };
    const { id } = await theirs.putWebhook(hook);
    expect(await ours.webhooks()).toEqual([]);
    expect(await answer(ours.deleteWebhook(id), id)).toEqual(
      await answer(ours.deleteWebhook(999), 999),
    );
    expect(await answer(ours.putWebhook({ ...hook, id }), id)).toEqual(
      await answer(ours.putWebhook({ ...hook, id: 999 }), 999),
    );
    expect(await theirs.webhooks()).toHaveLength(1);
    const seen: unknown[] = [];
    await ours.subscribe({ onEvents: (events) => void seen.push(...events) });
    await theirs.add({ queue: "work", data: 1 });
    await theirs.configure("work", { paused: true });
    await desk.settle();
    expect(seen).toEqual([]);
  });
});

describe("who sees all tenants", () => {
  test("reads and acts on every tenant's jobs, and pulls from all of them in turn", async () => {
    const all = desk.queue.of("*");
    for (let i = 0; i < 3; i++) {
      await ours.add({ queue: "work", data: i });
      await theirs.add({ queue: "work", data: i });
    }
    expect((await all.list({}, { limit: 10, order: "asc" })).total).toBe(6);
    const runs = await all.pull({ queue: "work", limit: 4 });
    expect(runs.map(({ tenant }) => tenant).toSorted()).toEqual([
      "ours",
      "ours",
      "theirs",
      "theirs",
    ]);
    expect(await all.ack(runs.map(({ id, lease }) => ({ id, lease })))).toEqual(
      Array(4).fill(true),
    );
    expect(await all.applyToMany({}, "cancel")).toBe(2);
    expect(await ours.count()).toMatchObject({ completed: 2, cancelled: 1 });
  });
});

describe("a job of a type", () => {
  const uuid = "6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b";
  const samples = {
    sentiment_analysis_batch: { texts: ["good"] },
    file_processing: undefined,
    security_scan: { filePath: "a.csv", datasetId: "d" },
    data_export: { datasetId: uuid, format: "csv" },
    process_batch: { batchId: "b", projectId: "p" },
    reprocess_batch: { batchId: "b", projectId: "p" },
    process_redo: {
      batchId: "b",
      projectId: "p",
      rowIndex: 0,
      redoColumnIds: ["c"],
      croppedImageIds: { c: "i" },
    },
    "quote-calculation": {
      quoteId: "q",
      items: [{ fileId: "f", quantity: 1, material: "PLA", process: "FFF" }],
    },
    "email-notifications": { recipientEmails: ["a@example.com"], subject: "s", message: "m" },
  } as const;

  test.each(Object.entries(samples).filter(([, data]) => data !== undefined))(
    "%s takes what it does not say from its type",
    async (name, data) => {
      const { defaults } = jobTypes[name as keyof typeof samples];
      const job = await ours.get(await ours.add({ queue: name, data }));
      expect(job).toMatchObject({
        maxAttempts: defaults.attempts,
        backoffMs: defaults.backoffMs,
        timeoutMs: defaults.timeoutMs,
        priority: name === "process_redo" ? -5 : 0,
      });
      const own = { maxAttempts: 7, backoffMs: 0, timeoutMs: 123, priority: 0 };
      expect(await ours.get(await ours.add({ queue: name, data, ...own }))).toMatchObject(own);
    },
  );

  test("a redo runs before batches that came first", async () => {
    await ours.add({ queue: "process_redo", data: samples.process_redo, priority: 0 });
    const redo = await ours.add({ queue: "process_redo", data: samples.process_redo });
    const [run] = await ours.pull({ queue: "process_redo", limit: 1 });
    expect(run?.id).toBe(redo);
  });
});
