import { formatUuid } from "@jobyard/core";
import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { exportData, Gate, serve } from "../running-server.ts";

const any = expect.any(String);
const moment = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const reminder = {
  type: "email-notification",
  data: {
    type: "quote-expired",
    recipientEmail: "rui@example.net",
    templateData: { quote: "Q-91" },
  },
};
const nightly = {
  type: "report-generation",
  data: { reportType: "analytics", format: "csv" },
  cron: "15 3 * * *",
  timezone: "America/Denver",
  name: "nightly-figures",
};

describe.each(engines)("on the %s engine", (engine) => {
  test("a job for later waits for its time", async () => {
    const { call } = await serve({ engine });
    const { status, body } = await call("POST", "/api/v1/jobs/schedule", {
      ...reminder,
      delay: 420_000,
      priority: "high",
    });
    expect(status).toBe(201);
    expect(body).toEqual({
      success: true,
      data: {
        jobId: any,
        type: "email-notification",
        status: "pending",
        priority: "high",
        createdAt: moment,
        scheduledFor: moment,
      },
      timestamp: moment,
    });
    const { createdAt, scheduledFor, jobId } = body.data;
    expect(Date.parse(scheduledFor ?? "") - Date.parse(createdAt)).toBe(420_000);
    const shown = (await call("GET", `/api/v1/jobs/${jobId}`)).body.data;
    expect(shown).toMatchObject({ status: "pending", progress: 0 });
    const metrics = await call("GET", "/api/v1/jobs/queues/metrics?type=email-notification");
    expect(metrics.body.data).toMatchObject([{ waiting: 0, delayed: 1 }]);
  });

  test("a job runs once its time has come", async () => {
    const gate = new Gate();
    const { call } = await serve({ engine, handlers: [gate.handler] });
    const asked = { type: "data_export", data: exportData };
    const bodies = [
      await call("POST", "/api/v1/jobs/schedule", { ...asked, delay: 150 }),
      await call("POST", "/api/v1/jobs/schedule", { ...asked, options: { delay: 151 } }),
      await call("POST", "/api/v1/jobs", { ...asked, options: { delay: 152 } }),
    ];
    for (const [n, { status, body }] of bodies.entries()) {
      expect(status).toBe(201);
      const run = await gate.run(n);
      expect(formatUuid(run.job.id)).toBe(body.data.jobId);
      const due = Date.parse(body.data.scheduledFor ?? "");
      expect(Date.parse(body.data.createdAt) + 150 + n).toBe(due);
      const { startedAt } = (await call("GET", `/api/v1/jobs/${body.data.jobId}`)).body.data;
      expect(Date.parse(startedAt ?? "")).toBeGreaterThanOrEqual(due);
      run.finish();
    }
  });

  test("a recurring job: made, listed, deleted", async () => {
    const { call } = await serve({ engine, handlers: [] });
    const { status, body } = await call("POST", "/api/v1/jobs/schedule", nightly);
    expect(status).toBe(201);
    const { data: _, ...words } = nightly;
    const schedule = {
      ...words,
      enabled: true,
      nextRun: expect.stringMatching(/T(09|10):15:00\.000Z$/),
      lastRun: null,
      createdAt: moment,
    };
    expect(body).toEqual({ success: true, data: schedule, timestamp: moment });
    const listed = await call("GET", "/api/v1/jobs/schedules");
    expect(listed.body.data).toEqual({ schedules: [body.data], total: 1 });
    const gone = await call("DELETE", "/api/v1/jobs/schedules/nightly-figures");
    expect(gone.status).toBe(200);
    expect(gone.body).toEqual({
      success: true,
      message: "Schedule deleted successfully",
      timestamp: moment,
    });
    expect((await call("GET", "/api/v1/jobs/schedules")).body.data).toMatchObject({ total: 0 });
    const again = await call("DELETE", "/api/v1/jobs/schedules/nightly-figures");
    expect(again.status).toBe(404);
    expect(again.body).toEqual({
      success: false,
      error: "Schedule nightly-figures not found",
      details: { code: "JOB_NOT_FOUND" },
      timestamp: moment,
    });
  });

  test("a recurring job adds a job at its time", async () => {
    const gate = new Gate();
    const { call } = await serve({ engine, handlers: [gate.handler] });
    const every = { type: "data_export", data: exportData, cron: "* * * * * *", name: "ticking" };
    const options = { priority: 2, attempts: 1 };
    expect((await call("POST", "/api/v1/jobs/schedule", { ...every, options })).status).toBe(201);
    const run = await gate.run();
    expect(run.data).toEqual(exportData);
    const id = formatUuid(run.job.id);
    const { body } = await call("GET", `/api/v1/jobs/${id}`);
    expect(body.data).toMatchObject({ priority: "critical", options: { priority: 2 } });
    await call("DELETE", "/api/v1/jobs/schedules/ticking");
    run.finish();
  });

  test("the same recurring job asked for again is the one that is there", async () => {
    const { call } = await serve({ engine, handlers: [] });
    const { name: _, ...nameless } = nightly;
    const first = await call("POST", "/api/v1/jobs/schedule", nameless);
    expect(first.body.data).toMatchObject({
      name: expect.stringMatching(/^report-generation-[0-9a-f]{16}$/),
    });
    const second = await call("POST", "/api/v1/jobs/schedule", nameless);
    expect([second.status, second.body.data]).toEqual([201, first.body.data]);
    const other = await call("POST", "/api/v1/jobs/schedule", { ...nameless, cron: "16 3 * * *" });
    expect(other.status).toBe(201);
    const named = await call("POST", "/api/v1/jobs/schedule", nightly);
    expect(await call("POST", "/api/v1/jobs/schedule", nightly)).toMatchObject({
      status: 201,
      body: { data: named.body.data },
    });
    const taken = await call("POST", "/api/v1/jobs/schedule", { ...nightly, timezone: "UTC" });
    expect(taken.status).toBe(409);
    expect(taken.body).toMatchObject({ success: false, details: { code: "DUPLICATE_JOB" } });
    expect((await call("GET", "/api/v1/jobs/schedules")).body.data).toMatchObject({ total: 3 });
  });
});

test.each<[string, object, string]>([
  ["neither delay nor cron", {}, "delay"],
  ["both", { delay: 5, cron: "* * * * *" }, "delay"],
  [
    "a cron and a delay among the options",
    { cron: "* * * * *", options: { delay: 5 } },
    "options.delay",
  ],
  ["two delays", { delay: 5, options: { delay: 5 } }, "options.delay"],
  ["a negative delay", { delay: -1 }, "delay"],
  ["half a millisecond", { delay: 0.5 }, "delay"],
  ["a delay in words", { delay: "5m" }, "delay"],
  ["a delay beyond ten years", { delay: 315_360_000_001 }, "delay"],
  ["a cron of four fields", { cron: "* * * *" }, "cron"],
  ["a minute 61", { cron: "61 * * * *" }, "cron"],
  ["a cron as a number", { cron: 5 }, "cron"],
  ["a cron without end", { cron: `${"1,".repeat(200)}1 * * * *` }, "cron"],
  ["a day that never comes", { cron: "0 0 31 2 *" }, "cron"],
  ["a time zone that is none", { cron: "* * * * *", timezone: "Mars/Olympus" }, "timezone"],
  ["a time zone without cron", { delay: 5, timezone: "UTC" }, "timezone"],
  ["a name without cron", { delay: 5, name: "x" }, "name"],
  ["an empty name", { cron: "* * * * *", name: "" }, "name"],
  ["a name with a space", { cron: "* * * * *", name: "a b" }, "name"],
])("schedule refuses %s", async (_, when, field) => {
  const { call } = await serve({ handlers: [] });
  const { status, body } = await call("POST", "/api/v1/jobs/schedule", { ...reminder, ...when });
  expect(status).toBe(400);
  expect(body).toEqual({
    success: false,
    error: "Invalid job data",
    details: { code: "INVALID_JOB_DATA", errors: [{ field, message: any }] },
    timestamp: moment,
  });
  expect((await call("GET", "/api/v1/jobs/schedules")).body.data).toMatchObject({ total: 0 });
});

test("a recurring job whose jobs could not be added is refused", async () => {
  const { call } = await serve({ handlers: [] });
  const { status, body } = await call("POST", "/api/v1/jobs/schedule", { ...nightly, data: {} });
  expect(status).toBe(400);
  expect(body.details["errors"]).toMatchObject([{ field: "reportType" }, { field: "format" }]);
});

test("a delayed job is an operator's to add, a recurring one an administrator's to make and end", async () => {
  const JWT_SECRET = "schedules-are-for-administrators-alone";
  const { call } = await serve({ handlers: [], env: { JWT_SECRET } });
  const as = async (role: string, method: string, path: string, body?: object) => {
    const jwt = new SignJWT({ sub: "rui", role }).setProtectedHeader({ alg: "HS256" });
    const token = await jwt.setExpirationTime("5m").sign(new TextEncoder().encode(JWT_SECRET));
    const answer = await call(method, `/api/v1/jobs${path}`, body, {
      Authorization: `Bearer ${token}`,
    });
    return answer.status;
  };
  const delayed = { ...reminder, delay: 1000 };
  const name = "/schedules/nightly-figures";
  expect(await as("MANAGER", "POST", "/schedule", delayed)).toBe(403);
  expect(await as("OPERATOR", "POST", "/schedule", delayed)).toBe(201);
  expect(await as("OPERATOR", "POST", "/schedule", nightly)).toBe(403);
  expect(await as("ADMIN", "POST", "/schedule", nightly)).toBe(201);
  expect(await as("MANAGER", "GET", "/schedules")).toBe(200);
  expect(await as("OPERATOR", "DELETE", name)).toBe(403);
  expect(await as("ADMIN", "DELETE", name)).toBe(200);
});
