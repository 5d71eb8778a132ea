import type { Language } from "../wording.ts";

/** A report as all formats know it; plain data, so that it can be sent to a thread. */
export interface Report {
  readonly language: Language;
  readonly title: string;
  readonly subtitle: string | null;
  /** Who and when, under the title. */
  readonly facts: readonly Fact[];
  readonly charts: readonly Chart[];
  readonly tables: readonly Table[];
  /** Small print, after the tables. */
  readonly terms: readonly string[];
  /** Epoch ms. */
  readonly createdAt: number;
  /** The field names of CSV's header, and ISO dates everywhere in it. */
  readonly reportId: string;
}

export interface Fact {
  readonly label: string;
  readonly value: string;
}

export type ColumnType =
  | "text"
  | "number"
  | "integer"
  | "money"
  | "percent"
  | "date"
  | "time"
  | "boolean";

export interface Column {
  /** As the data call it. */
  readonly field: string;
  readonly label: string;
  readonly type: ColumnType;
}

/** Dates and times are epoch ms. */
export type Cell = string | number | boolean | null;

export interface Table {
  readonly title: string | null;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
  /** A last row that stands out. */
  readonly totals: readonly Cell[] | null;
  /** ISO 4217, of its `money` columns; null: none is known. */
  readonly currency: string | null;
}

export interface Chart {
  readonly title: string;
  readonly kind: "bar" | "line";
  readonly labels: readonly string[];
  readonly series: readonly {
    readonly name: string;
    readonly values: readonly (number | null)[];
  }[];
}

const locales: Readonly<Record<Language, string>> = { en: "en-US", es: "es-MX" };
const formats = new Map<string, (value: number) => string>();

/** A cell as a reader sees it in that language. */
export function cellText(
  value: Cell,
  type: ColumnType,
  language: Language,
  currency: string | null,
): string {
  if (value === null) return "";
  if (typeof value === "boolean") {
    return { en: value ? "Yes" : "No", es: value ? "Sí" : "No" }[language];
  }
  if (typeof value === "string") return value;
  // Four places tell nothing behind a figure of thousands.
  const places = type === "integer" ? 0 : type === "number" && Math.abs(value) < 100 ? 4 : 2;
  const key = `${type} ${language} ${currency ?? ""} ${places}`;
  let format = formats.get(key);
  if (format === undefined) {
    format = formatOf(type, language, currency, places);
    formats.set(key, format);
  }
  return format(value);
}

function formatOf(
  type: ColumnType,
  language: Language,
  currency: string | null,
  places: number,
): (value: number) => string {
  const locale = locales[language];
  if (type === "date" || type === "time") {
    const format = new Intl.DateTimeFormat(locale, {
      dateStyle: "medium",
      ...(type === "time" && { timeStyle: "short" }),
      timeZone: "UTC",
    });
    return (value) => format.format(value);
  }
  const money = type === "money";
  const format = new Intl.NumberFormat(locale, {
    ...(money && currency !== null && { style: "currency", currency }),
    minimumFractionDigits: money ? 2 : 0,
    maximumFractionDigits: places,
  });
  return type === "percent"
    ? (value) => `${format.format(value)}%`
    : (value) => format.format(value);
}

export function isNumeric(type: ColumnType): boolean {
  return type === "number" || type === "integer" || type === "money" || type === "percent";
}
