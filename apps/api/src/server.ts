import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { getRequestListener, RequestError } from "@hono/node-server";
import {
  type Config,
  type Handler,
  isJobTypeName,
  JobQueue,
  QueueError,
  Worker,
} from "@jobyard/core";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { closeThreads, createHandlers, Storage, type StorageOptions } from "@jobyard/handlers";
import { createApp } from "./app.ts";
import { authenticator } from "./auth/authenticate.ts";
import { developmentSecret } from "./auth/open-mode.ts";
import { closeAll, listen, type Listener } from "./listeners.ts";
import type { Logger } from "./log.ts";

/** Datasets and records live for weeks: once an hour is often enough. */
const PRUNE_FILES_MS = 3_600_000;

export interface ServerOptions {
  readonly config: Config;
  readonly log: Logger;
  /** Default: those of every job type. */
  readonly handlers?: readonly Handler[];
}

export interface RunningServer {
  /** One for each address and port. */
  readonly urls: readonly string[];
  /** Lets running jobs go on for `graceMs` (default: as configured), and answers whoever waits. */
  close(graceMs?: number): Promise<void>;
}

/** Opens the store, the HTTP ports and the worker, in this order; what was opened is closed again if one fails. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, log } = options;
  const { dataDir } = config.engine;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const onError = (error: unknown, doing: string): void => {
    log.error({ err: error }, `Could not ${doing}`);
  };
  const storage = new Storage({
    root: config.files.dir,
    ...(config.s3 === null ? {} : { s3: s3Settings(config.s3) }),
  });
  const queue = new JobQueue({
    adapter: new SqliteAdapter({ path: join(dataDir, "jobyard.db") }),
    // No name of a tenant, whose own folders lie beside it.
    payloadFolder: join(config.files.dir, ".payloads"),
    leaseMs: config.engine.leaseMs,
    keepCompletedMs: config.retention.completedMs,
    keepFailedMs: config.retention.failedMs,
    // Only handlers keep files.
    onRemoved: (jobs) => storage.removeResults(jobs.filter((job) => isJobTypeName(job.queue))),
    onError,
  });
  await queue.open();

  const stopping = new AbortController();
  const ending = new AbortController();
  let listeners: readonly Listener[];
  try {
    const { auth } = config;
    const app = createApp({
      config,
      queue,
      storage,
      authenticate: authenticator(auth, auth.open ? await developmentSecret(dataDir) : null),
      nodeId: `${hostname()}-${process.pid}`,
      log,
      stopping: stopping.signal,
      ending: ending.signal,
    });
    const onRequest = getRequestListener(app.fetch, {
      errorHandler: (error) => withoutRoute(error, log),
    });
    listeners = await listen(
      config.host,
      config.http.ports,
      (request, response) => void onRequest(request, response),
      () => log.warn("This machine has no ::1; listening on 127.0.0.1 alone"),
    );
  } catch (error) {
    await queue.close();
    await storage.close();
    throw error;
  }

  const handlers = options.handlers ?? ownHandlers(config, queue, storage);
  const worker = workerOf(config, queue, handlers, onError);
  worker?.start();

  const prune = (): void => {
    storage
      .prune({
        now: queue.clock.now(),
        recordsMs: config.retention.recordsMs,
        present: async (tenant, ids) =>
          (await queue.of(tenant).getMany(ids)).map((job) => job !== null),
      })
      .catch((error: unknown) => {
        if (!stopping.signal.aborted) onError(error, "prune files");
      });
  };
  prune();
  const pruning = setInterval(prune, PRUNE_FILES_MS);

  const stop = async (graceMs: number): Promise<void> => {
    stopping.abort();
    clearInterval(pruning);
    await worker?.drain(graceMs);
    ending.abort();
    await closeAll(listeners);
    await queue.close();
    await storage.close();
    await closeThreads();
  };
  let stopped: Promise<void> | undefined;
  return {
    urls: listeners.map(({ url }) => url),
    close: (graceMs = config.worker.shutdownGraceMs) => (stopped ??= stop(graceMs)),
  };
}

/** What is so malformed (its host, its URL) that no route can be looked up for it. */
function withoutRoute(error: unknown, log: Logger): Response {
  const malformed = error instanceof RequestError;
  if (!malformed) log.error({ err: error }, "A request could not be answered");
  const body = {
    success: false,
    error: malformed ? error.message : "Something went wrong here",
    details: { code: malformed ? "BAD_REQUEST" : "SYSTEM_ERROR" },
    timestamp: new Date().toISOString(),
  };
  return Response.json(body, { status: malformed ? 400 : 500 });
}

/** The handlers of all job types, with what they need of this process. */
function ownHandlers(config: Config, queue: JobQueue, storage: Storage): readonly Handler[] {
  const { smtp, notifyEmail, extractor, workerServiceUrl, limits } = config;
  return createHandlers({
    files: storage,
    async jobResult(tenant, jobId) {
      const [job] = await queue.of(tenant).getMany([jobId]);
      return job?.result == null ? null : queue.payloads.read(job.result);
    },
    async enqueue(tenant, job) {
      const [outcome] = await queue.of(tenant).addMany([job], { atomic: false });
      if (!(outcome instanceof QueueError)) return outcome as number;
      const { existingId } = outcome.details;
      if (outcome.code === "DUPLICATE_JOB" && existingId !== undefined) return existingId;
      throw outcome;
    },
    smtp,
    notifyEmail,
    extractor,
    modelRequestsPerMinute: limits.batches.requestsPerMinute,
    workerServiceUrl,
  });
}

function s3Settings(s3: NonNullable<Config["s3"]>): NonNullable<StorageOptions["s3"]> {
  const { bucket, region, endpoint, accessKeyId, secretAccessKey, sessionToken } = s3;
  return {
    bucket,
    region,
    ...(endpoint === null ? {} : { endpoint }),
    ...(accessKeyId === null || secretAccessKey === null
      ? {}
      : {
          credentials: {
            accessKeyId,
            secretAccessKey,
            ...(sessionToken === null ? {} : { sessionToken }),
          },
        }),
  };
}

function workerOf(
  config: Config,
  queue: JobQueue,
  handlers: readonly Handler[],
  onError: (error: unknown, doing: string) => void,
): Worker | undefined {
  const { inline, queues, concurrency } = config.worker;
  const own = handlers.filter(({ type: { name } }) => isJobTypeName(name) && queues.includes(name));
  if (!inline || own.length === 0) return undefined;
  return new Worker({
    queue,
    handlers: own,
    concurrency: queues.reduce((sum, name) => sum + concurrency[name], 0),
    perQueue: concurrency,
    onError,
  });
}
