import { parseJobId } from "@jobyard/core";
import { BullmqAdapter } from "@jobyard/core/bullmq";
import { jobSpec } from "@jobyard/core/testing";
import { expect, onTestFinished, test, vi } from "vitest";
import {
  call,
  longTexts,
  run,
  type Run,
  startApi,
  testRedis,
} from "../../api/test/running-process.ts";
import { rawCall, temporaryFolder } from "../../api/test/running-server.ts";

// Each starts processes, which takes seconds where others are at work too.
vi.setConfig({ testTimeout: 180_000 });

type Env = Readonly<Record<string, string>>;

const MAIN = "apps/worker/src/main.ts";

async function startWorker(env: Env): Promise<Run & { readonly url: string }> {
  const worker = run(MAIN, { WORKER_PORT: "0", ...env });
  const ready = JSON.parse(await worker.line(/The worker is ready/)) as { urls: string[] };
  return { ...worker, url: ready.urls[0] ?? "" };
}

/** An API that runs no jobs, and what workers beside it share with it. */
async function startApart(): Promise<{ env: Env; url: string }> {
  const { url: REDIS_URL } = await testRedis();
  const env = { REDIS_URL, DATA_DIR: await temporaryFolder() };
  const { urls } = await startApi({ ...env, INLINE_WORKER: "false" });
  return { env, url: urls[0] ?? "" };
}

async function add(url: string, texts: readonly string[]): Promise<string> {
  const job = { type: "sentiment_analysis_batch", data: { texts } };
  return (await call(url, "POST", "/api/v1/jobs", job)).body.data.jobId;
}

async function open(url: string): Promise<BullmqAdapter> {
  const adapter = new BullmqAdapter({ url });
  await adapter.open();
  onTestFinished(() => adapter.close());
  return adapter;
}

/** Resolves once the job is run by this very worker. */
async function runsIn(worker: Run & { readonly url: string }, env: Env, id: string): Promise<void> {
  const { body } = await call(worker.url, "GET", "/health");
  const { node_id } = body.data as unknown as { readonly node_id: string };
  const adapter = await open(env["REDIS_URL"] ?? "");
  const run = async () => {
    const [job] = await adapter.get({ tenant: "default", ids: [parseJobId(id) ?? 0] });
    return { state: job?.state, by: job?.worker };
  };
  await expect.poll(run, { timeout: 90_000 }).toEqual({ state: "active", by: node_id });
}

test("without REDIS_URL it says whose the embedded engine is", async () => {
  const { code, err } = await run(MAIN, { DATA_DIR: await temporaryFolder() }).ended;
  expect(code).toBe(78);
  expect(err).toMatch(/REDIS_URL: is missing.*embedded engine.*`pnpm start`/);
});

test("runs what an API of another process takes, large payloads too, and is known by its heartbeats", async () => {
  const { env, url } = await startApart();
  const queues = "sentiment_analysis_batch,data_export";
  const worker = await startWorker({
    ...env,
    WORKER_QUEUES: queues,
    WORKER_CONCURRENCY: "4,data_export=1",
  });
  // Data and result are both too long for the store: they lie in files, which the two processes share.
  const texts = Array.from({ length: 6000 }, (_, i) => `${i} ${"A decent lamp, dim. ".repeat(10)}`);
  const id = await add(url, texts);
  const waited = await call(url, "POST", `/api/v1/jobs/${id}/wait`, { timeout: 120_000 });
  expect(waited.body.data).toMatchObject({ status: "completed" });
  const result = waited.body.data.result as { readonly totalProcessed: number };
  expect(result.totalProcessed).toBe(6000);
  const bad = { type: "data_export", data: { datasetId: crypto.randomUUID(), format: "csv" } };
  const failing = (await call(url, "POST", "/api/v1/jobs", bad)).body.data.jobId;
  const failed = await call(url, "POST", `/api/v1/jobs/${failing}/wait`, { timeout: 120_000 });
  expect(failed.body.data.status).toBe("failed");

  const health = await call(worker.url, "GET", "/health");
  expect(health.status).toBe(200);
  expect(health.body).toEqual({
    ok: true,
    data: {
      status: "healthy",
      node_id: expect.any(String),
      is_leader: expect.any(Boolean),
      warnings: [],
    },
  });
  const metrics = await (await fetch(`${worker.url}/metrics`)).text();
  const runs = 'jobyard_worker_runs_total{queue="sentiment_analysis_batch",ending="completed"}';
  expect(metrics).toContain(`${runs} 1\n`);
  expect(metrics).toMatch(/runs_total\{queue="data_export",ending="failed"\} [1-9]/);
  expect(metrics).toContain('jobyard_worker_active_jobs{queue="data_export"} 0\n');
  expect(metrics).toContain('jobyard_queue_jobs{queue="data_export",state="failed"} 1\n');
  expect(metrics).toContain('jobyard_queue_jobs{queue="security_scan",state="waiting"} 0\n');
  expect(metrics).toContain("jobyard_store_reachable 1\n");
  expect(metrics).toMatch(/^process_resident_memory_bytes \d{8,}$/m);
  expect(metrics).toMatch(/^nodejs_eventloop_lag_mean_seconds [\d.]+$/m);

  const adapter = await open(env["REDIS_URL"] ?? "");
  const workers = () => adapter.listWorkers({ tenant: "*", withinMs: 10_000 });
  await expect
    .poll(workers, { timeout: 60_000 })
    .toEqual([expect.objectContaining({ jobsProcessed: expect.any(Number) })]);
  await expect
    .poll(async () => (await workers())[0]?.jobsProcessed, { timeout: 60_000 })
    .toBeGreaterThan(1);
  const [known] = await workers();
  expect(known).toMatchObject({
    id: (health.body.data as unknown as { node_id: string }).node_id,
    tenant: "*",
    concurrency: 5,
    active: 0,
  });
  expect(known?.queues.toSorted()).toEqual(queues.split(",").toSorted());
  expect(known?.memoryBytes).toBeGreaterThan(10_000_000);
  expect(known?.eventLoopLagMs).toBeLessThan(1000);
  const nodes = await adapter.listNodes({ withinMs: 15_000 });
  expect(nodes.map(({ port }) => String(port)).toSorted()).toEqual(
    [url, worker.url].map((address) => new URL(address).port).toSorted(),
  );
  expect(nodes.filter(({ isLeader }) => isLeader)).toHaveLength(1);
});

test("told to stop, it hands back what it runs, which another one runs at once", async () => {
  const { env, url } = await startApart();
  const first = await startWorker({ ...env, SHUTDOWN_GRACE_MS: "2000" });
  const id = await add(url, longTexts);
  await runsIn(first, env, id);
  first.child.kill("SIGTERM");
  await first.line(/SIGTERM: stopping; running jobs have 2000 ms/);
  const draining = await call(first.url, "GET", "/health");
  expect(draining.status).toBe(503);
  expect(draining.body.data).toMatchObject({ status: "stopping" });
  expect((await call(first.url, "GET", "/health/live")).status).toBe(200);
  expect(await first.ended).toMatchObject({ code: 0, err: "" });
  expect((await call(url, "GET", `/api/v1/jobs/${id}`)).body.data.status).toBe("pending");
  // Leases are five minutes long: nobody has waited for the end of one.
  await runsIn(await startWorker(env), env, id);
});

test("a second signal ends it at once, and the run is not lost", async () => {
  const { env, url } = await startApart();
  const first = await startWorker(env);
  const id = await add(url, longTexts);
  await runsIn(first, env, id);
  first.child.kill("SIGTERM");
  await first.line(/SIGTERM: stopping/);
  first.child.kill("SIGTERM");
  expect(await first.ended).toMatchObject({ code: 1 });
  await runsIn(await startWorker(env), env, id);
});

test("a Redis that goes away is waited for", async () => {
  const redis = await testRedis();
  const env = { REDIS_URL: redis.url, DATA_DIR: await temporaryFolder() };
  const { urls } = await startApi({ ...env, INLINE_WORKER: "false" });
  const [url = ""] = urls;
  const worker = await startWorker(env);
  const id = await add(url, longTexts);
  await runsIn(worker, env, id);
  await redis.kill();
  const healthy = async () => (await call(worker.url, "GET", "/health")).body.data.status;
  await expect.poll(healthy, { timeout: 60_000 }).toBe("unhealthy");
  const refused = await call(url, "POST", "/api/v1/jobs", {
    type: "sentiment_analysis_batch",
    data: { texts: ["Fine."] },
  });
  expect(refused.status).toBe(503);
  // Nothing that a new process would mend.
  for (const alive of [url, worker.url]) {
    expect((await call(alive, "GET", "/health/live")).status).toBe(200);
  }
  const figures = await (await fetch(`${worker.url}/metrics`)).text();
  expect(figures).toContain("jobyard_store_reachable 0\n");
  expect(figures).not.toContain("jobyard_queue_jobs{");
  await redis.restart();
  await expect.poll(healthy, { timeout: 60_000 }).toBe("healthy");
  const waited = await call(url, "POST", `/api/v1/jobs/${id}/wait`, { timeout: 120_000 });
  expect(waited.body.data.status).toBe("completed");
  worker.child.kill("SIGTERM");
  expect(await worker.ended).toMatchObject({ code: 0, err: "" });
});

test("its port is for watching only, and metrics need a token where there are any", async () => {
  const { url: REDIS_URL } = await testRedis();
  const token = "s3cret-of-the-scraper";
  const env = { REDIS_URL, DATA_DIR: await temporaryFolder() };
  const [guarded, openOne] = await Promise.all([
    startWorker({ ...env, API_TOKENS: "other,another", METRICS_TOKEN: token }),
    startWorker(env),
  ]);
  const status = async (path: string, init: RequestInit = {}) =>
    (await fetch(`${guarded.url}${path}`, init)).status;
  expect(await status("/health")).toBe(200);
  expect(await status("/health/live")).toBe(200);
  expect(await status("/metrics")).toBe(401);
  const bearer = (given: string) => ({ headers: { Authorization: `Bearer ${given}` } });
  expect(await status("/metrics", bearer(`${token}x`))).toBe(401);
  expect(await status("/metrics", bearer(token))).toBe(200);
  expect(await status("/metrics", bearer("another"))).toBe(200);
  expect(await status("/metrics?x=1", { ...bearer(token), method: "HEAD" })).toBe(200);
  expect(await status("/health", { method: "POST" })).toBe(405);
  expect(await status("/api/v1/jobs", bearer(token))).toBe(404);
  expect((await rawCall(openOne.url, { Host: "rebound.example" }, "/metrics")).status).toBe(403);
  expect((await fetch(`${openOne.url}/metrics`)).status).toBe(200);
});

test("two connections and few commands for worker and API each, with 1,000 tenants, queues and webhooks", async () => {
  const redis = await testRedis();
  const env = { REDIS_URL: redis.url, DATA_DIR: await temporaryFolder() };
  const before = await open(redis.url);
  const jobs = Array.from({ length: 1000 }, (_, i) => [
    jobSpec({ tenant: `tenant-${i}`, queue: `queue-${i}`, typed: false }),
    // Some for the worker too, but not now.
    jobSpec({ tenant: `tenant-${i}`, queue: "data_export", typed: true, delayMs: 3_600_000 }),
  ]);
  for (const half of [jobs.slice(0, 500), jobs.slice(500)]) {
    await before.enqueue({ jobs: half.flat(), atomic: true });
  }
  expect(await before.listQueues({ tenant: "*" })).toHaveLength(2000);
  const asked = {
    url: "https://hooks.example/x",
    events: ["job.failed"],
    queue: null,
    enabled: true,
  };
  const put = (_: unknown, i: number) =>
    before.putWebhook({ ...asked, tenant: `tenant-${i}`, secret: null, shape: "native" });
  await Promise.all(jobs.map(put));
  await before.close();
  await startWorker(env);
  await startApi({ ...env, INLINE_WORKER: "false" });
  const sent = await redis.commandsSent(8000);
  const clients = String(await redis.command("CLIENT", "LIST")).split("\n");
  const own = clients.filter((line) => line.includes(" name=jobyard-"));
  // Beside them, this question's own connection.
  expect(clients.filter((line) => line !== "")).toHaveLength(own.length + 1);
  const processes = Object.values(
    Object.groupBy(own, (line) => / name=(\S+)/.exec(line)?.[1] ?? ""),
  );
  expect(processes).toHaveLength(2);
  for (const connections of processes) {
    expect(connections).toHaveLength(2);
    const addresses = connections?.map((line) => / addr=(\S+)/.exec(line)?.[1] ?? "") ?? [];
    const count = addresses.reduce((sum, address) => sum + (sent.get(address) ?? 0), 0);
    expect(count).toBeGreaterThan(0);
    expect(count / 8).toBeLessThan(5);
  }
});
