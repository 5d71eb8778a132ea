import type { DatabaseSync, StatementSync } from "node:sqlite";
import { laneOfFact, priorityOfFact } from "../../job-facts.ts";
import { BulkInsert } from "./bulk-statement.ts";
import type { Transaction } from "./committer.ts";
import type { JobFacts } from "./job-facts.ts";
import { encodeReport, type OpenRow, Phase, type Run } from "./rows.ts";

/** Ids from the newest on whose jobs need no row yet, at least; at most twice as many. */
const LATE = 8192;

/**
 * The rows of jobs that are not finished. Most jobs end soon after they were added, so the row of one that just waits its
 * turn is written only if it is still open some thousand ids later, or when something happens to it. Until then a job
 * from `meta.open_from` on that is neither open nor finished by the tables waits; after a crash `writeLate` says so there.
 */
export class OpenJobs {
  readonly #insert: BulkInsert;
  readonly #update: StatementSync;
  readonly #setReport: StatementSync;
  readonly #setOver: StatementSync;
  readonly #setStop: StatementSync;
  readonly #delete: StatementSync;
  readonly #deleteRange: StatementSync;
  readonly #deleteMany: StatementSync;
  readonly #setFrom: StatementSync;
  readonly #priority: StatementSync;
  readonly #facts: JobFacts;
  /** Open jobs from this id on have a row if they are in `#written`, in which finished ones may be as well. */
  #from: number;
  #written = new Set<number>();
  /** Those of the current transaction. */
  #writtenNow: number[] = [];

  /** `next`: no id from it on was given out; every open job has its row. */
  constructor(db: DatabaseSync, next: number, facts: JobFacts) {
    this.#insert = new BulkInsert(db, "open_job", {
      shared: ["lane", "phase", "priority", "ord", "run_at", "expire_at"],
      own: ["id"],
    });
    this.#update = db.prepare(
      `UPDATE open_job SET phase = ?, ord = ?, run_at = ?, attempts = ?, crashes = ?, error = ?, over = ?, stop = NULL, report = NULL
       WHERE lane = ? AND id = ?`,
    );
    this.#setReport = db.prepare("UPDATE open_job SET report = ? WHERE lane = ? AND id = ?");
    this.#setOver = db.prepare("UPDATE open_job SET over = ? WHERE lane = ? AND id = ?");
    this.#setStop = db.prepare("UPDATE open_job SET stop = ? WHERE lane = ? AND id = ?");
    this.#delete = db.prepare("DELETE FROM open_job WHERE lane = ? AND id = ?");
    this.#deleteRange = db.prepare("DELETE FROM open_job WHERE lane = ? AND id BETWEEN ? AND ?");
    this.#deleteMany = db.prepare(
      "DELETE FROM open_job WHERE lane = ? AND id IN (SELECT value FROM json_each(?))",
    );
    this.#setFrom = db.prepare("UPDATE meta SET value = ? WHERE key = 'open_from'");
    this.#priority = db.prepare("SELECT priority FROM job WHERE id = ?");
    this.#from = next;
    this.#facts = facts;
  }

  /** A job that has become open; written by `flush`, if it has to be. */
  add({ id, lane, phase, priority, createdAt, ord, runAt, expireAt }: OpenRow): void {
    const [place, later] = [ord === id ? null : ord, runAt === createdAt ? null : runAt];
    const waits = phase === Phase.ready && place === null && later === null && expireAt === null;
    if (waits && id >= this.#from) return;
    this.#insert.add([lane.no, phase, priority, place, later, expireAt], [id]);
    this.#note(id);
  }

  flush(): void {
    this.#insert.flush();
  }

  update(row: OpenRow): void {
    this.#ensure(row);
    const { id, lane, phase, ord, runAt, createdAt, attempts, crashes, error, over } = row;
    const [place, later] = [ord === id ? null : ord, runAt === createdAt ? null : runAt];
    this.#update.run(phase, place, later, attempts, crashes, error, over, lane.no, id);
  }

  over(row: OpenRow): void {
    this.#ensure(row);
    this.#setOver.run(row.over, row.lane.no, row.id);
  }

  report(run: Run): void {
    this.#ensure(run.row);
    this.#setReport.run(encodeReport(run), run.row.lane.no, run.row.id);
  }

  stop({ row, stop }: Run): void {
    this.#ensure(row);
    this.#setStop.run(stop, row.lane.no, row.id);
  }

  /** Jobs of one lane that are open no more. */
  delete(lane: number, ids: readonly number[]): void {
    const there = ids.every((id) => this.#has(id)) ? ids : ids.filter((id) => this.#has(id));
    const [first] = there;
    if (first === undefined) return;
    if (there.length === 1) {
      this.#delete.run(lane, first);
    } else if (there.every((id, i) => id === first + i)) {
      this.#deleteRange.run(lane, first, first + there.length - 1);
    } else {
      this.#deleteMany.run(lane, JSON.stringify(there));
    }
  }

  /** Writes rows that were put off long enough. `next`: as given to the constructor. */
  beforeCommit(tx: Transaction, next: number): void {
    if (next - this.#from >= 2 * LATE) this.writeUntil(tx, next - LATE);
  }

  /** From here on every open job with a lower id has its row. */
  writeUntil(tx: Transaction, next: number): void {
    if (next <= this.#from) return;
    const before = [this.#from, this.#written] as const;
    tx.onRollback(() => ([this.#from, this.#written] = before));
    for (let id = this.#from; id < next; id++) {
      if (!this.#facts.isOpen(id) || this.#written.has(id)) continue;
      const fact = this.#facts.of(id);
      const priority = priorityOfFact(fact) ?? Number(this.#priority.get(id)?.["priority"]);
      this.#insert.add([laneOfFact(fact), Phase.ready, priority, null, null, null], [id]);
    }
    this.#insert.flush();
    this.#written = new Set([...this.#written].filter((id) => id >= next));
    this.#from = next;
    this.#setFrom.run(next);
  }

  commit(): void {
    this.#writtenNow = [];
  }

  rollback(): void {
    this.#insert.discard();
    for (const id of this.#writtenNow) this.#written.delete(id);
    this.#writtenNow = [];
  }

  #has(id: number): boolean {
    return id < this.#from || (this.#written.size > 0 && this.#written.has(id));
  }

  #ensure({ id, lane, priority }: OpenRow): void {
    if (this.#has(id)) return;
    this.#insert.add([lane.no, Phase.ready, priority, null, null, null], [id]);
    this.#insert.flush();
    this.#note(id);
  }

  #note(id: number): void {
    // One that had a row before this transaction has it again after a rollback.
    if (this.#has(id)) return;
    this.#written.add(id);
    this.#writtenNow.push(id);
  }
}

/** Writes the rows that the last process put off: then every open job has one. */
export function writeLate(db: DatabaseSync): void {
  db.exec(`
    BEGIN;
    INSERT INTO open_job (lane, id, phase, priority)
    SELECT j.lane, j.id, ${Phase.ready}, j.priority FROM job j
    WHERE j.id >= (SELECT value FROM meta WHERE key = 'open_from')
      AND NOT EXISTS (SELECT 1 FROM open_job o WHERE o.lane = j.lane AND o.id = j.id)
      AND NOT EXISTS (SELECT 1 FROM finished_job f WHERE f.lane = j.lane AND f.phase IN (3, 4, 5) AND f.id = j.id);
    -- Never higher: it may have counted ids that were given out in vain, and are given out again.
    UPDATE meta SET value = coalesce((SELECT n.value FROM meta n WHERE n.key = 'next_id'), 1)
    WHERE key = 'open_from';
    COMMIT;
  `);
}
