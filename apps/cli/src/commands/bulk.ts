import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { addAbortSignal } from "node:stream";
import type { Jobyard, Schemas } from "@jobyard/sdk";
import type { Command } from "commander";
import { type Cli, Interruption } from "../cli.ts";
import { CliError, exitCodes, failureOf } from "../errors.ts";
import { type Line, linesOf } from "../lines.ts";
import { plural } from "../output.ts";
import { Progress } from "../progress.ts";
import { integer } from "../values.ts";

interface Options {
  readonly queue?: string;
  readonly key: string;
  readonly batchSize: number;
}

interface Batch {
  readonly lines: readonly number[];
  readonly jobs: readonly object[];
  readonly key: string;
}

interface Outcome {
  readonly line: number;
  readonly id: string | null;
  readonly error: Schemas["BulkOutcome"]["outcomes"][number]["error"];
}

/** Bytes of one call, unless a single job has more. */
const BATCH_BYTES = 4_000_000;
/** Calls at once. */
const AT_ONCE = 4;
/** A call of many jobs, ms. */
const CALL_MS = 120_000;
/** Refused lines told one by one. */
const TOLD = 20;

export function define(command: Command, cli: Cli): void {
  command
    .description(
      'Add a job for each line of JSON: { "queue": …, "data": …, … } as `POST /jobs` takes it. The same file again adds nothing twice for 24 h',
    )
    .argument("[file]", "Default, and -: standard input", "-")
    .option("-q, --queue <name>", "For lines that name none")
    .option("--key <text>", "With another one, the same lines are added again", "")
    .option("--batch-size <n>", "Jobs in one call", integer(1, 1000), 500)
    .action(async (file: string, options: Options) => bulk(cli, file, options));
}

async function bulk(cli: Cli, file: string, options: Options): Promise<void> {
  const { out } = cli;
  const size = file === "-" ? undefined : (await stat(file)).size;
  const input = file === "-" ? process.stdin : createReadStream(file);
  const client = await cli.client();
  const signal = cli.interruptible();
  cli.finishes();
  // Who waits for more lines is interrupted too.
  addAbortSignal(signal, input);
  const progress = new Progress("Adding", out.json);
  let read = 0;
  let added = 0;
  let refused = 0;
  let told = 0;
  const tell = ({ line, id, error }: Outcome): void => {
    if (error === null) added++;
    else refused++;
    if (out.json) out.item({ line, id, error }, () => "");
    else if (error !== null && ++told <= TOLD) {
      progress.end();
      out.note(`line ${line}: ${error.message}`);
      if (told === TOLD)
        out.note("Further lines that are refused are only counted; --json tells all");
    }
  };
  const send = async ({ lines, jobs, key }: Batch): Promise<void> => {
    const { outcomes } = await addAll(client, jobs, key);
    outcomes.forEach(({ id, error }, i) => tell({ line: lines[i] as number, id, error }));
    progress.at(size === undefined ? added + refused : read, size, `${added} added`);
  };
  const counted = (): string =>
    `${plural(added, "job")} added${refused === 0 ? "" : `, ${plural(refused, "line")} refused`}`;
  // Those under way; the oldest is awaited before one more is sent.
  const calls: Promise<void>[] = [];
  let failure: Error | undefined;
  try {
    const onRead = (line: Line): void => void (read += line.bytes.length + 1);
    for await (const batch of batches(input, options, onRead, tell)) {
      if (signal.aborted) break;
      const call = send(batch);
      call.catch(() => undefined);
      calls.push(call);
      if (calls.length >= AT_ONCE) await calls.shift();
    }
  } catch (error) {
    const stopped = signal.aborted && (error as Error).name === "AbortError";
    if (!stopped) failure = error as Error;
  }
  // What was sent is told, whatever happened meanwhile.
  for (const end of await Promise.allSettled(calls)) {
    if (end.status === "rejected") failure ??= end.reason as Error;
  }
  progress.end();
  const again = "Run it again to add the rest: nothing is added twice";
  if (failure !== undefined) {
    const known = failureOf(failure);
    if (known === null || known.exitCode === exitCodes.fault) throw failure;
    const outcome = Object.entries(exitCodes).find(([, code]) => code === known.exitCode)?.[0];
    const message = `${known.message}. ${counted()} before. ${again}`;
    throw new CliError((outcome ?? "failed") as keyof typeof exitCodes, message, known.code);
  }
  if (signal.aborted) throw new Interruption(`Interrupted; ${counted()}. ${again}`);
  if (!out.json) out.line(counted());
  if (refused > 0) {
    const mend = "Mend and add them alone: in a file that has changed, lines are added again";
    throw new CliError("failed", `${plural(refused, "line")} refused. ${mend}`);
  }
}

function addAll(client: Jobyard, jobs: readonly object[], idempotencyKey: string) {
  return client.call(
    "addJobs",
    { body: { jobs: jobs as Schemas["NewJob"][], atomic: false } },
    {
      idempotencyKey,
      timeoutMs: CALL_MS,
    },
  );
}

/** The key of a batch is made of its place and its lines, so that it is the same one whenever they are read. */
async function* batches(
  input: AsyncIterable<Buffer>,
  { queue, key, batchSize }: Options,
  onRead: (line: Line) => void,
  refuse: (outcome: Outcome) => void,
): AsyncGenerator<Batch, void, undefined> {
  let number = 0;
  let lines: number[] = [];
  let jobs: object[] = [];
  let bytes = 0;
  let hash = createHash("sha256");
  const taken = (): Batch => {
    const told = createHash("sha256").update(`${key}\n${queue ?? ""}\n${number++}\n`);
    const batch = { lines, jobs, key: `bulk-${told.update(hash.digest()).digest("hex")}` };
    lines = [];
    jobs = [];
    bytes = 0;
    hash = createHash("sha256");
    return batch;
  };
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const line of linesOf(input)) {
    onRead(line);
    let job: object | string;
    try {
      const text = decoder.decode(line.bytes);
      if (text.trim() === "") continue;
      job = jobOf(JSON.parse(text), queue);
    } catch (error) {
      job = `not JSON: ${(error as Error).message.replaceAll(/\s+/g, " ")}`;
    }
    if (typeof job === "string") {
      refuse({ line: line.number, id: null, error: { code: "INVALID_JOB_DATA", message: job } });
      continue;
    }
    if (jobs.length === batchSize || (jobs.length > 0 && bytes + line.bytes.length > BATCH_BYTES)) {
      yield taken();
    }
    lines.push(line.number);
    jobs.push(job);
    bytes += line.bytes.length;
    hash.update(line.bytes).update("\n");
  }
  if (jobs.length > 0) yield taken();
}

/** What is wrong with it, as text. */
function jobOf(value: unknown, queue: string | undefined): object | string {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return 'must be an object such as {"queue":"thumbnails","data":{}}';
  }
  const { dependsOn } = value as { dependsOn?: unknown };
  const siblings = Array.isArray(dependsOn) && dependsOn.some((one) => typeof one === "object");
  if (siblings) return "dependsOn: takes ids here, as the jobs are added in several calls";
  return queue !== undefined && !("queue" in value) ? { queue, ...value } : value;
}
