import type { Command } from "commander";
import type { Cli } from "../cli.ts";

/*
 * The commands, in the order of the help. To add one:
 * 1. write `<name>.ts` beside this file. It exports `define(command, cli)`, which gives the commander command its arguments,
 *    options and action (`queues.ts`: subcommands, `get.ts`: the smallest). The action calls `await cli.client()` (the SDK),
 *    answers through `cli.out` (`result` or `item`, so that `--json` works) and throws `CliError` with an outcome, which
 *    becomes the exit code; errors of the SDK and of files are told as they are. What is heavy it imports when it runs;
 * 2. add a line here. Only the file of the command that is called is loaded;
 * 3. add a section to docs/cli.md and a test to `test/`.
 */

interface CommandFile {
  /** Says what `command` takes, and what it does with `cli`. */
  define(command: Command, cli: Cli): void;
}

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly group: string;
  readonly load: () => Promise<CommandFile>;
}

function entry(
  group: string,
  name: string,
  summary: string,
  load: () => Promise<CommandFile>,
): CommandEntry {
  return { group, name, summary, load };
}

const service = "Run the service:";
const jobs = "Jobs:";
const queues = "Queues and what comes to them:";
const server = "The server:";
const own = "This program:";

export const commands: readonly CommandEntry[] = [
  entry(service, "start", "Run the API and a worker in one process", () => import("./start.ts")),
  entry(service, "api", "Run the API alone", () => import("./api.ts")),
  entry(service, "worker", "Run a worker, around one Redis", () => import("./worker.ts")),
  entry(service, "demo", "Real work on a temporary store", () => import("./demo.ts")),
  entry(service, "migrate", "Move all jobs from engine to engine", () => import("./migrate.ts")),
  entry(jobs, "add", "Add a job", () => import("./add.ts")),
  entry(jobs, "get", "Show a job", () => import("./get.ts")),
  entry(jobs, "list", "Find jobs by their state, queue, age, …", () => import("./list.ts")),
  entry(jobs, "search", "Find jobs by their errors and values", () => import("./search.ts")),
  entry(jobs, "wait", "Wait until jobs have ended", () => import("./wait.ts")),
  entry(jobs, "watch", "Events as they happen", () => import("./watch.ts")),
  entry(jobs, "tail", "Jobs as they end", () => import("./tail.ts")),
  entry(jobs, "logs", "What a job has logged", () => import("./logs.ts")),
  entry(jobs, "cancel", "Cancel jobs, running ones too", () => import("./cancel.ts")),
  entry(jobs, "retry", "Run failed jobs again", () => import("./retry.ts")),
  entry(jobs, "remove", "Remove jobs", () => import("./remove.ts")),
  entry(jobs, "bulk", "Add jobs from lines of JSON", () => import("./bulk.ts")),
  entry(queues, "queues", "Queues: list, show, pause, limit, drain", () => import("./queues.ts")),
  entry(queues, "dlq", "Failed jobs: list, retry, errors", () => import("./dlq.ts")),
  entry(queues, "schedules", "Jobs again and again", () => import("./schedules.ts")),
  entry(queues, "webhooks", "Webhooks and their deliveries", () => import("./webhooks.ts")),
  entry(queues, "workers", "Who runs jobs", () => import("./workers.ts")),
  entry(queues, "stats", "What happened in a period", () => import("./stats.ts")),
  entry(queues, "metrics", "The same over time, drawn", () => import("./metrics.ts")),
  entry(server, "health", "How the server and its store are", () => import("./health.ts")),
  entry(server, "nodes", "The processes that share the store", () => import("./nodes.ts")),
  entry(server, "doctor", "Look for what is wrong", () => import("./doctor.ts")),
  entry(server, "backup", "Copy the embedded store", () => import("./backup.ts")),
  entry(server, "restore", "Put a backup in its place", () => import("./restore.ts")),
  entry(server, "bench", "Measure a server", () => import("./bench.ts")),
  entry(server, "token", "Make a token; tell what yours may do", () => import("./token.ts")),
  entry(own, "completion", "For bash, zsh, fish", () => import("./completion.ts")),
  entry(own, "profiles", "Servers by names, kept in a file", () => import("./profiles.ts")),
];
