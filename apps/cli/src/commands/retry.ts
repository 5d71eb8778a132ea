import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { jobAction } from "../job-action.ts";

export function define(command: Command, cli: Cli): void {
  jobAction(command, cli, {
    verb: "Retry",
    done: "to run again",
    one: (jobs, id) => jobs.retry(id),
    all: (jobs, filter, following) => jobs.retryAll(filter, following),
  });
}
