import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { type JobFlags, jobOptions, jobOptionsOf } from "../job-options.ts";
import { collect, json } from "../values.ts";
import { waitFor } from "./wait.ts";

interface Options extends JobFlags {
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
