import { open } from "node:fs/promises";
import { join } from "node:path";
import { Archive } from "../tabular/archive.ts";
import { bytesOf, type DetectedFile, detectFile, textOf } from "../tabular/content.ts";
import { detectLayout } from "../tabular/csv-dialect.ts";
import {
  databaseError,
  describeTable,
  identifier,
  literal,
  openDatabase,
  parquet,
} from "../tabular/duckdb.ts";
import type { Tell } from "../tabular/engine.process.ts";
import { xlsxRows } from "../tabular/xlsx-reader.ts";
import {
  type Depth,
  type Fields,
  type NamedFields,
  reportNamedFields,
  scanBlock,
} from "./block.ts";
import { type Finding, Findings, type Place } from "./findings.ts";
import { type Framework, type Verdict, verdictOf } from "./frameworks.ts";
import { riskScore } from "./kinds.ts";

export interface ScanTask {
  readonly kind: "scan";
  readonly path: string;
  readonly name: string;
  readonly scratch: string;
  /** Samples only. */
  readonly quick: boolean;
  readonly frameworks: readonly Framework[];
  /** Of the database. */
  readonly memoryMb: number;
}

export interface ScannedFile {
  readonly format: string;
  readonly findings: readonly Finding[];
  readonly findingCount: number;
  /** Where all of them are. */
  readonly findingsPath: string;
  readonly summary: Readonly<Record<string, number>>;
  readonly riskScore: number;
  readonly compliance: Readonly<Record<string, Verdict>>;
  readonly scanned: {
    readonly complete: boolean;
    /** Of the content, inflated; of tables that are no text, their cells' text. */
    readonly bytes: number;
  };
}

const BLOCK_BYTES = 512 * 1024;
/** A line beyond it is looked at in pieces that overlap. */
const LONGEST_LINE = 1024 * 1024;
const OVERLAP = 4096;

/** Of a quick scan: files to this size are read whole, bytes. */
const QUICK_WHOLE = 4_000_000;
const QUICK_WINDOWS = 12;
const QUICK_WINDOW = 256 * 1024;
const QUICK_ROWS = 20_000;

/** Looks through a file for personal data, secrets, formulas and signs of malware. */
export async function scanFile(task: ScanTask, tell: Tell): Promise<ScannedFile> {
  const file = await detectFile(task);
  const findings = new Findings(join(task.scratch, "findings.ndjson"));
  const scan = new Scan(file, task, findings, tell);
  try {
    await scan.run();
  } catch (error) {
    throw databaseError(error, task.name);
  }
  reportNamedFields(scan.named, findings);
  findings.flush();
  const compliance = task.frameworks.map(
    (name) => [name, verdictOf(name, findings.counts)] as const,
  );
  return {
    format: file.format,
    findings: findings.shown,
    findingCount: findings.total,
    findingsPath: findings.path,
    summary: Object.fromEntries(findings.counts),
    riskScore: riskScore(findings.counts),
    compliance: Object.fromEntries(compliance),
    scanned: { complete: scan.complete, bytes: scan.bytes },
  };
}

class Scan {
  readonly named: NamedFields = new Map();
  complete = true;
  bytes = 0;
  readonly #file: DetectedFile;
  readonly #task: ScanTask;
  readonly #findings: Findings;
  readonly #tell: Tell;

  constructor(file: DetectedFile, task: ScanTask, findings: Findings, tell: Tell) {
    this.#file = file;
    this.#task = task;
    this.#findings = findings;
    this.#tell = tell;
  }

  async run(): Promise<void> {
    const { format } = this.#file;
    if (format === "parquet") await this.#parquet();
    else if (format === "xlsx") await this.#archive();
    else if (format === "binary") await this.#binary();
    else await this.#text();
  }

  // ---- texts

  async #text(): Promise<void> {
    const file = this.#file;
    const fields = fieldsOf(file);
    const plain =
      file.compression === "none" && file.encoding !== "utf-16le" && file.encoding !== "utf-16be";
    if (this.#task.quick && plain && file.size > QUICK_WHOLE) {
      await this.#samples(fields);
      return;
    }
    const most = this.#task.quick ? QUICK_WHOLE : Infinity;
    if (file.compression !== "none" && !this.#task.quick) await this.#inflate();
    const placeOf = (line: number): Place => ({ line: line + 1 });
    await this.#lines(textOf(file), most, fields, "all", placeOf);
  }

  /** Once for nothing: a bomb is refused before the long work on it. */
  async #inflate(): Promise<void> {
    const chunks = bytesOf(this.#file);
    while ((await chunks.next()).done !== true) continue;
  }

  async #binary(): Promise<void> {
    const { sample, kind = "", size } = this.#file;
    if (kind.startsWith("a program")) {
      this.#findings.add("EXECUTABLE", { offset: 0 }, kind);
    } else if (sample.toString("latin1", 0, 2) === "MZ") {
      this.#findings.add("EXECUTABLE", { offset: 0 }, "a program (Windows)");
    }
    const most = this.#task.quick ? Math.min(size, QUICK_WHOLE) : Infinity;
    const latin1 = async function* (file: DetectedFile): AsyncGenerator<Buffer> {
      for await (const chunk of bytesOf(file)) yield Buffer.from(chunk.toString("latin1"));
    };
    const placeOf = (line: number): Place => ({ line: line + 1 });
    await this.#lines(latin1(this.#file), most, { kind: "none" }, "code-and-secrets", placeOf);
  }

  /** Blocks of whole lines out of a stream. */
  async #lines(
    content: AsyncIterable<Buffer>,
    mostBytes: number,
    fields: Fields,
    depth: Depth,
    placeOf: (line: number, offset: number) => Place,
  ): Promise<void> {
    const { size, compression } = this.#file;
    let kept: Buffer = Buffer.alloc(0);
    let line = 0;
    const take = (bytes: Buffer): void => {
      const first = line;
      const text = bytes.toString("utf8");
      scanBlock(
        { text, fields, depth, placeOf: (inBlock, offset) => placeOf(first + inBlock, offset) },
        this.#findings,
        this.named,
      );
      for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) line++;
    };
    for await (const chunk of content) {
      this.bytes += chunk.length;
      let rest = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
      while (rest.length > BLOCK_BYTES) {
        const end = rest.lastIndexOf(0x0a, BLOCK_BYTES) + 1 || rest.indexOf(0x0a, BLOCK_BYTES) + 1;
        if (end > 0 && end <= LONGEST_LINE) {
          take(rest.subarray(0, end));
          rest = rest.subarray(end);
        } else if (rest.length > LONGEST_LINE) {
          take(rest.subarray(0, LONGEST_LINE));
          rest = rest.subarray(LONGEST_LINE - OVERLAP);
        } else break;
      }
      kept = Buffer.from(rest);
      const part = compression === "none" ? this.bytes / size : this.bytes / size / 10;
      this.#tell(Math.min(99, part * 100), "scanning");
      if (this.bytes >= mostBytes) {
        this.complete = this.bytes >= size && compression === "none";
        break;
      }
    }
    if (kept.length > 0) take(kept);
  }

  /** The beginning, the end and windows between them, cut at lines. */
  async #samples(fields: Fields): Promise<void> {
    const { path, size, encoding } = this.#file;
    this.complete = false;
    const decoder = encoding === "windows-1252" ? "latin1" : "utf8";
    const file = await open(path);
    try {
      for (let window = 0; window < QUICK_WINDOWS; window++) {
        const start = Math.floor(((size - QUICK_WINDOW) / (QUICK_WINDOWS - 1)) * window);
        const { buffer, bytesRead } = await file.read(
          Buffer.alloc(QUICK_WINDOW),
          0,
          QUICK_WINDOW,
          start,
        );
        const bytes = buffer.subarray(0, bytesRead);
        const from = start === 0 ? 0 : bytes.indexOf(0x0a) + 1;
        const whole = bytes.subarray(
          from,
          Math.max(from, bytes.lastIndexOf(0x0a) + 1) || bytesRead,
        );
        this.bytes += whole.length;
        const placeOf = (line: number, offset: number): Place =>
          start === 0 ? { line: line + 1 } : { offset: start + from + offset };
        const text = whole.toString(decoder);
        scanBlock({ text, fields, placeOf }, this.#findings, this.named);
        this.#tell((window / QUICK_WINDOWS) * 100, "scanning samples");
      }
    } finally {
      await file.close();
    }
  }

  // ---- tables that are no text

  async #parquet(): Promise<void> {
    const { path } = this.#file;
    const { scratch, memoryMb, quick } = this.#task;
    const connection = await openDatabase({ scratch, files: [path], memoryMb });
    try {
      const columns = await describeTable(connection, parquet(path));
      const rows = new RowBlocks(
        this,
        columns.map(({ name }) => name),
        undefined,
      );
      const list = columns.map(({ name }) => `CAST(${identifier(name)} AS VARCHAR)`).join(", ");
      const limit = quick ? ` LIMIT ${QUICK_ROWS}` : "";
      const sql = `SELECT ${list} FROM ${parquet(path)}${limit}`;
      const result = await connection.stream(sql);
      let number = 0;
      for await (const batch of result.yieldRows()) {
        for (const row of batch) rows.add(row as (string | null)[], ++number);
        this.#tell(50, "scanning");
      }
      rows.flush();
      const counted = await connection.runAndReadAll(
        `SELECT num_rows FROM parquet_file_metadata(${literal(path)})`,
      );
      this.complete = number >= Number(counted.getRowsJS()[0]?.[0]);
    } finally {
      connection.closeSync();
    }
  }

  async #archive(): Promise<void> {
    const file = this.#file;
    const archive = await Archive.open(file.path, file.name, file.size);
    try {
      for (const part of archive.parts) {
        const kind = kindOfPart(part);
        if (kind !== undefined) this.#findings.add(kind, { part }, part.split("/").at(-1) ?? part);
      }
      if (!archive.has("xl/workbook.xml")) {
        for (const part of archive.parts.filter((part) => TEXT_PART.test(part))) {
          const placeOf = (line: number): Place => ({ part, line: line + 1 });
          const most = this.#task.quick ? QUICK_WHOLE : Infinity;
          await this.#lines(archive.read(part), most, { kind: "none" }, "all", placeOf);
        }
        return;
      }
    } finally {
      archive.close();
    }
    let rows = new RowBlocks(this, [], undefined);
    let isFirst = true;
    let taken = 0;
    await xlsxRows(file, {
      scratch: this.#task.scratch,
      allSheets: true,
      onProgress: (fraction) => this.#tell(fraction * 99, "scanning"),
      onSheet: (sheet) => {
        rows.flush();
        rows = new RowBlocks(this, [], sheet);
        isFirst = true;
      },
      onRow: (row, number) => {
        const cells = row.map((cell) => cell?.text ?? null);
        if (isFirst) rows.names = cells.map((cell) => cell ?? "");
        isFirst = false;
        if (this.#task.quick && ++taken > QUICK_ROWS) this.complete = false;
        else rows.add(cells, number);
      },
    });
    rows.flush();
  }

  /** Rows of cells as lines of a text. */
  rows(text: string, fields: Fields, placeOf: (line: number) => Place): void {
    this.bytes += text.length;
    scanBlock({ text, fields, placeOf }, this.#findings, this.named);
  }
}

class RowBlocks {
  names: readonly string[];
  readonly #scan: Scan;
  readonly #sheet: string | undefined;
  #text = "";
  #numbers: number[] = [];

  constructor(scan: Scan, names: readonly string[], sheet: string | undefined) {
    this.#scan = scan;
    this.names = names;
    this.#sheet = sheet;
  }

  add(row: readonly (string | null)[], number: number): void {
    this.#text += `${row.map((cell) => cell?.replaceAll(/[\t\n\r]/g, " ") ?? "").join("\t")}\n`;
    this.#numbers.push(number);
    if (this.#text.length > BLOCK_BYTES) this.flush();
  }

  flush(): void {
    if (this.#text === "") return;
    const numbers = this.#numbers;
    const sheet = this.#sheet;
    const placeOf = (line: number): Place => ({
      ...(sheet !== undefined && { sheet }),
      row: numbers[line] ?? 0,
    });
    const fields = { kind: "columns", delimiter: "\t", quote: "", names: this.names } as const;
    this.#scan.rows(this.#text, fields, placeOf);
    this.#text = "";
    this.#numbers = [];
  }
}

function fieldsOf(file: DetectedFile): Fields {
  const { format, sample, complete } = file;
  if (format === "json" || format === "ndjson") return { kind: "json" };
  if (format !== "csv" && format !== "tsv") return { kind: "none" };
  const preferred = format === "tsv" ? ("\t" as const) : undefined;
  const { dialect, hasHeader, names } = detectLayout(sample, { complete, preferred });
  return {
    kind: "columns",
    delimiter: String.fromCharCode(dialect.delimiter),
    quote: String.fromCharCode(dialect.quote),
    names: hasHeader ? names : [],
  };
}

const TEXT_PART =
  /\.(?:xml|rels|txt|csv|tsv|json|ndjson|html?|md|ya?ml|ini|log|sql|js|vbs|ps1|bat|sh)$/i;

function kindOfPart(part: string): "MACRO" | "EXECUTABLE" | undefined {
  if (/vbaProject\.bin$|\/macrosheets\/|\/activeX\/|\/embeddings\/oleObject/i.test(part))
    return "MACRO";
  return /\.(?:exe|dll|scr|com|msi|vbs|vbe|ps1|bat|cmd|hta|jse|wsf|lnk|jar)$/i.test(part)
    ? "EXECUTABLE"
    : undefined;
}
