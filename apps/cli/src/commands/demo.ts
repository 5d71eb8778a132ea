import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { CliError } from "../errors.ts";

export function define(command: Command, cli: Cli): void {
  command
    .description("A tour: one job of a temporary server scores customer reviews")
    .argument("[file.csv]", "In place of the reviews: any file with a column `text`")
    .action(async (file: string | undefined) => {
      if (cli.out.json) throw new CliError("usage", "A tour is for people: leave --json out");
      const { demo } = await import("@jobyard/api/demo");
      try {
        await demo(file);
      } catch (error) {
        throw new CliError("failed", `The demo failed: ${(error as Error).message}`);
      }
    });
}
