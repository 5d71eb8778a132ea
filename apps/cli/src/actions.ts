import { createInterface } from "node:readline/promises";
import type { Progress as ActionProgress } from "@jobyard/sdk";
import { type Cli, Interruption } from "./cli.ts";
import { CliError, isJobyardError } from "./errors.ts";
import { plural } from "./output.ts";
import { Progress } from "./progress.ts";

export interface Following {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ActionProgress) => void;
}

interface Action {
  /** `Remove`, and `removed`. */
  readonly verb: string;
  readonly done: string;
  /** How many jobs are meant. */
  readonly total: number;
  /** Do not ask. */
  readonly yes: boolean | undefined;
  readonly run: (following: Following) => Promise<ActionProgress>;
}

/** Changes many jobs at the server, step by step: asks first, draws how far it is, tells what was done however it ends. */
export async function act(cli: Cli, { verb, done, total, yes, run }: Action): Promise<void> {
  const { out } = cli;
  if (total > 0 && yes !== true) await confirm(`${verb} ${plural(total, "job")}?`);
  const signal = cli.interruptible();
  const progress = new Progress(verb, out.json);
  let last: ActionProgress | undefined;
  const told = (): string => {
    const { applied = 0, refused = 0 } = last ?? {};
    const not = refused === 0 ? "" : `, ${refused} not, as their state forbids it`;
    return `${plural(applied, "job")} ${done}${not}`;
  };
  try {
    last = await run({
      signal,
      onProgress: (at) => {
        last = at;
        progress.at(at.applied + at.refused, at.total);
      },
    });
  } catch (error) {
    progress.end();
    if (signal.aborted) throw new Interruption(`Interrupted; ${told()}, at least`);
    if (last === undefined || !isJobyardError(error)) throw error;
    throw new CliError("failed", `${error.message}; ${told()} before`, error.code);
  }
  progress.end();
  out.result(last, () => out.line(told()));
}

/** On a terminal; elsewhere it takes --yes. @throws CliError where the answer is not yes, Interruption at Ctrl-C and Ctrl-D */
export async function confirm(question: string): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CliError("usage", `${question} Say --yes, as nobody can be asked here`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `).catch(() => {
      throw new Interruption("Interrupted; nothing was done");
    });
    if (!/^y(es)?$/i.test(answer.trim())) throw new CliError("failed", "Nothing was done");
  } finally {
    terminal.close();
  }
}
