/**
 * The service over HTTP, as `pnpm start` runs it, against a bare Hono server that sends the same body back, and against the
 * same calls in process.
 *
 *   pnpm bench --http [--rounds 5]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import autocannon from "autocannon";
import { expectEqual, type Figures, median, payload, perSecond } from "./measure.ts";

const CONNECTIONS = 50;
const SECONDS = 4;
/** Until V8 has optimised what a push runs through, after some 150,000 of them; the echo is as quick as it gets by then. */
const WARM_UP_SECONDS = 10;
const BULK_CALLS = 200;
const BULK_WARM_UP = 20;
const BULK_AT_ONCE = 4;

/** The limits on how much may be added are not what is measured. */
const settings = {
  DATACLOAK_MAX_QUEUE_SIZE: "0",
  INLINE_WORKER: "false",
  HTTP_PORTS: "0",
  TCP_PORT: "0",
  GRPC_PORT: "0",
};

const root = new URL("..", import.meta.url).pathname;
const flags = ["--conditions=@jobyard/source"];

interface Server {
  readonly url: string;
  /** Of the line protocol, where it speaks that. */
  readonly tcp: string;
  readonly child: ChildProcess;
  stop(): Promise<void>;
}

async function start(program: string, env: Record<string, string> = {}): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), "jobyard-http-log-"));
  const logFile = join(folder, "log");
  // As under a service manager: who makes the load must not read the log as well.
  const log = openSync(logFile, "w");
  const child = spawn(process.execPath, [...flags, join(root, program)], {
    stdio: ["ignore", log, "inherit"],
    env: { PATH: process.env["PATH"] ?? "", ...env },
  });
  closeSync(log);
  const ready = async (): Promise<{ readonly url: string; readonly tcp: string }> => {
    for (;;) {
      const lines = readFileSync(logFile, "utf8").split("\n").slice(0, -1);
      for (const line of lines) {
        const { urls, tcp } = JSON.parse(line) as {
          readonly urls?: readonly string[];
          readonly tcp?: readonly string[];
        };
        if (urls?.[0] !== undefined) return { url: urls[0], tcp: tcp?.[0] ?? "" };
      }
      if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
      await setTimeout(20);
    }
  };
  return {
    ...(await ready()),
    child,
    async stop() {
      child.kill("SIGTERM");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const startApi = (folder: string, env: Record<string, string> = {}): Promise<Server> =>
  start("apps/api/src/main.ts", { ...settings, ...env, DATA_DIR: folder });

interface Load {
  readonly connections: number;
  readonly duration?: number;
  /** Instead of a duration. */
  readonly amount?: number;
}

/** Requests a second, every one of them answered well. */
async function cannon(url: string, body: string, load: Load): Promise<number> {
  const began = performance.now();
  const result = await autocannon({
    url,
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    ...load,
    // It sees that all is done when it takes a sample: by the second, unless told.
    ...(load.amount !== undefined && { sampleInt: 10 }),
  });
  const ms = performance.now() - began;
  expectEqual(result.non2xx + result.errors + result.timeouts, 0, "calls that went wrong");
  if (load.amount !== undefined) expectEqual(result["2xx"], load.amount, "calls answered");
  return perSecond(result["2xx"], load.amount === undefined ? result.duration * 1000 : ms);
}

async function get<Data>(url: string): Promise<Data> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return ((await response.json()) as { readonly data: Data }).data;
}

async function pushes(folder: string): Promise<Figures> {
  const echo = await start("bench/http-echo.ts");
  const api = await startApi(folder);
  const body = JSON.stringify({ queue: "bench", data: payload });
  try {
    const push = `${api.url}/api/native/jobs`;
    const load = { connections: CONNECTIONS, duration: SECONDS };
    for (const url of [echo.url, push]) {
      await cannon(url, body, { ...load, duration: WARM_UP_SECONDS });
    }
    return { echo: await cannon(echo.url, body, load), push: await cannon(push, body, load) };
  } finally {
    await echo.stop();
    await api.stop();
  }
}

async function bulk(folder: string): Promise<Figures> {
  const api = await startApi(folder);
  const url = `${api.url}/api/native/jobs/bulk`;
  const jobs = Array.from({ length: 1000 }, () => ({ queue: "bench", data: payload }));
  const body = JSON.stringify({ jobs });
  try {
    await cannon(url, body, { connections: BULK_AT_ONCE, amount: BULK_WARM_UP });
    const calls = await cannon(url, body, { connections: BULK_AT_ONCE, amount: BULK_CALLS });
    // What was answered well may have refused jobs one by one.
    const { total } = await get<{ readonly total: number }>(`${api.url}/api/native/jobs?limit=1`);
    expectEqual(total, (BULK_WARM_UP + BULK_CALLS) * 1000, "jobs added");
    return { overHttp: calls * 1000 };
  } finally {
    await api.stop();
  }
}

async function inProcess(folder: string): Promise<Figures> {
  const child = spawn(process.execPath, [...flags, join(root, "bench/http-store.ts"), folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`http-store.ts ended with ${code}`);
  return JSON.parse(output.trim().split("\n").at(-1) || "{}") as Figures;
}

/** Whether all is as fast as it has to be. */
export async function benchHttp(rounds: number): Promise<boolean> {
  const samples: Record<string, number[]> = {};
  const keep = (figures: Figures): void => {
    for (const [name, value] of Object.entries(figures)) (samples[name] ??= []).push(value);
  };
  const folder = mkdtempSync(join(tmpdir(), "jobyard-http-"));
  const store = (): string => mkdtempSync(join(folder, "store-"));
  try {
    for (let round = 1; round <= rounds; round++) {
      process.stderr.write(`round ${round} of ${rounds}: HTTP          \r`);
      for (const scenario of [pushes, bulk]) keep(await scenario(store()));
      keep(await inProcess(store()));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const at = (name: string): number => median(samples[name] ?? []);
  const told = (what: string, value: number, yardstick: number, wanted: number): boolean => {
    const ratio = value / yardstick;
    const figures = `${Math.round(value).toLocaleString("en")}/s against ${Math.round(yardstick).toLocaleString("en")}/s`;
    console.log(
      `${ratio >= wanted ? "ok  " : "MISS"} ${what}  ${ratio.toFixed(2)}x (${figures})  >= ${wanted}x`,
    );
    return ratio >= wanted;
  };
  console.log(`\nHTTP: ${rounds} rounds on ${cpus().length} cores, Node ${process.version}\n`);
  const met = [
    told(
      `durable pushes at ${CONNECTIONS} connections, against a bare echo`,
      at("push"),
      at("echo"),
      0.5,
    ),
    told("jobs in calls of 1,000, against in process", at("overHttp"), at("inProcess"), 0.5),
  ];
  return met.every(Boolean);
}
