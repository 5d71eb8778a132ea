import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { CliError } from "../errors.ts";

export function define(command: Command, cli: Cli): void {
  command.action(async () => {
    const { out } = cli;
    const { url } = await cli.connection();
    const health = await (await cli.client()).health();
    const { status, engine, latencyMs, warnings, node, startedAt } = health;
    out.result(health, () => {
      out.fields({
        server: url,
        status,
        engine: engine === "sqlite" ? "embedded (SQLite)" : "distributed (Redis)",
        latency: `${latencyMs.toFixed(1)} ms`,
        node,
        "serving since": startedAt,
      });
      for (const { message } of warnings) {
        out.line(`${out.style("yellow", "at risk")}  ${message}`);
      }
    });
    if (status !== "healthy") {
      throw new CliError("unreachable", "The server is up, but its store cannot be reached");
    }
  });
}
