import { once } from "node:events";
import { connect } from "node:net";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { serve } from "../running-server.ts";
import { bytes, CASES, fuzz, withByte } from "./hostile-values.ts";

/** Of the cases, those that are about the handshake; the others are about frames. */
const HANDSHAKES = CASES * 0.2;

const handshake = (path: string, headers: Readonly<Record<string, string>> = {}): Buffer => {
  const all = {
    Host: "localhost",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`, "latin1");
};

/** A frame as clients send them, with all that can be wrong with one. */
const frame = fc
  .record({
    /** FIN, RSV and opcode: mostly of a text, a close, a ping or a pong. */
    first: fc.oneof(fc.constantFrom(0x81, 0x88, 0x89, 0x8a), fc.nat(255)),
    masked: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.boolean()),
    mask: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    payload: bytes(140),
    /** What the frame says of its length; null: the truth. */
    length: fc.option(fc.constantFrom(0, 1, 125, 126, 5000, 2 ** 31, 2 ** 53, 2 ** 63), {
      freq: 4,
    }),
  })
  .map(({ first, masked, mask, payload, length }) => {
    const told = length ?? payload.length;
    const head = Buffer.alloc(told < 126 ? 2 : told < 65_536 ? 4 : 10);
    head[0] = first;
    head[1] = (masked ? 0x80 : 0) | (told < 126 ? told : told < 65_536 ? 126 : 127);
    if (head.length === 4) head.writeUInt16BE(told, 2);
    if (head.length === 10) head.writeBigUInt64BE(BigInt(told), 2);
    if (!masked) return Buffer.concat([head, payload]);
    return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ (mask[i % 4] ?? 0))]);
  });

/** All that was answered to those bytes; this side is ended after them. */
async function exchange(port: number, pieces: readonly Buffer[]): Promise<Buffer> {
  const socket = connect({ host: "127.0.0.1", port });
  const read: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => read.push(chunk));
  // Cut off in the middle of what it sends: no error of this test.
  socket.on("error", () => undefined);
  const gone = new Promise<void>((resolve) => {
    socket.on("close", () => resolve());
  });
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end();
  await gone;
  return Buffer.concat(read);
}

/** The frames of a server, whole and not masked; only the last may be a close. */
function opcodes(answer: Buffer): readonly number[] {
  const found: number[] = [];
  for (let at = 0; at < answer.length;) {
    const [first = 0, second = 0] = answer.subarray(at);
    expect([first & 0xf0, second & 0x80]).toEqual([0x80, 0]);
    const [length, head] =
      second < 126 ? [second, 2] : second === 126 ? [answer.readUInt16BE(at + 2), 4] : [0, 0];
    expect(head).toBeGreaterThan(0);
    if ((first & 0x0f) === 8 && length > 0) {
      const code = answer.readUInt16BE(at + head);
      expect(code).toBeGreaterThanOrEqual(1000);
      expect(code).toBeLessThan(5000);
    }
    found.push(first & 0x0f);
    at += head + length;
    expect(at).toBeLessThanOrEqual(answer.length);
  }
  expect(found.slice(0, -1)).not.toContain(8);
  return found;
}

async function start() {
  const { url, call } = await serve({ handlers: [] });
  const port = Number(new URL(url).port);
  const reader = new WebSocket(`${url.replace("http", "ws")}/ws/beside`);
  onTestFinished(() => reader.terminate());
  const told: string[] = [];
  reader.on("message", (text: Buffer) => told.push(text.toString()));
  await once(reader, "open");
  return {
    port,
    /** Another reader is told of what happens, all the while. */
    async beside(): Promise<void> {
      const count = told.length;
      const { status } = await call("POST", "/queues/beside/jobs", { data: 1 });
      expect(status).toBe(200);
      while (told.length === count) await once(reader, "message");
      expect(JSON.parse(told.at(-1) ?? "")).toMatchObject({ event_type: "job.pushed" });
      expect(reader.readyState).toBe(WebSocket.OPEN);
    },
  };
}

const SWITCHED = Buffer.from("HTTP/1.1 101 Switching Protocols\r\n");

test("whatever frames come, each connection ends in order, and the other readers are told on", async () => {
  const { port, beside } = await start();
  let round = 0;
  const seen = new Set<number>();
  await fuzz(
    fc.asyncProperty(
      fc.array(frame, { minLength: 1, maxLength: 4 }),
      fc.option(fc.tuple(fc.nat(), fc.nat(255)), { freq: 3 }),
      fc.boolean(),
      async (frames, change, apart) => {
        const all = Buffer.concat(frames);
        const sent = change === null ? all : withByte(all, ...change);
        const upgrade = handshake(round % 2 === 0 ? "/ws" : "/ws/fuzz");
        const pieces = apart ? [upgrade, sent] : [Buffer.concat([upgrade, sent])];
        const answer = await exchange(port, pieces);
        expect(answer.subarray(0, SWITCHED.length)).toEqual(SWITCHED);
        const body = answer.indexOf("\r\n\r\n") + 4;
        for (const opcode of opcodes(answer.subarray(body))) seen.add(opcode);
        if (round++ % 100 === 0) await beside();
      },
    ),
    CASES - HANDSHAKES,
  );
  // Closes and pongs: it did look at them.
  expect(seen).toEqual(new Set([8, 10]));
  await beside();
}, 600_000);

const odd = fc.string({ unit: "binary-ascii", maxLength: 40 });

test("whatever handshake comes, it is answered in HTTP", async () => {
  const { port, beside } = await start();
  let round = 0;
  await fuzz(
    fc.asyncProperty(
      fc.oneof(fc.constantFrom("/ws", "/ws/q", "/ws/", "/ws/a%20b", "/ws/%ff"), odd),
      fc.dictionary(
        fc.constantFrom(
          "Host",
          "Origin",
          "Connection",
          "Upgrade",
          "Sec-WebSocket-Version",
          "Sec-WebSocket-Key",
          "Sec-WebSocket-Extensions",
          "Sec-WebSocket-Protocol",
          "Authorization",
        ),
        fc.oneof(odd, fc.constantFrom("", "websocket", "localhost", "8", "permessage-deflate")),
        { maxKeys: 4 },
      ),
      fc.option(fc.tuple(fc.nat(), fc.nat(255)), { freq: 2 }),
      async (path, headers, change) => {
        const whole = handshake(path, headers);
        const answer = await exchange(port, [change === null ? whole : withByte(whole, ...change)]);
        // A request that never ends is never answered.
        if (answer.length > 0) {
          expect(answer.toString("latin1")).toMatch(/^HTTP\/1\.1 (?:101|200|4\d\d) /);
        }
        if (round++ % 100 === 0) await beside();
      },
    ),
    HANDSHAKES,
  );
  await beside();
}, 600_000);
