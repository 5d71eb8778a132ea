import type { Filter, Jobyard, Progress as ActionProgress } from "@jobyard/sdk";
import type { Command } from "commander";
import { act, type Following } from "./actions.ts";
import type { Cli } from "./cli.ts";
import { CliError, failureOf } from "./errors.ts";
import {
  conditions,
  type FilterOptions,
  filterOf,
  filterOptions,
  type State,
} from "./job-filter.ts";
import { plural } from "./output.ts";
import { Progress } from "./progress.ts";
import { readIds } from "./values.ts";

type Jobs = Jobyard["jobs"];

interface Definition {
  readonly verb: string;
  readonly done: string;
  readonly one: (jobs: Jobs, id: string, options: Options) => Promise<unknown>;
  readonly all: (
    jobs: Jobs,
    filter: Filter,
    following: Following,
    options: Options,
  ) => Promise<ActionProgress>;
  /** A filter means the jobs in this state alone. */
  readonly state?: State;
}

export interface Options extends FilterOptions {
  readonly yes?: boolean;
  readonly reason?: string;
}

/** A command that does something to the jobs named, or to all that a filter finds. */
export function jobAction(command: Command, cli: Cli, definition: Definition): Command {
  const { state } = definition;
  const options = state === undefined ? filterOptions : conditions;
  return options(command.argument("[id...]", "The jobs; - reads ids from standard input"))
    .option("-y, --yes", "Do not ask, where a filter says which jobs")
    .action(async (given: string[], options: Options) => {
      const filter = filterOf(options);
      const filtered = Object.keys(filter).length > 0;
      if (given.length > 0 === filtered) {
        const example = state === undefined ? "--queue and --state" : "--queue and --error";
        const message = filtered
          ? "Give ids or conditions, not both"
          : `Say which jobs: ids, or conditions such as ${example}`;
        throw new CliError("usage", message);
      }
      const meant = state === undefined ? filter : { ...filter, state: [state] };
      if (filtered) await all(cli, definition, meant, options);
      else await each(cli, definition, await readIds(given), options);
    });
}

async function all(cli: Cli, { verb, done, all }: Definition, filter: Filter, options: Options) {
  const { jobs } = await cli.client();
  const { total } = await jobs.page({ ...filter, limit: 0 });
  const run = (following: Following) => all(jobs, filter, following, options);
  await act(cli, { verb, done, total, yes: options.yes, run });
}

/** Each by itself; what could not be done is told, and the rest is done. */
async function each(
  cli: Cli,
  { verb, done, one }: Definition,
  ids: readonly string[],
  options: Options,
): Promise<void> {
  const { jobs } = await cli.client();
  const { out } = cli;
  const [only] = ids;
  if (ids.length === 1 && only !== undefined) {
    const answer = await one(jobs, only, options);
    out.result(answer, () => out.line(`Job ${only} ${done}`));
    return;
  }
  const signal = cli.interruptible();
  cli.finishes();
  const progress = new Progress(verb, out.json);
  const failed: string[] = [];
  let count = 0;
  for (const id of ids) {
    if (signal.aborted) break;
    try {
      const answer = await one(jobs, id, options);
      out.item(answer, () => id);
    } catch (error) {
      const failure = failureOf(error);
      // What would fail for every job ends it.
      if (failure === null || (failure.exitCode >= 4 && failure.exitCode !== 7)) throw error;
      failed.push(id);
      progress.end();
      const { code, message } = failure;
      if (out.json) out.item({ id, error: { code, message } }, () => "");
      out.note(`${id}: ${message}`);
    }
    progress.at(++count, ids.length);
  }
  progress.end();
  const told = `${count - failed.length} of ${plural(ids.length, "job")} ${done}`;
  if (signal.aborted) throw new CliError("interrupted", `Interrupted; ${told}`);
  if (failed.length > 0) throw new CliError("failed", told);
}
