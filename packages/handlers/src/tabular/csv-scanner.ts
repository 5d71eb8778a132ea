import { isUtf8 } from "node:buffer";

/** How a text is divided; bytes. */
export interface CsvDialect {
  readonly delimiter: number;
  readonly quote: number;
  /** Before a quote that is content: the quote itself, or a backslash. */
  readonly escape: number;
}

export interface CsvScannerOptions {
  readonly dialect: CsvDialect;
  /** Absent: as many as the first row has. */
  readonly columns?: number;
  /** A row that has no end by then is taken for one whose quote is never closed. Bytes. */
  readonly maxRowBytes: number;
  /** A well-formed row without its line end; not valid after the call. */
  readonly onRow?: (bytes: Buffer, start: number, end: number) => void;
  readonly onReject: (line: number, reason: string) => void;
}

const LF = 0x0a;
const CR = 0x0d;

/** Rescanning of what broken quotes spoilt, bytes: more is no longer a text with some bad lines in it. */
const RESCANNED_FREE = 256_000_000;

/**
 * Finds the rows of a CSV text and tells the malformed ones by their physical line. After a malformed row it goes on
 * at the next line, so that one stray quote costs one line. Memory is one row, whatever is pushed.
 */
export class CsvScanner {
  rows = 0;
  rejected = 0;
  columns: number | undefined;
  /** Line ends seen outside of quotes. */
  lineFeeds = 0;
  carriageReturns = 0;
  blankLines = 0;
  /** Rows that are no UTF-8, and rows with other than ASCII characters that are. */
  notUtf8 = 0;
  beyondAscii = 0;
  readonly #options: CsvScannerOptions;
  #kept: Buffer = Buffer.alloc(0);
  #line = 1;
  /** Up to the next line end, all belongs to a row that was rejected. */
  #skipping = false;
  #scanned = 0;
  #pushed = 0;

  // Of the row scanned last.
  #end = 0;
  #next = 0;
  #found = 0;
  #lines = 0;
  #fault: string | undefined;

  constructor(options: CsvScannerOptions) {
    this.#options = options;
    this.columns = options.columns;
  }

  /** @throws Error when quotes are broken all over */
  push(chunk: Buffer, last = false): void {
    const bytes = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk]);
    this.#pushed += chunk.length;
    const valid = allUtf8(bytes, last);
    let at = this.#skipping ? this.#lineAfter(bytes, 0) : 0;
    while (at < bytes.length) {
      if (!this.#scanRow(bytes, at, last)) {
        if (bytes.length - at <= this.#options.maxRowBytes) break;
        const width = this.#options.maxRowBytes;
        const quoted = bytes.subarray(at, at + width).includes(LF);
        this.#fault = quoted ? "a quote is not closed" : `is longer than ${width} bytes`;
      }
      at = this.#take(bytes, at, valid);
    }
    // A copy: what was pushed may be overwritten by its owner.
    this.#kept = at < bytes.length ? Buffer.from(bytes.subarray(at)) : Buffer.alloc(0);
    if (this.#scanned > 4 * this.#pushed + RESCANNED_FREE) {
      throw new RangeError(`line ${this.#line}: quotes are not closed in too many places`);
    }
  }

  #take(bytes: Buffer, start: number, valid: boolean): number {
    const line = this.#line;
    if (this.#fault === undefined && this.#end === start) {
      this.blankLines++;
      this.#line += 1;
      return this.#next;
    }
    this.columns ??= this.#found;
    this.#fault ??=
      this.#found === this.columns ? undefined : countFault(this.#found, this.columns);
    if (this.#end - start > this.#options.maxRowBytes) this.#fault ??= "is too long";
    if (this.#fault === undefined && !valid) this.#checkEncoding(bytes.subarray(start, this.#end));
    if (this.#fault === undefined) {
      this.rows++;
      this.#line += this.#lines + 1;
      this.#options.onRow?.(bytes, start, this.#end);
      return this.#next;
    }
    this.rejected++;
    this.#options.onReject(line, this.#fault);
    // The row may have run over the lines after it.
    this.#line += 1;
    return this.#lineAfter(bytes, start);
  }

  #lineAfter(bytes: Buffer, at: number): number {
    const lineEnd = bytes.indexOf(LF, at);
    this.#skipping = lineEnd < 0;
    return lineEnd < 0 ? bytes.length : lineEnd + 1;
  }

  #checkEncoding(row: Buffer): void {
    if (!isUtf8(row)) {
      this.notUtf8++;
      this.#fault = "is not UTF-8";
    } else if (row.some((byte) => byte >= 0x80)) this.beyondAscii++;
  }

  /** @returns false if the row's end is not in `bytes` */
  #scanRow(bytes: Buffer, start: number, last: boolean): boolean {
    const { delimiter, quote } = this.#options.dialect;
    const length = bytes.length;
    let at = start;
    let found = 1;
    this.#lines = 0;
    this.#fault = undefined;
    for (;;) {
      if (bytes[at] === quote) {
        at = this.#closingQuote(bytes, at + 1, last);
        if (at < 0) {
          this.#scanned += length - start;
          if (!last) return false;
          this.#fault = "a quote is not closed";
          return true;
        }
        if (at < length && bytes[at] === delimiter) {
          found++;
          at++;
          // Broken quotes join lines to rows of ever more columns.
          if (this.#lines > 0 && this.columns !== undefined && found > this.columns) {
            return this.#spoilt(start, at, countFault(found, this.columns));
          }
          continue;
        }
        if (at === length) return last ? this.#ended(start, at, at, found) : false;
        if (bytes[at] === LF) return this.#ended(start, at, at + 1, found);
        if (bytes[at] === CR) {
          if (at + 1 < length && bytes[at + 1] === LF) {
            return this.#ended(start, at, at + 2, found);
          }
          if (at + 1 === length && !last) return false;
        }
        return this.#spoilt(start, at, "text after a closing quote");
      }
      let byte = 0;
      let bare = false;
      while (at < length) {
        byte = bytes[at] as number;
        if (byte === delimiter || byte === LF) break;
        if (byte === CR && bytes[at + 1] !== LF && at + 1 < length) bare = true;
        if (byte === 0) bare = true;
        at++;
      }
      if (bare) this.#fault = "holds a control character: a bare carriage return or NUL";
      if (at === length) {
        if (!last) {
          this.#scanned += length - start;
          return false;
        }
        const end = at > start && bytes[at - 1] === CR ? at - 1 : at;
        return this.#ended(start, end, at, found);
      }
      if (byte === delimiter) {
        found++;
        at++;
        continue;
      }
      const end = at > start && bytes[at - 1] === CR ? at - 1 : at;
      return this.#ended(start, end, at + 1, found);
    }
  }

  /** Where the field's closing quote ends; -1 if it is not there. */
  #closingQuote(bytes: Buffer, from: number, last: boolean): number {
    const { quote, escape } = this.#options.dialect;
    const length = bytes.length;
    let at = from;
    while (at < length) {
      const byte = bytes[at] as number;
      if (byte === LF) this.#lines++;
      if (byte === escape && escape !== quote) {
        at += 2;
        continue;
      }
      at++;
      if (byte !== quote) continue;
      if (escape !== quote || at === length) return at === length && !last ? -1 : at;
      if (bytes[at] !== quote) return at;
      at++;
    }
    return -1;
  }

  #ended(start: number, end: number, next: number, found: number): true {
    this.#scanned += next - start;
    this.#end = end;
    this.#next = next;
    this.#found = found;
    if (next > end) {
      if (next - end === 2) this.carriageReturns++;
      else this.lineFeeds++;
    }
    return true;
  }

  #spoilt(start: number, at: number, fault: string): true {
    this.#scanned += at - start;
    this.#end = at;
    this.#fault = fault;
    return true;
  }
}

function countFault(found: number, columns: number): string {
  return `has ${found} columns, ${columns} are expected`;
}

/** Apart from a character that the end of the bytes cuts in two. */
function allUtf8(bytes: Buffer, last: boolean): boolean {
  if (last) return isUtf8(bytes);
  let end = bytes.length;
  // At most three continuation bytes, and what they follow.
  for (let back = 1; back <= 4 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) break;
    end = bytes.length - back;
    if (byte >= 0xc0) break;
  }
  return isUtf8(bytes.subarray(0, end));
}

/** The fields of one well-formed row. */
export function fieldsOf(row: Buffer, { delimiter, quote, escape }: CsvDialect): string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (row[at] !== quote) {
      const found = row.indexOf(delimiter, at);
      const end = found < 0 ? row.length : found;
      fields.push(row.toString("utf8", at, end));
      if (found < 0) return fields;
      at = end + 1;
      continue;
    }
    const content: number[] = [];
    at++;
    while (at < row.length) {
      const byte = row[at] as number;
      const next = row[at + 1];
      if (byte === escape && (next === quote || (escape !== quote && next !== undefined))) {
        content.push(next);
        at += 2;
      } else if (byte === quote) break;
      else {
        content.push(byte);
        at++;
      }
    }
    fields.push(Buffer.from(content).toString("utf8"));
    at++;
    if (at >= row.length) return fields;
    at++;
  }
}
