import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { age } from "../job-view.ts";
import { bytes } from "../output.ts";

export function define(command: Command, cli: Cli): void {
  command.description("The workers that were heard of in the last minute").action(async () => {
    const { out } = cli;
    const items = await (await cli.client()).workers();
    out.result({ items }, () =>
      out.table(
        items,
        [
          { title: "WORKER", value: ({ id }) => id },
          { title: "QUEUES", value: ({ queues }) => queues.join(",") },
          { title: "RUNS", value: ({ active, concurrency }) => `${active}/${concurrency}` },
          { title: "DONE", value: ({ jobsProcessed }) => jobsProcessed, right: true },
          {
            title: "MEMORY",
            value: ({ memoryBytes }) =>
              memoryBytes === null || !out.terminal ? memoryBytes : bytes(memoryBytes),
            right: true,
          },
          { title: "SINCE", value: ({ startedAt }) => age(out, startedAt) },
          { title: "HEARD", value: ({ lastHeartbeatAt }) => age(out, lastHeartbeatAt) },
        ],
        "No worker",
      ),
    );
  });
}
