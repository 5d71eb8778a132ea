import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
} from "node:http2";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { call, startApi } from "../running-process.ts";
import { temporaryFolder } from "../running-server.ts";
import { LineClient } from "./line-client.ts";

const MB = 1_000_000;
/** What lies about at the worst moment of such traffic, and what the allocator keeps of it for later, MB. */
const GARBAGE = 60;
/** Other buffers than those of lines, MB. */
const OTHERS = 3;

const shown = (megabytes: number): string => `${megabytes.toFixed(1)} MB`;
const tell = (figure: string): void => void process.stdout.write(`${figure}\n`);

/** A server process of its own, and what it has in memory, MB. */
async function start(env: Record<string, string> = {}) {
  const api = await startApi({
    DATA_DIR: await temporaryFolder(),
    INLINE_WORKER: "false",
    NODE_OPTIONS: `--import=${join(import.meta.dirname, "collect-on-signal.ts")}`,
    ...env,
  });
  const { tcp, grpc } = JSON.parse(await api.line(/Jobyard is ready/)) as {
    readonly tcp: readonly string[];
    readonly grpc: readonly string[];
  };
  const port = Number(/:(\d+)$/.exec(tcp[0] ?? "")?.[1]);
  const { pid = 0 } = api.child;
  const field = (name: string): number => {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024) / MB;
  };
  return {
    url: api.urls[0] ?? "",
    grpc: grpc[0]?.replace("grpc:", "http:") ?? "",
    client: () => LineClient.connect({ port }),
    /** In buffers, and in all, without garbage; from now on the highest is looked for anew. */
    async held(): Promise<{ readonly buffers: number; readonly all: number }> {
      const told = (): string[] => api.lines.filter((line) => line.startsWith("held: "));
      const before = told().length;
      process.kill(pid, "SIGUSR2");
      await expect.poll(() => told().length).toBe(before + 1);
      writeFileSync(`/proc/${pid}/clear_refs`, "5");
      const [, buffers, all] = (told().at(-1) ?? "").split(" ");
      return { buffers: Number(buffers) / MB, all: Number(all) / MB };
    },
    resident: () => field("VmRSS"),
    /** The highest, garbage included. */
    peak: () => field("VmHWM"),
  };
}

const stats = { cmd: "STATS" };

/** So that what any traffic needs for good is there already, and no more. */
async function warmUp(client: () => Promise<LineClient>): Promise<void> {
  const one = await client();
  for (let i = 0; i < 200; i++) expect(await one.ask(stats)).toMatchObject({ ok: true });
  one.socket.destroy();
}

async function sent(socket: Socket, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
}

test("1,000 idle connections take less than 50 MB", async () => {
  const { client, held, resident } = await start();
  await warmUp(client);
  await held();
  const before = resident();
  const many = await Promise.all(Array.from({ length: 1000 }, client));
  for (const answer of await Promise.all(many.map((each) => each.ask(stats)))) {
    expect(answer).toMatchObject({ ok: true });
  }
  const grown = resident() - before;
  tell(`1,000 idle TCP connections: ${shown(grown)}`);
  expect(grown).toBeLessThan(50);
});

/** An HTTP connection that has been answered; what it asked for may go on. */
async function asked(url: string, path: string, headers = ""): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`);
  const [answer] = (await once(socket, "data")) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 (?:200|101) /);
  return socket;
}

const upgrade =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async function overGrpc(address: string): Promise<ClientHttp2Session> {
  const session = connectHttp2(address, { maxSessionMemory: 1000 });
  onTestFinished(() => session.destroy());
  session.on("error", () => undefined);
  const stream = callOn(session, "Stats");
  stream.end(Buffer.alloc(5));
  await once(stream, "end");
  return session;
}

function callOn(session: ClientHttp2Session, method: string): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": `/flashq.QueueService/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  return stream.on("error", () => undefined).resume();
}

test.each<[string, (server: { url: string; grpc: string }) => Promise<unknown>]>([
  ["HTTP connections", ({ url }) => asked(url, "/stats")],
  ["WebSockets", ({ url }) => asked(url, "/ws/q", upgrade)],
  ["readers of server-sent events", ({ url }) => asked(url, "/events/q")],
  ["gRPC connections", ({ grpc }) => overGrpc(grpc)],
])("1,000 idle %s take less than 50 MB", async (name, open) => {
  const server = await start({ GRPC_MAX_CONNECTIONS: "1200" });
  const { held, resident } = server;
  for (let i = 0; i < 200; i++) await open(server);
  await held();
  const [before, none] = [resident(), (await held()).all];
  for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 100 }, () => open(server)));
  const all = (await held()).all - none;
  const grown = resident() - before;
  tell(`1,000 idle ${name}: ${shown(all)} held, ${shown(grown)} more in memory`);
  expect(all).toBeLessThan(50);
  expect(grown).toBeLessThan(50 + GARBAGE);
});

test("gRPC messages that do not end hold no more than 64 MB together", async () => {
  const { grpc, held, resident, peak } = await start();
  const sessions = await Promise.all([overGrpc(grpc), overGrpc(grpc)]);
  const none = (await held()).buffers;
  const begin = resident();
  const LENGTH = 15 * MB;
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(LENGTH, 1);
  const message = Buffer.concat([prefix, Buffer.alloc(LENGTH - 1, "x")]);
  const calls = Array.from({ length: 20 }, (_, i) => {
    const call = callOn(sessions[i % 2] as ClientHttp2Session, "Push");
    call.write(message);
    return call;
  });
  const closed = (): number => calls.filter((call) => call.closed).length;
  // Four of them fit.
  await expect.poll(closed).toBe(16);
  await expect.poll(async () => (await held()).buffers - none).toBeGreaterThan(4 * 14);
  const [left, most] = [(await held()).buffers - none, peak() - begin];
  tell(`20 gRPC messages of 15 MB without end: ${shown(left)} of buffers, at most ${shown(most)}`);
  expect(left).toBeLessThan(64 + OTHERS);
  // Of 300 MB.
  expect(most).toBeLessThan(64 + 3 * GARBAGE);
  const neighbour = await overGrpc(grpc);
  expect(neighbour.closed).toBe(false);
});

test("WebSocket messages that do not end hold 4 kB each", async () => {
  const { url, held } = await start();
  const readers = await Promise.all(
    Array.from({ length: 500 }, () => asked(url, "/ws/q", upgrade)),
  );
  const none = (await held()).buffers;
  // Of a text without its end, masked: 4,000 bytes of 4,096 in one frame, or in fragments.
  const frame = (first: number, length: number, bytes: number): Buffer =>
    Buffer.concat([Buffer.of(first, 0xfe, length >> 8, length & 0xff), Buffer.alloc(4 + bytes)]);
  const fragments = Array.from({ length: 7 }, () => frame(0x00, 500, 500));
  const whole = [frame(0x01, 4096, 4000)];
  for (const [i, reader] of readers.entries()) {
    for (const part of i % 2 === 0 ? whole : [frame(0x01, 500, 500), ...fragments]) {
      await sent(reader, part);
    }
  }
  await expect.poll(async () => (await held()).buffers - none).toBeGreaterThan(1);
  const kept = (await held()).buffers - none;
  tell(`500 WebSocket messages of 4 kB without end: ${shown(kept)} of buffers`);
  expect(kept).toBeLessThan(500 * 0.0041 + 2 * OTHERS);
  // One byte more than a message may have.
  const closing = readers.map((reader) => once(reader, "end"));
  for (const reader of readers) reader.write(frame(0x00, 600, 600));
  await Promise.all(closing);
});

test("a line without end costs no more than a line may, all of them together no more than 64 MB", async () => {
  const { client, held, resident, peak } = await start();
  const buffers = async (): Promise<number> => (await held()).buffers;
  await warmUp(client);
  const neighbour = await client();
  const none = await buffers();
  const begin = resident();
  const one = await client();
  // As much as is kept.
  await sent(one.socket, Buffer.alloc(15 * MB, "x"));
  await expect.poll(async () => (await buffers()) - none).toBeGreaterThanOrEqual(15);
  const kept = (await buffers()) - none;
  // And then far more: nothing of it.
  for (let i = 0; i < 19; i++) await sent(one.socket, Buffer.alloc(15 * MB, "x"));
  // But for what lies between the two, all has been read.
  const most = peak() - begin;
  await expect.poll(async () => (await buffers()) - none).toBeLessThan(OTHERS);
  tell(`a line of 15 MB without end: ${shown(kept)} of buffers; of 300 MB: at most ${shown(most)}`);
  expect(kept).toBeLessThan(16 + OTHERS);
  expect(most).toBeLessThan(16 + 2 * GARBAGE);
  one.socket.destroy();

  const many = await Promise.all(Array.from({ length: 20 }, client));
  const closed = many.map((each) => each.closed);
  const line = Buffer.alloc(15 * MB, "x");
  await Promise.all(many.map((each) => sent(each.socket, line)));
  const told = await Promise.race(closed);
  expect(told).toMatchObject([{ ok: false, error: "Payload too large: a line has no end" }]);
  expect(await neighbour.ask(stats)).toMatchObject({ ok: true });
  const all = peak() - begin;
  const left = (await buffers()) - none;
  tell(`20 lines of 15 MB without end: ${shown(left)} of buffers, at most ${shown(all)}`);
  expect(left).toBeLessThan(64 + OTHERS);
  // Of 300 MB.
  expect(all).toBeLessThan(64 + 3 * GARBAGE);
});

test("long results that nobody reads lie on the disk, not in memory", async () => {
  const { url, client, held, peak, resident } = await start({ MAX_BATCH_BYTES: "6 MB" });
  const result = "r".repeat(5 * MB);
  await call(url, "POST", "/queues/q/jobs", { data: 1 });
  await call(url, "GET", "/queues/q/jobs");
  expect((await call(url, "POST", "/jobs/1/ack", { result })).status).toBe(200);
  expect((await call(url, "GET", "/jobs/1/result")).body.data).toBe(result);
  await warmUp(client);
  const none = (await held()).all;
  const before = resident();
  const { hostname, port } = new URL(url);
  for (let i = 0; i < 60; i++) {
    const socket = connect(Number(port), hostname);
    onTestFinished(() => void socket.destroy());
    socket.write(`GET /jobs/1${i % 2 === 0 ? "" : "/result"} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await once(socket, "readable");
  }
  const overHttp = peak() - before;
  const heldOverHttp = (await held()).all - none;
  const lazy = await client();
  lazy.socket.pause();
  lazy.send(`${JSON.stringify({ cmd: "GETRESULT", id: 1 })}\n`.repeat(200));
  const neighbour = await client();
  for (let i = 0; i < 200; i++) expect(await neighbour.ask(stats)).toMatchObject({ ok: true });
  const overTcp = peak() - before;
  tell(
    `60 unread results of 5 MB over HTTP: ${shown(heldOverHttp)} held, at most ${shown(overHttp)}; 200 more over TCP: at most ${shown(overTcp)}`,
  );
  // Held as a whole, they would take 300 MB.
  expect(heldOverHttp).toBeLessThan(30);
  expect(overHttp).toBeLessThan(3 * GARBAGE);
  // Two lines' worth is settled, 16 more are being read.
  expect(overTcp).toBeLessThan(overHttp + 2 * 6 + 16 * 5 + GARBAGE);
});
