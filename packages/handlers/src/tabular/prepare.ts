import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { badFile } from "./failure.ts";
import { type DetectedFile, type Encoding, SAMPLE_BYTES, textOf } from "./content.ts";
import { type CsvLayout, detectLayout } from "./csv-dialect.ts";
import { CsvScanner } from "./csv-scanner.ts";
import { jsonDocuments, jsonLines } from "./json-records.ts";
import { limits } from "./limits.ts";
import { RecordWriter } from "./record-writer.ts";
import type { Rejects } from "./rejects.ts";
import { xlsxRows } from "./xlsx-reader.ts";

/** A CSV text that is known to be flawless, and what its columns hold as far as the source tells. */
export interface PreparedTable {
  readonly path: string;
  readonly layout: CsvLayout;
  readonly newline: "\n" | "\r\n";
  readonly rows: number;
  /** Absent: as it was detected. */
  readonly encoding?: Encoding;
  /** By column: kinds of `record-writer.ts`; absent: all is text. */
  readonly kinds?: readonly number[];
  /** Rows may have fewer columns than there are; what is missing is null, and an empty text is quoted. */
  readonly padded: boolean;
}

export interface PrepareOptions {
  readonly scratch: string;
  readonly rejects: Rejects;
  /** Fraction of the file that was read. */
  readonly onProgress: (fraction: number) => void;
}

/** Any table but a Parquet file as flawless CSV: the file itself where it is that, else a copy. */
export async function prepareTable(
  file: DetectedFile,
  options: PrepareOptions,
): Promise<PreparedTable> {
  const { scratch, rejects, onProgress } = options;
  switch (file.format) {
    case "binary":
      throw badFile(`${file.name}: is ${file.kind ?? "binary data"}, not a table`);
    case "csv":
    case "tsv":
    case "text":
      return prepareCsv(file, options);
    case "json":
    case "ndjson": {
      const writer = new RecordWriter(join(scratch, "copy.csv"), file.name);
      const read = file.format === "json" ? jsonDocuments : jsonLines;
      await read(file, { rejects, onProgress, onRecord: (record) => writer.record(record) });
      return writer.end();
    }
    case "xlsx": {
      const writer = new RecordWriter(join(scratch, "copy.csv"), file.name);
      await xlsxRows(file, { scratch, onProgress, onRow: (row) => writer.row(row) });
      return writer.end();
    }
    case "parquet":
      throw new TypeError("A Parquet file is read as it is");
    default:
      throw new TypeError(`No such format: ${String(file.format satisfies never)}`);
  }
}

async function prepareCsv(file: DetectedFile, options: PrepareOptions): Promise<PreparedTable> {
  const preferred = file.format === "tsv" ? "\t" : undefined;
  const plain = file.compression === "none" && file.encoding === "utf-8" && !file.bareReturns;
  const { sample, complete } = file;
  let encoding = file.encoding;
  const layout = detectLayout(sample, { complete, preferred });
  checkColumns(layout, file.name);
  let scan = await scanCsv(file, encoding, layout, options, plain ? undefined : "copy.csv");
  if (encoding === "utf-8" && scan.scanner.notUtf8 > scan.scanner.beyondAscii) {
    // Its beginning was ASCII; the rest is in the usual encoding of old files.
    encoding = "windows-1252";
    scan = await scanCsv(file, encoding, layout, options, "copy.csv");
  } else if (plain && !isFlawless(scan.scanner)) {
    scan = await scanCsv(file, encoding, layout, options, "copy.csv");
  }
  const { scanner, copied } = scan;
  const rows = scanner.rows - (layout.hasHeader ? 1 : 0);
  if (scanner.rows === 0 || (rows === 0 && scanner.rejected > 0)) {
    const { first } = options.rejects;
    const why = first[0] === undefined ? "" : `: line ${first[0].line} ${first[0].reason}`;
    throw badFile(`${file.name}: has no row that can be read${why}`);
  }
  return {
    path: copied ?? file.path,
    layout,
    newline: copied === undefined && scanner.carriageReturns > 0 ? "\r\n" : "\n",
    rows,
    encoding,
    padded: false,
  };
}

function checkColumns({ names, isCut }: CsvLayout, name: string): void {
  if (isCut && names.length <= limits.columns) {
    throw badFile(`${name}: line 1 does not end within its first ${SAMPLE_BYTES} bytes`);
  }
  if (names.length > limits.columns) {
    const message = `${name}: line 1 has ${names.length} columns, at most ${limits.columns} are taken`;
    throw badFile(message, "TOO_MANY_COLUMNS");
  }
}

/** That DuckDB reads the very rows that the scanner saw. */
function isFlawless(scanner: CsvScanner): boolean {
  const oneLineEnd = scanner.lineFeeds === 0 || scanner.carriageReturns === 0;
  return scanner.rejected === 0 && scanner.blankLines === 0 && oneLineEnd;
}

async function scanCsv(
  file: DetectedFile,
  encoding: Encoding,
  { dialect }: CsvLayout,
  { scratch, rejects, onProgress }: PrepareOptions,
  copyName: string | undefined,
): Promise<{ scanner: CsvScanner; copied: string | undefined }> {
  rejects.clear();
  const copied = copyName === undefined ? undefined : join(scratch, copyName);
  const copy = copied === undefined ? undefined : new RowCopy(copied);
  const scanner = new CsvScanner({
    dialect,
    maxRowBytes: limits.rowBytes,
    onReject: (line, reason) => rejects.add(line, reason),
    ...(copy && { onRow: (bytes, start, end) => copy.row(bytes, start, end) }),
  });
  let read = 0;
  try {
    for await (const chunk of textOf(file, encoding)) {
      push(scanner, chunk, false, file.name);
      await copy?.drain();
      read += chunk.length;
      onProgress(
        file.compression === "none" ? read / file.size : Math.min(0.9, read / file.size / 10),
      );
      checkWidth(scanner, file.name);
    }
    push(scanner, Buffer.alloc(0), true, file.name);
    checkWidth(scanner, file.name);
  } finally {
    await copy?.close();
  }
  rejects.flush();
  return { scanner, copied };
}

function push(scanner: CsvScanner, chunk: Buffer, last: boolean, name: string): void {
  try {
    scanner.push(chunk, last);
  } catch (error) {
    if (error instanceof RangeError) throw badFile(`${name}: ${error.message}`);
    throw error;
  }
}

function checkWidth(scanner: CsvScanner, name: string): void {
  const columns = scanner.columns ?? 0;
  if (columns > limits.columns) {
    const message = `${name}: line 1 has ${columns} columns, at most ${limits.columns} are taken`;
    throw badFile(message, "TOO_MANY_COLUMNS");
  }
}

const COPY_BYTES = 1024 * 1024;

/** The good rows of a text, each ended by a line feed. */
class RowCopy {
  readonly #out: ReturnType<typeof createWriteStream>;
  #buffer = Buffer.allocUnsafe(COPY_BYTES);
  #filled = 0;
  #full = false;

  constructor(path: string) {
    this.#out = createWriteStream(path);
    this.#out.on("error", () => undefined);
  }

  row(bytes: Buffer, start: number, end: number): void {
    const length = end - start + 1;
    if (this.#filled + length > this.#buffer.length) {
      this.#flush();
      this.#buffer = Buffer.allocUnsafe(Math.max(COPY_BYTES, length));
    }
    bytes.copy(this.#buffer, this.#filled, start, end);
    this.#filled += length;
    this.#buffer[this.#filled - 1] = 0x0a;
  }

  async drain(): Promise<void> {
    if (this.#out.errored !== null) throw this.#out.errored;
    if (this.#full) await once(this.#out, "drain");
    this.#full = false;
  }

  async close(): Promise<void> {
    this.#flush();
    this.#out.end();
    await finished(this.#out);
  }

  #flush(): void {
    if (this.#filled === 0) return;
    this.#full = !this.#out.write(this.#buffer.subarray(0, this.#filled)) || this.#full;
    this.#filled = 0;
    this.#buffer = Buffer.allocUnsafe(COPY_BYTES);
  }
}
