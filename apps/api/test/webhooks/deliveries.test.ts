import { createHmac } from "node:crypto";
import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { run } from "../running-process.ts";
import { type Api, serve, type Setup, temporaryFolder } from "../running-server.ts";
import { Receiver } from "./receiver.ts";

const privately = { WEBHOOK_ALLOW_PRIVATE: "true" };
const retry = { attempts: 3, backoffMs: 20 };

interface Hook {
  readonly url: string;
  readonly events?: readonly string[];
  readonly queue?: string;
  readonly secret?: string;
}

function start(setup: Setup): Promise<Api> {
  return serve({ webhookRetry: retry, ...setup, env: { ...privately, ...setup.env } });
}

async function hook({ call }: Api, wish: Hook, headers = {}): Promise<string> {
  const body = { events: ["job.completed"], ...wish };
  const made = await call("POST", "/api/native/webhooks", body, headers);
  expect(made.status).toBe(201);
  return (made.body.data as unknown as { readonly id: string }).id;
}

async function push({ call }: Api, queue: string, job: object, headers = {}): Promise<number> {
  const { body, status } = await call("POST", `/queues/${queue}/jobs`, job, headers);
  expect(status).toBe(200);
  return (body.data as unknown as { readonly id: number }).id;
}

/** Pushes a job and acknowledges it. */
async function runOne(
  api: Api,
  queue: string,
  result: unknown = {},
  headers = {},
): Promise<number> {
  const id = await push(api, queue, { data: { n: 1 } }, headers);
  await api.call("GET", `/queues/${queue}/jobs`, undefined, headers);
  const acked = await api.call("POST", `/jobs/${id}/ack`, { result }, headers);
  expect(acked.status).toBe(200);
  return id;
}

interface Listed {
  readonly id: string;
  readonly state: string;
  readonly attempts: number;
  readonly status: number | null;
  readonly error: string | null;
}

async function deliveries({ call }: Api, id: string, query = ""): Promise<readonly Listed[]> {
  const { status, body } = await call("GET", `/api/native/webhooks/${id}/deliveries${query}`);
  expect(status).toBe(200);
  return (body.data as unknown as { readonly items: readonly Listed[] }).items;
}

async function webhookOf({ call }: Api, id: string): Promise<unknown> {
  const { body } = await call("GET", `/api/native/webhooks/${id}`);
  return body.data;
}

describe.each(engines)("webhooks, %s", (engine) => {
  test("are told what they ask for, signed, in flashQ's words", async () => {
    const receiver = await Receiver.start();
    const api = await start({ engine });
    const secret = "sh4red";
    await hook(api, { url: `${receiver.url}/a`, queue: "mail", secret });
    await hook(api, { url: `${receiver.url}/b`, events: ["job.pushed"], queue: "print" });
    await runOne(api, "print");
    const id = await runOne(api, "mail", { sent: [1, "ü"] });
    await receiver.has(2);
    const a = receiver.got.find(({ path }) => path === "/a");
    const b = receiver.got.find(({ path }) => path === "/b");
    expect(a?.body).toEqual({
      event: "job.completed",
      queue: "mail",
      job_id: id,
      timestamp: expect.any(Number),
      data: { sent: [1, "ü"] },
      error: null,
    });
    const signature = createHmac("sha256", secret)
      .update(a?.text ?? "")
      .digest("hex");
    expect(a?.headers).toMatchObject({
      "content-type": "application/json",
      "user-agent": "Jobyard-Webhooks",
      "x-flashq-event": "job.completed",
      "x-flashq-delivery": expect.stringMatching(/^\d+$/),
      "x-flashq-signature": signature,
    });
    expect(b?.body).toMatchObject({ event: "job.pushed", queue: "print", data: { n: 1 } });
    expect(b?.headers).not.toHaveProperty("x-flashq-signature");
  });

  test("of WellFlow are told in its words, of failures only the last", async () => {
    const receiver = await Receiver.start();
    const secret = "a-secret-of-the-webhook-tests-0123456789";
    const api = await start({ engine, env: { JWT_SECRET: secret } });
    const token = await new SignJWT({ roles: ["ADMIN"] })
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime("5m")
      .sign(new TextEncoder().encode(secret));
    const auth = { Authorization: `Bearer ${token}` };
    const made = await api.call(
      "POST",
      "/api/jobs/webhooks",
      { url: receiver.url, events: ["job.completed", "job.failed"] },
      auth,
    );
    expect(made.status).toBe(201);
    const failing = await push(api, "deep", { data: 1, max_attempts: 2, backoff: 1 }, auth);
    for (const error of ["first", "second"]) {
      await api.call("GET", "/queues/deep/jobs?wait=10000", undefined, auth);
      await api.call("POST", `/jobs/${failing}/fail`, { error }, auth);
    }
    const [failed] = await receiver.has(1);
    expect(failed?.body).toEqual({
      event: "job.failed",
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      data: { jobId: String(failing), queue: "deep", name: "deep", error: "second" },
    });
    const id = await runOne(api, "deep", { ok: true }, auth);
    const [, completed] = await receiver.has(2);
    expect(completed?.body).toMatchObject({
      event: "job.completed",
      data: { jobId: String(id), queue: "deep", result: { ok: true } },
    });
  });

  test("are told again until the receiver takes it, and show each attempt", async () => {
    const receiver = await Receiver.start((_, response, n) => {
      response.statusCode = n < 3 ? 500 + n : 204;
      response.end(n < 3 ? "not now" : undefined);
    });
    const api = await start({ engine });
    const id = await hook(api, { url: receiver.url });
    await runOne(api, "mail");
    const [first, , third] = await receiver.has(3);
    expect(third?.text).toBe(first?.text);
    expect(third?.headers["x-flashq-delivery"]).toBe(first?.headers["x-flashq-delivery"]);
    await expect
      .poll(() => deliveries(api, id))
      .toMatchObject([{ state: "delivered", attempts: 3, status: 204, error: null }]);
    await expect
      .poll(() => webhookOf(api, id))
      .toMatchObject({ failingSince: null, enabled: true });
    const [listed] = await deliveries(api, id);
    const { body } = await api.call("GET", `/api/native/webhooks/${id}/deliveries/${listed?.id}`);
    expect(body.data).toMatchObject({
      body: first?.text,
      history: [
        { status: 501, error: "The receiver answered 501", response: "not now" },
        { status: 502, error: "The receiver answered 502", response: "not now" },
        { status: 204, error: null, response: "" },
      ],
    });
  });

  test("can be told anew what was given up, and tried", async () => {
    const receiver = await Receiver.start((_, response) => response.writeHead(500).end());
    const api = await start({ engine });
    const id = await hook(api, { url: receiver.url });
    await runOne(api, "mail");
    await receiver.has(3);
    await expect
      .poll(() => deliveries(api, id))
      .toMatchObject([{ state: "failed", attempts: 3, status: 500 }]);
    expect(await webhookOf(api, id)).toMatchObject({
      failingSince: expect.any(String),
      givenUp: 1,
    });
    receiver.respond((_, response) => response.end());
    const [failed] = await deliveries(api, id);
    const path = `/api/native/webhooks/${id}/deliveries/${failed?.id}/replay`;
    const replayed = await api.call("POST", path);
    expect(replayed.status).toBe(201);
    const again = await receiver.has(4);
    expect(again[3]?.text).toBe(again[0]?.text);
    expect(again[3]?.headers["x-flashq-delivery"]).not.toBe(failed?.id);
    await expect.poll(() => deliveries(api, id, "?state=delivered")).toHaveLength(1);
    expect((await api.call("POST", `/api/native/webhooks/${id}/test`)).status).toBe(201);
    expect((await receiver.has(5))[4]?.body).toMatchObject({ event: "webhook.test", job_id: null });
    const unknown = await api.call("GET", `/api/native/webhooks/${id}/deliveries/999999`);
    expect(unknown.status).toBe(404);
  });

  test("are disabled when the receiver is gone, and can be enabled again", async () => {
    const receiver = await Receiver.start((_, response) => response.writeHead(410).end());
    const api = await start({ engine });
    const id = await hook(api, { url: receiver.url });
    await runOne(api, "mail");
    await expect
      .poll(() => webhookOf(api, id))
      .toMatchObject({
        enabled: false,
        disabledReason: "The receiver answered 410: it wants no more",
      });
    await runOne(api, "mail");
    const [one, ...others] = await deliveries(api, id);
    expect(others).toEqual([]);
    const path = `/api/native/webhooks/${id}/deliveries/${one?.id}/replay`;
    expect((await api.call("POST", path)).status).toBe(409);
    receiver.respond((_, response) => response.end());
    await api.call("PATCH", `/api/native/webhooks/${id}`, { events: ["job.completed"] });
    expect(await webhookOf(api, id)).toMatchObject({ enabled: false });
    await api.call("PATCH", `/api/native/webhooks/${id}`, { enabled: true });
    expect(await webhookOf(api, id)).toMatchObject({ enabled: true, disabledReason: null });
    await runOne(api, "mail");
    await receiver.has(2);
  });

  test("that lose twenty deliveries in a row are disabled", async () => {
    const receiver = await Receiver.start((_, response) => response.writeHead(404).end());
    const api = await start({ engine, webhookRetry: { attempts: 1, backoffMs: 1 } });
    const id = await hook(api, { url: receiver.url, events: ["job.pushed"] });
    for (let n = 0; n < 20; n++) await push(api, "mail", { data: n });
    await expect
      .poll(() => webhookOf(api, id))
      .toMatchObject({
        enabled: false,
        disabledReason: "20 deliveries in a row were given up",
      });
  });

  test("do not reach private addresses", async () => {
    const receiver = await Receiver.start();
    const port = new URL(receiver.url).port;
    const api = await start({ engine, env: { WEBHOOK_ALLOW_PRIVATE: "false" } });
    const hosts = ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"];
    const ids = await Promise.all(
      hosts.map((host) => hook(api, { url: `http://${host}:${port}/` })),
    );
    await runOne(api, "mail");
    for (const id of ids) {
      await expect
        .poll(() => deliveries(api, id))
        .toMatchObject([
          { state: "failed", attempts: 1, error: expect.stringContaining("not a public address") },
        ]);
    }
    expect(receiver.got).toEqual([]);
  });

  test("do not follow redirects", async () => {
    const inner = await Receiver.start();
    const receiver = await Receiver.start((_, response) =>
      response.writeHead(307, { Location: inner.url }).end(),
    );
    const api = await start({ engine });
    const id = await hook(api, { url: receiver.url });
    await runOne(api, "mail");
    await receiver.has(1);
    await expect
      .poll(() => deliveries(api, id))
      .toMatchObject([
        { status: 307, error: "The receiver answered 307: redirects are not followed" },
      ]);
    expect(inner.got).toEqual([]);
  });

  test("read no more of an answer than they need, and are not held up by another's", async () => {
    const slow = await Receiver.start(() => undefined);
    const endless = await Receiver.start((_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write("x".repeat(65_536)));
        response.once("drain", more);
      };
      more();
    });
    const quick = await Receiver.start();
    const api = await start({ engine });
    for (const { url } of [slow, endless, quick]) await hook(api, { url, events: ["job.pushed"] });
    for (let n = 0; n < 10; n++) await push(api, "mail", { data: n });
    expect(await quick.has(10)).toHaveLength(10);
    expect(await endless.has(10)).toHaveLength(10);
    expect(slow.got.length).toBeLessThanOrEqual(4);
  });

  test("are of their tenant alone", async () => {
    const receiver = await Receiver.start();
    const secret = "a-secret-of-the-webhook-tests-0123456789";
    const api = await start({ engine, env: { JWT_SECRET: secret } });
    const as = async (tenantId: string) => {
      const token = await new SignJWT({ roles: ["ADMIN"], tenantId })
        .setProtectedHeader({ alg: "HS256" })
        .setExpirationTime("5m")
        .sign(new TextEncoder().encode(secret));
      return { Authorization: `Bearer ${token}` };
    };
    const [ours, theirs, all] = [await as("ours"), await as("theirs"), await as("*")];
    const id = await hook(api, { url: `${receiver.url}/ours`, events: ["*"] }, ours);
    await hook(api, { url: `${receiver.url}/theirs` }, theirs);
    await runOne(api, "mail", {}, theirs);
    const [got] = await receiver.has(1);
    expect(got?.path).toBe("/theirs");
    const { status } = await api.call(
      "GET",
      `/api/native/webhooks/${id}/deliveries`,
      undefined,
      theirs,
    );
    expect(status).toBe(404);
    // Nobody is given a delivery for work, nor is one of the jobs that are shown.
    await push(api, "mail", { data: 1 }, ours);
    const pulled = await api.call("POST", "/api/native/work/pull", { limit: 100 }, all);
    expect(pulled.status).toBe(200);
    expect(JSON.stringify(pulled.body)).not.toContain("~webhooks");
    const queues = await api.call("GET", "/queues", undefined, theirs);
    expect(queues.body.data).toMatchObject([{ name: "mail" }]);
    const named = await api.call("GET", "/queues/~webhooks/jobs", undefined, all);
    expect(named.status).toBe(400);
  });

  test("miss nothing when the server is killed", async () => {
    const receiver = await Receiver.start((_, response, n) => {
      // The first one is under way when the server dies.
      if (n > 1) response.end();
    });
    const before = await start({ engine, env: { DATA_DIR: await temporaryFolder() } });
    await before.server.close();
    const env = { ...before.env, ...privately, LOG_LEVEL: "info" };
    const first = run("apps/api/src/main.ts", env);
    const ready = async (process: typeof first): Promise<Api> => {
      const { urls } = JSON.parse(await process.line(/Jobyard is ready/)) as { urls: string[] };
      const call: Api["call"] = async (method, path, body) => {
        const response = await fetch(`${urls[0]}${path}`, {
          method,
          headers: { "Content-Type": "application/json" },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        const { status, headers } = response;
        return { status, headers, body: (await response.json()) as never };
      };
      return { ...before, call };
    };
    const api = await ready(first);
    await hook(api, { url: receiver.url, events: ["job.pushed"] });
    const ids = new Set<number>();
    for (let n = 0; n < 20; n++) ids.add(await push(api, "mail", { data: n }));
    await receiver.has(1);
    first.child.kill("SIGKILL");
    await first.ended;
    await ready(run("apps/api/src/main.ts", env));
    await expect
      .poll(() => new Set(receiver.got.slice(1).map(({ body }) => body.job_id as number)).size)
      .toBe(20);
    expect(new Set(receiver.got.map(({ body }) => body.job_id as number))).toEqual(ids);
  });
});
