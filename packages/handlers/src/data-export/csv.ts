import { neutralised } from "./formula.ts";
import type { ExportColumn, Value } from "./export.ts";

const NEEDS_QUOTES = /[",\r\n]|^\s|\s$/;

/** RFC 4180: CRLF line ends, a header, quotes where needed; UTF-8. A null is an empty field, an empty text is quoted. */
export function csvHeader(columns: readonly ExportColumn[]): string {
  return `${columns.map(({ name }) => quoted(neutralised(name))).join(",")}\r\n`;
}

export function csvRow(row: readonly Value[], columns: readonly ExportColumn[]): string {
  let line = "";
  for (let index = 0; index < columns.length; index++) {
    const value = row[index] ?? null;
    if (index > 0) line += ",";
    if (value === null) continue;
    line += columns[index]?.kind === "text" ? quoted(neutralised(value)) : quoted(value);
  }
  return `${line}\r\n`;
}

function quoted(text: string): string {
  if (text === "") return '""';
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
