import type { DuckDBConnection } from "@duckdb/node-api";
import { identifier, literal } from "./duckdb.ts";
import { kinds } from "./record-writer.ts";

/** A type that a column of texts can be told as, and how. `c` stands for the column. */
interface Candidate {
  readonly type: string;
  /** Kinds of values that it is tried for. */
  readonly kinds: number;
  readonly fits: string;
  readonly value: string;
}

const number = "-?(0|[1-9][0-9]{0,14})?(\\.[0-9]+)?([eE][+-]?[0-9]{1,3})?";
const candidates: readonly Candidate[] = [
  {
    // Leading zeros, signs and blanks belong to codes, not to numbers: as text they stay what they are.
    type: "BIGINT",
    kinds: kinds.text | kinds.number,
    fits: "CAST(TRY_CAST(c AS BIGINT) AS VARCHAR) = c",
    value: "CAST(c AS BIGINT)",
  },
  {
    type: "DOUBLE",
    kinds: kinds.text | kinds.number,
    fits: `regexp_full_match(c, ${literal(number)}) AND isfinite(TRY_CAST(c AS DOUBLE))`,
    value: "CAST(c AS DOUBLE)",
  },
  {
    type: "BOOLEAN",
    kinds: kinds.text | kinds.boolean,
    fits: "lower(c) IN ('true', 'false')",
    value: "CAST(c AS BOOLEAN)",
  },
  {
    type: "DATE",
    kinds: kinds.text | kinds.date,
    fits: "length(c) <= 10 AND TRY_CAST(c AS DATE) IS NOT NULL",
    value: "CAST(c AS DATE)",
  },
  {
    type: "TIMESTAMP",
    kinds: kinds.text | kinds.date,
    fits: "length(c) >= 8 AND TRY_CAST(c AS TIMESTAMPTZ) IS NOT NULL",
    // A text without a zone is taken for UTC.
    value: "CAST(c AS TIMESTAMPTZ) AT TIME ZONE 'UTC'",
  },
  // Which of these two it is shows only where a day is beyond 12: both fitting, it stays text.
  ...["%m/%d/%Y", "%d/%m/%Y"].map((format) => ({
    type: "DATE",
    kinds: kinds.text,
    fits: `length(c) <= 10 AND try_strptime(c, '${format}') IS NOT NULL`,
    value: `CAST(strptime(c, '${format}') AS DATE)`,
  })),
  {
    type: "DATE",
    kinds: kinds.text,
    fits: "length(c) <= 10 AND try_strptime(c, '%d.%m.%Y') IS NOT NULL",
    value: "CAST(strptime(c, '%d.%m.%Y') AS DATE)",
  },
];
const ambiguous = [5, 6] as const;

export interface ColumnPlan {
  readonly name: string;
  readonly type: string;
  /** SQL that makes the typed value. */
  readonly value: string;
}

const SAMPLE_ROWS = 10_000;
/** Columns of one query: each test of each column takes vectors of its own. */
const COLUMNS_AT_ONCE = 8;

/** The narrowest type that takes every value of a column as it is; text if none does. */
export async function planColumns(
  connection: DuckDBConnection,
  table: string,
  names: readonly string[],
  kindsOf: readonly number[] | undefined,
  onProgress: (fraction: number) => void,
): Promise<ColumnPlan[]> {
  const open = names.map((_, column) => {
    const kind = kindsOf?.[column] ?? kinds.text;
    // Texts of JSON and workbooks that look like numbers are texts.
    const tried = kindsOf === undefined ? candidates : candidates.filter((c) => takes(c, kind));
    return new Set(tried);
  });
  const sample = `(SELECT * FROM ${table} LIMIT ${SAMPLE_ROWS})`;
  for (const source of [sample, table]) {
    for (let from = 0; from < names.length; from += COLUMNS_AT_ONCE) {
      const columns = names.slice(from, from + COLUMNS_AT_ONCE);
      const theirs = open.slice(from, from + COLUMNS_AT_ONCE);
      await narrow(connection, source, columns, theirs, source === table);
      onProgress(from / names.length);
    }
  }
  return names.map((name, column) => {
    const fitting = open[column] ?? new Set();
    const [us, european] = ambiguous.map((index) => candidates[index] as Candidate);
    const unclear =
      us !== undefined && european !== undefined && fitting.has(us) && fitting.has(european);
    const best = candidates.find(
      (c) => fitting.has(c) && !(unclear && (c === us || c === european)),
    );
    const reference = identifier(name);
    if (best !== undefined)
      return { name, type: best.type, value: withColumn(best.value, reference) };
    const nested = kindsOf?.[column] === kinds.nested;
    return nested
      ? { name, type: "JSON", value: `CAST(${reference} AS JSON)` }
      : { name, type: "VARCHAR", value: reference };
  });
}

function takes(candidate: Candidate, kind: number): boolean {
  if (kind === kinds.text) return candidate.type === "DATE" || candidate.type === "TIMESTAMP";
  return kind !== 0 && (kind & ~candidate.kinds) === 0 && kind !== (kinds.text | kinds.number);
}

/** Takes from each column's candidates those that not every value fits. */
async function narrow(
  connection: DuckDBConnection,
  source: string,
  names: readonly string[],
  open: readonly Set<Candidate>[],
  isWhole: boolean,
): Promise<void> {
  const counts: string[] = [];
  const asked: { candidate: Candidate; column: number; all: number }[] = [];
  for (const [column, name] of names.entries()) {
    const reference = identifier(name);
    const fitting = open[column];
    if (fitting === undefined || fitting.size === 0) continue;
    const all = counts.push(`count(${reference})`) - 1;
    for (const candidate of fitting) {
      asked.push({ candidate, column, all });
      counts.push(`count(*) FILTER (${withColumn(candidate.fits, reference)})`);
    }
  }
  if (counts.length === 0) return;
  const reader = await connection.runAndReadAll(`SELECT ${counts.join(", ")} FROM ${source}`);
  const row = reader.getRowsJS()[0] ?? [];
  let at = 0;
  for (const { candidate, column, all } of asked) {
    // A column's own count stands before those of its candidates.
    if (at === all) at++;
    const found = row[at++];
    if (found !== row[all] || (isWhole && found === 0n)) open[column]?.delete(candidate);
  }
}

function withColumn(sql: string, reference: string): string {
  return sql.replaceAll(/\bc\b/g, () => reference);
}
