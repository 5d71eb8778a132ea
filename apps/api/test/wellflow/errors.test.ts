import { describe, expect, test } from "vitest";
import { type ErrorCode, errorCodes, QueueError } from "@jobyard/core";
import { Hono } from "hono";
import { SignJWT, UnsecuredJWT } from "jose";
import type { Access } from "../../src/auth/caller.ts";
import type { ApiEnv } from "../../src/dialect.ts";
import { refuse } from "../../src/dialects/wellflow/errors.ts";
import { operations } from "../../src/dialects/wellflow/operations.ts";
import { engines } from "../engines.ts";
import { exportData, Gate, serve } from "../running-server.ts";
import { reading, token, wellflow } from "./client.ts";

const any = expect.any(String);

const unauthenticated = {
  success: false,
  error: { code: "AUTHENTICATION_ERROR", message: any },
};

const inPath: Readonly<Record<string, string>> = {
  queueName: "data-validation",
  jobId: "7",
  scheduleName: "nightly",
  webhookId: "7",
};

/** One call of each operation: none that succeeds changes anything. */
const calls = Object.values(operations).map(({ method, path, "x-access": access }) => ({
  access,
  method: method.toUpperCase(),
  path: path
    .slice("/api/jobs".length)
    .replaceAll(/\{(\w+)\}/g, (_, name: string) => inPath[name] ?? ""),
  body: method === "get" || method === "delete" ? undefined : "{}",
}));
describe.each(engines)("on the %s engine", (engine) => {
  test("another tenant's queues, jobs and figures do not exist", async () => {
    const gate = new Gate();
    const { add, as, call } = await wellflow({ engine, handlers: [gate.handler] });
    const waiting = await add("data-validation", { name: "ours", data: reading });
    const running = await add("data_export", { data: exportData });
    await gate.run();
    const acme = await as({ tenantId: "acme" });
    const never = "4503599627370496";
    for (const [queue, job] of [
      ["data-validation", waiting],
      ["data_export", running],
    ] as const) {
      for (const [method, end] of [
        ["DELETE", ""],
        ["POST", "/retry"],
      ] as const) {
        const answer = await acme(method, `/queues/${queue}/jobs/${job}${end}`);
        const unknown = await acme(method, `/queues/${queue}/jobs/${never}${end}`);
        expect(answer.status).toBe(404);
        expect(JSON.stringify(answer.body).replace(job, never)).toEqual(
          JSON.stringify(unknown.body),
        );
      }
    }
    const { body } = await acme("POST", "/status", { jobIds: [waiting, running, never] });
    expect(body.data).toEqual(
      [waiting, running, never].map((jobId) => ({
        jobId,
        status: "not_found",
        progress: 0,
        error: "Job not found",
      })),
    );
    for (const queue of (await acme("GET", "/queues")).body.data) {
      expect(queue).toMatchObject({ waiting: 0, active: 0 });
    }
    expect((await acme("GET", "/queues/data-validation/jobs")).body.data).toEqual({
      jobs: [],
      total: 0,
      hasMore: false,
    });
    const stats = await acme("GET", "/stats");
    expect(stats.body.data).toMatchObject({ totalJobs: 0, activeJobs: 0, waitingJobs: 0 });
    expect((await acme("GET", "/health")).body.data.workers.active).toBe(0);

    const all = await as({ tenantId: "*" });
    await acme("POST", "/queues/data-validation/jobs", { data: reading });
    expect((await all("GET", "/queues/data-validation")).body.data.waiting).toBe(2);
    expect((await all("GET", "/stats")).body.data).toMatchObject({ totalJobs: 3, waitingJobs: 2 });
    expect((await call("GET", "/queues/data-validation")).body.data.waiting).toBe(1);
  });

  test("data that name another tenant are refused", async () => {
    const { call, as } = await wellflow({ engine });
    const acme = await as({ tenantId: "acme" });
    const job = { data: { ...reading, tenantId: "acme" } };
    const { status, body } = await call("POST", "/queues/data-validation/jobs", job);
    expect(status).toBe(400);
    expect(body.error.details.field).toBe("tenantId");
    expect((await acme("POST", "/queues/data-validation/jobs", job)).status).toBe(201);
  });
});

test("a token is asked for even where the server is open, and its own are taken", async () => {
  const { call } = await serve({ handlers: [] });
  for (const path of ["/queues", "/health", "/nothing", ""]) {
    const { status, body, headers } = await call("GET", `/api/jobs${path}`);
    expect(status).toBe(401);
    expect(body).toEqual(unauthenticated);
    expect(headers.get("www-authenticate")).toBe("Bearer");
  }
  // Beside it, nobody is asked.
  expect((await call("GET", "/api/v1/jobs")).status).toBe(200);
});

test("tokens that are none", async () => {
  const { call, anywhere } = await wellflow();
  const sign = (claims: object, secret: string, exp: string | number) =>
    new SignJWT({ ...claims })
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime(exp)
      .sign(new TextEncoder().encode(secret));
  const good = await token();
  const bad = [
    "",
    "Basic YW5hOmFuYQ==",
    "Bearer",
    "Bearer x.y.z",
    `Bearer ${good}x`,
    `Bearer ${good.slice(0, good.lastIndexOf("."))}.`,
    `Bearer ${await sign({ roles: ["ADMIN"] }, "another-secret-of-more-than-32-bytes", "5m")}`,
    `Bearer ${new UnsecuredJWT({ roles: ["ADMIN"], exp: 4e9 }).encode()}`,
    `Bearer ${await token({ tenantId: "a b" })}`,
    `Bearer ${await token({ tenantId: 7 })}`,
  ];
  for (const Authorization of bad) {
    const { status, body } = await call("GET", "/queues", undefined, { Authorization });
    expect(status).toBe(401);
    expect(body).toEqual(unauthenticated);
  }
  expect((await anywhere("GET", "/api/jobs/queues")).status).toBe(200);
});

test("roles: what each may do", async () => {
  const { as } = await wellflow();
  const may: Record<string, readonly Access[]> = {
    ADMIN: ["read", "operate", "administer"],
    OPERATOR: ["read", "operate"],
    MANAGER: ["read"],
    NOBODY: [],
  };
  for (const [role, accesses] of Object.entries(may)) {
    const call = await as({ roles: [role] });
    for (const { access, method, path, body } of calls) {
      const { status, body: answer } = await call(method, path, body);
      const told = `${role} ${method} ${path}`;
      if (accesses.includes(access)) {
        expect([200, 400, 404], told).toContain(status);
      } else {
        expect(status, told).toBe(403);
        expect(answer, told).toEqual({
          success: false,
          error: { code: "AUTHORIZATION_ERROR", message: any },
        });
      }
    }
  }
  // Claims may name one role alone, or several.
  expect((await (await as({ roles: [], role: "MANAGER" }))("GET", "/queues")).status).toBe(200);
  expect((await (await as({ roles: undefined }))("GET", "/queues")).status).toBe(403);
});

test("queues that are none", async () => {
  const { call } = await wellflow();
  const names = ["flow-meters", "a b", "%00", "%ED%A0%80", "constructor", "x".repeat(300)];
  for (const name of names) {
    const spelt = name.startsWith("%") ? name : encodeURIComponent(name);
    for (const [method, path, body] of [
      ["GET", "", undefined],
      ["GET", "/jobs", undefined],
      ["POST", "/jobs", { data: {} }],
      ["DELETE", "/jobs/7", undefined],
      ["POST", "/jobs/7/retry", undefined],
    ] as const) {
      const { status, body: answer } = await call(method, `/queues/${spelt}${path}`, body);
      expect(status, `${method} ${name}${path}`).toBe(404);
      expect(answer.error).toEqual({
        code: "QUEUE_NOT_FOUND",
        message: expect.stringMatching(/^Queue .* not found$/),
      });
    }
    const metrics = await call("GET", `/metrics?queue=${spelt}`);
    expect(metrics.status).toBe(404);
    expect(metrics.body.error.code).toBe("QUEUE_NOT_FOUND");
  }
});

test("ids that are none", async () => {
  const { call, add } = await wellflow();
  await add("data-validation", { data: reading });
  for (const id of [
    "0",
    "-1",
    "007",
    "1.0",
    "1e3",
    "9007199254740992",
    "99999999999999999999",
    "550e8400-e29b-41d4-a716-446655440000",
    "6a6f6279-6172-8640-8000-000000000000",
    "%00",
    "%ED%A0%80",
    "constructor",
    "x".repeat(2000),
  ]) {
    for (const [method, end] of [
      ["DELETE", ""],
      ["POST", "/retry"],
    ] as const) {
      const { status, body } = await call(method, `/queues/data-validation/jobs/${id}${end}`);
      expect(status, id).toBe(404);
      expect(body.error.code).toBe("JOB_NOT_FOUND");
    }
  }
});

test("a job that breaks rules: the first field, and all of them", async () => {
  const { call } = await wellflow();
  const { leaseId: _, validationType: __, ...rest } = reading;
  const { status, body } = await call("POST", "/queues/data-validation/jobs", {
    name: "check",
    data: { ...rest, production: { oil: "much", gas: 730, water: 44 } },
  });
  expect(status).toBe(400);
  expect(body).toEqual({
    success: false,
    error: {
      code: "VALIDATION_ERROR",
      message: "Invalid request data",
      details: {
        field: "production.oil",
        reason: "Expected number, received string",
        errors: [
          { field: "production.oil", reason: "Expected number, received string" },
          { field: "validationType", reason: expect.stringContaining("Required field missing") },
          { field: "wellId", reason: "Required field missing: wellId or leaseId" },
        ],
      },
    },
  });
});

const good = { name: "check", data: reading };

test.each<[string, unknown, string, number?]>([
  ["a body that is cut", '{"data": {"a"', "body"],
  ["no body", undefined, "body"],
  ["two values", "{}{}", "body"],
  ["bad UTF-8", new Uint8Array([0x22, 0xc3, 0x28, 0x22]), "body"],
  ["a list", [good], "body"],
  ["null", "null", "body"],
  ["a string", '"data"', "body"],
  ["no data", { name: "check" }, "data"],
  ["a list as data", { data: [reading] }, "data"],
  ["a number as name", { ...good, name: 7 }, "name"],
  ["an empty name", { ...good, name: "" }, "name"],
  ["a long name", { ...good, name: "x".repeat(257) }, "name"],
  ["control characters in the name", { ...good, name: "a\u0007b" }, "name"],
  ["opts that are none", { ...good, opts: 3 }, "opts"],
  ["a negative priority", { ...good, opts: { priority: -1 } }, "opts.priority"],
  ["half a priority", { ...good, opts: { priority: 1.5 } }, "opts.priority"],
  ["a priority beyond all", { ...good, opts: { priority: 1_000_001 } }, "opts.priority"],
  ["a priority as text", { ...good, opts: { priority: "1" } }, "opts.priority"],
  ["no attempt", { ...good, opts: { attempts: 0 } }, "opts.attempts"],
  ["too many attempts", { ...good, opts: { attempts: 1001 } }, "opts.attempts"],
  ["a negative delay", { ...good, opts: { delay: -1 } }, "opts.delay"],
  ["a delay of ages", { ...good, opts: { delay: 9e15 } }, "opts.delay"],
  ["a number beyond all", '{"data":{"leaseId":"a","x":1e999}}', "data.x"],
  ["a poisoned key", '{"data":{"leaseId":"a","x":{"__proto__":{"y":1}}}}', "data.x"],
  ["depth", `{"data":${'{"a":'.repeat(101)}1${"}".repeat(101)}}`, expect.stringMatching(/^data/)],
  ["too much data", { data: { ...reading, note: "x".repeat(1_000_001) } }, "data", 413],
  ["far too much", { data: { ...reading, note: "x".repeat(2_000_000) } }, "data", 413],
])("adding refuses %s", async (_, body, field, status = 400) => {
  const { call } = await wellflow();
  const raw = typeof body === "object" && !(body instanceof Uint8Array);
  const sent = raw ? JSON.stringify(body) : body;
  const answer = await call("POST", "/queues/data-validation/jobs", sent);
  expect(answer.status).toBe(status);
  expect(answer.body.error).toMatchObject({
    code: "VALIDATION_ERROR",
    message: any,
    details: { field, reason: any, errors: [{ field, reason: any }] },
  });
  expect((await call("GET", "/queues/data-validation")).body.data.waiting).toBe(0);
});

test.each([
  ["/bulk", {}, "jobs"],
  ["/bulk", { jobs: [] }, "jobs"],
  ["/bulk", { jobs: { 0: good } }, "jobs"],
  ["/bulk", { jobs: Array.from({ length: 1001 }, () => 1) }, "jobs"],
  ["/status", {}, "jobIds"],
  ["/status", { jobIds: [] }, "jobIds"],
  ["/status", { jobIds: "4711" }, "jobIds"],
  ["/status", { jobIds: [{}] }, "jobIds[0]"],
  ["/status", { jobIds: Array.from({ length: 1001 }, (_, i) => i + 1) }, "jobIds"],
])("%s refuses wrong input %#", async (path, body, field) => {
  const { call } = await wellflow();
  const answer = await call("POST", path, JSON.stringify(body));
  expect(answer.status).toBe(400);
  expect(answer.body.error).toMatchObject({ code: "VALIDATION_ERROR", details: { field } });
});

test("a bulk call larger than a batch may be", async () => {
  const { call } = await wellflow({ env: { MAX_BATCH_BYTES: "20 kB" } });
  const jobs = [{ queue: "data-validation", data: { ...reading, note: "x".repeat(20_000) } }];
  const { status, body } = await call("POST", "/bulk", { jobs });
  expect(status).toBe(413);
  expect(body.error.code).toBe("VALIDATION_ERROR");
});

test.each([
  ["/queues/data-validation/jobs?limit=0", "limit"],
  ["/queues/data-validation/jobs?limit=101", "limit"],
  ["/queues/data-validation/jobs?limit=ten", "limit"],
  ["/queues/data-validation/jobs?limit=2.5", "limit"],
  ["/queues/data-validation/jobs?offset=-1", "offset"],
  ["/queues/data-validation/jobs?offset=1e3", "offset"],
  ["/queues/data-validation/jobs?order=up", "order"],
  ["/queues/data-validation/jobs?status=pending", "status"],
  ["/queues/data-validation/jobs?status=", "status"],
  ["/metrics?timeframe=1y", "timeframe"],
])("%s is refused", async (path, field) => {
  const { call } = await wellflow();
  const { status, body } = await call("GET", path);
  expect(status).toBe(400);
  expect(body.error).toMatchObject({
    code: "VALIDATION_ERROR",
    details: { field, reason: any, errors: [{ field, reason: any }] },
  });
});

test("routes and methods that are none", async () => {
  const { call } = await wellflow();
  for (const path of ["", "/", "/nothing", "/queues/"]) {
    const { status, body } = await call("GET", path);
    expect(status, path).toBe(404);
    expect(body).toEqual({ success: false, error: { code: "NOT_FOUND", message: any } });
  }
  for (const [method, path, allow] of [
    ["POST", "/queues", "GET, HEAD"],
    ["PATCH", "/queues/data-validation/jobs", "GET, HEAD, POST"],
    ["GET", "/bulk", "POST"],
    ["GET", "/queues/data-validation/jobs/7", "DELETE"],
    ["POST", "/schedules/nightly", "PUT, DELETE"],
  ] as const) {
    const { status, body, headers } = await call(method, path);
    expect(status).toBe(405);
    expect(headers.get("allow")).toBe(allow);
    expect(body).toEqual({ success: false, error: { code: "METHOD_NOT_ALLOWED", message: any } });
  }
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
    const { error } = (await answer.json()) as { readonly error: { readonly code: string } };
    told[code] = [answer.status, error.code, answer.headers.get("retry-after")];
  }
  expect(told).toEqual({
    VALIDATION: [400, "VALIDATION_ERROR", null],
    UNKNOWN_JOB_TYPE: [400, "VALIDATION_ERROR", null],
    JOB_NOT_FOUND: [404, "JOB_NOT_FOUND", null],
    QUEUE_NOT_FOUND: [404, "QUEUE_NOT_FOUND", null],
    SCHEDULE_NOT_FOUND: [404, "SCHEDULE_NOT_FOUND", null],
    WEBHOOK_NOT_FOUND: [404, "WEBHOOK_NOT_FOUND", null],
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
