import type { JobEvent, Schemas } from "@jobyard/sdk";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Cli } from "../cli.ts";
import { CliError } from "../errors.ts";
import type { Style } from "../output.ts";
import { shown } from "../output.ts";
import { oneOf } from "../values.ts";

type Type = Schemas["Event"]["type"];
type Event = Exclude<JobEvent, { type: "gap" }>;

const types: readonly Type[] = [
  "job.pushed",
  "job.started",
  "job.progress",
  "job.completed",
  "job.failed",
  "job.stalled",
  "job.cancelled",
  "queue.paused",
  "queue.resumed",
];

const styles: Readonly<Partial<Record<Type, Style>>> = {
  "job.completed": "green",
  "job.failed": "red",
  "job.stalled": "yellow",
  "job.cancelled": "magenta",
  "job.started": "cyan",
};

interface Options {
  readonly queue?: string;
  readonly type?: Type[];
  readonly after?: string;
}

export function define(command: Command, cli: Cli): void {
  command
    .description("Events as they happen; of jobs that are named, until all have ended")
    .argument("[id...]")
    .option("-q, --queue <name>", "Of this queue")
    .addOption(
      new Option(
        "-t, --type <type>",
        "Of this type, such as job.failed; several times: of these",
      ).argParser(oneOf(types)),
    )
    .option("--after <event>", "Go on after this event: its `id` with --json", eventId)
    .action(async (ids: string[], { queue, type, after }: Options) => {
      if (ids.length > 0 && queue !== undefined) {
        throw new CliError("usage", "Give ids or --queue, not both");
      }
      const { jobs } = await cli.client();
      const { out } = cli;
      const signal = cli.interruptible();
      const open = new Set(ids);
      const over = new AbortController();
      const events = jobs.watch({
        ...(queue !== undefined && { queue }),
        ...(ids.length > 0 && { job: ids }),
        // The ends of jobs that are waited for are heard whatever is shown.
        ...(type !== undefined && ids.length === 0 && { type }),
        ...(after !== undefined && { after }),
        signal: AbortSignal.any([signal, over.signal]),
      });
      // Those that had ended before tell nothing more.
      const ended = async (): Promise<void> => {
        for (const id of ids) {
          const { state } = await jobs.get(id);
          if (["completed", "failed", "cancelled"].includes(state)) open.delete(id);
        }
        if (ids.length > 0 && open.size === 0) over.abort();
      };
      await ended();
      for await (const event of events) {
        if (event.type === "gap") {
          out.note("Some events were lost to this reader");
          if (out.json) out.item(event, () => "");
          await ended();
          continue;
        }
        if (type?.includes(event.type) !== false) {
          out.item(event, () =>
            lineOf(event, (text) => out.style(styles[event.type] ?? "dim", text)),
          );
        }
        if (event.jobId !== null && isEnd(event)) open.delete(event.jobId);
        if (ids.length > 0 && open.size === 0) over.abort();
      }
      signal.throwIfAborted();
    });
}

function eventId(value: string): string {
  if (/^[a-z0-9]+-\d+$/.test(value)) return value;
  throw new InvalidArgumentError("Give the `id` of an event that `jobs watch --json` printed.");
}

function isEnd({ type, final }: Event): boolean {
  return (
    type === "job.completed" ||
    type === "job.cancelled" ||
    (type === "job.failed" && final === true)
  );
}

function lineOf(event: Event, coloured: (text: string) => string): string {
  const { at, type, queue, jobId, progress, message, error, final } = event;
  const more = [
    progress === undefined ? "" : `${Math.floor(progress)} %`,
    message ?? "",
    error ?? "",
    type === "job.failed" && final === false ? "(runs again)" : "",
  ];
  const told = more.filter((part) => part !== "").map(shown);
  return [at, coloured(type.padEnd(13)), queue, jobId ?? "", ...told].join("  ").trimEnd();
}
