import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { describe, expect, test } from "vitest";
import { engines } from "./engines.ts";
import { temporaryFolder } from "./running-server.ts";
import { call, startApi, testRedis } from "./running-process.ts";

interface NativeAnswer {
  readonly status: number;
  // oxlint-disable-next-line typescript/no-explicit-any -- whatever an answer can hold
  readonly body: any;
}

const native = (url: string, method: string, path: string, body?: unknown): Promise<NativeAnswer> =>
  call(url, method, `/api/native${path}`, body);

describe.each(engines)("on the %s engine", (engine) => {
  const settings = async (): Promise<Record<string, string>> => ({
    DATA_DIR: await temporaryFolder(),
    INLINE_WORKER: "false",
    ...(engine === "redis" ? { REDIS_URL: (await testRedis()).url } : {}),
  });

  test("whatever was acknowledged is there after kill -9", async () => {
    const env = await settings();
    const first = await startApi(env);
    const [url = ""] = first.urls;
    const acknowledged: string[] = [];
    const producers = Array.from({ length: 20 }, async (_, producer) => {
      for (let n = 0; ; n++) {
        const job = { queue: "wells", data: { producer, n } };
        // Whoever is cut off does not know; what was answered is known.
        const answer = await native(url, "POST", "/jobs", job).catch(() => undefined);
        if (answer === undefined) return;
        expect(answer.status).toBe(201);
        acknowledged.push(answer.body.data.id);
        if (acknowledged.length === 500) first.child.kill("SIGKILL");
      }
    });
    await Promise.all(producers);
    await first.ended;
    expect(acknowledged.length).toBeGreaterThanOrEqual(500);

    const [next = ""] = (await startApi(env)).urls;
    const { total } = (await native(next, "GET", "/jobs?limit=0")).body.data;
    // One of each producer may have been kept without an answer.
    expect(total).toBeGreaterThanOrEqual(acknowledged.length);
    expect(total).toBeLessThanOrEqual(acknowledged.length + producers.length);
    const there = new Set<string>();
    for (let cursor = ""; ;) {
      const page = (await native(next, "GET", `/jobs?limit=1000${cursor}`)).body.data;
      for (const { id } of page.items) there.add(id);
      if (page.next === null) break;
      cursor = `&cursor=${page.next}`;
    }
    expect(acknowledged.filter((id) => !there.has(id))).toEqual([]);
  });

  test("SIGTERM: health says so, who waits is answered, who sends is heard out, and the process ends well", async () => {
    const main = await startApi({
      ...(await settings()),
      SHUTDOWN_GRACE_MS: "30000",
      LOG_LEVEL: "trace",
    });
    const [url = ""] = main.urls;
    const jobs = Array.from({ length: 100 }, (_, n) => ({ queue: "wells", data: n }));
    const added = await native(url, "POST", "/jobs/bulk", { jobs });
    const waits = added.body.data.outcomes.map(({ id }: { readonly id: string }) =>
      native(url, "POST", `/jobs/${id}/wait`, { timeoutMs: 60_000 }),
    ) as Promise<NativeAnswer>[];
    const begun = (end: string): number =>
      main.lines.filter((line) => line.includes("request begins") && line.includes(`${end}"`))
        .length;
    await expect.poll(() => begun("/wait")).toBe(100);
    const last = JSON.stringify({ queue: "wells", data: "the last one" });
    // The connection's keep-alive would hold the end back.
    const upload = request(`${url}/api/native/jobs?upload`, { method: "POST", agent: false });
    upload.write(last.slice(0, 20));
    const stopped = async (): Promise<void> => {
      await expect.poll(() => begun("/api/native/jobs")).toBe(1);
      main.child.kill("SIGTERM");
      const answers = await Promise.all(waits);
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([408]));
      expect(answers[0]?.body).toMatchObject({
        success: false,
        details: { code: "JOB_TIMEOUT", state: "waiting" },
      });
      const health = await call(url, "GET", "/health");
      expect(health).toMatchObject({ status: 503, body: { data: { status: "stopping" } } });
      const late = await native(url, "POST", "/jobs", { queue: "wells", data: "too late" });
      expect(late).toMatchObject({ status: 503, body: { details: { code: "SYSTEM_ERROR" } } });
      upload.end(last.slice(20));
    };
    const [[response]] = (await Promise.all([once(upload, "response"), stopped()])) as [
      [IncomingMessage],
      void,
    ];
    expect(response.statusCode).toBe(201);
    response.resume();
    expect((await main.ended).code).toBe(0);
  });
});

test("processes on one Redis answer for each other", async () => {
  const env = { REDIS_URL: (await testRedis()).url, INLINE_WORKER: "false" };
  const start = async (): Promise<string> =>
    (await startApi({ ...env, DATA_DIR: await temporaryFolder() })).urls[0] as string;
  const [one, two] = await Promise.all([start(), start()]);

  // The same key, at both at once: one job.
  const keyed = (url: string): Promise<Response> =>
    fetch(`${url}/api/native/jobs`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": "lease-58" },
      body: JSON.stringify({ queue: "wells", data: { lease: 58 } }),
    });
  const answers = await Promise.all([one, two, one, two].map(keyed));
  const ids = (await Promise.all(answers.map((answer) => answer.json()))).map(
    (body) => (body as { readonly data: { readonly id: string } }).data.id,
  );
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
  expect(new Set(ids).size).toBe(1);
  expect((await native(two, "GET", "/jobs?limit=0")).body.data.total).toBe(1);

  // Waited for here, run there.
  const wait = native(one, "POST", `/jobs/${ids[0]}/wait?include=result`, { timeoutMs: 30_000 });
  const pulled = await native(two, "POST", "/work/pull", { queues: ["wells"] });
  const [{ id, lease }] = pulled.body.data.items;
  await native(two, "POST", "/work/ack", { items: [{ id, lease, result: { barrels: 212 } }] });
  expect(await wait).toMatchObject({
    status: 200,
    body: { data: { id, state: "completed", result: { barrels: 212 } } },
  });
});
