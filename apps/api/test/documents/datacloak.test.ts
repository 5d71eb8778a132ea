import { HandlerError } from "@jobyard/core";
import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { type Api, exportData, exportResult, Gate, serve } from "../running-server.ts";

/*
 * DataCloak's document, section by section under its headings: what it shows is sent and answered so. What it leaves open,
 * the tests in ../v1 have.
 */

const uuid = expect.stringMatching(
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
);
const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const number = expect.any(Number);

const texts = ["What a lovely teapot!", "The lid leaks.", "It is a teapot."];
const dataset = "8d1f6a3e-52b4-4c0d-8e77-90a1b2c3d4e5";

const types = {
  sentiment_analysis_batch: {
    texts,
    enablePIIMasking: true,
    includeKeywords: true,
    language: "en",
  },
  file_processing: {
    filePath: "uploads/june.csv",
    datasetId: dataset,
    processingType: "analyze",
    chunkSize: 1_000_000,
  },
  security_scan: {
    filePath: "uploads/june.csv",
    datasetId: dataset,
    scanType: "quick",
    complianceFramework: ["GDPR", "HIPAA"],
  },
  data_export: {
    datasetId: dataset,
    format: "xlsx",
    filters: {
      sentiment: "negative",
      dateRange: { start: "2026-05-01", end: "2026-05-31" },
      limit: 500,
    },
    includeMetadata: true,
  },
};

const ghost = "550e8400-e29b-41d4-a716-446655440000";

function success(data: unknown) {
  return { success: true, data, timestamp: iso };
}

function refusal(error: unknown, details: object) {
  return { success: false, error, details, timestamp: iso };
}

/** A job that was run as the test's handler ended it. */
async function failed({ add, ended }: Api, gate: Gate, n = 0): Promise<string> {
  const id = await add({ type: "data_export", data: exportData });
  const error = new HandlerError("NO_ROWS", "Memory limit exceeded", { stage: "processing" });
  (await gate.run(n)).fail(error);
  await ended(id);
  return id;
}

describe.each(engines)("DataCloak on the %s engine", (engine) => {
  describe("Create Job", () => {
    test("POST /api/v1/jobs: request, response (success)", async () => {
      const { call } = await serve({ engine, handlers: [] });
      const { status, body } = await call("POST", "/api/v1/jobs", {
        type: "sentiment_analysis_batch",
        data: { texts, enablePIIMasking: true },
        priority: "high",
      });
      expect([status, body]).toEqual([
        201,
        success({
          jobId: uuid,
          type: "sentiment_analysis_batch",
          status: "pending",
          priority: "high",
          createdAt: iso,
        }),
      ]);
    });

    test("Job Types, Job Data Types: each with all of its fields", async () => {
      const { call } = await serve({ engine, handlers: [] });
      for (const [type, data] of Object.entries(types)) {
        const { status, body } = await call("POST", "/api/v1/jobs", { type, data });
        expect([type, status, body.data.type]).toEqual([type, 201, type]);
      }
    });

    test("Job Priorities: low, medium (default), high, critical", async () => {
      const { call } = await serve({ engine, handlers: [] });
      for (const priority of [undefined, "low", "medium", "high", "critical"]) {
        const job = { type: "data_export", data: exportData };
        const sent = priority === undefined ? job : { ...job, priority };
        const { body } = await call("POST", "/api/v1/jobs", sent);
        expect(body.data.priority).toBe(priority ?? "medium");
      }
    });

    test("Error Responses: INVALID_JOB_TYPE", async () => {
      const { call } = await serve({ engine, handlers: [] });
      const asked = JSON.stringify({ type: "tea_making", data: {} });
      const { status, body } = await call("POST", "/api/v1/jobs", asked);
      expect([status, body]).toEqual([
        400,
        refusal("Invalid job type", {
          code: "INVALID_JOB_TYPE",
          allowedTypes: [
            ...Object.keys(types),
            "file-analysis",
            "quote-calculation",
            "email-notification",
            "report-generation",
          ],
        }),
      ]);
    });
  });

  describe("Get Job Status", () => {
    test("GET /api/v1/jobs/:id: response (success)", async () => {
      const gate = new Gate();
      const { call, add } = await serve({ engine, handlers: [gate.handler] });
      const id = await add({ type: "data_export", data: exportData, priority: "high" });
      const run = await gate.run();
      run.progress({ items: { total: 1000, processed: 655, failed: 5 } });
      const shown = async () => (await call("GET", `/api/v1/jobs/${id}`)).body;
      await expect.poll(async () => (await shown()).data.progress).toBe(65.5);
      expect(await shown()).toEqual(
        success({
          id,
          type: "data_export",
          status: "running",
          priority: "high",
          progress: 65.5,
          createdAt: iso,
          startedAt: iso,
          estimatedCompletion: iso,
          processingStats: {
            totalItems: 1000,
            processedItems: 655,
            failedItems: 5,
            averageProcessingTime: number,
            currentSpeed: expect.stringMatching(/^\d+(\.\d)? items\/second$/),
          },
        }),
      );
      run.finish();
    });

    test("Response (Completed Job)", async () => {
      const { call, add, ended } = await serve({ engine });
      const id = await add({
        type: "sentiment_analysis_batch",
        data: { texts: texts.slice(0, 1), enablePIIMasking: true },
        priority: "high",
      });
      await ended(id);
      const { status, body } = await call("GET", `/api/v1/jobs/${id}`);
      expect([status, body]).toEqual([
        200,
        success({
          id,
          type: "sentiment_analysis_batch",
          status: "completed",
          priority: "high",
          progress: 100,
          createdAt: iso,
          startedAt: iso,
          completedAt: iso,
          result: expect.objectContaining({
            totalProcessed: 1,
            results: [
              expect.objectContaining({
                text: texts[0],
                sentiment: "positive",
                score: number,
                confidence: number,
              }),
            ],
            summary: {
              successful: 1,
              failed: 0,
              averageScore: number,
              distribution: { positive: 1, negative: 0, neutral: 0 },
            },
          }),
        }),
      ]);
    });

    test("Error Response: JOB_NOT_FOUND", async () => {
      const { call } = await serve({ engine, handlers: [] });
      for (const jobId of ["invalid-uuid", ghost]) {
        const { status, body } = await call("GET", `/api/v1/jobs/${jobId}`);
        expect([status, body]).toEqual([
          404,
          refusal("Job not found", { code: "JOB_NOT_FOUND", jobId }),
        ]);
      }
    });
  });

  describe("List Jobs", () => {
    test("GET /api/v1/jobs: response", async () => {
      const gate = new Gate();
      const { call, add } = await serve({ engine, handlers: [gate.handler] });
      const running = await add({ type: "data_export", data: exportData, priority: "high" });
      const run = await gate.run();
      const pending = await add({ type: "file_processing", data: types.file_processing });
      const { status, body } = await call("GET", "/api/v1/jobs");
      expect([status, body]).toEqual([
        200,
        success({
          jobs: [
            {
              id: pending,
              type: "file_processing",
              status: "pending",
              priority: "medium",
              progress: 0,
              createdAt: iso,
            },
            {
              id: running,
              type: "data_export",
              status: "running",
              priority: "high",
              progress: 0,
              createdAt: iso,
              startedAt: iso,
            },
          ],
          total: 2,
        }),
      ]);
      run.finish();
    });

    test("Query Parameters: status, type, priority, limit (50, at most 100), page (1)", async () => {
      const env = { DATACLOAK_JOBS_PER_MINUTE: "0" };
      const { call, add } = await serve({ engine, env, handlers: [] });
      const ids: string[] = [];
      for (let n = 0; n < 53; n++) {
        const type = n % 2 === 0 ? "data_export" : "security_scan";
        const job = n % 2 === 0 ? exportData : types.security_scan;
        ids.push(await add({ type, data: job, priority: n === 52 ? "high" : "low" }));
      }
      const newest = ids.toReversed();
      const list = async (query: string) => {
        const { jobs, total } = (await call("GET", `/api/v1/jobs${query}`)).body.data;
        return [jobs.map(({ id }) => id), total];
      };
      expect(await list("")).toEqual([newest.slice(0, 50), 53]);
      expect(await list("?limit=100")).toEqual([newest, 53]);
      expect(await list("?page=2&limit=20")).toEqual([newest.slice(20, 40), 53]);
      expect(await list("?status=running")).toEqual([[], 0]);
      expect(await list("?type=data_export&priority=high")).toEqual([[newest[0]], 1]);
      expect(await list("?status=pending&type=security_scan&limit=1")).toEqual([[newest[1]], 26]);
      for (const [field, value] of Object.entries({
        limit: "101",
        page: "0",
        status: "done",
        priority: "urgent",
      })) {
        const { status, body } = await call("GET", `/api/v1/jobs?${field}=${value}`);
        expect([status, body]).toEqual([
          400,
          refusal("Invalid job data", {
            code: "INVALID_JOB_DATA",
            errors: [{ field, message: expect.any(String) }],
          }),
        ]);
      }
    });
  });

  describe("Cancel Job", () => {
    test("DELETE /api/v1/jobs/:id: pending and running jobs", async () => {
      const gate = new Gate();
      const { call, add, ended } = await serve({ engine, handlers: [gate.handler] });
      const running = await add({ type: "data_export", data: exportData });
      const { signal } = await gate.run();
      const pending = await add({ type: "security_scan", data: types.security_scan });
      for (const id of [pending, running]) {
        const { status, body } = await call("DELETE", `/api/v1/jobs/${id}`);
        expect([status, body]).toEqual([
          200,
          { success: true, message: "Job cancelled successfully", timestamp: iso },
        ]);
        expect((await ended(id)).status).toBe("cancelled");
      }
      expect(signal.aborted).toBe(true);
    });

    test("Cancellation Rules: completed and failed jobs cannot be cancelled", async () => {
      const gate = new Gate();
      const api = await serve({ engine, handlers: [gate.handler] });
      const { call, add, ended } = api;
      const completed = await add({ type: "data_export", data: exportData });
      (await gate.run(0)).finish();
      await ended(completed);
      const lost = await failed(api, gate, 1);
      for (const [id, currentStatus] of [
        [completed, "completed"],
        [lost, "failed"],
      ] as const) {
        const { status, body } = await call("DELETE", `/api/v1/jobs/${id}`);
        expect([status, body]).toEqual([
          409,
          refusal("Job not found or cannot be cancelled", {
            code: "JOB_NOT_CANCELLABLE",
            currentStatus,
          }),
        ]);
      }
    });
  });

  test("Queue Statistics: GET /api/v1/jobs/stats/summary", async () => {
    const { call, add } = await serve({ engine, handlers: [] });
    await add({ type: "data_export", data: exportData, priority: "critical" });
    const { status, body } = await call("GET", "/api/v1/jobs/stats/summary");
    const none = { total: 0, completed: 0, failed: 0, cancelled: 0 };
    expect([status, body]).toEqual([
      200,
      success({
        total: 1,
        pending: 1,
        running: 0,
        completed: 0,
        failed: 0,
        cancelled: 0,
        performance: {
          averageProcessingTime: 0,
          throughput: "0 jobs/minute",
          successRate: 100,
          peakConcurrency: 0,
        },
        byType: {
          sentiment_analysis_batch: none,
          file_processing: none,
          security_scan: none,
          data_export: { ...none, total: 1 },
          "file-analysis": none,
          "quote-calculation": none,
          "email-notification": none,
          "report-generation": none,
        },
        byPriority: { critical: 1, high: 0, medium: 0, low: 0 },
      }),
    ]);
  });

  describe("Wait for Completion", () => {
    test("POST /api/v1/jobs/:id/wait: response (completed), response (timeout)", async () => {
      const gate = new Gate();
      const { call, add } = await serve({ engine, handlers: [gate.handler] });
      const id = await add({ type: "data_export", data: exportData });
      const run = await gate.run();
      run.progress({ progress: 65.5 });
      const shown = async () => (await call("GET", `/api/v1/jobs/${id}`)).body.data.progress;
      await expect.poll(shown).toBe(65.5);
      const late = await call("POST", `/api/v1/jobs/${id}/wait`, { timeout: 10 });
      expect([late.status, late.body]).toEqual([
        408,
        refusal("Job timeout", {
          code: "JOB_TIMEOUT",
          currentStatus: "running",
          currentProgress: 65.5,
        }),
      ]);
      run.finish();
      const { status, body } = await call("POST", `/api/v1/jobs/${id}/wait`, { timeout: 30_000 });
      expect([status, body]).toEqual([
        200,
        success({
          id,
          type: "data_export",
          status: "completed",
          progress: 100,
          result: exportResult,
          completedAt: iso,
        }),
      ]);
    });

    test("Request Schema: timeout may be left out, 300000 at most", async () => {
      const gate = new Gate();
      const { call, add } = await serve({ engine, handlers: [gate.handler] });
      const id = await add({ type: "data_export", data: exportData });
      (await gate.run()).finish();
      for (const body of [undefined, {}, { timeout: 300_000 }]) {
        expect((await call("POST", `/api/v1/jobs/${id}/wait`, body)).status).toBe(200);
      }
      const { status, body } = await call("POST", `/api/v1/jobs/${id}/wait`, '{"timeout":300001}');
      expect([status, body.details]).toMatchObject([400, { errors: [{ field: "timeout" }] }]);
    });
  });

  describe("Job Processing Architecture", () => {
    test("Queue Management: three at once, the high priority first, four runs in all", async () => {
      const gate = new Gate();
      const { add, call } = await serve({ engine, handlers: [gate.handler] });
      const job = { type: "data_export", data: exportData };
      for (let n = 0; n < 4; n++) await add({ ...job, priority: "low" });
      const high = await add({ ...job, priority: "high" });
      const runs = [await gate.run(0), await gate.run(1), await gate.run(2)];
      const { body } = await call("GET", "/api/v1/jobs/stats/summary");
      expect(body.data).toMatchObject({ running: 3, pending: 2 });
      runs[0]?.finish();
      const next = await gate.run(3);
      expect((await call("GET", `/api/v1/jobs/${high}`)).body.data.status).toBe("running");
      const native = await call("GET", `/api/native/jobs/${high}`);
      // The first run, and three retries of it.
      expect(native.body.data).toMatchObject({ maxAttempts: 4 });
      for (const run of [...runs.slice(1), next]) run.finish();
      (await gate.run(4)).finish();
    });
  });

  describe("Validation Rules", () => {
    const invalid: readonly (readonly [rule: string, job: object, field: string])[] = [
      ["type: required", { data: { texts } }, "type"],
      ["data: required", { type: "data_export" }, "data"],
      ["data: an object", { type: "data_export", data: "rows" }, "data"],
      ["priority: one of four", { type: "data_export", data: exportData, priority: 1 }, "priority"],
      ["texts: required", { type: "sentiment_analysis_batch", data: {} }, "texts"],
      ["texts: 1 at least", { type: "sentiment_analysis_batch", data: { texts: [] } }, "texts"],
      [
        "texts: 10000 at most",
        {
          type: "sentiment_analysis_batch",
          data: { texts: Array.from({ length: 10_001 }, () => "x") },
        },
        "texts",
      ],
      [
        "texts: of 1 character at least",
        { type: "sentiment_analysis_batch", data: { texts: ["Fine", ""] } },
        "texts[1]",
      ],
      [
        "texts: of 10000 characters at most",
        { type: "sentiment_analysis_batch", data: { texts: ["x".repeat(10_001)] } },
        "texts[0]",
      ],
      [
        "enablePIIMasking: a boolean",
        { type: "sentiment_analysis_batch", data: { texts, enablePIIMasking: "no" } },
        "enablePIIMasking",
      ],
      [
        "filePath: a safe path",
        { type: "file_processing", data: { ...types.file_processing, filePath: "june 1.csv" } },
        "filePath",
      ],
      [
        "datasetId: a UUID",
        { type: "file_processing", data: { ...types.file_processing, datasetId: "june" } },
        "datasetId",
      ],
      [
        "processingType: parse or analyze",
        { type: "file_processing", data: { ...types.file_processing, processingType: "guess" } },
        "processingType",
      ],
    ];
    test.each(invalid)("%s", async (_, job, field) => {
      const { call } = await serve({ engine, handlers: [] });
      const { status, body } = await call("POST", "/api/v1/jobs", JSON.stringify(job));
      const details =
        field === "type"
          ? { code: "INVALID_JOB_TYPE" }
          : { code: "INVALID_JOB_DATA", errors: [{ field, message: expect.any(String) }] };
      expect([status, body.details]).toMatchObject([400, details]);
      expect((await call("GET", "/api/v1/jobs")).body.data.total).toBe(0);
    });

    test("the most that is taken", async () => {
      const { call } = await serve({ engine, handlers: [] });
      const data = { texts: ["x".repeat(10_000), ...Array.from({ length: 9999 }, () => "y")] };
      const job = { type: "sentiment_analysis_batch", data };
      expect((await call("POST", "/api/v1/jobs", job)).status).toBe(201);
    });
  });

  test("Throughput Limits: 3 jobs at once, 1000 unfinished, 60 a minute, 3600 an hour", async () => {
    const { call } = await serve({ engine, handlers: [] });
    const { limits } = (await call("GET", "/api/native/settings")).body.data as unknown as {
      readonly limits: { readonly dataJobs: object };
    };
    expect(limits.dataJobs).toEqual({
      perMinute: 60,
      perHour: 3600,
      maxUnfinished: 1000,
      maxRunning: 3,
    });
    const statuses: number[] = [];
    for (let n = 0; n < 61; n++) {
      const answer = await call("POST", "/api/v1/jobs", { type: "data_export", data: exportData });
      statuses.push(answer.status);
      if (answer.status === 429) {
        expect(answer.body.details.code).toBe("RATE_LIMIT_EXCEEDED");
        expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
      }
    }
    expect(statuses).toEqual([...Array.from({ length: 60 }, () => 201), 429]);
  });

  describe("Common Error Scenarios", () => {
    test("Job Creation Errors: INVALID_JOB_DATA", async () => {
      const { call } = await serve({ engine, handlers: [] });
      const { status, body } = await call("POST", "/api/v1/jobs", {
        type: "sentiment_analysis_batch",
        data: { texts: [] },
      });
      expect([status, body]).toEqual([
        400,
        refusal("Invalid job data", {
          code: "INVALID_JOB_DATA",
          errors: [{ field: "texts", message: "Array must contain at least 1 item" }],
        }),
      ]);
    });

    test("Job Processing Errors: JOB_PROCESSING_ERROR, with the job", async () => {
      const gate = new Gate();
      const api = await serve({ engine, handlers: [gate.handler] });
      const id = await failed(api, gate);
      expect((await api.call("GET", `/api/v1/jobs/${id}`)).body.data).toMatchObject({
        status: "failed",
        error: "Memory limit exceeded",
        details: {
          code: "JOB_PROCESSING_ERROR",
          jobId: id,
          stage: "processing",
          message: "Memory limit exceeded",
        },
      });
    });
  });

  test("Usage Examples: Complete Job Workflow", async () => {
    const { url } = await serve({ engine });
    const json = { method: "POST", headers: { "Content-Type": "application/json" } };
    const ask = async (path: string, init?: RequestInit) =>
      (await (await fetch(`${url}${path}`, init)).json()) as Awaited<
        ReturnType<Api["call"]>
      >["body"];
    const created = await ask("/api/v1/jobs", {
      ...json,
      body: JSON.stringify({
        type: "sentiment_analysis_batch",
        data: { texts, enablePIIMasking: true },
        priority: "high",
      }),
    });
    const { jobId } = created.data;
    const waited = await ask(`/api/v1/jobs/${jobId}/wait`, {
      ...json,
      body: JSON.stringify({ timeout: 60_000 }),
    });
    expect(waited.data.status).toBe("completed");
    const polled = await ask(`/api/v1/jobs/${jobId}`);
    expect(polled.data).toMatchObject({ progress: 100, result: waited.data.result });
    expect((await ask("/api/v1/jobs/stats/summary")).data.completed).toBe(1);
    expect((await ask(`/api/v1/jobs/${jobId}`, { method: "DELETE" })).success).toBe(false);
  });
});
