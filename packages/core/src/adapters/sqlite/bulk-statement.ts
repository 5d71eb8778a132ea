import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";

/** Rows an INSERT, most first: past this the gain over single rows is small. */
const SIZES = [64, 16, 4];
/** Groups that a row is compared with. */
const NEWEST = 8;

interface Group {
  readonly shared: readonly SQLInputValue[];
  /** Row after row. */
  readonly own: SQLInputValue[];
}

/**
 * Gathers rows and inserts many at once: most of a small row's cost is the call and handing its values over, so rows share
 * calls, and the values that they have in common. `shared`: the columns where that is so, mostly.
 */
export class BulkInsert {
  readonly #shared: readonly string[];
  readonly #width: number;
  readonly #many: readonly { readonly rows: number; readonly statement: StatementSync }[];
  readonly #one: StatementSync;
  #groups: Group[] = [];

  constructor(
    db: DatabaseSync,
    table: string,
    { shared = [], own }: { readonly shared?: readonly string[]; readonly own: readonly string[] },
  ) {
    this.#shared = shared.map((column) => `$${column}`);
    this.#width = own.length;
    const columns = [...shared, ...own];
    // A row that breaks a rule takes the whole transaction back, as it does anyway; to take back one statement alone, SQLite
    // would copy each page before it is changed.
    const head = `INSERT OR ROLLBACK INTO ${table} (${columns.join(",")}) VALUES `;
    const row = `(${[...this.#shared, ...own.map(() => "?")].join(",")})`;
    this.#many = SIZES.map((rows) => ({
      rows,
      statement: db.prepare(head + Array<string>(rows).fill(row).join(",")),
    }));
    this.#one = db.prepare(`${head}(${columns.map(() => "?").join(",")})`);
  }

  /** Written by `flush`, in any order. */
  add(shared: readonly SQLInputValue[], own: readonly SQLInputValue[]): void {
    this.#own(shared).push(...own);
  }

  flush(): void {
    if (this.#groups.length === 0) return;
    const groups = this.#groups;
    this.#groups = [];
    for (const { shared, own } of groups) this.#insert(shared, own);
  }

  discard(): void {
    this.#groups = [];
  }

  #own(shared: readonly SQLInputValue[]): SQLInputValue[] {
    const groups = this.#groups;
    for (let i = groups.length - 1; i >= 0 && i >= groups.length - NEWEST; i--) {
      const group = groups[i] as Group;
      if (isSame(group.shared, shared)) return group.own;
    }
    const own: SQLInputValue[] = [];
    groups.push({ shared, own });
    return own;
  }

  #insert(shared: readonly SQLInputValue[], own: readonly SQLInputValue[]): void {
    const width = this.#width;
    let at = 0;
    if (own.length >= width * (SIZES.at(-1) as number)) {
      const named = Object.fromEntries(this.#shared.map((name, i) => [name, shared[i] ?? null]));
      for (const { rows, statement } of this.#many) {
        for (const size = rows * width; own.length - at >= size; at += size) {
          statement.run(named, ...own.slice(at, at + size));
        }
      }
    }
    for (; at < own.length; at += width) this.#one.run(...shared, ...own.slice(at, at + width));
  }
}

function isSame(a: readonly SQLInputValue[], b: readonly SQLInputValue[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
