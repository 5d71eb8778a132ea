import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { serve } from "../../../apps/api/test/running-server.ts";
import { Jobyard, JobyardError } from "../src/index.ts";
import { FlashqClient } from "../src/flashq.ts";
import { V1Client } from "../src/v1.ts";
import { Worker } from "../src/worker.ts";

interface Queues {
  bakery: { data: { loaf: string }; result: { crumbs: number } };
}

async function connected(env: Record<string, string> = {}) {
  const { url } = await serve({ handlers: [], env });
  return { url, client: new Jobyard<Queues>({ baseURL: `${url}/` }) };
}

/** A server that answers as it is told. */
async function fake(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function failure(attempt: Promise<unknown>): Promise<JobyardError> {
  const error = await attempt.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(JobyardError);
  return error as JobyardError;
}

describe("jobs", () => {
  test("are added, read, listed, changed", async () => {
    const { client } = await connected();
    const queue = client.getQueue("bakery");
    const rye = await queue.add({ name: "rye", data: { loaf: "rye" }, opts: { tags: ["dark"] } });
    const many = await client.jobs.addMany("bakery", [
      { data: { loaf: "spelt" } },
      { data: { loaf: "oat" }, opts: { delayMs: 3_600_000 } },
    ]);
    expect(many).toMatchObject({ added: 2, refused: 0 });
    const job = await client.jobs.get(rye);
    expect(job).toMatchObject({ id: rye.id, name: "rye", data: { loaf: "rye" }, tags: ["dark"] });
    expect(job.data?.loaf).toBe("rye");

    const listed: (string | undefined)[] = [];
    for await (const one of queue.list({ limit: 1, order: "asc", include: ["data"] })) {
      listed.push(one.data?.loaf);
    }
    expect(listed).toEqual(["rye", "spelt", "oat"]);
    expect(await client.jobs.page({ state: ["delayed"] })).toMatchObject({ total: 1 });

    const oat = many.outcomes[2 - 1]?.id as string;
    expect(await client.jobs.promote(oat)).toEqual({ id: oat, state: "waiting" });
    expect(await client.jobs.cancel(rye, { reason: "burnt" })).toMatchObject({
      state: "cancelled",
    });
    const again = await client.jobs.requeue(rye, { data: { loaf: "wheat" } });
    expect((await client.jobs.get(again.id)).data).toEqual({ loaf: "wheat" });
    expect(await client.jobs.remove(rye)).toEqual({ id: rye.id, state: null });
    const progress = vi.fn<(total: { applied: number }) => void>();
    const cancelled = await client.jobs.cancelAll(
      { queue: ["bakery"], state: ["waiting"] },
      { onProgress: progress },
    );
    expect(cancelled).toMatchObject({ total: 3, applied: 3, done: true });
    expect(progress).toHaveBeenLastCalledWith(cancelled);
  });

  test("over a thousand are added in several calls", async () => {
    const { client } = await connected();
    const jobs = Array.from({ length: 2100 }, (_, i) => ({ data: { loaf: String(i) } }));
    const { added, outcomes } = await client.jobs.addMany("bakery", jobs);
    expect([added, outcomes.length]).toEqual([2100, 2100]);
    expect((await client.jobs.get(outcomes[2099]?.id as string)).data).toEqual({ loaf: "2099" });
  });

  test("are waited for, over many waits", async () => {
    const { url, client } = await connected();
    const job = await client.getQueue("bakery").add({ data: { loaf: "rye" } });
    const error = await failure(client.jobs.wait(job, { timeoutMs: 30 }));
    expect(error).toMatchObject({
      code: "JOB_TIMEOUT",
      status: 408,
      details: { state: "waiting" },
    });
    const waited = client.jobs.wait(job);
    const worker = new Worker<Queues, "bakery">(
      "bakery",
      ({ data }) => ({ crumbs: data.loaf.length }),
      {
        baseURL: url,
      },
    );
    onTestFinished(() => worker.close());
    const done = await waited;
    expect([done.state, done.result?.crumbs]).toEqual(["completed", 3]);
    expect((await client.jobs.result(job)).crumbs).toBe(3);
  });

  test("are watched, on past a lost connection", async () => {
    const { client, url } = await connected();
    let connections = 0;
    let cut = (): void => undefined;
    const watcher = new Jobyard({
      baseURL: url,
      // Events go through as far as the test lets them.
      async fetch(input, init) {
        connections++;
        const ending = new AbortController();
        cut = () => ending.abort();
        const signal = AbortSignal.any([init?.signal as AbortSignal, ending.signal]);
        return await fetch(input, { ...init, signal });
      },
    });
    const ending = new AbortController();
    const events = watcher.jobs.watch({
      queue: "bakery",
      type: ["job.pushed"],
      signal: ending.signal,
    });
    const first = events.next();
    // Until the server knows of the reader, it has nothing to tell it.
    const add = () => client.getQueue("bakery").add({ data: { loaf: "rye" } });
    const timer = setInterval(() => void add(), 100);
    expect((await first).value).toMatchObject({ type: "job.pushed", queue: "bakery" });
    clearInterval(timer);
    await add();
    cut();
    const { id } = await add();
    for (;;) {
      const { value } = await events.next();
      expect(value?.type).toBe("job.pushed");
      if (value !== undefined && "jobId" in value && value.jobId === id) break;
    }
    expect(connections).toBe(2);
    const end = events.next();
    ending.abort();
    expect(await end).toEqual({ done: true, value: undefined });
  });

  test("are counted, and the connection is told of", async () => {
    const { client, url } = await connected();
    let cut = (): void => undefined;
    const watcher = new Jobyard({
      baseURL: url,
      async fetch(input, init) {
        const ending = new AbortController();
        cut = () => ending.abort();
        const signal = AbortSignal.any([init?.signal as AbortSignal, ending.signal]);
        return await fetch(input, { ...init, signal });
      },
    });
    const connections: boolean[] = [];
    const ending = new AbortController();
    const activity = watcher.activity({
      everyMs: 250,
      signal: ending.signal,
      onConnection(connected) {
        connections.push(connected);
        // Connected, the server hears of what is missed.
        if (connected) void client.getQueue("bakery").add({ data: { loaf: "rye" } });
      },
    });
    const counted = {
      type: "activity",
      queues: [{ queue: "bakery", counts: { "job.pushed": 1 } }],
    };
    expect((await activity.next()).value).toMatchObject(counted);
    cut();
    // What happened meanwhile is not known.
    expect((await activity.next()).value).toEqual({ type: "gap" });
    expect((await activity.next()).value).toMatchObject(counted);
    expect(connections).toEqual([true, false, true]);
    ending.abort();
    expect(await activity.next()).toEqual({ done: true, value: undefined });
  });
});

test("queues, schedules, webhooks, files, figures, and who is calling", async () => {
  const { client, url } = await connected({ WEBHOOK_ALLOW_PRIVATE: "true" });
  const queue = client.getQueue("bakery");
  await queue.add({ data: { loaf: "rye" } });
  expect(await queue.pause()).toMatchObject({ paused: true });
  expect(await queue.resume()).toMatchObject({ paused: false });
  expect(await queue.configure({ concurrency: 4 })).toMatchObject({ concurrency: 4 });
  expect(await client.jobs.getQueue("bakery")).toMatchObject({ counts: { waiting: 1 } });
  expect(await queue.stats()).toMatchObject({ total: { added: 1 } });
  expect(await queue.drain()).toMatchObject({ applied: 1, done: true });
  expect((await client.queues.list()).map(({ name }) => name)).toContain("bakery");

  const schedule = { name: "dawn", cron: "0 4 * * *", job: { queue: "bakery" } };
  await client.schedules.add({ ...schedule, timezone: "Europe/Madrid", enabled: true });
  expect(await client.schedules.update("dawn", { enabled: false })).toMatchObject({
    enabled: false,
  });
  expect((await client.schedules.list()).map(({ name }) => name)).toEqual(["dawn"]);
  expect(await client.schedules.run("dawn")).toHaveProperty("id");
  const { runs } = await client.schedules.preview({ cron: "0 4 * * *", timezone: "UTC", count: 2 });
  expect(runs).toHaveLength(2);
  await client.schedules.remove("dawn");
  expect((await failure(client.schedules.get("dawn"))).code).toBe("SCHEDULE_NOT_FOUND");

  const hook = { url: "https://hooks.bakery.example/in", enabled: true };
  const { id } = await client.webhooks.add({ ...hook, events: ["job.completed"] });
  expect(await client.webhooks.get(id)).toMatchObject({ url: hook.url, signed: false });
  await client.webhooks.remove(id);
  expect(await client.webhooks.list()).toEqual([]);

  await client.files.put("recipes/rye-and-oat.txt", "flour, water");
  expect(await (await client.files.get("recipes/rye-and-oat.txt")).text()).toBe("flour, water");
  await client.files.remove("recipes/rye-and-oat.txt");
  const gone = await failure(client.files.get("recipes/rye-and-oat.txt"));
  expect(gone).toMatchObject({ code: "FILE_NOT_FOUND", status: 404 });

  expect(await client.whoami()).toMatchObject({ tenant: "default", open: true });
  expect(await client.health()).toMatchObject({ status: "healthy" });
  expect((await client.metrics({ interval: "hour" })).series).toHaveLength(1);
  expect(await client.stats()).toHaveProperty("counts.waiting");
  expect(await client.errors()).toEqual([]);
  expect(await client.workers()).toEqual([]);
  expect(await client.nodes()).toHaveLength(1);
  expect((await client.jobTypes()).map(({ queue }) => queue)).toContain("data_export");
  expect(await client.call("getStats", { query: { by: "queue" } })).toHaveProperty("groups");

  const flashq = new FlashqClient({ baseURL: url });
  const pushed = await flashq.call("pushJob", { path: { queue: "mill" }, body: { data: 5 } });
  expect(pushed).toMatchObject({ data: { id: expect.any(Number) } });
  const refused = await failure(
    new V1Client({ baseURL: url }).call("getJob", { path: { id: "9" } }),
  );
  expect(refused).toMatchObject({ code: "JOB_NOT_FOUND", status: 404 });
});

describe("failures", () => {
  test("what the server refuses", async () => {
    const { client } = await connected();
    const unique = { data: { loaf: "rye" }, opts: { uniqueKey: "one" } };
    const { id } = await client.jobs.add("bakery", unique);
    expect(await failure(client.jobs.add("bakery", unique))).toMatchObject({
      code: "DUPLICATE_JOB",
      status: 409,
      details: { jobId: id },
    });
    const error = await failure(client.jobs.add("data_export", { data: {} }));
    expect(error).toMatchObject({ code: "INVALID_JOB_DATA", status: 400 });
    expect(error.details["errors"]).toContainEqual({
      field: expect.stringContaining("datasetId") as string,
      message: expect.any(String) as string,
    });
    await expect(client.files.get("../secret")).rejects.toThrow(TypeError);
    expect(() => new Jobyard({ baseURL: "localhost:3001" })).toThrow("baseURL");
  });

  test("an add whose answer was lost is repeated and adds once", async () => {
    const { url } = await serve({ handlers: [] });
    const keys: (string | null)[] = [];
    const client = new Jobyard({
      baseURL: url,
      async fetch(input, init) {
        const response = await fetch(input, init);
        keys.push(new Headers(init?.headers).get("Idempotency-Key"));
        if (keys.length === 1) throw new TypeError("fetch failed");
        return response;
      },
    });
    const { id } = await client.jobs.add("bakery", {});
    expect(keys).toEqual([
      expect.stringMatching(/^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/),
      keys[0],
    ]);
    const { items, total } = await client.jobs.page({});
    expect([items.map((job) => job.id), total]).toEqual([[id], 1]);
  });

  test("safe calls are repeated, after the pause asked for; others are not", async () => {
    const asked: string[] = [];
    const url = await fake((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.writeHead(asked.length < 3 ? 503 : 200, {
        "Content-Type": "application/json",
        ...(asked.length === 1 ? { "Retry-After": "0" } : {}),
      });
      const refusal = { success: false, error: "Away", details: { code: "SYSTEM_ERROR" } };
      response.end(JSON.stringify(asked.length < 3 ? refusal : { data: { status: "healthy" } }));
    });
    const client = new Jobyard({ baseURL: url });
    expect(await client.health()).toEqual({ status: "healthy" });
    expect(asked).toEqual(Array(3).fill("GET /api/native/health"));
    asked.length = 0;
    const error = await failure(client.jobs.cancel("7"));
    expect(error).toMatchObject({ code: "SYSTEM_ERROR", status: 503, retryAfter: 0 });
    expect(asked).toEqual(["POST /api/native/jobs/7/cancel"]);
  });

  test("no answer, none in time, none that can be read, and an abort", async () => {
    const silent = await fake(() => undefined);
    const client = new Jobyard({ baseURL: silent, retries: 0, timeoutMs: 50 });
    expect(await failure(client.health())).toMatchObject({ code: "TIMEOUT", status: 0 });
    const ending = new AbortController();
    const aborted = client.health({ signal: ending.signal, timeoutMs: 60_000 });
    ending.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");

    const page = await fake((_, response) => response.end("<html>"));
    expect(await failure(new Jobyard({ baseURL: page }).health())).toMatchObject({
      code: "INVALID_ANSWER",
      status: 200,
    });
    const nobody = new Jobyard({ baseURL: "http://127.0.0.1:1", retries: 1 });
    const { code, message } = await failure(nobody.health());
    expect([code, message]).toEqual(["NETWORK_ERROR", expect.stringContaining("127.0.0.1:1")]);
  });

  test("a token is sent, and a bad one is refused", async () => {
    const { url } = await serve({ handlers: [], env: { API_TOKENS: "rolling-pin-0123456789" } });
    expect(await failure(new Jobyard({ baseURL: url }).whoami())).toMatchObject({
      code: "AUTHENTICATION_ERROR",
      status: 401,
    });
    const client = new Jobyard({ baseURL: url, token: () => "rolling-pin-0123456789" });
    expect(await client.whoami()).toMatchObject({ tenant: "default", open: false });
  });
});
