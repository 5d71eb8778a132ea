import { styleText } from "node:util";

export type Style = Parameters<typeof styleText>[0];

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string | number | null | undefined;
  readonly style?: (row: Row) => Style | undefined;
  /** Of numbers. */
  readonly right?: boolean;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly colour: boolean;
}

const GAP = "  ";
/** A cell is not cut below this. */
const NARROWEST = 5;

/**
 * What a command found goes to standard output: for people a table or text, with `--json` one document or a line each.
 * What is said about it (progress, notes, errors) goes to standard error.
 */
export class Output {
  readonly json: boolean;
  /** Whether people read standard output as it comes; else tables are lines with tabs, whole and without a header. */
  readonly terminal = process.stdout.isTTY;
  readonly #colour: boolean;

  constructor({ json, colour }: OutputOptions) {
    this.json = json;
    this.#colour = colour;
  }

  /** The one answer of a command. */
  result(value: unknown, human: () => void): void {
    if (this.json) this.line(JSON.stringify(value));
    else human();
  }

  /** One of many answers, as it becomes known. */
  item(value: unknown, human: () => string): void {
    this.line(this.json ? JSON.stringify(value) : human());
  }

  line(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  /** For people only, beside the answer. */
  note(text: string): void {
    if (!this.json) process.stderr.write(`${text}\n`);
  }

  table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], none = "None"): void {
    const cells = rows.map((row) => columns.map(({ value }) => shown(value(row))));
    if (!this.terminal) {
      for (const row of cells) this.line(row.join("\t"));
      return;
    }
    if (rows.length === 0) {
      this.line(this.style("dim", none));
      return;
    }
    const widths = fitted(columns, cells, process.stdout.columns || 80);
    const line = (texts: readonly string[], style: (column: number) => Style | undefined): void =>
      this.line(
        texts
          .map((text, i) => {
            const padded = pad(text, widths[i] as number, columns[i]?.right === true);
            const format = style(i);
            return format === undefined ? padded : this.style(format, padded);
          })
          .join(GAP)
          .trimEnd(),
      );
    line(
      columns.map(({ title }) => title),
      () => "bold",
    );
    cells.forEach((texts, n) => line(texts, (i) => columns[i]?.style?.(rows[n] as Row)));
  }

  /** One thing, a line for each side of it; those without a value are left out. */
  fields(fields: Readonly<Record<string, string | number | boolean | null | undefined>>): void {
    const told = Object.entries(fields).filter(([, value]) => value != null && value !== "");
    const width = Math.max(0, ...told.map(([name]) => name.length));
    for (const [name, value] of told) {
      const text = shown(String(value));
      const label = name.padEnd(width);
      this.line(this.terminal ? `${this.style("bold", label)}  ${text}` : `${name}\t${text}`);
    }
  }

  style(format: Style, text: string): string {
    return this.#colour ? styleText(format, text, { validateStream: false }) : text;
  }
}

/** Others wrote it: it must not steer the terminal. */
export function shown(value: string | number | null | undefined): string {
  if (value == null || value === "") return "-";
  if (typeof value === "number") return String(value);
  return value.replaceAll(/[\p{Cc}\u202A-\u202E\u2066-\u2069]/gu, escaped);
}

function escaped(control: string): string {
  if (control === "\n" || control === "\t" || control === "\r") return " ";
  return `\\u${control.codePointAt(0)?.toString(16).padStart(4, "0")}`;
}

/** Widths of the columns; where they do not fit side by side, the widest ones are cut. */
function fitted(
  columns: readonly { readonly title: string }[],
  cells: readonly (readonly string[])[],
  terminal: number,
): number[] {
  const widths = columns.map(({ title }, i) =>
    cells.reduce((widest, row) => Math.max(widest, length(row[i] as string)), title.length),
  );
  const room = terminal - GAP.length * (columns.length - 1);
  let over = widths.reduce((sum, width) => sum + width, 0) - room;
  while (over > 0) {
    const widest = Math.max(...widths);
    if (widest <= NARROWEST) break;
    const next = Math.max(NARROWEST, ...widths.filter((width) => width < widest));
    const cut = Math.min(over, widest - next || 1);
    widths[widths.lastIndexOf(widest)] = widest - cut;
    over -= cut;
  }
  return widths;
}

function pad(text: string, width: number, right: boolean): string {
  const characters = Array.from(text);
  if (characters.length > width) return `${characters.slice(0, width - 1).join("")}…`;
  const space = " ".repeat(width - characters.length);
  return right ? space + text : text + space;
}

function length(text: string): number {
  return Array.from(text).length;
}

/** Milliseconds for people. */
export function span(ms: number): string {
  if (ms < 1000) return `${Math.round(ms * 10) / 10} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} m ${Math.round((ms % 60_000) / 1000)} s`;
  if (ms < 86_400_000)
    return `${Math.floor(ms / 3_600_000)} h ${Math.round((ms % 3_600_000) / 60_000)} m`;
  return `${Math.floor(ms / 86_400_000)} d ${Math.round((ms % 86_400_000) / 3_600_000)} h`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
