import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { setImmediate } from "node:timers/promises";
import { type Clock, systemClock } from "../../clock.ts";
import { QueueError } from "../../errors.ts";
import { type JobState, jobStates } from "../../job.ts";
import { ALL_TENANTS } from "../../queue-adapter.ts";
import {
  type Census,
  Checksum,
  type Filled,
  type MoveMark,
  type Section,
  type StoreAtRest,
  type StoreBatch,
  tallyKey,
} from "../../store-at-rest.ts";
import { type KeptMark, keptMark, openDatabase, storeError } from "./database.ts";
import { noCounts } from "./lanes.ts";
import { Reader } from "./reading.ts";
import { Records } from "./records.ts";
import { type Phase, stateOf } from "./rows.ts";
import { Store } from "./store.ts";
import { Writer } from "./writing.ts";

/** Jobs counted before others have their turn. */
const COUNT_STEP = 20_000;

const nothing: Filled = { section: "queues", after: "" };

/** The file of the embedded engine, which is locked as long as it is open. */
export class SqliteAtRest implements StoreAtRest {
  readonly engine = "sqlite";
  readonly name: string;
  #db: DatabaseSync | undefined;
  #writer: Writer | undefined;

  readonly #clock: Clock;

  constructor({ path, clock = systemClock }: { readonly path: string; readonly clock?: Clock }) {
    this.name = path;
    this.#clock = clock;
  }

  async open({ create }: { create: boolean }): Promise<void> {
    if (!create && !existsSync(this.name)) {
      throw new QueueError("INVALID_STATE", `There is no store at ${this.name}: check DATA_DIR`);
    }
    await mkdir(dirname(this.name), { recursive: true, mode: 0o700 });
    this.#db = openDatabase(this.name);
  }

  async close(): Promise<void> {
    this.#db?.close();
    this.#db = undefined;
    this.#writer = undefined;
  }

  get #open(): DatabaseSync {
    if (this.#db === undefined) throw new QueueError("UNAVAILABLE", `${this.name} is not open`);
    return this.#db;
  }

  async mark(): Promise<MoveMark | null> {
    return keptMark(this.#open)?.mark ?? null;
  }

  async setMark(mark: MoveMark | null): Promise<void> {
    this.#keep(mark === null ? null : { mark, filled: nothing });
  }

  #keep(kept: KeptMark | null): void {
    const db = this.#open;
    if (kept === null) db.exec("DELETE FROM meta WHERE key = 'move'");
    else db.prepare("INSERT OR REPLACE INTO meta VALUES ('move', ?)").run(JSON.stringify(kept));
  }

  async isEmpty(): Promise<boolean> {
    const tables = ["lane", "schedule", "webhook", "incoming_secret", "answer"];
    const some = tables.map((table) => `EXISTS (SELECT 1 FROM ${table})`).join(" OR ");
    return this.#open.prepare(`SELECT ${some} there`).get()?.["there"] === 0;
  }

  async erase(): Promise<void> {
    await this.close();
    for (const suffix of ["", "-wal", "-shm"]) await rm(`${this.name}${suffix}`, { force: true });
  }

  async endRuns(): Promise<number> {
    const db = this.#open;
    if (db.prepare("SELECT 1 FROM claim LIMIT 1").get() === undefined) return 0;
    const store = new Store(db, this.#clock, [], () => undefined);
    const told: (() => void)[] = [];
    const tx = {
      now: this.#clock.now(),
      onRollback: () => undefined,
      onCommit: (run: () => void) => void told.push(run),
    };
    store.begin();
    try {
      const webhooks = new Records(db, this.#clock).webhooks(ALL_TENANTS);
      for (const [tenant = "", own = []] of Map.groupBy(webhooks, (each) => each.tenant)) {
        store.ask(tx, tenant, own);
      }
      store.load(tx);
      const ended = store.crashRuns(
        tx,
        "The process that ran the job ended before its store was moved",
      );
      store.beforeCommit(tx);
      store.releaseIds();
      store.commit();
      return ended;
    } catch (error) {
      store.rollback(tx.now);
      throw error;
    } finally {
      store.agenda.stop();
    }
  }

  async nextNumber(): Promise<number> {
    return Number(
      this.#open.prepare("SELECT value FROM meta WHERE key = 'next_id'").get()?.["value"] ?? 1,
    );
  }

  async countJobs(): Promise<number> {
    const counted = this.#open
      .prepare("SELECT (SELECT count(*) FROM open_job) + (SELECT count(*) FROM finished_job) n")
      .get();
    return Number(counted?.["n"]);
  }

  read<S extends Section>(section: S, after: string): AsyncIterable<StoreBatch<S>> {
    return new Reader(this.#open).read(section, after);
  }

  async census(onCounted: (jobs: number) => void): Promise<Census> {
    const db = this.#open;
    const lanes = new Map(
      db
        .prepare("SELECT no, tenant, queue FROM lane WHERE queue <> ''")
        .all()
        .map(({ no, tenant, queue }) => [
          Number(no),
          { key: tallyKey(String(tenant), String(queue)), counts: noCounts(), sum: new Checksum() },
        ]),
    );
    const byPhase = db.prepare(
      `SELECT lane, phase, count(*) n FROM open_job GROUP BY lane, phase
       UNION ALL SELECT lane, phase, count(*) n FROM finished_job GROUP BY lane, phase`,
    );
    for (const { lane, phase, n } of byPhase.iterate()) {
      const found = lanes.get(Number(lane));
      if (found !== undefined) found.counts[stateOf(phase as Phase)] = Number(n);
    }
    const some = db.prepare(
      `SELECT j.id, j.lane, coalesce(o.phase, f.phase) FROM job j
       LEFT JOIN open_job o ON o.lane = j.lane AND o.id = j.id
       LEFT JOIN finished_job f ON f.lane = j.lane AND f.phase IN (3, 4, 5) AND f.id = j.id
       WHERE j.id > ? ORDER BY j.id LIMIT ${COUNT_STEP}`,
    );
    some.setReturnArrays(true);
    for (let after = 0, counted = COUNT_STEP; counted === COUNT_STEP;) {
      const rows = some.all(after) as unknown as [number, number, Phase | null][];
      for (const [id, lane, phase] of rows) {
        const state: JobState | undefined = phase === null ? undefined : stateOf(phase);
        lanes.get(lane)?.sum.add(id, state === undefined ? -1 : jobStates.indexOf(state));
      }
      counted = rows.length;
      after = rows.at(-1)?.[0] ?? after;
      onCounted(counted);
      await setImmediate();
    }
    return new Map(
      [...lanes.values()]
        .map(({ key, counts, sum }) => [key, { counts, checksum: String(sum) }] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  }

  async begin(mark: MoveMark, nextNumber: number): Promise<void> {
    const db = this.#open;
    db.exec("BEGIN");
    db.prepare(
      "INSERT OR REPLACE INTO meta VALUES ('next_id', max(?, coalesce((SELECT value FROM meta WHERE key = 'next_id'), 1)))",
    ).run(nextNumber);
    // All open jobs that are written into it have their rows.
    db.exec(
      "UPDATE meta SET value = (SELECT n.value FROM meta n WHERE n.key = 'next_id') WHERE key = 'open_from'",
    );
    this.#keep({ mark, filled: nothing });
    db.exec("COMMIT");
  }

  async filled(): Promise<Filled> {
    return keptMark(this.#open)?.filled ?? nothing;
  }

  async write(batch: StoreBatch, from: Filled, then: Filled): Promise<void> {
    const db = this.#open;
    const kept = keptMark(db);
    if (kept?.filled.section !== from.section || kept.filled.after !== from.after) {
      throw new QueueError("INTERNAL", `${this.name} is not filled as far as it should be`);
    }
    db.exec("BEGIN");
    try {
      this.#writer ??= new Writer(db);
      this.#writer.write(batch);
      this.#keep({ mark: kept.mark, filled: then });
      db.exec("COMMIT");
    } catch (error) {
      if (db.isTransaction) db.exec("ROLLBACK");
      throw storeError(error, this.name) ?? error;
    }
  }

  async settle(): Promise<readonly string[]> {
    this.#open.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    return [];
  }
}
