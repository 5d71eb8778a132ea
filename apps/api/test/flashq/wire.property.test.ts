import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { loadSync, type ServiceDefinition } from "@grpc/proto-loader";
import type { JobQueue } from "@jobyard/core";
import fc from "fast-check";
import { SignJWT } from "jose";
import { expect, onTestFinished, test } from "vitest";
import { grpc } from "./grpc-client.ts";
import { type Answer, DEVELOPMENT_SECRET, type LineClient, lines } from "./line-client.ts";
import { queueOn } from "./queue-on.ts";

/** 10,000 cases in all; many more where time does not matter. */
const times = process.env["JOBYARD_LONG"] === "1" ? 50 : 1;

// ---- what is sent

const nasty = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    "",
    "q",
    "a/b",
    "\u0000",
    "\ud800",
    "constructor",
    "__proto__",
    0,
    -1,
    0.5,
    1e21,
    2 ** 31,
    2 ** 53,
    Number.MAX_SAFE_INTEGER,
    [],
    {},
    [[]],
    [null],
    true,
  ),
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: "binary", maxLength: 300 }),
);

const words = [
  "AUTH",
  "PUSH",
  "PUSHB",
  "PULL",
  "PULLB",
  "ACK",
  "ACKB",
  "FAIL",
  "CANCEL",
  "PROGRESS",
  "GETPROGRESS",
  "GETJOB",
  "GETSTATE",
  "GETRESULT",
  "DLQ",
  "RETRYDLQ",
  "RATELIMIT",
  "PAUSE",
  "RATELIMITCLEAR",
  "SETCONCURRENCY",
  "CLEARCONCURRENCY",
  "RESUME",
  "LISTQUEUES",
  "CRON",
  "CRONDELETE",
  "CRONLIST",
  "STATS",
  "METRICS",
  "HEARTBEAT",
];

const fields = {
  queue: fc.oneof(fc.constantFrom<unknown>("fuzz", "fuzz.2"), nasty),
  data: nasty,
  priority: nasty,
  delay: nasty,
  ttl: nasty,
  timeout: nasty,
  max_attempts: nasty,
  backoff: nasty,
  unique_key: nasty,
  depends_on: fc.oneof(nasty, fc.array(nasty, { maxLength: 3 })),
  tags: fc.oneof(nasty, fc.array(nasty, { maxLength: 3 })),
  lifo: nasty,
  jobs: fc.oneof(
    nasty,
    fc.array(fc.record({ data: nasty, delay: nasty }, { requiredKeys: [] }), { maxLength: 3 }),
  ),
  id: fc.oneof(fc.integer({ min: 1, max: 400 }), nasty),
  ids: fc.oneof(fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 5 }), nasty),
  lease: nasty,
  result: nasty,
  error: nasty,
  progress: nasty,
  message: nasty,
  count: nasty,
  limit: nasty,
  name: nasty,
  schedule: fc.oneof(fc.constantFrom("* * * * *", "*/5", "0 0 0 31 2 *"), nasty),
  worker: nasty,
  queues: nasty,
  concurrency: nasty,
  token: nasty,
};

const command = fc
  .tuple(
    fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom<unknown>(...words) },
      { weight: 1, arbitrary: nasty },
    ),
    fc.record(fields, { requiredKeys: ["queue"] }),
  )
  .map(([cmd, rest]) => JSON.stringify({ cmd, ...rest }));

const bytes = (max: number) => fc.uint8Array({ maxLength: max }).map((some) => Buffer.from(some));

/** A line, without its break. */
const line = fc
  .oneof(
    { weight: 6, arbitrary: command.map((text) => Buffer.from(text)) },
    { weight: 1, arbitrary: fc.json().map((text) => Buffer.from(text)) },
    { weight: 1, arbitrary: bytes(200) },
    {
      weight: 2,
      // A command with a byte that is another one.
      arbitrary: fc.tuple(command, fc.nat(), fc.nat(255)).map(([text, at, byte]) => {
        const bytes = Buffer.from(text);
        bytes[at % bytes.length] = byte;
        return bytes;
      }),
    },
  )
  .map((text) => Buffer.from(text.map((byte) => (byte === 0x0a ? 0x20 : byte))));

// ---- what goes on beside it

/** Adds, pulls and ends jobs of its own tenant all the while: none may get lost. */
async function neighbour(
  one: LineClient,
  queue: JobQueue,
): Promise<(round: number) => Promise<void>> {
  const token = await new SignJWT({ role: "OPERATOR", tenantId: "beside" })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("1d")
    .sign(new TextEncoder().encode(DEVELOPMENT_SECRET));
  expect(await one.ask({ cmd: "AUTH", token })).toEqual({ ok: true });
  await one.ask({ cmd: "PUSH", queue: "fuzz", data: -1 });
  return async (round) => {
    const [pushed, pulled] = await one.askAll([
      { cmd: "PUSH", queue: "fuzz", data: round, priority: 1 },
      { cmd: "PULL", queue: "fuzz" },
    ]);
    expect(pushed).toMatchObject({ ok: true });
    expect(pulled).toMatchObject({ job: { data: round } });
    expect(await one.ask({ cmd: "ACK", id: pulled.job.id })).toEqual({ ok: true });
    expect(await queue.of("beside").count()).toMatchObject({ waiting: 1, active: 0 });
  };
}

test("whatever lines come in whatever pieces, each is answered in its place", async () => {
  const queue = await queueOn("embedded");
  const { port, client } = await lines(queue, { env: { MAX_BATCH_BYTES: "20000" } });
  const beside = await neighbour(await client(), queue);
  let round = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(400), { maxLength: 4 }),
      async (sent, cuts) => {
        const answers = await exchange(port, sent, cuts);
        const asked = sent.filter((text) => text.some((byte) => byte !== 0x20 && byte !== 0x09));
        for (const { ok, error } of answers) {
          expect(ok === true || (ok === false && typeof error === "string")).toBe(true);
          // Our own bugs.
          if (ok === false) expect(error).not.toContain("Something went wrong");
        }
        const last: unknown = answers.at(-1)?.error;
        const cut = last === "This port does not speak HTTP" || last === "Too many failed AUTHs";
        // Lines of nothing but blanks are none.
        if (!cut) expect(answers.length).toBeGreaterThanOrEqual(asked.length - blanks(asked));
        if (!cut) expect(answers.length).toBeLessThanOrEqual(sent.length);
        if (round++ % 50 === 0) await beside(round);
      },
    ),
    { numRuns: 3500 * times },
  );
  await beside(round);
}, 600_000);

/** Unicode knows other blanks than these bytes. */
function blanks(asked: readonly Buffer[]): number {
  return asked.filter((text) => text.toString().trim() === "").length;
}

/** Sends in pieces, ends its side, and reads to the end. */
async function exchange(
  port: number,
  sent: readonly Buffer[],
  cuts: readonly number[],
): Promise<readonly Answer[]> {
  const socket = connect({ host: "127.0.0.1", port });
  const read: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => read.push(chunk));
  const all = Buffer.concat(sent.flatMap((text) => [text, Buffer.from("\n")]));
  let from = 0;
  for (const cut of cuts) {
    socket.write(all.subarray(from, from + cut));
    from += cut;
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end(all.subarray(from));
  await once(socket, "close");
  const text = Buffer.concat(read).toString();
  expect(text === "" || text.endsWith("\n")).toBe(true);
  return text
    .split("\n")
    .slice(0, -1)
    .map((answer) => JSON.parse(answer) as unknown);
}

// ---- gRPC

const proto = loadSync(join(import.meta.dirname, "../../proto/flashq.proto"), { keepCase: true });
const service = proto["flashq.QueueService"] as ServiceDefinition;
/** Those that never wait. */
const unary = ["Push", "PushBatch", "Ack", "AckBatch", "Fail", "GetState", "Stats"] as const;

const number = fc.oneof(fc.nat(400), fc.constantFrom(2 ** 31 - 1, -(2 ** 31), 2 ** 53, 2 ** 64));
const jsonBytes = fc.oneof(
  fc.json().map((text) => Buffer.from(text)),
  bytes(100),
);
const jobMessage = {
  data: jsonBytes,
  priority: number,
  delay_ms: number,
  ttl_ms: number,
  timeout_ms: number,
  max_attempts: number,
  backoff_ms: number,
  unique_key: fc.string({ unit: "binary", maxLength: 300 }),
  depends_on: fc.array(number, { maxLength: 3 }),
  lifo: fc.boolean(),
};
const request = fc.record(
  {
    ...jobMessage,
    queue: fc.oneof(fc.constant("fuzz"), fc.string()),
    jobs: fc.array(fc.record(jobMessage, { requiredKeys: [] }), { maxLength: 3 }),
    id: number,
    ids: fc.array(number, { maxLength: 3 }),
    result: jsonBytes,
    lease: fc.string(),
    error: fc.string({ unit: "binary" }),
  },
  { requiredKeys: ["queue"] },
);

const told: readonly status[] = [
  status.OK,
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.FAILED_PRECONDITION,
  status.RESOURCE_EXHAUSTED,
];

test("whatever messages come, each ends in a status that says why", async () => {
  const queue = await queueOn("embedded");
  const { address } = await grpc(queue, { env: { MAX_BATCH_BYTES: "20000" } });
  const client = new Client(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  const ask = (method: string, message: Buffer) =>
    new Promise<status>((resolve) => {
      const done = (error: ServiceError | null): void => resolve(error?.code ?? status.OK);
      const path = `/flashq.QueueService/${method}`;
      const same = (bytes: Buffer): Buffer => bytes;
      client.makeUnaryRequest(path, same, same, message, new Metadata(), done);
    });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...unary),
      request,
      fc.option(bytes(60)),
      fc.option(fc.tuple(fc.nat(), fc.nat(255))),
      async (method, message, raw, change) => {
        let sent: Buffer = raw ?? service[method]!.requestSerialize(message);
        if (change !== null && sent.length > 0) {
          sent = Buffer.from(sent);
          sent[change[0] % sent.length] = change[1];
        }
        expect(told).toContain(await ask(method, sent));
      },
    ),
    { numRuns: 3500 * times },
  );
  expect(await ask("Stats", Buffer.alloc(0))).toBe(status.OK);
}, 600_000);

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Type, flags and stream as they come. */
const frame = fc
  .tuple(fc.nat(12), fc.nat(255), fc.nat(9), bytes(60), fc.option(fc.nat(0xff_ff_ff)))
  .map(([type, flags, stream, payload, length]) => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(length ?? payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    return Buffer.concat([head, payload]);
  });

test("whatever frames come, the server and its other clients go on", async () => {
  const queue = await queueOn("embedded");
  const { address, client } = await grpc(queue);
  const port = Number(address.split(":").at(-1));
  const one = client();
  let round = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(frame, { maxLength: 5 }),
      fc.constantFrom("preface", "settings", "nothing"),
      async (frames, before) => {
        const begin = {
          preface: [PREFACE],
          settings: [PREFACE, Buffer.from("000000040000000000", "hex")],
          nothing: [],
        }[before];
        const socket = connect({ host: "127.0.0.1", port });
        socket.on("error", () => undefined);
        socket.resume();
        const gone = once(socket, "close");
        socket.end(Buffer.concat([...begin, ...frames]));
        await gone;
        if (round++ % 50 === 0) expect(await one.call("stats")).toMatchObject({ queued: "0" });
      },
    ),
    { numRuns: 3000 * times },
  );
  expect(await one.call("stats")).toMatchObject({ queued: "0" });
}, 600_000);
