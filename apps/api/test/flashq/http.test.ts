import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { serve } from "../running-server.ts";
import { virtualApi } from "../virtual-api.ts";

const moment = expect.any(Number);

describe.each(engines)("on the %s engine", (engine) => {
  test("a job is pushed with all its options, and shown as it was sent", async () => {
    const { call } = await virtualApi(engine);
    const first = await call("POST", "/queues/thumbnails/jobs", { data: null });
    const { status, body } = await call("POST", "/queues/thumbnails/jobs", {
      data: { image: "boat.png", sizes: [64, 320] },
      priority: 7,
      delay: 2500,
      ttl: 90_000,
      timeout: 4000,
      max_attempts: 4,
      backoff: 250,
      unique_key: "boat",
      depends_on: [first.body.data.id],
      tags: ["web", "été"],
      lifo: true,
      of_no_meaning: 1,
    });
    expect(status).toBe(200);
    const { id, created_at } = body.data;
    expect(body).toEqual({
      ok: true,
      data: {
        id: expect.any(Number),
        queue: "thumbnails",
        data: { image: "boat.png", sizes: [64, 320] },
        priority: 7,
        created_at: moment,
        run_at: created_at + 2500,
        started_at: 0,
        attempts: 0,
        max_attempts: 4,
        backoff: 250,
        ttl: 90_000,
        timeout: 4000,
        unique_key: "boat",
        depends_on: [first.body.data.id],
        progress: 0,
        tags: ["web", "été"],
        lifo: true,
      },
      error: null,
    });
    const shown = await call("GET", `/jobs/${id}`);
    expect(shown.body.data).toEqual({ ...body.data, state: "waiting-children", result: null });
    const twice = await call("POST", "/queues/thumbnails/jobs", { data: 1, unique_key: "boat" });
    expect([twice.status, twice.body]).toEqual([
      409,
      { ok: false, data: null, error: "Duplicate job", existing_id: id },
    ]);
  });

  test("defaults are flashQ's: one attempt, a second of backoff; null is absent", async () => {
    const { call } = await virtualApi(engine);
    const { body } = await call("POST", "/queues/thumbnails/jobs", {
      data: [],
      priority: null,
      ttl: null,
      unique_key: null,
      depends_on: null,
      tags: null,
    });
    expect(body.data).toMatchObject({
      priority: 0,
      max_attempts: 1,
      backoff: 1000,
      ttl: 0,
      timeout: 0,
      depends_on: [],
      tags: [],
      lifo: false,
    });
    expect(body.data).not.toHaveProperty("unique_key");
  });

  test("a run goes from pull to acknowledgement, with progress, result and figures", async () => {
    const { call, advance } = await virtualApi(engine);
    const pushed = await call("POST", "/queues/thumbnails/jobs", { data: { n: 1 } });
    const { id } = pushed.body.data;
    const pulled = await call("GET", "/queues/thumbnails/jobs?count=5&worker=scaler-2");
    expect(pulled.body.data).toEqual([
      { ...pushed.body.data, started_at: moment, attempts: 1, lease: expect.any(String) },
    ]);
    const [{ lease }] = pulled.body.data;
    expect((await call("GET", `/jobs/${id}/result`)).body.data).toBeNull();
    const stale = await call("POST", `/jobs/${id}/ack`, { lease: "of-nobody", result: 0 });
    expect(stale.status).toBe(409);
    await call("POST", `/jobs/${id}/progress`, { progress: 62.5, message: "Scaling", lease });
    expect((await call("GET", `/jobs/${id}/progress`)).body.data).toEqual([62, "Scaling"]);
    await advance(80);
    const acked = await call("POST", `/jobs/${id}/ack`, { result: { bytes: 8 }, lease });
    expect([acked.status, acked.body]).toEqual([200, { ok: true, data: null, error: null }]);
    expect((await call("GET", `/jobs/${id}/result`)).body.data).toEqual({ bytes: 8 });
    expect((await call("GET", `/jobs/${id}`)).body.data).toMatchObject({
      state: "completed",
      result: { bytes: 8 },
      progress: 100,
    });
    expect((await call("GET", "/stats")).body.data).toEqual({
      queued: 0,
      processing: 0,
      delayed: 0,
      dlq: 0,
    });
    expect((await call("GET", "/metrics")).body.data).toEqual({
      total_pushed: 1,
      total_completed: 1,
      total_failed: 0,
      jobs_per_second: expect.any(Number),
      avg_latency_ms: 80,
      queues: [{ name: "thumbnails", pending: 0, processing: 0, dlq: 0 }],
    });
  });

  test("what failed for good is in the dead-letter queue, and goes back from there", async () => {
    const { call, advance } = await virtualApi(engine);
    const push = { data: 1, max_attempts: 2, backoff: 300 };
    const { id } = (await call("POST", "/queues/thumbnails/jobs", push)).body.data;
    await call("GET", "/queues/thumbnails/jobs");
    await call("POST", `/jobs/${id}/fail`, { error: "The image is empty" });
    expect((await call("GET", `/jobs/${id}`)).body.data).toMatchObject({
      state: "delayed",
      attempts: 1,
    });
    await advance(300);
    await call("GET", "/queues/thumbnails/jobs");
    await call("POST", `/jobs/${id}/fail`);
    const { body } = await call("GET", "/queues/thumbnails/dlq?count=5");
    expect(body.data).toEqual([
      expect.objectContaining({ id, state: "failed", error: "failed", attempts: 2 }),
    ]);
    expect((await call("GET", "/jobs?state=failed&queue=thumbnails")).body.data).toEqual(body.data);
    expect((await call("POST", "/queues/thumbnails/dlq/retry")).body.data).toBe(1);
    expect((await call("GET", `/jobs/${id}`)).body.data).toMatchObject({
      state: "waiting",
      attempts: 0,
    });
  });

  test("a job that is not run can be cancelled; it is failed then, and no dead letter", async () => {
    const { call } = await virtualApi(engine);
    const push = async () =>
      (await call("POST", "/queues/thumbnails/jobs", { data: 1 })).body.data.id;
    const [running, waiting] = [await push(), await push()];
    await call("GET", "/queues/thumbnails/jobs");
    const refused = await call("POST", `/jobs/${running}/cancel`);
    expect([refused.status, refused.body.error]).toEqual([
      409,
      `Job ${running} cannot be cancelled: it is active`,
    ]);
    expect((await call("POST", `/jobs/${waiting}/cancel`)).status).toBe(200);
    expect((await call("GET", `/jobs/${waiting}`)).body.data).toMatchObject({
      state: "failed",
      error: "cancelled",
    });
    expect((await call("GET", "/queues/thumbnails/dlq")).body.data).toEqual([]);
  });

  test("pauses and limits hold pulls, and are shown with the queue", async () => {
    const { call, advance } = await virtualApi(engine);
    for (let n = 0; n < 4; n++) await call("POST", "/queues/thumbnails/jobs", { data: n });
    const pull = async (): Promise<number> =>
      (await call("GET", "/queues/thumbnails/jobs?count=10")).body.data.length;
    const queue = async () => (await call("GET", "/queues")).body.data[0];
    await call("POST", "/queues/thumbnails/pause");
    expect(await queue()).toEqual({
      name: "thumbnails",
      pending: 4,
      processing: 0,
      dlq: 0,
      paused: true,
      rate_limit: null,
      concurrency_limit: null,
    });
    expect(await pull()).toBe(0);
    await call("POST", "/queues/thumbnails/resume");
    await call("POST", "/queues/thumbnails/concurrency", { limit: 1 });
    await call("POST", "/queues/thumbnails/rate-limit", { limit: 1 });
    expect(await queue()).toMatchObject({ paused: false, rate_limit: 1, concurrency_limit: 1 });
    expect(await pull()).toBe(1);
    await call("DELETE", "/queues/thumbnails/concurrency");
    expect(await pull()).toBe(0);
    await advance(1000);
    expect(await pull()).toBe(1);
    await call("DELETE", "/queues/thumbnails/rate-limit");
    expect(await queue()).toMatchObject({ rate_limit: null, concurrency_limit: null });
    expect(await pull()).toBe(2);
  });

  test("crons of six fields run by the second, and are listed until they are deleted", async () => {
    const { call, advance } = await virtualApi(engine);
    const cron = { queue: "sweeps", data: { all: true }, schedule: "*/20 * * * * *", priority: 3 };
    expect((await call("POST", "/crons/sweep-often", cron)).status).toBe(200);
    const [listed] = (await call("GET", "/crons")).body.data;
    expect(listed).toEqual({ name: "sweep-often", ...cron, next_run: moment });
    await advance(20_000);
    await expect
      .poll(async () => (await call("GET", "/jobs?queue=sweeps")).body.data)
      .toEqual([expect.objectContaining({ data: { all: true }, priority: 3, state: "waiting" })]);
    expect((await call("DELETE", "/crons/sweep-often")).status).toBe(200);
    expect((await call("DELETE", "/crons/sweep-often")).status).toBe(404);
    expect((await call("GET", "/crons")).body.data).toEqual([]);
    const bad = await call("POST", "/crons/never", { ...cron, schedule: "61 * * * * *" });
    expect([bad.status, bad.body.error]).toEqual([400, expect.stringMatching(/^schedule: /)]);
  });

  test("workers are listed by their heartbeats, which keep their jobs", async () => {
    const { call, advance } = await virtualApi(engine);
    await call("POST", "/queues/thumbnails/jobs", { data: 1 });
    const beat = () =>
      call("POST", "/workers/scaler-2/heartbeat", {
        queues: ["thumbnails"],
        concurrency: 4,
        active: 1,
        jobs_processed: 12,
      });
    await beat();
    const pulled = await call("GET", "/queues/thumbnails/jobs?worker=scaler-2");
    const [{ id, lease }] = pulled.body.data;
    expect((await call("GET", "/workers")).body.data).toEqual([
      {
        id: "scaler-2",
        queues: ["thumbnails"],
        concurrency: 4,
        last_heartbeat: moment,
        jobs_processed: 12,
      },
    ]);
    for (let minute = 0; minute < 4; minute++) {
      await advance(200_000);
      await beat();
    }
    expect((await call("POST", `/jobs/${id}/ack`, { lease })).status).toBe(200);
  });

  test("HEAD claims nothing, and neither does a pull whose caller has gone", async () => {
    const { call, url } = await serve({ engine, handlers: [] });
    const head = await fetch(`${url}/queues/thumbnails/jobs`, { method: "HEAD" });
    expect(head.status).toBe(200);
    const leaving = new AbortController();
    const pull = fetch(`${url}/queues/thumbnails/jobs?wait=30000`, { signal: leaving.signal });
    setTimeout(() => leaving.abort(), 200);
    await expect(pull).rejects.toThrow("aborted");
    await call("POST", "/queues/thumbnails/jobs", { data: 1 });
    const { body, headers } = await call("GET", "/queues/thumbnails/jobs?wait=5000");
    expect(body.data).toHaveLength(1);
    expect(headers.get("cache-control")).toBe("no-store");
  });

  test("a pull waits for a job that comes", async () => {
    const { call } = await serve({ engine, handlers: [] });
    const waiting = call("GET", "/queues/thumbnails/jobs?wait=20000");
    await call("POST", "/queues/thumbnails/jobs", { data: { late: true } });
    expect((await waiting).body.data).toMatchObject([{ data: { late: true } }]);
    expect((await call("GET", "/queues/thumbnails/jobs?wait=50")).body.data).toEqual([]);
  });

  test("the same Idempotency-Key adds one job", async () => {
    const { call } = await virtualApi(engine);
    const push = (data: unknown) =>
      call("POST", "/queues/thumbnails/jobs", { data }, { "Idempotency-Key": "boat-1" });
    const [first, second] = [await push(1), await push(1)];
    expect(second.body).toEqual(first.body);
    expect((await call("GET", "/stats")).body.data.queued).toBe(1);
  });

  test("lists page through jobs, the newest first", async () => {
    const { call } = await virtualApi(engine);
    for (let n = 0; n < 5; n++) await call("POST", "/queues/thumbnails/jobs", { data: n });
    const page = async (query: string) =>
      (await call("GET", `/jobs?${query}`)).body.data.map(({ data }: { data: number }) => data);
    expect(await page("limit=2")).toEqual([4, 3]);
    expect(await page("limit=2&offset=3")).toEqual([1, 0]);
    expect(await page("state=active")).toEqual([]);
  });

  test("lists show the jobs of each state", async () => {
    const { call } = await virtualApi(engine);
    const push = async (job: object): Promise<number> =>
      (await call("POST", "/queues/thumbnails/jobs", job)).body.data.id;
    const made: Record<string, number> = {};
    for (const state of ["completed", "failed", "active"]) {
      const id = (made[state] = await push({ data: state }));
      await call("GET", "/queues/thumbnails/jobs");
      if (state === "completed") await call("POST", `/jobs/${id}/ack`);
      if (state === "failed") await call("POST", `/jobs/${id}/fail`);
    }
    made["waiting"] = await push({ data: 1 });
    made["delayed"] = await push({ data: 1, delay: 5000 });
    made["waiting-children"] = await push({ data: 1, depends_on: [made["active"]] });
    for (const [state, id] of Object.entries(made)) {
      const { body } = await call("GET", `/jobs?queue=thumbnails&state=${state}`);
      expect([state, body.data]).toEqual([state, [expect.objectContaining({ id, state })]]);
      expect((await call("GET", `/jobs?queue=other&state=${state}`)).body.data).toEqual([]);
    }
  });

  test.each([
    ["POST", "/queues/a b/jobs", { data: 1 }, 400, /^Invalid queue name/],
    ["POST", "/queues/q/jobs", {}, 400, /^data: /],
    ["POST", "/queues/q/jobs", [1], 400, /JSON object/],
    ["POST", "/queues/q/jobs", "{", 400, /JSON/],
    ["POST", "/queues/q/jobs", { data: 1, priority: 2 ** 31 }, 400, /^priority: /],
    ["POST", "/queues/q/jobs", { data: 1, delay: -1 }, 400, /^delay: /],
    ["POST", "/queues/q/jobs", { data: 1, depends_on: [99] }, 400, /depend/i],
    ["POST", "/queues/q/jobs", { data: "x".repeat(1_000_001) }, 413, /^Payload too large$/],
    [
      "POST",
      "/queues/q/jobs",
      Buffer.from('{"data":"\xff"}', "latin1"),
      400,
      /^body: Must be UTF-8$/,
    ],
    [
      "POST",
      "/queues/q/jobs",
      { data: JSON.parse("[".repeat(101) + "]".repeat(101)) as unknown },
      400,
      /^data.*100 levels$/,
    ],
    ["GET", "/queues/q/jobs?wait=60001", undefined, 400, /^wait: /],
    ["GET", "/queues/q/jobs?count=1001", undefined, 400, /^count: /],
    ["GET", "/queues/q/jobs?count=0x2", undefined, 400, /^count: /],
    ["POST", "/queues/q/rate-limit", { limit: 0 }, 400, /^limit: /],
    ["POST", "/queues/q/rate-limit", {}, 400, /^limit: /],
    ["POST", "/queues/q/concurrency", { limit: 0 }, 400, /^limit: /],
    ["POST", "/queues/q/concurrency", { limit: 2 ** 31 }, 400, /^limit: /],
    ["POST", "/workers/w-1/heartbeat", { concurrency: 0 }, 400, /^concurrency: /],
    ["GET", "/jobs?queue=a b", undefined, 400, /^Invalid queue name: /],
    ["GET", "/jobs?state=running", undefined, 400, /^state: /],
    ["GET", "/jobs/9007199254740993", undefined, 404, /^Job 9007199254740993 not found$/],
    ["POST", "/jobs/77/ack", { result: 1 }, 404, /^Job 77 not found$/],
    ["POST", "/jobs/1.5/fail", {}, 404, /^Job 1.5 not found$/],
    ["POST", "/jobs/77/progress", { progress: 101 }, 400, /^progress: /],
    ["GET", "/jobs/77/result", undefined, 404, /^Job 77 not found$/],
    ["GET", "/jobs/77/progress", undefined, 404, /^Job 77 not found$/],
    ["POST", "/jobs/77/cancel", undefined, 404, /^Job 77 not found$/],
    ["GET", "/jobs?limit=1001", undefined, 400, /^limit: /],
    ["GET", "/jobs?offset=-1", undefined, 400, /^offset: /],
    [
      "POST",
      "/crons/c",
      { queue: "q", data: 1, schedule: "*".repeat(257) },
      400,
      /^schedule: .*256/,
    ],
  ] as const)(
    "%s %s with bad input says what is wrong",
    async (method, path, sent, status, error) => {
      const { call } = await virtualApi(engine);
      const { status: told, body } = await call(method, encodeURI(path), sent);
      expect([told, body]).toEqual([
        status,
        { ok: false, data: null, error: expect.stringMatching(error) },
      ]);
      const next = await call("GET", "/stats");
      expect(next.body).toMatchObject({ ok: true, data: { queued: 0 } });
    },
  );
});
