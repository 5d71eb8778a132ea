import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { parseJobId } from "@jobyard/core";
import { describe, expect, test } from "vitest";
import { engines } from "./engines.ts";
import { Begun, exportData, Gate, serve, temporaryFolder } from "./running-server.ts";

describe.each(engines)("on the %s engine", (engine) => {
  test("a stop: health 503, no new requests, running jobs finish, waits are answered", async () => {
    const gate = new Gate();
    const begun = new Begun();
    const { call, add, server } = await serve({
      engine,
      handlers: [gate.handler],
      log: begun.log,
    });
    const id = await add({ type: "data_export", data: exportData });
    const run = await gate.run();
    const waiting = call("POST", `/api/v1/jobs/${id}/wait`, { timeout: 60_000 });
    await begun.request("/wait");
    const closed = server.close(60_000);
    const health = await call("GET", "/health");
    expect(health.status).toBe(503);
    expect(health.headers.get("connection")).toBe("close");
    expect(health.body).toMatchObject({ data: { status: "stopping" } });
    const refused = await call("POST", "/api/v1/jobs", { type: "data_export", data: exportData });
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(refused.body).toMatchObject({ success: false, details: { code: "SYSTEM_ERROR" } });
    run.finish();
    const { status, body } = await waiting;
    expect(status).toBe(200);
    expect(body.data).toMatchObject({ id, status: "completed" });
    await closed;
    await expect(call("GET", "/health")).rejects.toThrow("fetch failed");
  });
});

test("health tells of nobody's jobs", async () => {
  const { call } = await serve();
  const { status, body } = await call("GET", "/health");
  expect(status).toBe(200);
  expect(body).toEqual({
    ok: true,
    data: {
      status: "healthy",
      node_id: expect.any(String),
      is_leader: true,
      cluster_enabled: false,
      postgres_connected: true,
      warnings: [],
    },
    error: null,
  });
});

test("every answer has a request id and no invitation to other origins", async () => {
  const { call } = await serve();
  const { headers } = await call("GET", "/api/v1/jobs", undefined, { "X-Request-Id": "mine-1" });
  expect(headers.get("x-request-id")).toBe("mine-1");
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("cache-control")).toBe("no-store");
  expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
});

test("a port that is taken is named, and what chooses another one", async () => {
  const { url } = await serve();
  const { port } = new URL(url);
  await expect(serve({ env: { HTTP_PORTS: port } })).rejects.toThrow(
    new RegExp(`^Port ${port} of 127\\.0\\.0\\.1 is taken.*HTTP_PORTS`),
  );
});

test("several ports, each on both addresses", async () => {
  const { server } = await serve({ env: { HTTP_PORTS: "0,0" } });
  const ports = server.urls.map((url) => new URL(url).port);
  expect(new Set(ports).size).toBe(2);
  for (const url of server.urls) {
    expect((await fetch(`${url}/health`)).status).toBe(200);
  }
});

test("the API alone leaves jobs to others", async () => {
  const { call, add } = await serve({ env: { INLINE_WORKER: "false" } });
  const id = await add({ type: "sentiment_analysis_batch", data: { texts: ["Fine."] } });
  const { status, body } = await call("POST", `/api/v1/jobs/${id}/wait`, { timeout: 50 });
  expect(status).toBe(408);
  expect(body.details).toMatchObject({ currentStatus: "pending" });
});

test("results of jobs that are gone are removed at the start, others stay", async () => {
  const DATA_DIR = await temporaryFolder();
  const results = join(DATA_DIR, "files", "default", ".jobyard", "results");
  const env = { DATA_DIR, INLINE_WORKER: "false" };
  const { add, server } = await serve({ env });
  const id = parseJobId(await add({ type: "data_export", data: exportData }));
  await server.close();
  for (const job of [id, 987_654]) await mkdir(join(results, String(job)), { recursive: true });
  await serve({ env });
  await expect.poll(() => readdir(results)).toEqual([String(id)]);
});

test("10,000 texts of 200 characters", async () => {
  const DATA_DIR = await temporaryFolder();
  const { call, ended } = await serve({ env: { DATA_DIR } });
  const words = "The kettle I ordered is lovely but the lid leaks and nobody at the shop answers. ";
  const texts = Array.from({ length: 10_000 }, (_, i) => `${i} ${words.repeat(3)}`.slice(0, 200));
  const began = performance.now();
  const added = await call("POST", "/api/v1/jobs", {
    type: "sentiment_analysis_batch",
    data: { texts, includeKeywords: true },
  });
  const addedMs = performance.now() - began;
  expect(added.status).toBe(201);
  // Data and result are too long for the job's row.
  const payloads = () => readdir(join(DATA_DIR, "files", ".payloads"));
  expect(await payloads()).toHaveLength(1);
  const job = await ended(added.body.data.jobId);
  const totalMs = performance.now() - began;
  expect(await payloads()).toHaveLength(2);
  const result = job.result as {
    readonly totalProcessed: number;
    readonly results: readonly { readonly text: string }[];
  };
  expect(result.totalProcessed).toBe(10_000);
  expect(result.results.map(({ text }) => text)).toEqual(texts);
  const listBegan = performance.now();
  expect((await call("GET", "/api/v1/jobs")).body.data.jobs[0]).not.toHaveProperty("result");
  const listMs = performance.now() - listBegan;
  const bytes = JSON.stringify(result).length;
  process.stdout.write(
    `10,000 texts x 200 characters: added in ${Math.round(addedMs)} ms, result of ${bytes} bytes had after ` +
      `${Math.round(totalMs)} ms, listed in ${Math.round(listMs)} ms\n`,
  );
});
