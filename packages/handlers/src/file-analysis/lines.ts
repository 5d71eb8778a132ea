import { readSync } from "node:fs";
import { ModelFault } from "./mesh.ts";

const CHUNK = 1 << 20;
/** Bytes; a longer line is none that a modelling program writes. */
const MAX_LINE = 65_536;

/**
 * The lines of a text file in turn, without their ends; bytes beyond ASCII come as Latin-1.
 *
 * @throws {ModelFault} on a line without an end
 */
export function* linesOf(fd: number): Generator<string> {
  const chunk = Buffer.allocUnsafe(CHUNK);
  let rest = "";
  let count = 0;
  for (;;) {
    const bytes = readSync(fd, chunk, 0, CHUNK, null);
    if (bytes === 0) break;
    const lines = (rest + chunk.toString("latin1", 0, bytes)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      count++;
      if (line.length > MAX_LINE) throw tooLong(count);
      yield line;
    }
    if (rest.length > MAX_LINE) throw tooLong(count + 1);
  }
  if (rest !== "") yield rest;
}

function tooLong(line: number): ModelFault {
  return new ModelFault(`line ${line}: longer than ${MAX_LINE.toLocaleString("en")} bytes`);
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** @throws {ModelFault} unless it is a finite decimal number */
export function decimal(text: string | undefined, place: string): number {
  const value = text !== undefined && DECIMAL.test(text) ? Number(text) : Number.NaN;
  if (!Number.isFinite(value)) {
    throw new ModelFault(`${place}: ${quoted(text)} is not a finite number`);
  }
  return value;
}

/** What the file says there, short enough for a message. */
export function quoted(text: string | undefined): string {
  if (text === undefined) return "nothing";
  const shown = text.length > 40 ? `${text.slice(0, 40)}...` : text;
  return JSON.stringify(shown);
}
