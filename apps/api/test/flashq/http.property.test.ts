import { connect } from "node:net";
import fc from "fast-check";
import { SignJWT } from "jose";
import { expect, test } from "vitest";
import { serve } from "../running-server.ts";
import { bytes, CASES, fields, fuzz, nasty, withByte } from "./hostile-values.ts";

/** Of the cases, those whose bytes need not be a request; the others are requests with odd contents. */
const RAW = CASES * 0.3;

/** For the answer to bytes that may be no whole request, ms. */
const PATIENCE_MS = 5;

const secret = "a-secret-of-the-hostile-http-tests-0123456789";

function tokenOf(claims: object): Promise<string> {
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("1d")
    .sign(new TextEncoder().encode(secret));
}

const word = fc.oneof(
  fc.constantFrom(
    "fuzz",
    "fuzz.2",
    "1",
    "7",
    "a b",
    "..",
    "0",
    "-1",
    "9007199254740993",
    "~webhooks",
  ),
  fc.string({ unit: "binary", maxLength: 20 }),
);
/** `*`: any word. */
const routes = [
  "GET /queues",
  "POST /queues/*/jobs",
  "GET /queues/*/jobs",
  "HEAD /queues/*/jobs",
  "POST /queues/*/pause",
  "POST /queues/*/resume",
  "GET /queues/*/dlq",
  "POST /queues/*/dlq/retry",
  "POST /queues/*/rate-limit",
  "DELETE /queues/*/rate-limit",
  "POST /queues/*/concurrency",
  "DELETE /queues/*/concurrency",
  "GET /jobs",
  "GET /jobs/*",
  "POST /jobs/*/ack",
  "POST /jobs/*/fail",
  "POST /jobs/*/cancel",
  "POST /jobs/*/progress",
  "GET /jobs/*/progress",
  "GET /jobs/*/result",
  "GET /crons",
  "POST /crons/*",
  "DELETE /crons/*",
  "GET /stats",
  "GET /metrics",
  "GET /metrics/history",
  "GET /metrics/prometheus",
  "GET /workers",
  "POST /workers/*/heartbeat",
  "GET /webhooks",
  "POST /webhooks",
  "DELETE /webhooks/*",
  "POST /webhooks/incoming/*",
  "GET /settings",
  "POST /server/shutdown",
  "POST /server/restart",
  "GET /health",
  "GET /cluster/nodes",
  "PATCH /*",
  "OPTIONS /*/*",
];

const call = fc.record({
  route: fc.constantFrom(...routes),
  words: fc.array(word, { minLength: 2, maxLength: 2 }),
  /** Waits aside, which would be waited for. */
  query: fc.dictionary(
    fc.constantFrom("count", "limit", "offset", "state", "queue", "worker", "tenant", "token"),
    fc.oneof(fc.constantFrom("1", "0", "-1", "1e9", "failed", "active"), word),
    { maxKeys: 3 },
  ),
  body: fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record(fields, { requiredKeys: [] }).map((some) => JSON.stringify(some)),
    },
    { weight: 1, arbitrary: nasty.map((value) => JSON.stringify(value) ?? "") },
    { weight: 1, arbitrary: bytes(200) },
    { weight: 1, arbitrary: fc.constant("") },
  ),
  headers: fc.dictionary(
    fc.constantFrom(
      "Content-Type",
      "Idempotency-Key",
      "X-FlashQ-Signature",
      "X-Event-Id",
      "Last-Event-ID",
      "Accept",
      "Range",
      "If-None-Match",
      "Content-Encoding",
      "Host",
    ),
    fc
      .string({ unit: "grapheme-ascii", maxLength: 40 })
      .map((text) => text.replaceAll(/[\r\n]/g, "")),
    { maxKeys: 2 },
  ),
  who: fc.constantFrom("admin", "admin", "admin", "admin", "manager", "nobody", "garbage"),
});

type CallOf<A> = A extends fc.Arbitrary<infer Value> ? Value : never;

interface Asked {
  readonly method: string;
  readonly bytes: Buffer;
}

function requestOf(asked: CallOf<typeof call>, tokens: Readonly<Record<string, string>>): Asked {
  const [method = "", pattern = ""] = asked.route.split(" ");
  let used = 0;
  const path = pattern.replaceAll("*", () => {
    return encodeURIComponent((asked.words[used++] ?? "").toWellFormed());
  });
  const pairs = Object.entries(asked.query).map(([name, value]) => {
    return `${name}=${encodeURIComponent(value.toWellFormed())}`;
  });
  const body = Buffer.from(asked.body as string);
  const token = tokens[asked.who];
  const headers: Record<string, string> = {
    Host: "localhost",
    "Content-Type": "application/json",
    ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    ...asked.headers,
    "Content-Length": String(body.length),
    Connection: "close",
  };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const line = `${method} ${path}${pairs.length === 0 ? "" : `?${pairs.join("&")}`} HTTP/1.1\r\n`;
  return {
    method,
    bytes: Buffer.concat([Buffer.from(`${line}${head.join("")}\r\n`, "latin1"), body]),
  };
}

/** All that was answered; this side is ended after `endMs` at the latest, and an end is a request taken back. */
async function exchange(port: number, sent: Buffer, endMs?: number): Promise<Buffer> {
  const socket = connect({ host: "127.0.0.1", port });
  const read: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => read.push(chunk));
  socket.on("error", () => undefined);
  const gone = new Promise<void>((resolve) => {
    socket.on("close", () => resolve());
  });
  socket.write(sent);
  const ending = endMs === undefined ? undefined : setTimeout(() => socket.end(), endMs);
  await gone;
  clearTimeout(ending);
  return Buffer.concat(read);
}

async function start() {
  const tokens = {
    admin: await tokenOf({ roles: ["ADMIN"], tenantId: "fuzz" }),
    manager: await tokenOf({ roles: ["MANAGER"], tenantId: "fuzz" }),
    garbage: "ey.garbage.token",
  };
  const beside = {
    Authorization: `Bearer ${await tokenOf({ roles: ["ADMIN"], tenantId: "beside" })}`,
  };
  const { url, call } = await serve({ env: { JWT_SECRET: secret }, handlers: [] });
  let round = 0;
  return {
    tokens,
    port: Number(new URL(url).port),
    /** Another tenant's jobs come and go all the while. */
    async beside(): Promise<void> {
      if (round++ % 100 !== 0) return;
      const pushed = await call("POST", "/queues/fuzz/jobs", { data: round }, beside);
      const { id } = pushed.body.data as unknown as { readonly id: number };
      const pulled = await call("GET", "/queues/fuzz/jobs", undefined, beside);
      expect(pulled.body.data).toMatchObject([{ id, data: round }]);
      expect((await call("POST", `/jobs/${id}/ack`, {}, beside)).status).toBe(200);
      const { body } = await call("GET", "/stats", undefined, beside);
      expect(body.data).toMatchObject({ queued: 0, processing: 0 });
    },
  };
}

test("whatever a request holds, it is answered in flashQ's envelope", async () => {
  const { port, tokens, beside } = await start();
  const statuses = new Set<number>();
  await fuzz(
    fc.asyncProperty(call, async (asked) => {
      const { method, bytes } = requestOf(asked, tokens);
      const answer = await exchange(port, bytes);
      const [, told = "", body = ""] =
        /^HTTP\/1\.1 (\d{3}) [^]*?\r\n\r\n([^]*)$/.exec(answer.toString()) ?? [];
      const status = Number(told);
      statuses.add(status);
      expect(status).toBeGreaterThanOrEqual(200);
      expect(status).toBeLessThan(500);
      if (method !== "HEAD" && status >= 400 && body !== "") {
        const envelope = JSON.parse(body) as { ok?: boolean; success?: boolean; error: string };
        expect(envelope.ok ?? envelope.success).toBe(false);
        expect(envelope.error).toEqual(expect.any(String));
      }
      await beside();
    }),
    CASES - RAW,
  );
  for (const status of [200, 400, 401, 403, 404, 405]) expect(statuses).toContain(status);
}, 600_000);

test("whatever bytes come, the server and its other clients go on", async () => {
  const { port, tokens, beside } = await start();
  let answered = 0;
  await fuzz(
    fc.asyncProperty(
      call,
      fc.option(bytes(300), { freq: 4 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      async (asked, raw, changes) => {
        let sent: Buffer = raw ?? requestOf(asked, tokens).bytes;
        for (const [at, byte] of changes) sent = withByte(sent, at, byte);
        const answer = (await exchange(port, sent, PATIENCE_MS)).toString("latin1");
        // What never became a request is not answered.
        if (answer !== "") expect(answer).toMatch(/^HTTP\/1\.1 [1-4]\d\d /);
        if (answer !== "") answered++;
        await beside();
      },
    ),
    RAW,
  );
  expect(answered).toBeGreaterThan(RAW / 4);
}, 600_000);
