import { availableParallelism, totalmem } from "node:os";
import { describe, expect, test } from "vitest";
import { metricsOf } from "../../src/dialects/wellflow/mapping.ts";
import { cpuMeter } from "../../src/process-load.ts";
import { engines } from "../engines.ts";
import { exportData, Gate } from "../running-server.ts";
import { type VirtualApi, virtualApi } from "../virtual-api.ts";
import { notice, reading, secret, token, wellflow } from "./client.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Runs one job of the queue, which takes so long, and ends it. */
async function work(
  api: VirtualApi,
  queue: string,
  end: "completed" | "failed",
  seconds: number,
  tenant = "default",
): Promise<void> {
  const jobs = api.queue.of(tenant);
  await jobs.add({ queue, data: queue === "data-validation" ? reading : notice, maxAttempts: 1 });
  const [job] = await jobs.pull({ queue, limit: 1 });
  if (job === undefined) throw new Error("There is nothing to do");
  const { id, lease } = job;
  await api.advance(seconds * 1000);
  if (end === "completed") await jobs.ack([{ id, lease, result: null }]);
  else await jobs.fail({ id, lease, error: "It leaks" });
}

describe.each(engines)("on the %s engine", (engine) => {
  test("metrics: seconds, jobs an hour, percent of the processed, in each timeframe", async () => {
    const api = await virtualApi(engine, { JWT_SECRET: secret });
    const Authorization = `Bearer ${await token()}`;
    const metrics = async (query: string) =>
      (await api.call("GET", `/api/jobs/metrics${query}`, undefined, { Authorization })).body.data;

    await work(api, "data-validation", "completed", 40);
    await api.advance(15 * DAY);
    await work(api, "data-validation", "failed", 1);
    await api.advance(10 * DAY);
    for (const seconds of [1.5, 2.5, 4]) await work(api, "data-validation", "completed", seconds);
    await work(api, "data-validation", "failed", 3);
    await work(api, "email-notifications", "completed", 0.25);
    await work(api, "data-validation", "completed", 5, "acme");
    await api.advance(2 * HOUR);
    await work(api, "data-validation", "completed", 12);

    const nothing = {
      processed: 0,
      failed: 0,
      avgProcessingTime: 0,
      throughput: 0,
      errorRate: 0,
    };
    const day = await metrics("");
    expect(day.timeframe).toBe("24h");
    expect(Object.keys(day.metrics)).toHaveLength(12);
    expect(day.metrics).toMatchObject({
      "data-validation": {
        processed: 4,
        failed: 1,
        avgProcessingTime: 5,
        throughput: 0.17,
        errorRate: 25,
      },
      "email-notifications": {
        processed: 1,
        failed: 0,
        avgProcessingTime: 0.25,
        throughput: 0.04,
        errorRate: 0,
      },
      "report-generation": nothing,
    });
    const validation = async (timeframe: string) => {
      const answer = await metrics(`?queue=data-validation&timeframe=${timeframe}`);
      expect(answer.timeframe).toBe(timeframe);
      expect(Object.keys(answer.metrics)).toEqual(["data-validation"]);
      return answer.metrics["data-validation"];
    };
    expect(await validation("1h")).toEqual({
      processed: 1,
      failed: 0,
      avgProcessingTime: 12,
      throughput: 1,
      errorRate: 0,
    });
    expect(await validation("24h")).toEqual(day.metrics["data-validation"]);
    expect(await validation("7d")).toMatchObject({ processed: 4, failed: 1, throughput: 0.02 });
    expect(await validation("30d")).toEqual({
      processed: 5,
      failed: 2,
      avgProcessingTime: 12,
      throughput: 0.01,
      errorRate: 40,
    });
    expect((await metrics("?queue=file-analysis")).metrics).toEqual({ "file-analysis": nothing });
  });

  test("stats: what is present, and how many were added since ever", async () => {
    const api = await virtualApi(engine, { JWT_SECRET: secret });
    const Authorization = `Bearer ${await token()}`;
    const stats = async () =>
      (await api.call("GET", "/api/jobs/stats", undefined, { Authorization })).body.data;
    await work(api, "data-validation", "completed", 1);
    await work(api, "data-validation", "failed", 1);
    const jobs = api.queue.of("default");
    await jobs.add({ queue: "data-validation", data: reading });
    await jobs.add({ queue: "data-validation", data: reading, delayMs: 30 * DAY });
    await jobs.add({ queue: "pumps", data: 7 });
    await jobs.pull({ queue: "pumps", limit: 1 });
    expect(await stats()).toMatchObject({
      totalJobs: 5,
      completedJobs: 1,
      failedJobs: 1,
      activeJobs: 1,
      waitingJobs: 1,
      delayedJobs: 1,
    });
    await api.advance(4 * DAY);
    await api.queue.prune();
    expect(await stats()).toMatchObject({ totalJobs: 5, completedJobs: 0, failedJobs: 0 });
  });

  test("queues that were pushed to are told after the others", async () => {
    const api = await virtualApi(engine, { JWT_SECRET: secret });
    const headers = { Authorization: `Bearer ${await token()}` };
    const get = async (path: string) =>
      (await api.call("GET", `/api/jobs${path}`, undefined, headers)).body;
    const jobs = api.queue.of("default");
    await jobs.add({ queue: "pumps", data: { id: 4 } });
    await jobs.add({ queue: "pumps", data: "plain", name: "tell" });
    // A queue's name like any other.
    await jobs.add({ queue: "__proto__", data: 1 });
    await jobs.configure("pumps", { paused: true, concurrency: 2 });
    const { data } = await get("/queues");
    const pumps = {
      name: "pumps",
      waiting: 2,
      active: 0,
      completed: 0,
      failed: 0,
      delayed: 0,
      paused: true,
    };
    expect(data).toHaveLength(14);
    expect(data).toContainEqual(pumps);
    const detail = await get("/queues/pumps");
    expect(detail.data).toMatchObject({ ...pumps, opts: { maxConcurrency: 2 } });
    await jobs.configure("pumps", { concurrency: null });
    expect((await get("/queues/pumps")).data.opts.maxConcurrency).toBeNull();
    const listed = (await get("/queues/pumps/jobs?order=asc")).data;
    expect(listed.jobs).toMatchObject([
      { name: "pumps", data: { id: 4 }, opts: { attempts: 1 } },
      { name: "tell", data: "plain" },
    ]);
    const health = await get("/health");
    expect(health.data.queues.pumps).toBe("paused");
    const { metrics } = (await get("/metrics")).data;
    for (const told of [health.data.queues, metrics]) {
      expect(Object.keys(told).toSorted()).toEqual(
        data.map(({ name }: { name: string }) => name).toSorted(),
      );
    }
  });

  test("health: the store's latency, queues and workers", async () => {
    const gate = new Gate();
    const { call, add } = await wellflow({
      engine,
      handlers: [gate.handler],
      env: { WORKER_CONCURRENCY: "1,data_export=6" },
    });
    const health = async () => {
      const { status, body } = await call("GET", "/health");
      expect(status).toBe(200);
      return body.data;
    };
    await expect.poll(async () => (await health()).workers.total).toBeGreaterThan(0);
    const idle = await health();
    expect(idle).toEqual({
      status: "healthy",
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      redis: { status: "connected", latency: expect.any(Number) },
      queues: expect.objectContaining({ "data-validation": "healthy", data_export: "healthy" }),
      workers: { active: 0, total: expect.any(Number) },
    });
    expect(Math.abs(Date.parse(idle.timestamp) - Date.now())).toBeLessThan(20_000);
    expect(idle.redis.latency).toBeGreaterThanOrEqual(0);
    expect(idle.redis.latency).toBeLessThan(5000);
    await add("data_export", { data: exportData });
    await gate.run();
    expect((await health()).workers.active).toBe(1);
    // Nobody here validates.
    await add("data-validation", { data: reading });
    const busy = await health();
    expect(busy.status).toBe("degraded");
    expect(busy.queues).toMatchObject({ "data-validation": "unattended", data_export: "healthy" });
  });

  test("stats of the process are measured", async () => {
    const { call } = await wellflow({ engine });
    const { uptime, memoryUsage, cpuUsage } = (await call("GET", "/stats")).body.data;
    expect(Math.abs(uptime - process.uptime())).toBeLessThan(30);
    const { used, total, percentage } = memoryUsage;
    expect(used).toBeGreaterThan(10);
    expect(total).toBeLessThanOrEqual(Math.ceil(totalmem() / 1e6));
    expect(percentage).toBeCloseTo((used / total) * 100, 1);
    expect(cpuUsage).toBeGreaterThan(0);
    expect(cpuUsage).toBeLessThanOrEqual(100);
  });
});

test("the share of the processors is what was used since the last reading", async () => {
  const meter = cpuMeter();
  meter();
  const began = performance.now();
  const { user, system } = process.cpuUsage();
  while (performance.now() - began < 1100) Math.random();
  const used = process.cpuUsage({ user, system });
  const own = (used.user + used.system) / 1000 / (performance.now() - began);
  const share = meter();
  expect(share / 100).toBeCloseTo(own / availableParallelism(), 1);
  expect(meter()).toBe(share);
});

test("rates", () => {
  const row = { completed: 1250, failed: 12, durationAvg: 2500.4 };
  const rates = (change: object) => metricsOf({ ...row, ...change } as never, "24h");
  expect(rates({})).toEqual({
    processed: 1250,
    failed: 12,
    avgProcessingTime: 2.5,
    throughput: 52.08,
    errorRate: 0.96,
  });
  expect(rates({ completed: 0, failed: 3, durationAvg: null })).toMatchObject({
    errorRate: 100,
    avgProcessingTime: 0,
  });
  expect(rates({ completed: 2, failed: 3 }).errorRate).toBe(150);
});
