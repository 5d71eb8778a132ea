import type { JobOptions } from "@jobyard/sdk";
import type { Command } from "commander";
import { collect, duration, integer } from "./values.ts";

export interface JobFlags {
  readonly name?: string;
  readonly priority?: number;
  readonly lifo?: boolean;
  readonly delay?: number;
  readonly ttl?: number;
  readonly timeout?: number;
  readonly attempts?: number;
  readonly backoff?: number;
  readonly unique?: string;
  readonly tag?: string[];
  readonly project?: string;
  readonly batch?: string;
}

/** How a job is run; also of the jobs of schedules. */
export function jobOptions(command: Command): Command {
  return command
    .option("--name <name>", "A label")
    .option(
      "--priority <n>",
      "Lower runs sooner; default: the job type's, or 0",
      integer(-1_000_000, 1_000_000),
    )
    .option("--lifo", "Last in, first out among its priority")
    .option("--delay <duration>", "Not before so long from now", duration)
    .option("--ttl <duration>", "Fails as `expired` if not started by then", duration)
    .option("--timeout <duration>", "For one run", duration)
    .option("--attempts <n>", "Runs in all", integer(1, 1000))
    .option("--backoff <duration>", "Before the second run, doubled each time", duration)
    .option("--unique <key>", "Refused while an unfinished job of the queue holds this key")
    .option("--tag <tag>", "Several times: several tags", collect)
    .option("--project <project>")
    .option("--batch <batch>");
}

export function jobOptionsOf(options: JobFlags): JobOptions {
  const { priority, lifo, delay, ttl, timeout, attempts, backoff, unique, tag, project, batch } =
    options;
  const given = {
    priority,
    lifo,
    delayMs: delay,
    ttlMs: ttl,
    timeoutMs: timeout,
    maxAttempts: attempts,
    backoffMs: backoff,
    uniqueKey: unique,
    tags: tag,
    project,
    batch,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
