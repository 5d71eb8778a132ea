import { randomUUID } from "node:crypto";
import { type Config, ConfigError, parseConfig } from "../config.ts";
import { QueueError } from "../errors.ts";
import { createLogger, type Logger } from "./log.ts";
import { onLauncherGone, stopSignals, succeed } from "./restart.ts";

/** As sysexits.h has it. */
const EX_CONFIG = 78;
/** For a stop after something that nobody foresaw, ms. */
const LAST_RESORT_MS = 2000;

interface Closeable {
  /** Lets running jobs go on for `graceMs` (default: as configured). */
  close(graceMs?: number): Promise<void>;
}

/** What a process can be asked from within. Both return at once. */
export interface ProcessControl {
  /** An orderly stop, as SIGTERM asks for. */
  stop(): void;
  /** An orderly stop, and another process in this one's place, with the same command and environment. */
  restart(): void;
}

/**
 * Runs what `start` starts until SIGTERM or SIGINT. Exit codes: 0 after an orderly stop; 78 where the settings are wrong
 * (`ConfigError`); 1 for every other failure, and for a second signal, which ends the process at once.
 */
export async function runProcess(
  env: Readonly<Record<string, string | undefined>>,
  start: (config: Config, log: Logger, control: ProcessControl) => Promise<Closeable>,
): Promise<void> {
  const config = configured(env);
  const log = createLogger(config.log.level, process.stdout.isTTY);
  let running: Closeable | undefined;
  let stopAsked = false;

  let end = (exitCode: number): void => process.exit(exitCode);

  const stop = async (exitCode: number, graceMs?: number): Promise<void> => {
    try {
      await running?.close(graceMs);
      log.info("Stopped");
    } catch (error) {
      log.fatal({ err: error }, "The stop failed");
      process.exit(1);
    }
    end(exitCode);
  };

  const ask = (who: string): void => {
    stopAsked = true;
    log.info(`${who}: stopping; running jobs have ${config.worker.shutdownGraceMs} ms`);
    // Still starting: it is closed as soon as it is up.
    if (running !== undefined) void stop(0);
  };
  const onSignal = (signal: string): void => {
    if (stopAsked) process.exit(1);
    ask(signal);
  };
  for (const signal of stopSignals) process.on(signal, onSignal);
  onLauncherGone(env, () => onSignal("The launcher is gone"));
  const control: ProcessControl = {
    stop() {
      if (!stopAsked) ask("Asked to stop");
    },
    restart() {
      if (stopAsked) return;
      end = () => {
        for (const signal of stopSignals) process.off(signal, onSignal);
        succeed(env);
      };
      ask("Asked to restart");
    },
  };

  const onUnforeseen = (error: unknown): void => {
    log.fatal({ id: randomUUID(), err: error }, "Something failed that nobody foresaw; stopping");
    setTimeout(() => process.exit(1), LAST_RESORT_MS);
    void stop(1, 0);
  };
  process.on("uncaughtException", onUnforeseen);
  process.on("unhandledRejection", onUnforeseen);

  try {
    running = await start(config, log, control);
  } catch (error) {
    refuseToStart(error);
  }
  if (stopAsked) void stop(0);
}

function configured(env: Readonly<Record<string, string | undefined>>): Config {
  try {
    return parseConfig(env);
  } catch (error) {
    return refuseToStart(error);
  }
}

function refuseToStart(error: unknown): never {
  if (error instanceof ConfigError) exitWith(EX_CONFIG, error.message);
  const known = error instanceof QueueError || (error as NodeJS.ErrnoException).code !== undefined;
  if (!known) throw error;
  return exitWith(1, `Jobyard cannot start: ${(error as Error).message}`);
}

function exitWith(exitCode: number, message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(exitCode);
}
