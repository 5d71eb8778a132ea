import { closeSync, openSync, writeSync } from "node:fs";
import { badFile } from "./failure.ts";
import { columnNames } from "./csv-dialect.ts";
import { limits } from "./limits.ts";
import type { PreparedTable } from "./prepare.ts";

/** What the values of a column are, as bits. */
export const kinds = { text: 1, number: 2, boolean: 4, date: 8, nested: 16 } as const;

/** One value as text; null is none. */
export interface Cell {
  readonly text: string;
  readonly kind: number;
}

const FLUSH_CHARACTERS = 1_000_000;
const NEEDS_QUOTES = /["\n\r,]/;

/** Writes records of any fields, or rows of typed cells, as CSV; columns may still turn up in the last record. */
export class RecordWriter {
  readonly #path: string;
  readonly #name: string;
  readonly #file: number;
  readonly #columns = new Map<string, number>();
  readonly #kinds: number[] = [];
  #rows = 0;
  #pending = "";
  #header: string[] | undefined;
  #cells: string[] = [];

  constructor(path: string, name: string) {
    this.#path = path;
    this.#name = name;
    this.#file = openSync(path, "w");
  }

  /** A JSON object; values other than strings are parsed with their source kept (`JSON.rawJSON`). */
  record(record: object): void {
    const cells: string[] = [];
    for (const [name, value] of Object.entries(record)) {
      if (value === null) continue;
      const column = this.#column(name);
      const { text, kind } = cellOf(value);
      this.#kinds[column] = (this.#kinds[column] ?? 0) | kind;
      while (cells.length < column) cells.push("");
      cells[column] = csvText(text);
    }
    this.#write(cells);
  }

  /** The first row may be the columns' names: it is if all of it is text. */
  row(row: readonly (Cell | undefined)[]): void {
    if (this.#header === undefined) {
      const isHeader =
        row.length > 0 && row.every((cell) => cell === undefined || cell.kind === kinds.text);
      this.#header = isHeader ? row.map((cell) => cell?.text ?? "") : [];
      if (isHeader) {
        this.#widen(row.length);
        return;
      }
    }
    this.#widen(row.length);
    const cells = this.#cells;
    cells.length = 0;
    for (const [column, cell] of row.entries()) {
      if (cell !== undefined) this.#kinds[column] = (this.#kinds[column] ?? 0) | cell.kind;
      cells.push(cell === undefined ? "" : csvText(cell.text));
    }
    this.#write(cells);
  }

  end(): PreparedTable {
    this.#flush();
    closeSync(this.#file);
    const names =
      this.#header === undefined
        ? columnNames([...this.#columns.keys()])
        : columnNames(this.#kinds.map((_, column) => this.#header?.[column] ?? ""));
    if (names.length === 0) throw badFile(`${this.#name}: has no columns`);
    return {
      path: this.#path,
      layout: {
        dialect: { delimiter: 0x2c, quote: 0x22, escape: 0x22 },
        hasHeader: false,
        names,
        isCut: false,
      },
      newline: "\n",
      rows: this.#rows,
      kinds: this.#kinds,
      padded: true,
    };
  }

  #column(name: string): number {
    const known = this.#columns.get(name);
    if (known !== undefined) return known;
    const column = this.#columns.size;
    this.#columns.set(name, column);
    this.#widen(column + 1);
    return column;
  }

  #widen(columns: number): void {
    if (columns > limits.columns) {
      const message = `${this.#name}: row ${this.#rows + 1}: more than ${limits.columns} columns`;
      throw badFile(message, "TOO_MANY_COLUMNS");
    }
    while (this.#kinds.length < columns) this.#kinds.push(0);
  }

  #write(cells: readonly string[]): void {
    this.#rows++;
    // A row must not be taken for a blank line.
    const line = cells.join(",");
    this.#pending += line === "" ? '""\n' : `${line}\n`;
    if (this.#pending.length > FLUSH_CHARACTERS) this.#flush();
  }

  #flush(): void {
    if (this.#pending !== "") writeSync(this.#file, this.#pending);
    this.#pending = "";
  }
}

function csvText(text: string): string {
  if (text === "") return '""';
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function cellOf(value: unknown): Cell {
  switch (typeof value) {
    case "string":
      return { text: value.toWellFormed().replaceAll("\0", "\uFFFD"), kind: kinds.text };
    case "number":
      return { text: String(value), kind: kinds.number };
    case "boolean":
      return { text: String(value), kind: kinds.boolean };
    default:
      return {
        text: JSON.stringify(value),
        kind: JSON.isRawJSON(value) ? kinds.number : kinds.nested,
      };
  }
}
