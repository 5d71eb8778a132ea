import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { jobAction } from "../job-action.ts";

export function define(command: Command, cli: Cli): void {
  jobAction(command, cli, {
    verb: "Remove",
    done: "removed",
    one: (jobs, id) => jobs.remove(id),
    all: (jobs, filter, following) => jobs.removeAll(filter, following),
  });
}
