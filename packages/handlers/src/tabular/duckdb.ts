import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { badFile, EngineFailure } from "./failure.ts";
import { limits } from "./limits.ts";
import type { PreparedTable } from "./prepare.ts";

export interface DatabaseOptions {
  /** Where it may put what does not fit. */
  readonly scratch: string;
  /** The files that it may read and write beside those. */
  readonly files: readonly string[];
  readonly memoryMb: number;
}

/** A database in memory that reaches nothing but the files that it is given, and loads nothing. */
export async function openDatabase(options: DatabaseOptions): Promise<DuckDBConnection> {
  const { scratch, files, memoryMb } = options;
  const instance = await DuckDBInstance.create(":memory:", {
    memory_limit: `${memoryMb}MB`,
    // More of them take twice the memory for little: order is kept by holding what comes early.
    threads: "1",
    temp_directory: scratch,
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
  });
  const connection = await instance.connect();
  await connection.run("SET TimeZone = 'UTC'");
  await connection.run("SET enable_progress_bar = true");
  await connection.run("SET enable_progress_bar_print = false");
  await connection.run(`SET allowed_paths = [${files.map(literal).join(", ")}]`);
  await connection.run(`SET allowed_directories = [${literal(`${scratch}/`)}]`);
  await connection.run("SET enable_external_access = false");
  await connection.run("SET lock_configuration = true");
  return connection;
}

/** Runs a statement, telling how far it is (0 to 1) while it runs. */
export async function runTelling(
  connection: DuckDBConnection,
  sql: string,
  onProgress: (fraction: number) => void,
): Promise<void> {
  const timer = setInterval(() => {
    const { percentage } = connection.progress;
    if (percentage > 0) onProgress(Math.min(1, percentage / 100));
  }, 500);
  try {
    await connection.run(sql);
  } finally {
    clearInterval(timer);
  }
}

/** The first row of an answer. */
export async function oneRow(
  connection: DuckDBConnection,
  sql: string,
): Promise<Readonly<Record<string, unknown>>> {
  const reader = await connection.runAndReadAll(sql);
  return reader.getRowObjectsJS()[0] ?? {};
}

/** A table's columns with their types, as DuckDB calls them. */
export async function describeTable(
  connection: DuckDBConnection,
  table: string,
): Promise<{ readonly name: string; readonly type: string }[]> {
  const reader = await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${table}`);
  return reader.getRowsJson().map(([name, type]) => ({ name: asText(name), type: asText(type) }));
}

/** A value that is known to be text. */
export function asText(value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`Expected text, got ${typeof value}`);
  return value;
}

/** Reads a flawless CSV, every column as text. */
export function readCsvSql({ path, layout, newline, padded }: PreparedTable): string {
  const { dialect, hasHeader, names } = layout;
  const columns = names.map((name) => `${literal(name)}: 'VARCHAR'`).join(", ");
  const options = {
    auto_detect: "false",
    hive_partitioning: "false",
    header: String(hasHeader),
    delim: literal(String.fromCharCode(dialect.delimiter)),
    quote: literal(String.fromCharCode(dialect.quote)),
    escape: literal(String.fromCharCode(dialect.escape)),
    new_line: newline === "\n" ? "'\\n'" : "'\\r\\n'",
    null_padding: String(padded),
    allow_quoted_nulls: String(!padded),
    // Quoted line ends and padding together are beyond the parallel reader.
    parallel: String(!padded),
    max_line_size: String(limits.rowBytes + 1),
    buffer_size: String(2 * (limits.rowBytes + 1)),
    columns: `{${columns}}`,
  };
  const list = Object.entries(options).map(([name, value]) => `${name} = ${value}`);
  return `read_csv(${literal(path)}, ${list.join(", ")})`;
}

/** A Parquet file as a table; nothing in its path means anything. */
export function parquet(path: string): string {
  return `read_parquet(${literal(path)}, hive_partitioning = false)`;
}

export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

const VECTOR_ROWS = 2048;
const MOST_GROUP_BYTES = 16_000_000;
const MOST_GROUP_CELLS = 1_000_000;

/** Rows of a Parquet group, which the writer holds in memory: few where they are wide. */
export function rowGroupRows(columns: number, rowBytes: number, chunkBytes: number): number {
  const bytes = Math.min(MOST_GROUP_BYTES, chunkBytes);
  const rows = Math.min(65_536, MOST_GROUP_CELLS / columns, bytes / Math.max(1, rowBytes));
  return Math.max(1, Math.floor(rows / VECTOR_ROWS)) * VECTOR_ROWS;
}

/** What a failure of DuckDB's means for the job; the file is called as its producer called it. */
export function databaseError(error: unknown, name: string): unknown {
  if (!(error instanceof Error) || error instanceof EngineFailure) return error;
  const { message } = error;
  const options = { cause: error, stage: "database", dataFault: false };
  if (message.startsWith("Out of Memory Error")) {
    const text = `${name}: needs more memory than a job may take`;
    return new EngineFailure("OUT_OF_MEMORY", text, { ...options, dataFault: true });
  }
  if (/No space left|max_temp_directory_size/.test(message)) {
    return new EngineFailure("TEMPORARY_FAILURE", `${name}: no space left on the disk`, options);
  }
  if (
    /^(Invalid Input|IO|Serialization|Not implemented|Invalid|Parquet|TProtocol)/i.test(message)
  ) {
    // Paths of this machine are not for the producer.
    const line = message
      .split("\n")[0]
      ?.replaceAll(/(?: in| of)?(?: file)? ["']?(?:\/[^\s"':]+)+["']?/g, "");
    return badFile(`${name}: ${line}`);
  }
  return error;
}
