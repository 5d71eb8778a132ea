import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { age } from "../job-view.ts";

export function define(command: Command, cli: Cli): void {
  command.description("The processes that share the store").action(async () => {
    const { out } = cli;
    const items = await (await cli.client()).nodes();
    out.result({ items }, () =>
      out.table(items, [
        { title: "NODE", value: ({ id }) => id },
        { title: "AT", value: ({ host, port }) => `${host}:${port}` },
        { title: "LEADS", value: ({ isLeader }) => (isLeader ? "yes" : "no") },
        { title: "SINCE", value: ({ startedAt }) => age(out, startedAt) },
        { title: "HEARD", value: ({ lastHeartbeatAt }) => age(out, lastHeartbeatAt) },
      ]),
    );
  });
}
