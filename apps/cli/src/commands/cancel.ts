import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { jobAction } from "../job-action.ts";

export function define(command: Command, cli: Cli): void {
  jobAction(command, cli, {
    verb: "Cancel",
    done: "cancelled",
    one: (jobs, id, { reason }) => jobs.cancel(id, { ...(reason !== undefined && { reason }) }),
    all: (jobs, filter, following, { reason }) =>
      jobs.cancelAll(filter, { ...following, ...(reason !== undefined && { reason }) }),
  }).option("--reason <text>", "Kept with the job");
}
