import type { Filter, ListOptions, Schemas } from "@jobyard/sdk";
import { type Command, Option } from "commander";
import { collect, integer, moment, oneOf } from "./values.ts";

export type State = Schemas["Job"]["state"];

const states: readonly State[] = [
  "waiting",
  "delayed",
  "blocked",
  "active",
  "completed",
  "failed",
  "cancelled",
];

const priority = integer(-1_000_000, 1_000_000);

export interface FilterOptions {
  readonly queue?: string[];
  readonly state?: State[];
  readonly name?: string;
  readonly tag?: string;
  readonly project?: string;
  readonly batch?: string;
  readonly schedule?: string;
  readonly since?: string;
  readonly until?: string;
  readonly error?: string;
  readonly errorGroup?: string;
  readonly payload?: string;
  readonly priorityMin?: number;
  readonly priorityMax?: number;
}

/** Options that say which jobs are meant: all conditions have to be met. */
export function filterOptions(command: Command): Command {
  return conditions(command).addOption(
    new Option("-s, --state <state>", "In this state; several times: in one of them").argParser(
      oneOf(states),
    ),
  );
}

/** The same, where the state is given. */
export function conditions(command: Command): Command {
  return command
    .option("-q, --queue <name>", "In this queue; several times: in one of them", collect)
    .option("--name <name>", "With this name")
    .option("--tag <tag>", "With this tag")
    .option("--project <project>", "Of this project")
    .option("--batch <batch>", "Of this batch")
    .option("--schedule <name>", "A run of this schedule")
    .option("--since <when>", "Added since then: a moment, or 15m, 24h, 7d ago", moment)
    .option("--until <when>", "Added before then", moment)
    .option("--error <text>", "Whose error has this text in it")
    .option("--error-group <group>", "Of this group of `jobs dlq errors`")
    .option("--payload <path=value>", "With this value in its data or result (indexed paths)")
    .option("--priority-min <n>", "Not more urgent than", priority)
    .option("--priority-max <n>", "Not less urgent than", priority);
}

/** The server's filter; empty: no condition was given. */
export function filterOf(options: FilterOptions): Filter & ListOptions {
  const { queue, state, name, tag, project, batch, schedule, since, until } = options;
  const { error, errorGroup, payload, priorityMin, priorityMax } = options;
  const filter = {
    queue,
    state,
    name,
    tag,
    project,
    batch,
    schedule,
    createdFrom: since,
    createdTo: until,
    error,
    errorGroup,
    payload,
    priorityMin,
    priorityMax,
  };
  return Object.fromEntries(
    Object.entries(filter).filter(([, value]) => value !== undefined),
  ) as Filter & ListOptions;
}
