import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { notice, reading, wellflow } from "./client.ts";

const moment = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

const nightly = {
  name: "nightly-check",
  cron: "30 1 * * *",
  enabled: true,
  timezone: "America/Denver",
  description: "Checks last day's production of lease 58",
  jobData: reading,
};

const { jobData: _, ...shown } = nightly;

const report = {
  organizationId: "org-4",
  reportType: "production_summary",
  includeCharts: false,
  format: "csv",
  recipients: ["ops@example.com"],
};

describe.each(engines)("on the %s engine", (engine) => {
  test("a schedule is created, listed, changed in part, and deleted", async () => {
    const { call } = await wellflow({ engine });
    expect((await call("GET", "/schedules")).body).toEqual({ success: true, data: [] });
    const created = await call("POST", "/schedules", nightly);
    expect(created.status).toBe(201);
    expect(created.body).toEqual({
      success: true,
      data: { name: "nightly-check", message: "Scheduled job created successfully" },
    });
    const listed = await call("GET", "/schedules");
    expect(listed.status).toBe(200);
    expect(listed.body).toEqual({
      success: true,
      data: [{ ...shown, nextRun: moment, lastRun: null }],
    });
    // 1:30 in Denver is 7:30 or 8:30 in UTC.
    expect(listed.body.data[0].nextRun).toMatch(/T0[78]:30:00\.000Z$/);

    const changed = await call("PUT", "/schedules/nightly-check", {
      cron: "15 3 * * *",
      enabled: false,
      description: "Paused for the audit",
    });
    expect(changed.status).toBe(200);
    expect(changed.body).toEqual({
      success: true,
      message: "Scheduled job updated successfully",
    });
    const paused = { ...shown, cron: "15 3 * * *", description: "Paused for the audit" };
    expect((await call("GET", "/schedules")).body.data).toEqual([
      { ...paused, enabled: false, nextRun: null, lastRun: null },
    ]);
    await call("PUT", "/schedules/nightly-check", { enabled: true, timezone: "UTC" });
    const [again] = (await call("GET", "/schedules")).body.data;
    expect(again).toMatchObject({ ...paused, enabled: true, timezone: "UTC" });
    expect(again.nextRun).toMatch(/T03:15:00\.000Z$/);
    await call("PUT", "/schedules/nightly-check", {});
    expect((await call("GET", "/schedules")).body.data).toEqual([again]);

    const deleted = await call("DELETE", "/schedules/nightly-check");
    expect(deleted.status).toBe(200);
    expect(deleted.body).toEqual({
      success: true,
      message: "Scheduled job deleted successfully",
    });
    expect((await call("GET", "/schedules")).body.data).toEqual([]);
    for (const [method, body] of [
      ["DELETE", undefined],
      ["PUT", { enabled: true }],
    ] as const) {
      for (const name of ["nightly-check", "no such name!", "x".repeat(300)]) {
        const refused = await call(method, `/schedules/${encodeURIComponent(name)}`, body);
        expect(refused.status).toBe(404);
        expect(refused.body.error).toEqual({
          code: "SCHEDULE_NOT_FOUND",
          message: expect.stringMatching(/^Schedule .* not found$/),
        });
      }
    }
  });

  test("a schedule adds its job when it is due, and tells when it last did", async () => {
    const { call } = await wellflow({ engine });
    const every = { name: "each-second", cron: "* * * * * *", jobData: report };
    expect((await call("POST", "/schedules", every)).status).toBe(201);
    const jobs = async () => (await call("GET", "/queues/report-generation/jobs")).body.data.jobs;
    await expect.poll(jobs).not.toHaveLength(0);
    const [job] = (await jobs()).slice(-1);
    expect(job).toMatchObject({
      name: "each-second",
      data: report,
      opts: { attempts: 3, delay: 0, priority: 0 },
    });
    const [schedule] = (await call("GET", "/schedules")).body.data;
    expect(schedule).toMatchObject({ enabled: true, timezone: "UTC", description: null });
    expect(schedule.lastRun).toMatch(/:\d\d\.000Z$/);
    expect(Date.parse(schedule.nextRun)).toBeGreaterThan(Date.parse(schedule.lastRun));
  });

  test("the queue is told, or is that of the job type which takes the data", async () => {
    const { call } = await wellflow({ engine });
    const cron = "0 0 1 1 *";
    const data = {
      "data-validation": reading,
      "report-generation": report,
      "email-notifications": notice,
      process_batch: { projectId: "p-9", batchId: "b-2" },
      reprocess_batch: { projectId: "p-9", batchId: "b-2", queue: "reprocess_batch" },
    };
    for (const [name, jobData] of Object.entries(data)) {
      expect((await call("POST", "/schedules", { name, cron, jobData })).status).toBe(201);
    }
    for (const [jobData, field] of [
      [{ well: 7 }, "jobData"],
      [{}, "jobData"],
      [{ ...reading, queue: 7 }, "jobData.queue"],
      [{ ...reading, queue: "report-generation" }, "reportType"],
      [{ ...reading, validationType: "guess" }, "jobData"],
      [undefined, "jobData"],
      [[reading], "jobData"],
      ["reading", "jobData"],
    ] as const) {
      const sent = JSON.stringify({ name: "x", cron, jobData });
      const { status, body } = await call("POST", "/schedules", sent);
      expect(status).toBe(400);
      expect(body.error).toMatchObject({ code: "VALIDATION_ERROR", details: { field } });
    }
    const nowhere = { name: "x", cron, jobData: { queue: "flow-meters", meter: 4 } };
    const { status, body } = await call("POST", "/schedules", nowhere);
    expect(status).toBe(404);
    expect(body.error.code).toBe("QUEUE_NOT_FOUND");
    const moved = await call("PUT", "/schedules/process_batch", { jobData: notice });
    expect(moved.status).toBe(200);
    expect((await call("GET", "/schedules")).body.data).toHaveLength(5);
  });

  test("new data alone change nothing else of what a schedule adds", async () => {
    const { call, anywhere } = await wellflow({ engine });
    const job = { queue: "flow-meters", data: { meter: 4 }, priority: 7, maxAttempts: 9 };
    const made = { name: "meters", cron: "0 4 * * *", job };
    expect((await anywhere("POST", "/api/native/schedules", made)).status).toBe(201);
    // Nothing was ever pushed to its queue, which is untyped.
    const put = await call("PUT", "/schedules/meters", { jobData: { meter: 5, unit: "m3" } });
    expect(put.status).toBe(200);
    const kept = (await anywhere("GET", "/api/native/schedules/meters")).body.data;
    expect(kept).toMatchObject({
      cron: "0 4 * * *",
      job: { ...job, data: { meter: 5, unit: "m3" } },
    });
    expect(
      (await call("PUT", "/schedules/meters", { jobData: { queue: "unheard-of" } })).status,
    ).toBe(404);
  });

  test("what a schedule cannot be", async () => {
    const { call } = await wellflow({ engine });
    await call("POST", "/schedules", nightly);
    const again = await call("POST", "/schedules", nightly);
    expect(again.status).toBe(409);
    expect(again.body.error.code).toBe("DUPLICATE_JOB");
    for (const [change, field] of [
      [{ cron: "61 * * * *" }, "cron"],
      [{ cron: "* * *" }, "cron"],
      [{ cron: `${"1,".repeat(200)}1 * * * *` }, "cron"],
      [{ cron: 5 }, "cron"],
      [{ timezone: "Mars/Olympus" }, "timezone"],
      [{ timezone: 1 }, "timezone"],
      [{ enabled: "yes" }, "enabled"],
      [{ description: 4 }, "description"],
    ] as const) {
      const put = await call("PUT", "/schedules/nightly-check", JSON.stringify(change));
      const post = await call(
        "POST",
        "/schedules",
        JSON.stringify({ ...nightly, name: "other", ...change }),
      );
      for (const { status, body } of [put, post]) {
        expect(status).toBe(400);
        expect(body.error).toMatchObject({ code: "VALIDATION_ERROR", details: { field } });
      }
    }
    for (const name of ["", "a b", "x".repeat(257), 7, undefined]) {
      const sent = JSON.stringify({ ...nightly, name });
      const { status, body } = await call("POST", "/schedules", sent);
      expect(status).toBe(400);
      expect(body.error.details.field).toBe("name");
    }
    const missing = await call("POST", "/schedules", "{}");
    expect(missing.body.error.details.errors).toEqual(
      ["name", "cron", "jobData"].map((field) => ({ field, reason: "Required field missing" })),
    );
    expect((await call("GET", "/schedules")).body.data).toHaveLength(1);
  });

  test("another tenant's schedules do not exist", async () => {
    const { call, as } = await wellflow({ engine });
    const acme = await as({ tenantId: "acme" });
    await call("POST", "/schedules", nightly);
    expect((await acme("GET", "/schedules")).body.data).toEqual([]);
    expect((await acme("DELETE", "/schedules/nightly-check")).status).toBe(404);
    expect((await acme("PUT", "/schedules/nightly-check", { enabled: false })).status).toBe(404);
    expect((await acme("POST", "/schedules", nightly)).status).toBe(201);
    const all = await as({ tenantId: "*" });
    expect((await all("GET", "/schedules")).body.data).toHaveLength(2);
  });

  test("webhooks are made, listed without secrets, and deleted", async () => {
    const { call, as } = await wellflow({ engine });
    const created = await call("POST", "/webhooks", {
      url: "https://hooks.example.com/jobs?of=58",
      events: ["job.failed", "job.stalled"],
      queue: "data-validation",
      secret: "b1a9-4c2e-77d0",
    });
    expect(created.status).toBe(201);
    const webhook = {
      id: expect.stringMatching(/^[1-9]\d*$/),
      url: "https://hooks.example.com/jobs?of=58",
      events: ["job.failed", "job.stalled"],
      queue: "data-validation",
      enabled: true,
      createdAt: moment,
    };
    expect(created.body).toEqual({ success: true, data: webhook });
    const plain = await call("POST", "/webhooks", { url: "http://hooks.example.com/" });
    expect(plain.body.data).toMatchObject({
      events: ["job.completed", "job.failed", "job.stalled", "queue.paused", "queue.resumed"],
      queue: null,
    });
    const listed = await call("GET", "/webhooks");
    expect(listed.body).toEqual({ success: true, data: [created.body.data, plain.body.data] });

    const acme = await as({ tenantId: "acme" });
    expect((await acme("GET", "/webhooks")).body.data).toEqual([]);
    const { id } = created.body.data;
    for (const [caller, spelling] of [
      [acme, id],
      [call, "0"],
      [call, "-1"],
      [call, "x"],
      [call, "99999999999999999999"],
    ] as const) {
      const { status, body } = await caller("DELETE", `/webhooks/${spelling}`);
      expect(status).toBe(404);
      expect(body.error.code).toBe("WEBHOOK_NOT_FOUND");
    }
    const deleted = await call("DELETE", `/webhooks/${id}`);
    expect(deleted.body).toEqual({ success: true, message: "Webhook deleted successfully" });
    expect((await call("GET", "/webhooks")).body.data).toEqual([plain.body.data]);
    for (const [sent, field] of [
      [{}, "url"],
      [{ url: "ftp://example.com" }, "url"],
      [{ url: "hooks" }, "url"],
      [{ url: "https://example.com", events: [] }, "events"],
      [{ url: "https://example.com", events: ["job.pushed"] }, "events[0]"],
      [{ url: "https://example.com", queue: "a b" }, "queue"],
      [{ url: "https://example.com", secret: "" }, "secret"],
    ] as const) {
      const { status, body } = await call("POST", "/webhooks", JSON.stringify(sent));
      expect(status).toBe(400);
      expect(body.error).toMatchObject({ code: "VALIDATION_ERROR", details: { field } });
    }
  });
});
