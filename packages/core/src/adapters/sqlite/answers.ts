import type { DatabaseSync } from "node:sqlite";
import { type Answer, ANSWERS_KEPT_MS, decodeOutcome } from "../../queue-adapter.ts";
import { type Agenda, Due } from "./agenda.ts";
import type { Transaction } from "./committer.ts";

/** Answers forgotten in one step. */
const STEP = 500;
/** Those of one minute are forgotten together. */
const MINUTE_MS = 60_000;

/** What calls with an idempotency key were answered, for as long as the same call may come again. */
export class Answers {
  readonly #agenda: Agenda;
  readonly #sql;
  /** When the oldest ones are to be forgotten; the agenda's entries for other times are void. */
  #due = Infinity;

  constructor(db: DatabaseSync, agenda: Agenda) {
    this.#agenda = agenda;
    this.#sql = {
      find: db.prepare("SELECT outcome, note FROM answer WHERE tenant = ? AND key = ? AND at > ?"),
      keep: db.prepare("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?)"),
      oldest: db.prepare("SELECT min(at) at FROM answer"),
      forget: db.prepare(
        `DELETE FROM answer WHERE (tenant, key) IN
         (SELECT tenant, key FROM answer WHERE at <= ? ORDER BY at LIMIT ${STEP})`,
      ),
    };
  }

  find(tenant: string, key: string, now: number): Answer | null {
    const row = this.#sql.find.get(tenant, key, now - ANSWERS_KEPT_MS);
    if (row === undefined) return null;
    return {
      outcome: decodeOutcome(String(row["outcome"])),
      note: String(row["note"]),
      repeated: true,
    };
  }

  keep(
    tenant: string,
    key: string,
    now: number,
    { outcome, note }: Omit<Answer, "repeated">,
  ): void {
    this.#sql.keep.run(tenant, key, now, JSON.stringify(outcome), note);
    this.#plan(now);
  }

  /** Plans when to forget what was kept at that time, unless older ones are to be forgotten first. */
  #plan(keptAt: number): void {
    const at = Math.ceil((keptAt + ANSWERS_KEPT_MS) / MINUTE_MS) * MINUTE_MS;
    if (at >= this.#due) return;
    this.#due = at;
    this.#agenda.add(at, Due.answers, 0);
  }

  planOldest(): void {
    const oldest = this.#sql.oldest.get()?.["at"] as number | null;
    if (oldest !== null) this.#plan(oldest);
  }

  /** `at`: the entry of the agenda that has come up. Answers with the rows it took. */
  forget(tx: Transaction, at: number): number {
    const due = this.#due;
    if (at !== due) return 0;
    tx.onRollback(() => (this.#due = due));
    this.#due = Infinity;
    const { changes } = this.#sql.forget.run(tx.now - ANSWERS_KEPT_MS);
    this.planOldest();
    return Number(changes);
  }
}
