import { once } from "node:events";
import { type ClientHttp2Stream, connect as connectHttp2, constants } from "node:http2";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import {
  Client,
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  status,
} from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer, loadSync } from "@grpc/proto-loader";
import { service as healthService, protoPath as healthProto } from "grpc-health-check";
import { SignJWT } from "jose";
import { describe, expect, onTestFinished, test } from "vitest";
import { type EngineName, engines } from "../engines.ts";
import { queueOn } from "./queue-on.ts";
import { type GrpcSetup, grpc, json, type Message, metadataOf, parsed } from "./grpc-client.ts";

const start = async (engine: EngineName, setup: GrpcSetup = {}) => {
  const queue = await queueOn(engine);
  const server = await grpc(queue, setup);
  return { queue, jobs: queue.of("default"), ...server, one: server.client() };
};

/** Reads `count` messages, and leaves the stream open. */
async function take(stream: NodeJS.ReadableStream, count: number): Promise<Message[]> {
  const taken: Message[] = [];
  while (taken.length < count) {
    const message: unknown = (stream as unknown as { read(): unknown }).read();
    if (message === null) await once(stream, "readable");
    else taken.push(message);
  }
  return taken;
}

/** A client of its own, which reads a window of 64 kB, and no more until it is told to. */
function reading(
  address: string,
  method: string,
  { queue, prefetch }: { readonly queue: string; readonly prefetch: number },
): ClientHttp2Stream {
  const session = connectHttp2(`http://${address}`, { settings: { initialWindowSize: 65_535 } });
  onTestFinished(() => session.destroy());
  const stream = session.request({
    ":method": "POST",
    ":path": `/flashq.QueueService/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
    ...(method === "ProcessJobs" ? { queue, prefetch: String(prefetch) } : {}),
  });
  stream.on("error", () => undefined);
  stream.pause();
  if (method === "StreamJobs") {
    // queue = 1, prefetch = 3, as a varint of two bytes.
    const fields = [0x0a, queue.length, ...Buffer.from(queue)];
    const message = [...fields, 0x18, (prefetch & 0x7f) | 0x80, prefetch >> 7];
    stream.end(Buffer.from([0, 0, 0, 0, message.length, ...message]));
  }
  return stream;
}

const until = async (holds: () => Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
};

describe.each(engines)("on the %s engine", (engine) => {
  test("a job's way from Push to Ack", async () => {
    const { one } = await start(engine);
    const pushed = await one.call("push", {
      queue: "posts",
      data: json({ title: "Çay" }),
      priority: -3,
      ttlMs: 70_000,
      timeoutMs: "5000",
      maxAttempts: 6,
      uniqueKey: "only",
    });
    expect(pushed).toEqual({ ok: true, id: expect.stringMatching(/^[1-9]\d*$/) });
    const { id } = pushed;
    expect(await one.call("getState", { id })).toEqual({ id, state: "JOB_STATE_WAITING" });
    const job = await one.call("pull", { queue: "posts" });
    expect(parsed(job.data)).toEqual({ title: "Çay" });
    const { createdAt, runAt, startedAt, lease, data: _, ...rest } = job;
    for (const time of [createdAt, runAt, startedAt]) {
      expect(Math.abs(Number(time) - Date.now())).toBeLessThan(60_000);
    }
    expect(rest).toMatchObject({
      id,
      queue: "posts",
      priority: -3,
      attempts: 1,
      maxAttempts: 6,
      backoff: "1000",
      ttl: "70000",
      timeout: "5000",
      uniqueKey: "only",
      dependsOn: [],
      progress: 0,
      lifo: false,
    });
    expect(await one.call("getState", { id })).toEqual({ id, state: "JOB_STATE_ACTIVE" });
    await expect(one.call("ack", { id, lease: "stale" })).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
    });
    expect(await one.call("ack", { id, lease, result: json([1]) })).toEqual({ ok: true });
    expect(await one.call("getState", { id })).toEqual({ id, state: "JOB_STATE_COMPLETED" });
  });

  test("batches, failures, states and figures", async () => {
    const { one, jobs } = await start(engine);
    const { ids } = await one.call("pushBatch", {
      queue: "many",
      jobs: [
        { data: json(1) },
        { data: json(2), priority: 5 },
        { data: json(3), delayMs: 60_000, lifo: true },
      ],
    });
    const { id: blocked } = await one.call("push", {
      queue: "many",
      data: json(4),
      dependsOn: [ids[0]],
    });
    const states = async (...of: string[]) =>
      Promise.all(of.map(async (id) => (await one.call("getState", { id })).state));
    expect(await states(...ids, blocked)).toEqual([
      "JOB_STATE_WAITING",
      "JOB_STATE_WAITING",
      "JOB_STATE_DELAYED",
      "JOB_STATE_WAITING_CHILDREN",
    ]);
    expect(await one.call("stats")).toEqual({
      queued: "3",
      processing: "0",
      delayed: "1",
      dlq: "0",
    });
    const pulled = await one.call("pullBatch", { queue: "many", count: 10 });
    expect(pulled.jobs.map((job: Message) => parsed(job.data))).toEqual([2, 1]);
    expect(await one.call("fail", { id: ids[1], error: "No ink" })).toEqual({ ok: true });
    expect(await states(ids[1])).toEqual(["JOB_STATE_FAILED"]);
    expect((await jobs.get(Number(ids[1]))).error?.message).toBe("No ink");
    const all = [ids[0], ids[1], "9007199254740993", "18446744073709551615"];
    expect(await one.call("ackBatch", { ids: all })).toEqual({ ok: true, acked: 1 });
    expect(await one.call("stats")).toMatchObject({ queued: "1", dlq: "1" });
  });

  test("Pull waits for a job until the deadline", async () => {
    const { one, client, jobs } = await start(engine);
    const pulling = one.call("pull", { queue: "soon" });
    await client().call("stats");
    await jobs.add({ queue: "soon", data: "now" });
    expect(parsed((await pulling).data)).toBe("now");

    const deadline = { deadline: Date.now() + 300 };
    await expect(one.call("pull", { queue: "soon" }, deadline)).rejects.toMatchObject({
      code: status.DEADLINE_EXCEEDED,
    });
    const some = { deadline: Date.now() + 300 };
    expect(await one.call("pullBatch", { queue: "soon", count: 5 }, some)).toEqual({ jobs: [] });
    await jobs.add({ queue: "soon", data: "later" });
    expect(await jobs.count()).toMatchObject({ waiting: 1, active: 1 });
  });

  test("a Pull that is cancelled claims nothing", async () => {
    const { one, jobs, address } = await start(engine);
    const call = one.begin("pull", { queue: "ghost" });
    await one.call("stats");
    call.cancel();
    const gone = connectHttp2(`http://${address}`);
    await once(gone, "connect");
    gone.destroy();
    await one.call("stats");
    await jobs.add({ queue: "ghost", data: 1 });
    await until(async () => (await jobs.count()).active === 0);
    expect(await jobs.count()).toMatchObject({ waiting: 1, active: 0 });
  });

  test("ProcessJobs: each result frees one place of the window", async () => {
    const { one, jobs } = await start(engine);
    const ids = await jobs.addMany(
      Array.from({ length: 10 }, (_, i) => ({ queue: "line", data: i })),
      { atomic: true },
    );
    const stream = one.processJobs(metadataOf({ queue: "line", prefetch: "3" }));
    const first = await take(stream, 3);
    expect(first.map(({ data }) => parsed(data))).toEqual([0, 1, 2]);
    // Nothing more is claimed, however long it takes.
    for (let i = 0; i < 5; i++) await one.call("stats");
    expect(await jobs.count()).toMatchObject({ waiting: 7, active: 3 });
    stream.write({ id: first[1].id, success: true, result: json({ done: 1 }) });
    const [fourth] = await take(stream, 1);
    expect(parsed(fourth.data)).toBe(3);
    expect(await jobs.count()).toMatchObject({ waiting: 6, active: 3, completed: 1 });
    stream.write({ id: first[0].id, success: false, error: "Torn" });
    // Not its own: left alone.
    stream.write({ id: "123456789", success: true });
    stream.write({ id: first[1].id, success: true });
    await take(stream, 1);
    expect((await jobs.get(Number(first[0].id))).error?.message).toBe("Torn");
    for (const { id } of [first[2], fourth]) stream.write({ id, success: true });
    const rest = await take(stream, 2);
    for (const { id } of rest) stream.write({ id, success: true });
    await take(stream, 2);
    expect(await jobs.count()).toMatchObject({ completed: 5, failed: 1, active: 3 });
    expect(ids).toHaveLength(10);
  });

  test.each(["ended", "cancelled", "cut", "past its deadline"])(
    "a stream that is %s gives back at once",
    async (how) => {
      const { one, jobs } = await start(engine);
      await jobs.addMany(
        Array.from({ length: 4 }, (_, i) => ({ queue: "back", data: i })),
        { atomic: true },
      );
      const options = how === "past its deadline" ? { deadline: Date.now() + 1500 } : {};
      const stream = one.processJobs(metadataOf({ queue: "back", prefetch: "4" }), options);
      const [first] = await take(stream, 4);
      stream.write({ id: first.id, success: true });
      await until(async () => (await jobs.count()).completed === 1);
      if (how === "ended") stream.end();
      else if (how === "cancelled") stream.cancel();
      else if (how === "cut") one.close();
      if (how === "cut") stream.cancel();
      await until(async () => (await jobs.count()).waiting === 3);
      const again = await jobs.pull({ queue: "back", limit: 10 });
      expect(again.map(({ data }) => data)).toEqual(["1", "2", "3"]);
      // Given back is no attempt.
      expect(again.map(({ attemptsMade }) => attemptsMade)).toEqual([0, 0, 0]);
    },
  );

  test("StreamJobs hands out up to prefetch, and more as jobs are ended elsewhere", async () => {
    const { one, jobs } = await start(engine);
    await jobs.addMany(
      Array.from({ length: 12 }, (_, i) => ({ queue: "flow", data: i })),
      { atomic: true },
    );
    const stream = one.streamJobs({ queue: "flow", batchSize: 2, prefetch: 4 });
    const first = await take(stream, 4);
    expect(first.map(({ data }) => parsed(data))).toEqual([0, 1, 2, 3]);
    for (let i = 0; i < 5; i++) await one.call("stats");
    expect(await jobs.count()).toMatchObject({ active: 4, waiting: 8 });
    await one.call("ack", { id: first[0].id });
    await one.call("fail", { id: first[1].id });
    expect((await take(stream, 2)).map(({ data }) => parsed(data))).toEqual([4, 5]);
    stream.cancel();
    await until(async () => (await jobs.count()).active === 0);
    expect(await jobs.count()).toMatchObject({ waiting: 10, completed: 1, failed: 1 });
  });

  test.each(["StreamJobs", "ProcessJobs"])(
    "%s claims little for a reader that stops, and goes on with it",
    async (method) => {
      const { address, one, jobs } = await start(engine);
      const many = Array.from({ length: 500 }, () => ({ queue: "wide", data: "x".repeat(10_000) }));
      await jobs.addMany(many, { atomic: true });
      const stream = reading(address, method, { queue: "wide", prefetch: 500 });
      // HTTP/2's window, and what the server keeps for it.
      const held = (65_535 + 262_144) / 10_000;
      await until(async () => (await jobs.count()).active > held - 10);
      for (let i = 0; i < 20; i++) await one.call("stats");
      const { active } = await jobs.count();
      expect(active).toBeLessThan(held + 1);
      // The others are anybody's.
      const { jobs: pulled } = await one.call("pullBatch", { queue: "wide", count: 300 });
      expect(pulled).toHaveLength(300);
      await one.call("ackBatch", { ids: pulled.map(({ id }: Message) => id) });
      stream.resume();
      await until(async () => (await jobs.count()).active === 200);
    },
  );

  test("ProcessJobs without a queue takes from every queue without a job type", async () => {
    const { one, jobs } = await start(engine);
    await jobs
      .add({ queue: "security_scan", data: { datasetId: "x", scanType: "quick" } })
      .catch(() => undefined);
    await jobs.add({ queue: "a", data: 1 });
    await jobs.add({ queue: "b", data: 2 });
    const stream = one.processJobs();
    const seen = new Set<string>();
    for (let i = 0; i < 2; i++) {
      const [job] = await take(stream, 1);
      seen.add(job.queue as string);
      stream.write({ id: job.id, success: true });
    }
    expect(seen).toEqual(new Set(["a", "b"]));
  });
});

const healthOf = (address: string, of = "flashq.QueueService"): Promise<Message> => {
  const definition = loadPackageDefinition(loadSync(healthProto, { enums: String }));
  const { Health } = ((definition["grpc"] as GrpcObject)["health"] as GrpcObject)["v1"] as {
    Health: ServiceClientConstructor;
  } & GrpcObject;
  expect(Object.keys(healthService)).toContain("Check");
  const client = new Health(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  return new Promise((resolve, reject) => {
    (client as Message)["check"]({ service: of }, (error: Error | null, answer: Message) => {
      if (error === null) resolve(answer);
      else reject(error);
    });
  });
};

/** What reflection answers to one request. */
const reflect = (
  address: string,
  request: object,
  metadata: Metadata,
  version = "v1",
): Promise<Message> => {
  const proto = join(
    import.meta.dirname,
    `../../node_modules/@grpc/reflection/build/proto/grpc/reflection/${version}/reflection.proto`,
  );
  const definition = loadPackageDefinition(loadSync(proto));
  const { ServerReflection } = ((definition["grpc"] as GrpcObject)["reflection"] as GrpcObject)[
    version
  ] as { ServerReflection: ServiceClientConstructor } & GrpcObject;
  const client = new ServerReflection(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  const stream = (client as Message)["serverReflectionInfo"](metadata);
  return new Promise((resolve, reject) => {
    stream.on("error", reject);
    stream.on("data", (answer: Message) => {
      resolve(answer);
      stream.end();
    });
    stream.write(request);
  });
};

/** The names of the services that reflection tells. */
const reflected = async (address: string, metadata: Metadata): Promise<string[]> => {
  const { listServicesResponse } = await reflect(address, { listServices: "*" }, metadata);
  return listServicesResponse.service.map(({ name }: Message) => name);
};

/** A client that knows of the service what reflection says, and nothing else. */
const reflectedClient = async (address: string, version: string): Promise<Message> => {
  const request = { fileContainingSymbol: "flashq.QueueService" };
  const { fileDescriptorResponse } = await reflect(address, request, new Metadata(), version);
  const files = fileDescriptorResponse.fileDescriptorProto as readonly Buffer[];
  // A FileDescriptorSet: each file is its field 1.
  const set = files.flatMap((file) => [varint(0x0a), varint(file.length), file]);
  const definition = loadFileDescriptorSetFromBuffer(Buffer.concat(set), { longs: String });
  const { QueueService } = loadPackageDefinition(definition)["flashq"] as unknown as {
    QueueService: ServiceClientConstructor;
  };
  const client = new QueueService(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  return client;
};

const varint = (n: number): Buffer =>
  n < 0x80 ? Buffer.of(n) : Buffer.concat([Buffer.of((n & 0x7f) | 0x80), varint(n >>> 7)]);

describe.each(engines)("limits and rights on the %s engine", (engine) => {
  describe("bad input", () => {
    const push = (more: object) => ({ queue: "q", data: json(1), ...more });
    test.each<[string, string, object, status, string]>([
      ["no queue", "push", { data: json(1) }, status.INVALID_ARGUMENT, "Invalid queue name"],
      ["a bad queue", "pull", { queue: "a b" }, status.INVALID_ARGUMENT, "Invalid queue name"],
      ["no data", "push", { queue: "q" }, status.INVALID_ARGUMENT, "data: Required"],
      [
        "no JSON",
        "push",
        push({ data: Buffer.from("{") }),
        status.INVALID_ARGUMENT,
        "data: Must be JSON",
      ],
      [
        "no UTF-8",
        "push",
        push({ data: Buffer.from('"\xff"', "latin1") }),
        status.INVALID_ARGUMENT,
        "data: Must be UTF-8",
      ],
      [
        "data too large",
        "push",
        push({ data: json("x".repeat(1e6)) }),
        status.RESOURCE_EXHAUSTED,
        "Payload too large",
      ],
      [
        "a far priority",
        "push",
        push({ priority: 2 ** 31 - 1 }),
        status.INVALID_ARGUMENT,
        "priority",
      ],
      [
        "a far delay",
        "push",
        push({ delayMs: "18446744073709551615" }),
        status.INVALID_ARGUMENT,
        "delay",
      ],
      [
        "a dependency beyond 2^53",
        "push",
        push({ dependsOn: ["9007199254740993"] }),
        status.INVALID_ARGUMENT,
        "depends_on[0]",
      ],
      ["an unknown dependency", "push", push({ dependsOn: [77] }), status.INVALID_ARGUMENT, "77"],
      [
        "a batch's second",
        "pushBatch",
        { queue: "q", jobs: [{ data: json(1) }, { data: Buffer.from("x") }] },
        status.INVALID_ARGUMENT,
        "jobs[1].data",
      ],
      ["an empty batch", "pushBatch", { queue: "q" }, status.INVALID_ARGUMENT, "jobs"],
      [
        "a count of 1,001",
        "pullBatch",
        { queue: "q", count: 1001 },
        status.INVALID_ARGUMENT,
        "count",
      ],
      ["an unknown job", "ack", { id: 5 }, status.NOT_FOUND, "Job 5 not found"],
      ["an id beyond 2^53", "ack", { id: "9007199254740993" }, status.NOT_FOUND, "not found"],
      ["no id", "fail", {}, status.NOT_FOUND, "Job 0 not found"],
      [
        "a result that is no JSON",
        "ack",
        { id: 1, result: Buffer.from("{") },
        status.INVALID_ARGUMENT,
        "result",
      ],
      ["no ids", "ackBatch", {}, status.INVALID_ARGUMENT, "ids"],
    ])(
      "%s ends in a status, and the connection goes on",
      async (_, method, request, code, details) => {
        const { one } = await start(engine);
        await expect(one.call(method, request)).rejects.toMatchObject({
          code,
          details: expect.stringContaining(details),
        });
        expect(await one.call("stats")).toMatchObject({ queued: "0" });
      },
    );

    test("a duplicate is told, with who holds the key", async () => {
      const { one } = await start(engine);
      const { id } = await one.call("push", push({ uniqueKey: "k" }));
      const error: Message = await one
        .call("push", push({ uniqueKey: "k" }))
        .catch((e: unknown) => e);
      expect([error.code, error.details]).toEqual([status.ALREADY_EXISTS, "Duplicate job"]);
      expect(error.metadata.get("existing-id")).toEqual([id]);
    });

    test.each([
      "Push",
      "PushBatch",
      "Pull",
      "PullBatch",
      "Ack",
      "AckBatch",
      "Fail",
      "GetState",
      "Stats",
      "StreamJobs",
      "ProcessJobs",
    ])("%s: bytes that are no protobuf", async (method) => {
      const { one, address } = await start(engine);
      const raw = new Client(address, credentials.createInsecure());
      onTestFinished(() => raw.close());
      const same = (bytes: Buffer): Buffer => bytes;
      const path = `/flashq.QueueService/${method}`;
      const call = raw.makeBidiStreamRequest(path, same, same, new Metadata());
      call.resume();
      // A field that is longer than the message.
      call.write(Buffer.from([0x0a, 0x05, 0x71]));
      call.end();
      const [error] = (await once(call, "error").catch((e: unknown) => [e])) as [Message];
      expect([error.code, error.details]).toEqual([
        status.INVALID_ARGUMENT,
        "The request is malformed",
      ]);
      expect(await one.call("stats")).toMatchObject({ queued: "0" });
    });

    test("a text that is cut off inside a job of a batch", async () => {
      const { one, address } = await start(engine);
      const raw = new Client(address, credentials.createInsecure());
      onTestFinished(() => raw.close());
      const same = (bytes: Buffer): Buffer => bytes;
      const pushBatch = (job: readonly number[]): Promise<string> =>
        new Promise((resolve) => {
          const message = Buffer.from([0x0a, 1, 0x71, 0x12, job.length, ...job]);
          raw.makeUnaryRequest("/flashq.QueueService/PushBatch", same, same, message, (error) =>
            resolve(error === null ? "taken" : error.details),
          );
        });
      const data = [0x0a, 1, 0x31];
      expect(await pushBatch(data)).toBe("taken");
      // A key that is longer than the job it is in.
      expect(await pushBatch([...data, 0x42, 9, 0x6b])).toBe("The request is malformed");
      expect(await one.call("stats")).toMatchObject({ queued: "1" });
    });

    test("a message that is too long", async () => {
      const { one } = await start(engine, { env: { MAX_BATCH_BYTES: "50000" } });
      await expect(
        one.call("push", push({ data: json("x".repeat(60_000)) })),
      ).rejects.toMatchObject({
        code: status.RESOURCE_EXHAUSTED,
      });
      expect(await one.call("push", push({}))).toMatchObject({ ok: true });
    });

    test("messages that do not end hold 64 MB together: the longest goes first", async () => {
      const { one, address } = await start(engine);
      // What waits to be sent lies in its memory.
      const session = connectHttp2(`http://${address}`, { maxSessionMemory: 1000 });
      onTestFinished(() => session.destroy());
      /** A call with so much of a message of 15 MB. */
      const begin = (method: string, bytes: number): ClientHttp2Stream => {
        const stream = session.request({
          ":method": "POST",
          ":path": `/flashq.QueueService/${method}`,
          "content-type": "application/grpc",
          te: "trailers",
        });
        stream.resume();
        const prefix = Buffer.alloc(5);
        prefix.writeUInt32BE(15_000_000, 1);
        stream.write(prefix);
        stream.write(Buffer.alloc(bytes));
        return stream;
      };
      const LENGTH = 15_000_000;
      const { INVALID_ARGUMENT, NOT_FOUND } = status;
      const refused = { "grpc-status": expect.toBeOneOf([`${INVALID_ARGUMENT}`, `${NOT_FOUND}`]) };
      const small = begin("Push", 1000);
      const methods = ["Push", "Pull", "Ack", "Fail", "GetState"];
      const streams = methods.map((method) => begin(method, LENGTH - 100_000));
      const gone = streams.map(
        (stream) => new Promise((resolve) => stream.on("error", () => resolve(stream))),
      );
      const dropped = (await Promise.race(gone)) as ClientHttp2Stream;
      expect(dropped.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      expect(await one.call("stats")).toMatchObject({ queued: "0" });
      // There is room for the others: they are refused for nothing but what they say.
      for (const stream of streams) {
        if (stream === dropped) continue;
        const answered = once(stream, "response");
        stream.end(Buffer.alloc(100_000));
        expect((await answered)[0]).toMatchObject(refused);
      }
      const answered = once(small, "response");
      small.end(Buffer.alloc(LENGTH - 1000));
      expect((await answered)[0]).toMatchObject(refused);
    });

    test("a compressed message is no longer than another", async () => {
      const { address, one } = await start(engine);
      const session = connectHttp2(`http://${address}`);
      onTestFinished(() => session.destroy());
      const bomb = gzipSync(Buffer.alloc(100_000_000));
      const prefix = Buffer.alloc(5);
      prefix.writeUInt8(1);
      prefix.writeUInt32BE(bomb.length, 1);
      const stream = session.request({
        ":method": "POST",
        ":path": "/flashq.QueueService/Push",
        "content-type": "application/grpc",
        "grpc-encoding": "gzip",
        te: "trailers",
      });
      stream.resume();
      stream.end(Buffer.concat([prefix, bomb]));
      const [answer] = (await once(stream, "response")) as [Message];
      expect(answer).toMatchObject({ "grpc-status": `${status.RESOURCE_EXHAUSTED}` });
      expect(await one.call("stats")).toMatchObject({ queued: "0" });
    });

    test("streams: bad metadata, bad requests, bad results", async () => {
      const { one, jobs } = await start(engine);
      const codeOf = async (stream: NodeJS.ReadableStream): Promise<unknown> => {
        stream.resume();
        const [error] = (await once(stream, "error").catch((e: unknown) => [e])) as [Message];
        return error.code;
      };
      for (const prefetch of ["-1", "many", "100000"]) {
        const metadata = metadataOf({ queue: "q", prefetch });
        expect(await codeOf(one.processJobs(metadata))).toBe(status.INVALID_ARGUMENT);
      }
      expect(await codeOf(one.processJobs(metadataOf({ queue: "a b" })))).toBe(
        status.INVALID_ARGUMENT,
      );
      for (const request of [
        {},
        { queue: "q", batchSize: 1001 },
        { queue: "q", prefetch: 10_001 },
      ]) {
        expect(await codeOf(one.streamJobs(request))).toBe(status.INVALID_ARGUMENT);
      }
      await jobs.add({ queue: "q", data: 1 });
      const stream = one.processJobs(metadataOf({ queue: "q" }));
      const [job] = await take(stream, 1);
      stream.write({ id: job.id, success: true, result: Buffer.from("{") });
      expect(await codeOf(stream)).toBe(status.INVALID_ARGUMENT);
      await until(async () => (await jobs.count()).waiting === 1);
      expect(await one.call("stats")).toMatchObject({ queued: "1" });
    });
  });

  describe("who may", () => {
    const env = { API_TOKENS: "tests-alone", JWT_SECRET: "another secret of at least 32 bytes" };
    const token = (claims: object, expiresIn = "1h") =>
      new SignJWT({ ...claims })
        .setProtectedHeader({ alg: "HS256" })
        .setExpirationTime(expiresIn)
        .sign(new TextEncoder().encode(env.JWT_SECRET));

    test("a token names tenant and role; none or a bad one is refused", async () => {
      const { one } = await start(engine, { env });
      for (const wrong of [undefined, "guess"]) {
        const options = wrong === undefined ? {} : { token: wrong };
        await expect(one.call("stats", {}, options)).rejects.toMatchObject({
          code: status.UNAUTHENTICATED,
          details: "Authentication required",
        });
      }
      const manager = await token({ role: "MANAGER", tenantId: "east" });
      const operator = await token({ role: "OPERATOR", tenantId: "east" });
      const push = { queue: "q", data: json(1) };
      await expect(one.call("push", push, { token: manager })).rejects.toMatchObject({
        code: status.PERMISSION_DENIED,
      });
      await expect(one.call("pull", { queue: "q" }, { token: manager })).rejects.toMatchObject({
        code: status.PERMISSION_DENIED,
      });
      const { id } = await one.call("push", push, { token: operator });
      expect(await one.call("stats", {}, { token: manager })).toMatchObject({ queued: "1" });
      await expect(one.call("getState", { id }, { token: "tests-alone" })).rejects.toMatchObject({
        code: status.NOT_FOUND,
      });
    });

    test("a stream ends with its token, and gives back", async () => {
      const { one, queue } = await start(engine, { env });
      await queue.of("east").add({ queue: "q", data: 1 });
      const short = await token({ role: "OPERATOR", tenantId: "east" }, "4s");
      const metadata = metadataOf({ authorization: `Bearer ${short}`, queue: "q" });
      const stream = one.processJobs(metadata);
      await take(stream, 1);
      const [error] = (await once(stream, "error").catch((e: unknown) => [e])) as [Message];
      expect(error.code).toBe(status.UNAUTHENTICATED);
      await until(async () => (await queue.of("east").count()).waiting === 1);
    });

    test("health needs no token, reflection does", async () => {
      const { address, one } = await start(engine, { env });
      expect(await one.call("stats", {}, { token: "tests-alone" })).toBeDefined();
      expect(await healthOf(address)).toEqual({ status: "SERVING" });
      await expect(reflected(address, new Metadata())).rejects.toMatchObject({
        code: status.UNAUTHENTICATED,
      });
      const services = await reflected(
        address,
        metadataOf({ authorization: "Bearer tests-alone" }),
      );
      expect(services).toContain("flashq.QueueService");
    });

    test.each(["v1", "v1alpha"])(
      "a client made of what reflection %s tells can work",
      async (version) => {
        const { address } = await start(engine);
        const client = await reflectedClient(address, version);
        const ask = (method: string, request: object): Promise<Message> =>
          new Promise((resolve, reject) => {
            client[method](request, (error: Error | null, answer: Message) => {
              if (error === null) resolve(answer);
              else reject(error);
            });
          });
        const { id } = await ask("push", {
          queue: "seen",
          data: json({ n: 1 }),
          unique_key: "u-1",
        });
        const job = await ask("pull", { queue: "seen" });
        expect(job).toMatchObject({ id, queue: "seen", unique_key: "u-1", attempts: 1 });
        expect(parsed(job.data)).toEqual({ n: 1 });
        expect(await ask("ack", { id, result: json(true) })).toMatchObject({ ok: true });
        expect(await ask("getState", { id })).toMatchObject({ id, state: 4 });
        const methods = Object.keys(client.constructor.service as object).toSorted();
        expect(methods).toEqual([
          "Ack",
          "AckBatch",
          "Fail",
          "GetState",
          "ProcessJobs",
          "Pull",
          "PullBatch",
          "Push",
          "PushBatch",
          "Stats",
          "StreamJobs",
        ]);
      },
    );
  });

  describe("the server", () => {
    test("a stop: waits end, new work is refused, what runs is still reported", async () => {
      const { one, jobs, server, address } = await start(engine);
      await jobs.addMany(
        [
          { queue: "q", data: 1 },
          { queue: "q", data: 2 },
        ],
        { atomic: true },
      );
      const stream = one.processJobs(metadataOf({ queue: "q", prefetch: "2" }));
      const [first, second] = await take(stream, 2);
      const waiting = one.call("pull", { queue: "none" });
      await one.call("stats");
      server.stop();
      await expect(waiting).rejects.toMatchObject({ code: status.UNAVAILABLE });
      await expect(one.call("push", { queue: "q", data: json(1) })).rejects.toMatchObject({
        code: status.UNAVAILABLE,
      });
      stream.write({ id: first.id, success: true });
      await until(async () => (await jobs.count()).completed === 1);
      const ended = once(stream, "error").catch((error: unknown) => [error]);
      stream.resume();
      await server.close();
      expect(((await ended) as Message[])[0].code).toBe(status.UNAVAILABLE);
      expect((await jobs.get(Number(second.id))).state).toBe("waiting");
      await expect(healthOf(address)).rejects.toMatchObject({ code: status.UNAVAILABLE });
    });

    test("connections beyond the cap are refused, the others go on", async () => {
      const { one, client } = await start(engine, { env: { GRPC_MAX_CONNECTIONS: "1" } });
      await one.call("stats");
      await expect(
        client().call("stats", {}, { deadline: Date.now() + 2000 }),
      ).rejects.toMatchObject({ code: expect.any(Number) });
      expect(await one.call("stats")).toBeDefined();
    });
  });
});
