import { DatabaseSync, StatementSync } from "node:sqlite";
import { onTestFinished } from "vitest";

/** SQLite's result codes: those of a failing store, and of a statement that is at fault itself. */
export const resultCodes = { "disk full": 13, "I/O error": 10, "read-only": 8, "odd statement": 1 };

type Statement = (this: StatementSync, ...values: unknown[]) => unknown;

export type Fault = keyof typeof resultCodes;

/**
 * Lets the databases of this process fail as SQLite does. Statements inside of a transaction are counted from the
 * moment of `failAt`: the one asked for fails, or the COMMIT if it comes first.
 */
export class FailingDisk {
  #fault: Fault | undefined;
  #after = 0;
  /** Goes on failing until it is mended. */
  #lasting = false;
  #spared = 0;
  /** A transaction is open; the next one on any connection begins after it. */
  #within = false;
  #anywhere = false;
  failures = 0;
  #connection: DatabaseSync | undefined;

  static install(): FailingDisk {
    const disk = new FailingDisk();
    const step = disk.#step.bind(disk);
    const { exec } = DatabaseSync.prototype;
    // By hand: a mock would keep every call of a long test in memory.
    DatabaseSync.prototype.exec = function (sql) {
      disk.#connection = this;
      if (sql === "COMMIT") step(true);
      exec.call(this, sql);
      if (sql === "BEGIN") disk.#within = true;
      else if (sql === "COMMIT" || sql === "ROLLBACK") disk.#within = false;
    };
    const undo = [() => void (DatabaseSync.prototype.exec = exec)];
    for (const method of ["run", "get", "all"] as const) {
      const statements = StatementSync.prototype as Record<typeof method, Statement>;
      const real = statements[method];
      statements[method] = function (...values) {
        if (disk.#within || disk.#anywhere) step(false);
        return real.apply(this, values);
      };
      undo.push(() => void (statements[method] = real));
    }
    onTestFinished(() => undo.forEach((restore) => restore()));
    return disk;
  }

  /** Statement number `after` from now on (from 0) fails, once; `anywhere`: outside of transactions as well. */
  failAt(
    fault: Fault,
    after: number,
    where: "in transactions" | "anywhere" = "in transactions",
  ): void {
    this.#anywhere = where === "anywhere";
    this.#fault = fault;
    this.#after = after;
    this.#lasting = false;
    this.#spared = 0;
  }

  /** Every commit fails until `mend`, but for the first few. */
  breakDown(fault: Fault = "disk full", but = 0): void {
    this.failAt(fault, Infinity);
    this.#lasting = true;
    this.#spared = but;
  }

  mend(): void {
    this.#fault = undefined;
  }

  /** The connection used last, to be told what SQLite itself is to enforce. */
  get connection(): DatabaseSync {
    if (this.#connection === undefined) throw new Error("no database was opened");
    return this.#connection;
  }

  get waits(): boolean {
    return this.#fault !== undefined;
  }

  #step(commit: boolean): void {
    if (this.#fault === undefined) return;
    if (!commit && this.#after-- > 0) return;
    if (commit && this.#spared-- > 0) return;
    const errcode = resultCodes[this.#fault];
    if (!this.#lasting) this.#fault = undefined;
    this.failures++;
    throw Object.assign(new Error("the disk fails on purpose"), {
      code: "ERR_SQLITE_ERROR",
      errcode,
    });
  }
}
