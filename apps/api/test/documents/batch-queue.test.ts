import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { serve } from "../running-server.ts";

/*
 * The queue management document, section by section under its headings: what it shows is sent and answered so. What it
 * leaves open, the tests in ../batch have.
 */

const decimal = expect.stringMatching(/^[1-9]\d*$/);
const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const text = expect.any(String);

const row = {
  batchId: "may-1",
  projectId: "receipts",
  rowIndex: 0,
  redoColumnIds: ["total", "date"],
  croppedImageIds: { total: "crop-0-total", date: "crop-0-date" },
  sourceImageIds: { total: "scan-0" },
  priority: 5,
};

interface Reply {
  readonly status: number;
  // oxlint-disable-next-line typescript/no-explicit-any -- which of it, the test knows
  readonly body: any;
}

/** A server without workers; `run` is one that pulls. */
async function start(engine: (typeof engines)[number]) {
  const api = await serve({ engine, handlers: [] });
  const ask = (method: string, path: string, body?: unknown): Promise<Reply> =>
    api.call(method, path, body);
  const post = (path: string, body: unknown) => ask("POST", `/api/queue${path}`, body);
  const get = (path: string) => ask("GET", `/api/queue${path}`);
  const enqueue = async (...batchIds: string[]): Promise<string[]> =>
    (await post("/enqueue", { projectId: "receipts", batchIds })).body.jobIds;
  const pull = async (queue = "process_batch") => {
    const { body } = await ask("POST", "/api/native/work/pull", { queues: [queue] });
    return body.data.items[0] as { readonly id: string; readonly lease: string };
  };
  const end = async (how: "ack" | "fail", more: object): Promise<string> => {
    const { id, lease } = await pull();
    const { body } = await ask("POST", `/api/native/work/${how}`, {
      items: [{ id, lease, ...more }],
    });
    expect(body.data.outcomes).toMatchObject([{ error: null }]);
    return id;
  };
  const fail = () => end("fail", { error: "The scan is blank", final: true });
  const complete = () => end("ack", { result: {} });
  return { ask, post, get, enqueue, pull, fail, complete };
}

describe.each(engines)("The batch queue on the %s engine", (engine) => {
  describe("POST /api/queue/enqueue", () => {
    test("Request Body, Response", async () => {
      const { post } = await start(engine);
      const { status, body } = await post("/enqueue", {
        batchId: "may-1",
        batchIds: ["may-2", "may-3"],
        projectId: "receipts",
        priority: 10,
      });
      expect([status, body]).toEqual([
        200,
        {
          success: true,
          jobId: decimal,
          jobIds: [body.jobId, decimal, decimal],
          canceledCount: 0,
          message: text,
        },
      ]);
      const again = await post("/enqueue", { batchIds: ["may-1", "may-2"], projectId: "receipts" });
      expect(again.body).toMatchObject({ success: true, canceledCount: 2 });
    });

    test("Parameters: batchId or batchIds, projectId required, priority 10 and lower is sooner", async () => {
      const { post, get, fail } = await start(engine);
      const ids: string[] = [];
      for (const sent of [
        { batchId: "a" },
        { batchIds: ["b"], priority: 11 },
        { batchId: "c", priority: 2 },
      ]) {
        const { body } = await post("/enqueue", { projectId: "receipts", ...sent });
        ids.push(body.jobId);
      }
      const priorities = ids.map(async (id) => (await get(`/status/${id}`)).body.job.priority);
      expect(await Promise.all(priorities)).toEqual([10, 11, 2]);
      const ran = [await fail(), await fail(), await fail()];
      expect(ran).toEqual([ids[2], ids[0], ids[1]]);
      for (const sent of [{ batchId: "a" }, { projectId: "receipts" }]) {
        const { status, body } = await post("/enqueue", JSON.stringify(sent));
        expect([status, body]).toEqual([
          400,
          { success: false, error: text, code: "VALIDATION_ERROR" },
        ]);
      }
    });
  });

  describe("GET /api/queue/status/[jobId]", () => {
    test("Response: queued, processing, completed, failed", async () => {
      const { ask, enqueue, get, pull, fail, complete, post } = await start(engine);
      const [id] = await enqueue("may-1");
      const queued = {
        id,
        type: "process_batch",
        status: "queued",
        priority: 10,
        data: { batchId: "may-1", projectId: "receipts" },
        attempts: 0,
        maxAttempts: 3,
        createdAt: iso,
        startedAt: null,
        completedAt: null,
        error: null,
      };
      const shown = async () => {
        const { status, body } = await get(`/status/${id}`);
        expect([status, body]).toEqual([200, { success: true, job: body.job }]);
        return body.job;
      };
      expect(await shown()).toEqual(queued);
      const { lease } = await pull();
      const processing = { ...queued, status: "processing", attempts: 1, startedAt: iso };
      expect(await shown()).toEqual(processing);
      await ask("POST", "/api/native/work/release", { items: [{ id, lease }] });
      await fail();
      const ended = { ...processing, attempts: expect.any(Number), completedAt: iso };
      expect(await shown()).toEqual({ ...ended, status: "failed", error: "The scan is blank" });
      await post("/retry", { jobId: id, projectId: "receipts" });
      await complete();
      expect(await shown()).toEqual({ ...ended, status: "completed" });
    });

    test("a job that is none", async () => {
      const { get } = await start(engine);
      const { status, body } = await get("/status/4711");
      expect([status, body]).toEqual([404, { success: false, error: text, code: "JOB_NOT_FOUND" }]);
    });
  });

  test("POST /api/queue/retry: jobId, or retryAll; projectId required", async () => {
    const { post, get, enqueue, fail } = await start(engine);
    const [first, second] = await enqueue("may-1", "may-2");
    for (let n = 0; n < 2; n++) await fail();
    const one = await post("/retry", { jobId: first, projectId: "receipts", retryAll: false });
    expect([one.status, one.body]).toEqual([200, { success: true, message: text }]);
    const failed = async () => (await get("/stats")).body.queue.failed;
    expect(await failed()).toBe(1);
    const all = await post("/retry", { projectId: "receipts", retryAll: true });
    expect([all.status, all.body]).toEqual([200, { success: true, message: text }]);
    expect(await failed()).toBe(0);
    expect((await get(`/status/${second}`)).body.job.status).toBe("queued");
    const without = await post("/retry", JSON.stringify({ jobId: first }));
    expect([without.status, without.body.code]).toEqual([400, "VALIDATION_ERROR"]);
  });

  test("POST /api/queue/redo: request, parameters, response", async () => {
    const { post, get } = await start(engine);
    const { status, body } = await post("/redo", row);
    expect([status, body]).toEqual([200, { success: true, jobId: decimal, message: text }]);
    const { priority, ...data } = row;
    expect((await get(`/status/${body.jobId}`)).body.job).toMatchObject({
      type: "process_redo",
      priority,
      data,
    });
    const { sourceImageIds: _, priority: __, ...least } = row;
    const plain = await post("/redo", least);
    expect(plain.status).toBe(200);
    expect((await get(`/status/${plain.body.jobId}`)).body.job.priority).toBe(5);
    for (const field of Object.keys(least)) {
      const refused = await post("/redo", JSON.stringify({ ...least, [field]: undefined }));
      expect([field, refused.status, refused.body]).toEqual([
        field,
        400,
        { success: false, error: expect.stringContaining(field), code: "VALIDATION_ERROR" },
      ]);
    }
  });

  test("POST /api/queue/cancel: of the batches named, or of all; queued and processing", async () => {
    const { post, get, enqueue, pull } = await start(engine);
    await enqueue("may-1", "may-2", "may-3");
    await pull();
    const some = await post("/cancel", { projectId: "receipts", batchIds: ["may-3"] });
    expect([some.status, some.body]).toEqual([
      200,
      { success: true, canceledCount: 1, batchesReset: 1, message: text },
    ]);
    const all = await post("/cancel", { projectId: "receipts" });
    expect(all.body).toEqual({ success: true, canceledCount: 2, batchesReset: 2, message: text });
    const { queued, processing } = (await get("/stats")).body.queue;
    expect([queued, processing]).toEqual([0, 0]);
  });

  test("GET /api/queue/stats: of all projects, or of one", async () => {
    const { post, get, enqueue } = await start(engine);
    await enqueue("may-1", "may-2");
    await post("/enqueue", { projectId: "invoices", batchId: "may-1" });
    const queue = { queued: 3, processing: 0, completed: 0, failed: 0, totalJobs: 3 };
    const { status, body } = await get("/stats");
    expect([status, body]).toEqual([
      200,
      {
        success: true,
        queue,
        worker: { isRunning: false, activeJobs: 0, requestsPerMinute: 30, maxConcurrency: 1 },
      },
    ]);
    expect((await get("/stats?projectId=invoices")).body.queue).toEqual({
      ...queue,
      queued: 1,
      totalJobs: 1,
    });
  });

  test("GET /api/queue/metrics: projectId, timeRange of 24h, 7d, 30d or all", async () => {
    const { get, enqueue, fail } = await start(engine);
    await enqueue("may-1");
    await fail();
    const stats = {
      successRate: 0,
      avgDuration: 0,
      minDuration: 0,
      maxDuration: 0,
      totalTokens: 0,
      hourlyBreakdown: [{ hour: iso, completed: 0, failed: 1, avgDuration: 0, tokens: 0 }],
    };
    for (const timeRange of [
      "",
      "&timeRange=24h",
      "&timeRange=7d",
      "&timeRange=30d",
      "&timeRange=all",
    ]) {
      const { status, body } = await get(`/metrics?projectId=receipts${timeRange}`);
      expect([timeRange, status, body]).toEqual([timeRange, 200, { success: true, stats }]);
    }
    expect((await get("/metrics?projectId=invoices")).body.stats).toMatchObject({
      successRate: 1,
      hourlyBreakdown: [],
    });
    expect((await get("/metrics?timeRange=90d")).status).toBe(400);
  });
});
