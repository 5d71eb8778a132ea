import { isUtf8 } from "node:buffer";

const NEWLINE = 0x0a;
/** What is kept of a line lies in blocks, each as long as those before it together, within these bounds. */
const FIRST_BYTES = 4096;
const BLOCK_BYTES = 1_048_576;
/** Longer lines are handed over as bytes. */
const LONG_LINE = 1_000_000;
/** A line that is this many times too long has no end. */
const ENDLESS = 4;

export interface LineListener {
  /** Without its line break; `bytes` as it came. */
  onLine(line: string, bytes: number): void;
  /** One so long that decoding it would hold others up. */
  onLongLine(line: Buffer): void;
  /** A line that is no text; the next one may be. */
  onBadLine(why: "not UTF-8" | "too long"): void;
  /** No end of the line is in sight; nothing more is read. */
  onEndless(): void;
}

/** What all connections keep of lines that have not ended. */
export class UnfinishedLines {
  readonly #maxBytes: number;
  readonly #readers = new Set<LineReader>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Where all together take too many bytes, the longest is given up. */
  grew(reader: LineReader, by: number): void {
    this.#bytes += by;
    if (reader.unfinished === 0) this.#readers.delete(reader);
    else this.#readers.add(reader);
    while (this.#bytes > this.#maxBytes) {
      let longest = reader;
      for (const one of this.#readers) if (one.unfinished > longest.unfinished) longest = one;
      longest.giveUp();
    }
  }
}

/** Cuts what comes into lines, in bounded memory. */
export class LineReader {
  readonly #maxBytes: number;
  readonly #all: UnfinishedLines;
  readonly #listener: LineListener;
  /** Of the line that has not ended, the last one with free bytes at its end. */
  #blocks: Buffer[] = [];
  #free = 0;
  #length = 0;
  #skipped = 0;
  #over = false;

  constructor(maxBytes: number, all: UnfinishedLines, listener: LineListener) {
    this.#maxBytes = maxBytes;
    this.#all = all;
    this.#listener = listener;
  }

  /** Bytes kept of a line that has not ended. */
  get unfinished(): number {
    return this.#length;
  }

  get midLine(): boolean {
    return this.#length > 0 || this.#skipped > 0;
  }

  read(chunk: Buffer): void {
    if (this.#over) return;
    let from = 0;
    if (this.midLine) {
      const end = chunk.indexOf(NEWLINE);
      if (end === -1) return this.#keep(chunk);
      this.#finish(chunk.subarray(0, end));
      from = end + 1;
    }
    const last = chunk.lastIndexOf(NEWLINE);
    if (last >= from) {
      this.#lines(chunk.subarray(from, last));
      from = last + 1;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
  }

  /** Drops what it has, and reads no more. */
  close(): void {
    this.#over = true;
    this.#release();
  }

  giveUp(): void {
    this.close();
    this.#listener.onEndless();
  }

  #keep(part: Buffer): void {
    if (this.#over) return;
    if (this.#skipped > 0 || this.#length + part.length > this.#maxBytes) {
      this.#skipped += this.#length + part.length;
      this.#release();
      if (this.#skipped > this.#maxBytes * ENDLESS) this.giveUp();
      return;
    }
    let taken = 0;
    let from = 0;
    while (from < part.length) {
      if (this.#free === 0) taken += this.#addBlock();
      const block = this.#blocks.at(-1) as Buffer;
      const copied = part.copy(block, block.length - this.#free, from);
      this.#free -= copied;
      this.#length += copied;
      from += copied;
    }
    this.#all.grew(this, taken);
  }

  /** Never more than a whole line takes. */
  #addBlock(): number {
    const wanted = Math.max(FIRST_BYTES, Math.min(this.#length, BLOCK_BYTES));
    this.#free = Math.min(wanted, this.#maxBytes - this.#length);
    this.#blocks.push(Buffer.allocUnsafeSlow(this.#free));
    return this.#free;
  }

  #release(): void {
    const bytes = this.#length + this.#free;
    this.#blocks = [];
    this.#length = this.#free = 0;
    if (bytes > 0) this.#all.grew(this, -bytes);
  }

  #finish(end: Buffer): void {
    const tooLong = this.#skipped > 0 || this.#length + end.length > this.#maxBytes;
    this.#skipped = 0;
    const line = tooLong ? undefined : Buffer.concat([...this.#kept(), end]);
    this.#release();
    if (line === undefined) this.#listener.onBadLine("too long");
    else this.#line(line);
  }

  #kept(): readonly Buffer[] {
    const last = this.#blocks.at(-1);
    if (last === undefined) return [];
    return [...this.#blocks.slice(0, -1), last.subarray(0, last.length - this.#free)];
  }

  /** Whole lines, with the line breaks between them. */
  #lines(block: Buffer): void {
    if (block.length > this.#maxBytes || !isUtf8(block)) {
      let from = 0;
      for (let end = block.indexOf(NEWLINE); end !== -1; end = block.indexOf(NEWLINE, from)) {
        this.#line(block.subarray(from, end));
        from = end + 1;
      }
      return this.#line(block.subarray(from));
    }
    // Decoded at once: a line break is never part of another character.
    const text = block.toString();
    let from = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", from)) {
      if (this.#over) return;
      this.#listener.onLine(text.slice(from, end), end - from);
      from = end + 1;
    }
    this.#listener.onLine(text.slice(from), text.length - from);
  }

  #line(line: Buffer): void {
    if (this.#over) return;
    if (line.length > this.#maxBytes) this.#listener.onBadLine("too long");
    else if (line.length > LONG_LINE) this.#listener.onLongLine(line);
    else if (!isUtf8(line)) this.#listener.onBadLine("not UTF-8");
    else this.#listener.onLine(line.toString(), line.length);
  }
}
