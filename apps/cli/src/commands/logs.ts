import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { shown } from "../output.ts";

/** Between two looks at the log of a running job, ms. */
const LOOK_MS = 500;

export function define(command: Command, cli: Cli): void {
  command
    .description("What a job's runs have logged, the oldest line first")
    .argument("<id>")
    .option("-f, --follow", "Go on until the job has ended")
    .action(async (id: string, { follow }: { follow?: boolean }) => {
      const { jobs } = await cli.client();
      const { out } = cli;
      const signal = follow === true ? cli.interruptible() : undefined;
      let last: string | undefined;
      for (;;) {
        // Asked first: what is logged before the end is read after it.
        const { state } = await jobs.get(id);
        const { items } = await jobs.logs(id);
        const keys = items.map(({ at, line }) => `${at} ${line}`);
        // The server keeps the newest lines, so places shift: the last line told says where to go on.
        const from = last === undefined ? 0 : keys.lastIndexOf(last) + 1;
        for (const { at, line } of items.slice(from)) {
          out.item({ at, line }, () => `${out.style("dim", at)}  ${shown(line)}`);
        }
        last = keys.at(-1) ?? last;
        const ended = ["completed", "failed", "cancelled"].includes(state);
        if (signal === undefined || ended) return;
        try {
          await sleep(LOOK_MS, undefined, { signal });
        } catch {
          signal.throwIfAborted();
        }
      }
    });
}
