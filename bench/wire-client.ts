/** The client process. Usage: node wire-client.ts <scenario> <port or address> [size] [lanes] */
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import {
  type ClientDuplexStream,
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { expectEqual, payload, perSecond, report } from "./measure.ts";
import { lanes } from "./wire-work.ts";

const [scenario = "", address = "", first = "", second = ""] = process.argv.slice(2);

async function connected(): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port: Number(address) });
  await once(socket, "connect");
  return socket.setNoDelay(true);
}

/** Answers by order; what is asked in one turn goes out in one write. */
class Pipeline {
  readonly #socket: Socket;
  readonly #waiting: ((answer: string) => void)[] = [];
  #answered = 0;
  #out: string[] = [];
  /** Of a line that has not ended. */
  #parts: string[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8").on("data", (text: string) => {
      let from = 0;
      for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", from)) {
        this.#parts.push(text.slice(from, end));
        this.#waiting[this.#answered++]?.(this.#parts.join(""));
        this.#parts = [];
        from = end + 1;
      }
      if (from < text.length) this.#parts.push(text.slice(from));
      if (this.#answered < 1000) return;
      this.#waiting.splice(0, this.#answered);
      this.#answered = 0;
    });
  }

  ask(command: string): Promise<string> {
    if (this.#out.push(command) === 1) {
      setImmediate(() => {
        this.#socket.write(this.#out.join(""));
        this.#out = [];
      });
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The next line, of an answer that has several. */
  more(): Promise<string> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** The id of each job of an answer: what a job carries is its handler's to parse, as it is where there is no wire. */
const IDS = /"id":(\d+),"queue":/g;

async function tcpBatches(): Promise<void> {
  const pipeline = new Pipeline(await connected());
  const size = Number(first);
  const jobs = Array.from({ length: size }, () => ({ data: payload }));
  const push = `${JSON.stringify({ cmd: "PUSHB", queue: "bench", jobs })}\n`;
  const ask = async (command: string): Promise<string> => {
    const answer = await pipeline.ask(command);
    if (!answer.startsWith('{"ok":true')) throw new Error(answer);
    return answer;
  };
  const { jobs: done, ms } = await lanes(Number(second), size, async () => {
    await ask(push);
    for (let left = size; left > 0;) {
      const pulled = await ask(`{"cmd":"PULLB","queue":"bench","count":${left}}\n`);
      const ids = Array.from(pulled.matchAll(IDS), ([, id]) => id);
      const acked = await ask(`{"cmd":"ACKB","ids":[${ids.join()}]}\n`);
      const [told = 0] = (JSON.parse(acked) as { readonly ids: readonly number[] }).ids;
      expectEqual(told, ids.length, "acknowledged jobs");
      left -= ids.length;
    }
  });
  report({ lifecycle: perSecond(done, ms) });
}

interface TcpAnswer {
  readonly ok: boolean;
  readonly error?: string;
  readonly job: { readonly id: number };
}

async function tcp(): Promise<(command: object) => Promise<TcpAnswer>> {
  const pipeline = new Pipeline(await connected());
  return async (command) => {
    const answer = JSON.parse(await pipeline.ask(`${JSON.stringify(command)}\n`)) as TcpAnswer;
    if (!answer.ok) throw new Error(answer.error);
    return answer;
  };
}

async function tcpSingles(): Promise<void> {
  const ask = await tcp();
  const { jobs, ms } = await lanes(Number(first), 1, async () => {
    await ask({ cmd: "PUSH", queue: "bench", data: payload });
    const { job } = await ask({ cmd: "PULL", queue: "bench" });
    await ask({ cmd: "ACK", id: job.id });
  });
  report({ lifecycle: perSecond(jobs, ms) });
}

/** Its commands are single ones: a batch is so many sent together. */
async function beanstalkd(): Promise<void> {
  const socket = await connected();
  const pipeline = new Pipeline(socket);
  const size = Number(first);
  const body = JSON.stringify(payload);
  const put = `put 0 0 60 ${body.length}\r\n${body}\r\n`;
  const { jobs, ms } = await lanes(Number(second), size, async () => {
    const each = Array.from({ length: size });
    for (const told of await Promise.all(each.map(() => pipeline.ask(put)))) {
      if (!told.startsWith("INSERTED")) throw new Error(told);
    }
    // RESERVED <id> <bytes>, and then the body.
    const reserved = await Promise.all(
      each.map(() => Promise.all([pipeline.ask("reserve\r\n"), pipeline.more()])),
    );
    const ids = reserved.map(([told]) => told.split(" ")[1]);
    for (const told of await Promise.all(ids.map((id) => pipeline.ask(`delete ${id}\r\n`)))) {
      if (!told.startsWith("DELETED")) throw new Error(told);
    }
  });
  report({ lifecycle: perSecond(jobs, ms) });
}

// ---- gRPC

interface GrpcClient {
  push(request: object, done: (error: ServiceError | null) => void): void;
  pushBatch(request: object, done: (error: ServiceError | null) => void): void;
  processJobs(metadata: Metadata): ClientDuplexStream<object, { readonly id: number }>;
}

function grpc(): GrpcClient {
  const proto = fileURLToPath(new URL("../apps/api/proto/flashq.proto", import.meta.url));
  const loaded = loadPackageDefinition(loadSync(proto, { longs: Number }));
  const { QueueService } = loaded["flashq"] as GrpcObject & {
    readonly QueueService: ServiceClientConstructor;
  };
  return new QueueService(address, credentials.createInsecure()) as unknown as GrpcClient;
}

const data = Buffer.from(JSON.stringify(payload));

async function grpcPush(): Promise<void> {
  const client = grpc();
  const { jobs, ms } = await lanes(
    256,
    1,
    () =>
      new Promise<void>((resolve, reject) => {
        client.push({ queue: "bench", data }, (error) => {
          if (error === null) resolve();
          else reject(error);
        });
      }),
  );
  report({ lifecycle: perSecond(jobs, ms) });
}

const PREFETCH = 256;

async function grpcProcess(): Promise<void> {
  const client = grpc();
  const warmUp = 10_000;
  const jobs = 40_000;
  const batch = Array.from({ length: 1000 }, () => ({ data }));
  for (let i = 0; i < warmUp + jobs + PREFETCH; i += 1000) {
    await new Promise<void>((resolve, reject) => {
      client.pushBatch({ queue: "bench", jobs: batch }, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  }
  const metadata = new Metadata();
  metadata.set("queue", "bench");
  metadata.set("prefetch", String(PREFETCH));
  const stream = client.processJobs(metadata);
  let done = 0;
  let began = 0;
  await new Promise<void>((resolve, reject) => {
    stream.on("error", reject);
    stream.on("data", ({ id }) => {
      stream.write({ id, success: true });
      if (++done === warmUp) began = performance.now();
      if (done === warmUp + jobs) resolve();
    });
  });
  report({ lifecycle: perSecond(jobs, performance.now() - began) });
}

const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  "tcp-batches": tcpBatches,
  "tcp-singles": tcpSingles,
  beanstalkd,
  "grpc-push": grpcPush,
  "grpc-process": grpcProcess,
};
await scenarios[scenario]?.();
process.exit(0);
