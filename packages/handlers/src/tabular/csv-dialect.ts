import { type CsvDialect, CsvScanner, fieldsOf } from "./csv-scanner.ts";

export interface CsvLayout {
  readonly dialect: CsvDialect;
  readonly hasHeader: boolean;
  /** Of the columns, made up where there is no header. */
  readonly names: readonly string[];
  /** The first row does not end in the sample, so there are more. */
  readonly isCut: boolean;
}

const DELIMITERS = [",", "\t", ";", "|"] as const;
const DOUBLE_QUOTE = 0x22;
const SINGLE_QUOTE = 0x27;
const BACKSLASH = 0x5c;
const LF = 0x0a;
const SAMPLE_ROWS = 200;

/**
 * How a CSV text is divided, judged by its beginning: the delimiter under which most rows have the same number of
 * columns, the more the better; a quote of another kind only where the usual one does not occur.
 *
 * @param sample - UTF-8; its last row may be cut off
 * @param preferred - the delimiter that the file's name tells
 */
export function detectLayout(
  sample: Buffer,
  { complete, preferred }: { readonly complete: boolean; readonly preferred?: "\t" | undefined },
): CsvLayout {
  const quote = quoteOf(sample);
  const escape = quote === DOUBLE_QUOTE && escapesByBackslash(sample) ? BACKSLASH : quote;
  let best: { dialect: CsvDialect; score: number } | undefined;
  for (const delimiter of DELIMITERS) {
    const dialect = { delimiter: delimiter.charCodeAt(0), quote, escape };
    const score = scoreOf(sample, complete, dialect) * (delimiter === preferred ? 2 : 1);
    if (best === undefined || score > best.score) best = { dialect, score };
  }
  const dialect = best?.dialect ?? { delimiter: 0x2c, quote, escape };
  const first = firstRow(sample, complete, dialect);
  // Its end is not in the sample: what there is of it tells whether it can be read at all.
  const part = first ?? firstRow(sample, true, dialect);
  const cells = part === undefined ? [] : fieldsOf(part, dialect);
  const hasHeader = looksLikeHeader(cells);
  const names = columnNames(hasHeader ? cells : cells.map(() => ""));
  return { dialect, hasHeader, names, isCut: first === undefined && part !== undefined };
}

/** Unique whatever their case, none empty; `column3` for a nameless third. */
export function columnNames(cells: readonly string[], mostCharacters = 256): string[] {
  const taken = new Set<string>();
  /** By name, the number to go on with: a million columns of one name are not all tried each time. */
  const next = new Map<string, number>();
  return cells.map((cell, index) => {
    const text = cell
      .replaceAll(/\p{Cc}+/gu, " ")
      .trim()
      .slice(0, mostCharacters)
      .toWellFormed();
    const wanted = text === "" ? `column${index + 1}` : text;
    let name = wanted;
    let n = next.get(wanted.toLowerCase()) ?? 2;
    for (; taken.has(name.toLowerCase()); n++) name = `${wanted}_${n}`;
    next.set(wanted.toLowerCase(), n);
    taken.add(name.toLowerCase());
    return name;
  });
}

function firstRow(sample: Buffer, complete: boolean, dialect: CsvDialect): Buffer | undefined {
  let first: Buffer | undefined;
  const scanner = new CsvScanner({
    dialect,
    maxRowBytes: sample.length,
    onRow: (bytes, start, end) => (first ??= Buffer.from(bytes.subarray(start, end))),
    onReject: () => {},
  });
  scanner.push(sample, complete);
  return first;
}

/** How many rows have the prevailing width, weighed by it; each line counts as a row, quoted ones apart. */
function scoreOf(sample: Buffer, complete: boolean, dialect: CsvDialect): number {
  const counts = new Map<number, number>();
  let total = 0;
  for (let from = 0; from < sample.length && total < SAMPLE_ROWS;) {
    const lineEnd = sample.indexOf(LF, from);
    if (lineEnd < 0 && !complete && total > 0) break;
    const next = lineEnd < 0 ? sample.length : lineEnd + 1;
    const onReject = () => {};
    const scanner = new CsvScanner({ dialect, maxRowBytes: sample.length, onReject });
    scanner.push(sample.subarray(from, next), true);
    from = next;
    if (scanner.blankLines > 0) continue;
    total++;
    const width = scanner.columns ?? 0;
    counts.set(width, (counts.get(width) ?? 0) + 1);
  }
  let best = 0;
  for (const [width, count] of counts) {
    if (width > 1) best = Math.max(best, (count / total) ** 2 * (1 + Math.log2(width)));
  }
  return best;
}

function quoteOf(sample: Buffer): number {
  if (sample.includes(DOUBLE_QUOTE)) return DOUBLE_QUOTE;
  const text = sample.toString("latin1");
  const quoted = text.match(/(?:^|[,;\t|\n])'[^'\n]*'(?=[,;\t|\r\n]|$)/g)?.length ?? 0;
  return quoted >= 2 ? SINGLE_QUOTE : DOUBLE_QUOTE;
}

function escapesByBackslash(sample: Buffer): boolean {
  const text = sample.toString("latin1");
  return text.includes('\\"') && !/[^\\,;\t|\n]""/.test(text);
}

/** Names are text: a first row with a number, a date or a blank in it is data. */
function looksLikeHeader(cells: readonly string[]): boolean {
  if (cells.every((cell) => cell.trim() === "")) return false;
  const isData = (cell: string) =>
    /^\s*[+-]?[\d.,]*\d[\d.,:/TZ+-]*\s*$/.test(cell) || cell.includes("@");
  return !cells.some(isData);
}
