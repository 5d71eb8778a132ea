import type { QueueError } from "../../errors.ts";

/** A group of calls that is written together. */
export interface Transaction {
  /** Epoch ms, one moment for the whole group. */
  readonly now: number;
  /** Takes back a change in memory, should the group not reach the disk; run last first. */
  onRollback(undo: () => void): void;
  /** Runs once the group is on disk. */
  onCommit(run: () => void): void;
}

interface Call {
  readonly apply: (tx: Transaction) => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

export interface Journal {
  now(): number;
  begin(): void;
  /** Last changes of the group, seen by nobody else. */
  beforeCommit(tx: Transaction): void;
  commit(): void;
  /** Must not throw. */
  rollback(): void;
  /** Whether it says no to this caller only. */
  isRefusal(error: unknown): error is QueueError;
  /** What the caller is told when the store failed; `wide` when others would fail alike. */
  translate(error: unknown): { readonly error: QueueError; readonly wide: boolean };
}

/** How long a group may hold the event loop before it is committed, ms, without the sync. */
const BUDGET_MS = 6;
/** How long a group may wait for calls that keep coming, ms. */
const GATHER_MS = 3;

/**
 * Self-clocked group commit: calls made while a group is being written form the next one, which is written once that one
 * ended and a turn of the event loop brings no more of them. No call is answered before its group is on disk. A call refuses by throwing before it changed
 * anything; any other error takes the group back, and then each of its calls is tried alone.
 */
export class Committer {
  readonly #journal: Journal;
  #calls: Call[] = [];
  #scheduled = false;
  #idle: (() => void)[] = [];

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  submit<T>(apply: (tx: Transaction) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#calls.push({ apply, resolve, reject });
      if (!this.#scheduled) this.#schedule();
    });
  }

  /** Resolves when nothing is left to be written. */
  async settled(): Promise<void> {
    while (this.#calls.length > 0 || this.#scheduled) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
  }

  #schedule(): void {
    this.#scheduled = true;
    this.#gather(performance.now(), this.#calls.length);
  }

  #gather(began: number, known: number): void {
    // After the I/O callbacks of this turn, so that what they ask for shares the commit.
    setImmediate(() => {
      const { length } = this.#calls;
      if (length > known && performance.now() - began < GATHER_MS) this.#gather(began, length);
      else this.#writeCalls();
    });
  }

  #writeCalls(): void {
    const calls = this.#calls;
    this.#calls = [];
    const done = this.#write(calls);
    if (done < calls.length) this.#calls = calls.slice(done).concat(this.#calls);
    this.#scheduled = false;
    if (this.#calls.length > 0) this.#schedule();
    else for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Writes as many calls as fit the budget; answers how many it has dealt with. */
  #write(calls: readonly Call[]): number {
    const journal = this.#journal;
    const outcomes: { readonly refused: boolean; readonly value: unknown }[] = [];
    const undos: (() => void)[] = [];
    const afters: (() => void)[] = [];
    const tx: Transaction = {
      now: journal.now(),
      onRollback: (undo) => void undos.push(undo),
      onCommit: (run) => void afters.push(run),
    };
    const started = performance.now();
    let began = false;
    try {
      journal.begin();
      began = true;
      for (const call of calls) {
        try {
          outcomes.push({ refused: false, value: call.apply(tx) });
        } catch (error) {
          if (!journal.isRefusal(error)) throw error;
          outcomes.push({ refused: true, value: error });
        }
        if (performance.now() - started > BUDGET_MS) break;
      }
      journal.beforeCommit(tx);
      journal.commit();
    } catch (error) {
      for (const undo of undos.reverse()) undo();
      if (began) journal.rollback();
      const told = journal.translate(error);
      const tried = Math.max(outcomes.length, 1);
      if (calls.length === 1 || told.wide) {
        // The call that threw is the one after the outcomes; with a wide fault all of them share it.
        const failed = told.wide ? calls : calls.slice(0, tried);
        for (const call of failed) call.reject(told.error);
        return failed.length;
      }
      let alone = 0;
      for (; alone < Math.min(outcomes.length + 1, calls.length); alone++) {
        this.#write(calls.slice(alone, alone + 1));
      }
      return alone;
    }
    outcomes.forEach(({ refused, value }, i) => {
      const call = calls[i] as Call;
      if (refused) call.reject(value);
      else call.resolve(value as never);
    });
    for (const run of afters) {
      try {
        run();
      } catch (error) {
        // It is on disk: who listens badly must not hold up the calls behind.
        process.emitWarning(error instanceof Error ? error : new Error(String(error)));
      }
    }
    return outcomes.length;
  }
}
