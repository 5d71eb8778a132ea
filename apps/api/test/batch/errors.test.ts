import { describe, expect, test } from "vitest";
import { type ErrorCode, errorCodes, QueueError } from "@jobyard/core";
import { Hono } from "hono";
import type { ApiEnv } from "../../src/dialect.ts";
import { refuse } from "../../src/dialects/batch/errors.ts";
import { operations } from "../../src/dialects/batch/operations.ts";
import { engines } from "../engines.ts";
import { serve } from "../running-server.ts";
import { wellflow } from "../wellflow/client.ts";

const any = expect.any(String);
const project = { projectId: "invoices" };
const redo = {
  ...project,
  batchId: "march-1",
  rowIndex: 0,
  redoColumnIds: ["total"],
  croppedImageIds: { total: "crop-0" },
};

const refused = (code: string, error: unknown = any) => ({ success: false, error, code });

describe.each(engines)("on the %s engine", (engine) => {
  test("another tenant's jobs, projects and figures do not exist", async () => {
    const { anywhere, anywhereAs } = await wellflow({ engine });
    const acme = await anywhereAs({ tenantId: "acme" });
    const enqueue = { ...project, batchId: "march-1" };
    const { jobId } = (await anywhere("POST", "/api/queue/enqueue", enqueue)).body;
    const never = "4503599627370496";
    const unlike = (answer: { body: unknown }) =>
      JSON.stringify(answer.body).replaceAll(jobId, never);
    const status = await acme("GET", `/api/queue/status/${jobId}`);
    expect(status.status).toBe(404);
    expect(unlike(status)).toBe(unlike(await acme("GET", `/api/queue/status/${never}`)));
    const retry = await acme("POST", "/api/queue/retry", { ...project, jobId });
    expect(retry.status).toBe(404);
    expect(unlike(retry)).toBe(
      unlike(await acme("POST", "/api/queue/retry", { ...project, jobId: never })),
    );
    const cancelled = await acme("POST", "/api/queue/cancel", project);
    expect(cancelled.body).toMatchObject({ canceledCount: 0, batchesReset: 0 });
    expect((await acme("POST", "/api/queue/enqueue", enqueue)).body.canceledCount).toBe(0);
    const stats = await acme("GET", "/api/queue/stats");
    expect(stats.body.queue).toMatchObject({ queued: 1, totalJobs: 1 });
    // Whoever sees all tenants adds to its own, and replaces nobody else's.
    const all = await anywhereAs({ tenantId: "*" });
    expect((await all("POST", "/api/queue/enqueue", enqueue)).body.canceledCount).toBe(1);
    expect((await acme("GET", "/api/queue/stats")).body.queue.queued).toBe(1);
    const named = { ...enqueue, tenantId: "acme" };
    expect((await anywhere("POST", "/api/queue/enqueue", named)).body.error).toMatch(/^tenantId: /);
    expect((await acme("POST", "/api/queue/enqueue", named)).status).toBe(200);
  });

  test("a job that has not failed is not retried", async () => {
    const { anywhere } = await wellflow({ engine });
    const { jobId } = (
      await anywhere("POST", "/api/queue/enqueue", { ...project, batchId: "march-1" })
    ).body;
    const { status, body } = await anywhere("POST", "/api/queue/retry", { ...project, jobId });
    expect(status).toBe(409);
    expect(body).toEqual(refused("INVALID_STATE"));
  });
});

test("an open server asks for no token, and refuses a bad one", async () => {
  const { call } = await serve({ handlers: [] });
  expect((await call("GET", "/api/queue/stats")).status).toBe(200);
  const bad = await call("GET", "/api/queue/stats", undefined, { Authorization: "Bearer x" });
  expect(bad.status).toBe(401);
  expect(bad.body).toEqual(refused("AUTHENTICATION_ERROR"));
});

test("roles: what each may do", async () => {
  const { anywhereAs } = await wellflow();
  for (const [role, accesses] of Object.entries({
    ADMIN: ["read", "operate"],
    OPERATOR: ["read", "operate"],
    MANAGER: ["read"],
    NOBODY: [],
  })) {
    const call = await anywhereAs({ roles: [role] });
    for (const { method, path, "x-access": access } of Object.values(operations)) {
      const at = path.replace("{jobId}", "7");
      const { status, body } = await call(
        method.toUpperCase(),
        at,
        method === "get" ? undefined : "{}",
      );
      const allowed = accesses.some((one) => one === access);
      if (allowed) expect([200, 400, 404], `${role} ${at}`).toContain(status);
      else expect([status, body], `${role} ${at}`).toEqual([403, refused("AUTHORIZATION_ERROR")]);
    }
  }
});

test.each<[string, unknown, string]>([
  [
    "/enqueue",
    {},
    "projectId: Required field missing; batchId: Required field missing: batchId or batchIds",
  ],
  ["/enqueue", { batchId: "b" }, "projectId: Required field missing"],
  ["/enqueue", { ...project, batchId: "../b" }, "batchId: Must consist of letters"],
  ["/enqueue", { ...project, batchId: 7 }, "batchId: Expected string"],
  ["/enqueue", { ...project, batchIds: [] }, "batchIds: Array must contain at least 1 item"],
  ["/enqueue", { ...project, batchIds: ["b", ""] }, "batchIds[1]: "],
  ["/enqueue", { projectId: "a/b", batchId: "b" }, "projectId: Must consist of letters"],
  ["/enqueue", { ...project, batchId: "b", priority: -1 }, "priority: Must be at least 0"],
  ["/enqueue", { ...project, batchId: "b", priority: 2.5 }, "priority: "],
  ["/enqueue", { ...project, batchId: "b", priority: "high" }, "priority: Expected number"],
  ["/enqueue", { ...project, batchId: "b", priority: 1e9 }, "priority: Must be at most"],
  ["/enqueue", [], "body: Expected object"],
  ["/enqueue", "{", "body: Must be JSON"],
  ["/enqueue", '{"projectId":"p","batchId":"b","x":1e999}', "x: Numbers must be finite"],
  ["/enqueue", '{"projectId":"p","batchId":"b","x":{"__proto__":1}}', "x: Must not have a key"],
  ["/enqueue", '{"projectId":"p","batchId":"b","__proto__":1}', "body: Must not have a key"],
  [
    "/redo",
    JSON.stringify(redo).replace("{", '{"__proto__":{"a":1},'),
    "body: Must not have a key",
  ],
  ["/retry", {}, "projectId: Required field missing"],
  ["/retry", project, "jobId: Required field missing: jobId, or retryAll"],
  ["/retry", { ...project, retryAll: "yes" }, "retryAll: Expected boolean"],
  ["/retry", { ...project, jobId: {} }, "jobId: "],
  ["/redo", {}, "batchId: Required field missing; projectId: Required field missing; rowIndex"],
  ["/redo", { ...redo, rowIndex: -1 }, "rowIndex: Must be at least 0"],
  ["/redo", { ...redo, redoColumnIds: [] }, "redoColumnIds: "],
  ["/redo", { ...redo, croppedImageIds: { total: "a b" } }, "croppedImageIds.total: "],
  ["/redo", { ...redo, priority: -5 }, "priority: "],
  ["/cancel", {}, "projectId: Required field missing"],
  ["/cancel", { ...project, batchIds: "march-1" }, "batchIds: Expected array"],
])("%s refuses wrong input %#", async (path, body, error) => {
  const { call } = await serve({ handlers: [] });
  const sent = typeof body === "string" ? body : JSON.stringify(body);
  const answer = await call("POST", `/api/queue${path}`, sent);
  expect(answer.status).toBe(400);
  expect(answer.body).toEqual(refused("VALIDATION_ERROR", expect.stringContaining(error)));
  const { queue } = (await call("GET", "/api/queue/stats")).body as unknown as {
    queue: { totalJobs: number };
  };
  expect(queue.totalJobs).toBe(0);
});

test.each(["/metrics?timeRange=1h", "/metrics?timeRange=", "/stats?projectId="])(
  "%s is refused",
  async (path) => {
    const { call } = await serve({ handlers: [] });
    const { status, body } = await call("GET", `/api/queue${path}`);
    expect(status).toBe(400);
    expect(body).toEqual(refused("VALIDATION_ERROR"));
  },
);

test("ids, routes and methods that are none", async () => {
  const { call } = await serve({ handlers: [] });
  for (const id of ["0", "-1", "007", "1e3", "9007199254740992", "%00", "%ED%A0%80", "job-7"]) {
    const { status, body } = await call("GET", `/api/queue/status/${id}`);
    expect(status).toBe(404);
    expect(body).toEqual(refused("JOB_NOT_FOUND"));
    const jobId = decodeURIComponent(id.startsWith("%ED") ? "%00" : id);
    const retry = await call("POST", "/api/queue/retry", { ...project, jobId });
    expect(retry.status).toBe(404);
    expect(retry.body).toEqual(refused("JOB_NOT_FOUND"));
  }
  for (const path of ["", "/", "/status", "/status/7/8", "/nothing"]) {
    const { status, body } = await call("GET", `/api/queue${path}`);
    expect(status, path).toBe(404);
    expect(body).toEqual(refused("NOT_FOUND"));
  }
  const { status, body, headers } = await call("GET", "/api/queue/enqueue");
  expect(status).toBe(405);
  expect(headers.get("allow")).toBe("POST");
  expect(body).toEqual(refused("METHOD_NOT_ALLOWED"));
});

test("a body that is too long", async () => {
  const { call } = await serve({ handlers: [] });
  const sent = { ...project, batchId: "b", note: "x".repeat(1_100_000) };
  const { status, body } = await call("POST", "/api/queue/enqueue", sent);
  expect(status).toBe(413);
  expect(body).toEqual(refused("VALIDATION_ERROR"));
});

test("every error of the queue has its answer", async () => {
  const app = new Hono<ApiEnv>();
  let thrown: QueueError | undefined;
  app.get("/", () => {
    throw thrown as QueueError;
  });
  app.onError((error, c) => refuse(error as QueueError, c));
  const told: Partial<Record<ErrorCode, unknown>> = {};
  for (const code of errorCodes) {
    thrown = new QueueError(code, "Just so", { retryAfterMs: 2100 });
    const answer = await app.request("/");
    const body = (await answer.json()) as { readonly code: string };
    told[code] = [answer.status, body.code, answer.headers.get("retry-after")];
  }
  expect(told).toEqual({
    VALIDATION: [400, "VALIDATION_ERROR", null],
    UNKNOWN_JOB_TYPE: [400, "VALIDATION_ERROR", null],
    JOB_NOT_FOUND: [404, "JOB_NOT_FOUND", null],
    QUEUE_NOT_FOUND: [404, "NOT_FOUND", null],
    SCHEDULE_NOT_FOUND: [404, "NOT_FOUND", null],
    WEBHOOK_NOT_FOUND: [404, "NOT_FOUND", null],
    INVALID_STATE: [409, "INVALID_STATE", null],
    DUPLICATE_JOB: [409, "DUPLICATE_JOB", null],
    DUPLICATE_SCHEDULE: [409, "DUPLICATE_JOB", null],
    DEPENDENCY_NOT_FOUND: [400, "VALIDATION_ERROR", null],
    DEPENDENCY_CYCLE: [400, "VALIDATION_ERROR", null],
    STALE_LEASE: [409, "INVALID_STATE", null],
    PAYLOAD_TOO_LARGE: [413, "VALIDATION_ERROR", null],
    LIMIT_REACHED: [429, "RATE_LIMIT_EXCEEDED", "3"],
    RATE_LIMITED: [429, "RATE_LIMIT_EXCEEDED", "3"],
    WAIT_TIMEOUT: [408, "SYSTEM_ERROR", null],
    UNAVAILABLE: [503, "SYSTEM_ERROR", "3"],
    INTERNAL: [500, "SYSTEM_ERROR", null],
  });
});
