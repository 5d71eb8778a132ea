import { randomUUID } from "node:crypto";
import { ConfigError, parseConfig, QueueError } from "@jobyard/core";
import { createLogger } from "./log.ts";
import { type RunningServer, startServer } from "./server.ts";

/** As sysexits.h has it. */
const EX_CONFIG = 78;
/** For a stop after something that nobody foresaw, ms. */
const LAST_RESORT_MS = 2000;

function refuseToStart(message: string, exitCode: number): never {
  process.stderr.write(`${message}\n`);
  process.exit(exitCode);
}

function configured(): ReturnType<typeof parseConfig> {
  try {
    const config = parseConfig(process.env);
    if (config.engine.redisUrl === null) return config;
  } catch (error) {
    if (error instanceof ConfigError) refuseToStart(error.message, EX_CONFIG);
    throw error;
  }
  return refuseToStart(
    "REDIS_URL is set, but the distributed engine is not part of this version yet.\n" +
      "Unset REDIS_URL to run the embedded engine, which keeps its jobs in DATA_DIR.",
    EX_CONFIG,
  );
}

const config = configured();
const log = createLogger(config.log.level, process.stdout.isTTY);

let server: RunningServer | undefined;
let stopAsked = false;

async function stop(exitCode: number, graceMs?: number): Promise<void> {
  try {
    await server?.close(graceMs);
    log.info("Stopped");
  } catch (error) {
    log.fatal({ err: error }, "The stop failed");
    process.exit(1);
  }
  process.exit(exitCode);
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    if (stopAsked) process.exit(1);
    stopAsked = true;
    log.info(`${signal}: stopping; running jobs have ${config.worker.shutdownGraceMs} ms`);
    // Still starting: it is closed as soon as it is up.
    if (server !== undefined) void stop(0);
  });
}

function onUnforeseen(error: unknown): void {
  log.fatal({ id: randomUUID(), err: error }, "Something failed that nobody foresaw; stopping");
  setTimeout(() => process.exit(1), LAST_RESORT_MS);
  void stop(1, 0);
}
process.on("uncaughtException", onUnforeseen);
process.on("unhandledRejection", onUnforeseen);

try {
  server = await startServer({ config, log });
} catch (error) {
  const known = error instanceof QueueError || (error as NodeJS.ErrnoException).code !== undefined;
  if (!known) throw error;
  refuseToStart(`Jobyard cannot start: ${(error as Error).message}`, 1);
}
const { urls } = server;
log.info({ urls }, `Jobyard is ready on ${urls.join(", ")}`);
if (config.auth.open) {
  log.info("No token is configured: calls from this machine are let in without one");
}
if (stopAsked) void stop(0);
