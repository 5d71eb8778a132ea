import type { JobOptions } from "@jobyard/sdk";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { collect, duration, integer, json } from "../values.ts";
import { waitFor } from "./wait.ts";

interface Options {
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
  readonly dependsOn?: string[];
  readonly idempotencyKey?: string;
  readonly wait?: boolean;
}

export function define(command: Command, cli: Cli): void {
  jobOptions(command.argument("<queue>"))
    .argument("[data]", "Its data: JSON, @file, or - for standard input")
    .option("--depends-on <id>", "After this job has completed; several times: after all", collect)
    .option("--idempotency-key <key>", "Add nothing if a call with this key has, in the last 24 h")
    .option("-w, --wait", "Wait until it has ended, and show it")
    .action(async (queue: string, given: string | undefined, options: Options) => {
      const data = given === undefined ? undefined : await json(given);
      const client = await cli.client();
      const { name, dependsOn, idempotencyKey } = options;
      const job = await client.jobs.add(
        queue,
        {
          ...(name !== undefined && { name }),
          ...(data !== undefined && { data }),
          opts: { ...jobOptionsOf(options), ...(dependsOn && { dependsOn }) },
        },
        { ...(idempotencyKey !== undefined && { idempotencyKey }) },
      );
      if (options.wait === true) await waitFor(cli, [job.id]);
      else cli.out.result(job, () => cli.out.line(job.id));
    });
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

export function jobOptionsOf(options: Options): JobOptions {
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
