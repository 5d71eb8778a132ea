import { describe, expect, test } from "vitest";
import { defineHandler, HandlerError, jobTypes } from "@jobyard/core";
import { engines } from "../engines.ts";
import { exportData, exportResult, Gate, serve } from "../running-server.ts";

const uuid = expect.stringMatching(/^6a6f6279-6172-8640-80[01][0-9a-f]-[0-9a-f]{12}$/);
const moment = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const scanData = {
  filePath: "uploads/june.csv",
  datasetId: "8d1f6a3e-52b4-4c0d-8e77-90a1b2c3d4e5",
};

describe.each(engines)("on the %s engine", (engine) => {
  test("creating a job", async () => {
    const { call } = await serve({ engine, handlers: [] });
    const { status, body, headers } = await call("POST", "/api/v1/jobs", {
      type: "sentiment_analysis_batch",
      data: { texts: ["A fine kettle", "It leaks"], enablePIIMasking: true },
      priority: "high",
    });
    expect(status).toBe(201);
    expect(headers.get("content-type")).toBe("application/json");
    expect(body).toEqual({
      success: true,
      data: {
        jobId: uuid,
        type: "sentiment_analysis_batch",
        status: "pending",
        priority: "high",
        createdAt: moment,
      },
      timestamp: moment,
    });
  });

  test.each([
    ["file_processing", scanData],
    ["security_scan", { ...scanData, scanType: "quick", complianceFramework: ["GDPR"] }],
    ["data_export", exportData],
    [
      "file-analysis",
      {
        fileId: "bracket-7",
        fileUrl: "parts/bracket.stl",
        fileName: "bracket.stl",
        fileType: "stl",
      },
    ],
    [
      "quote-calculation",
      {
        quoteId: "Q-88",
        items: [{ fileId: "bracket-7", quantity: 4, material: "PETG", process: "FFF" }],
      },
    ],
    [
      "email-notification",
      { type: "quote-ready", recipientEmail: "ana@example.org", templateData: { quote: "Q-88" } },
    ],
    ["report-generation", { reportType: "analytics", format: "pdf" }],
  ])("the type %s is taken, found and listed as such", async (type, data) => {
    const { call, add } = await serve({ engine, handlers: [] });
    const id = await add({ type, data });
    const { body } = await call("GET", `/api/v1/jobs/${id}`);
    expect(body.data).toEqual({
      id,
      type,
      status: "pending",
      priority: "medium",
      progress: 0,
      createdAt: moment,
    });
    const listed = await call("GET", `/api/v1/jobs?type=${type}`);
    expect(listed.body.data).toEqual({ jobs: [body.data], total: 1 });
  });

  test("a running job tells how far it is", async () => {
    const gate = new Gate();
    const { call, add } = await serve({ engine, handlers: [gate.handler] });
    const id = await add({ type: "data_export", data: exportData, priority: "low" });
    const run = await gate.run();
    run.progress({ items: { total: 800, processed: 325, failed: 2 } });
    const get = async () => (await call("GET", `/api/v1/jobs/${id}`)).body.data;
    await expect.poll(get).toMatchObject({ progress: 40.6 });
    expect(await get()).toEqual({
      id,
      type: "data_export",
      status: "running",
      priority: "low",
      progress: 40.6,
      createdAt: moment,
      startedAt: moment,
      estimatedCompletion: moment,
      processingStats: {
        totalItems: 800,
        processedItems: 325,
        failedItems: 2,
        averageProcessingTime: expect.any(Number),
        currentSpeed: expect.stringMatching(/^\d+(\.\d)? items\/second$/),
      },
    });
    expect((await call("GET", "/api/v1/jobs")).body.data.jobs[0]).toEqual({
      id,
      type: "data_export",
      status: "running",
      priority: "low",
      progress: 40.6,
      createdAt: moment,
      startedAt: moment,
    });
  });

  test("a sentiment batch, from texts to result", async () => {
    const { call, add, ended } = await serve({ engine });
    const id = await add({
      type: "sentiment_analysis_batch",
      data: { texts: ["I adore this teapot!", "Horrible, write to bea@example.com"] },
      priority: "critical",
    });
    const job = await ended(id);
    expect(job).toEqual({
      id,
      type: "sentiment_analysis_batch",
      status: "completed",
      priority: "critical",
      progress: 100,
      createdAt: moment,
      startedAt: moment,
      completedAt: moment,
      result: {
        totalProcessed: 2,
        results: [
          {
            index: 0,
            text: "I adore this teapot!",
            sentiment: "positive",
            score: expect.any(Number),
            confidence: expect.any(Number),
          },
          {
            index: 1,
            text: "Horrible, write to [EMAIL]",
            sentiment: "negative",
            score: expect.any(Number),
            confidence: expect.any(Number),
          },
        ],
        summary: {
          successful: 2,
          failed: 0,
          averageScore: expect.any(Number),
          distribution: { positive: 1, negative: 1, neutral: 0 },
        },
        failures: [],
      },
    });
    const waited = await call("POST", `/api/v1/jobs/${id}/wait`, { timeout: 1000 });
    expect(waited.body).toEqual({
      success: true,
      data: {
        id,
        type: "sentiment_analysis_batch",
        status: "completed",
        progress: 100,
        completedAt: job.completedAt,
        result: job.result,
      },
      timestamp: moment,
    });
    const listed = await call("GET", "/api/v1/jobs");
    expect(listed.body.data.jobs[0]).not.toHaveProperty("result");
  });

  test("a language that is not supported fails the job at once", async () => {
    const { add, ended } = await serve({ engine });
    const data = { texts: ["Sehr gut"], language: "de" };
    const job = await ended(await add({ type: "sentiment_analysis_batch", data }));
    expect(job).toMatchObject({ status: "failed", details: { stage: "validation" } });
    expect(job.error).toContain("de");
  });

  test("a failed job says why, and waiting for it answers with it", async () => {
    const gate = new Gate();
    const { call, add } = await serve({ engine, handlers: [gate.handler] });
    const id = await add({ type: "data_export", data: exportData });
    const waiting = call("POST", `/api/v1/jobs/${id}/wait`);
    const run = await gate.run();
    run.fail(new HandlerError("NO_ROWS", "The dataset is empty", { stage: "reading" }));
    const failure = {
      error: "The dataset is empty",
      details: {
        code: "JOB_PROCESSING_ERROR",
        jobId: id,
        stage: "reading",
        message: "The dataset is empty",
      },
    };
    const waited = await waiting;
    expect(waited.status).toBe(200);
    expect(waited.body.data).toEqual({
      id,
      type: "data_export",
      status: "failed",
      progress: 0,
      completedAt: moment,
      ...failure,
    });
    const { body } = await call("GET", `/api/v1/jobs/${id}`);
    expect(body.data).toMatchObject({ status: "failed", ...failure });
  });

  test("an error worth a retry leaves the job pending, as many runs as were asked for", async () => {
    const flaky = defineHandler(jobTypes.data_export, () =>
      Promise.reject(new HandlerError("TEMPORARY_FAILURE", "Busy")),
    );
    const { call, add, ended } = await serve({ engine, handlers: [flaky] });
    const once = await add({ type: "data_export", data: exportData, options: { attempts: 1 } });
    expect(await ended(once)).toMatchObject({ status: "failed", error: "Busy" });
    const again = await add({ type: "data_export", data: exportData });
    const late = await call("POST", `/api/v1/jobs/${again}/wait`, { timeout: 300 });
    expect(late.status).toBe(408);
    const { body } = await call("GET", `/api/v1/jobs/${again}`);
    expect(body.data).toMatchObject({ status: "pending" });
    expect(body.data).not.toHaveProperty("error");
    expect(body.data).not.toHaveProperty("startedAt");
  });

  test("priorities: levels, numbers, and what they read as", async () => {
    const { call, add } = await serve({ engine, handlers: [] });
    const shown = async (job: object) => {
      const id = await add({ type: "data_export", data: exportData, ...job });
      const { priority, options } = (await call("GET", `/api/v1/jobs/${id}`)).body.data;
      return { priority, options };
    };
    for (const priority of ["critical", "high", "medium", "low"]) {
      expect(await shown({ priority })).toEqual({ priority, options: undefined });
    }
    const numbers = {
      0: "medium",
      1: "critical",
      3: "critical",
      4: "high",
      9: "high",
      10: "medium",
      11: "low",
    };
    for (const [n, priority] of Object.entries(numbers)) {
      const options = { priority: Number(n) };
      expect(await shown({ options })).toEqual({ priority, options });
    }
    const total = async (level: string) =>
      (await call("GET", `/api/v1/jobs?priority=${level}`)).body.data.total;
    expect([
      await total("critical"),
      await total("high"),
      await total("medium"),
      await total("low"),
    ]).toEqual([3, 3, 3, 2]);
  });

  test("jobs run in the order of their priorities", async () => {
    const gate = new Gate();
    const { add } = await serve({
      engine,
      handlers: [gate.handler],
      env: { WORKER_CONCURRENCY: "1", WORKER_QUEUES: "data_export" },
    });
    await add({ type: "data_export", data: exportData });
    const first = await gate.run(0);
    const order: [string, object][] = [];
    for (const job of [
      { priority: "low" },
      {},
      { options: { priority: 2 } },
      { priority: "high" },
    ]) {
      order.push([await add({ type: "data_export", data: exportData, ...job }), job]);
    }
    const ids = order.map(([id]) => Number.parseInt(id.slice(-12), 16));
    first.finish();
    const ran: number[] = [];
    for (const n of [1, 2, 3, 4]) {
      const run = await gate.run(n);
      ran.push(run.job.id);
      run.finish();
    }
    expect(ran).toEqual([ids[2], ids[3], ids[1], ids[0]]);
  });

  test("lists: newest first, by status, type and priority, page by page, with the exact total", async () => {
    const { call, add } = await serve({ engine, handlers: [] });
    const ids: string[] = [];
    for (let i = 0; i < 7; i++) {
      ids.push(
        await add(
          i % 2 === 0
            ? { type: "security_scan", data: scanData, priority: "high" }
            : { type: "data_export", data: exportData },
        ),
      );
    }
    await call("DELETE", `/api/v1/jobs/${ids[0]}`);
    const list = async (query: string) => {
      const { jobs, total } = (await call("GET", `/api/v1/jobs${query}`)).body.data;
      return { ids: jobs.map(({ id }) => id), total };
    };
    expect(await list("")).toEqual({ ids: ids.toReversed(), total: 7 });
    expect(await list("?limit=3")).toEqual({ ids: [ids[6], ids[5], ids[4]], total: 7 });
    expect(await list("?limit=3&page=3")).toEqual({ ids: [ids[0]], total: 7 });
    expect(await list("?limit=3&page=4")).toEqual({ ids: [], total: 7 });
    expect(await list("?page=1000000&limit=100")).toEqual({ ids: [], total: 7 });
    expect(await list("?status=cancelled")).toEqual({ ids: [ids[0]], total: 1 });
    expect(await list("?status=running")).toEqual({ ids: [], total: 0 });
    expect(await list("?type=data_export")).toEqual({ ids: [ids[5], ids[3], ids[1]], total: 3 });
    expect(await list("?type=security_scan&priority=high&status=pending&limit=1&page=2")).toEqual({
      ids: [ids[4]],
      total: 3,
    });
  });

  test("cancelling a pending job", async () => {
    const { call, add } = await serve({ engine, handlers: [] });
    const id = await add({ type: "data_export", data: exportData });
    const { status, body } = await call("DELETE", `/api/v1/jobs/${id}`);
    expect(status).toBe(200);
    expect(body).toEqual({
      success: true,
      message: "Job cancelled successfully",
      timestamp: moment,
    });
    const job = (await call("GET", `/api/v1/jobs/${id}`)).body.data;
    expect(job).toMatchObject({ status: "cancelled" });
    expect(job).not.toHaveProperty("error");
  });

  test("cancelling a running job stops it, and answers whoever waits for it", async () => {
    const gate = new Gate();
    const { call, add } = await serve({ engine, handlers: [gate.handler] });
    const id = await add({ type: "data_export", data: exportData });
    const { signal } = await gate.run();
    const waiting = call("POST", `/api/v1/jobs/${id}/wait`);
    expect((await call("DELETE", `/api/v1/jobs/${id}`)).status).toBe(200);
    const { status, body } = await waiting;
    expect(signal.aborted).toBe(true);
    expect(status).toBe(200);
    expect(body.data).toMatchObject({ id, status: "cancelled" });
  });

  test("cancelling a running sentiment batch stops its threads' work", async () => {
    const { call, add } = await serve({ engine });
    const texts = Array.from({ length: 10_000 }, (_, i) =>
      `Splendid, though dear. ${i} `.repeat(80),
    );
    const id = await add({ type: "sentiment_analysis_batch", data: { texts } });
    const status = async () => (await call("GET", `/api/v1/jobs/${id}`)).body.data.status;
    await expect.poll(status).toBe("running");
    await call("DELETE", `/api/v1/jobs/${id}`);
    const waited = await call("POST", `/api/v1/jobs/${id}/wait`, { timeout: 5000 });
    expect(waited.body.data).toMatchObject({ status: "cancelled" });
  });

  test("a wait is answered when the job ends, or when its time is over", async () => {
    const gate = new Gate();
    const { call, add } = await serve({ engine, handlers: [gate.handler] });
    const id = await add({ type: "data_export", data: exportData });
    const run = await gate.run();
    const late = await call("POST", `/api/v1/jobs/${id}/wait`, { timeout: 20 });
    expect(late.status).toBe(408);
    expect(late.body).toEqual({
      success: false,
      error: "Job timeout",
      details: { code: "JOB_TIMEOUT", currentStatus: "running", currentProgress: 0 },
      timestamp: moment,
    });
    const waits = [1, 2, 3].map(() => call("POST", `/api/v1/jobs/${id}/wait`, { timeout: 60_000 }));
    run.finish();
    for (const { status, body } of await Promise.all(waits)) {
      expect(status).toBe(200);
      expect(body.data).toEqual({
        id,
        type: "data_export",
        status: "completed",
        progress: 100,
        completedAt: moment,
        result: exportResult,
      });
    }
  });

  test("statistics", async () => {
    const gate = new Gate();
    const { call, add, ended } = await serve({
      engine,
      env: { DATACLOAK_MAX_CONCURRENT: "0" },
      handlers: [gate.handler],
    });
    const empty = (await call("GET", "/api/v1/jobs/stats/summary")).body.data;
    expect(empty.performance).toEqual({
      averageProcessingTime: 0,
      throughput: "0 jobs/minute",
      successRate: 100,
      peakConcurrency: 0,
    });

    const add1 = (job: object = {}) => add({ type: "data_export", data: exportData, ...job });
    const ids = [await add1(), await add1({ priority: "high" }), await add1(), await add1()];
    for (const n of [0, 1]) (await gate.run(n)).finish();
    (await gate.run(2)).fail(new HandlerError("NO_ROWS", "Nothing there"));
    await gate.run(3);
    await call("DELETE", `/api/v1/jobs/${ids[3]}`);
    for (const id of ids) await ended(id);
    await add({ type: "security_scan", data: scanData, options: { priority: 2 } });
    const running = await add1({ priority: "low" });
    await gate.run(4);

    const { status, body } = await call("GET", "/api/v1/jobs/stats/summary");
    expect(status).toBe(200);
    const nothing = { total: 0, completed: 0, failed: 0, cancelled: 0 };
    expect(body).toEqual({
      success: true,
      data: {
        total: 6,
        pending: 1,
        running: 1,
        completed: 2,
        failed: 1,
        cancelled: 1,
        performance: {
          averageProcessingTime: expect.any(Number),
          throughput: "2 jobs/minute",
          successRate: 66.7,
          peakConcurrency: expect.any(Number),
        },
        byType: {
          sentiment_analysis_batch: nothing,
          file_processing: nothing,
          security_scan: { ...nothing, total: 1 },
          data_export: { total: 5, completed: 2, failed: 1, cancelled: 1 },
          "file-analysis": nothing,
          "quote-calculation": nothing,
          "email-notification": nothing,
          "report-generation": nothing,
        },
        byPriority: { critical: 1, high: 1, medium: 3, low: 1 },
      },
      timestamp: moment,
    });
    expect(body.data.performance.peakConcurrency).toBeGreaterThanOrEqual(1);
    await call("DELETE", `/api/v1/jobs/${running}`);
  });

  test("every spelling of an id finds the job", async () => {
    const { call, add } = await serve({ engine, handlers: [] });
    const id = await add({ type: "data_export", data: exportData });
    const number = Number.parseInt(id.slice(-12), 16);
    for (const spelling of [id, id.toUpperCase(), String(number)]) {
      expect((await call("GET", `/api/v1/jobs/${spelling}`)).body.data.id).toBe(id);
    }
  });

  test("all is still there after a restart", async () => {
    const first = await serve({ engine });
    const id = await first.add({ type: "sentiment_analysis_batch", data: { texts: ["Good."] } });
    const job = await first.ended(id);
    await first.server.close();
    const second = await serve({ env: first.env });
    expect((await second.call("GET", `/api/v1/jobs/${id}`)).body.data).toEqual(job);
  });

  test("retrying a job that failed, or was cancelled", async () => {
    const gate = new Gate();
    const { call, add, ended } = await serve({ engine, handlers: [gate.handler] });
    const id = await add({ type: "data_export", data: exportData, options: { attempts: 2 } });
    (await gate.run(0)).fail(new HandlerError("NO_ROWS", "Nothing there"));
    expect(await ended(id)).toMatchObject({ status: "failed" });
    const { status, body } = await call("POST", `/api/v1/jobs/${id}/retry`);
    expect(status).toBe(200);
    expect(body).toEqual({
      success: true,
      message: "Job retried successfully",
      timestamp: moment,
    });
    const run = await gate.run(1);
    expect(run.attempt).toBe(1);
    const running = await call("POST", `/api/v1/jobs/${id}/retry`);
    expect(running.status).toBe(409);
    expect(running.body).toEqual({
      success: false,
      error: "Only a failed or cancelled job can be retried",
      details: { code: "JOB_NOT_RETRYABLE", currentStatus: "running" },
      timestamp: moment,
    });
    await call("DELETE", `/api/v1/jobs/${id}`);
    expect(await ended(id)).toMatchObject({ status: "cancelled" });
    expect((await call("POST", `/api/v1/jobs/${id}/retry`)).status).toBe(200);
    (await gate.run(2)).finish();
    expect(await ended(id)).toMatchObject({ status: "completed" });
    const completed = await call("POST", `/api/v1/jobs/${id}/retry`);
    expect(completed.body.details).toEqual({
      code: "JOB_NOT_RETRYABLE",
      currentStatus: "completed",
    });
    const pending = await add({ type: "security_scan", data: scanData });
    const early = await call("POST", `/api/v1/jobs/${pending}/retry`);
    expect(early.body.details).toEqual({ code: "JOB_NOT_RETRYABLE", currentStatus: "pending" });
  });

  test("a call that is repeated with its Idempotency-Key adds nothing", async () => {
    const { call } = await serve({ engine, handlers: [] });
    const create = (key: string, path = "", job: object = {}) =>
      call(
        "POST",
        `/api/v1/jobs${path}`,
        { type: "data_export", data: exportData, priority: "low", ...job },
        { "Idempotency-Key": key },
      );
    const first = await create("order-5501");
    expect(first.status).toBe(201);
    for (const job of [{}, { type: "security_scan", data: scanData, priority: "high" }]) {
      const again = await create("order-5501", "", job);
      expect([again.status, again.body.data]).toEqual([201, first.body.data]);
    }
    const later = await create("order-5502", "/schedule", { delay: 60_000 });
    expect(later.body.data.jobId).not.toBe(first.body.data.jobId);
    const laterAgain = await create("order-5502", "/schedule", { delay: 60_000 });
    expect(laterAgain.body.data).toEqual(later.body.data);
    const many = await Promise.all(Array.from({ length: 8 }, () => create("order-5503")));
    expect(new Set(many.map(({ body }) => body.data.jobId)).size).toBe(1);
    expect((await call("GET", "/api/v1/jobs")).body.data.total).toBe(3);
    for (const key of ["", "x".repeat(256), "a b"]) {
      const { status, body } = await create(key);
      expect(status).toBe(400);
      expect(body.details).toMatchObject({ errors: [{ field: "idempotencyKey" }] });
    }
  });

  test("when a running job will be done is computed from what was measured", async () => {
    const gate = new Gate();
    const { call, add, ended } = await serve({ engine, handlers: [gate.handler] });
    const shown = async (id: string) => (await call("GET", `/api/v1/jobs/${id}`)).body.data;
    const first = await add({ type: "data_export", data: exportData });
    const run = await gate.run(0);
    // Nothing is known yet: none has ever completed.
    expect(await shown(first)).not.toHaveProperty("estimatedCompletion");
    run.progress({ progress: 50 });
    await expect.poll(() => shown(first)).toMatchObject({ progress: 50 });
    const half = await shown(first);
    const ms = (at: string | undefined): number => Date.parse(at ?? "");
    const elapsed = Date.now() - ms(half.startedAt);
    const estimate = ms(half.estimatedCompletion) - ms(half.startedAt);
    expect(estimate).toBeLessThanOrEqual(2 * elapsed + 2);
    expect(estimate).toBeGreaterThan(0);
    expect(half).not.toHaveProperty("processingStats");
    run.finish();
    const done = await ended(first);
    const took = ms(done.completedAt) - ms(done.startedAt);
    const second = await add({ type: "data_export", data: exportData });
    const next = await gate.run(1);
    // From how long the first one took, or by now if that time is over.
    const { startedAt, estimatedCompletion } = await shown(second);
    expect(ms(estimatedCompletion) - ms(startedAt)).toBeGreaterThanOrEqual(took - 2);
    expect(ms(estimatedCompletion)).toBeLessThanOrEqual(
      Math.max(Date.now(), ms(startedAt) + took + 2),
    );
    next.finish();
    await ended(second);
  });
});
