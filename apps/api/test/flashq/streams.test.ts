import { connect } from "node:net";
import { SignJWT } from "jose";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { WebSocket } from "ws";
import { engines } from "../engines.ts";
import { type Api, serve } from "../running-server.ts";

const secret = "a-secret-of-the-stream-tests-0123456789";

function tokenOf(claims: Record<string, unknown>, expires = "5m"): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime(expires)
    .sign(new TextEncoder().encode(secret));
}

interface Told {
  readonly event_type: string;
  readonly queue: string;
  readonly job_id: number | null;
  readonly timestamp: number;
  readonly data: unknown;
  readonly error: string | null;
}

/** A reader that keeps what it is told until somebody asks. */
class Reader {
  readonly socket: WebSocket;
  readonly opened: Promise<void>;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly told: Told[] = [];
  #news: () => void = () => undefined;

  constructor(url: string, headers: Record<string, string> = {}) {
    this.socket = new WebSocket(url.replace("http", "ws"), { headers });
    onTestFinished(() => this.socket.terminate());
    this.opened = new Promise((resolve, reject) => {
      this.socket.on("open", () => resolve());
      this.socket.on("error", reject);
    });
    this.closed = new Promise((resolve) => {
      this.socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.socket.on("message", (data: Buffer) => {
      this.told.push(JSON.parse(data.toString()) as Told);
      this.#news();
    });
  }

  async has(count: number): Promise<readonly Told[]> {
    await this.opened;
    while (this.told.length < count) await new Promise<void>((resolve) => (this.#news = resolve));
    return this.told;
  }
}

/** The status and body that an upgrade is refused with. */
async function refused(url: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(url.replace("http", "ws"), { headers });
  return new Promise<{ status: number | undefined; body: unknown }>((resolve, reject) => {
    socket.on("open", () => reject(new Error("The upgrade was not refused")));
    socket.on("error", () => undefined);
    socket.on("unexpected-response", (_, response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => {
        resolve({ status: response.statusCode, body: JSON.parse(text) as unknown });
        socket.terminate();
      });
    });
  });
}

/** Pushes a job of a queue and runs it to its end. */
async function runOne({ call }: Api, queue: string, headers = {}): Promise<number> {
  const pushed = await call("POST", `/queues/${queue}/jobs`, { data: { n: 1 } }, headers);
  const { id } = pushed.body.data as unknown as { readonly id: number };
  await call("GET", `/queues/${queue}/jobs`, undefined, headers);
  await call("POST", `/jobs/${id}/progress`, { progress: 30, message: "a third" }, headers);
  await call("POST", `/jobs/${id}/ack`, { result: { ok: 1 } }, headers);
  return id;
}

function lifeOf(id: number, queue: string) {
  const event = (event_type: string, data = {}) => ({
    event_type,
    queue,
    job_id: id,
    timestamp: expect.any(Number),
    data,
    error: null,
  });
  return [
    event("job.pushed"),
    event("job.started"),
    event("job.progress", { progress: 30, message: "a third" }),
    event("job.completed"),
  ];
}

describe.each(engines)("on the %s engine", (engine) => {
  test("WebSocket readers are told of all queues, or of one", async () => {
    const api = await serve({ engine, handlers: [] });
    const all = new Reader(`${api.url}/ws`);
    const one = new Reader(`${api.url}/ws/paintings`);
    await Promise.all([all.opened, one.opened]);
    const first = await runOne(api, "drawings");
    const second = await runOne(api, "paintings");
    expect(await all.has(8)).toEqual([
      ...lifeOf(first, "drawings"),
      ...lifeOf(second, "paintings"),
    ]);
    expect(await one.has(4)).toEqual(lifeOf(second, "paintings"));
  });

  test("failures are told with their error, and whether they are final", async () => {
    const api = await serve({ engine, handlers: [] });
    const reader = new Reader(`${api.url}/ws/paintings`);
    await reader.opened;
    await api.call("POST", "/queues/paintings/jobs", { data: 1, max_attempts: 1 });
    const { body } = await api.call("GET", "/queues/paintings/jobs");
    const [job] = body.data as unknown as readonly { readonly id: number }[];
    await api.call("POST", `/jobs/${job?.id}/fail`, { error: 'no "blue" left' });
    expect((await reader.has(3))[2]).toEqual({
      event_type: "job.failed",
      queue: "paintings",
      job_id: job?.id,
      timestamp: expect.any(Number),
      data: { final: true },
      error: 'no "blue" left',
    });
  });

  test("a stream of server-sent events goes on after Last-Event-ID", async () => {
    const api = await serve({ engine, handlers: [] });
    const first = await stream(`${api.url}/events/paintings`);
    const id = await runOne(api, "paintings");
    const messages = await first.has(4);
    expect(messages.map(({ data }) => JSON.parse(data) as unknown)).toEqual(
      lifeOf(id, "paintings"),
    );
    expect(messages.map(({ event }) => event)).toEqual([
      "job.pushed",
      "job.started",
      "job.progress",
      "job.completed",
    ]);
    first.leave();
    const second = await runOne(api, "paintings");
    const again = await stream(`${api.url}/events/paintings`, {
      "Last-Event-ID": messages[2]?.id ?? "",
    });
    expect((await again.has(5)).map(({ data }) => JSON.parse(data) as unknown)).toEqual([
      lifeOf(id, "paintings")[3],
      ...lifeOf(second, "paintings"),
    ]);
  });

  test("who comes back after a place that is not kept any more hears of the gap first", async () => {
    const api = await serve({ engine, handlers: [] });
    const before = await runOne(api, "paintings");
    for (const place of ["long-ago", "0", `${"9".repeat(15)}-0`]) {
      const lost = await stream(`${api.url}/events/paintings`, { "Last-Event-ID": place });
      const [gap] = await lost.has(1);
      expect(gap).toEqual({ event: "gap", data: "{}" });
      const id = await runOne(api, "paintings");
      const told = async (): Promise<readonly unknown[]> =>
        (await lost.has(5)).slice(1).map(({ data }) => (JSON.parse(data) as Told).job_id);
      // From where the log begins, or from now on.
      await expect.poll(told).toContain(id);
      lost.leave();
    }
    expect(before).toBeGreaterThan(0);
  });

  test("a tenant's reader is told nothing of another's queue of that name", async () => {
    const api = await serve({ engine, env: { JWT_SECRET: secret }, handlers: [] });
    const [own, other] = await Promise.all(
      ["north", "south"].map((tenantId) => tokenOf({ roles: ["ADMIN"], tenantId })),
    );
    const reader = new Reader(`${api.url}/ws/paintings?token=${own}`);
    await reader.opened;
    await runOne(api, "paintings", { Authorization: `Bearer ${other}` });
    const id = await runOne(api, "paintings", { Authorization: `Bearer ${own}` });
    expect(await reader.has(4)).toEqual(lifeOf(id, "paintings"));
  });

  test("upgrades are refused in flashQ's envelope", async () => {
    const closed = await serve({ engine, env: { JWT_SECRET: secret }, handlers: [] });
    expect(await refused(`${closed.url}/ws`)).toEqual({
      status: 401,
      body: { ok: false, data: null, error: "Authentication required" },
    });
    expect(await refused(`${closed.url}/ws?token=nonsense`)).toMatchObject({ status: 401 });
    const nobody = await tokenOf({ roles: ["GARDENER"] });
    expect(await refused(`${closed.url}/ws?token=${nobody}`)).toMatchObject({ status: 403 });
    const open = await serve({ engine, handlers: [] });
    expect(await refused(`${open.url}/ws?token=nonsense`)).toMatchObject({ status: 401 });
    expect(await refused(`${open.url}/ws/a%20b`)).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining("Invalid queue name") },
    });
    expect(await refused(`${open.url}/elsewhere`)).toMatchObject({ status: 404 });
    expect(await refused(`${open.url}/ws`, { Origin: "http://evil.example" })).toMatchObject({
      status: 403,
    });
  });

  test("readers that cannot send headers name their token in the address", async () => {
    const api = await serve({ engine, env: { JWT_SECRET: secret }, handlers: [] });
    const [own, other] = await Promise.all(
      ["north", "south"].map((tenantId) => tokenOf({ roles: ["ADMIN"], tenantId })),
    );
    const all = await stream(`${api.url}/events?token=${own}`);
    const one = await stream(`${api.url}/events/paintings?token=${own}`);
    await runOne(api, "paintings", { Authorization: `Bearer ${other}` });
    const id = await runOne(api, "paintings", { Authorization: `Bearer ${own}` });
    for (const reader of [all, one]) {
      const messages = await reader.has(4);
      expect(messages.map(({ data }) => JSON.parse(data) as unknown)).toEqual(
        lifeOf(id, "paintings"),
      );
    }
    const statuses = ["/events?token=guess", "/events/paintings", `/jobs?token=${own}`].map(
      async (path) => (await fetch(`${api.url}${path}`)).status,
    );
    expect(await Promise.all(statuses)).toEqual([401, 401, 401]);
  });

  test("a reader goes with its token, and with the server", async () => {
    const api = await serve({ engine, env: { JWT_SECRET: secret }, handlers: [] });
    const short = new Reader(`${api.url}/ws?token=${await tokenOf({ roles: ["MANAGER"] }, "4s")}`);
    const long = new Reader(`${api.url}/ws?token=${await tokenOf({ roles: ["MANAGER"] })}`);
    const sse = await stream(`${api.url}/events`, {
      Authorization: `Bearer ${await tokenOf({ roles: ["MANAGER"] }, "4s")}`,
    });
    await Promise.all([short.opened, long.opened]);
    expect(await short.closed).toEqual({ code: 1008, reason: "The token has expired" });
    await sse.ended;
    expect(await sse.has(1)).toEqual([
      { event: "dropped", data: '{"error":"The token has expired"}' },
    ]);
    await api.server.close();
    expect(await long.closed).toEqual({ code: 1001, reason: "The server is stopping" });
  });

  test("what a reader sends is not listened to, and too much of it ends the connection", async () => {
    const api = await serve({ engine, handlers: [] });
    const reader = new Reader(`${api.url}/ws`);
    await reader.opened;
    reader.socket.send('{"cmd":"PUSH"}');
    const id = await runOne(api, "paintings");
    expect(await reader.has(4)).toEqual(lifeOf(id, "paintings"));
    reader.socket.send("x".repeat(5000));
    expect((await reader.closed).code).toBe(1009);
  });

  test("who sends pings and reads no answers is dropped", async () => {
    const api = await serve({ engine, handlers: [] });
    const { hostname, port } = new URL(api.url);
    const flood = connect(Number(port), hostname);
    onTestFinished(() => void flood.destroy());
    flood.on("error", () => undefined);
    flood.write(
      `GET /ws HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    await new Promise((resolve) => flood.once("data", resolve));
    flood.pause();
    const gone = new Promise<void>((resolve) => {
      flood.on("close", () => resolve());
    });
    const ping = Buffer.concat([Buffer.of(0x89, 0xfd, 0, 0, 0, 0), Buffer.alloc(125, "p")]);
    const pings = Buffer.concat(Array.from({ length: 8000 }, () => ping));
    let sent = 0;
    const more = (): void => {
      while (!flood.destroyed && flood.write(pings)) sent++;
      sent++;
    };
    flood.on("drain", more);
    more();
    await gone;
    // What lies in the buffers of both sides besides.
    expect(sent * pings.length).toBeLessThan(60_000_000);
    const reader = new Reader(`${api.url}/ws`);
    await reader.opened;
    const id = await runOne(api, "paintings");
    expect(await reader.has(4)).toEqual(lifeOf(id, "paintings"));
  });

  test("a reader that stops reading is dropped, and the others feel nothing", async () => {
    const api = await serve({ engine, handlers: [] });
    const { hostname, port } = new URL(api.url);
    const lazy = connect(Number(port), hostname);
    onTestFinished(() => void lazy.destroy());
    lazy.on("error", () => undefined);
    lazy.write(
      `GET /ws HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    await new Promise((resolve) => lazy.once("data", resolve));
    lazy.pause();
    const read: Buffer[] = [];
    lazy.on("data", (chunk: Buffer) => read.push(chunk));
    // It has 2 s for the last words: it reads on when the server drops it.
    const { close } = WebSocket.prototype;
    const dropping = vi.spyOn(WebSocket.prototype, "close").mockImplementation(function (
      this: WebSocket,
      code,
      reason,
    ) {
      close.call(this, code, reason);
      lazy.resume();
    });
    onTestFinished(() => dropping.mockRestore());
    const gone = new Promise<void>((resolve) => {
      lazy.on("close", () => resolve());
    });
    const keen = new Reader(`${api.url}/ws`);
    await keen.opened;
    await api.call("POST", "/queues/paintings/jobs", { data: 1 });
    const { body } = await api.call("GET", "/queues/paintings/jobs");
    const [job] = body.data as unknown as readonly { readonly id: number }[];
    // Long messages fill the buffers of the kernel, and then ours.
    const message = "m".repeat(9900);
    const rounds = 30;
    for (let i = 0; i < rounds; i++) {
      const reports = Array.from({ length: 50 }, () =>
        api.call("POST", `/jobs/${job?.id}/progress`, { progress: i, message }),
      );
      await Promise.all(reports);
    }
    await keen.has(2 + rounds * 50);
    await gone;
    // The last frame closes: policy violation, and why.
    const why = "Too slow: 4000000 bytes lie unread";
    const last = Buffer.concat([Buffer.of(0x88, 2 + why.length, 0x03, 0xf0), Buffer.from(why)]);
    expect(Buffer.concat(read).subarray(-last.length)).toEqual(last);
    expect(keen.socket.readyState).toBe(WebSocket.OPEN);
  });
});

interface Message {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

async function stream(url: string, headers: Record<string, string> = {}) {
  const leaving = new AbortController();
  onTestFinished(() => leaving.abort());
  const response = await fetch(url, { headers, signal: leaving.signal });
  expect([response.status, response.headers.get("content-type")]).toEqual([
    200,
    "text/event-stream",
  ]);
  const messages: Message[] = [];
  let news = (): void => undefined;
  const read = async (): Promise<void> => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const fields = Object.fromEntries(
          block.split("\n").map((line) => line.split(/: ?(.*)/s).slice(0, 2) as [string, string]),
        );
        if (fields["data"] !== undefined) messages.push(fields as unknown as Message);
      }
      news();
    }
  };
  const ended = read().catch(() => undefined);
  return {
    ended,
    leave: () => leaving.abort(),
    async has(count: number): Promise<readonly Message[]> {
      while (messages.length < count) await new Promise<void>((resolve) => (news = resolve));
      return messages;
    },
  };
}
