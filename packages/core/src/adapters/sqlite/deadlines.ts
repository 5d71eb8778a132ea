import { type Agenda, Due } from "./agenda.ts";
import type { Run } from "./rows.ts";

/** A run may outlive its deadline by at most so long. */
const SLOT_MS = 100;

/**
 * When runs end unless they show a sign of life. Runs come and go far more often than they run out, so they lie in
 * slots of time, where joining and leaving cost the same whatever their number; the agenda has one entry a slot.
 */
export class Deadlines {
  readonly #slots = new Map<number, Set<Run>>();
  /** The one asked for last: most runs begin and end beside others. */
  #last: { readonly slot: number; readonly runs: Set<Run> } | undefined;
  readonly #agenda: Agenda;

  constructor(agenda: Agenda) {
    this.#agenda = agenda;
  }

  static of(run: Run): number {
    return Math.min(run.timeoutAt, run.leaseUntil);
  }

  add(run: Run): void {
    const slot = Math.floor(Deadlines.of(run) / SLOT_MS);
    let runs = this.#runsOf(slot);
    if (runs === undefined) {
      this.#slots.set(slot, (runs = new Set()));
      this.#agenda.add((slot + 1) * SLOT_MS, Due.deadlines, slot);
    }
    runs.add(run);
    run.slot = slot;
  }

  remove(run: Run): void {
    // An empty slot stays until its time has come: another one would cost the agenda another entry.
    this.#runsOf(run.slot)?.delete(run);
  }

  #runsOf(slot: number): Set<Run> | undefined {
    if (this.#last?.slot === slot) return this.#last.runs;
    const runs = this.#slots.get(slot);
    if (runs !== undefined) this.#last = { slot, runs };
    return runs;
  }

  /** The deadline was moved. */
  move(run: Run): void {
    if (Math.floor(Deadlines.of(run) / SLOT_MS) === run.slot) return;
    this.remove(run);
    this.add(run);
  }

  /** Runs whose deadline has passed, at most `limit`. */
  past(now: number, limit: number): Run[] {
    const past: Run[] = [];
    const last = Math.floor(now / SLOT_MS);
    for (const [slot, runs] of this.#slots) {
      if (slot > last) continue;
      if (runs.size === 0 && slot < last) {
        this.#slots.delete(slot);
        this.#last = undefined;
      }
      for (const run of runs) {
        if (past.length === limit) return past;
        if (Deadlines.of(run) <= now) past.push(run);
      }
    }
    return past;
  }
}
