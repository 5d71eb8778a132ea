import { getRequestListener, RequestError } from "@hono/node-server";
import { type Config, type Handler, processId, QueueError } from "@jobyard/core";
import {
  closeAll,
  ConnectionCap,
  createMetrics,
  httpRefusal,
  listen,
  type Listener,
  type Logger,
  type ProcessControl,
  nodeAt,
} from "@jobyard/core/process";
import { openWork, PublicHttp } from "@jobyard/handlers";
import { Answer } from "./answer.ts";
import { createApp, refuseMalformed } from "./app.ts";
import { authenticator } from "./auth/authenticate.ts";
import { developmentSecret } from "./auth/open-mode.ts";
import type { ApiEnv } from "./dialect.ts";
import { Webhooks, type WebhooksOptions } from "./webhooks/webhooks.ts";
import { EventHub } from "./transports/event-hub.ts";
import { asksForWebSocket, WebSockets } from "./transports/websocket.ts";
import { refusal } from "./envelope.ts";
import { type GrpcServer, startGrpc } from "./transports/grpc/server.ts";
import { startTcp, type TcpServer } from "./transports/tcp/server.ts";

export interface ServerOptions {
  readonly config: Config;
  readonly log: Logger;
  /** Absent: the server is part of another program, which alone can start it anew. */
  readonly control?: ProcessControl;
  /** Default: those of every job type. */
  readonly handlers?: readonly Handler[];
  /** Default: over a day. */
  readonly webhookRetry?: NonNullable<WebhooksOptions["retry"]>;
}

export interface RunningServer {
  /** Of HTTP, one for each address and port. */
  readonly urls: readonly string[];
  /** Of the line protocol. */
  readonly tcp: readonly string[];
  readonly grpc: readonly string[];
  /** Lets running jobs go on for `graceMs` (default: as configured), and answers whoever waits. */
  close(graceMs?: number): Promise<void>;
}

/** Opens the store, the ports and the worker, in this order; what was opened is closed again if one fails. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, log, handlers, webhookRetry } = options;
  const { auth, engine, limits } = config;
  const work = await openWork(config, {
    onError: (error, doing) => log.error({ err: error }, `Could not ${doing}`),
    onWarning: (warning) => log.warn(warning),
    setsLimits: true,
    ...(handlers && { handlers }),
  });

  let stopped: Promise<void> | undefined;
  const close = (graceMs = config.worker.shutdownGraceMs): Promise<void> =>
    (stopped ??= stop(graceMs));
  const stopping = new AbortController();
  const ending = new AbortController();
  const cap = new ConnectionCap({
    max: limits.connections,
    refusal: tooMany,
    onFull: () => log.warn("Too many HTTP connections: further ones are refused"),
  });
  let listeners: readonly Listener[] = [];
  let webSockets: WebSockets;
  let tcp: TcpServer | undefined;
  let grpc: GrpcServer;
  try {
    const authenticate = authenticator(
      auth,
      auth.open ? await developmentSecret(engine.dataDir) : null,
    );
    const events = new EventHub(work.queue);
    const app = createApp({
      config,
      queue: work.queue,
      events,
      storage: work.storage,
      authenticate,
      nodeId: processId,
      log,
      control: options.control ?? { stop: () => void close(), restart: refuseRestart },
      metrics: createMetrics(work.queue, config.worker.inline ? work.worker : undefined),
      stopping: stopping.signal,
      ending: ending.signal,
    });
    let taken: ApiEnv["Bindings"];
    const onRequest = getRequestListener(app.fetch, {
      errorHandler(error) {
        // Thrown before anything was waited for: it is the one that was taken last.
        if (error instanceof RequestError) return refuseMalformed(app, error.message, taken);
        log.error({ err: error }, "A request could not be answered");
        return Response.json(refusal("Something went wrong here", { code: "SYSTEM_ERROR" }), {
          status: 500,
        });
      },
    });
    listeners = await listen({
      host: config.host,
      ports: config.http.ports,
      cap,
      onRequest(incoming, outgoing) {
        taken = { incoming, outgoing: outgoing as Answer };
        void onRequest(incoming, outgoing);
      },
      onMissing: () => log.warn("This machine has no ::1; listening on 127.0.0.1 alone"),
      ServerResponse: Answer,
      shouldUpgradeCallback: asksForWebSocket,
    });
    webSockets = new WebSockets({
      hub: events,
      authenticate,
      open: auth.open,
      log,
      maxReaders: limits.connections,
      onUpgraded: (stream) => cap.release(stream),
    });
    for (const { server } of listeners) webSockets.attach(server);
    tcp = await startTcp({
      queue: work.queue,
      authenticate,
      anonymous: auth.open ? await authenticate(undefined) : null,
      log,
      host: config.host,
      ...config.tcp,
      maxLineBytes: limits.maxBatchBytes,
      maxConnections: limits.connections,
    });
    grpc = await startGrpc({
      queue: work.queue,
      authenticate,
      log,
      host: config.host,
      port: config.grpc.port,
      maxMessageBytes: limits.maxBatchBytes,
      maxConnections: limits.grpcConnections,
    });
  } catch (error) {
    await Promise.all([closeAll(listeners, cap), tcp?.close()]);
    await work.close();
    throw error;
  }

  await work.queue.join(nodeAt(listeners));
  const worker = config.worker.inline ? work.worker : undefined;
  worker?.start();
  const webhooks = new Webhooks({
    queue: work.queue,
    http: new PublicHttp({ allowPrivate: config.webhooks.allowPrivate }),
    log,
    ...(webhookRetry && { retry: webhookRetry }),
  });
  webhooks.start();
  if (!config.worker.inline) log.info(whoRunsJobs(config));

  const stop = async (graceMs: number): Promise<void> => {
    const until = performance.now() + graceMs;
    stopping.abort();
    tcp.stop();
    grpc.stop();
    await Promise.all([worker?.drain(graceMs), webhooks.stop(graceMs)]);
    ending.abort();
    webSockets.close();
    const left = until - performance.now();
    await Promise.all([closeAll(listeners, cap, left), tcp.close(), grpc.close()]);
    await work.close();
  };
  return {
    urls: listeners.map(({ url }) => url),
    tcp: tcp.urls,
    grpc: grpc.urls,
    close,
  };
}

/** Said before it is known which dialect is spoken: in that of the root. */
const tooMany = httpRefusal(
  "503 Service Unavailable",
  { ok: false, data: null, error: "Too many connections" },
  ["Retry-After: 1"],
);

function refuseRestart(): never {
  throw new QueueError(
    "INVALID_STATE",
    "This server is part of another program, which alone can restart it",
  );
}

function whoRunsJobs({ engine }: Config): string {
  return engine.redisUrl === null
    ? "INLINE_WORKER is false: nobody runs typed jobs, which wait until a worker pulls them. Only this process can use the embedded engine"
    : "INLINE_WORKER is false: typed jobs wait for worker processes";
}
