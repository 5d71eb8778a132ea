import { label, type Language } from "../wording.ts";
import type { Cell, Chart, Column, ColumnType, Table } from "./report.ts";

/** A row of any data: only own fields count. */
export type DataRow = Readonly<Record<string, unknown>>;

export interface TabulateOptions {
  readonly language: Language;
  readonly title?: string | null;
  /** Come first, in this order, where the rows have them. */
  readonly first?: readonly string[];
  /** Left out. */
  readonly hidden?: ReadonlySet<string>;
  /** Absent: the one that all rows name as their `currency`. */
  readonly currency?: string | null;
}

const MONEY =
  /(?:price|total|subtotal|amount|cost|tax|fee|discount|revenue|charge|charges|balance|due)$/i;
const PERCENT = /(?:percent|percentage|pct|waterCut|water_cut)$/i;
/** Figures that are names: no thousands separators. */
const NAME = /(?:^id|Id|_id|number|code|zip|year)$/;
/** What makes sense added up over rows. */
const ADDITIVE =
  /^(?:oil|gas|water|boe|errors|warnings|wells|count|quantity|passed_count|failed_count)$|(?:total|subtotal|amount|cost|tax|fee|discount|revenue|charge|charges|share|volume|bbl|mcf)$/i;
const DAY = /^\d{4}-\d\d-\d\d$/;
const MOMENT = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?$/;

/** Makes a table of rows: a column for every field that any row has, typed by what is in it. */
export function tabulate(rows: readonly DataRow[], options: TabulateOptions): Table {
  const { language, title = null, first = [], hidden = new Set<string>() } = options;
  const fields = new Set<string>(first.filter((field) => rows.some((row) => has(row, field))));
  for (const row of rows) for (const field of Object.keys(row)) fields.add(field);
  const shown = [...fields].filter((field) => !hidden.has(field));
  const columns = shown.map((field): Column => {
    const type = typeOf(field, rows);
    return { field, label: label(field, language), type };
  });
  return {
    title,
    columns,
    rows: rows.map((row) => columns.map(({ field, type }) => cellOf(row, field, type))),
    totals: null,
    currency: options.currency ?? currencyIn(rows),
  };
}

/** With a last row that adds up what can be; no such column, no row. */
export function withTotals(table: Table, language: Language): Table {
  const additive = table.columns.map(({ field, type }) => isAdditive(field, type));
  if (table.rows.length < 2 || !additive.includes(true)) return table;
  const totals = table.columns.map((_, i): Cell => {
    if (additive[i] !== true) return null;
    let sum = 0;
    for (const row of table.rows) if (typeof row[i] === "number") sum += row[i];
    // Sums of decimal fractions: what binary adds to them goes.
    return Number(sum.toPrecision(15));
  });
  const word = { en: "Total", es: "Total" }[language];
  const at = table.columns.findIndex(({ type }, i) => totals[i] === null && type === "text");
  if (at >= 0) totals[at] = word;
  return { ...table, totals };
}

function isAdditive(field: string, type: ColumnType): boolean {
  const numeric = type === "number" || type === "integer" || type === "money";
  return numeric && ADDITIVE.test(field) && !/^unit|limit/i.test(field);
}

const labelFields = [
  "period",
  "month",
  "date",
  "at",
  "wellId",
  "leaseId",
  "category",
  "item",
  "name",
];
const MOST_BARS = 20;
const MOST_SERIES = 3;

/** Over time where the rows have a time, else the greatest by name; null: there is nothing to draw. */
export function chartOf(table: Table, title: string, language: Language): Chart | null {
  const { columns, rows } = table;
  const isLabel = ({ type }: Column) => type === "text" || type === "date" || type === "time";
  const preferred = labelFields
    .map((field) => columns.findIndex((column) => column.field === field && isLabel(column)))
    .find((index) => index >= 0);
  const by = preferred ?? columns.findIndex(isLabel);
  const values = columns.flatMap(({ field, type }, i) => (isAdditive(field, type) ? [i] : []));
  if (by < 0 || rows.length < 2) return null;
  // Amounts and volumes on one scale would hide the smaller.
  const money = values.filter((index) => columns[index]?.type === "money");
  const used = (money.length > 0 ? money : values).slice(0, MOST_SERIES);
  const groups = new Map<string, number[]>();
  let overTime = columns[by]?.type !== "text";
  if (!overTime) overTime = rows.every((row) => /^\d{4}-\d\d(?:-\d\d)?$/.test(String(row[by])));
  for (const row of rows) {
    const value = row[by] ?? null;
    const key =
      typeof value === "number" ? new Date(value).toISOString().slice(0, 10) : String(value ?? "–");
    const sums = groups.get(key) ?? Array.from({ length: Math.max(1, used.length) }, () => 0);
    if (used.length === 0) sums[0] = (sums[0] ?? 0) + 1;
    for (const [i, index] of used.entries()) sums[i] = (sums[i] ?? 0) + (Number(row[index]) || 0);
    groups.set(key, sums);
  }
  let entries = [...groups];
  if (overTime) entries.sort(([a], [b]) => (a < b ? -1 : 1));
  else entries = entries.sort(([, a], [, b]) => (b[0] ?? 0) - (a[0] ?? 0)).slice(0, MOST_BARS);
  const names =
    used.length > 0
      ? used.map((index) => columns[index]?.label ?? "")
      : [{ en: "Rows", es: "Filas" }[language]];
  return {
    title,
    kind: overTime && entries.length > 1 ? "line" : "bar",
    labels: entries.map(([name]) => name),
    series: names.map((name, i) => ({ name, values: entries.map(([, sums]) => sums[i] ?? null) })),
  };
}

function has(row: DataRow, field: string): boolean {
  return Object.hasOwn(row, field);
}

function valueOf(row: DataRow, field: string): unknown {
  return has(row, field) ? (row[field] ?? null) : null;
}

function typeOf(field: string, rows: readonly DataRow[]): ColumnType {
  let kind: "number" | "boolean" | "date" | "time" | undefined;
  let whole = true;
  for (const row of rows) {
    const value = valueOf(row, field);
    if (value === null || value === "") continue;
    const its =
      typeof value === "number"
        ? "number"
        : typeof value === "boolean"
          ? "boolean"
          : typeof value === "string" && DAY.test(value) && isTime(value)
            ? "date"
            : typeof value === "string" && MOMENT.test(value) && isTime(value)
              ? "time"
              : undefined;
    if (its === undefined || (kind !== undefined && kind !== its)) return "text";
    kind = its;
    if (typeof value === "number" && !Number.isInteger(value)) whole = false;
  }
  if (kind !== "number") return kind ?? "text";
  if (whole && NAME.test(field)) return "text";
  if (PERCENT.test(field)) return "percent";
  if (MONEY.test(field)) return "money";
  return whole ? "integer" : "number";
}

function isTime(text: string): boolean {
  return !Number.isNaN(millis(text));
}

/** Without a zone: UTC. */
function millis(text: string): number {
  if (DAY.test(text)) return Date.parse(text);
  const zoned = /(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`;
  return Date.parse(zoned.replace(" ", "T"));
}

function cellOf(row: DataRow, field: string, type: ColumnType): Cell {
  const value = valueOf(row, field);
  if (value === null || value === "") return null;
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value === "string") return type === "date" || type === "time" ? millis(value) : value;
  if (typeof value !== "number" && typeof value !== "boolean") return null;
  return type === "text" ? String(value) : value;
}

function currencyIn(rows: readonly DataRow[]): string | null {
  const codes = new Set(rows.map((row) => valueOf(row, "currency")));
  const [code] = codes;
  return codes.size === 1 && typeof code === "string" && /^[A-Za-z]{3}$/.test(code)
    ? code.toUpperCase()
    : null;
}
