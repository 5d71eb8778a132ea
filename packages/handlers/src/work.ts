import {
  type Config,
  type Handler,
  isJobTypeName,
  type JobQueue,
  QueueError,
  Worker,
} from "@jobyard/core";
import { type EngineOptions, openQueue } from "@jobyard/core/process";
import { createHandlers } from "./registry.ts";
import { closeSharedThreads } from "./sentiment-analysis-batch/batch.ts";
import { Storage, type StorageOptions } from "./storage.ts";

/** Datasets and records live for weeks: once an hour is often enough. */
const PRUNE_FILES_MS = 3_600_000;

interface WorkOptions extends Pick<EngineOptions, "setsLimits" | "onError" | "onWarning"> {
  /** Default: those of every job type. */
  readonly handlers?: readonly Handler[];
}

/** What every process of ours works with, composed from its settings. */
export interface Work {
  readonly queue: JobQueue;
  readonly storage: Storage;
  /** Runs the typed queues of this process once it is started; undefined: there is no handler for any of them. */
  readonly worker: Worker | undefined;
  /** After the worker has been drained. */
  close(): Promise<void>;
}

/** @throws as `openQueue` */
export async function openWork(config: Config, options: WorkOptions): Promise<Work> {
  const { engine, files, s3, retention } = config;
  const { onError, onWarning, setsLimits = false } = options;
  const storage = new Storage({
    root: files.dir,
    // Ids begin with 1 on both engines, and each deletes what its own jobs do not name.
    resultsFolder: engine.redisUrl === null ? "results" : "results-redis",
    ...(s3 === null ? {} : { s3: s3Settings(s3) }),
  });
  let queue: JobQueue;
  try {
    queue = await openQueue(config, {
      // Only handlers keep files.
      onRemoved: (jobs) => storage.removeResults(jobs.filter((job) => isJobTypeName(job.queue))),
      onError,
      onWarning,
      setsLimits,
    });
  } catch (error) {
    await storage.close();
    throw error;
  }

  let closed = false;
  const prune = (): void => {
    storage
      .prune({
        now: queue.clock.now(),
        recordsMs: retention.recordsMs,
        present: async (tenant, ids) => {
          const page = { limit: ids.length, order: "asc", payloads: false } as const;
          const { jobs } = await queue.of(tenant).list({ ids }, page);
          const there = new Set(jobs.map(({ id }) => id));
          return ids.map((id) => there.has(id));
        },
      })
      .catch((error: unknown) => {
        if (!closed) onError(error, "prune files");
      });
  };
  prune();
  const pruning = setInterval(prune, PRUNE_FILES_MS);

  return {
    queue,
    storage,
    worker: workerOf(
      config,
      queue,
      options.handlers ?? ownHandlers(config, queue, storage),
      onError,
    ),
    async close() {
      closed = true;
      clearInterval(pruning);
      try {
        await queue.close();
      } finally {
        await storage.close();
        await closeSharedThreads();
      }
    },
  };
}

function workerOf(
  config: Config,
  queue: JobQueue,
  handlers: readonly Handler[],
  onError: (error: unknown, doing: string) => void,
): Worker | undefined {
  const { queues, concurrency } = config.worker;
  const own = handlers.filter(({ type: { name } }) => isJobTypeName(name) && queues.includes(name));
  if (own.length === 0) return undefined;
  return new Worker({
    queue,
    handlers: own,
    concurrency: queues.reduce((sum, name) => sum + concurrency[name], 0),
    perQueue: concurrency,
    onError,
  });
}

/** The handlers of all job types, with what they need of this process. */
function ownHandlers(config: Config, queue: JobQueue, files: Storage): readonly Handler[] {
  const { smtp, notifyEmail, extractor, workerServiceUrl, limits } = config;
  const points = limits.batches.requestsPerMinute;
  return createHandlers({
    files,
    async jobResult(tenant, jobId) {
      const [job] = await queue.of(tenant).getMany([jobId]);
      return job?.result == null ? null : queue.payloads.readBytes(job.result);
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
    ...(points === 0
      ? {}
      : { modelRequests: queue.adapter.rateLimiter({ name: "model", points, seconds: 60 }) }),
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
