import type { Command } from "commander";
import type { Cli } from "../cli.ts";

export function define(command: Command, cli: Cli): void {
  command
    .description("Run the API and a worker in this process; settings are environment variables")
    .action(async () => {
      const { runApi } = await import("@jobyard/api/run");
      cli.serves();
      await runApi(cli.env);
    });
}
