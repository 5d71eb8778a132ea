import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { RestoreReport } from "../adapters/sqlite/index.ts";
import { dataJobsAdmission } from "../admission.ts";
import { type Clock, systemClock } from "../clock.ts";
import { type Config, ConfigError } from "../config.ts";
import { QueueError } from "../errors.ts";
import type { MovedStore } from "../move.ts";
import type { QueueAdapter } from "../queue-adapter.ts";
import { type QueueGroup, queueGroups } from "../queue-groups.ts";
import { JobQueue, type QueueOptions } from "../queue.ts";

export interface EngineOptions extends Pick<QueueOptions, "onRemoved"> {
  /** Told of failures that no caller waits for. */
  readonly onError: (error: unknown, doing: string) => void;
  /** Told at the start of what is at risk with the store as it is set up. */
  readonly onWarning: (warning: string) => void;
  /**
   * Whether this process takes jobs from clients: the limits of its settings hold for what is added here, and those of
   * groups of queues for the whole store. Else the latter are as others have set them.
   */
  readonly setsLimits?: boolean;
}

/**
 * The queue of this process, open, on the engine that the settings ask for.
 * @throws ConfigError where the store is not what the settings require
 * @throws QueueError UNAVAILABLE where it cannot be used; it says why, and how to mend it
 */
export async function openQueue(config: Config, options: EngineOptions): Promise<JobQueue> {
  const { engine, files, retention } = config;
  const { onError, onWarning, onRemoved, setsLimits = false } = options;
  const limits = setsLimits ? { groups: queueGroups(config.limits) } : {};
  const { adapter, clock } = await openAdapter(engine, limits);
  const admission = setsLimits ? dataJobsAdmission(adapter, config.limits.dataJobs) : undefined;
  const queue = new JobQueue({
    adapter,
    clock,
    ...(admission && { admission }),
    payloadFolder: payloadFolder(files.dir, engine.redisUrl === null ? "sqlite" : "bullmq"),
    leaseMs: engine.leaseMs,
    keepCompletedMs: retention.completedMs,
    keepFailedMs: retention.failedMs,
    onError,
    ...(onRemoved && { onRemoved }),
  });
  try {
    const { durable, warnings } = await adapter.health();
    if (engine.redisRequireAof && engine.redisUrl !== null && !durable) {
      throw new ConfigError([{ variable: "REDIS_REQUIRE_AOF", message: NO_AOF }]);
    }
    for (const { message } of warnings) onWarning(message);
    await queue.open();
    return queue;
  } catch (error) {
    await queue.close().catch(() => undefined);
    throw error;
  }
}

/** No name of a tenant, whose own folders lie beside it. Each engine deletes what its own jobs do not name. */
function payloadFolder(filesDir: string, engine: "sqlite" | "bullmq"): string {
  return join(filesDir, engine === "sqlite" ? ".payloads" : ".payloads-redis");
}

/**
 * Both stores that the settings name, to be moved one into the other while nobody serves them.
 * @throws ConfigError where no Redis is named
 */
export async function movedStores({
  engine,
  files,
}: Config): Promise<{ readonly embedded: MovedStore; readonly redis: MovedStore }> {
  if (engine.redisUrl === null) {
    const message = "is not set: it says which Redis the jobs are to be moved to or from";
    throw new ConfigError([{ variable: "REDIS_URL", message }]);
  }
  const { SqliteAtRest } = await import("../adapters/sqlite/index.ts");
  const { BullmqAtRest } = await import("../adapters/bullmq/index.ts");
  return {
    embedded: {
      store: new SqliteAtRest({ path: databaseFile(engine.dataDir) }),
      payloadFolder: payloadFolder(files.dir, "sqlite"),
    },
    redis: {
      store: new BullmqAtRest({ url: urlsOf(engine.redisUrl) }),
      payloadFolder: payloadFolder(files.dir, "bullmq"),
    },
  };
}

/**
 * Puts a backup of the embedded engine in the place of its store.
 * @throws QueueError as `restoreBackup` of the adapter
 */
export async function restore({ engine, files }: Config, file: string): Promise<RestoreReport> {
  const { restoreBackup } = await import("../adapters/sqlite/index.ts");
  const path = databaseFile(engine.dataDir);
  return restoreBackup({ file, path, payloadFolder: payloadFolder(files.dir, "sqlite") });
}

function databaseFile(dataDir: string): string {
  return join(dataDir, "jobyard.db");
}

function urlsOf(redisUrl: string): string | readonly string[] {
  const [url = "", ...others] = redisUrl.split(",");
  return others.length === 0 ? url : [url, ...others];
}

const NO_AOF =
  "is true, but this Redis keeps no append-only file and forgets accepted jobs when it is killed; set `appendonly yes` in its configuration, or run `redis-cli CONFIG SET appendonly yes`";

/** Only the engine that is used is loaded. */
async function openAdapter(
  { redisUrl, dataDir }: Config["engine"],
  limits: { readonly groups?: readonly QueueGroup[] },
): Promise<{ readonly adapter: QueueAdapter; readonly clock: Clock }> {
  if (redisUrl === null) {
    const { SqliteAdapter } = await import("../adapters/sqlite/index.ts");
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const adapter = new SqliteAdapter({ path: databaseFile(dataDir), ...limits });
    await adapter.open();
    return { adapter, clock: systemClock };
  }
  const { BullmqAdapter } = await import("../adapters/bullmq/index.ts");
  const adapter = new BullmqAdapter({ url: urlsOf(redisUrl), ...limits });
  try {
    await adapter.open();
  } catch (error) {
    if (!(error instanceof QueueError) || error.code !== "UNAVAILABLE") throw error;
    throw new QueueError(
      error.code,
      `${error.message} (REDIS_URL is ${redisUrl.split(",").map(withoutPassword).join(",")}). Start Redis there or correct REDIS_URL; without REDIS_URL the embedded engine is used.`,
      error.details,
      error,
    );
  }
  return { adapter, clock: adapter.clock };
}

function withoutPassword(url: string): string {
  const { protocol, username, password, host, pathname } = new URL(url);
  return `${protocol}//${username === "" && password === "" ? "" : "***@"}${host}${pathname}`;
}
