import type { DuckDBConnection } from "@duckdb/node-api";
import type { Column } from "../tabular/dataset.ts";
import { asText as text, identifier, literal, parquet } from "../tabular/duckdb.ts";

/** A type, not an interface: results are open records. */
export type ColumnStatistics = {
  readonly type: string;
  /** Values that are there. */
  readonly count: number;
  readonly nulls: number;
  /** Different values: exact up to 100,000, beyond that estimated (up to a fifth off). */
  readonly distinct: number;
  /** Dates as ISO texts; texts cut to 200 characters; absent for nested values. */
  readonly min?: string | number | boolean | null;
  readonly max?: string | number | boolean | null;
  /** Numbers only; quantiles are approximate. */
  readonly mean?: number | null;
  readonly stddev?: number | null;
  readonly quantiles?: {
    readonly p25: number | null;
    readonly p50: number | null;
    readonly p75: number | null;
  };
  /** Of texts, in characters. */
  readonly length?: { readonly min: number; readonly max: number; readonly mean: number };
  /** The most frequent values as text, found approximately and counted exactly. */
  readonly top?: readonly { readonly value: string; readonly count: number }[];
};

const NUMERIC = /^(?:U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL)/;
const ORDERED = /^(?:DATE|TIME|BOOLEAN|UUID)/;
const MOST_CHARACTERS = 200;
const TOP = 5;
const COUNTED_EXACTLY = 100_000;

/** One column at a time, so that memory does not grow with their number. */
export async function statisticsOf(
  connection: DuckDBConnection,
  dataset: string,
  columns: readonly Column[],
  onProgress: (fraction: number) => void,
): Promise<Record<string, ColumnStatistics>> {
  const statistics: [string, ColumnStatistics][] = [];
  for (const [index, column] of columns.entries()) {
    statistics.push([column.name, await columnStatistics(connection, dataset, column)]);
    onProgress(index / columns.length);
  }
  return Object.fromEntries(statistics);
}

async function columnStatistics(
  connection: DuckDBConnection,
  dataset: string,
  { name, type }: Column,
): Promise<ColumnStatistics> {
  const c = identifier(name);
  const isNumber = NUMERIC.test(type);
  const isText = type === "VARCHAR";
  const isOrdered = isNumber || isText || ORDERED.test(type);
  const asText = isText ? `left(${c}, ${MOST_CHARACTERS})` : `CAST(${c} AS VARCHAR)`;
  const finite = `CAST(${c} AS DOUBLE)`;
  const asked = [
    `count(${c}) AS count`,
    "count(*) AS rows",
    `approx_count_distinct(${isOrdered ? c : `CAST(${c} AS VARCHAR)`}) AS "distinct"`,
    // Through the column's own order: as texts 10 would come before 9.
    ...(isOrdered
      ? [`min(${isText ? asText : c}) AS lo`, `max(${isText ? asText : c}) AS hi`]
      : []),
    ...(isOrdered ? [`approx_top_k(${asText}, ${TOP}) AS top`] : []),
    ...(isNumber
      ? [
          `avg(${finite}) FILTER (isfinite(${finite})) AS mean`,
          `stddev_samp(${finite}) FILTER (isfinite(${finite})) AS stddev`,
          ...[25, 50, 75].map((p) => `approx_quantile(${finite}, ${p / 100}) AS p${p}`),
        ]
      : []),
    ...(isText
      ? [
          `min(length(${c})) AS shortest`,
          `max(length(${c})) AS longest`,
          `avg(length(${c})) AS usual`,
        ]
      : []),
  ];
  const outer =
    isOrdered && !isNumber
      ? "* REPLACE (CAST(lo AS VARCHAR) AS lo, CAST(hi AS VARCHAR) AS hi)"
      : "*";
  const sql = `SELECT ${outer} FROM (SELECT ${asked.join(", ")} FROM ${parquet(dataset)})`;
  const row = (await connection.runAndReadAll(sql)).getRowObjectsJS()[0] ?? {};
  const count = Number(row["count"]);
  const estimate = Math.min(count, Number(row["distinct"]));
  const top = Array.isArray(row["top"]) ? row["top"].map(String) : [];
  return {
    type,
    count,
    nulls: Number(row["rows"]) - count,
    distinct:
      isOrdered && estimate <= COUNTED_EXACTLY
        ? await countDistinct(connection, dataset, c)
        : estimate,
    ...(isOrdered && { min: bound(row["lo"], type), max: bound(row["hi"], type) }),
    ...(isNumber && {
      mean: figure(row["mean"]),
      stddev: figure(row["stddev"]),
      quantiles: { p25: figure(row["p25"]), p50: figure(row["p50"]), p75: figure(row["p75"]) },
    }),
    ...(isText &&
      count > 0 && {
        length: {
          min: Number(row["shortest"]),
          max: Number(row["longest"]),
          mean: Number(row["usual"]),
        },
      }),
    ...(isOrdered && count > 0 && { top: await countEach(connection, dataset, asText, top) }),
  };
}

async function countDistinct(
  connection: DuckDBConnection,
  dataset: string,
  column: string,
): Promise<number> {
  const sql = `SELECT count(DISTINCT ${column}) FROM ${parquet(dataset)}`;
  return Number((await connection.runAndReadAll(sql)).getRowsJS()[0]?.[0]);
}

async function countEach(
  connection: DuckDBConnection,
  dataset: string,
  asText: string,
  values: readonly string[],
): Promise<{ value: string; count: number }[]> {
  if (values.length === 0) return [];
  const list = values.map(literal).join(", ");
  const reader = await connection.runAndReadAll(
    `SELECT v, count(*) FROM (SELECT ${asText} AS v FROM ${parquet(dataset)})
     WHERE v IN (${list}) GROUP BY v HAVING count(*) > 1 ORDER BY 2 DESC, 1`,
  );
  return reader.getRowsJS().map(([value, count]) => ({ value: text(value), count: Number(count) }));
}

function bound(value: unknown, type: string): string | number | boolean | null {
  if (value === null || value === undefined) return null;
  if (type === "BOOLEAN") return value === "true";
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  // Beyond 2^53 a number would change.
  if (typeof value === "bigint")
    return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function figure(value: unknown): number | null {
  const number = Number(value);
  return value === null || value === undefined || !Number.isFinite(number) ? null : number;
}
