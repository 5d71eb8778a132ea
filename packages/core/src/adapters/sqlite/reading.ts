import type { DatabaseSync } from "node:sqlite";
import type { JobRun } from "../../job.ts";
import { ALL_TENANTS, decodeOutcome, type LogLine } from "../../queue-adapter.ts";
import {
  BATCH_BYTES,
  BATCH_RECORDS,
  batched,
  type Section,
  type StoreBatch,
  type StoredDependency,
  type StoredEvent,
  type StoredJob,
  type StoredPlace,
  type StoreRecords,
  type StoredRollup,
} from "../../store-at-rest.ts";
import { systemClock } from "../../clock.ts";
import { type Lane, Lanes } from "./lanes.ts";
import { Records } from "./records.ts";
import { toJob } from "./rows.ts";
import {
  finishedRow,
  type JobTuple,
  openRow,
  prepareStatements,
  type Statements,
} from "./statements.ts";

type Row = Record<string, unknown>;

/** Reads a store that nobody serves. */
export class Reader {
  readonly #db: DatabaseSync;
  readonly #sql: Statements;
  readonly #records: Records;
  readonly #lanes = new Lanes([], () => 0);

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#sql = prepareStatements(db);
    this.#records = new Records(db, systemClock);
    for (const row of this.#all("SELECT * FROM lane WHERE queue <> '' ORDER BY no")) {
      this.#lanes.add({
        no: Number(row["no"]),
        tenant: String(row["tenant"]),
        queue: String(row["queue"]),
        typed: row["typed"] === 1,
        paused: row["paused"] === 1,
        rateLimit: row["rate_limit"] as number | null,
        concurrency: row["concurrency"] as number | null,
      });
    }
  }

  #all(sql: string, ...values: (string | number)[]): Row[] {
    return this.#db.prepare(sql).all(...values);
  }

  async *read<S extends Section>(section: S, after: string): AsyncGenerator<StoreBatch<S>> {
    const batches: { readonly [K in Section]: () => Iterable<StoreBatch<K>> } = {
      queues: () => batched("queues", this.#queues()),
      jobs: () => this.#jobs(Number(after)),
      order: () => this.#order(Number(after)),
      rollups: () => batched("rollups", this.#rollups()),
      schedules: () => batched("schedules", this.#records.schedules(ALL_TENANTS)),
      webhooks: () => batched("webhooks", this.#records.webhooks(ALL_TENANTS)),
      secrets: () => batched("secrets", this.#secrets()),
      answers: () => batched("answers", this.#answers()),
      outbox: () => this.#outbox(Number(after)),
    };
    yield* batches[section]();
  }

  *#queues(): Generator<StoreRecords["queues"]> {
    for (const { no, tenant, queue, typed, paused, rateLimit, concurrency } of this.#lanes.all()) {
      const paths = this.#all(
        "SELECT path FROM payload_index WHERE lane = ? AND dropped = 0 ORDER BY no",
        no,
      );
      const indexedPaths = paths.map(({ path }) => String(path));
      yield { tenant, queue, typed, paused, rateLimit, concurrency, indexedPaths };
    }
  }

  *#jobs(first: number): Generator<StoreBatch<"jobs">> {
    for (let after = first; ;) {
      const records = this.#someJobs(after);
      const last = records.at(-1);
      if (last === undefined) return;
      after = last.job.id;
      yield { section: "jobs", records, next: String(after) };
    }
  }

  #someJobs(after: number): StoredJob[] {
    const rows: { readonly tuple: JobTuple; readonly lane: Lane }[] = [];
    let bytes = 0;
    const found = this.#sql.jobsAfter.iterate(
      after,
      BATCH_RECORDS,
    ) as unknown as Iterable<JobTuple>;
    for (const tuple of found) {
      const lane = this.#lanes.get(tuple[1]);
      if (lane === undefined) throw new TypeError(`Job ${tuple[0]} is of no queue`);
      rows.push({ tuple, lane });
      bytes += tuple[5].length + (tuple[23]?.length ?? 0);
      if (bytes > BATCH_BYTES) break;
    }
    const to = rows.at(-1)?.tuple[0] ?? after;
    const { logs, whole } = this.#logs(after, to, bytes);
    const runs = this.#runs(after, whole);
    const dependencies = this.#dependencies(after, whole);
    return rows
      .filter(({ tuple: [id] }) => id <= whole)
      .map(({ tuple, lane }) => {
        const row = openRow(tuple, lane);
        const job = toJob(row, tuple[5], undefined, finishedRow(tuple));
        return {
          job,
          started: (row.over ?? 0) > 0 || row.attempts > 0,
          expireAt: row.expireAt,
          dependencies: dependencies.get(job.id) ?? [],
          logs: logs.get(job.id) ?? [],
          runs: runs.get(job.id) ?? [],
        };
      });
  }

  /** Log lines of the jobs between, as far as they fit: up to the job `whole`. */
  #logs(
    after: number,
    to: number,
    others: number,
  ): { logs: Map<number, LogLine[]>; whole: number } {
    const logs = new Map<number, LogLine[]>();
    let bytes = others;
    const rows = this.#db
      .prepare("SELECT id, at, line FROM log_line WHERE id > ? AND id <= ? ORDER BY id, n")
      .iterate(after, to);
    let last = 0;
    for (const row of rows) {
      const id = Number(row["id"]);
      if (id !== last && last !== 0 && bytes > BATCH_BYTES) return { logs, whole: last };
      last = id;
      const line = String(row["line"]);
      bytes += line.length;
      addTo(logs, id, { at: Number(row["at"]), line });
    }
    return { logs, whole: to };
  }

  #runs(after: number, to: number): Map<number, JobRun[]> {
    const runs = new Map<number, JobRun[]>();
    const rows = this.#all(
      `SELECT job, n number, started_at startedAt, ended_at endedAt, outcome, worker, error, next_at nextAt
       FROM run WHERE job > ? AND job <= ? ORDER BY job, n`,
      after,
      to,
    );
    for (const { job, ...run } of rows) addTo(runs, Number(job), run as unknown as JobRun);
    return runs;
  }

  #dependencies(after: number, to: number): Map<number, StoredDependency[]> {
    const dependencies = new Map<number, StoredDependency[]>();
    const rows = this.#all(
      `SELECT d.child, d.parent, d.done, j.lane FROM dependency d JOIN job j ON j.id = d.parent
       WHERE d.child > ? AND d.child <= ? ORDER BY d.child, d.parent`,
      after,
      to,
    );
    for (const row of rows) {
      const queue = this.#lanes.get(Number(row["lane"]))?.queue ?? "";
      const dependency = { id: Number(row["parent"]), queue, done: row["done"] === 1 };
      addTo(dependencies, Number(row["child"]), dependency);
    }
    return dependencies;
  }

  /** `after`: so many places were read before. */
  *#order(after: number): Generator<StoreBatch<"order">> {
    yield* batched("order", this.#places(after), (index) => String(after + index));
  }

  *#places(skipped: number): Generator<StoredPlace> {
    let left = skipped;
    const waiting = this.#db.prepare(
      "SELECT count(*) n FROM open_job WHERE lane = ? AND phase = 0",
    );
    const ids = this.#db.prepare(
      `SELECT id, priority FROM open_job WHERE lane = ? AND phase = 0
       ORDER BY priority, coalesce(ord, id) LIMIT -1 OFFSET ?`,
    );
    for (const { no, tenant, queue } of this.#lanes.all()) {
      const there = Number(waiting.get(no)?.["n"]);
      const skip = Math.min(left, there);
      left -= skip;
      if (skip === there) continue;
      for (const row of ids.iterate(no, skip)) {
        yield { tenant, queue, id: Number(row["id"]), priority: Number(row["priority"]) };
      }
    }
  }

  *#rollups(): Generator<StoredRollup> {
    const rows = this.#db
      .prepare(
        `SELECT l.tenant, l.queue, r.* FROM rollup r JOIN lane l ON l.no = r.lane
         ORDER BY r.lane, r.span, r.at, r.level, r.project`,
      )
      .iterate();
    for (const row of rows) {
      const sums = rollupColumns.map((column) => row[column] as number | null);
      yield {
        tenant: String(row["tenant"]),
        queue: String(row["queue"]),
        span: row["span"] as StoredRollup["span"],
        at: Number(row["at"]),
        level: Number(row["level"]),
        project: String(row["project"]),
        sums,
      };
    }
  }

  *#secrets(): Generator<StoreRecords["secrets"]> {
    for (const row of this.#all("SELECT * FROM incoming_secret")) {
      const { tenant, queue, secret } = row;
      yield { tenant: String(tenant), queue: String(queue), secret: String(secret) };
    }
  }

  *#answers(): Generator<StoreRecords["answers"]> {
    for (const row of this.#db.prepare("SELECT * FROM answer").iterate()) {
      yield {
        tenant: String(row["tenant"]),
        key: String(row["key"]),
        at: Number(row["at"]),
        outcome: decodeOutcome(String(row["outcome"])),
        note: String(row["note"]),
      };
    }
  }

  *#outbox(after: number): Generator<StoreBatch<"outbox">> {
    const rows = this.#db.prepare("SELECT no, event FROM outbox WHERE no > ? ORDER BY no LIMIT ?");
    for (let from = after; ;) {
      const some = rows.all(from, BATCH_RECORDS);
      if (some.length === 0) return;
      from = Number(some.at(-1)?.["no"]);
      const records = some.map(({ event }) => JSON.parse(String(event)) as StoredEvent);
      yield { section: "outbox", records, next: String(from) };
    }
  }
}

/** In the order of `StoredRollup.sums`. */
export const rollupColumns = [
  "added",
  "completed",
  "failed",
  "cancelled",
  "retried",
  "stalled",
  "duration_sum",
  "duration_min",
  "duration_max",
  "wait_sum",
  "tokens",
  "peak",
  "removed",
] as const;

function addTo<T>(lists: Map<number, T[]>, key: number, value: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
