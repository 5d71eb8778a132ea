/**
 * The heavy job types through a real server with its worker in the same process: how long each takes, what memory the
 * server and its children need at most, and, while it runs, whether its lease is renewed, how soon calls are answered and
 * how soon a cancelled job has stopped.
 *
 *   pnpm bench --handlers [--large] [--only name]
 *
 * `--large`: a CSV of 1 GB and the longest batch of texts as well. `--only`: the rows whose names contain it.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { TORUS_VOLUME, texts, torus, writeCsv } from "./handlers-files.ts";
import type { ServerFigures } from "./handlers-server.ts";

/** A call is made so often, whether or not the last one was answered, ms. */
const CALL_EVERY_MS = 20;
/** Renewed every third of it. */
const LEASE_MS = 3000;
const MOST_CALL_MS = 200;
const MOST_STOP_MS = 5000;

interface Row {
  readonly job: string;
  readonly type: string;
  readonly data: object;
  /** What is added after the cancelled one, to see when it gets its turn. */
  readonly next: object;
  readonly documented: string;
  readonly seconds: number;
  /** MB at most, of the server and its children: all that is resident, or what is more than before the job. */
  readonly memory?: { readonly all: number } | { readonly more: number };
  readonly check?: (result: Result) => boolean;
}

interface Result {
  readonly geometry?: { readonly volume: number };
  readonly totalProcessed?: number;
  readonly file?: { readonly size: number };
  readonly rowCount?: number;
  readonly riskScore?: number;
}

interface Answer {
  readonly status: string;
  readonly startedAt?: string;
  readonly error?: string;
  readonly result?: Result;
}

export interface HandlersOptions {
  readonly large: boolean;
  readonly only: string;
}

export async function benchHandlers({ large, only }: HandlersOptions): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "jobyard-handlers-"));
  try {
    const rows = rowsOf(large).filter(({ job }) => job.includes(only));
    await prepare(join(folder, "files/default"), rows);
    return await measureAll(folder, rows);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const id = (n: number): string => `00000000-0000-4000-8000-00000000000${n}`;
const TABLE = "table.csv";
const SMALL = "small.csv";
const LARGE = "large.csv";

function rowsOf(large: boolean): readonly Row[] {
  const counted = (result: Result): boolean => (result.rowCount ?? 0) > 10_000;
  const written = (result: Result): boolean => (result.file?.size ?? 0) > 10_000;
  const batch = { type: "sentiment_analysis_batch", next: { texts: ["Fine."] } };
  const parse = {
    type: "file_processing",
    next: { filePath: SMALL, datasetId: id(9) },
    memory: { all: 512 },
    check: counted,
  };
  const scan = {
    type: "security_scan",
    next: { filePath: SMALL, datasetId: "x" },
    check: (result: Result) => (result.riskScore ?? 0) > 0,
  };
  const model = {
    type: "file-analysis",
    next: { fileId: "c", fileUrl: "cube.stl", fileName: "cube.stl", fileType: "stl" },
    check: ({ geometry }: Result) => Math.abs((geometry?.volume ?? 0) / TORUS_VOLUME - 1) < 0.001,
  };
  const torusFile = { fileId: "t", fileUrl: "torus.stl", fileName: "torus.stl", fileType: "stl" };
  const report = {
    type: "report-generation",
    documented: "3 min",
    next: { reportType: "analytics", format: "csv", rows: [{ a: 1 }] },
    check: written,
  };
  return [
    {
      ...batch,
      job: "sentiment_analysis_batch, 10,000 texts of 200 characters",
      data: { texts: texts(10_000, 200) },
      documented: "10 min, 500 MB",
      seconds: 5,
      memory: { more: 150 },
      check: ({ totalProcessed }) => totalProcessed === 10_000,
    },
    {
      ...parse,
      job: "file_processing parse, CSV of 100 MB",
      data: { filePath: TABLE, datasetId: id(1) },
      documented: "5 min, 256 MB a chunk",
      seconds: 10,
    },
    {
      ...parse,
      job: "file_processing analyze, CSV of 100 MB",
      data: { filePath: TABLE, datasetId: id(1), processingType: "analyze" },
      documented: "5 min, 256 MB a chunk",
      seconds: 10,
    },
    {
      ...scan,
      job: "security_scan full, 100 MB",
      data: { filePath: TABLE, datasetId: "x", scanType: "full" },
      documented: "5 min, 100 MB",
      seconds: 20,
    },
    {
      ...scan,
      job: "security_scan quick, 100 MB",
      data: { filePath: TABLE, datasetId: "x", scanType: "quick" },
      documented: "30 s, 100 MB",
      seconds: 2,
    },
    ...(["csv", "json", "xlsx"] as const).map((format) => ({
      job: `data_export ${format}, 100,000 records`,
      type: "data_export",
      data: { datasetId: id(2), format },
      next: { datasetId: id(3), format: "csv", filters: { limit: 1 } },
      documented: "2 min, 500 MB",
      seconds: format === "xlsx" ? 10 : 2,
      check: written,
    })),
    {
      ...model,
      job: "file-analysis, STL of 1,000,000 triangles, geometry",
      data: { ...torusFile, analysisOptions: { performDfm: false } },
      documented: "5 min",
      seconds: 2,
    },
    {
      ...model,
      job: "file-analysis, STL of 1,000,000 triangles, with DFM",
      data: { ...torusFile, analysisOptions: { performDfm: true } },
      documented: "5 min",
      seconds: 30,
    },
    ...(
      [
        ["pdf", 15],
        ["excel", 5],
        ["csv", 1],
      ] as const
    ).map(([format, seconds]) => ({
      ...report,
      job: `report-generation ${format}, 10,000 rows`,
      data: { reportType: "analytics", format, datasetId: id(3) },
      seconds,
    })),
    ...(large
      ? [
          {
            ...parse,
            job: "file_processing parse, CSV of 1 GB",
            data: { filePath: LARGE, datasetId: id(4) },
            documented: "30 min, 256 MB a chunk",
            seconds: 100,
          },
          {
            ...batch,
            job: "sentiment_analysis_batch, 10,000 texts of 9,800 characters",
            data: { texts: texts(10_000, 9800) },
            documented: "10 min, 500 MB",
            seconds: 600,
            check: ({ totalProcessed }: Result) => totalProcessed === 10_000,
          },
        ]
      : []),
  ];
}

async function prepare(files: string, rows: readonly Row[]): Promise<void> {
  mkdirSync(files, { recursive: true });
  const needs = (text: string): boolean => rows.some((row) => JSON.stringify(row).includes(text));
  process.stderr.write("writing files\r");
  writeFileSync(join(files, SMALL), "a,b\n1,2\n");
  writeFileSync(join(files, "cube.stl"), torus(32));
  if (needs(TABLE)) await writeCsv(join(files, TABLE), (bytes) => bytes >= 100e6);
  if (needs(LARGE)) await writeCsv(join(files, LARGE), (bytes) => bytes >= 1e9);
  await writeCsv(join(files, "records.csv"), (_, written) => written >= 100_000);
  await writeCsv(join(files, "rows.csv"), (_, written) => written >= 10_000);
  if (needs("torus.stl")) writeFileSync(join(files, "torus.stl"), torus(1_000_000));
}

async function measureAll(folder: string, rows: readonly Row[]): Promise<boolean> {
  await withServer(folder, async (server) => {
    for (const [datasetId, filePath] of [
      [id(2), "records.csv"],
      [id(3), "rows.csv"],
    ]) {
      const asked = bodyOf("file_processing", { filePath, datasetId });
      await server.ended(await server.add(asked));
    }
  });
  const head = ["job", "document", "target", "took", "memory at most", "calls p99, longest"];
  head.push("stall", "without renewal", "stopped in", "");
  console.log(`\n${cpus().length} cores, Node ${process.version}`);
  console.log(`\n| ${head.join(" | ")} |\n|${"---|".repeat(head.length)}`);
  let met = true;
  for (const row of rows) {
    // What a row finds in memory is not what another has left there.
    met = (await withServer(folder, (server) => measure(server, row))) && met;
  }
  return met;
}

async function withServer<T>(folder: string, use: (server: Server) => Promise<T>): Promise<T> {
  const server = new Server(folder);
  await server.start();
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

async function measure(server: Server, row: Row): Promise<boolean> {
  const { job, type, data, next, documented, seconds, memory, check } = row;
  process.stderr.write(`${job}                              \r`);
  const asked = bodyOf(type, data);
  await server.figures();
  const idle = server.memoryMb();
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, server.memoryMb())), 50);
  const calls = new Calls(server);
  const began = performance.now();
  // As bytes: what this process is busy with would look like the server's fault.
  const answer = await server.ended(await server.add(asked));
  const took = (performance.now() - began) / 1000;
  clearInterval(watch);
  const { p99, longest } = await calls.end();
  const { longestStallMs, longestUnrenewedMs } = await server.figures();
  const { result, error } = answerOf(answer);
  if (result === undefined) throw new Error(`${job}: ${error}`);
  if (check?.(result) === false) throw new Error(`${job}: its result is wrong`);
  const stopMs = await stopAt(server, row, took * 400, next);
  const fits = (bound: NonNullable<Row["memory"]>): boolean =>
    "all" in bound ? most <= bound.all : most - idle <= bound.more;
  const faults = [
    took > seconds && "time",
    memory !== undefined && !fits(memory) && "memory",
    p99 > MOST_CALL_MS && "calls",
    longestUnrenewedMs > LEASE_MS && "lease",
    stopMs > MOST_STOP_MS && "stop",
  ].filter((fault) => fault !== false);
  const cells = [
    job,
    documented,
    `${seconds} s${memoryText(memory)}`,
    `${took.toFixed(1)} s`,
    `${Math.round(most)} MB, ${Math.round(most - idle)} more`,
    `${Math.round(p99)}, ${Math.round(longest)} ms`,
    `${Math.round(longestStallMs)} ms`,
    `${(longestUnrenewedMs / 1000).toFixed(1)} of ${LEASE_MS / 1000} s`,
    Number.isNaN(stopMs) ? "ended before" : `${(stopMs / 1000).toFixed(1)} s`,
    faults.length === 0 ? "met" : `MISSED: ${faults.join(", ")}`,
  ];
  console.log(`| ${cells.join(" | ")} |`);
  return faults.length === 0;
}

function memoryText(memory: Row["memory"]): string {
  if (memory === undefined) return "";
  return "all" in memory ? `, ${memory.all} MB` : `, ${memory.more} MB more`;
}

/** How long a job cancelled after so long keeps the only slot of its queue; NaN: it had ended. */
async function stopAt(
  server: Server,
  { type, data }: Row,
  afterMs: number,
  next: object,
): Promise<number> {
  const cancelled = await server.add(bodyOf(type, data));
  while (answerOf(await server.get(cancelled)).status === "pending") await sleep(5);
  const waiting = await server.add(bodyOf(type, next));
  await sleep(afterMs);
  const cancelledAt = Date.now();
  const { status } = await server.call("DELETE", `/api/v1/jobs/${cancelled}`);
  const { startedAt } = answerOf(await server.ended(waiting));
  return status === 200 ? Math.max(0, Date.parse(startedAt ?? "") - cancelledAt) : Number.NaN;
}

function bodyOf(type: string, data: object): Buffer {
  return Buffer.from(JSON.stringify({ type, data }));
}

function answerOf(body: Buffer): Answer {
  return (JSON.parse(body.toString()) as { readonly data: Answer }).data;
}

/** Calls to the server at a steady pace: one that has to wait does not keep the next from being made. */
class Calls {
  readonly #times: Promise<number>[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(server: Server) {
    this.#timer = setInterval(() => {
      const began = performance.now();
      const call = server.call("GET", "/api/v1/jobs?limit=10&status=failed");
      this.#times.push(call.then(() => performance.now() - began));
    }, CALL_EVERY_MS);
  }

  async end(): Promise<{ readonly p99: number; readonly longest: number }> {
    clearInterval(this.#timer);
    const sorted = (await Promise.all(this.#times)).sort((a, b) => a - b);
    return {
      p99: sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN,
      longest: sorted.at(-1) ?? Number.NaN,
    };
  }
}

class Server {
  readonly #folder: string;
  readonly #agent = new Agent({ keepAlive: true });
  #process: ChildProcess | undefined;
  #url = "";

  constructor(folder: string) {
    this.#folder = folder;
  }

  async start(): Promise<void> {
    const file = new URL("handlers-server.ts", import.meta.url).pathname;
    this.#process = fork(file, [], {
      execArgv: ["--conditions=@jobyard/source"],
      env: {
        PATH: process.env["PATH"],
        DATA_DIR: this.#folder,
        HTTP_PORTS: "0",
        LEASE_MS: String(LEASE_MS),
        WORKER_CONCURRENCY: "1",
        DATACLOAK_JOBS_PER_MINUTE: "0",
      },
    });
    this.#url = (await this.#told<{ readonly url: string }>()).url;
  }

  async #told<Message>(): Promise<Message> {
    const [message] = (await once(this.#process as ChildProcess, "message")) as [Message];
    return message;
  }

  async figures(): Promise<ServerFigures> {
    this.#process?.send("figures");
    return this.#told<ServerFigures>();
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    const ended = once(this.#process as ChildProcess, "exit");
    this.#process?.send("close");
    await ended;
  }

  call(method: string, path: string, body?: Buffer): Promise<{ status: number; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const headers = body && { "content-type": "application/json", "content-length": body.length };
      const { agent, url } = { agent: this.#agent, url: `${this.#url}${path}` };
      const sent = request(url, { method, agent, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }),
        );
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }

  async add(asked: Buffer): Promise<string> {
    const { status, body } = await this.call("POST", "/api/v1/jobs", asked);
    if (status !== 201) throw new Error(`A job was refused: ${body.toString()}`);
    return (JSON.parse(body.toString()) as { data: { jobId: string } }).data.jobId;
  }

  async get(job: string): Promise<Buffer> {
    return (await this.call("GET", `/api/v1/jobs/${job}`)).body;
  }

  /** The job once it has ended. */
  async ended(job: string): Promise<Buffer> {
    const wait = Buffer.from(JSON.stringify({ timeout: 300_000 }));
    for (;;) {
      const { status } = await this.call("POST", `/api/v1/jobs/${job}/wait`, wait);
      if (status === 200) return this.get(job);
    }
  }

  /** Resident, of the process and its children. */
  memoryMb(): number {
    const pid = this.#process?.pid ?? 0;
    let pages = 0;
    try {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
      for (const one of [String(pid), ...children.trim().split(" ").filter(Boolean)]) {
        pages += Number(readFileSync(`/proc/${one}/statm`, "latin1").split(" ")[1]);
      }
    } catch {
      // Gone between the two reads, or no such system.
    }
    return (pages * 4096) / 1e6;
  }
}
