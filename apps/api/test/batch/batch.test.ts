import { describe, expect, test } from "vitest";
import { type ClaimedJob, formatUuid, type JobTypeName } from "@jobyard/core";
import { engines } from "../engines.ts";
import { type VirtualApi, virtualApi } from "../virtual-api.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const id = expect.stringMatching(/^[1-9]\d*$/);
const moment = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

const redo = {
  batchId: "march-1",
  projectId: "invoices",
  rowIndex: 4,
  redoColumnIds: ["total"],
  croppedImageIds: { total: "crop-4-total" },
  sourceImageIds: { total: "scan-4" },
};

function post(api: VirtualApi, path: string, body: unknown, headers?: Record<string, string>) {
  return api.call("POST", `/api/queue${path}`, body, headers);
}

async function get(api: VirtualApi, path: string) {
  return (await api.call("GET", `/api/queue${path}`)).body;
}

/** Queues batches of a project, which has to succeed; answers their jobs' ids. */
async function enqueue(
  api: VirtualApi,
  projectId: string,
  ...batchIds: string[]
): Promise<string[]> {
  const { status, body } = await post(api, "/enqueue", { projectId, batchIds });
  if (status !== 200) throw new Error(JSON.stringify(body));
  return body.jobIds;
}

async function claim(api: VirtualApi, queue: JobTypeName = "process_batch"): Promise<ClaimedJob> {
  const [job] = await api.queue.of("default").pull({ queue, limit: 1 });
  if (job === undefined) throw new Error("There is nothing to do");
  return job;
}

/** Ends a run after so long, in ms. */
async function complete(api: VirtualApi, job: ClaimedJob, ms: number, tokens = 0): Promise<void> {
  await api.advance(ms);
  const { id, lease } = job;
  const runs = [{ id, lease, result: "{}", tokens }];
  await api.queue.adapter.complete({ tenant: job.tenant, runs });
}

async function fail(api: VirtualApi, { id, lease }: ClaimedJob, final: boolean): Promise<void> {
  await api.queue.of("default").fail({ id, lease, error: "The scan is blank", final });
}

describe.each(engines)("on the %s engine", (engine) => {
  test("a batch is queued, and its job told in every status", async () => {
    const api = await virtualApi(engine);
    const sent = { batchId: "march-1", projectId: "invoices", priority: 4 };
    const { status, body } = await post(api, "/enqueue", sent);
    expect(status).toBe(200);
    expect(body).toEqual({
      success: true,
      jobId: id,
      jobIds: [body.jobId],
      canceledCount: 0,
      message: "1 batch queued",
    });
    const job = {
      id: body.jobId,
      type: "process_batch",
      status: "queued",
      priority: 4,
      data: { batchId: "march-1", projectId: "invoices" },
      attempts: 0,
      maxAttempts: 3,
      createdAt: new Date(api.now()).toISOString(),
      startedAt: null,
      completedAt: null,
      error: null,
    };
    const shown = async () => (await get(api, `/status/${body.jobId}`)).job;
    expect(await get(api, `/status/${body.jobId}`)).toEqual({ success: true, job });
    for (const spelling of [body.jobId, formatUuid(Number(body.jobId))]) {
      expect((await get(api, `/status/${spelling}`)).job).toEqual(job);
    }
    const first = await claim(api);
    expect(await shown()).toEqual({ ...job, status: "processing", attempts: 1, startedAt: moment });
    await fail(api, first, false);
    expect(await shown()).toMatchObject({
      status: "retrying",
      attempts: 1,
      completedAt: null,
      error: "The scan is blank",
    });
    await api.advance(5000);
    expect(await shown()).toMatchObject({ status: "queued", attempts: 1, error: null });
    await fail(api, await claim(api), true);
    expect(await shown()).toMatchObject({
      status: "failed",
      attempts: 2,
      completedAt: moment,
      error: "The scan is blank",
    });
    const retried = await post(api, "/retry", { jobId: body.jobId, projectId: "invoices" });
    expect(retried.body).toEqual({
      success: true,
      message: `Job ${body.jobId} queued for retry`,
    });
    expect(await shown()).toMatchObject({ status: "queued", attempts: 0, completedAt: null });
    await complete(api, await claim(api), 1200);
    expect(await shown()).toEqual({
      ...job,
      status: "completed",
      attempts: 1,
      startedAt: moment,
      completedAt: moment,
    });
  });

  test("priorities: lower is sooner, 10 is what is not said, and a redo goes before", async () => {
    const api = await virtualApi(engine);
    const priorities = { ten: 10, zero: 0, twelve: 12, one: 1, none: undefined };
    const ids: Record<string, string> = {};
    for (const [batchId, priority] of Object.entries(priorities)) {
      const { body } = await post(api, "/enqueue", { batchId, projectId: "p", priority });
      ids[batchId] = body.jobId;
    }
    const shown = async (batch: string) => (await get(api, `/status/${ids[batch]}`)).job.priority;
    expect(await shown("none")).toBe(10);
    expect(await shown("zero")).toBe(0);
    expect(await shown("twelve")).toBe(12);
    const order: (string | null)[] = [];
    for (let i = 0; i < 5; i++) order.push((await claim(api)).batch);
    expect(order).toEqual(["one", "ten", "zero", "none", "twelve"]);
    const made = await post(api, "/redo", redo);
    expect(made.status).toBe(200);
    expect(made.body).toEqual({
      success: true,
      jobId: id,
      message: "Row 4 of batch march-1 queued for redo",
    });
    const { job } = await get(api, `/status/${made.body.jobId}`);
    expect(job).toMatchObject({ type: "process_redo", priority: 5, data: redo });
    expect((await claim(api, "process_redo")).priority).toBe(-5);
    // What another interface added reads as ordinary, too.
    const other = await api.queue.of("default").add({
      queue: "process_batch",
      data: { projectId: "p", batchId: "b" },
    });
    expect((await get(api, `/status/${other}`)).job.priority).toBe(10);
    expect((await post(api, "/cancel", { projectId: "p", batchIds: ["b"] })).body).toMatchObject({
      canceledCount: 1,
    });
  });

  test("a batch that waits is queued afresh; one that is processed stays", async () => {
    const api = await virtualApi(engine);
    const [one, two] = await enqueue(api, "invoices", "march-1", "march-2");
    const [elsewhere] = await enqueue(api, "receipts", "march-1");
    const again = await post(api, "/enqueue", {
      projectId: "invoices",
      batchId: "march-1",
      batchIds: ["march-1", "march-3"],
    });
    expect(again.body).toEqual({
      success: true,
      jobId: id,
      jobIds: [again.body.jobId, id],
      canceledCount: 1,
      message: "2 batches queued, 1 job replaced",
    });
    expect((await get(api, `/status/${one}`)).job).toMatchObject({
      status: "failed",
      error: `Superseded by job ${again.body.jobId}`,
      completedAt: moment,
    });
    for (const kept of [two, elsewhere]) {
      expect((await get(api, `/status/${kept}`)).job.status).toBe("queued");
    }
    // The first that runs is march-2.
    expect(String((await claim(api)).id)).toBe(two);
    const third = await post(api, "/enqueue", { projectId: "invoices", batchId: "march-2" });
    expect(third.body.canceledCount).toBe(0);
    expect((await get(api, `/status/${two}`)).job.status).toBe("processing");
    // What was replaced does not come back.
    const all = await post(api, "/retry", { projectId: "invoices", retryAll: true });
    expect(all.body.message).toBe("0 failed jobs queued for retry");
  });

  test("the same batch at the same time is queued once", async () => {
    const api = await virtualApi(engine);
    const answers = await Promise.all(
      Array.from({ length: 8 }, () =>
        post(api, "/enqueue", { projectId: "invoices", batchId: "march-1" }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    const { queue } = await get(api, "/stats?projectId=invoices");
    expect(queue).toEqual({ queued: 1, processing: 0, completed: 0, failed: 7, totalJobs: 8 });
    const newest = Math.max(...answers.map(({ body }) => Number(body.jobId)));
    expect((await get(api, `/status/${newest}`)).job.status).toBe("queued");
  });

  test("each of many batches takes the place of its own job, and they keep their order", async () => {
    const api = await virtualApi(engine);
    const batches = Array.from({ length: 100 }, (_, i) => `b-${i}`);
    const before = await enqueue(api, "invoices", ...batches.toReversed());
    const { body } = await post(api, "/enqueue", { projectId: "invoices", batchIds: batches });
    expect(body).toMatchObject({ canceledCount: 100, jobId: body.jobIds[0] });
    expect(body.jobIds.toSorted((a: string, b: string) => Number(a) - Number(b))).toEqual(
      body.jobIds,
    );
    for (const i of [0, 31, 32, 99]) {
      const { job } = await get(api, `/status/${body.jobIds[i]}`);
      expect(job).toMatchObject({ status: "queued", data: { batchId: `b-${i}` } });
      expect((await get(api, `/status/${before[99 - i]}`)).job.error).toBe(
        `Superseded by job ${body.jobIds[i]}`,
      );
    }
  });

  test("a batch that completed before is reprocessed, also after its job is gone", async () => {
    const api = await virtualApi(engine);
    const [first] = await enqueue(api, "invoices", "march-1");
    await complete(api, await claim(api), 900);
    const [again] = await enqueue(api, "invoices", "march-1");
    expect((await get(api, `/status/${again}`)).job.type).toBe("reprocess_batch");
    expect((await get(api, `/status/${first}`)).job.status).toBe("completed");
    const [other] = await enqueue(api, "receipts", "march-1");
    expect((await get(api, `/status/${other}`)).job.type).toBe("process_batch");
    const [queuedAfresh] = await enqueue(api, "invoices", "march-1");
    expect((await get(api, `/status/${again}`)).job.error).toBe(
      `Superseded by job ${queuedAfresh}`,
    );
    // Of the batch, its rows are left.
    await api.storage.of("default").putRecord("batch-rows", "invoices/april-1", []);
    const [april] = await enqueue(api, "invoices", "april-1");
    expect((await get(api, `/status/${april}`)).job.type).toBe("reprocess_batch");
  });

  test("an enqueueing that is repeated with its Idempotency-Key is answered as the first", async () => {
    const api = await virtualApi(engine);
    await enqueue(api, "invoices", "march-1");
    const headers = { "Idempotency-Key": "night-of-march" };
    const sent = { projectId: "invoices", batchIds: ["march-1", "march-2"] };
    const first = await post(api, "/enqueue", sent, headers);
    expect(first.body).toMatchObject({ canceledCount: 1, jobIds: [id, id] });
    const again = await post(api, "/enqueue", sent, headers);
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
    expect((await get(api, "/stats")).queue).toMatchObject({ queued: 2, totalJobs: 3 });
    const one = await post(api, "/redo", redo, { "Idempotency-Key": "row-4" });
    const two = await post(api, "/redo", redo, { "Idempotency-Key": "row-4" });
    expect(two.body).toEqual(one.body);
  });

  test("all failed jobs of a project are retried, and no others", async () => {
    const api = await virtualApi(engine);
    await enqueue(api, "invoices", "march-1", "march-2");
    const [elsewhere] = await enqueue(api, "receipts", "march-1");
    await post(api, "/redo", redo);
    for (let i = 0; i < 3; i++) await fail(api, await claim(api), true);
    await fail(api, await claim(api, "process_redo"), true);
    const { status, body } = await post(api, "/retry", { projectId: "invoices", retryAll: true });
    expect(status).toBe(200);
    expect(body).toEqual({ success: true, message: "3 failed jobs queued for retry" });
    expect((await get(api, "/stats?projectId=invoices")).queue).toMatchObject({
      queued: 3,
      failed: 0,
    });
    expect((await get(api, `/status/${elsewhere}`)).job.status).toBe("failed");
    const crossing = await post(api, "/retry", { projectId: "invoices", jobId: elsewhere });
    expect(crossing.status).toBe(404);
    expect(crossing.body).toEqual({
      success: false,
      error: `Job ${elsewhere} not found`,
      code: "JOB_NOT_FOUND",
    });
  });

  test("cancelling a project's jobs, or some of its batches'", async () => {
    const api = await virtualApi(engine);
    const [running, waiting, third] = await enqueue(api, "invoices", "m-1", "m-2", "m-3");
    await enqueue(api, "receipts", "m-1");
    const row = await post(api, "/redo", { ...redo, batchId: "m-1" });
    expect(String((await claim(api)).id)).toBe(running);
    const some = await post(api, "/cancel", { projectId: "invoices", batchIds: ["m-3", "m-9"] });
    expect(some.status).toBe(200);
    expect(some.body).toEqual({
      success: true,
      canceledCount: 1,
      batchesReset: 1,
      message: "1 job cancelled, 1 batch reset",
    });
    expect((await get(api, `/status/${third}`)).job).toMatchObject({
      status: "failed",
      error: "cancelled",
    });
    expect((await post(api, "/cancel", { projectId: "invoices", batchIds: [] })).body).toEqual({
      success: true,
      canceledCount: 0,
      batchesReset: 0,
      message: "0 jobs cancelled, 0 batches reset",
    });
    const all = await post(api, "/cancel", { projectId: "invoices" });
    expect(all.body).toMatchObject({ canceledCount: 3, batchesReset: 2 });
    for (const stopped of [running, waiting, row.body.jobId]) {
      expect((await get(api, `/status/${stopped}`)).job.status).toBe("failed");
    }
    expect((await get(api, "/stats?projectId=receipts")).queue.queued).toBe(1);
    // They can be enqueued again.
    const [anew] = await enqueue(api, "invoices", "m-1");
    expect((await get(api, `/status/${anew}`)).job).toMatchObject({
      type: "process_batch",
      status: "queued",
    });
  });

  test("hundreds of jobs are cancelled in one call", async () => {
    const api = await virtualApi(engine);
    const batches = Array.from({ length: 450 }, (_, i) => `b-${i}`);
    await enqueue(api, "invoices", ...batches);
    const { body } = await post(api, "/cancel", { projectId: "invoices" });
    expect(body).toMatchObject({ canceledCount: 450, batchesReset: 450 });
    expect((await get(api, "/stats")).queue).toEqual({
      queued: 0,
      processing: 0,
      completed: 0,
      failed: 450,
      totalJobs: 450,
    });
  });

  test("statistics of the queue and of who works on it", async () => {
    const api = await virtualApi(engine, {
      BATCH_REQUESTS_PER_MINUTE: "12",
      BATCH_MAX_CONCURRENCY: "4",
    });
    const worker = { isRunning: false, activeJobs: 0, requestsPerMinute: 12, maxConcurrency: 4 };
    const none = { queued: 0, processing: 0, completed: 0, failed: 0, totalJobs: 0 };
    expect(await get(api, "/stats")).toEqual({ success: true, queue: none, worker });
    await enqueue(api, "invoices", "m-1", "m-2", "m-3", "m-4");
    await enqueue(api, "receipts", "m-1");
    await complete(api, await claim(api), 10);
    await fail(api, await claim(api), true);
    await claim(api);
    await api.queue.of("default").heartbeat({ id: "w-1", queues: ["process_batch"] });
    await api.queue.of("default").add({ queue: "pumps", data: 1, project: "invoices" });
    expect(await get(api, "/stats?projectId=invoices")).toEqual({
      success: true,
      queue: { queued: 1, processing: 1, completed: 1, failed: 1, totalJobs: 4 },
      worker: { ...worker, isRunning: true, activeJobs: 1 },
    });
    expect((await get(api, "/stats?projectId=receipts")).queue).toEqual({
      ...none,
      queued: 1,
      totalJobs: 1,
    });
    expect((await get(api, "/stats")).queue).toMatchObject({ queued: 2, totalJobs: 5 });
    await api.advance(5 * DAY);
    await api.queue.prune();
    expect((await get(api, "/stats?projectId=invoices")).queue).toMatchObject({
      completed: 0,
      failed: 0,
      totalJobs: 4,
    });
  });

  test("metrics: a fraction, milliseconds, tokens, hours, for each range and project", async () => {
    const api = await virtualApi(engine);
    const empty = {
      successRate: 1,
      avgDuration: 0,
      minDuration: 0,
      maxDuration: 0,
      totalTokens: 0,
      hourlyBreakdown: [],
    };
    expect(await get(api, "/metrics")).toEqual({ success: true, stats: empty });
    const run = async (project: string, batch: string, ms: number, tokens: number) => {
      await enqueue(api, project, batch);
      await complete(api, await claim(api), ms, tokens);
    };
    await run("invoices", "old", 60_000, 5000);
    await api.advance(40 * DAY);
    await run("invoices", "m-1", 1000, 700);
    await api.advance(3 * DAY);
    const hour = new Date(api.now() - (api.now() % HOUR)).toISOString();
    await run("invoices", "m-2", 1500, 250);
    await run("invoices", "m-3", 4501, 1250);
    await enqueue(api, "invoices", "m-4", "m-5");
    await fail(api, await claim(api), true);
    await post(api, "/cancel", { projectId: "invoices" });
    await run("receipts", "m-1", 20, 9);

    const invoices = async (range: string) =>
      (await get(api, `/metrics?projectId=invoices${range}`)).stats;
    const day = {
      successRate: 0.6667,
      avgDuration: 3001,
      minDuration: 1500,
      maxDuration: 4501,
      totalTokens: 1500,
      hourlyBreakdown: [{ hour, completed: 2, failed: 1, avgDuration: 3001, tokens: 1500 }],
    };
    expect(await invoices("")).toEqual(day);
    expect(await invoices("&timeRange=24h")).toEqual(day);
    const week = await invoices("&timeRange=7d");
    expect(week).toMatchObject({ successRate: 0.75, minDuration: 1000, totalTokens: 2200 });
    expect(week.hourlyBreakdown).toHaveLength(2);
    expect(week.hourlyBreakdown[1]).toEqual(day.hourlyBreakdown[0]);
    expect(await invoices("&timeRange=30d")).toEqual(week);
    expect(await invoices("&timeRange=all")).toMatchObject({
      successRate: 0.8,
      maxDuration: 60_000,
      totalTokens: 7200,
      hourlyBreakdown: week.hourlyBreakdown,
    });
    expect((await get(api, "/metrics?projectId=receipts")).stats).toMatchObject({
      successRate: 1,
      totalTokens: 9,
    });
    expect((await get(api, "/metrics")).stats).toMatchObject({ successRate: 0.75 });
  });
});
