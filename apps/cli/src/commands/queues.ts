import type { Schemas } from "@jobyard/sdk";
import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import type { Column } from "../output.ts";
import { act } from "../actions.ts";
import { limit, oneOf } from "../values.ts";

type Queue = Schemas["Queue"];

const columns: readonly Column<Queue>[] = [
  { title: "QUEUE", value: ({ name }) => name },
  { title: "WAITING", value: ({ counts }) => counts.waiting, right: true },
  { title: "DELAYED", value: ({ counts }) => counts.delayed, right: true },
  { title: "BLOCKED", value: ({ counts }) => counts.blocked, right: true },
  { title: "ACTIVE", value: ({ counts }) => counts.active, right: true },
  { title: "COMPLETED", value: ({ counts }) => counts.completed, right: true },
  {
    title: "FAILED",
    value: ({ counts }) => counts.failed,
    style: ({ counts }) => (counts.failed > 0 ? "red" : undefined),
    right: true,
  },
  {
    title: "STATE",
    value: ({ paused }) => (paused ? "paused" : "running"),
    style: ({ paused }) => (paused ? "yellow" : undefined),
  },
  { title: "LIMITS", value: limitsOf },
];

export function define(command: Command, cli: Cli): void {
  const show = (queue: Queue): void =>
    cli.out.result(queue, () =>
      cli.out.fields({
        queue: queue.name,
        state: queue.paused ? "paused" : "running",
        ...queue.counts,
        limits: limitsOf(queue),
        "searched by": queue.indexedPaths.join(", "),
        "run by": queue.typed ? "Jobyard" : "workers that pull",
      }),
    );

  command
    .command("list")
    .description("All queues, with how many jobs are in which state")
    .action(async () => {
      const items = await (await cli.client()).queues.list();
      cli.out.result({ items }, () => cli.out.table(items, columns, "No queue yet"));
    });

  command
    .command("show")
    .description("One queue")
    .argument("<queue>")
    .action(async (name: string) => show(await (await cli.client()).getQueue(name).status()));

  command
    .command("pause")
    .description("Start no more jobs; what runs goes on")
    .argument("<queue>")
    .action(async (name: string) => show(await (await cli.client()).getQueue(name).pause()));

  command
    .command("resume")
    .description("Start jobs again")
    .argument("<queue>")
    .action(async (name: string) => show(await (await cli.client()).getQueue(name).resume()));

  command
    .command("limit")
    .description("How many jobs a second are started")
    .argument("<queue>")
    .argument("<rate>", "Starts a second, or none", limit)
    .action(async (name: string, rateLimit: number | null) =>
      show(await (await cli.client()).getQueue(name).configure({ rateLimit })),
    );

  command
    .command("concurrency")
    .description("How many jobs run at once")
    .argument("<queue>")
    .argument("<runs>", "Runs at once, or none", limit)
    .action(async (name: string, concurrency: number | null) =>
      show(await (await cli.client()).getQueue(name).configure({ concurrency })),
    );

  command
    .command("index")
    .description("By which values in their data and results jobs can be searched for")
    .argument("<queue>")
    .argument("[path...]", "Such as data.wellId; none: no more")
    .action(async (name: string, indexedPaths: string[]) =>
      show(await (await cli.client()).getQueue(name).configure({ indexedPaths })),
    );

  command
    .command("drain")
    .description("Remove the jobs that wait")
    .argument("<queue>")
    .addOption(
      new Option(
        "-s, --state <state>",
        "In place of the waiting ones; several times: all of them",
      ).argParser(oneOf(["waiting", "delayed", "blocked"])),
    )
    .option("-y, --yes", "Do not ask")
    .action(async (name: string, options: DrainOptions) => {
      const queue = (await cli.client()).getQueue(name);
      const states = options.state ?? ["waiting"];
      const { counts } = await queue.status();
      const total = states.reduce((sum, state) => sum + counts[state], 0);
      await act(cli, {
        verb: "Remove",
        done: "removed",
        total,
        yes: options.yes,
        run: (following) => queue.drain({ states, ...following }),
      });
    });
}

interface DrainOptions {
  readonly state?: ("waiting" | "delayed" | "blocked")[];
  readonly yes?: boolean;
}

function limitsOf({ rateLimit, concurrency }: Queue): string | null {
  const limits = [
    rateLimit === null ? "" : `${rateLimit}/s`,
    concurrency === null ? "" : `${concurrency} at once`,
  ];
  return limits.filter((limit) => limit !== "").join(", ") || null;
}
