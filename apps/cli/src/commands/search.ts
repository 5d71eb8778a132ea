import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { CliError } from "../errors.ts";
import { list, listOptions, type ListOptions } from "./list.ts";

export function define(command: Command, cli: Cli): void {
  listOptions(
    command
      .description("Find jobs by what is in their errors, or by a value in their data or results")
      .argument(
        "<words>",
        "A part of the error; or `path=value`, such as data.wellId=WELL-1250, with --queue (`jobs queues index` says by which paths)",
      ),
  ).action((words: string, options: ListOptions) => {
    const byValue = /^(data|result)(\.[^=\s]+)?\s*=/.test(words);
    const condition = byValue ? "payload" : "error";
    if (options[condition] !== undefined) {
      const message = `"${words}" is searched for as --${condition} has it: give one of them`;
      throw new CliError("usage", message);
    }
    return list(cli, { ...options, [condition]: words });
  });
}
