import type { Jobyard } from "@jobyard/sdk";
import type { Command } from "commander";
import { type Cli, Interruption } from "../cli.ts";
import { CliError } from "../errors.ts";
import { plural, span } from "../output.ts";
import { Progress } from "../progress.ts";
import { integer } from "../values.ts";

/** One for all runs: a queue that was used once stays known to the server. */
const QUEUE = "jobyard-bench";

interface Options {
  readonly jobs: number;
  readonly concurrency: number;
  readonly batch: number;
}

interface Phase {
  readonly phase: "add" | "finish";
  readonly jobs: number;
  readonly seconds: number;
  readonly jobsPerSecond: number;
  /** Of single calls, ms. */
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export function define(command: Command, cli: Cli): void {
  command
    .description(
      "Add jobs to a server and finish them, over the native API, in the queue jobyard-bench, whose jobs are removed after; this machine's own work is part of the figures",
    )
    .option("-n, --jobs <n>", "So many", integer(1, 1_000_000), 5000)
    .option("-c, --concurrency <n>", "Calls at once", integer(1, 256), 32)
    .option("-b, --batch <n>", "Jobs in a call", integer(1, 1000), 1)
    .action(async (options: Options) => {
      const { out } = cli;
      const client = await cli.client();
      const signal = cli.interruptible();
      const queue = QUEUE;
      const { total } = await client.jobs.page({ queue: [queue], limit: 0 });
      if (total > 0) {
        const message = `The queue ${queue} has ${plural(total, "job")}: another bench runs, or was cut off. \`jobs cancel -q ${queue} -y; jobs remove -q ${queue} -y\` clears it`;
        throw new CliError("conflict", message);
      }
      try {
        const phases = [
          await measured("add", cli, options, signal, (count) => add(client, queue, count)),
          await measured("finish", cli, options, signal, (count) => finish(client, queue, count)),
        ];
        const { concurrency, batch } = options;
        out.result({ concurrency, batch, phases }, () => {
          out.table(phases, [
            { title: "PHASE", value: ({ phase }) => phase },
            { title: "JOBS", value: ({ jobs }) => jobs, right: true },
            {
              title: "JOBS/S",
              value: ({ jobsPerSecond }) => Math.round(jobsPerSecond),
              right: true,
            },
            { title: "P50", value: ({ p50Ms }) => span(p50Ms), right: true },
            { title: "P95", value: ({ p95Ms }) => span(p95Ms), right: true },
            { title: "P99", value: ({ p99Ms }) => span(p99Ms), right: true },
            { title: "MAX", value: ({ maxMs }) => span(maxMs), right: true },
          ]);
        });
      } finally {
        await client.jobs.cancelAll({ queue: [queue], state: ["waiting", "active"] });
        await client.jobs.removeAll({ queue: [queue] });
      }
    });
}

async function add(client: Jobyard, queue: string, count: number): Promise<number> {
  const job = { data: { text: "x".repeat(80) } };
  if (count === 1) await client.jobs.add(queue, job);
  else
    await client.jobs.addMany(
      queue,
      Array.from({ length: count }, () => job),
    );
  return count;
}

/** A pull and an ack: two calls. */
async function finish(client: Jobyard, queue: string, limit: number): Promise<number> {
  const { items } = await client.call("pullJobs", {
    body: { queues: [queue], limit, waitMs: 1000 },
  });
  if (items.length === 0) throw new CliError("failed", "Jobs of this load were taken by others");
  const acks = items.map(({ id, lease }) => ({ id, lease, result: null }));
  const { outcomes } = await client.call("ackJobs", { body: { items: acks } });
  const refused = outcomes.find(({ error }) => error !== null)?.error;
  if (refused != null) throw new CliError("failed", refused.message, refused.code);
  return items.length;
}

async function measured(
  phase: Phase["phase"],
  cli: Cli,
  { jobs, concurrency, batch }: Options,
  signal: AbortSignal,
  call: (count: number) => Promise<number>,
): Promise<Phase> {
  const progress = new Progress(phase === "add" ? "Adding" : "Finishing", cli.out.json);
  const times: number[] = [];
  let left = jobs;
  let done = 0;
  const began = performance.now();
  const one = async (): Promise<void> => {
    while (left > 0 && !signal.aborted) {
      const count = Math.min(batch, left);
      left -= count;
      const start = performance.now();
      const came = await call(count);
      times.push(performance.now() - start);
      // A pull may be given less than it asked for.
      left += count - came;
      done += came;
      progress.at(done, jobs);
    }
  };
  try {
    await Promise.all(Array.from({ length: concurrency }, one));
  } finally {
    progress.end();
  }
  if (signal.aborted) {
    throw new Interruption(
      `Interrupted in the phase ${phase}, after ${done} jobs; they are removed`,
    );
  }
  const seconds = (performance.now() - began) / 1000;
  const sorted = Float64Array.from(times).sort();
  const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] as number;
  return {
    phase,
    jobs: done,
    seconds,
    jobsPerSecond: done / seconds,
    p50Ms: at(0.5),
    p95Ms: at(0.95),
    p99Ms: at(0.99),
    maxMs: at(1),
  };
}
