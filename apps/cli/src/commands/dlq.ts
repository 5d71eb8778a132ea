import type { Schemas } from "@jobyard/sdk";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { jobAction } from "../job-action.ts";
import { conditions } from "../job-filter.ts";
import { age } from "../job-view.ts";
import { sparkline } from "../sparkline.ts";
import { collect, integer, moment } from "../values.ts";
import { list, type ListOptions, listOptions } from "./list.ts";

type Group = Schemas["ErrorGroups"]["items"][number];

interface ErrorOptions {
  readonly queue?: string[];
  readonly since?: string;
  readonly until?: string;
  readonly limit: number;
}

/** The dead-letter queue: jobs that have failed for good. */
export function define(command: Command, cli: Cli): void {
  listOptions(command.command("list").description("The failed jobs"), conditions).action(
    (options: ListOptions) => list(cli, { ...options, state: ["failed"] }),
  );

  jobAction(
    command.command("retry").description("Run failed jobs again, with their attempts anew"),
    cli,
    {
      verb: "Retry",
      done: "to run again",
      one: (jobs, id) => jobs.retry(id),
      all: (jobs, filter, following) => jobs.retryAll(filter, following),
      state: "failed",
    },
  );

  command
    .command("errors")
    .description("What the failed jobs' errors have in common; --error-group takes the groups")
    .option("-q, --queue <name>", "In this queue; several times: in one of them", collect)
    .option("--since <when>", "That failed since then: a moment, or 15m, 24h, 7d ago", moment)
    .option("--until <when>", "That failed before then", moment)
    .option("-n, --limit <n>", "At most so many groups", integer(1, 1000), 20)
    .action(async ({ queue, since, until, limit }: ErrorOptions) => {
      const { out } = cli;
      const items: Group[] = await (
        await cli.client()
      ).errors({
        ...(queue !== undefined && { queue }),
        ...(since !== undefined && { from: since }),
        ...(until !== undefined && { to: until }),
        limit,
      });
      out.result({ items }, () =>
        out.table(
          items,
          [
            { title: "JOBS", value: ({ count }) => count, right: true },
            {
              title: "24 H",
              value: ({ perHour }) => (out.terminal ? sparkline(perHour) : perHour.join(",")),
            },
            { title: "LAST", value: ({ lastAt }) => age(out, lastAt) },
            { title: "QUEUE", value: ({ queue }) => queue },
            { title: "GROUP", value: ({ group }) => group },
            { title: "SAMPLE", value: ({ sampleJob }) => sampleJob },
            { title: "MESSAGE", value: ({ message }) => message, style: () => "red" },
          ],
          "No failed job",
        ),
      );
    });
}
