import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import type { Cell, Column, Report } from "./report.ts";

const FLUSH_CHARACTERS = 64 * 1024;

/**
 * Writes a report's tables as CSV (RFC 4180: CRLF, quotes where needed, UTF-8): field names as header, figures and
 * ISO dates for programs. Further tables follow after an empty line.
 */
export async function writeCsv(report: Report, path: string): Promise<void> {
  const file = createWriteStream(path, { mode: 0o600 });
  let text = "";
  const flush = async (): Promise<void> => {
    const full = !file.write(text);
    text = "";
    if (full) await once(file, "drain");
  };
  for (const [index, { columns, rows }] of report.tables.entries()) {
    if (index > 0) text += "\r\n";
    text += `${columns.map(({ field }) => quoted(neutral(field))).join(",")}\r\n`;
    for (const row of rows) {
      text += `${columns.map((column, i) => csvCell(row[i] ?? null, column)).join(",")}\r\n`;
      if (text.length > FLUSH_CHARACTERS) await flush();
    }
  }
  file.end(text);
  await finished(file);
}

function csvCell(value: Cell, { type }: Column): string {
  if (value === null) return "";
  if (typeof value === "string") return quoted(neutral(value));
  if (typeof value === "boolean") return String(value);
  if (type === "date" || type === "time") {
    const iso = new Date(value).toISOString();
    return type === "date" ? iso.slice(0, 10) : iso;
  }
  return String(value);
}

const PLAIN_NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/** A text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, CSV injection). */
export function neutral(text: string): string {
  return /^[\s\p{Cc}\p{Cf}]*[=+\-@\t\r＝＋－＠]/u.test(text) && !PLAIN_NUMBER.test(text)
    ? `'${text}`
    : text;
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
