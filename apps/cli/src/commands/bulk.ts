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

interface Entry {
  readonly line: number;
  readonly job: { readonly idempotencyKey?: unknown };
  /** Made of the line; absent where the line has one of its own. */
  readonly key?: string;
}

type Answer = Schemas["BulkOutcome"]["outcomes"][number];

interface Outcome extends Pick<Answer, "id" | "error"> {
  readonly line: number;
  /** It was told so before, and the job was not added again. */
  readonly repeated: boolean;
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
      'Add a job for each line of JSON: { "queue": …, "data": …, … } as `POST /jobs/bulk` takes it. For 24 h no line is added twice, whatever else is in the file',
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
  let known = 0;
  let refused = 0;
  let told = 0;
  const tell = (outcome: Outcome): void => {
    const { line, error, repeated } = outcome;
    if (error !== null) refused++;
    else if (repeated) known++;
    else added++;
    if (out.json) out.item(outcome, () => "");
    else if (error !== null && ++told <= TOLD) {
      progress.end();
      out.note(`line ${line}: ${error.message}`);
      if (told === TOLD)
        out.note("Further lines that are refused are only counted; --json tells all");
    }
  };
  const send = async (batch: readonly Entry[]): Promise<void> => {
    const answers = await addAll(client, batch);
    batch.forEach(({ line }, i) => {
      const { id, error, repeated = false } = answers[i] as Answer;
      tell({ line, id, error, repeated });
    });
    progress.at(size === undefined ? added + known + refused : read, size, `${added} added`);
  };
  const counted = (): string =>
    [
      `${plural(added, "job")} added`,
      ...(known === 0 ? [] : [`${known.toLocaleString("en")} added before`]),
      ...(refused === 0 ? [] : [`${plural(refused, "line")} refused`]),
    ].join(", ");
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
    const fault = failureOf(failure);
    if (fault === null || fault.exitCode === exitCodes.fault) throw failure;
    const outcome = Object.entries(exitCodes).find(([, code]) => code === fault.exitCode)?.[0];
    const message = `${fault.message}. Until then: ${counted()}. ${again}`;
    throw new CliError((outcome ?? "failed") as keyof typeof exitCodes, message, fault.code);
  }
  if (signal.aborted) throw new Interruption(`Interrupted; ${counted()}. ${again}`);
  if (!out.json) out.line(counted());
  if (refused > 0) {
    const mend = "Mend them and run it again: the others are not added twice";
    throw new CliError("failed", `${plural(refused, "line")} refused. ${mend}`);
  }
}

/** Each once, however often it is sent. A refusal is remembered with its key, so that it is asked anew with the next one. */
async function addAll(client: Jobyard, batch: readonly Entry[]): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  let asked = [...batch.keys()];
  for (let time = 0; asked.length > 0; time++) {
    const jobs = asked.map((i) => {
      const { job, key } = batch[i] as Entry;
      return key === undefined ? job : { ...job, idempotencyKey: `${key}-${time}` };
    });
    const body = { jobs: jobs as Schemas["NewJob"][], atomic: false };
    const { outcomes } = await client.call("addJobs", { body }, { timeoutMs: CALL_MS });
    asked.forEach((i, at) => (answers[i] = outcomes[at] as Answer));
    asked = asked.filter((i) => {
      const { error, repeated } = answers[i] as Answer;
      return error !== null && repeated === true && batch[i]?.key !== undefined;
    });
  }
  return answers;
}

async function* batches(
  input: AsyncIterable<Buffer>,
  { queue, key: salt, batchSize }: Options,
  onRead: (line: Line) => void,
  refuse: (outcome: Outcome) => void,
): AsyncGenerator<readonly Entry[], void, undefined> {
  /** How often jobs that are alike have come, by the begin of their hashes. */
  const times = new Map<number, number>();
  const keyOf = (job: object): string => {
    const text = `${salt}\n${JSON.stringify(job)}`;
    const hash = createHash("sha256").update(text).digest();
    const begin = hash.readUIntBE(0, 6);
    const time = times.get(begin) ?? 0;
    times.set(begin, time + 1);
    return `bulk-${hash.toString("base64url")}-${time}`;
  };
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let batch: Entry[] = [];
  let bytes = 0;
  for await (const line of linesOf(input)) {
    onRead(line);
    let job: Entry["job"] | string;
    try {
      const text = decoder.decode(line.bytes);
      if (text.trim() === "") continue;
      job = jobOf(JSON.parse(text), queue);
    } catch (error) {
      job = `not JSON: ${(error as Error).message.replaceAll(/\s+/g, " ")}`;
    }
    if (typeof job === "string") {
      const error = { code: "INVALID_JOB_DATA", message: job } as const;
      refuse({ line: line.number, id: null, error, repeated: false });
      continue;
    }
    const full = batch.length === batchSize || bytes + line.bytes.length > BATCH_BYTES;
    if (full && batch.length > 0) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    const own = job.idempotencyKey !== undefined;
    batch.push({ line: line.number, job, ...(!own && { key: keyOf(job) }) });
    bytes += line.bytes.length;
  }
  if (batch.length > 0) yield batch;
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
