import { runProcess } from "@jobyard/core/process";
import { startServer } from "./server.ts";

/** The API, with a worker in it unless `INLINE_WORKER` is false, until a signal ends it; see `runProcess`. */
export function runApi(env: Readonly<Record<string, string | undefined>>): Promise<void> {
  return runProcess(env, async (config, log, control) => {
    const server = await startServer({ config, log, control });
    const { urls, tcp, grpc } = server;
    const all = [...urls, ...tcp, ...grpc].join(", ");
    log.info({ urls, tcp, grpc }, `Jobyard is ready on ${all}`);
    if (config.auth.open) {
      log.info("No token is configured: calls from this machine are let in without one");
    }
    return server;
  });
}
