/**
 * The benchmark: both engines against raw BullMQ on Redis with AOF everysec, on this machine, in this run.
 * Rounds take turns, so that a machine whose speed drifts treats both alike; figures are medians.
 *
 *   pnpm bench [--rounds 5] [--slow-sync 5] [--engine embedded|distributed] [--only name]
 *   pnpm bench --http [--rounds 5]
 *   pnpm bench --sdk [--rounds 5]    a call against a bare fetch, a remote worker against one in process
 *   pnpm bench --handlers [--large] [--only name]
 *   pnpm bench --streams [--rounds 5]
 *   pnpm bench --wire [--rounds 5]
 *   pnpm bench --moves
 *   pnpm bench --lists [--engine embedded|distributed] [--only part-of-a-query]
 *
 * `--slow-sync`: each sync of the embedded engine takes so many ms longer, as on a slow disk. `--http`: instead of the
 * engines, the service over HTTP, which otherwise comes after them. `--handlers`: the job types that work on files and
 * texts. `--streams`: what readers of events cost. `--wire`: TCP and gRPC against calls in process, BullMQ, beanstalkd and
 * bare gRPC. `--moves`: a million jobs from the embedded engine to Redis and back. `--lists`: lists and searches of a
 * million jobs over HTTP.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureSystemTools } from "../scripts/system-tools.ts";
import { benchHandlers } from "./handlers.ts";
import { benchHttp } from "./http.ts";
import { benchLists } from "./lists.ts";
import { type Figures, median } from "./measure.ts";
import { benchMoves } from "./moves.ts";
import { freePort, run, startRedis } from "./processes.ts";
import { benchSdk } from "./sdk.ts";
import { benchStreams } from "./streams.ts";
import { benchWire } from "./wire.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    "slow-sync": { type: "string", default: "0" },
    engine: { type: "string", default: "both" },
    http: { type: "boolean", default: false },
    sdk: { type: "boolean", default: false },
    handlers: { type: "boolean", default: false },
    large: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    streams: { type: "boolean", default: false },
    wire: { type: "boolean", default: false },
    moves: { type: "boolean", default: false },
    lists: { type: "boolean", default: false },
  },
});
if (values.handlers) process.exit((await benchHandlers(values)) ? 0 : 1);
if (values.lists) process.exit((await benchLists(values.engine, values.only)) ? 0 : 1);
if (values.moves) process.exit((await benchMoves()) ? 0 : 1);
const rounds = Number(values.rounds);
if (values.wire) process.exit((await benchWire(rounds)) ? 0 : 1);
if (values.sdk) process.exit((await benchSdk(rounds)) ? 0 : 1);
if (values.streams) process.exit((await benchStreams(rounds)) ? 0 : 1);
if (values.http) process.exit((await benchHttp(rounds)) ? 0 : 1);
const slowSync = values["slow-sync"];
const measured = (engine: string): boolean => [engine, "both"].includes(values.engine);
const embedded = ["batches-1000", "batches-100", "singles", "latency", "backlog"] as const;
/** Each beside the same of raw BullMQ, where there is such. */
const distributed = [
  "slots-100",
  "slots-50",
  "pull-1000",
  "pull-100",
  "memory",
  "latency",
  "backlog",
  "tenants",
] as const;
const alone: readonly string[] = ["backlog", "tenants"];
if (!["", ...embedded, ...distributed].includes(values.only)) {
  throw new Error(`--only: one of ${[...new Set([...embedded, ...distributed])].join(", ")}`);
}
const isAsked = (scenario: string): boolean => ["", scenario].includes(values.only);

type Samples = Record<string, number[]>;

function keep(samples: Samples, round: Figures): void {
  for (const [name, value] of Object.entries(round)) (samples[name] ??= []).push(value);
}

ensureSystemTools("redis-server");
const folder = mkdtempSync(join(tmpdir(), "jobyard-bench-"));
const port = await freePort();
const redis = await startRedis(folder, port);
/** By scenario: raw BullMQ, the embedded engine, the distributed one. */
const bullmq: Record<string, Samples> = {};
const ours: Record<string, Samples> = {};
const shared: Record<string, Samples> = {};
async function measureBullmq(scenario: string): Promise<void> {
  keep((bullmq[scenario] ??= {}), await run("bullmq.ts", [scenario, String(port)]));
}
try {
  for (let round = 1; round <= rounds; round++) {
    for (const scenario of measured("distributed") ? distributed.filter(isAsked) : []) {
      process.stderr.write(`round ${round} of ${rounds}: Redis ${scenario}          \r`);
      keep((shared[scenario] ??= {}), await run("distributed.ts", [scenario, String(port)]));
      if (!alone.includes(scenario)) await measureBullmq(scenario);
    }
    for (const scenario of measured("embedded") ? embedded.filter(isAsked) : []) {
      process.stderr.write(`round ${round} of ${rounds}: ${scenario}          \r`);
      const store = mkdtempSync(join(folder, "store-"));
      keep((ours[scenario] ??= {}), await run("embedded.ts", [scenario, store, slowSync]));
      rmSync(store, { recursive: true });
      if (scenario === "latency") await measureBullmq("latency");
      else if (["batches-1000", values.only].includes(scenario)) await measureBullmq("slots-100");
    }
  }
} finally {
  redis.kill();
  await once(redis, "close");
  rmSync(folder, { recursive: true, force: true });
}

const at = (samples: Samples | undefined, name: string): number => median(samples?.[name] ?? []);
const rawBullmq = bullmq["slots-100"];
const raw = at(rawBullmq, "lifecycle");
const fixed = (value: number, digits = 1): string => value.toFixed(digits);
const whole = (value: number): string => Math.round(value).toLocaleString("en");
const longest = Math.max(
  ...embedded.flatMap((scenario) => at(ours[scenario], "longestCommitMs") || 0),
);

interface Row {
  readonly what: string;
  readonly measured: string;
  readonly wanted: string;
  readonly met: boolean;
}

function ratio(what: string, jobsPerSecond: number, wanted: number): Row {
  const times = jobsPerSecond / raw;
  const measured = `${fixed(times)}x (${whole(jobsPerSecond)}/s)`;
  return { what, measured, wanted: `>= ${wanted}x`, met: times >= wanted };
}

function atMost(what: string, value: number, most: number, unit: string, digits = 1): Row {
  const measured = `${fixed(value, digits)} ${unit}`;
  return { what, measured, wanted: `<= ${most} ${unit}`, met: value <= most };
}

function against(what: string, value: number, yardstick: number, wanted: number): Row {
  const times = value / yardstick;
  const told = `${fixed(times, 2)}x (${whole(value)}/s against ${whole(yardstick)}/s)`;
  return { what, measured: told, wanted: `>= ${wanted}x`, met: times >= wanted };
}

function distributedRows(): Row[] {
  const both = (what: string, scenario: string, figure: string, wanted: number): Row => {
    const theirs = at(bullmq[scenario], figure);
    return against(`Redis: ${what}`, at(shared[scenario], figure), theirs, wanted);
  };
  const times = (scenario: string, figure: string): number =>
    at(shared[scenario], figure) / at(bullmq[scenario], figure);
  return [
    both("adds in batches of 1,000, against addBulk", "slots-100", "add", 0.9),
    both("worker with 100 slots, against BullMQ's", "slots-100", "drain", 0.9),
    both("worker with 50 slots, against BullMQ's", "slots-50", "drain", 0.9),
    both(
      "pull and acknowledge 1,000 at once, against calls sent together",
      "pull-1000",
      "pull",
      0.8,
    ),
    both("pull and acknowledge 100 at once, against calls sent together", "pull-100", "pull", 0.8),
    atMost(
      "Redis: memory of a waiting job, against BullMQ's",
      times("memory", "bytes"),
      1.15,
      "x",
      2,
    ),
    atMost(
      "Redis: cost of a job, backlog 1,000,000 against 1,000",
      at(shared["backlog"], "deepCost"),
      1.5,
      "x",
      2,
    ),
    atMost(
      "Redis: cost of a job, 1,000 tenants against 1",
      at(shared["tenants"], "tenantCost"),
      2,
      "x",
      2,
    ),
    atMost(
      "Redis: add to handler start, against BullMQ's",
      times("latency", "latencyMs"),
      1.2,
      "x",
      2,
    ),
  ];
}

const embeddedRows = (): Row[] => [
  ratio("lifecycle in batches of 1,000", at(ours["batches-1000"], "lifecycle"), 8),
  ratio("lifecycle in batches of 100", at(ours["batches-100"], "lifecycle"), 6),
  ratio("single adds, 500 in flight, worker with 100 slots", at(ours["singles"], "singles"), 4),
  atMost(
    "cost of a job, backlog 1,000,000 against 1,000",
    at(ours["backlog"], "deepCost"),
    2,
    "x",
    2,
  ),
  atMost("memory of a waiting job", at(ours["backlog"], "bytesOfMemory"), 450, "B", 0),
  atMost("file of a waiting job", at(ours["backlog"], "bytesOfFile"), 300, "B", 0),
  atMost(
    `add to handler start, against BullMQ's ${fixed(at(bullmq["latency"], "latencyMs"), 2)} ms`,
    at(ours["latency"], "latencyMs") / at(bullmq["latency"], "latencyMs"),
    1,
    "x",
    2,
  ),
  atMost(
    `durable push alone, against an fdatasync of ${fixed(at(ours["latency"], "fdatasyncMs"), 2)} ms`,
    at(ours["latency"], "pushMs") / at(ours["latency"], "fdatasyncMs"),
    3,
    "x",
    2,
  ),
  atMost("restart with 1,000,000 waiting jobs", at(ours["backlog"], "restartMs") / 1000, 5, "s", 2),
  atMost("longest commit, checkpoint included", longest, 20, "ms"),
];

// Of one scenario alone, only its rows.
const rows = [
  ...(measured("embedded") ? embeddedRows() : []),
  ...(measured("distributed") ? distributedRows() : []),
].filter(({ measured: told }) => values.only === "" || !told.startsWith("NaN"));
console.log(
  `\n${rounds} rounds on ${cpus().length} cores, Node ${process.version}` +
    (slowSync === "0" ? "" : `, each sync ${slowSync} ms longer`) +
    (rawBullmq === undefined
      ? ""
      : `\nraw BullMQ: ${whole(raw)} jobs/s (adds ${whole(at(rawBullmq, "add"))}/s, worker ${whole(at(rawBullmq, "drain"))}/s) = 1.0x`) +
    "\n",
);
const width = Math.max(...rows.map(({ what }) => what.length));
for (const { what, measured, wanted, met } of rows) {
  console.log(`${met ? "ok  " : "MISS"} ${what.padEnd(width)}  ${measured.padEnd(20)}  ${wanted}`);
}
if (measured("embedded") && values.only === "") await benchHttp(rounds);
if (values.only === "") await benchLists(values.engine, "");
