import { runProcess } from "@jobyard/core/process";
import { startServer } from "./server.ts";

await runProcess(process.env, async (config, log, control) => {
  const server = await startServer({ config, log, control });
  const { urls, tcp } = server;
  log.info({ urls, tcp }, `Jobyard is ready on ${[...urls, ...tcp].join(", ")}`);
  if (config.auth.open) {
    log.info("No token is configured: calls from this machine are let in without one");
  }
  return server;
});
