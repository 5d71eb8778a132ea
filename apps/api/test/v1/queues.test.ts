import { defineHandler, HandlerError, jobTypes } from "@jobyard/core";
import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { exportData, Gate, serve } from "../running-server.ts";

const moment = expect.stringMatching(/Z$/);
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
const idle = { active: 0, failed: 0, paused: false, failedRate: 0 };
const empty = { ...idle, waiting: 0, completed: 0, delayed: 0 };
const model = { type: "file-analysis", fileName: "hinge.obj", fileType: "obj" };
const analysis = {
  type: "file-analysis",
  data: { fileId: "hinge-2", fileUrl: "parts/hinge.obj", ...model },
};

/** Fails as often as it is told to. */
function failing(times: number) {
  let left = times;
  return defineHandler(jobTypes.data_export, () =>
    left-- > 0
      ? Promise.reject(new HandlerError("NO_ROWS", "Nothing there"))
      : Promise.resolve({
          file: { name: "rows.csv", size: 1, contentType: "text/csv" },
          rowsWritten: 0,
        }),
  );
}

describe.each(engines)("on the %s engine", (engine) => {
  test("metrics count each queue's jobs by state", async () => {
    const gate = new Gate();
    const { call, add, ended } = await serve({ engine, handlers: [gate.handler] });
    const before = await call("GET", "/api/v1/jobs/queues/metrics");
    expect(before.status).toBe(200);
    expect(before.body).toEqual({
      success: true,
      data: types.map((name) => ({ name, ...empty })),
      timestamp: moment,
    });

    const ids = [];
    for (const n of [0, 1, 2, 3]) ids.push(await add({ type: "data_export", data: exportData, n }));
    for (const n of [0, 1]) (await gate.run(n)).finish();
    (await gate.run(2)).fail(new HandlerError("NO_ROWS", "Nothing there"));
    for (const id of ids.slice(0, 3)) await ended(id);
    await gate.run(3);
    await add({ type: "data_export", data: exportData, options: { delay: 3_600_000 } });
    await add(analysis);
    await add(analysis);

    const one = await call("GET", "/api/v1/jobs/queues/metrics?type=data_export");
    const exports = {
      name: "data_export",
      waiting: 0,
      active: 1,
      completed: 2,
      failed: 1,
      delayed: 1,
      paused: false,
      failedRate: 33.3,
    };
    expect(one.body.data).toEqual([exports]);
    const all = await call("GET", "/api/v1/jobs/queues/metrics");
    expect(all.body.data).toEqual(
      types.map((name) =>
        name === "data_export"
          ? exports
          : { name, ...empty, ...(name === "file-analysis" ? { waiting: 2 } : {}) },
      ),
    );
    // What has been cancelled is neither failed nor any other state that metrics show.
    await call("DELETE", `/api/v1/jobs/${ids[3]}`);
    await ended(ids[3] as string);
    const after = await call("GET", "/api/v1/jobs/queues/metrics?type=data_export");
    expect(after.body.data).toEqual([{ ...exports, active: 0 }]);
  });

  test("metrics of a type that is none", async () => {
    const { call } = await serve({ engine, handlers: [] });
    for (const type of ["email-notifications", "process_batch", ""]) {
      const { status, body } = await call("GET", `/api/v1/jobs/queues/metrics?type=${type}`);
      expect(status).toBe(400);
      expect(body.details).toEqual({ code: "INVALID_JOB_TYPE", allowedTypes: types });
    }
  });

  test("health: how the queues are, without the envelope", async () => {
    const { call, add, ended } = await serve({ engine, handlers: [failing(1)] });
    const fresh = await call("GET", "/api/v1/jobs/health/check");
    expect(fresh.status).toBe(200);
    expect(fresh.body).toEqual({
      status: "healthy",
      queues: 8,
      totalJobs: 0,
      metrics: types.map((name) => ({ name, ...idle })),
    });
    const add1 = () => add({ type: "data_export", data: exportData });
    await ended(await add1());
    await add(analysis);
    const failed = (await call("GET", "/api/v1/jobs/health/check")).body as object;
    expect(failed).toMatchObject({ status: "degraded", totalJobs: 2 });
    for (let n = 0; n < 3; n++) await ended(await add1());
    const recovered = (await call("GET", "/api/v1/jobs/health/check")).body as object;
    expect(recovered).toEqual({
      status: "healthy",
      queues: 8,
      totalJobs: 5,
      metrics: types.map((name) => ({
        name,
        ...idle,
        ...(name === "data_export" ? { failed: 1, failedRate: 25 } : {}),
      })),
    });
  });
});
