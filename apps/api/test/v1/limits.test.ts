import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { exportData, Gate, serve } from "../running-server.ts";

const scan = {
  type: "security_scan",
  data: { filePath: "uploads/may.csv", datasetId: "1c9be0a4-7d1e-4a0a-9a53-3f0a2f6f9f11" },
};
const dataExport = { type: "data_export", data: exportData };

describe.each(engines)("on the %s engine", (engine) => {
  test("so many of the data jobs of a tenant are unfinished at most", async () => {
    const env = { DATACLOAK_MAX_QUEUE_SIZE: "2" };
    const { call, add } = await serve({ engine, env, handlers: [] });
    const id = await add(scan);
    await add(dataExport);
    const { status, body, headers } = await call("POST", "/api/v1/jobs", dataExport);
    expect([status, body.details.code]).toEqual([429, "QUEUE_FULL"]);
    expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
    expect(body.error).toContain("2 unfinished jobs");
    // Other types are not concerned.
    await add({ type: "report-generation", data: { reportType: "analytics", format: "pdf" } });
    await call("DELETE", `/api/v1/jobs/${id}`);
    await add(scan);
  });

  test("so many of them are added a minute at most, over all processes", async () => {
    const env = { DATACLOAK_JOBS_PER_MINUTE: "3" };
    const { call, add, env: own } = await serve({ engine, env, handlers: [] });
    await add(scan);
    // What is refused does not count, and neither does what was added before.
    const invalid = await call("POST", "/api/v1/jobs", { ...scan, data: {} });
    expect(invalid.status).toBe(400);
    const key = { "Idempotency-Key": "scan-of-may" };
    const first = await call("POST", "/api/v1/jobs", scan, key);
    expect(first.status).toBe(201);
    expect((await call("POST", "/api/v1/jobs", scan, key)).body.data.jobId).toBe(
      first.body.data.jobId,
    );
    const other = engine === "redis" ? await serve({ env: own, handlers: [] }) : { add };
    await other.add(dataExport);
    const { status, body, headers } = await call("POST", "/api/v1/jobs", dataExport);
    expect([status, body.details.code]).toEqual([429, "RATE_LIMIT_EXCEEDED"]);
    const seconds = Number(headers.get("retry-after"));
    expect(seconds).toBeGreaterThan(1);
    expect(seconds).toBeLessThanOrEqual(60);
    expect((await call("POST", "/api/v1/jobs", scan, key)).status).toBe(201);
    await add({ type: "report-generation", data: { reportType: "analytics", format: "pdf" } });
  });

  test("so many of them run at once at most, over all their queues", async () => {
    const gate = new Gate();
    const env = { DATACLOAK_MAX_CONCURRENT: "1", WORKER_CONCURRENCY: "5" };
    const { call, add } = await serve({ engine, env, handlers: [gate.handler] });
    const first = await add(dataExport);
    const second = await add(dataExport);
    const run = await gate.run(0);
    const status = async (id: string): Promise<unknown> =>
      (await call("GET", `/api/v1/jobs/${id}`)).body.data.status;
    expect([await status(first), await status(second)]).toEqual(["running", "pending"]);
    run.finish();
    const next = await gate.run(1);
    expect([await status(first), await status(second)]).toEqual(["completed", "running"]);
    next.finish();
  });

  test("jobs count whichever interface adds them, and each refuses in its own words", async () => {
    const env = {
      DATACLOAK_MAX_QUEUE_SIZE: "2",
      JWT_SECRET: "limits-that-hold-in-every-dialect-alike",
    };
    const { call } = await serve({ engine, env, handlers: [] });
    const jwt = new SignJWT({ sub: "ana", roles: ["ADMIN"] })
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime("5m");
    const token = await jwt.sign(new TextEncoder().encode(env.JWT_SECRET));
    const post = (path: string, body: object) =>
      call("POST", path, body, { Authorization: `Bearer ${token}` });
    const native = () => post("/api/native/jobs", { queue: "security_scan", data: scan.data });
    const wellflow = () =>
      post("/api/jobs/queues/security_scan/jobs", { name: "scan", data: scan.data });
    expect((await native()).status).toBe(201);
    expect((await wellflow()).status).toBe(201);
    for (const refused of [await native(), await wellflow(), await post("/api/v1/jobs", scan)]) {
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(refused.body.success).toBe(false);
    }
    const pushed = await post("/queues/security_scan/jobs", { data: scan.data });
    expect([pushed.status, pushed.body]).toMatchObject([429, { ok: false }]);
    const bulk = await post("/api/native/jobs/bulk", {
      jobs: [
        { queue: "letters", data: 1 },
        { queue: "data_export", data: exportData },
      ],
    });
    expect(bulk.body.data).toMatchObject({
      added: 1,
      outcomes: [{ error: null }, { id: null, error: { code: "QUEUE_FULL" } }],
    });
  });
});
