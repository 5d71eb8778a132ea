import { join } from "node:path";
import {
  type CallOptions,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { type JobQueue, parseConfig } from "@jobyard/core";
import { createLogger } from "@jobyard/core/process";
import { onTestFinished } from "vitest";
import { authenticator } from "../../src/auth/authenticate.ts";
import { type GrpcServer, startGrpc } from "../../src/transports/grpc/server.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- whatever a message holds: the test knows
export type Message = any;

const proto = join(import.meta.dirname, "../../proto/flashq.proto");
/** As clients of other languages see it: uint64 in full. */
const loaded = loadPackageDefinition(
  loadSync(proto, { longs: String, enums: String, defaults: true, oneofs: true }),
);
const { QueueService } = loaded["flashq"] as GrpcObject & {
  readonly QueueService: ServiceClientConstructor;
};

type Unary = (
  request: object,
  metadata: Metadata,
  options: CallOptions,
  done: (error: ServiceError | null, answer: Message) => void,
) => ClientUnaryCall;

interface Streams {
  streamJobs(request: object, metadata?: Metadata): ClientReadableStream<Message>;
  processJobs(metadata?: Metadata, options?: CallOptions): ClientDuplexStream<object, Message>;
}

export interface GrpcClient extends Streams {
  call(method: string, request?: object, options?: GrpcCallOptions): Promise<Message>;
  /** As above, but the call itself. */
  begin(method: string, request: object): ClientUnaryCall;
  close(): void;
}

export interface GrpcCallOptions extends CallOptions {
  readonly token?: string;
}

export interface GrpcSetup {
  readonly env?: Record<string, string>;
}

export interface Grpc {
  readonly server: GrpcServer;
  readonly address: string;
  client(): GrpcClient;
}

const DEVELOPMENT_SECRET = "a development secret of 32 bytes!";

/** The service over a queue, on a free port. */
export async function grpc(queue: JobQueue, setup: GrpcSetup = {}): Promise<Grpc> {
  const { auth, limits } = parseConfig({ GRPC_PORT: "0", ...setup.env });
  const server = await startGrpc({
    queue,
    authenticate: authenticator(auth, auth.open ? DEVELOPMENT_SECRET : null),
    log: createLogger("silent", false),
    host: "localhost",
    port: 0,
    maxMessageBytes: limits.maxBatchBytes,
    maxConnections: limits.grpcConnections,
  });
  onTestFinished(() => server.close());
  const address = (server.urls[0] ?? "").replace("grpc://", "");
  return { server, address, client: () => clientAt(address) };
}

export function metadataOf(entries: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(entries)) metadata.set(name, value);
  return metadata;
}

function clientAt(address: string): GrpcClient {
  const channel = { "grpc.use_local_subchannel_pool": 1, "grpc.max_receive_message_length": -1 };
  const client = new QueueService(address, credentials.createInsecure(), channel);
  onTestFinished(() => client.close());
  const methods = client as unknown as Readonly<Record<string, Unary>>;
  const streams = client as unknown as Streams;
  // Streams end with the test at the latest, and then nobody listens.
  const quiet = <S extends NodeJS.EventEmitter>(stream: S): S =>
    stream.on("error", () => undefined);
  return {
    streamJobs: (request, metadata) => quiet(streams.streamJobs(request, metadata)),
    processJobs: (metadata = new Metadata(), options = {}) =>
      quiet(streams.processJobs(metadata, options)),
    call: (method: string, request: object = {}, { token, ...options }: GrpcCallOptions = {}) => {
      const metadata = metadataOf(token === undefined ? {} : { authorization: `Bearer ${token}` });
      return new Promise<Message>((resolve, reject) => {
        methods[method]!.call(client, request, metadata, options, (error, answer) => {
          if (error === null) resolve(answer);
          else reject(error);
        });
      });
    },
    begin: (method: string, request: object) =>
      methods[method]!.call(client, request, new Metadata(), {}, () => undefined),
    close: () => client.close(),
  };
}

export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
export const parsed = (bytes: Buffer): Message => JSON.parse(bytes.toString());
