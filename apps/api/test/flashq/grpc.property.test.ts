import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { loadSync, type ServiceDefinition } from "@grpc/proto-loader";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { grpc } from "./grpc-client.ts";
import { bytes, CASES, fuzz, withByte } from "./hostile-values.ts";
import { queueOn } from "./queue-on.ts";

const proto = loadSync(join(import.meta.dirname, "../../proto/flashq.proto"), { keepCase: true });
const service = proto["flashq.QueueService"] as ServiceDefinition;
/** Of the cases, those that are about HTTP/2; the others are about messages. */
const FRAMES = CASES * 0.3;

/** Those that never wait. */
const unary = ["Push", "PushBatch", "Ack", "AckBatch", "Fail", "GetState", "Stats"] as const;
const streams = ["StreamJobs", "ProcessJobs"] as const;

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
  // Each with a connection of its own.
  const connected = (): Client =>
    new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  let client = connected();
  onTestFinished(() => client.close());
  let calledOff = 0;
  const same = (bytes: Buffer): Buffer => bytes;
  const ask = (method: string, message: Buffer) =>
    new Promise<status>((resolve) => {
      const done = (error: ServiceError | null): void => resolve(error?.code ?? status.OK);
      const path = `/flashq.QueueService/${method}`;
      client.makeUnaryRequest(path, same, same, message, new Metadata(), done);
    });
  /** How a stream ends that is told one thing; one that goes on is called off once a later call is answered. */
  const stream = async (method: string, message: Buffer): Promise<status> => {
    const ended = await new Promise<status>((resolve) => {
      const path = `/flashq.QueueService/${method}`;
      const call = client.makeBidiStreamRequest(path, same, same, new Metadata());
      call.on("data", () => undefined);
      call.on("error", ({ code }: ServiceError) => resolve(code));
      call.on("end", () => resolve(status.OK));
      call.write(message);
      if (method === "ProcessJobs") call.end();
      else void ask("Stats", Buffer.alloc(0)).then(() => call.cancel());
    });
    // HTTP/2 servers close a connection on which a thousand calls are called off quickly.
    if (++calledOff % 500 === 0) {
      client.close();
      client = connected();
    }
    return ended;
  };
  await fuzz(
    fc.asyncProperty(
      fc.constantFrom(...unary, ...streams),
      request,
      fc.option(bytes(60)),
      fc.option(fc.tuple(fc.nat(), fc.nat(255))),
      async (method, message, raw, change) => {
        const whole = raw ?? service[method]!.requestSerialize(message);
        const sent = change === null ? whole : withByte(whole, ...change);
        const streamed = (streams as readonly string[]).includes(method);
        if (!streamed) expect(told).toContain(await ask(method, sent));
        else expect([...told, status.CANCELLED]).toContain(await stream(method, sent));
      },
    ),
    CASES - FRAMES,
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
  await fuzz(
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
    FRAMES,
  );
  expect(await one.call("stats")).toMatchObject({ queued: "0" });
}, 600_000);
