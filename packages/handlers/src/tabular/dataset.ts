import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { DuckDBConnection } from "@duckdb/node-api";
import { planColumns } from "./column-types.ts";
import { identifier, literal, parquet, readCsvSql, rowGroupRows, runTelling } from "./duckdb.ts";
import type { Tell } from "./engine.process.ts";
import type { PreparedTable } from "./prepare.ts";

export interface Column {
  readonly name: string;
  /** As DuckDB calls it. */
  readonly type: string;
}

export interface TableTask {
  /** The producer's file. */
  readonly path: string;
  readonly name: string;
  readonly scratch: string;
  /** Where the dataset goes. */
  readonly out: string;
  /** Bytes of the file's content that one row group of the dataset holds at most. */
  readonly chunkSize: number;
}

/** A table as Parquet with typed columns, in its own order. The copy that the table lies in is removed. */
export async function writeTable(
  connection: DuckDBConnection,
  table: PreparedTable,
  task: TableTask,
  tell: Tell,
): Promise<Column[]> {
  const raw = join(task.scratch, "raw.parquet");
  const { names } = table.layout;
  const { size } = await stat(table.path);
  const groupRows = rowGroupRows(names.length, size / Math.max(1, table.rows), task.chunkSize);
  await runTelling(
    connection,
    `COPY (SELECT * FROM ${readCsvSql(table)}) TO ${literal(raw)}
     (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE ${groupRows})`,
    (fraction) => tell(25 + fraction * 25, "reading"),
  );
  if (table.path !== task.path) await rm(table.path);
  const plan = await planColumns(connection, parquet(raw), names, table.kinds, (fraction) =>
    tell(50 + fraction * 15, "types"),
  );
  const select = plan.map(({ name, value }) => `${value} AS ${identifier(name)}`).join(", ");
  await runTelling(
    connection,
    `COPY (SELECT ${select} FROM ${parquet(raw)}) TO ${literal(task.out)} (${parquetOptions(task.name, groupRows)})`,
    (fraction) => tell(65 + fraction * 20, "writing"),
  );
  await rm(raw);
  return plan.map(({ name, type }) => ({ name, type }));
}

export function parquetOptions(source: string, groupRows: number): string {
  const metadata = JSON.stringify({ source });
  return `FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${groupRows}, KV_METADATA {jobyard: ${literal(metadata)}}`;
}
