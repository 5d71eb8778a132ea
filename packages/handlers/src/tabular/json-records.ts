import { badFile } from "./failure.ts";
import { type DetectedFile, textOf } from "./content.ts";
import { limits } from "./limits.ts";
import type { Rejects } from "./rejects.ts";

// Newer than the declarations that the workspace is checked with.
declare global {
  interface JSON {
    rawJSON(source: string): object;
    isRawJSON(value: unknown): boolean;
  }
}

export interface JsonReading {
  readonly rejects: Rejects;
  readonly onProgress: (fraction: number) => void;
  readonly onRecord: (record: object) => void;
  /** What follows the first document's array is none of it. Default false. */
  readonly firstArrayOnly?: boolean;
}

const LF = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** One JSON object a line; what is none is rejected with its line. */
export async function jsonLines(file: DetectedFile, reading: JsonReading): Promise<void> {
  let line = 0;
  const take = (bytes: Buffer): void => {
    line++;
    const text = bytes.toString("utf8").trim();
    if (text !== "") takeRecord(text, line, reading);
  };
  let kept: Buffer = Buffer.alloc(0);
  let skipping = false;
  let read = 0;
  for await (const chunk of textOf(file)) {
    const bytes = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    let from = 0;
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, from)) {
      if (skipping) line++;
      else take(bytes.subarray(from, end));
      skipping = false;
      from = end + 1;
    }
    kept = Buffer.from(bytes.subarray(from));
    if (skipping) kept = Buffer.alloc(0);
    else if (kept.length > limits.rowBytes) {
      reading.rejects.add(line + 1, `is longer than ${limits.rowBytes} bytes`);
      skipping = true;
      kept = Buffer.alloc(0);
    }
    read += chunk.length;
    reading.onProgress(fraction(file, read));
  }
  if (kept.length > 0) take(kept);
  reading.rejects.flush();
}

/**
 * A document that is an array of objects, one object, or several documents one after another. A record that is no
 * valid JSON is rejected with the line that it begins on; brackets that do not match are the file's fault.
 */
export async function jsonDocuments(file: DetectedFile, reading: JsonReading): Promise<void> {
  let line = 1;
  let startLine = 1;
  let depth = 0;
  let base = 0;
  let inText = false;
  let escaped = false;
  let inScalar = false;
  let kept: Buffer = Buffer.alloc(0);
  let read = 0;
  const fault = (what: string) => badFile(`${file.name}: line ${line}: ${what}`);
  for await (const chunk of textOf(file)) {
    const begin = kept.length;
    const bytes = begin === 0 ? chunk : Buffer.concat([kept, chunk]);
    let start = begin > 0 ? 0 : -1;
    for (let at = begin; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (byte === LF) line++;
      if (inText) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inText = false;
        continue;
      }
      const outside = depth === base;
      const blank = byte === 0x20 || byte === LF || byte === 0x0d || byte === 0x09;
      if (outside && (blank || byte === 0x2c || byte === 0x5d)) {
        if (inScalar && start >= 0) {
          reading.rejects.add(startLine, "is no JSON object");
          inScalar = false;
          start = -1;
        }
        if (byte === 0x5d) {
          if (base === 0) throw fault("a ] without its [");
          base = 0;
          depth = 0;
          if (reading.firstArrayOnly === true) return;
        }
        continue;
      }
      if (outside && start < 0) {
        if (byte === 0x5b && base === 0) {
          base = 1;
          depth = 1;
          continue;
        }
        start = at;
        startLine = line;
        inScalar = byte !== 0x7b && byte !== 0x5b;
      }
      if (byte === QUOTE) inText = true;
      else if (byte === 0x7b || byte === 0x5b) {
        if (++depth - base > limits.jsonDepth) throw fault(`nested over ${limits.jsonDepth} deep`);
      } else if (byte === 0x7d || byte === 0x5d) {
        if (--depth < base) throw fault("brackets that do not match");
        if (depth === base) {
          takeRecord(bytes.toString("utf8", start, at + 1), startLine, reading);
          start = -1;
          inScalar = false;
        }
      }
    }
    kept = start < 0 ? Buffer.alloc(0) : Buffer.from(bytes.subarray(start));
    if (kept.length > limits.rowBytes) {
      throw badFile(`${file.name}: line ${startLine}: a record over ${limits.rowBytes} bytes`);
    }
    read += chunk.length;
    reading.onProgress(fraction(file, read));
  }
  if (inText || depth > 0) throw fault("the file ends within a record or array");
  if (kept.length > 0) reading.rejects.add(startLine, "is no JSON object");
  reading.rejects.flush();
}

function takeRecord(text: string, line: number, { rejects, onRecord }: JsonReading): void {
  let record: unknown;
  try {
    record = LONG_NUMBER.test(text) ? JSON.parse(text, keepLongNumbers) : JSON.parse(text);
  } catch (error) {
    // V8 quotes the text around the fault.
    const message = (error as Error).message
      .replace(/,? ?"[\s\S]*/, "")
      .replace(/\.\.\.[\s\S]*/, "");
    rejects.add(line, `is no valid JSON: ${message.slice(0, 100)}`);
    return;
  }
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    rejects.add(line, "is no JSON object");
    return;
  }
  if (!isDeep(record, limits.jsonDepth)) onRecord(record);
  else rejects.add(line, `is nested over ${limits.jsonDepth} deep`);
}

const LONG_NUMBER = /\d{16}/;

function keepLongNumbers(_: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== "number" || source === undefined || !LONG_NUMBER.test(source)) return value;
  return JSON.rawJSON(source);
}

function isDeep(value: unknown, most: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (most === 0) return true;
  for (const part of Object.values(value)) if (isDeep(part, most - 1)) return true;
  return false;
}

function fraction({ compression, size }: DetectedFile, read: number): number {
  return compression === "none" ? read / size : Math.min(0.9, read / size / 10);
}
