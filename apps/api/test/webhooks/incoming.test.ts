import { createHmac } from "node:crypto";
import { connect } from "node:net";
import { SignJWT } from "jose";
import { describe, expect, onTestFinished, test } from "vitest";
import { engines } from "../engines.ts";
import { type Answer, type Api, serve } from "../running-server.ts";

const jwtSecret = "a-secret-of-the-incoming-tests-0123456789";
const event = { action: "opened", issue: { number: 7, title: "Ünïcode" } };
const secret = "between-us-two";

async function tokenOf(claims: object): Promise<{ readonly Authorization: string }> {
  const token = await new SignJWT({ ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("5m")
    .sign(new TextEncoder().encode(jwtSecret));
  return { Authorization: `Bearer ${token}` };
}

function signed(text: string, by = secret): string {
  return createHmac("sha256", by).update(text).digest("hex");
}

function idOf({ body }: Answer): number {
  return (body.data as unknown as { readonly id: number }).id;
}

async function setSecret({ call }: Api, queue: string, auth: object, to: string | null = secret) {
  const path = `/api/native/queues/${queue}/incoming-secret`;
  const set = await call("PUT", path, { secret: to }, { ...auth });
  expect(set.status).toBe(200);
  expect(JSON.stringify(set.body)).not.toContain(secret);
}

describe.each(engines)("events from outside, %s", (engine) => {
  const env = { JWT_SECRET: jwtSecret };
  const path = "/webhooks/incoming/github";

  test("become jobs, with a token that may add them", async () => {
    const { call } = await serve({ engine, env });
    const operator = await tokenOf({ roles: ["OPERATOR"] });
    const taken = await call("POST", path, event, operator);
    expect(taken.status).toBe(200);
    const job = await call("GET", `/jobs/${idOf(taken)}`, undefined, operator);
    expect(job.body.data).toMatchObject({ queue: "github", data: event, state: "waiting" });
    expect((await call("POST", path, [1, "two"], operator)).status).toBe(200);
    const manager = await tokenOf({ roles: ["MANAGER"] });
    expect((await call("POST", path, event, manager)).status).toBe(403);
    expect((await call("POST", path, event)).status).toBe(401);
    expect((await call("POST", path, "{no", operator)).status).toBe(400);
    expect((await call("POST", path, "", operator)).status).toBe(400);
  });

  test("become jobs of the tenant whose secret signs them", async () => {
    const api = await serve({ engine, env });
    const { call } = api;
    const admin = await tokenOf({ roles: ["ADMIN"], tenantId: "acme" });
    await setSecret(api, "github", admin);
    const text = JSON.stringify(event);
    const hex = signed(text);
    const headers = [{ "X-FlashQ-Signature": hex }, { "X-Hub-Signature-256": `sha256=${hex}` }];
    for (const header of headers) {
      const taken = await call("POST", `${path}?tenant=acme`, text, header);
      expect(taken.status).toBe(200);
      const job = await call("GET", `/jobs/${idOf(taken)}`, undefined, admin);
      expect(job.body.data).toMatchObject({ data: event });
    }
    const ours = await tokenOf({ roles: ["ADMIN"] });
    expect((await call("GET", "/jobs", undefined, ours)).body.data).toEqual([]);
  });

  test("are refused alike whatever is wrong with the signature", async () => {
    const api = await serve({ engine, env });
    const { call } = api;
    const admin = await tokenOf({ roles: ["ADMIN"] });
    await setSecret(api, "github", admin);
    const text = JSON.stringify(event);
    const right = { "X-FlashQ-Signature": signed(text) };
    expect((await call("POST", path, text, right)).status).toBe(200);
    const wrong: readonly [path: string, signature: string, text?: string][] = [
      [path, signed(text, "another secret")],
      [path, signed(text), `${text} `],
      [path, signed(text).slice(2)],
      [path, "no hex at all"],
      [`${path}?tenant=acme`, signed(text)],
      [`${path}?tenant=*`, signed(text)],
      [`${path}?tenant=a%20b`, signed(text)],
      ["/webhooks/incoming/gitlab", signed(text)],
    ];
    const answers = await Promise.all(
      wrong.map(([to, signature, sent = text]) =>
        call("POST", to, sent, { "X-FlashQ-Signature": signature }),
      ),
    );
    for (const { status, body } of answers) {
      expect({ status, body }).toEqual({ status: 401, body: answers[0]?.body });
    }
    // What signs an event opens nothing else.
    const push = await call("POST", "/queues/github/jobs", text, right);
    expect(push.status).toBe(401);
    await setSecret(api, "github", admin, null);
    expect((await call("POST", path, text, right)).status).toBe(401);
    const operator = await tokenOf({ roles: ["OPERATOR"] });
    const put = "/api/native/queues/github/incoming-secret";
    expect((await call("PUT", put, { secret }, operator)).status).toBe(403);
  });

  test("that do not end hold 64 MB together, whoever sends them: the longest goes first", async () => {
    const api = await serve({ engine, env });
    const { call } = api;
    const admin = await tokenOf({ roles: ["ADMIN"] });
    await setSecret(api, "github", admin);
    const { hostname, port } = new URL(api.url);
    const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nX-FlashQ-Signature: none\r\nContent-Length: 1000000\r\n\r\n`;
    const part = Buffer.alloc(990_000, "x");
    const senders = Array.from({ length: 70 }, () => {
      const socket = connect(Number(port), hostname);
      onTestFinished(() => void socket.destroy());
      socket.on("error", () => undefined);
      let told = "";
      socket.on("data", (text: Buffer) => (told += text.toString()));
      socket.write(head);
      socket.write(part);
      return { socket, told: () => told };
    });
    const answered = () => senders.filter(({ told }) => told().length > 0);
    // 64 of them fit.
    await expect.poll(() => answered().length).toBe(6);
    for (const { told } of answered()) {
      expect(told()).toMatch(/^HTTP\/1\.1 429 /);
      expect(told()).toContain("Too much is being sent at once: try again later");
    }
    // Whoever is done in time is heard.
    const text = JSON.stringify(event);
    const taken = await call("POST", path, text, { "X-FlashQ-Signature": signed(text) });
    expect(taken.status).toBe(200);
    // What has gone counts no more.
    for (const { socket } of senders) socket.destroy();
    const long = JSON.stringify("y".repeat(999_000));
    const late = async () =>
      (await call("POST", path, long, { "X-FlashQ-Signature": signed(long) })).status;
    await expect.poll(late).toBe(200);
    expect(await Promise.all([late(), late(), late()])).toEqual([200, 200, 200]);
  });

  test("that are sent again make one job", async () => {
    const api = await serve({ engine, env });
    const { call } = api;
    const admin = await tokenOf({ roles: ["ADMIN"] });
    const ids = [
      "Idempotency-Key",
      "X-Event-Id",
      "Webhook-Id",
      "X-GitHub-Delivery",
      "X-FlashQ-Delivery",
    ];
    const seen = new Set<number>();
    for (const header of ids) {
      const first = await call("POST", path, event, { ...admin, [header]: "evt-1" });
      const again = await call("POST", path, { other: 1 }, { ...admin, [header]: "evt-1" });
      expect(idOf(again)).toBe(idOf(first));
      const next = await call("POST", path, event, { ...admin, [header]: "evt-2" });
      expect(idOf(next)).not.toBe(idOf(first));
      const other = "/webhooks/incoming/gitlab";
      const elsewhere = await call("POST", other, event, { ...admin, [header]: "evt-1" });
      expect(idOf(elsewhere)).not.toBe(idOf(first));
      for (const answer of [first, next, elsewhere]) seen.add(idOf(answer));
    }
    expect(seen.size).toBe(15);
  });
});

describe.each(engines)("flashQ's webhooks, %s", (engine) => {
  test("are listed, made and deleted, and never show their secret", async () => {
    const { call } = await serve({ engine });
    const asked = { url: "https://hooks.example.org/in", events: ["job.failed", "*"], secret };
    const made = await call("POST", "/webhooks", { ...asked, queue: "mail" });
    expect(made.status).toBe(200);
    const id = idOf(made);
    const view = {
      id,
      url: asked.url,
      events: asked.events,
      queue: "mail",
      signed: true,
      enabled: true,
      created_at: expect.any(Number),
    };
    expect(made.body.data).toEqual(view);
    expect((await call("GET", "/webhooks")).body.data).toEqual([view]);
    const refused: readonly object[] = [
      { ...asked, url: "ftp://example.org" },
      { ...asked, url: "https://user:pw@example.org/" },
      { ...asked, url: "nowhere" },
      { ...asked, events: ["job.lost"] },
      { ...asked, events: [] },
      { ...asked, queue: "a b" },
      { url: asked.url },
    ];
    for (const body of refused) expect((await call("POST", "/webhooks", body)).status).toBe(400);
    expect((await call("DELETE", `/webhooks/${id}`)).status).toBe(200);
    expect((await call("DELETE", `/webhooks/${id}`)).status).toBe(404);
    expect((await call("DELETE", "/webhooks/nobody")).status).toBe(404);
    expect((await call("GET", "/webhooks")).body.data).toEqual([]);
  });
});
