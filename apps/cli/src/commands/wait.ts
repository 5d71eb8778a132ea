import type { Job } from "@jobyard/sdk";
import type { Command } from "commander";
import { type Cli, Interruption } from "../cli.ts";
import { CliError } from "../errors.ts";
import { jobColumns, showJob } from "../job-view.ts";
import { plural } from "../output.ts";
import { Progress } from "../progress.ts";
import { duration } from "../values.ts";

export function define(command: Command, cli: Cli): void {
  command
    .argument("<id...>")
    .option("--timeout <duration>", "Give up after so long (exit code 6); the jobs go on", duration)
    .action((ids: string[], { timeout }: { timeout?: number }) => waitFor(cli, ids, timeout));
}

/** Waits for jobs and shows them. @throws CliError `failed` where one did not complete, `timeout` */
export async function waitFor(
  cli: Cli,
  given: readonly string[],
  timeoutMs?: number,
): Promise<void> {
  const { jobs } = await cli.client();
  const { out } = cli;
  const ids = [...new Set(given)];
  const ended = new Map<string, Job>();
  const interrupted = cli.interruptible();
  const over = new AbortController();
  const signal = AbortSignal.any([interrupted, over.signal]);
  const progress = new Progress("Waiting", out.json);
  const until = timeoutMs === undefined ? Infinity : Date.now() + timeoutMs;
  if (ids.length === 1) void follow(cli, ids[0] as string, progress, signal);
  else progress.at(0, ids.length);
  try {
    await inTurns(ids, async (id) => {
      const left = { timeoutMs: Math.max(0, until - Date.now()) };
      ended.set(id, await jobs.wait(id, { signal, ...(until < Infinity && left) }));
      if (ids.length > 1) progress.at(ended.size, ids.length);
    });
  } catch (error) {
    progress.end();
    const soFar = `${ended.size} of ${plural(ids.length, "job")} ended; the rest goes on`;
    const told = ids.length === 1 ? `Job ${ids[0]} goes on` : soFar;
    if (interrupted.aborted) throw new Interruption(`Interrupted. ${told}`);
    if ((error as { readonly code?: string }).code === "JOB_TIMEOUT") {
      throw new CliError("timeout", `The time is over. ${told}`, "JOB_TIMEOUT");
    }
    throw error;
  } finally {
    over.abort();
    progress.end();
  }
  const all = ids.map((id) => ended.get(id) as Job);
  const [only] = all;
  if (all.length === 1 && only !== undefined) out.result(only, () => showJob(out, only));
  else out.result({ items: all }, () => out.table(all, jobColumns(out)));
  const bad = all.filter(({ state }) => state !== "completed");
  const [first] = bad;
  if (first === undefined) return;
  throw new CliError(
    "failed",
    all.length === 1
      ? `Job ${first.id} ${first.state === "failed" ? "failed" : "was cancelled"}: ${first.error?.message ?? "no reason given"}`
      : `${bad.length} of ${plural(all.length, "job")} did not complete: ${bad.map(({ id }) => id).join(", ")}`,
  );
}

/** Waits at the server at once. */
const AT_ONCE = 20;

async function inTurns<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const one = async (): Promise<void> => {
    for (const item of rest) await act(item);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, one));
}

/** Draws how far one job is, as it tells. */
async function follow(
  cli: Cli,
  job: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  if (!process.stderr.isTTY || cli.out.json) return;
  const { jobs } = await cli.client();
  progress.at(0, 100);
  try {
    for await (const event of jobs.watch({ job: [job], signal })) {
      if (event.type === "job.progress") {
        progress.at(event.progress ?? 0, 100, event.message ?? "");
      }
    }
  } catch {
    // The wait itself tells what is wrong.
  }
}
