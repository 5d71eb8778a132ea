import type { Job } from "@jobyard/sdk";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { shown, span } from "../output.ts";
import { integer } from "../values.ts";

interface Options {
  readonly queue?: string;
  readonly lines: number;
  readonly follow: boolean;
}

/** Looked up together. */
const AT_ONCE = 100;

export function define(command: Command, cli: Cli): void {
  command
    .description("The jobs that ended last, a line each, and then those that end")
    .option("-q, --queue <name>", "Of this queue")
    .option("-n, --lines <n>", "So many of those before", integer(0, 1000), 10)
    .option("--no-follow", "Only those before")
    .action(async ({ queue, lines, follow }: Options) => {
      const { jobs } = await cli.client();
      const { out } = cli;
      const signal = cli.interruptible();
      const tell = (job: Job): void => out.item(job, () => lineOf(job, out.style.bind(out)));
      if (lines > 0) {
        const { items } = await jobs.page({
          ...(queue !== undefined && { queue: [queue] }),
          state: ["completed", "failed", "cancelled"],
          limit: lines,
        });
        for (const job of items.toReversed()) tell(job);
      }
      if (!follow) return;
      const pending = new Set<string>();
      let telling = Promise.resolve();
      const flush = async (): Promise<void> => {
        const ids = [...pending].slice(0, AT_ONCE);
        for (const id of ids) pending.delete(id);
        if (ids.length === 0) return;
        const { items } = await jobs.page({ id: ids, limit: AT_ONCE });
        const found = new Map(items.map((job) => [job.id, job]));
        for (const id of ids) {
          const job = found.get(id);
          if (job !== undefined) tell(job);
        }
      };
      let failure: Error | undefined;
      const events = jobs.watch({
        ...(queue !== undefined && { queue }),
        type: ["job.completed", "job.failed", "job.cancelled"],
        signal,
      });
      for await (const event of events) {
        if (event.type === "gap") out.note("Some that ended are not shown: they came too fast");
        else if (event.jobId !== null && event.final !== false) pending.add(event.jobId);
        telling = telling.then(flush).catch((error: unknown) => {
          failure ??= error as Error;
        });
        // Bounded: events wait while jobs are looked up.
        if (pending.size >= AT_ONCE) await telling;
        if (failure !== undefined) throw failure;
      }
      await telling;
      signal.throwIfAborted();
    });
}

function lineOf(
  job: Job,
  style: (format: "green" | "red" | "magenta", text: string) => string,
): string {
  const { id, queue, name, state, startedAt, finishedAt, error } = job;
  const colour = state === "completed" ? "green" : state === "failed" ? "red" : "magenta";
  const took =
    startedAt === null || finishedAt === null
      ? "-"
      : span(Date.parse(finishedAt) - Date.parse(startedAt));
  const label = name === null ? queue : `${queue} ${shown(name)}`;
  const told = [finishedAt ?? "-", style(colour, state.padEnd(9)), id, label, took];
  return [...told, ...(error === null ? [] : [shown(error.message)])].join("  ");
}
