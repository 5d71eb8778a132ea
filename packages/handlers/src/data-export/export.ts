import { open } from "node:fs/promises";
import { join } from "node:path";
import type { DuckDBConnection } from "@duckdb/node-api";
import { badFile, EngineFailure } from "../tabular/failure.ts";
import { type Column, writeTable } from "../tabular/dataset.ts";
import {
  databaseError,
  describeTable,
  identifier,
  literal,
  oneRow,
  openDatabase,
  parquet,
} from "../tabular/duckdb.ts";
import type { Tell } from "../tabular/engine.process.ts";
import { jsonDocuments } from "../tabular/json-records.ts";
import { RecordWriter } from "../tabular/record-writer.ts";
import { Rejects } from "../tabular/rejects.ts";
import { csvHeader, csvRow } from "./csv.ts";
import { jsonKeys, jsonRow } from "./json.ts";
import { writeXlsx } from "./xlsx.ts";

export interface ExportFilters {
  readonly sentiment?: string | undefined;
  /** Days or moments; no zone means UTC; both are in the range. */
  readonly dateRange?: { readonly start: string; readonly end: string } | undefined;
  readonly limit?: number | undefined;
}

export interface ExportTask {
  readonly kind: "export";
  readonly datasetId: string;
  /** A dataset, or a sentiment job's result as JSON. */
  readonly source: { readonly kind: "dataset" | "results"; readonly path: string };
  readonly format: "csv" | "json" | "xlsx";
  readonly filters: ExportFilters;
  readonly metadata: boolean;
  readonly scratch: string;
  readonly out: string;
  /** Of the database. */
  readonly memoryMb: number;
  /** Epoch ms. */
  readonly now: number;
}

/** How a column's values, all handed over as text, are to be written. */
export interface ExportColumn extends Column {
  readonly kind: "number" | "boolean" | "date" | "moment" | "nested" | "text";
}

export type Value = string | null;

export interface ExportedFile {
  readonly rowsWritten: number;
  readonly metadata?: ExportMetadata;
}

/** A type, not an interface: results are open records. */
export type ExportMetadata = {
  readonly datasetId: string;
  /** ISO. */
  readonly exportedAt: string;
  readonly format: string;
  /** The file that the dataset was made of. */
  readonly source?: string;
  readonly columns: readonly Column[];
  /** Before the filters. */
  readonly totalRows: number;
  readonly rowsWritten: number;
  readonly filters: ExportFilters;
  /** The column that `dateRange` was applied to. */
  readonly dateColumn?: string;
};

/** Writes a dataset's rows, those that the filters let through, in their order. */
export async function exportDataset(task: ExportTask, tell: Tell): Promise<ExportedFile> {
  const { scratch, source, memoryMb, datasetId } = task;
  const path = source.kind === "dataset" ? source.path : join(scratch, "results.parquet");
  const files = source.kind === "dataset" ? [path] : [];
  const connection = await openDatabase({ scratch, files, memoryMb });
  try {
    if (source.kind === "results") await takeResults(connection, task, path);
    return await write(connection, path, task, tell);
  } catch (error) {
    throw databaseError(error, `dataset ${datasetId}`);
  } finally {
    connection.closeSync();
  }
}

const RESULTS_KEY = '"results":';
const HEAD_BYTES = 64 * 1024;

/** The texts of a sentiment job's result as a dataset. */
async function takeResults(
  connection: DuckDBConnection,
  { source, scratch, datasetId }: ExportTask,
  out: string,
): Promise<void> {
  const file = await open(source.path);
  let start: number;
  let size: number;
  try {
    size = (await file.stat()).size;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    // In a text the quotes would be escaped: this is the key itself.
    start = buffer.subarray(0, bytesRead).indexOf(RESULTS_KEY);
  } finally {
    await file.close();
  }
  const name = `results of job ${datasetId}`;
  if (start < 0) throw badFile(`${name}: are no results of a sentiment job`, "DATASET_NOT_FOUND");
  const writer = new RecordWriter(join(scratch, "copy.csv"), name);
  const rejects = new Rejects(scratch);
  await jsonDocuments(
    {
      path: source.path,
      name,
      size,
      start: start + RESULTS_KEY.length,
      format: "json",
      compression: "none",
      encoding: "utf-8",
      sample: Buffer.alloc(0),
      complete: false,
      bareReturns: false,
    },
    {
      rejects,
      firstArrayOnly: true,
      onProgress: () => undefined,
      onRecord: (record) => writer.record(record),
    },
  );
  const chunkSize = Infinity;
  const table = writer.end();
  await writeTable(
    connection,
    table,
    { path: source.path, name, scratch, out, chunkSize },
    () => {},
  );
}

async function write(
  connection: DuckDBConnection,
  path: string,
  task: ExportTask,
  tell: Tell,
): Promise<ExportedFile> {
  const columns = await columnsOf(connection, path);
  const { where, dateColumn } = conditions(task.filters, columns);
  const from = `FROM ${parquet(path)} ${where}`;
  const limit = task.filters.limit === undefined ? "" : ` LIMIT ${task.filters.limit}`;
  const { n } = await oneRow(connection, `SELECT count(*) AS n FROM ${parquet(path)}`);
  const totalRows = Number(n);
  let rowsWritten = 0;
  const batches = rowsOf(
    connection,
    `SELECT ${columns.map(textOf).join(", ")} ${from}${limit}`,
    (rows) => {
      rowsWritten += rows;
      tell((rowsWritten / Math.max(1, totalRows)) * 100, "writing");
    },
  );
  const describe = async (): Promise<ExportMetadata> => {
    const source = await sourceOf(connection, path);
    return {
      datasetId: task.datasetId,
      exportedAt: new Date(task.now).toISOString(),
      format: task.format,
      ...(source !== undefined && { source }),
      columns: columns.map(({ name, type }) => ({ name, type })),
      totalRows,
      rowsWritten,
      filters: task.filters,
      ...(dateColumn !== undefined && { dateColumn }),
    };
  };
  // Before the rows: the connection is busy while they stream.
  const told = task.metadata ? await describe() : undefined;
  const metadata = () => (told === undefined ? undefined : { ...told, rowsWritten });
  if (task.format === "xlsx") {
    const lines = () => metadataLines(metadata());
    await writeXlsx(task.out, columns, batches, task.metadata ? lines : undefined);
  } else {
    await writeText(task, columns, batches, metadata);
  }
  const final = metadata();
  return { rowsWritten, ...(final && { metadata: final }) };
}

async function writeText(
  { format, out }: ExportTask,
  columns: readonly ExportColumn[],
  batches: AsyncIterable<readonly (readonly Value[])[]>,
  metadata: () => ExportMetadata | undefined,
): Promise<void> {
  const file = await open(out, "wx");
  const keys = jsonKeys(columns);
  const told = metadata();
  // The wrapper is there only when asked for; the figures that are known at the end stand at the end.
  let text = format === "csv" ? csvHeader(columns) : told === undefined ? "[" : '{"records":[';
  let separator = "\n";
  try {
    for await (const rows of batches) {
      for (const row of rows) {
        if (format === "csv") text += csvRow(row, columns);
        else {
          text += separator + jsonRow(row, columns, keys);
          separator = ",\n";
        }
        if (text.length > FLUSH_CHARACTERS) {
          await file.write(text);
          text = "";
        }
      }
    }
    if (format === "json") {
      const final = metadata();
      text += final === undefined ? "\n]\n" : `\n],\n"metadata":${JSON.stringify(final)}}\n`;
    }
    await file.write(text);
  } finally {
    await file.close();
  }
}

const FLUSH_CHARACTERS = 512 * 1024;

async function* rowsOf(
  connection: DuckDBConnection,
  sql: string,
  onRows: (rows: number) => void,
): AsyncGenerator<readonly (readonly Value[])[]> {
  const result = await connection.stream(sql);
  for await (const rows of result.yieldRows()) {
    onRows(rows.length);
    yield rows as Value[][];
  }
}

const NUMERIC = /^(?:U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL)/;
const NESTED = /^(?:STRUCT|MAP|UNION|JSON)|\]$/;

async function columnsOf(connection: DuckDBConnection, path: string): Promise<ExportColumn[]> {
  const described = await describeTable(connection, parquet(path));
  return described.map(({ name, type }) => ({ name, type, kind: kindOf(type) }));
}

function kindOf(type: string): ExportColumn["kind"] {
  if (NUMERIC.test(type) && !type.endsWith("]")) return "number";
  if (NESTED.test(type)) return "nested";
  if (type === "BOOLEAN") return "boolean";
  if (type === "DATE") return "date";
  return type.startsWith("TIMESTAMP") ? "moment" : "text";
}

/** SQL for a column's values as text: moments in ISO and UTC, nested values in JSON, bytes in base64. */
function textOf({ name, kind, type }: ExportColumn): string {
  const column = identifier(name);
  if (kind === "moment") {
    const utc = type === "TIMESTAMP WITH TIME ZONE" ? `${column} AT TIME ZONE 'UTC'` : column;
    return `strftime(CAST(${utc} AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%gZ')`;
  }
  if (kind === "nested") return `CAST(to_json(${column}) AS VARCHAR)`;
  if (type === "BLOB") return `base64(${column})`;
  return `CAST(${column} AS VARCHAR)`;
}

function conditions(
  { sentiment, dateRange }: ExportFilters,
  columns: readonly ExportColumn[],
): { readonly where: string; readonly dateColumn?: string } {
  const tests: string[] = [];
  if (sentiment !== undefined) {
    const column = columns.find(({ name }) => name.toLowerCase() === "sentiment");
    if (column === undefined) {
      throw unfit("filters.sentiment", "the dataset has no column named sentiment");
    }
    tests.push(`lower(CAST(${identifier(column.name)} AS VARCHAR)) = ${literal(sentiment)}`);
  }
  let dateColumn: string | undefined;
  if (dateRange !== undefined) {
    const { name, type } = dateColumnOf(columns);
    dateColumn = name;
    const column = identifier(name);
    const moment = type === "TIMESTAMP WITH TIME ZONE" ? column : `CAST(${column} AS TIMESTAMP)`;
    const { start, end } = dateRange;
    const [from, to] = [start, end].map((text) => `TIMESTAMPTZ ${literal(text)}`);
    tests.push(`${moment} >= ${from}`);
    // The last day is in the range to its end.
    const isDay = !end.includes("T");
    tests.push(isDay ? `${moment} < ${to} + INTERVAL 1 DAY` : `${moment} <= ${to}`);
  }
  const where = tests.length === 0 ? "" : `WHERE ${tests.join(" AND ")}`;
  return { where, ...(dateColumn !== undefined && { dateColumn }) };
}

const USUAL_NAMES = ["date", "timestamp", "created_at", "createdat", "created", "datetime", "time"];

/** The dataset's only column of dates, or the one with the most usual name. */
function dateColumnOf(columns: readonly ExportColumn[]): ExportColumn {
  const dates = columns.filter(({ kind }) => kind === "date" || kind === "moment");
  const [only] = dates;
  if (only === undefined) throw unfit("filters.dateRange", "the dataset has no column of dates");
  if (dates.length === 1) return only;
  for (const usual of USUAL_NAMES) {
    const found = dates.find(({ name }) => name.toLowerCase() === usual);
    if (found !== undefined) return found;
  }
  const names = dates.map(({ name }) => name).join(", ");
  throw unfit("filters.dateRange", `which column is meant? There are ${names}; none is named date`);
}

function unfit(field: string, message: string): EngineFailure {
  return new EngineFailure("INVALID_DATA", `${field}: ${message}`, {
    dataFault: true,
    stage: "filters",
  });
}

async function sourceOf(connection: DuckDBConnection, path: string): Promise<string | undefined> {
  const { value } = await oneRow(
    connection,
    `SELECT max(decode(value)) AS value FROM parquet_kv_metadata(${literal(path)})
     WHERE decode(key) = 'jobyard'`,
  );
  return typeof value === "string" ? (JSON.parse(value) as { source: string }).source : undefined;
}

function metadataLines(metadata: ExportMetadata | undefined): [string, string][] {
  if (metadata === undefined) return [];
  return Object.entries(metadata).map(([key, value]) => [
    key,
    typeof value === "object" ? JSON.stringify(value) : String(value),
  ]);
}
