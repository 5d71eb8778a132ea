import { runProcess } from "@jobyard/core/process";
import { startWorker } from "./worker.ts";

/** A worker process, until a signal ends it; see `runProcess`. */
export function runWorker(env: Readonly<Record<string, string | undefined>>): Promise<void> {
  return runProcess(env, async (config, log) => {
    const worker = await startWorker(config, log);
    const { urls } = worker;
    const { queues } = config.worker;
    log.info({ urls, queues }, `The worker is ready; health and metrics on ${urls.join(", ")}`);
    return worker;
  });
}
