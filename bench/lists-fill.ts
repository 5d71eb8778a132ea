/**
 * Fills a store with the million jobs that `lists.ts` looks through, as moving a store would.
 * Usage: node lists-fill.ts embedded|distributed <database file or redis port>
 */
import { BullmqAtRest } from "@jobyard/core/bullmq";
import { SqliteAtRest } from "@jobyard/core/sqlite";
import { report } from "./measure.ts";

const [engine, place = ""] = process.argv.slice(2);

type Target = SqliteAtRest | BullmqAtRest;
type Batch = Parameters<Target["write"]>[0];
type Section = Batch["section"];

const JOBS = 1_000_000;
const BATCH = 1000;
const HOUR = 3_600_000;
const tenant = "default";
const began = Date.now() - 20 * HOUR;

const queues = [
  "security_scan",
  "file_processing",
  "data_export",
  "file-analysis",
  "email-notifications",
  "scans",
  "imports",
  "thumbnails",
];
/** Half of all jobs have the first one. */
const names = ["nightly", ...Array.from({ length: 19 }, (_, n) => `step-${n}`)];
const messages = [
  (n: number) => `connect ECONNREFUSED 10.0.${n % 200}.${n % 250}:5432`,
  (n: number) => `Timeout after ${n % 9000} ms while reading row ${n}`,
  (n: number) => `Well "WELL-${n % 5000}" has no header`,
  () => "Disk quota exceeded",
  (n: number) => `Größe ${n} überschreitet die Grenze`,
];

/** Jobs of like numbers are not alike: a number from 0 to below 1 for each. */
function chance(id: number, salt: number): number {
  let h = Math.imul(id ^ (salt * 0x9e37_79b9), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}

const pick = <T>(list: readonly T[], at: number): T => list[Math.floor(at * list.length)] as T;

function stateOf(id: number) {
  const at = chance(id, 1);
  if (at < 0.05) return "failed";
  if (at < 0.08) return "cancelled";
  // What waits is mostly young.
  if (id > JOBS * 0.7) return at < 0.85 ? "waiting" : at < 0.95 ? "completed" : "delayed";
  return "completed";
}

function jobOf(id: number) {
  const queue = pick(queues, chance(id, 2));
  const createdAt = began + Math.floor((id / JOBS) * 19 * HOUR);
  const state = stateOf(id);
  const isOver = state !== "waiting" && state !== "delayed";
  const at = chance(id, 3);
  const message = pick(messages, chance(id, 4))(id);
  const runAt = state === "delayed" ? Date.now() + 24 * HOUR + id : createdAt;
  return {
    id,
    tenant,
    queue,
    name: at < 0.5 ? "nightly" : pick(names, chance(id, 5)),
    state,
    data: JSON.stringify({ wellId: `WELL-${id % 5000}`, filePath: `uploads/${id}.csv` }),
    result: state === "completed" ? `{"rows":${id % 1000}}` : null,
    priority: at < 0.7 ? 0 : Math.floor(chance(id, 6) * 21) - 10,
    lifo: false,
    delayMs: runAt - createdAt,
    createdAt,
    runAt,
    startedAt: isOver ? createdAt + 50 : null,
    finishedAt: isOver ? createdAt + 900 : null,
    attemptsMade: state === "failed" ? 1 : 0,
    maxAttempts: 1,
    backoffMs: 1000,
    ttlMs: null,
    timeoutMs: null,
    uniqueKey: null,
    dependsOn: [],
    tags: [pick(["field", "office", "lab", "rig"], chance(id, 7)), `crew-${id % 300}`],
    project: `project-${Math.floor(chance(id, 8) * 10)}`,
    batch: id % 10 < 3 ? `batch-${Math.floor(id / 2000)}` : null,
    origin: null,
    progress: state === "completed" ? 100 : 0,
    progressMessage: null,
    stats: null,
    error:
      state === "failed"
        ? { message, stack: `Error: ${message}\n    at read (rows.js:${id % 90})` }
        : state === "cancelled"
          ? { code: "cancelled", message: "ordered twice" }
          : null,
    crashes: 0,
    worker: isOver ? "w1" : null,
  } as const;
}

type StoredJob = ReturnType<typeof stored>;
function stored(id: number) {
  const job = jobOf(id);
  return {
    job,
    started: job.startedAt !== null,
    expireAt: null,
    dependencies: [],
    logs: [],
    runs: [],
  };
}

/** Of -10 to 10. */
const levelOf = (priority: number): number =>
  priority <= -7 ? 0 : priority < 0 ? 1 : priority === 0 ? 2 : 3;

function rollupOf(sums: Map<string, number[]>, { job }: StoredJob): void {
  const key = JSON.stringify([job.queue, levelOf(job.priority), job.project]);
  // As `StoredRollup.sums` has it.
  let of = sums.get(key);
  if (of === undefined) sums.set(key, (of = [0, 0, 0, 0, 0, 0, 0, 850, 850, 0, 0, 1, 0]));
  const places = { completed: 1, failed: 2, cancelled: 3, waiting: 0, delayed: 0 };
  of[0] = (of[0] ?? 0) + 1;
  const ended = places[job.state];
  if (ended > 0) of[ended] = (of[ended] ?? 0) + 1;
  if (ended === 1) of[6] = (of[6] ?? 0) + 850;
}

const store: Target =
  engine === "embedded"
    ? new SqliteAtRest({ path: place })
    : new BullmqAtRest({ url: `redis://127.0.0.1:${place}` });
await store.open({ create: true });
const mark = { version: 1, id: "bench", other: "nowhere", since: Date.now(), done: false };
await store.begin({ ...mark, role: "target" }, JOBS + 1);
let filled = await store.filled();
async function write(section: Section, records: Batch["records"], next = ""): Promise<void> {
  const then = { section, after: next };
  await store.write({ section, records, next }, filled, then);
  filled = then;
}

const settings = { paused: false, rateLimit: null, concurrency: null };
await write(
  "queues",
  queues.map((queue, n) => ({
    ...settings,
    tenant,
    queue,
    typed: n < 5,
    indexedPaths: queue === "scans" ? ["data.wellId"] : [],
  })),
);
const sums = new Map<string, number[]>();
for (let after = 0; after < JOBS; after += BATCH) {
  const records = Array.from({ length: BATCH }, (_, n) => stored(after + n + 1));
  for (const record of records) rollupOf(sums, record);
  await write("jobs", records, String(after + BATCH));
}
await write("jobs", [], String(JOBS));
const byPriority = Array.from(
  { length: 21 },
  () => new Map(queues.map((q) => [q, [] as number[]])),
);
for (let id = 1; id <= JOBS; id++) {
  if (stateOf(id) !== "waiting") continue;
  const { queue, priority } = jobOf(id);
  byPriority[priority + 10]?.get(queue)?.push(id);
}
for (const queue of queues) {
  for (const [n, of] of byPriority.entries()) {
    const ids = of.get(queue) ?? [];
    for (let from = 0; from < ids.length; from += BATCH) {
      const some = ids.slice(from, from + BATCH);
      await write(
        "order",
        some.map((id) => ({ tenant, queue, id, priority: n - 10 })),
      );
    }
  }
}
await write("order", []);
const rollups = [...sums].map(([key, of]) => {
  const [queue, level, project] = JSON.parse(key) as [string, number, string];
  return { tenant, queue, span: "total", at: 0, level, project, sums: of } as const;
});
await write("rollups", rollups);
await store.setMark(null);
await store.settle();
await store.close();
report({ jobs: JOBS });
