import { HandlerError } from "@jobyard/core";
import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { exportData, exportResult, Gate, serve } from "../running-server.ts";
import { Receiver } from "../webhooks/receiver.ts";
import { notice, reading, secret, token, wellflow } from "../wellflow/client.ts";

/*
 * WellFlow's document, section by section under its headings: what it shows is sent and answered so, by name, type and
 * unit. What it leaves open, the tests in ../wellflow have.
 */

const any = { text: expect.any(String), count: expect.any(Number) };
const decimal = expect.stringMatching(/^[1-9]\d*$/);
const epochMs = expect.toSatisfy((ms: number) => Number.isInteger(ms) && ms > 1.7e12 && ms < 4e12);
const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

const counts = { waiting: 0, active: 0, completed: 0, failed: 0, delayed: 0, paused: false };

const validation = {
  name: "check-lease-readings",
  data: reading,
  opts: { priority: 1, delay: 0, attempts: 3 },
};

const weekly = {
  name: "monday-production",
  cron: "0 6 * * 1",
  enabled: true,
  timezone: "America/Chicago",
  description: "What the wells gave last week",
  jobData: {
    organizationId: "org-4",
    reportType: "compliance_weekly",
    includeCharts: true,
    format: "pdf",
    recipients: ["ops@example.com"],
  },
};

describe.each(engines)("WellFlow on the %s engine", (engine) => {
  describe("Authentication", () => {
    test("Authorization: Bearer <jwt-token>, or AUTHENTICATION_ERROR", async () => {
      const { url, call } = await wellflow({ engine });
      expect((await call("GET", "/queues")).status).toBe(200);
      for (const Authorization of [undefined, "Bearer no.such.token"]) {
        const headers = Authorization === undefined ? {} : { headers: { Authorization } };
        const answer = await fetch(`${url}/api/jobs/queues`, headers);
        expect([answer.status, await answer.json()]).toEqual([
          401,
          { success: false, error: { code: "AUTHENTICATION_ERROR", message: any.text } },
        ]);
      }
    });

    test("Required Roles: ADMIN, OPERATOR, MANAGER", async () => {
      const { as } = await wellflow({ engine });
      const statuses: Record<string, number[]> = {};
      for (const role of ["ADMIN", "OPERATOR", "MANAGER", "CLERK"]) {
        const call = await as({ roles: [role] });
        statuses[role] = [
          (await call("GET", "/queues")).status,
          (await call("GET", "/metrics")).status,
          (await call("POST", "/queues/data-validation/jobs", validation)).status,
          (await call("POST", "/schedules", { ...weekly, name: role })).status,
        ];
      }
      expect(statuses).toEqual({
        ADMIN: [200, 200, 201, 201],
        OPERATOR: [200, 200, 201, 403],
        MANAGER: [200, 200, 403, 403],
        CLERK: [403, 403, 403, 403],
      });
    });
  });

  describe("Job Queue Management", () => {
    test("List All Queues", async () => {
      const { call, add } = await wellflow({ engine });
      await add("data-validation", validation);
      const { status, body } = await call("GET", "/queues");
      expect(status).toBe(200);
      expect(body).toEqual({ success: true, data: expect.any(Array) });
      expect(body.data.slice(0, 3)).toEqual([
        { name: "data-validation", ...counts, waiting: 1 },
        { name: "report-generation", ...counts },
        { name: "email-notifications", ...counts },
      ]);
    });

    test("Get Queue Details", async () => {
      const { call } = await wellflow({ engine });
      for (const name of ["data-validation", "report-generation", "email-notifications"]) {
        const { status, body } = await call("GET", `/queues/${name}`);
        expect([status, body]).toEqual([
          200,
          {
            success: true,
            data: {
              name,
              ...counts,
              opts: {
                maxConcurrency: any.count,
                stalledInterval: any.count,
                maxStalledCount: any.count,
              },
            },
          },
        ]);
      }
    });

    test("Get Jobs in Queue: a job, total and hasMore", async () => {
      const { call, add } = await wellflow({ engine });
      const id = await add("data-validation", validation);
      const { status, body } = await call("GET", "/queues/data-validation/jobs");
      expect([status, body]).toEqual([
        200,
        {
          success: true,
          data: {
            jobs: [
              {
                id,
                ...validation,
                progress: 0,
                delay: 0,
                timestamp: epochMs,
                attemptsMade: 0,
                stacktrace: [],
                returnvalue: null,
                finishedOn: null,
                processedOn: null,
              },
            ],
            total: 1,
            hasMore: false,
          },
        },
      ]);
    });

    test("Get Jobs in Queue: status, limit (20, at most 100), offset (0), order (desc)", async () => {
      const { call, anywhere } = await wellflow({ engine });
      const jobs = Array.from({ length: 101 }, () => ({ queue: "data-validation", ...validation }));
      const { jobIds } = (await call("POST", "/bulk", { jobs })).body.data as { jobIds: string[] };
      const ids = async (query: string): Promise<string[]> =>
        (await call("GET", `/queues/data-validation/jobs${query}`)).body.data.jobs.map(
          ({ id }: { id: string }) => id,
        );
      const newest = jobIds.toReversed();
      expect(await ids("")).toEqual(newest.slice(0, 20));
      expect(await ids("?limit=100")).toEqual(newest.slice(0, 100));
      expect(await ids("?limit=2&offset=3")).toEqual(newest.slice(3, 5));
      expect(await ids("?limit=2&order=asc")).toEqual(jobIds.slice(0, 2));
      expect(await ids("?limit=2&order=desc&status=waiting")).toEqual(newest.slice(0, 2));
      for (const status of ["active", "completed", "failed", "delayed"]) {
        expect(await ids(`?status=${status}`)).toEqual([]);
      }
      for (const wrong of ["limit=101", "limit=0", "offset=-1", "order=up", "status=done"]) {
        const { status, body } = await call("GET", `/queues/data-validation/jobs?${wrong}`);
        const [field] = wrong.split("=");
        expect([status, body.error.code, body.error.details.field]).toEqual([
          400,
          "VALIDATION_ERROR",
          field,
        ]);
      }
      // As any other interface counts them.
      expect((await anywhere("GET", "/api/native/jobs?limit=0")).body.data.total).toBe(101);
    });

    test("Add Job to Queue", async () => {
      const { call } = await wellflow({ engine });
      const { status, body } = await call("POST", "/queues/data-validation/jobs", validation);
      expect([status, body]).toEqual([
        201,
        { success: true, data: { jobId: decimal, message: "Job added successfully" } },
      ]);
    });

    test("Remove Job", async () => {
      const { call, add } = await wellflow({ engine });
      const id = await add("data-validation", validation);
      const { status, body } = await call("DELETE", `/queues/data-validation/jobs/${id}`);
      expect([status, body]).toEqual([200, { success: true, message: "Job removed successfully" }]);
    });

    test("Retry Failed Job", async () => {
      const gate = new Gate();
      const { call, add } = await wellflow({ engine, handlers: [gate.handler] });
      const id = await add("data_export", {
        name: "rows",
        data: exportData,
        opts: { attempts: 1 },
      });
      (await gate.run(0)).fail(new HandlerError("NO_ROWS", "Nothing there"));
      const failed = async () => (await call("GET", "/queues/data_export")).body.data.failed;
      await expect.poll(failed).toBe(1);
      const { status, body } = await call("POST", `/queues/data_export/jobs/${id}/retry`);
      expect([status, body]).toEqual([200, { success: true, message: "Job queued for retry" }]);
      (await gate.run(1)).finish();
    });
  });

  describe("Job Scheduling", () => {
    test("Create Scheduled Job, List Scheduled Jobs", async () => {
      const { call } = await wellflow({ engine });
      const { status, body } = await call("POST", "/schedules", weekly);
      expect([status, body]).toEqual([
        201,
        {
          success: true,
          data: { name: weekly.name, message: "Scheduled job created successfully" },
        },
      ]);
      const { jobData: _, ...shown } = weekly;
      const listed = await call("GET", "/schedules");
      expect([listed.status, listed.body]).toEqual([
        200,
        { success: true, data: [{ ...shown, nextRun: iso, lastRun: null }] },
      ]);
      // 6:00 in Chicago.
      expect(listed.body.data[0].nextRun).toMatch(/T1[12]:00:00\.000Z$/);
    });

    test("Update Scheduled Job: cron, enabled and description alone", async () => {
      const { call } = await wellflow({ engine });
      await call("POST", "/schedules", weekly);
      const change = { cron: "0 7 * * 1", enabled: false, description: "An hour later" };
      const { status, body } = await call("PUT", `/schedules/${weekly.name}`, change);
      expect([status, body]).toEqual([
        200,
        { success: true, message: "Scheduled job updated successfully" },
      ]);
      const [schedule] = (await call("GET", "/schedules")).body.data;
      expect(schedule).toMatchObject({ ...change, name: weekly.name, timezone: weekly.timezone });
    });

    test("Delete Scheduled Job", async () => {
      const { call } = await wellflow({ engine });
      await call("POST", "/schedules", weekly);
      const { status, body } = await call("DELETE", `/schedules/${weekly.name}`);
      expect([status, body]).toEqual([
        200,
        { success: true, message: "Scheduled job deleted successfully" },
      ]);
    });
  });

  describe("Monitoring & Health", () => {
    test("System Health Check", async () => {
      const { call } = await wellflow({ engine });
      const { status, body } = await call("GET", "/health");
      expect([status, body]).toEqual([
        200,
        {
          success: true,
          data: {
            status: "healthy",
            timestamp: iso,
            redis: { status: "connected", latency: any.count },
            queues: expect.objectContaining({
              "data-validation": "healthy",
              "report-generation": "healthy",
              "email-notifications": "healthy",
            }),
            workers: { active: any.count, total: any.count },
          },
        },
      ]);
    });

    test("Queue Metrics: queue, timeframe (1h, 24h, 7d, 30d; 24h)", async () => {
      const gate = new Gate();
      const { call, add } = await wellflow({ engine, handlers: [gate.handler] });
      for (const n of [0, 1]) {
        await add("data_export", { name: "rows", data: exportData, opts: { attempts: 1 } });
        const run = await gate.run(n);
        if (n === 0) run.finish();
        else run.fail(new HandlerError("NO_ROWS", "Nothing there"));
      }
      const metrics = async (query: string) => {
        const { status, body } = await call("GET", `/metrics${query}`);
        expect(status).toBe(200);
        return body;
      };
      await expect
        .poll(async () => (await metrics("?queue=data_export")).data.metrics.data_export)
        .toMatchObject({ processed: 1, failed: 1 });
      const hours = { "1h": 1, "24h": 24, "7d": 168, "30d": 720 };
      for (const [timeframe, span] of Object.entries(hours)) {
        expect(await metrics(`?queue=data_export&timeframe=${timeframe}`)).toEqual({
          success: true,
          data: {
            timeframe,
            metrics: {
              data_export: {
                processed: 1,
                failed: 1,
                avgProcessingTime: any.count,
                throughput: Math.round((1 / span) * 100) / 100,
                errorRate: 100,
              },
            },
          },
        });
      }
      const all = await metrics("");
      expect(all.data.timeframe).toBe("24h");
      expect(all.data.metrics["data-validation"]).toEqual({
        processed: 0,
        failed: 0,
        avgProcessingTime: 0,
        throughput: 0,
        errorRate: 0,
      });
      for (const [query, status, code] of [
        ["?timeframe=2h", 400, "VALIDATION_ERROR"],
        ["?queue=flow-meters", 404, "QUEUE_NOT_FOUND"],
      ] as const) {
        const refused = await call("GET", `/metrics${query}`);
        expect([refused.status, refused.body.error.code]).toEqual([status, code]);
      }
    });

    test("Performance Statistics", async () => {
      const { call, add } = await wellflow({ engine });
      await add("data-validation", validation);
      await add("data-validation", { ...validation, opts: { delay: 60_000 } });
      const { status, body } = await call("GET", "/stats");
      expect([status, body]).toEqual([
        200,
        {
          success: true,
          data: {
            uptime: any.count,
            totalJobs: 2,
            completedJobs: 0,
            failedJobs: 0,
            activeJobs: 0,
            waitingJobs: 1,
            delayedJobs: 1,
            memoryUsage: { used: any.count, total: any.count, percentage: any.count },
            cpuUsage: any.count,
          },
        },
      ]);
    });
  });

  describe("Bulk Operations", () => {
    test("Bulk Job Creation", async () => {
      const { call } = await wellflow({ engine });
      const jobs = [
        { queue: "data-validation", name: "check-1", data: reading },
        { queue: "email-notifications", name: "tell-1", data: notice },
      ];
      const { status, body } = await call("POST", "/bulk", { jobs });
      expect([status, body]).toEqual([
        201,
        { success: true, data: { created: 2, failed: 0, jobIds: [decimal, decimal] } },
      ]);
    });

    test("Bulk Job Status: completed, failed, active", async () => {
      const gate = new Gate();
      const { call, add } = await wellflow({ engine, handlers: [gate.handler] });
      const once = { name: "rows", data: exportData, opts: { attempts: 1 } };
      const jobIds = [await add("data_export", once)];
      (await gate.run(0)).finish();
      jobIds.push(await add("data_export", once));
      (await gate.run(1)).fail(new HandlerError("NO_ROWS", "The dataset is empty"));
      jobIds.push(await add("data_export", once));
      (await gate.run(2)).progress({ progress: 75 });
      const [done, failed, running] = jobIds;
      await expect
        .poll(async () => (await call("POST", "/status", { jobIds })).body)
        .toEqual({
          success: true,
          data: [
            { jobId: done, status: "completed", progress: 100, result: exportResult },
            { jobId: failed, status: "failed", progress: 0, error: "The dataset is empty" },
            { jobId: running, status: "active", progress: 75, result: null },
          ],
        });
      expect((await call("POST", "/status", { jobIds })).status).toBe(200);
    });
  });

  describe("Error Responses", () => {
    test("VALIDATION_ERROR: details of field and reason", async () => {
      const { call } = await wellflow({ engine });
      const { leaseId: _, ...without } = reading;
      const { status, body } = await call("POST", "/queues/data-validation/jobs", {
        name: "check",
        data: without,
      });
      const fault = { field: "wellId", reason: expect.stringContaining("Required") };
      expect([status, body]).toEqual([
        400,
        {
          success: false,
          error: {
            code: "VALIDATION_ERROR",
            message: any.text,
            details: { ...fault, errors: [fault] },
          },
        },
      ]);
    });

    test("AUTHORIZATION_ERROR, QUEUE_NOT_FOUND, JOB_NOT_FOUND", async () => {
      const { call, as } = await wellflow({ engine });
      const manager = await as({ roles: ["MANAGER"] });
      const answers = [
        await manager("POST", "/queues/data-validation/jobs", validation),
        await call("GET", "/queues/flow-meters"),
        await call("DELETE", "/queues/data-validation/jobs/4711"),
      ];
      expect(answers.map(({ status, body }) => [status, body])).toEqual(
        [
          [403, "AUTHORIZATION_ERROR"],
          [404, "QUEUE_NOT_FOUND"],
          [404, "JOB_NOT_FOUND"],
        ].map(([status, code]) => [status, { success: false, error: { code, message: any.text } }]),
      );
    });

    test("SYSTEM_ERROR", async () => {
      const gate = new Gate();
      const { call, server } = await serve({
        engine,
        env: { JWT_SECRET: secret },
        handlers: [gate.handler],
      });
      const headers = { Authorization: `Bearer ${await token()}` };
      const job = { name: "rows", data: exportData };
      await call("POST", "/api/jobs/queues/data_export/jobs", job, headers);
      const run = await gate.run();
      const closed = server.close(60_000);
      const {
        status,
        body,
        headers: told,
      } = await call("GET", "/api/jobs/queues", undefined, headers);
      expect([status, body]).toEqual([
        503,
        { success: false, error: { code: "SYSTEM_ERROR", message: any.text } },
      ]);
      expect(told.get("retry-after")).toBe("1");
      run.finish();
      await closed;
    });
  });

  test("Rate Limiting: 100, 10 and 300 requests per minute, and RATE_LIMIT_EXCEEDED", async () => {
    const { call } = await serve({ engine, env: { JWT_SECRET: secret }, handlers: [] });
    const headers = { Authorization: `Bearer ${await token()}` };
    const ask = (method: string, path: string, body?: unknown) =>
      call(method, `/api/jobs${path}`, body, headers);
    const limits = ({ headers: told }: { readonly headers: Headers }) =>
      ["limit", "remaining", "reset"].map((name) => Number(told.get(`x-ratelimit-${name}`)));
    const epochSeconds = expect.toSatisfy(
      (at: number) => Number.isInteger(at) && Math.abs(at - Date.now() / 1000) <= 61,
    );
    expect(limits(await ask("GET", "/queues"))).toEqual([100, 99, epochSeconds]);
    expect(limits(await ask("GET", "/health"))).toEqual([300, 299, epochSeconds]);
    const status = () => ask("POST", "/status", { jobIds: ["1"] });
    for (let left = 9; left >= 0; left--) {
      expect(limits(await status())).toEqual([10, left, epochSeconds]);
    }
    const refused = await status();
    expect([refused.status, refused.body]).toEqual([
      429,
      { success: false, error: { code: "RATE_LIMIT_EXCEEDED", message: any.text } },
    ]);
    expect(limits(refused)).toEqual([10, 0, epochSeconds]);
    expect((await ask("GET", "/queues")).status).toBe(200);
  });

  test("Webhooks: job.completed, job.failed, job.stalled, queue.paused, queue.resumed", async () => {
    const receiver = await Receiver.start();
    const { call, anywhere } = await wellflow({ engine, env: { WEBHOOK_ALLOW_PRIVATE: "true" } });
    const made = await call("POST", "/webhooks", { url: receiver.url, queue: "pumps" });
    expect(made.status).toBe(201);
    const push = async (job: object): Promise<string> => {
      const { body } = await anywhere("POST", "/api/native/jobs", { queue: "pumps", ...job });
      return body.data.id as string;
    };
    const pull = async () => {
      const wanted = { queues: ["pumps"], waitMs: 30_000 };
      const { body } = await anywhere("POST", "/api/native/work/pull", wanted);
      const [{ id, lease }] = body.data.items;
      return { id, lease };
    };
    const told = async (count: number) => (await receiver.has(count))[count - 1]?.body;
    const completed = await push({ name: "check-pump", data: { pump: 4 } });
    const items = [{ ...(await pull()), result: { ok: true } }];
    await anywhere("POST", "/api/native/work/ack", { items });
    expect(await told(1)).toEqual({
      event: "job.completed",
      timestamp: iso,
      data: { jobId: completed, queue: "pumps", name: "check-pump", result: { ok: true } },
    });
    const failing = await push({ data: { pump: 5 }, maxAttempts: 2, backoffMs: 1 });
    for (const error of ["It leaks", "It is dry"]) {
      const fail = [{ ...(await pull()), error }];
      await anywhere("POST", "/api/native/work/fail", { items: fail });
    }
    expect(await told(2)).toEqual({
      event: "job.failed",
      timestamp: iso,
      data: { jobId: failing, queue: "pumps", name: "pumps", error: "It is dry" },
    });
    const stalling = await push({ name: "slow", data: 1, timeoutMs: 30, maxAttempts: 2 });
    await pull();
    expect(await told(3)).toMatchObject({
      event: "job.stalled",
      timestamp: iso,
      data: { jobId: stalling, queue: "pumps", name: "slow" },
    });
    for (const [i, action] of ["pause", "resume"].entries()) {
      await anywhere("POST", `/queues/pumps/${action}`);
      expect(await told(4 + i)).toEqual({
        event: `queue.${action}d`,
        timestamp: iso,
        data: { queue: "pumps" },
      });
    }
  });
});
