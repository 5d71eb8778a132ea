import { type Config, ConfigError } from "@jobyard/core";
import {
  closeAll,
  ConnectionCap,
  createMetrics,
  httpRefusal,
  listen,
  type Listener,
  type Logger,
  nodeAt,
} from "@jobyard/core/process";
import { openWork } from "@jobyard/handlers";
import { watchPort } from "./watch-port.ts";

export interface RunningWorker {
  /** Of health and metrics. */
  readonly urls: readonly string[];
  /** Lets running jobs go on for `graceMs` (default: as configured); what is left is handed back. */
  close(graceMs?: number): Promise<void>;
}

/** A process that runs typed jobs, beside any number of others on the same Redis. */
export async function startWorker(config: Config, log: Logger): Promise<RunningWorker> {
  if (config.engine.redisUrl === null) {
    const message =
      "is missing, and workers of their own need it: the embedded engine belongs to the process that serves it, which runs its jobs as well (`pnpm start`)";
    throw new ConfigError([{ variable: "REDIS_URL", message }]);
  }
  const work = await openWork(config, {
    onError: (error, doing) => log.error({ err: error }, `Could not ${doing}`),
    onWarning: (warning) => log.warn(warning),
  });
  const { queue, worker } = work;
  const stopping = new AbortController();
  const cap = new ConnectionCap({
    max: config.limits.connections,
    refusal: httpRefusal("503 Service Unavailable", { error: "Too many connections" }),
    onFull: () => log.warn("Too many connections: further ones are refused"),
  });
  let listeners: readonly Listener[];
  try {
    if (worker === undefined) throw new TypeError("There is no handler for any of WORKER_QUEUES");
    listeners = await listen({
      host: config.host,
      ports: [config.worker.port],
      cap,
      onRequest: watchPort({
        auth: config.auth,
        queue,
        metrics: createMetrics(queue, worker),
        stopping: stopping.signal,
        log,
      }),
      onMissing: () => log.warn("This machine has no ::1; listening on 127.0.0.1 alone"),
    });
  } catch (error) {
    await work.close();
    throw error;
  }
  await queue.join(nodeAt(listeners));
  worker.start();

  const stop = async (graceMs: number): Promise<void> => {
    stopping.abort();
    await worker.drain(graceMs);
    await closeAll(listeners, cap);
    await work.close();
  };
  let stopped: Promise<void> | undefined;
  return {
    urls: listeners.map(({ url }) => url),
    close: (graceMs = config.worker.shutdownGraceMs) => (stopped ??= stop(graceMs)),
  };
}
