import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";

/** Rows an INSERT: past this the gain over single rows is small. */
const ROWS = 16;

/** An INSERT of many rows; most of a small row's cost is the call, so rows share calls. */
export class BulkInsert {
  readonly #columns: number;
  readonly #many: StatementSync;
  readonly #one: StatementSync;

  constructor(db: DatabaseSync, table: string, columns: readonly string[]) {
    this.#columns = columns.length;
    const row = `(${columns.map(() => "?").join(",")})`;
    const head = `INSERT INTO ${table} (${columns.join(",")}) VALUES `;
    this.#one = db.prepare(head + row);
    this.#many = db.prepare(head + Array<string>(ROWS).fill(row).join(","));
  }

  /** `values`: row after row. */
  run(values: readonly SQLInputValue[]): void {
    const width = this.#columns;
    let at = 0;
    for (; values.length - at >= ROWS * width; at += ROWS * width) {
      this.#many.run(...values.slice(at, at + ROWS * width));
    }
    for (; at < values.length; at += width) this.#one.run(...values.slice(at, at + width));
  }
}
