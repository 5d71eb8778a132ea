/** A process on a disk that is full before long: it says `full`, is told when there is `room`, and reports. */
import { once } from "node:events";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout } from "node:timers/promises";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { QueueError } from "@jobyard/core";
import { jobSpecs } from "@jobyard/core/testing";

export interface SmallDiskReport {
  readonly acknowledged: number;
  readonly refused: number;
  /** Of the refusals, each once. */
  readonly codes: readonly string[];
  readonly countedWhileFull: number;
  readonly expected: readonly number[];
  readonly drained: readonly number[];
  readonly afterReopen: { readonly waiting: number; readonly completed: number };
  readonly integrity: string;
}

const path = join(process.argv[2] ?? "", "jobyard.db");
const tenant = "default";
const data = JSON.stringify("x".repeat(4000));
const adapter = new SqliteAdapter({ path });
await adapter.open();

const expected: number[] = [];
const codes: string[] = [];

async function add(size: number): Promise<boolean> {
  try {
    const ids = await adapter.enqueue({ jobs: jobSpecs(size, () => ({ data })), atomic: false });
    expected.push(...(ids as number[]));
    return true;
  } catch (error) {
    codes.push(error instanceof QueueError ? error.code : String(error));
    return false;
  }
}

// Until nothing at all fits any more.
for (let size = 16; size >= 1;) {
  const added = await Promise.all([add(size), add(size), add(size)]);
  if (added.every((fits) => !fits)) size = Math.floor(size / 2);
}
const acknowledged = expected.length;
const { waiting } = await adapter.count({ tenant });
// Both are the process' own: what is asked for while the disk is full must not disturb what comes after.
await Promise.all([
  adapter.cancel({ tenant, ids: [expected[0] ?? 0], running: true, reason: "no" }),
  add(8),
]).then(
  () => undefined,
  (error: unknown) => codes.push(error instanceof QueueError ? error.code : String(error)),
);
const refused = codes.length;
if ((await adapter.get({ tenant, ids: expected.slice(0, 1) }))[0]?.state !== "waiting")
  expected.shift();

process.stdout.write("full\n");
await once(process.stdin, "data");
process.stdin.destroy();
for (let tries = 0; !(await add(8)) && tries < 100; tries++) await setTimeout(50);

const drained: number[] = [];
for (;;) {
  const jobs = await adapter.claim({
    tenant,
    queues: [{ queue: "work", limit: 100 }],
    limit: 100,
    worker: "w",
    leaseMs: 60_000,
    inProcess: false,
    timeoutFrom: "progress",
    waitMs: 0,
  });
  if (jobs.length === 0) break;
  drained.push(...jobs.map(({ id }) => id));
  await adapter.complete({
    tenant,
    runs: jobs.map(({ id, lease }) => ({ id, lease, result: null })),
  });
}
await adapter.close();

const next = new SqliteAdapter({ path });
await next.open();
const counts = await next.count({ tenant });
await next.close();
const db = new DatabaseSync(path);
const integrity = String(db.prepare("PRAGMA integrity_check").get()?.["integrity_check"]);
db.close();

const report: SmallDiskReport = {
  acknowledged,
  refused,
  codes: [...new Set(codes)],
  countedWhileFull: waiting,
  expected,
  drained,
  afterReopen: { waiting: counts.waiting, completed: counts.completed },
  integrity,
};
process.stdout.write(`${JSON.stringify(report)}\n`);
