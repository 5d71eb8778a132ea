import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { type Api, serve, temporaryFolder } from "./running-server.ts";

const MAX = 4;
const FLOOD = 200;

/** A connection, and all that comes over it. */
class Line {
  readonly socket: Socket;
  /** What came, once it is over. */
  readonly closed: Promise<string>;
  text = "";
  #news: () => void = () => undefined;

  constructor(to: { readonly port: number } | { readonly path: string }) {
    this.socket = connect("port" in to ? { host: "127.0.0.1", ...to } : to);
    onTestFinished(() => void this.socket.destroy());
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text: string) => {
      this.text += text;
      this.#news();
    });
    this.socket.on("error", () => undefined);
    this.closed = new Promise((resolve) => {
      this.socket.on("close", () => {
        resolve(this.text);
        this.#news();
      });
    });
  }

  /** Sends, and answers with what comes, up to the end that is expected of it, or of the connection. */
  async ask(words: string, end: RegExp): Promise<string> {
    this.text = "";
    this.socket.write(words);
    while (!end.test(this.text) && !this.socket.closed) {
      await new Promise<void>((resolve) => (this.#news = resolve));
    }
    return this.text;
  }
}

interface Protocol {
  readonly name: string;
  /** Those of one count together. */
  readonly cap: "HTTP" | "TCP" | "WebSocket";
  /** A connection, and whether it is served. */
  open(api: Api): { readonly line: Line; readonly serves: () => Promise<boolean> };
  /** What one beyond the cap is told. */
  readonly refusal: RegExp;
}

function httpPort({ url }: Api): number {
  return Number(new URL(url).port);
}

function portOf(urls: readonly string[]): number {
  return Number(/:(\d+)$/.exec(urls[0] ?? "")?.[1]);
}

const http: Protocol = {
  name: "HTTP",
  cap: "HTTP",
  open(api) {
    const line = new Line({ port: httpPort(api) });
    const request = "GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n";
    return {
      line,
      serves: async () => (await line.ask(request, /\}$/)).startsWith("HTTP/1.1 200 "),
    };
  },
  refusal:
    /^HTTP\/1\.1 503 Service Unavailable\r\nConnection: close\r\n[^]*\r\nRetry-After: 1\r\n\r\n\{"ok":false,"data":null,"error":"Too many connections"\}$/,
};

const tcp = (to: (api: Api) => { port: number } | { path: string }): Omit<Protocol, "name"> => ({
  cap: "TCP",
  open(api) {
    const line = new Line(to(api));
    return {
      line,
      serves: async () => (await line.ask('{"cmd":"STATS"}\n', /\n$/)).startsWith('{"ok":true,'),
    };
  },
  refusal: /^\{"ok":false,"error":"Too many connections"\}\n$/,
});

const webSocket: Protocol = {
  name: "WebSocket",
  cap: "WebSocket",
  open(api) {
    const line = new Line({ port: httpPort(api) });
    const upgrade =
      "GET /ws/q HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    const opened = line.ask(upgrade, /\r\n\r\n/);
    const ping = String.fromCharCode(0x89, 0x80, 1, 2, 3, 4);
    const pong = String.fromCharCode(0x8a, 0);
    return {
      line,
      async serves() {
        if (!(await opened).startsWith("HTTP/1.1 101 ")) return false;
        line.socket.setDefaultEncoding("latin1");
        return (await line.ask(ping, /\x8a\0$/)) === pong;
      },
    };
  },
  // Many at once are too many for HTTP, which they all begin with.
  refusal:
    /^HTTP\/1\.1 (?:429|503) [^]*\{"ok":false,"data":null,"error":"Too many (?:readers are connected|connections)"\}$/,
};

const protocols: readonly Protocol[] = [
  http,
  { name: "TCP", ...tcp(({ server }) => ({ port: portOf(server.tcp) })) },
  { name: "a Unix socket", ...tcp(({ env }) => ({ path: env["TCP_SOCKET"] ?? "" })) },
  webSocket,
];

/** A server that takes few connections, and what its log warned of. */
async function start() {
  const warnings: string[] = [];
  const log = pino(
    { level: "warn" },
    { write: (line: string) => void warnings.push((JSON.parse(line) as { msg: string }).msg) },
  );
  const socket = join(await temporaryFolder(), "lines.sock");
  const env = { MAX_CONNECTIONS: `${MAX}`, GRPC_MAX_CONNECTIONS: `${MAX}`, TCP_SOCKET: socket };
  return { api: await serve({ handlers: [], env, log }), warnings };
}

test.each(protocols)(
  "$name: who comes beyond the cap is told and closed, who is within is served on",
  async ({ cap, open, refusal }) => {
    const { api, warnings } = await start();
    const within = Array.from({ length: MAX }, () => open(api));
    const served = async () => Promise.all(within.map(({ serves }) => serves()));
    expect(await served()).toEqual(within.map(() => true));
    const beyond = Array.from({ length: FLOOD }, () => open(api).line);
    for (const text of await Promise.all(beyond.map(({ closed }) => closed))) {
      expect(text).toMatch(refusal);
    }
    expect(await served()).toEqual(within.map(() => true));
    // Once for all of them.
    if (cap !== "WebSocket") {
      expect(warnings).toEqual([`Too many ${cap} connections: further ones are refused`]);
    }
    // The others have their own.
    const others = protocols.filter((one) => one.cap !== cap);
    if (cap === "HTTP") others.pop();
    for (const other of others) await expect.poll(() => other.open(api).serves()).toBe(true);

    const [first] = within;
    first?.line.socket.destroy();
    // A place is free as soon as the server has heard of it, and not a second one.
    await expect.poll(() => open(api).serves()).toBe(true);
    const last = cap === "WebSocket" ? /^HTTP\/1\.1 429 Too Many Requests\r\n/ : refusal;
    await expect.poll(() => open(api).line.closed).toMatch(last);
  },
);

test("who is turned away and stays is cut off", async () => {
  const { api } = await start();
  const within = Array.from({ length: MAX }, () => webSocket.open(api));
  for (const { serves } of within) expect(await serves()).toBe(true);
  // It never ends its own side.
  const socket = connect({ host: "127.0.0.1", port: httpPort(api), allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => undefined);
  socket.write("GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n");
  socket.write("Upgrade: websocket\r\n\r\n");
  socket.resume();
  await once(socket, "end");
  const closed = new Promise((resolve) => socket.on("close", resolve));
  const dripping = setInterval(() => socket.write("x"), 50);
  await closed;
  clearInterval(dripping);
});

test("gRPC: who comes beyond the cap is told and closed, who is within is served on", async () => {
  const { api, warnings } = await start();
  const open = async () => {
    const session = connectHttp2(`http://127.0.0.1:${portOf(api.server.grpc)}`);
    onTestFinished(() => session.destroy());
    session.on("error", () => undefined);
    let told: string | undefined;
    session.on("goaway", (code, _, reason) => {
      expect(code).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      told = Buffer.from(reason ?? []).toString();
    });
    const closed = new Promise<string | undefined>((resolve) => {
      session.on("close", () => resolve(told));
    });
    return { session, closed };
  };
  const serves = async ({ session }: Awaited<ReturnType<typeof open>>): Promise<boolean> => {
    if (session.closed || session.destroyed) return false;
    const stream = session.request({
      ":method": "POST",
      ":path": "/flashq.QueueService/Stats",
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => undefined);
    stream.end(Buffer.alloc(5));
    let answered = false;
    stream.on("trailers", (trailers) => (answered = trailers["grpc-status"] === "0"));
    stream.resume();
    await new Promise((resolve) => stream.on("close", resolve));
    return answered;
  };
  const within = await Promise.all(Array.from({ length: MAX }, open));
  for (const one of within) expect(await serves(one)).toBe(true);
  const beyond = await Promise.all(Array.from({ length: FLOOD }, open));
  for (const told of await Promise.all(beyond.map(({ closed }) => closed))) {
    expect(told).toBe("Too many connections");
  }
  for (const one of within) expect(await serves(one)).toBe(true);
  expect(warnings).toEqual(["Too many gRPC connections: further ones are refused"]);
  within[0]?.session.destroy();
  await expect.poll(async () => serves(await open())).toBe(true);
  expect(await (await open()).closed).toBe("Too many connections");
});
