import type { DuckDBConnection } from "@duckdb/node-api";
import { badFile } from "../tabular/failure.ts";
import { detectFile } from "../tabular/content.ts";
import {
  databaseError,
  describeTable,
  literal,
  oneRow,
  openDatabase,
  parquet,
  rowGroupRows,
  runTelling,
} from "../tabular/duckdb.ts";
import { type Column, parquetOptions, writeTable } from "../tabular/dataset.ts";
import type { Tell } from "../tabular/engine.process.ts";
import { limits } from "../tabular/limits.ts";
import { prepareTable } from "../tabular/prepare.ts";
import { type Reject, Rejects } from "../tabular/rejects.ts";
import { type ColumnStatistics, statisticsOf } from "./statistics.ts";

export interface ParseTask {
  readonly kind: "parse";
  readonly path: string;
  readonly name: string;
  readonly scratch: string;
  /** Where the dataset goes. */
  readonly out: string;
  readonly analyze: boolean;
  /** Bytes of the file's content that one row group of the dataset holds at most. */
  readonly chunkSize: number;
  /** Of the database. */
  readonly memoryMb: number;
}

export interface ParsedFile {
  readonly format: string;
  readonly encoding: string;
  readonly columns: readonly Column[];
  readonly rowCount: number;
  readonly rejectedRows: number;
  /** The first of them. */
  readonly rejected: readonly Reject[];
  /** Where all of them are told. */
  readonly rejectsPath: string;
  readonly statistics?: Readonly<Record<string, ColumnStatistics>>;
}

/** Makes a file a dataset: Parquet with typed columns, in the file's order. */
export async function parseFile(task: ParseTask, tell: Tell): Promise<ParsedFile> {
  const file = await detectFile(task);
  const rejects = new Rejects(task.scratch);
  const isParquet = file.format === "parquet";
  const table = isParquet
    ? undefined
    : await prepareTable(file, {
        scratch: task.scratch,
        rejects,
        onProgress: (fraction) => tell(fraction * 25, "reading"),
      });
  const { scratch, out, path, name } = task;
  const files = [path, out, ...(table ? [table.path] : [])];
  const connection = await openDatabase({ scratch, files, memoryMb: task.memoryMb });
  try {
    const columns =
      table === undefined
        ? await takeParquet(connection, task, tell)
        : await writeTable(connection, table, task, tell);
    const { n } = await oneRow(connection, `SELECT count(*) AS n FROM ${parquet(out)}`);
    const rowCount = Number(n);
    if (table !== undefined && rowCount !== table.rows) {
      throw new Error(`${name}: ${table.rows} rows went in, ${rowCount} came out`);
    }
    const statistics = task.analyze
      ? await statisticsOf(connection, out, columns, (fraction) =>
          tell(85 + fraction * 15, "statistics"),
        )
      : undefined;
    return {
      format: file.format === "text" ? "csv" : file.format,
      encoding: table?.encoding ?? file.encoding,
      columns,
      rowCount,
      rejectedRows: rejects.count,
      rejected: rejects.first,
      rejectsPath: rejects.path,
      ...(statistics && { statistics }),
    };
  } catch (error) {
    throw databaseError(error, name);
  } finally {
    connection.closeSync();
  }
}

async function takeParquet(
  connection: DuckDBConnection,
  task: ParseTask,
  tell: Tell,
): Promise<Column[]> {
  const { path, out, name } = task;
  const source = parquet(path);
  const { rows, bytes } = await oneRow(
    connection,
    `SELECT max(rows) AS rows, sum(size) AS bytes FROM (
       SELECT (SELECT num_rows FROM parquet_file_metadata(${literal(path)})) AS rows,
              total_uncompressed_size AS size FROM parquet_metadata(${literal(path)}))`,
  );
  if (Number(rows) > limits.rows || Number(bytes) > limits.inflatedBytes) {
    const message = `${name}: ${Number(rows)} rows, ${Number(bytes)} bytes inflated: more than are taken`;
    throw badFile(message, "DECOMPRESSION_LIMIT");
  }
  const columns = await describeTable(connection, source);
  if (columns.length > limits.columns) {
    const message = `${name}: has ${columns.length} columns, at most ${limits.columns} are taken`;
    throw badFile(message, "TOO_MANY_COLUMNS");
  }
  const rowBytes = Number(bytes) / Math.max(1, Number(rows));
  const groupRows = rowGroupRows(columns.length, rowBytes, task.chunkSize);
  await runTelling(
    connection,
    `COPY (SELECT * FROM ${source}) TO ${literal(out)} (${parquetOptions(name, groupRows)})`,
    (fraction) => tell(fraction * 85, "reading"),
  );
  return columns;
}
