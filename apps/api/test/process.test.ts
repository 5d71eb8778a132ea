import { existsSync } from "node:fs";
import { mkdir, readdir, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startCluster } from "../../../packages/core/test/redis-cluster.ts";
import { call, longTexts, run, startApi, testRedis } from "./running-process.ts";
import { temporaryFolder } from "./running-server.ts";

test("main: starts on both loopback addresses, stops on SIGTERM and gives back what it runs", async () => {
  const DATA_DIR = join(await temporaryFolder(), "new", "data");
  const first = await startApi({ DATA_DIR, SHUTDOWN_GRACE_MS: "0", LOG_LEVEL: "trace" });
  expect((await stat(DATA_DIR)).mode & 0o777).toBe(0o700);
  const ports = new Set(first.urls.map((one) => new URL(one).port));
  expect(ports.size).toBe(1);
  for (const url of first.urls) {
    const { status, body } = await call(url, "GET", "/health");
    expect(status).toBe(200);
    expect(body).toMatchObject({ ok: true, data: { status: "healthy", postgres_connected: true } });
  }
  const [url = ""] = first.urls;
  const data = { texts: longTexts };
  const { body } = await call(url, "POST", "/api/v1/jobs", {
    type: "sentiment_analysis_batch",
    data,
  });
  const id = body.data.jobId;
  const job = async () => (await call(url, "GET", `/api/v1/jobs/${id}`)).body.data;
  await expect.poll(async () => (await job()).progress).toBeGreaterThan(0);
  const waiting = call(url, "POST", `/api/v1/jobs/${id}/wait`, { timeout: 300_000 });
  await first.line(/request begins.*\/wait|\/wait.*request begins/);
  first.child.kill("SIGTERM");
  const waited = await waiting;
  expect(waited.status).toBe(408);
  expect(waited.body.details).toMatchObject({ code: "JOB_TIMEOUT" });
  expect(await first.ended).toMatchObject({ code: 0, err: "" });

  const second = await startApi({ DATA_DIR, INLINE_WORKER: "false" });
  const after = await call(second.urls[0] ?? "", "GET", `/api/v1/jobs/${id}`);
  expect(after.body.data).toMatchObject({ id, status: "pending" });
  second.child.kill("SIGINT");
  expect(await second.ended).toMatchObject({ code: 0 });
});

test("main: a second signal ends it at once", async () => {
  const main = await startApi({ DATA_DIR: await temporaryFolder() });
  const [url = ""] = main.urls;
  await call(url, "POST", "/api/v1/jobs", {
    type: "sentiment_analysis_batch",
    data: { texts: longTexts },
  });
  const running = async () =>
    (await call(url, "GET", "/api/v1/jobs?status=running")).body.data.total;
  await expect.poll(running).toBe(1);
  main.child.kill("SIGTERM");
  await main.line(/SIGTERM: stopping/);
  const { status, body } = await call(url, "GET", "/health");
  expect(status).toBe(503);
  expect(body).toMatchObject({ ok: true, data: { status: "stopping" } });
  main.child.kill("SIGTERM");
  expect(await main.ended).toMatchObject({ code: 1 });
});

test("main: a second process on the same folder is refused", async () => {
  const DATA_DIR = await temporaryFolder();
  const first = await startApi({ DATA_DIR });
  const { code, err } = await run("apps/api/src/main.ts", {
    HTTP_PORTS: "0",
    TCP_PORT: "0",
    GRPC_PORT: "0",
    DATA_DIR,
  }).ended;
  expect(code).toBe(1);
  expect(err).toMatch(/^Jobyard cannot start: Another process is using .*jobyard\.db/);
  expect(err).not.toContain("    at ");
  expect((await call(first.urls[0] ?? "", "GET", "/health")).status).toBe(200);
});

test("main: a port that is taken is told, and nothing is left open", async () => {
  const first = await startApi({ DATA_DIR: await temporaryFolder() });
  const { port } = new URL(first.urls[0] ?? "");
  const DATA_DIR = await temporaryFolder();
  const { code, err } = await run("apps/api/src/main.ts", {
    HTTP_PORTS: port,
    TCP_PORT: "0",
    GRPC_PORT: "0",
    DATA_DIR,
  }).ended;
  expect(code).toBe(1);
  expect(err).toMatch(new RegExp(`^Jobyard cannot start: .*${port}`));
});

test("main: wrong settings stop it before anything is made", async () => {
  const DATA_DIR = join(await temporaryFolder(), "untouched");
  const env = { HTTP_PORTS: "http", LEASE_MS: "soon", DATA_DIR };
  const wrong = await run("apps/api/src/main.ts", env).ended;
  expect(wrong.code).toBe(78);
  expect(wrong.err).toMatch(/HTTP_PORTS: .*\n.*LEASE_MS: /);
  expect(existsSync(DATA_DIR)).toBe(false);
});

test("main on Redis: API and worker in one process, and in the next one what it left", async () => {
  const redis = await testRedis();
  const env = { REDIS_URL: redis.url, DATA_DIR: await temporaryFolder() };
  const first = await startApi({ ...env, SHUTDOWN_GRACE_MS: "0" });
  const [url = ""] = first.urls;
  expect((await call(url, "GET", "/health")).body).toMatchObject({
    ok: true,
    data: { status: "healthy", cluster_enabled: true, postgres_connected: true, warnings: [] },
  });
  const add = async (texts: readonly string[]) => {
    const job = { type: "sentiment_analysis_batch", data: { texts } };
    return (await call(url, "POST", "/api/v1/jobs", job)).body.data.jobId;
  };
  const done = await add(["What a day.", "Dreadful, all of it."]);
  const waited = await call(url, "POST", `/api/v1/jobs/${done}/wait`);
  expect(waited.body.data).toMatchObject({
    status: "completed",
    result: { totalProcessed: 2 },
  });
  const cut = await add(longTexts);
  const job = async () => (await call(url, "GET", `/api/v1/jobs/${cut}`)).body.data;
  await expect.poll(async () => (await job()).progress).toBeGreaterThan(0);
  first.child.kill("SIGTERM");
  expect(await first.ended).toMatchObject({ code: 0, err: "" });

  const second = await startApi({ ...env, INLINE_WORKER: "false" });
  await second.line(/typed jobs wait for worker processes/);
  const [next = ""] = second.urls;
  expect((await call(next, "GET", `/api/v1/jobs/${done}`)).body.data.status).toBe("completed");
  expect((await call(next, "GET", `/api/v1/jobs/${cut}`)).body.data.status).toBe("pending");
});

test("main on a Redis Cluster, of which several nodes are named", async () => {
  const cluster = await startCluster();
  onTestFinished(() => cluster.stop());
  const [first = "", ...others] = cluster.urls;
  const DATA_DIR = await temporaryFolder();
  const alone = await run("apps/api/src/main.ts", {
    REDIS_URL: first,
    HTTP_PORTS: "0",
    DATA_DIR,
  }).ended;
  expect(alone.code).toBe(1);
  expect(alone.err).toContain("node of a cluster, of which several nodes have to be named");
  const main = await startApi({ REDIS_URL: [first, ...others].join(","), DATA_DIR });
  const [url = ""] = main.urls;
  const job = { type: "sentiment_analysis_batch", data: { texts: ["Quite nice."] } };
  const { jobId } = (await call(url, "POST", "/api/v1/jobs", job)).body.data;
  const waited = await call(url, "POST", `/api/v1/jobs/${jobId}/wait`);
  expect(waited.body.data.status).toBe("completed");
  main.child.kill("SIGTERM");
  expect(await main.ended).toMatchObject({ code: 0, err: "" });
});

test("main: a change of engine leaves the files of the other one's jobs alone", async () => {
  const redis = await testRedis();
  const DATA_DIR = await temporaryFolder();
  const files = join(DATA_DIR, "files");
  const env = { DATA_DIR, INLINE_WORKER: "false" };
  const embedded = await startApi(env);
  const job = { type: "sentiment_analysis_batch", data: { texts: longTexts } };
  await call(embedded.urls[0] ?? "", "POST", "/api/v1/jobs", job);
  embedded.child.kill("SIGTERM");
  await embedded.ended;
  const [payload = ""] = await readdir(join(files, ".payloads"));
  const kept = [join(files, ".payloads", payload), join(files, "default/.jobyard/results/7/a.csv")];
  // Nobody's: when they are gone, the others have been looked at as well.
  const orphans = [
    join(files, ".payloads-redis", payload),
    join(files, "default/.jobyard/results-redis/7/a.csv"),
  ];
  for (const file of [kept[1] ?? "", ...orphans]) {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, "x");
  }
  const old = new Date(Date.now() - 86_400_000);
  for (const file of [...kept, ...orphans]) await utimes(file, old, old);
  await startApi({ ...env, REDIS_URL: redis.url });
  const there = (paths: readonly string[]) => paths.map((path) => existsSync(path));
  await expect.poll(() => there(orphans)).toEqual([false, false]);
  expect(there(kept)).toEqual([true, true]);
});

test("main: a Redis that is not there is told within seconds, without its password", async () => {
  const redis = await testRedis();
  await redis.stop();
  const REDIS_URL = `redis://app:hushhush@127.0.0.1:${redis.port}/2`;
  const env = {
    REDIS_URL,
    HTTP_PORTS: "0",
    TCP_PORT: "0",
    GRPC_PORT: "0",
    DATA_DIR: await temporaryFolder(),
  };
  const { code, out, err } = await run("apps/api/src/main.ts", env).ended;
  expect(code).toBe(1);
  expect(err).toContain(
    `Jobyard cannot start: Redis cannot be used: connect ECONNREFUSED 127.0.0.1:${redis.port}`,
  );
  expect(err).toContain(`REDIS_URL is redis://***@127.0.0.1:${redis.port}/2`);
  expect(err).toContain("Start Redis there or correct REDIS_URL");
  expect(out + err).not.toContain("hushhush");
  expect(err).not.toContain("    at ");
});

test("main: what is at risk with Redis is told, and refused where the settings say so", async () => {
  const redis = await testRedis("--appendonly", "no", "--maxmemory-policy", "allkeys-lru");
  const env = { REDIS_URL: redis.url, DATA_DIR: await temporaryFolder() };
  const risky = await startApi(env);
  const told = risky.lines.filter((line) => (JSON.parse(line) as { level: number }).level === 40);
  expect(told).toEqual([
    expect.stringMatching(/no append-only file.*appendonly yes/),
    expect.stringMatching(/allkeys-lru.*noeviction/),
  ]);
  const { body } = await call(risky.urls[0] ?? "", "GET", "/health");
  expect(body.data).toMatchObject({
    status: "healthy",
    warnings: [expect.stringContaining("append-only"), expect.stringContaining("allkeys-lru")],
  });
  const strict = {
    HTTP_PORTS: "0",
    TCP_PORT: "0",
    GRPC_PORT: "0",
    ...env,
    REDIS_REQUIRE_AOF: "true",
  };
  const refused = await run("apps/api/src/main.ts", strict).ended;
  expect(refused.code).toBe(78);
  expect(refused.err).toMatch(/REDIS_REQUIRE_AOF: .*append-only.*`appendonly yes`/);
  await redis.command("CONFIG", "SET", "appendonly", "yes");
  await startApi({ ...env, REDIS_REQUIRE_AOF: "true" });
});

test("main: Redis at its memory limit: 503 within a second that tells of each job, nothing half done, and all well again after", async () => {
  const redis = await testRedis();
  const env = { REDIS_URL: redis.url, DATA_DIR: await temporaryFolder(), INLINE_WORKER: "false" };
  const { urls } = await startApi(env);
  const [url = ""] = urls;
  const limit = (bytes: string) => redis.command("CONFIG", "SET", "maxmemory", bytes);
  const one = { type: "sentiment_analysis_batch", data: { texts: ["Fine."] } };
  const addOne = () => call(url, "POST", "/api/v1/jobs", one);
  const jobs = Array.from({ length: 50 }, (_, n) => ({ queue: "work", data: { n } }));
  const addMany = () => call(url, "POST", "/api/native/jobs/bulk", { jobs });
  const email = {
    queue: "email-notifications",
    data: { message: "Well 7 is down", recipientEmail: "ops@example.com" },
  };
  const token = (await run("apps/cli/src/main.ts", env, ["token", "create"]).ended).out.trim();
  const three = { jobs: [email, { queue: "email-notifications" }, email] };
  const addToWellflow = () => call(url, "POST", "/api/jobs/bulk", three, token);
  const total = async () => (await call(url, "GET", "/api/native/jobs?limit=0")).body.data.total;
  expect((await addOne()).status).toBe(201);

  await limit("1mb");
  const away = { code: "SYSTEM_ERROR", message: expect.stringMatching(/Try again later/) };
  const atOnce = async (add: () => ReturnType<typeof call>) => {
    const began = performance.now();
    const { status, body } = await add();
    expect(performance.now() - began).toBeLessThan(1000);
    expect(status).toBe(503);
    return body;
  };
  await atOnce(addOne);
  const { details } = (await atOnce(addMany)) as unknown as { details: { report: unknown } };
  expect(details.report).toEqual({
    added: 0,
    refused: 50,
    outcomes: Array.from({ length: 50 }, () => ({ id: null, error: away })),
  });
  // What is wrong with a job itself is told as ever.
  const { error } = (await atOnce(addToWellflow)) as unknown as { error: { details: unknown } };
  expect(error.details).toEqual({
    report: {
      created: 0,
      failed: 3,
      jobIds: [],
      errors: [
        { index: 0, ...away },
        { index: 1, code: "VALIDATION_ERROR", message: expect.any(String) },
        { index: 2, ...away },
      ],
    },
  });
  // What is there can still be seen.
  expect(await total()).toBe(1);

  await limit("0");
  expect((await addOne()).status).toBe(201);
  const { body } = await addMany();
  expect(body.data).toMatchObject({ added: 50, refused: 0 });
  expect((await addToWellflow()).body.data).toMatchObject({ created: 2, failed: 1 });
  expect(await total()).toBe(54);
});

test("main: the API alone on the embedded engine says that nobody runs typed jobs", async () => {
  const main = await startApi({ DATA_DIR: await temporaryFolder(), INLINE_WORKER: "false" });
  expect(await main.line(/nobody runs/)).toContain("typed jobs, which wait until a worker pulls");
});
