import type { DatabaseSync, StatementSync } from "node:sqlite";
import { isOfResult, valueAt, valueKey } from "../../payload-paths.ts";
import type { Transaction } from "./committer.ts";
import type { Lane } from "./lanes.ts";
import { isFile } from "./rows.ts";

/** How long a step of building or dropping may take, ms, and the most it looks at. */
const STEP_MS = 4;
const STEP = 500;

/** One path of one lane. */
export interface PayloadIndex {
  readonly no: number;
  readonly path: string;
  /** Jobs up to this id were there before the index. */
  readonly until: number;
  /** Those up to this one are in it. */
  reached: number;
}

export function isBuilt({ reached, until }: PayloadIndex): boolean {
  return reached >= until;
}

/** What jobs can be found by in their payloads, in lanes that ask for it. */
export class PayloadIndexes {
  readonly #sql;
  readonly #jobs: StatementSync;

  constructor(db: DatabaseSync) {
    this.#sql = {
      all: db.prepare("SELECT * FROM payload_index ORDER BY no"),
      insert: db.prepare(
        "INSERT INTO payload_index (lane, path, until, reached) VALUES (?, ?, ?, 0)",
      ),
      reach: db.prepare("UPDATE payload_index SET reached = ? WHERE no = ?"),
      drop: db.prepare("UPDATE payload_index SET dropped = 1 WHERE no = ?"),
      dropped: db.prepare("SELECT no FROM payload_index WHERE lane = ? AND dropped = 1 LIMIT 1"),
      forget: db.prepare("DELETE FROM payload_index WHERE no = ?"),
      clear: db.prepare(
        `DELETE FROM payload_value WHERE (idx, value, id) IN
           (SELECT idx, value, id FROM payload_value WHERE idx = ? LIMIT ${STEP})`,
      ),
      add: db.prepare("INSERT OR IGNORE INTO payload_value VALUES (?, ?, ?)"),
      remove: db.prepare("DELETE FROM payload_value WHERE idx = ? AND value = ? AND id = ?"),
    };
    const finished = [3, 4, 5].map(
      (phase) =>
        `SELECT id FROM finished_job WHERE lane = $lane AND phase = ${phase} AND id > $reached`,
    );
    this.#jobs = db.prepare(
      `SELECT x.id, j.data, f.result FROM (
         SELECT id FROM open_job WHERE lane = $lane AND id > $reached
         UNION ALL ${finished.join(" UNION ALL ")} ORDER BY id LIMIT ${STEP}) x
       JOIN job j ON j.id = x.id
       LEFT JOIN finished_job f ON f.lane = $lane AND f.phase = 3 AND f.id = x.id ORDER BY x.id`,
    );
  }

  /** Answers with the lanes that have something left to do. */
  load(laneOf: (no: number) => Lane | undefined): Set<Lane> {
    const unfinished = new Set<Lane>();
    for (const row of this.#sql.all.all()) {
      const lane = laneOf(Number(row["lane"]));
      if (lane === undefined) continue;
      const dropped = row["dropped"] === 1;
      const index: PayloadIndex = {
        no: Number(row["no"]),
        path: String(row["path"]),
        until: Number(row["until"]),
        reached: Number(row["reached"]),
      };
      if (dropped || !isBuilt(index)) unfinished.add(lane);
      if (!dropped) lane.indexes = [...(lane.indexes ?? []), index];
    }
    return unfinished;
  }

  /** Sets a lane's paths; `newest`: the newest id there is. */
  configure(tx: Transaction, lane: Lane, paths: readonly string[], newest: number): void {
    const before = lane.indexes;
    const kept = (before ?? []).filter(({ path }) => paths.includes(path));
    for (const index of before ?? []) if (!kept.includes(index)) this.#sql.drop.run(index.no);
    const known = new Set(kept.map(({ path }) => path));
    const added = [...new Set(paths)]
      .filter((path) => !known.has(path))
      .map((path): PayloadIndex => {
        const { lastInsertRowid } = this.#sql.insert.run(lane.no, path, newest);
        return { no: Number(lastInsertRowid), path, until: newest, reached: 0 };
      });
    tx.onRollback(() => (lane.indexes = before));
    const all = [...kept, ...added];
    lane.indexes = all.length === 0 ? null : all;
  }

  /** Stored forms of the job's payloads. */
  add(lane: Lane, id: number, payload: string | null, of: "data" | "result"): void {
    if (lane.indexes !== null) this.#each(lane.indexes, payload, of, this.#sql.add, id);
  }

  remove(lane: Lane, id: number, payload: string | null, of: "data" | "result"): void {
    if (lane.indexes !== null) this.#each(lane.indexes, payload, of, this.#sql.remove, id);
  }

  #each(
    indexes: readonly PayloadIndex[],
    payload: string | null,
    of: "data" | "result",
    statement: StatementSync,
    id: number,
  ): void {
    // What lies in files is not looked into.
    if (payload === null || isFile(payload)) return;
    const wanted = indexes.filter(({ path }) => isOfResult(path) === (of === "result"));
    if (wanted.length === 0) return;
    const parsed: unknown = JSON.parse(payload);
    for (const { no, path } of wanted) {
      const value = valueAt(parsed, path);
      if (value !== undefined) statement.run(no, valueKey(value), id);
    }
  }

  /** Does some of what is left to do for a lane; true when more is. */
  step(tx: Transaction, lane: Lane): boolean {
    const dropped = this.#sql.dropped.get(lane.no)?.["no"];
    if (dropped !== undefined) {
      const { changes } = this.#sql.clear.run(Number(dropped));
      if (changes < STEP) this.#sql.forget.run(Number(dropped));
      return true;
    }
    const unbuilt = (lane.indexes ?? []).filter((index) => !isBuilt(index));
    if (unbuilt.length === 0) return false;
    const from = Math.min(...unbuilt.map(({ reached }) => reached));
    const building = unbuilt.filter(({ reached }) => reached === from);
    const until = Math.max(...building.map((index) => index.until));
    const began = performance.now();
    let reached = until;
    let seen = 0;
    for (const row of this.#jobs.iterate({ lane: lane.no, reached: from })) {
      const id = Number(row["id"]);
      if (id > until) break;
      seen++;
      this.#each(building, String(row["data"]), "data", this.#sql.add, id);
      this.#each(building, row["result"] as string | null, "result", this.#sql.add, id);
      if (seen === STEP || performance.now() - began > STEP_MS) {
        reached = id;
        break;
      }
    }
    for (const index of building) {
      tx.onRollback(() => (index.reached = from));
      index.reached = reached;
      this.#sql.reach.run(reached, index.no);
    }
    return true;
  }
}
