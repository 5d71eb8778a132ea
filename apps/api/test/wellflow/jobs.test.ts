import { describe, expect, test } from "vitest";
import { defineHandler, formatUuid, HandlerError, jobTypes } from "@jobyard/core";
import { engines } from "../engines.ts";
import { exportData, exportResult, Gate } from "../running-server.ts";
import { notice, reading, wellflow } from "./client.ts";

const id = expect.stringMatching(/^[1-9]\d*$/);
const epoch = expect.toSatisfy((ms: number) => Number.isInteger(ms) && ms > 1.7e12 && ms < 4e12);

const typed = [
  "data-validation",
  "report-generation",
  "email-notifications",
  "file-analysis",
  "quote-calculation",
  "sentiment_analysis_batch",
  "file_processing",
  "security_scan",
  "data_export",
  "process_batch",
  "reprocess_batch",
  "process_redo",
];

const empty = { waiting: 0, active: 0, completed: 0, failed: 0, delayed: 0, paused: false };

const refusing = defineHandler(jobTypes.data_export, () => {
  throw new HandlerError("DATASET_NOT_FOUND", "There is no such dataset", { dataFault: true });
});

describe.each(engines)("on the %s engine", (engine) => {
  test("queues: those with a job type", async () => {
    const { call, add } = await wellflow({ engine });
    expect((await call("GET", "/queues")).body).toEqual({
      success: true,
      data: typed.map((name) => ({ name, ...empty })),
    });
    await add("data-validation", { name: "check", data: reading });
    await add("data-validation", { name: "later", data: reading, opts: { delay: 60_000 } });
    const { status, body } = await call("GET", "/queues");
    expect(status).toBe(200);
    expect(body.data).toEqual([
      { name: "data-validation", ...empty, waiting: 1, delayed: 1 },
      ...typed.slice(1).map((name) => ({ name, ...empty })),
    ]);
  });

  test("a queue, and how it is run", async () => {
    const { call } = await wellflow({
      engine,
      env: { WORKER_CONCURRENCY: "5,data-validation=7", LEASE_MS: "45s" },
    });
    const { status, body } = await call("GET", "/queues/data-validation");
    expect(status).toBe(200);
    expect(body).toEqual({
      success: true,
      data: {
        name: "data-validation",
        ...empty,
        opts: { maxConcurrency: 7, stalledInterval: 45_000, maxStalledCount: 5 },
      },
    });
  });

  test("a job is added, and shown as it was sent", async () => {
    const { call } = await wellflow({ engine });
    const opts = { priority: 2, delay: 0, attempts: 4 };
    const job = { name: "check-lease-readings", data: reading, opts };
    const added = await call("POST", "/queues/data-validation/jobs", job);
    expect(added.status).toBe(201);
    expect(added.body).toEqual({
      success: true,
      data: { jobId: id, message: "Job added successfully" },
    });
    const { status, body } = await call("GET", "/queues/data-validation/jobs");
    expect(status).toBe(200);
    expect(body).toEqual({
      success: true,
      data: {
        jobs: [
          {
            id: added.body.data.jobId,
            ...job,
            progress: 0,
            delay: 0,
            timestamp: epoch,
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
    });
  });

  test("without opts and name", async () => {
    const { call, add } = await wellflow({ engine });
    await add("email-notifications", { data: { ...notice, note: "kept" } });
    const { body } = await call("GET", "/queues/email-notifications/jobs");
    expect(body.data.jobs[0]).toMatchObject({
      name: "email-notifications",
      data: { ...notice, note: "kept" },
      opts: { attempts: 3, delay: 0, priority: 0 },
    });
  });

  test("what another dialect sent is converted", async () => {
    const { call, anywhere } = await wellflow({ engine });
    const levels = { critical: 1, high: 5, medium: 0, low: 20 };
    for (const priority of Object.keys(levels)) {
      const { status } = await anywhere("POST", "/api/v1/jobs", {
        type: "data_export",
        data: exportData,
        priority,
      });
      expect(status).toBe(201);
    }
    const { body } = await call("GET", "/queues/data_export/jobs?order=asc");
    const shown = body.data.jobs.map((job: { opts: { priority: number } }) => job.opts.priority);
    expect(shown).toEqual(Object.values(levels));
    expect(body.data.jobs[0].opts.attempts).toBe(4);
  });

  test("jobs run by priority, 1 first, 0 with 10, and the first among equals", async () => {
    const gate = new Gate();
    const { add } = await wellflow({
      engine,
      env: { WORKER_CONCURRENCY: "1" },
      handlers: [gate.handler],
    });
    await add("data_export", { name: "first", data: exportData });
    const first = await gate.run();
    const priorities = { zero: 0, twelve: 12, ten: 10, one: 1, nine: 9 };
    for (const [name, priority] of Object.entries(priorities)) {
      await add("data_export", { name, data: exportData, opts: { priority } });
    }
    first.finish();
    const order: (string | null)[] = [];
    for (let n = 1; n <= 5; n++) {
      const { job, finish } = await gate.run(n);
      order.push(job.name);
      finish();
    }
    expect(order).toEqual(["one", "nine", "zero", "ten", "twelve"]);
  });

  test("every status of a job", async () => {
    const gate = new Gate();
    const { call, anywhere, add } = await wellflow({ engine, handlers: [gate.handler] });
    const list = async (status: string) => {
      const { body } = await call("GET", `/queues/data_export/jobs?status=${status}`);
      expect(body.data.total).toBe(body.data.jobs.length);
      return body.data.jobs;
    };
    const done = await add("data_export", { name: "done", data: exportData });
    (await gate.run(0)).finish();
    await expect.poll(() => list("completed")).toHaveLength(1);
    const lost = await add("data_export", {
      name: "lost",
      data: exportData,
      opts: { attempts: 1 },
    });
    (await gate.run(1)).fail(new HandlerError("NETWORK_ERROR", "The store hung up"));
    await expect.poll(() => list("failed")).toHaveLength(1);
    const running = await add("data_export", { name: "running", data: exportData });
    (await gate.run(2)).progress({ items: { total: 200, processed: 75, failed: 0 } });
    const later = await add("data_export", {
      name: "later",
      data: exportData,
      opts: { delay: 90_000 },
    });
    const dropped = await add("data_export", {
      name: "dropped",
      data: exportData,
      opts: { delay: 90_000 },
    });
    expect((await anywhere("DELETE", `/api/v1/jobs/${dropped}`)).status).toBe(200);

    const base = {
      data: exportData,
      delay: 0,
      timestamp: epoch,
      stacktrace: [],
      returnvalue: null,
    };
    const opts = { attempts: 3, delay: 0, priority: 0 };
    const unfinished = { finishedOn: null, processedOn: null, progress: 0, attemptsMade: 0 };
    expect(await list("completed")).toEqual([
      {
        ...base,
        id: done,
        name: "done",
        opts,
        progress: 100,
        attemptsMade: 1,
        returnvalue: exportResult,
        finishedOn: epoch,
        processedOn: epoch,
      },
    ]);
    expect(await list("failed")).toEqual([
      {
        ...base,
        ...unfinished,
        id: dropped,
        name: "dropped",
        opts: { ...opts, delay: 90_000 },
        delay: 90_000,
        finishedOn: epoch,
        failedReason: "cancelled",
      },
      {
        ...base,
        id: lost,
        name: "lost",
        opts: { ...opts, attempts: 1 },
        progress: 0,
        attemptsMade: 1,
        stacktrace: [expect.stringContaining("The store hung up")],
        finishedOn: epoch,
        processedOn: epoch,
        failedReason: "The store hung up",
      },
    ]);
    expect(await list("delayed")).toEqual([
      {
        ...base,
        ...unfinished,
        id: later,
        name: "later",
        opts: { ...opts, delay: 90_000 },
        delay: 90_000,
      },
    ]);
    expect(await list("waiting")).toEqual([]);
    await expect.poll(async () => (await list("active"))[0]?.progress).toBe(37.5);
    expect(await list("active")).toEqual([
      {
        ...base,
        ...unfinished,
        id: running,
        name: "running",
        opts,
        progress: 37.5,
        processedOn: epoch,
      },
    ]);

    const asked = [
      formatUuid(Number(done)),
      Number(lost),
      running,
      dropped,
      later,
      "77777",
      "pump-12",
      "0x1",
      -4,
      1.5,
    ];
    const { status, body } = await call("POST", "/status", { jobIds: asked });
    expect(status).toBe(200);
    const unknown = (jobId: string) => ({
      jobId,
      status: "not_found",
      progress: 0,
      error: "Job not found",
    });
    expect(body).toEqual({
      success: true,
      data: [
        { jobId: done, status: "completed", progress: 100, result: exportResult },
        { jobId: lost, status: "failed", progress: 0, error: "The store hung up" },
        { jobId: running, status: "active", progress: 37.5, result: null },
        { jobId: dropped, status: "failed", progress: 0, error: "cancelled" },
        { jobId: later, status: "delayed", progress: 0, result: null },
        unknown("77777"),
        unknown("pump-12"),
        unknown("0x1"),
        unknown("-4"),
        unknown("1.5"),
      ],
    });
    expect((await call("GET", "/queues/data_export")).body.data).toMatchObject({
      waiting: 0,
      active: 1,
      completed: 1,
      failed: 2,
      delayed: 1,
    });
  });

  test("pages of a queue's jobs", async () => {
    const { call, add } = await wellflow({ engine });
    const ids: string[] = [];
    for (let i = 0; i < 23; i++) {
      ids.push(await add("data-validation", { name: `check-${i}`, data: reading }));
    }
    await add("email-notifications", { data: notice });
    const page = async (query: string) => {
      const { body } = await call("GET", `/queues/data-validation/jobs${query}`);
      const { jobs, total, hasMore } = body.data;
      return { ids: jobs.map((job: { id: string }) => job.id), total, hasMore };
    };
    const newest = ids.toReversed();
    expect(await page("")).toEqual({ ids: newest.slice(0, 20), total: 23, hasMore: true });
    expect(await page("?offset=20")).toEqual({ ids: newest.slice(20), total: 23, hasMore: false });
    expect(await page("?limit=5&offset=18&order=asc")).toEqual({
      ids: ids.slice(18),
      total: 23,
      hasMore: false,
    });
    expect(await page("?limit=100&status=waiting")).toEqual({
      ids: newest,
      total: 23,
      hasMore: false,
    });
    expect(await page("?offset=500")).toEqual({ ids: [], total: 23, hasMore: false });
  });

  test("removing a job", async () => {
    const gate = new Gate();
    const { call, add } = await wellflow({ engine, handlers: [gate.handler] });
    const waiting = await add("data-validation", { data: reading });
    const remove = await call("DELETE", `/queues/data-validation/jobs/${waiting}`);
    expect(remove.status).toBe(200);
    expect(remove.body).toEqual({ success: true, message: "Job removed successfully" });
    const again = await call("DELETE", `/queues/data-validation/jobs/${waiting}`);
    expect(again.status).toBe(404);
    expect(again.body.error).toEqual({
      code: "JOB_NOT_FOUND",
      message: `Job ${waiting} not found`,
    });
    const running = await add("data_export", { data: exportData });
    const { finish } = await gate.run();
    const refused = await call("DELETE", `/queues/data_export/jobs/${running}`);
    expect(refused.status).toBe(409);
    expect(refused.body.error).toMatchObject({
      code: "INVALID_STATE",
      details: { status: "active" },
    });
    finish();
    await expect
      .poll(async () => (await call("DELETE", `/queues/data_export/jobs/${running}`)).status)
      .toBe(200);
  });

  test("retrying a failed job, by each spelling of its id", async () => {
    const { call, add } = await wellflow({ engine, handlers: [refusing] });
    const job = await add("data_export", { data: exportData });
    const failures = async () => (await call("GET", "/queues/data_export")).body.data.failed;
    for (const spelling of [job, formatUuid(Number(job)), formatUuid(Number(job)).toUpperCase()]) {
      await expect.poll(failures).toBe(1);
      const { status, body } = await call("POST", `/queues/data_export/jobs/${spelling}/retry`);
      expect(status).toBe(200);
      expect(body).toEqual({ success: true, message: "Job queued for retry" });
    }
    const waiting = await add("data-validation", { data: reading });
    const refused = await call("POST", `/queues/data-validation/jobs/${waiting}/retry`);
    expect(refused.status).toBe(409);
    expect(refused.body.error).toMatchObject({
      code: "INVALID_STATE",
      details: { status: "waiting" },
    });
  });

  test("a job is only found in its own queue", async () => {
    const { call, add } = await wellflow({ engine });
    const job = await add("data-validation", { data: reading });
    for (const [method, path] of [
      ["DELETE", ""],
      ["POST", "/retry"],
    ] as const) {
      const { status, body } = await call(method, `/queues/data_export/jobs/${job}${path}`);
      expect(status).toBe(404);
      expect(body.error.code).toBe("JOB_NOT_FOUND");
    }
    expect((await call("GET", "/queues/data-validation")).body.data.waiting).toBe(1);
  });

  test("bulk: each job by itself", async () => {
    const { call } = await wellflow({ engine });
    const good = { queue: "data-validation", name: "check-1", data: reading };
    const { status, body } = await call("POST", "/bulk", {
      jobs: [good, { queue: "email-notifications", name: "tell-1", data: notice }],
    });
    expect(status).toBe(201);
    expect(body).toEqual({ success: true, data: { created: 2, failed: 0, jobIds: [id, id] } });
    const jobs = [
      { ...good, data: { ...reading, validationType: "guess" } },
      { ...good, queue: "flow-meters" },
      good,
      { ...good, queue: "" },
      17,
      { ...good, opts: { attempts: 0 } },
      { name: "no queue", data: reading },
      { ...good, data: { ...reading, tenantId: "acme" } },
      good,
    ];
    // As text: it is not what the document asks for.
    const mixed = await call("POST", "/bulk", JSON.stringify({ jobs }));
    expect(mixed.status).toBe(201);
    const error = (index: number, code: string, message: unknown) => ({ index, code, message });
    expect(mixed.body.data).toEqual({
      created: 2,
      failed: 7,
      jobIds: [id, id],
      errors: [
        error(0, "VALIDATION_ERROR", expect.stringMatching(/^validationType: Must be one of/)),
        error(1, "QUEUE_NOT_FOUND", "Queue flow-meters not found"),
        error(3, "QUEUE_NOT_FOUND", "Queue  not found"),
        error(4, "VALIDATION_ERROR", "job: Expected object, received number"),
        error(5, "VALIDATION_ERROR", "opts.attempts: Must be at least 1"),
        error(6, "VALIDATION_ERROR", "queue: Required field missing"),
        error(7, "VALIDATION_ERROR", expect.stringMatching(/^tenantId: /)),
      ],
    });
    const listed = await call("GET", "/queues/data-validation/jobs?order=asc");
    expect(listed.body.data.jobs.map((job: { id: string }) => job.id)).toEqual([
      body.data.jobIds[0],
      ...mixed.body.data.jobIds,
    ]);
    expect((await call("GET", "/queues")).body.data.map((q: { name: string }) => q.name)).toEqual(
      typed,
    );
  });

  test("an add that is repeated with its Idempotency-Key is answered as the first one", async () => {
    const { call, as } = await wellflow({ engine });
    const headers = { "Idempotency-Key": "lease-58-of-march" };
    const job = { name: "check", data: reading };
    const first = await call("POST", "/queues/data-validation/jobs", job, headers);
    const again = await call("POST", "/queues/data-validation/jobs", job, headers);
    expect(again.status).toBe(201);
    expect(again.body).toEqual(first.body);
    // Another tenant's key is another key.
    const acme = await as({ tenantId: "acme" });
    const other = await acme("POST", "/queues/data-validation/jobs", job, headers);
    expect(other.body.data.jobId).not.toBe(first.body.data.jobId);

    const bulk = {
      jobs: [
        { queue: "flow-meters", data: 1 },
        { queue: "data-validation", data: {} },
        { queue: "data-validation", ...job },
      ],
    };
    const key = { "Idempotency-Key": "bulk-of-march" };
    const one = await call("POST", "/bulk", bulk, key);
    expect(one.body.data).toMatchObject({ created: 1, failed: 2 });
    const two = await call("POST", "/bulk", bulk, key);
    expect(two.status).toBe(201);
    expect(two.body).toEqual(one.body);
    expect((await call("GET", "/queues/data-validation")).body.data.waiting).toBe(2);
    const bad = await call("POST", "/queues/data-validation/jobs", job, {
      "Idempotency-Key": "x".repeat(256),
    });
    expect(bad.status).toBe(400);
  });

  test("large data and results are told by reference", async () => {
    const { call, add } = await wellflow({ engine });
    const texts = Array.from({ length: 300 }, () => "A fine kettle. ".repeat(300));
    const job = await add("sentiment_analysis_batch", { data: { texts } });
    const { body } = await call("GET", "/queues/sentiment_analysis_batch/jobs");
    expect(body.data.jobs[0].data).toEqual({
      href: `/api/native/jobs/${job}/data`,
      bytes: JSON.stringify({ texts }).length,
    });
  });

  test("a page that would be too long tells some data by reference", async () => {
    const { call, add } = await wellflow({ engine, env: { MAX_BATCH_BYTES: "500 kB" } });
    const message = "late ".repeat(40_000);
    for (let i = 0; i < 3; i++) {
      await add("email-notifications", { data: { ...notice, message } });
    }
    const { body } = await call("GET", "/queues/email-notifications/jobs");
    const shown = body.data.jobs.map((job: { data: object }) => Object.keys(job.data));
    expect(shown).toEqual([Object.keys(notice), Object.keys(notice), ["href", "bytes"]]);
  });
});
