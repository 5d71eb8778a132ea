import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { styleText } from "node:util";
import { type JobResult, type jobTypes, parseConfig } from "@jobyard/core";
import { parse } from "csv-parse/sync";
import { createLogger } from "@jobyard/core/process";
import { startServer } from "./server.ts";

type Result = JobResult<(typeof jobTypes)["sentiment_analysis_batch"]>;
type Row = Result["results"][number];

interface JobView {
  readonly id: string;
  readonly status: string;
  readonly progress: number;
  readonly startedAt?: string;
  readonly completedAt?: string;
  readonly error?: string;
  readonly processingStats?: { readonly processedItems: number; readonly currentSpeed: string };
  readonly result?: Result;
}

const POLL_MS = 100;
const PATIENCE_MS = 60_000;
const BAR = 30;
const MAX_SHOWN = 88;
const colours = { positive: "green", neutral: "yellow", negative: "red" } as const;

const reviews = join(import.meta.dirname, "../../../examples/reviews.csv");
const terminal = process.stdout.isTTY;
const stopped = new AbortController();

/**
 * A tour in a few seconds: starts the server in this process, sends it one job with all texts of a CSV file over HTTP,
 * watches it and shows what came out. Any file with a column `text` will do, of at most 10,000 rows.
 * @throws what made it fail
 */
export async function demo(csvFile: string = reviews): Promise<void> {
  process.once("SIGINT", () => stopped.abort(new Error("Stopped")));
  const texts = await textsOf(csvFile);
  const dataDir = await mkdtemp(join(tmpdir(), "jobyard-demo-data-"));
  const config = parseConfig({
    DATA_DIR: dataDir,
    HTTP_PORTS: "0",
    TCP_PORT: "0",
    GRPC_PORT: "0",
    SHUTDOWN_GRACE_MS: "0",
  });
  try {
    const server = await startServer({ config, log: createLogger("silent", false) });
    try {
      const [url = ""] = server.urls;
      say("");
      say(styled("bold", `Jobyard: the sentiment of ${number(texts.length)} texts, in one job`));
      say("");
      say(`  texts     ${relative(process.cwd(), csvFile)}`);
      say(`  server    ${url}, embedded engine, temporary data`);
      const job = await run(url, texts);
      await tell(job, texts, await keep(job));
    } finally {
      await server.close();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function textsOf(csvFile: string): Promise<string[]> {
  const content = await readFile(csvFile, "utf8");
  const rows: Record<string, string>[] = parse(content, {
    columns: true,
    bom: true,
    skip_empty_lines: true,
  });
  const texts = rows.map((row) => row["text"] ?? "").filter((text) => text !== "");
  if (texts.length === 0) throw new Error(`${csvFile} has no column "text", or nothing in it`);
  return texts;
}

/** Adds the job and watches it until it has ended. */
async function run(url: string, texts: readonly string[]): Promise<JobView> {
  const type = "sentiment_analysis_batch";
  const { jobId } = await call<{ readonly jobId: string }>(`${url}/api/v1/jobs`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ type, data: { texts, enablePIIMasking: true }, priority: "high" }),
  });
  say(`  job       ${jobId}, added with POST /api/v1/jobs`);
  const giveUpAt = Date.now() + PATIENCE_MS;
  let told = -1;
  for (;;) {
    const job = await call<JobView>(`${url}/api/v1/jobs/${jobId}`);
    told = draw(job, texts.length, told);
    if (job.status === "completed") return job;
    if (job.status !== "pending" && job.status !== "running") {
      throw new Error(`The job is ${job.status}: ${job.error ?? "no reason given"}`);
    }
    if (Date.now() > giveUpAt) throw new Error(`The job is not done after ${PATIENCE_MS / 1000} s`);
    await sleep(POLL_MS, undefined, { signal: stopped.signal });
  }
}

async function call<Data>(url: string, init: RequestInit = {}): Promise<Data> {
  const response = await fetch(url, { ...init, signal: stopped.signal });
  const answer = (await response.json()) as
    | { readonly success: true; readonly data: Data }
    | { readonly success: false; readonly error: string; readonly details: unknown };
  if (answer.success) return answer.data;
  throw new Error(`${url} answered ${answer.error}: ${JSON.stringify(answer.details)}`);
}

/** One line that is drawn over on a terminal, a line for each third elsewhere. */
function draw({ status, progress, processingStats }: JobView, total: number, told: number): number {
  const ended = status === "completed";
  const done = ended ? total : (processingStats?.processedItems ?? 0);
  const percent = `${Math.floor(progress)} %`.padStart(5);
  const line = `  progress  ${bar(progress / 100)} ${percent}  ${number(done)} of ${number(total)}`;
  if (terminal) {
    process.stdout.write(`\r\u001B[K${line}${ended ? "\n" : ""}`);
    return progress;
  }
  const third = Math.floor(progress / 33.4);
  if (third > told || ended) say(line);
  return third;
}

async function keep({ result }: JobView): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "jobyard-demo-"));
  const file = join(folder, "result.json");
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`);
  return file;
}

async function tell(job: JobView, texts: readonly string[], file: string): Promise<void> {
  const { result } = job;
  if (result === undefined) throw new Error("The job has no result");
  const { summary, results, totalProcessed } = result;
  const ms = Math.max(1, Date.parse(job.completedAt ?? "") - Date.parse(job.startedAt ?? ""));
  const speed = Math.round((totalProcessed / ms) * 1000);
  say("");
  say(
    `  ${number(totalProcessed)} texts in ${(ms / 1000).toFixed(2)} s, ${number(speed)} texts/second;` +
      ` ${number(summary.failed)} failed; average score ${summary.averageScore.toFixed(2)}`,
  );
  say("");
  for (const sentiment of ["positive", "neutral", "negative"] as const) {
    const count = summary.distribution[sentiment];
    const share = count / Math.max(1, summary.successful);
    const percent = `${(share * 100).toFixed(1)} %`.padStart(7);
    const name = sentiment.padEnd(9);
    say(`  ${name} ${styled(colours[sentiment], bar(share))} ${percent}  ${number(count)}`);
  }
  say("");
  for (const row of examplesOf(results)) say(exampleLine(row));
  const masked = maskedExample(results, texts);
  if (masked !== undefined) {
    say("");
    say("  Personal data is masked before a result is stored:");
    say(exampleLine(masked));
  }
  const { size } = await stat(file);
  say("");
  say(`  All of it: ${file} (${number(Math.ceil(size / 1000))} kB)`);
  say("");
  say("  Go on:");
  say("    npx -y pnpm@12 start");
  say("    curl -s http://localhost:3001/api/v1/jobs -H 'Content-Type: application/json' \\");
  say(
    `      -d '{"type":"sentiment_analysis_batch","data":{"texts":["What a lovely day"]},"priority":"high"}'`,
  );
  say("    curl -s http://localhost:3001/api/v1/jobs/<jobId>");
  say("");
}

/** The clearest of each kind. */
function examplesOf(results: readonly Row[]): Row[] {
  const scored = results.filter((row) => row.score !== undefined);
  const byScore = scored.toSorted((a, b) => (b.score ?? 0) - (a.score ?? 0));
  const neutral = scored.find((row) => row.sentiment === "neutral");
  const chosen = [byScore.at(0), byScore.at(1), neutral, byScore.at(-2), byScore.at(-1)];
  return [...new Set(chosen.filter((row) => row !== undefined))];
}

/** One whose masked part is not cut off, if there is one. */
function maskedExample(results: readonly Row[], texts: readonly string[]): Row | undefined {
  const masked = results.filter((row) => row.text !== texts[Number(row["index"])]);
  return masked.find((row) => /\[[A-Z_ ]+\]/.test(row.text.slice(0, MAX_SHOWN - 1))) ?? masked[0];
}

function exampleLine({ text, sentiment = "neutral", score = 0 }: Row): string {
  const line = text.replaceAll(/\s+/g, " ");
  const shown = line.length > MAX_SHOWN ? `${line.slice(0, MAX_SHOWN - 1).trimEnd()}…` : line;
  const sign = score > 0 ? "+" : score < 0 ? "-" : " ";
  const value = `${sign}${Math.abs(score).toFixed(2)}`;
  return `  ${styled(colours[sentiment], `${value} ${sentiment.padEnd(8)}`)}  ${shown}`;
}

function bar(share: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR);
  return "█".repeat(full) + "░".repeat(BAR - full);
}

function number(value: number): string {
  return value.toLocaleString("en");
}

/** Plain where that is no terminal, or NO_COLOR is set. */
function styled(style: Parameters<typeof styleText>[0], text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
