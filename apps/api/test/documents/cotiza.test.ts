import { HandlerError } from "@jobyard/core";
import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { exportData, Gate, serve } from "../running-server.ts";
import { virtualApi } from "../virtual-api.ts";

/*
 * Cotiza's document, section by section under its headings: what it shows is sent and answered so, in the envelope that it
 * shares with DataCloak's. What it leaves open, the tests in ../v1 have.
 */

const uuid = expect.stringMatching(
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
);
const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

const analysis = {
  fileId: "bracket-7",
  fileUrl: "s3://drawings/bracket.stl",
  fileName: "bracket.stl",
  fileType: "stl",
  analysisOptions: { performDfm: true, extractGeometry: true },
};

const types = {
  "file-analysis": analysis,
  "quote-calculation": {
    quoteId: "Q-88",
    items: [{ fileId: "bracket-7", quantity: 4, material: "PETG", process: "FFF" }],
  },
  "email-notification": {
    type: "quote-ready",
    recipientEmail: "ana@example.org",
    templateData: { quoteNumber: "Q-88" },
  },
  "report-generation": { reportType: "analytics", format: "pdf" },
};

function success(data: unknown) {
  return { success: true, data, timestamp: iso };
}

function done(message: string) {
  return { success: true, message, timestamp: iso };
}

describe.each(engines)("Cotiza on the %s engine", (engine) => {
  describe("Job Types", () => {
    test.each(Object.entries(types))("%s", async (type, data) => {
      const { call } = await serve({ engine, handlers: [] });
      const { status, body } = await call("POST", "/api/v1/jobs", { type, data });
      expect([status, body]).toEqual([
        201,
        success({ jobId: uuid, type, status: "pending", priority: "medium", createdAt: iso }),
      ]);
    });

    test("Email Notification: quote ready, accepted, expired, order shipped", async () => {
      const { call } = await serve({ engine, handlers: [] });
      for (const type of ["quote-ready", "quote-accepted", "quote-expired", "order-shipped"]) {
        const data = { ...types["email-notification"], type };
        const { status } = await call("POST", "/api/v1/jobs", { type: "email-notification", data });
        expect([type, status]).toEqual([type, 201]);
      }
    });

    test("Report Generation: PDF, Excel or CSV, for quotes, orders, invoices and analytics", async () => {
      const { call } = await serve({ engine, handlers: [] });
      for (const reportType of ["quote", "order", "invoice", "analytics"]) {
        for (const format of ["pdf", "excel", "csv"]) {
          const data = { reportType, format, entityId: "O-12" };
          const job = { type: "report-generation", data };
          const { status } = await call("POST", "/api/v1/jobs", job);
          expect([reportType, format, status]).toEqual([reportType, format, 201]);
        }
      }
    });
  });

  describe("API Endpoints", () => {
    test("Create Job: options of priority and attempts; Get Job Status", async () => {
      const { call } = await serve({ engine, handlers: [] });
      const options = { priority: 1, attempts: 3 };
      const job = { type: "file-analysis", data: analysis, options };
      const created = await call("POST", "/api/v1/jobs", job);
      expect(created.status).toBe(201);
      const { jobId: id } = created.body.data;
      const { status, body } = await call("GET", `/api/v1/jobs/${id}`);
      expect([status, body]).toEqual([
        200,
        success({
          id,
          type: "file-analysis",
          status: "pending",
          priority: "critical",
          options: { priority: 1 },
          progress: 0,
          createdAt: iso,
        }),
      ]);
      expect((await call("GET", `/api/native/jobs/${id}`)).body.data).toMatchObject({
        maxAttempts: 3,
      });
    });

    test("Schedule Job: delay in milliseconds", async () => {
      const { call } = await serve({ engine, handlers: [] });
      const job = { type: "email-notification", data: types["email-notification"], delay: 300_000 };
      const { status, body } = await call("POST", "/api/v1/jobs/schedule", job);
      expect([status, body]).toEqual([
        201,
        success({
          jobId: uuid,
          type: "email-notification",
          status: "pending",
          priority: "medium",
          createdAt: iso,
          scheduledFor: iso,
        }),
      ]);
      const { createdAt, scheduledFor } = body.data as unknown as Record<string, string>;
      expect(Date.parse(scheduledFor ?? "") - Date.parse(createdAt ?? "")).toBe(300_000);
    });

    test("Get Queue Metrics: ?type=file-analysis", async () => {
      const { call, add } = await serve({ engine, handlers: [] });
      await add({ type: "file-analysis", data: analysis });
      const { status, body } = await call("GET", "/api/v1/jobs/queues/metrics?type=file-analysis");
      expect([status, body]).toEqual([
        200,
        success([
          {
            name: "file-analysis",
            waiting: 1,
            active: 0,
            completed: 0,
            failed: 0,
            delayed: 0,
            paused: false,
            failedRate: 0,
          },
        ]),
      ]);
    });

    test("Retry Failed Job", async () => {
      const gate = new Gate();
      const { call, add, ended } = await serve({ engine, handlers: [gate.handler] });
      const id = await add({ type: "data_export", data: exportData });
      (await gate.run(0)).fail(new HandlerError("NO_ROWS", "Nothing there"));
      await ended(id);
      const { status, body } = await call("POST", `/api/v1/jobs/${id}/retry`);
      expect([status, body]).toEqual([200, done("Job retried successfully")]);
      (await gate.run(1)).finish();
    });

    test("Cancel Job", async () => {
      const { call, add } = await serve({ engine, handlers: [] });
      const id = await add({ type: "file-analysis", data: analysis });
      const { status, body } = await call("DELETE", `/api/v1/jobs/${id}`);
      expect([status, body]).toEqual([200, done("Job cancelled successfully")]);
    });

    test("Authorization: Bearer <token>, where tokens are configured", async () => {
      const API_TOKENS = "a-token-of-the-quoting-desk";
      const { call } = await serve({ engine, env: { API_TOKENS }, handlers: [] });
      for (const [method, path] of [
        ["POST", ""],
        ["POST", "/schedule"],
        ["GET", "/1"],
        ["GET", "/queues/metrics"],
        ["POST", "/1/retry"],
        ["DELETE", "/1"],
        ["GET", "/health/check"],
      ] as const) {
        const { status, body } = await call(method, `/api/v1/jobs${path}`);
        expect([path, status, body.details.code]).toEqual([path, 401, "AUTHENTICATION_ERROR"]);
      }
      const Authorization = `Bearer ${API_TOKENS}`;
      const job = { type: "file-analysis", data: analysis };
      expect((await call("POST", "/api/v1/jobs", job, { Authorization })).status).toBe(201);
    });
  });

  describe("Usage Examples", () => {
    test("Basic Job Creation: with the caller's own tenantId in the data", async () => {
      const { call } = await serve({ engine, handlers: [] });
      const create = (tenantId: string) =>
        call("POST", "/api/v1/jobs", { type: "file-analysis", data: { ...analysis, tenantId } });
      expect((await create("default")).status).toBe(201);
      const { status, body } = await create("acme");
      expect([status, body.details]).toMatchObject([400, { errors: [{ field: "tenantId" }] }]);
    });

    test("Scheduled Job: 24 hours later", async () => {
      const api = await virtualApi(engine);
      const { body } = await api.call("POST", "/api/v1/jobs/schedule", {
        type: "email-notification",
        data: { ...types["email-notification"], type: "quote-expired" },
        delay: 86_400_000,
      });
      const ready = () => api.queue.of("default").pull({ queue: "email-notifications", limit: 1 });
      await api.advance(86_399_000);
      expect(await ready()).toEqual([]);
      await api.advance(1000);
      expect(await ready()).toHaveLength(1);
      const shown = await api.call("GET", `/api/v1/jobs/${body.data.jobId}`);
      expect(shown.body.data.status).toBe("running");
    });

    test("Recurring Job: cron, daily at 2 AM", async () => {
      const { call } = await serve({ engine, handlers: [] });
      const { status, body } = await call("POST", "/api/v1/jobs/schedule", {
        type: "report-generation",
        data: types["report-generation"],
        cron: "0 2 * * *",
      });
      expect([status, body]).toEqual([
        201,
        success({
          name: expect.any(String),
          type: "report-generation",
          cron: "0 2 * * *",
          timezone: "UTC",
          enabled: true,
          nextRun: expect.stringMatching(/T02:00:00\.000Z$/),
          lastRun: null,
          createdAt: iso,
        }),
      ]);
    });
  });

  test("Queue Options: attempts, first backoff and timeout of each type", async () => {
    const { call, add } = await serve({ engine, handlers: [] });
    const expected = {
      "file-analysis": [3, 5000, 300_000],
      "quote-calculation": [3, 3000, 120_000],
      "email-notification": [5, 10_000, 30_000],
      "report-generation": [3, 5000, 180_000],
    };
    for (const [type, options] of Object.entries(expected)) {
      const id = await add({ type, data: types[type as keyof typeof types] });
      const { body } = await call("GET", `/api/native/jobs/${id}`);
      const job = body.data as unknown as Record<string, unknown>;
      const shown = [job["maxAttempts"], job["backoffMs"], job["timeoutMs"]];
      expect([type, shown]).toEqual([type, options]);
    }
  });

  test("Queue Health Check: not in the envelope", async () => {
    const { call, add } = await serve({ engine, handlers: [] });
    await add({ type: "file-analysis", data: analysis });
    const { status, body } = await call("GET", "/api/v1/jobs/health/check");
    expect([status, body]).toEqual([
      200,
      { status: "healthy", queues: 8, totalJobs: 1, metrics: expect.any(Array) },
    ]);
    expect((body as unknown as { readonly metrics: unknown }).metrics).toContainEqual({
      name: "file-analysis",
      active: 0,
      failed: 0,
      failedRate: 0,
      paused: false,
    });
  });

  describe("Error Handling", () => {
    test("Network Errors are retried, Dead Letter Queue Processing after the last attempt", async () => {
      const gate = new Gate();
      const { call, add, ended } = await serve({ engine, handlers: [gate.handler] });
      const id = await add({ type: "data_export", data: exportData, options: { attempts: 1 } });
      (await gate.run(0)).fail(new HandlerError("NETWORK_ERROR", "The store hung up"));
      expect((await ended(id)).status).toBe("failed");
      const dlq = await call("GET", "/queues/data_export/dlq");
      expect(dlq.body.data).toMatchObject([{ error: "The store hung up" }]);
      const later = await add({ type: "data_export", data: exportData });
      (await gate.run(1)).fail(new HandlerError("NETWORK_ERROR", "The store hung up"));
      const status = async () => (await call("GET", `/api/v1/jobs/${later}`)).body.data.status;
      await expect.poll(status).toBe("pending");
    });

    test("Invalid Data: the job fails at once", async () => {
      const gate = new Gate();
      const { add, ended } = await serve({ engine, handlers: [gate.handler] });
      const id = await add({ type: "data_export", data: exportData });
      const error = new HandlerError("DATASET_NOT_FOUND", "No such dataset", { dataFault: true });
      (await gate.run(0)).fail(error);
      expect(await ended(id)).toMatchObject({ status: "failed", error: "No such dataset" });
    });
  });
});
