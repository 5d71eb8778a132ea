import type { Command } from "commander";
import type { Cli } from "../cli.ts";

export function define(command: Command, cli: Cli): void {
  command
    .description("Run a worker beside others, around one Redis (REDIS_URL)")
    .action(async () => {
      const { runWorker } = await import("@jobyard/worker/run");
      cli.serves();
      await runWorker(cli.env);
    });
}
