import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Writable } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { type ErrorCode, errorCodes, QueueError, parseConfig } from "@jobyard/core";
import { Hono } from "hono";
import { pino } from "pino";
import { describe, expect, onTestFinished, test } from "vitest";
import { Answer } from "../../src/answer.ts";
import { createApp } from "../../src/app.ts";
import type { ApiEnv } from "../../src/dialect.ts";
import { refuse } from "../../src/dialects/v1/errors.ts";
import { engines } from "../engines.ts";
import { exportData, Gate, serve } from "../running-server.ts";

const moment = expect.stringMatching(/^\d{4}-.*Z$/);
const types = [
  "sentiment_analysis_batch",
  "file_processing",
  "security_scan",
  "data_export",
  "file-analysis",
  "quote-calculation",
  "email-notification",
  "report-generation",
];

const invalid = (...errors: { field: string; message: unknown }[]) => ({
  success: false,
  error: "Invalid job data",
  details: { code: "INVALID_JOB_DATA", errors },
  timestamp: moment,
});

const any = expect.any(String);
const good = { type: "data_export", data: exportData };

describe.each(engines)("on the %s engine", (engine) => {
  test("a type that is none", async () => {
    const { call } = await serve({ engine, handlers: [] });
    const refused = {
      success: false,
      error: "Invalid job type",
      details: { code: "INVALID_JOB_TYPE", allowedTypes: types },
      timestamp: moment,
    };
    for (const type of [
      "video",
      "email-notifications",
      "process_batch",
      "__proto__",
      "",
      null,
      7,
      undefined,
    ]) {
      const { status, body } = await call("POST", "/api/v1/jobs", { type, data: {} });
      expect(status).toBe(400);
      expect(body).toEqual(refused);
    }
    const { status, body } = await call("GET", "/api/v1/jobs?type=video");
    expect(status).toBe(400);
    expect(body).toEqual(refused);
  });

  test.each<[string, unknown, ...{ field: string; message: unknown }[]]>([
    [
      "no texts",
      { type: "sentiment_analysis_batch", data: { texts: [] } },
      { field: "texts", message: "Array must contain at least 1 item" },
    ],
    [
      "texts of the wrong type",
      { type: "sentiment_analysis_batch", data: { texts: ["a", 5], enablePIIMasking: "yes" } },
      { field: "texts[1]", message: "Expected string, received number" },
      { field: "enablePIIMasking", message: any },
    ],
    [
      "fields missing",
      { type: "file_processing", data: {} },
      { field: "filePath", message: "Required field missing" },
      { field: "datasetId", message: any },
    ],
    ["no data", { type: "data_export" }, { field: "data", message: "Required field missing" }],
    ["a list as data", { ...good, data: [exportData] }, { field: "data", message: any }],
    ["a string as data", { ...good, data: "x" }, { field: "data", message: any }],
    ["a level that is none", { ...good, priority: "urgent" }, { field: "priority", message: any }],
    ["a number as level", { ...good, priority: 3 }, { field: "priority", message: any }],
    [
      "two priorities",
      { ...good, priority: "low", options: { priority: 0 } },
      { field: "options.priority", message: "Must not be given together with priority" },
    ],
    [
      "a negative priority",
      { ...good, options: { priority: -1 } },
      { field: "options.priority", message: any },
    ],
    [
      "half a priority",
      { ...good, options: { priority: 1.5 } },
      { field: "options.priority", message: any },
    ],
    [
      "a priority beyond all",
      { ...good, options: { priority: 1_000_001 } },
      { field: "options.priority", message: any },
    ],
    [
      "no attempt",
      { ...good, options: { attempts: 0 } },
      { field: "options.attempts", message: any },
    ],
    ["options that are none", { ...good, options: [] }, { field: "options", message: any }],
    [
      "another tenant",
      { ...good, data: { ...exportData, tenantId: "acme" } },
      { field: "tenantId", message: any },
    ],
    ["a list", [good], { field: "body", message: "Expected object, received array" }],
    ["null", "null", { field: "body", message: any }],
    ["nothing", undefined, { field: "body", message: any }],
    ["half a body", '{"type": "data_export", "da', { field: "body", message: "Must be JSON" }],
    ["two values", "{}{}", { field: "body", message: "Must be JSON" }],
    [
      "bad UTF-8",
      new Uint8Array([0x22, 0xc3, 0x28, 0x22]),
      { field: "body", message: "Must be UTF-8" },
    ],
    [
      "a surrogate as UTF-8",
      new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]),
      { field: "body", message: "Must be UTF-8" },
    ],
    [
      "numbers beyond all",
      `{"type":"data_export","data":{"datasetId":1e999}}`,
      { field: "data.datasetId", message: "Numbers must be finite" },
    ],
    [
      "a poisoned key",
      `{"type":"data_export","data":{"a":{"__proto__":{"admin":true}}}}`,
      { field: "data.a", message: "Must not have a key __proto__" },
    ],
    [
      "depth",
      `{"type":"data_export","data":${'{"a":'.repeat(101)}1${"}".repeat(101)}}`,
      { field: any, message: "Must not be nested deeper than 100 levels" },
    ],
  ])("create refuses %s", async (_, body, ...errors) => {
    const { call } = await serve({ engine, handlers: [] });
    const answer = await call("POST", "/api/v1/jobs", body);
    expect(answer.body).toEqual(invalid(...errors));
    expect(answer.status).toBe(400);
    expect((await call("GET", "/api/v1/jobs")).body.data.total).toBe(0);
  });

  test.each([
    ["status=done", "status"],
    ["status=", "status"],
    ["priority=1", "priority"],
    ["limit=0", "limit"],
    ["limit=101", "limit"],
    ["limit=ten", "limit"],
    ["limit=2.5", "limit"],
    ["limit=0x10", "limit"],
    ["limit=1e1", "limit"],
    ["limit=%205", "limit"],
    ["limit=", "limit"],
    ["page=0", "page"],
    ["page=-1", "page"],
    ["page=99999999999999999999", "page"],
  ])("list refuses %s", async (query, field) => {
    const { call } = await serve({ engine, handlers: [] });
    const { status, body } = await call("GET", `/api/v1/jobs?${query}`);
    expect(status).toBe(400);
    expect(body).toEqual(invalid({ field, message: any }));
  });

  test.each([
    { timeout: 300_001 },
    { timeout: -1 },
    { timeout: "5s" },
    { timeout: 1.5 },
    { timeout: null },
    [],
    "null",
  ])("wait refuses %j", async (wait) => {
    const { call, add } = await serve({ engine, handlers: [] });
    const { status, body } = await call("POST", `/api/v1/jobs/${await add(good)}/wait`, wait);
    expect(status).toBe(400);
    expect(body).toEqual(
      invalid({ field: "timeout" in Object(wait) ? "timeout" : "body", message: any }),
    );
  });

  const strangers = [
    "550e8400-e29b-41d4-a716-446655440000",
    "6a6f6279-6172-8640-8000-00000000ffff",
    "6a6f6279-6172-8640-8000-000000000000",
    "invalid-uuid",
    "0",
    "-1",
    "007",
    "1.0",
    "1e3",
    "9007199254740992",
    "99999999999999999999",
    "%00",
    "%ED%A0%80",
    "%",
    "constructor",
    "1%2F2",
    " 1",
    "x".repeat(3000),
  ];

  test.each(strangers)("an id of no job: %s", async (id) => {
    const { call } = await serve({ engine, handlers: [] });
    for (const [method, path] of [
      ["GET", ""],
      ["DELETE", ""],
      ["POST", "/wait"],
    ] as const) {
      const { status, body } = await call(method, `/api/v1/jobs/${id}${path}`);
      expect(status).toBe(404);
      expect(body).toEqual({
        success: false,
        error: "Job not found",
        details: { code: "JOB_NOT_FOUND", jobId: any },
        timestamp: moment,
      });
    }
  });

  test("the id is told as it was spelt", async () => {
    const { call } = await serve({ engine, handlers: [] });
    const { body } = await call("GET", "/api/v1/jobs/invalid-uuid");
    expect(body.details["jobId"]).toBe("invalid-uuid");
  });

  test("what has ended cannot be cancelled", async () => {
    const gate = new Gate();
    const { call, add, ended } = await serve({ engine, handlers: [gate.handler] });
    const id = await add(good);
    (await gate.run()).finish();
    await ended(id);
    const cancelled = await add(good);
    await call("DELETE", `/api/v1/jobs/${cancelled}`);
    await ended(cancelled);
    for (const [job, currentStatus] of [
      [id, "completed"],
      [cancelled, "cancelled"],
    ]) {
      const { status, body } = await call("DELETE", `/api/v1/jobs/${job}`);
      expect(status).toBe(409);
      expect(body).toEqual({
        success: false,
        error: "Job not found or cannot be cancelled",
        details: { code: "JOB_NOT_CANCELLABLE", currentStatus },
        timestamp: moment,
      });
    }
  });

  test("unknown routes and wrong methods answer in the envelope", async () => {
    const { call } = await serve({ engine, handlers: [] });
    for (const path of [
      "/api/v1",
      "/api/v1/",
      "/api/v1/jobs/",
      "/api/v1/jobs/1/result",
      "/api/v1/x",
    ]) {
      const { status, body } = await call("GET", path);
      expect([path, status]).toEqual([path, 404]);
      expect(body).toEqual({
        success: false,
        error: any,
        details: { code: "NOT_FOUND" },
        timestamp: moment,
      });
    }
    for (const [method, path, allow] of [
      ["PUT", "/api/v1/jobs", "POST, GET, HEAD"],
      ["OPTIONS", "/api/v1/jobs", "POST, GET, HEAD"],
      ["PATCH", "/api/v1/jobs/7", "GET, HEAD, DELETE"],
      ["GET", "/api/v1/jobs/7/wait", "POST"],
      ["POST", "/api/v1/jobs/stats/summary", "GET, HEAD"],
    ] as const) {
      const { status, body, headers } = await call(method, path);
      expect([path, status]).toEqual([path, 405]);
      expect(headers.get("allow")).toBe(allow);
      expect(body.details.code).toBe("METHOD_NOT_ALLOWED");
    }
  });

  test("data larger than its type takes", async () => {
    const { call } = await serve({ engine, handlers: [] });
    const data = { ...exportData, note: "n".repeat(1_000_000) };
    const { status, body } = await call("POST", "/api/v1/jobs", { type: "data_export", data });
    expect(status).toBe(413);
    expect(body).toMatchObject({ details: { code: "INVALID_JOB_DATA", limitBytes: 1_000_000 } });
  });
});

test("a body without end is cut off, however it announces itself", async () => {
  const { call } = await serve({ handlers: [] });
  const chunk = new Uint8Array(1_000_000).fill(0x20);
  let sent = 0;
  const endless = new ReadableStream({
    pull(controller) {
      sent += chunk.length;
      controller.enqueue(chunk);
    },
  });
  const { status, body } = await call("POST", "/api/v1/jobs", endless);
  expect(status).toBe(413);
  expect(body.details.code).toBe("INVALID_JOB_DATA");
  expect(sent).toBeGreaterThan(101_000_000);
  expect(sent).toBeLessThan(250_000_000);
  expect((await call("GET", "/health")).status).toBe(200);
});

test("every core error has its answer, with times to come back where there is one", async () => {
  const app = new Hono<ApiEnv>();
  app.get("/:code", (c) => {
    const { code } = c.req.param() as { code: ErrorCode };
    return refuse(new QueueError(code, "m", { retryAfterMs: 2500 }), c);
  });
  const answers: Record<string, [number, string, string | null]> = {};
  for (const code of errorCodes) {
    const response = await app.request(`/${code}`);
    const body = (await response.json()) as { success: boolean; details: { code: string } };
    expect(body.success).toBe(false);
    answers[code] = [response.status, body.details.code, response.headers.get("retry-after")];
  }
  expect(answers).toEqual({
    VALIDATION: [400, "INVALID_JOB_DATA", null],
    UNKNOWN_JOB_TYPE: [400, "INVALID_JOB_TYPE", null],
    JOB_NOT_FOUND: [404, "JOB_NOT_FOUND", null],
    QUEUE_NOT_FOUND: [404, "JOB_NOT_FOUND", null],
    SCHEDULE_NOT_FOUND: [404, "JOB_NOT_FOUND", null],
    WEBHOOK_NOT_FOUND: [404, "JOB_NOT_FOUND", null],
    INVALID_STATE: [409, "JOB_NOT_CANCELLABLE", null],
    DUPLICATE_JOB: [409, "DUPLICATE_JOB", null],
    DUPLICATE_SCHEDULE: [409, "DUPLICATE_JOB", null],
    DEPENDENCY_NOT_FOUND: [400, "INVALID_JOB_DATA", null],
    DEPENDENCY_CYCLE: [400, "INVALID_JOB_DATA", null],
    STALE_LEASE: [409, "STALE_LEASE", null],
    PAYLOAD_TOO_LARGE: [413, "INVALID_JOB_DATA", null],
    LIMIT_REACHED: [429, "QUEUE_FULL", "3"],
    RATE_LIMITED: [429, "RATE_LIMIT_EXCEEDED", "3"],
    WAIT_TIMEOUT: [408, "JOB_TIMEOUT", null],
    UNAVAILABLE: [503, "SYSTEM_ERROR", "3"],
    INTERNAL: [500, "SYSTEM_ERROR", null],
  });
});

test("what nobody foresaw is told as an id that the log has, and nothing else", async () => {
  const lines: string[] = [];
  const sink = new Writable({
    write(line: Buffer, _, done) {
      lines.push(line.toString());
      done();
    },
  });
  const never = new AbortController().signal;
  const app = createApp({
    // A queue that nothing works on.
    queue: { adapter: { capabilities: { engine: "sqlite" } } } as never,
    events: {} as never,
    control: {} as never,
    metrics: {} as never,
    authenticate: async () => ({
      tenant: "default",
      roles: ["ADMIN"],
      system: true,
      subject: null,
      expiresAt: Infinity,
    }),
    config: parseConfig({ API_TOKENS: "of-nobody" }),
    storage: {} as never,
    nodeId: "node",
    log: pino(sink),
    stopping: never,
    ending: never,
  });
  const onRequest = getRequestListener(app.fetch);
  const server = createServer(
    { ServerResponse: Answer },
    (request, response) => void onRequest(request, response),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/jobs`);
  expect(response.status).toBe(500);
  const body = (await response.json()) as { error: string; details: { id: string } };
  expect(body).toEqual({
    success: false,
    error: any,
    details: { code: "SYSTEM_ERROR", id: response.headers.get("x-request-id") },
    timestamp: moment,
  });
  expect(body.error).not.toContain("function");
  const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(logged).toContainEqual(
    expect.objectContaining({ requestId: body.details.id, err: expect.anything() }),
  );
});
