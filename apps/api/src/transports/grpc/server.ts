import { constants } from "node:http2";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import type { JobQueue } from "@jobyard/core";
import { bind, ConnectionCap, type Logger } from "@jobyard/core/process";
import { HealthImplementation } from "grpc-health-check";
import type { Authenticate } from "../../auth/authenticate.ts";
import { requireAccess } from "../../auth/caller.ts";
import { Calls } from "./calls.ts";
import { loadProtocol } from "./protocol.ts";
import { UnfinishedMessages } from "./unfinished-messages.ts";

export interface GrpcOptions {
  readonly queue: JobQueue;
  readonly authenticate: Authenticate;
  readonly log: Logger;
  readonly host: string;
  readonly port: number;
  readonly maxMessageBytes: number;
  readonly maxConnections: number;
}

export interface GrpcServer {
  /** One for each address and port. */
  readonly urls: readonly string[];
  /** No new connections, and no more jobs for those there are; what runs may be reported. */
  stop(): void;
  close(): Promise<void>;
}

const SERVICE = "flashq.QueueService";
/** Calls at once on one connection, and of headers, bytes. */
const MAX_CALLS = 10_000;
const MAX_METADATA_BYTES = 65_536;
/** Of messages that have not ended, over all calls. */
const UNFINISHED_BYTES = 64_000_000;
/** A connection that does not answer is dead. */
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
const IDLE_MS = 3_600_000;
/** Between two looks at the streams, ms. */
const LOOK_MS = 1000;
/** For the answers that are under way when the server closes, ms. */
const LAST_ANSWERS_MS = 2000;

/** flashQ's gRPC service, with health and reflection. */
export async function startGrpc(options: GrpcOptions): Promise<GrpcServer> {
  const { queue, host, port, log, maxMessageBytes, maxConnections } = options;
  const { definition, service } = loadProtocol();
  const calls = new Calls(options);
  const server = new Server({
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": MAX_CALLS,
    "grpc.max_metadata_size": MAX_METADATA_BYTES,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
    "grpc.max_connection_idle_ms": IDLE_MS,
    "grpc.enable_channelz": 0,
  });
  server.addService(service, calls.methods);
  const health = new HealthImplementation({ "": "SERVING", [SERVICE]: "SERVING" });
  health.addToServer(server);
  new ReflectionService(definition).addToServer({
    addService: (reflection, methods) => server.addService(reflection, readersOnly(methods, calls)),
  });

  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const unfinished = new UnfinishedMessages(Math.max(UNFINISHED_BYTES, maxMessageBytes));
  const onConnection = (socket: Socket): void => {
    unfinished.watch(socket);
    socket.setNoDelay(true);
    injector.injectConnection(socket);
  };
  const listeners = await bind<NetServer>({
    host,
    ports: [port],
    scheme: "grpc",
    create: () => createServer(onConnection),
    cap: new ConnectionCap({
      max: maxConnections,
      refusal: goAway("Too many connections"),
      onFull: () => log.warn("Too many gRPC connections: further ones are refused"),
    }),
    onMissing: () => log.warn("This machine has no ::1; gRPC is on 127.0.0.1 alone"),
  });

  let renewAt = Date.now() + queue.leaseMs / 3;
  const looking = setInterval(() => {
    const now = Date.now();
    for (const stream of calls.streams) stream.endIfExpired(now);
    if (now < renewAt) return;
    renewAt = now + queue.leaseMs / 3;
    for (const stream of calls.streams) {
      stream.renew().catch((error: unknown) => log.warn({ err: error }, "A stream's jobs"));
    }
  }, LOOK_MS);

  let stopped = false;
  const stop = (): void => {
    if (stopped) return;
    stopped = true;
    health.setStatus("", "NOT_SERVING");
    health.setStatus(SERVICE, "NOT_SERVING");
    for (const { server: listener } of listeners) listener.close();
    calls.stop();
  };
  return {
    urls: listeners.map(({ url }) => url),
    stop,
    async close() {
      stop();
      await Promise.all([...calls.streams].map((stream) => stream.close()));
      await new Promise<void>((resolve) => {
        const cut = setTimeout(() => server.forceShutdown(), LAST_ANSWERS_MS);
        server.tryShutdown(() => {
          clearTimeout(cut);
          resolve();
        });
      });
      clearInterval(looking);
      unfinished.close();
    },
  };
}

/** RFC 9113: the settings that a server begins with, and that it serves nobody here (6.5, 6.8). */
function goAway(reason: string): Buffer {
  const frame = (type: number, payload: Buffer): Buffer => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    return Buffer.concat([head, payload]);
  };
  const none = Buffer.alloc(8);
  none.writeUInt32BE(constants.NGHTTP2_ENHANCE_YOUR_CALM, 4);
  const [SETTINGS, GOAWAY] = [4, 7];
  return Buffer.concat([
    frame(SETTINGS, Buffer.alloc(0)),
    frame(GOAWAY, Buffer.concat([none, Buffer.from(reason)])),
  ]);
}

/** The service's own methods ask who calls; these have to be told to. */
function readersOnly(
  methods: UntypedServiceImplementation,
  calls: Calls,
): UntypedServiceImplementation {
  const guarded = Object.entries(methods).map(([name, method]) => {
    const guard = (call: ServerDuplexStream<unknown, unknown>): void => {
      calls
        .session(call.metadata)
        .then(({ caller }) => {
          requireAccess(caller, "read");
          (method as (call: ServerDuplexStream<unknown, unknown>) => void)(call);
        })
        .catch((error: unknown) => call.emit("error", calls.statusOf(error)));
    };
    return [name, guard];
  });
  return Object.fromEntries(guarded) as UntypedServiceImplementation;
}
