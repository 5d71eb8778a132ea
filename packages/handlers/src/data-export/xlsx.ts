import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { ZipFile } from "yazl";
import { badFile } from "../tabular/failure.ts";
import { isFormula } from "./formula.ts";
import type { ExportColumn, Value } from "./export.ts";

/** Excel's own limits. */
const SHEET_ROWS = 1_048_576;
const CELL_CHARACTERS = 32_767;
/** Digits that a spreadsheet keeps of a number. */
const EXACT_DIGITS = 15;

/** Styles of `styles.xml`, by number: plain, date, moment, text that looks like a formula, header. */
const style = { date: 1, moment: 2, inert: 3, header: 4 } as const;
const CHUNK_CHARACTERS = 256 * 1024;
const COMPRESSION_LEVEL = 3;

/**
 * Writes a workbook while its rows arrive; what one sheet cannot hold goes on in the next. A text that a spreadsheet
 * would run gets the mark that it is text (`quotePrefix`) and stays as it is.
 */
export async function writeXlsx(
  path: string,
  columns: readonly ExportColumn[],
  batches: AsyncIterator<readonly (readonly Value[])[]>,
  metadata: (() => readonly (readonly [string, string])[]) | undefined,
): Promise<void> {
  const zip = new ZipFile();
  const out = createWriteStream(path);
  zip.outputStream.pipe(out);
  // What goes wrong while rows are read ends the output as well.
  const failure = new Promise<never>((_, reject) => {
    zip.on("error", reject);
    out.on("error", reject);
  });
  failure.catch(() => undefined);
  const sheets: string[] = [];
  const rows = new PendingRows(batches);
  try {
    do {
      const name = sheets.length === 0 ? "Data" : `Data ${sheets.length + 1}`;
      sheets.push(name);
      const content = Readable.from(sheetXml(columns, rows));
      const read = finished(content);
      zip.addReadStream(content, `xl/worksheets/sheet${sheets.length}.xml`, {
        compressionLevel: COMPRESSION_LEVEL,
      });
      await Promise.race([read, failure]);
    } while (await rows.peek());
    if (metadata !== undefined) {
      sheets.push("Metadata");
      const lines = metadata().map(
        ([key, value], index) =>
          `<row r="${index + 1}">${textCell(`A${index + 1}`, key)}${textCell(`B${index + 1}`, value)}</row>`,
      );
      addText(
        zip,
        `xl/worksheets/sheet${sheets.length}.xml`,
        `${SHEET_OPEN}${lines.join("")}${SHEET_CLOSE}`,
      );
    }
    for (const [name, text] of Object.entries(fixedParts(sheets))) addText(zip, name, text);
    zip.end();
    await Promise.race([finished(out), failure]);
  } catch (error) {
    out.destroy();
    throw error;
  }
}

function addText(zip: ZipFile, name: string, text: string): void {
  zip.addBuffer(Buffer.from(text), name, { compressionLevel: COMPRESSION_LEVEL });
}

/** Rows one by one out of batches, with a look ahead. */
class PendingRows {
  readonly #batches: AsyncIterator<readonly (readonly Value[])[]>;
  #batch: readonly (readonly Value[])[] = [];
  #at = 0;

  constructor(batches: AsyncIterator<readonly (readonly Value[])[]>) {
    this.#batches = batches;
  }

  async peek(): Promise<boolean> {
    while (this.#at >= this.#batch.length) {
      const next = await this.#batches.next();
      if (next.done === true) return false;
      this.#batch = next.value;
      this.#at = 0;
    }
    return true;
  }

  /** Of the batch at hand; undefined when it is used up. */
  next(): readonly Value[] | undefined {
    const row = this.#batch[this.#at];
    if (row === undefined) return undefined;
    this.#at++;
    return row;
  }
}

const SHEET_OPEN =
  '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' +
  '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>';
const SHEET_CLOSE = "</sheetData></worksheet>";

async function* sheetXml(
  columns: readonly ExportColumn[],
  rows: PendingRows,
): AsyncGenerator<string> {
  const letters = columns.map((_, index) => columnLetters(index));
  const header = columns.map(({ name }, at) => textCell(`${letters[at]}1`, name, style.header));
  let text = `${SHEET_OPEN}<row r="1">${header.join("")}</row>`;
  let count = 1;
  while (count < SHEET_ROWS && (await rows.peek())) {
    for (let row = rows.next(); row !== undefined;) {
      count++;
      text += `<row r="${count}">${cells(row, columns, letters, count)}</row>`;
      if (text.length > CHUNK_CHARACTERS) {
        yield text;
        text = "";
      }
      row = count < SHEET_ROWS ? rows.next() : undefined;
    }
  }
  yield text + SHEET_CLOSE;
}

/** A to Z, AA and so on. */
function columnLetters(index: number): string {
  const last = String.fromCharCode(0x41 + (index % 26));
  return index < 26 ? last : columnLetters(Math.floor(index / 26) - 1) + last;
}

function cells(
  row: readonly Value[],
  columns: readonly ExportColumn[],
  letters: readonly string[],
  number: number,
): string {
  let text = "";
  for (let index = 0; index < columns.length; index++) {
    const value = row[index] ?? null;
    const column = columns[index];
    if (value === null || column === undefined) continue;
    if (value.length > CELL_CHARACTERS) {
      const message = `row ${number} of the sheet, ${column.name}: ${value.length} characters, a cell holds ${CELL_CHARACTERS}: choose csv or json`;
      throw badFile(message, "CELL_TOO_LONG");
    }
    text += cell(`${letters[index]}${number}`, value, column);
  }
  return text;
}

function cell(place: string, value: string, { kind }: ExportColumn): string {
  switch (kind) {
    case "number":
      return isExact(value) ? `<c r="${place}"><v>${value}</v></c>` : textCell(place, value);
    case "boolean":
      return `<c r="${place}" t="b"><v>${value === "true" ? 1 : 0}</v></c>`;
    case "date":
    case "moment": {
      const serial = serialOf(value);
      if (serial === undefined) return textCell(place, value);
      return `<c r="${place}" s="${kind === "date" ? style.date : style.moment}"><v>${serial}</v></c>`;
    }
    default:
      return textCell(place, value, isFormula(value) ? style.inert : undefined);
  }
}

function isExact(value: string): boolean {
  if (!/^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/.test(value)) return false;
  return (
    value.includes(".") || value.includes("e") || value.replace("-", "").length <= EXACT_DIGITS
  );
}

const DAY_MS = 86_400_000;
const EPOCH = Date.UTC(1899, 11, 30);
/** 1 March 1900: before it, Excel's days are one off. */
const FIRST_SERIAL = 61;
const LAST_SERIAL = 2_958_466;

function serialOf(iso: string): number | undefined {
  const serial = (Date.parse(iso) - EPOCH) / DAY_MS;
  return serial >= FIRST_SERIAL && serial < LAST_SERIAL ? serial : undefined;
}

function textCell(place: string, text: string, styleNumber?: number): string {
  const attribute = styleNumber === undefined ? "" : ` s="${styleNumber}"`;
  return `<c r="${place}" t="inlineStr"${attribute}><is><t xml:space="preserve">${escaped(text)}</t></is></c>`;
}

// oxlint-disable-next-line no-control-regex -- exactly those that XML cannot hold
const SPECIAL = /[&<>\u0000-\u0008\u000B\u000C\u000D\u000E-\u001F\uFFFE\uFFFF]|_x[0-9A-Fa-f]{4}_/g;

/** Characters that XML cannot hold are written as Excel does: `_x0007_`. */
function escaped(text: string): string {
  return text.toWellFormed().replaceAll(SPECIAL, (found) => {
    if (found === "&") return "&amp;";
    if (found === "<") return "&lt;";
    if (found === ">") return "&gt;";
    if (found.length > 1) return `_x005F${found}`;
    return `_x${found.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}_`;
  });
}

function fixedParts(sheets: readonly string[]): Record<string, string> {
  const head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
  const main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
  const office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
  const packaged = "http://schemas.openxmlformats.org/package/2006";
  const type = "application/vnd.openxmlformats-officedocument.spreadsheetml";
  const relation = (id: string, kind: string, target: string) =>
    `<Relationship Id="${id}" Type="${office}/${kind}" Target="${target}"/>`;
  const numbers = sheets.map((_, index) => index + 1);
  return {
    "[Content_Types].xml":
      `${head}<Types xmlns="${packaged}/content-types">` +
      '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>' +
      '<Default Extension="xml" ContentType="application/xml"/>' +
      `<Override PartName="/xl/workbook.xml" ContentType="${type}.sheet.main+xml"/>` +
      `<Override PartName="/xl/styles.xml" ContentType="${type}.styles+xml"/>` +
      numbers
        .map(
          (n) =>
            `<Override PartName="/xl/worksheets/sheet${n}.xml" ContentType="${type}.worksheet+xml"/>`,
        )
        .join("") +
      "</Types>",
    "_rels/.rels": `${head}<Relationships xmlns="${packaged}/relationships">${relation("rId1", "officeDocument", "xl/workbook.xml")}</Relationships>`,
    "xl/workbook.xml":
      `${head}<workbook xmlns="${main}" xmlns:r="${office}"><sheets>` +
      sheets
        .map(
          (name, index) => `<sheet name="${name}" sheetId="${index + 1}" r:id="rId${index + 1}"/>`,
        )
        .join("") +
      "</sheets></workbook>",
    "xl/_rels/workbook.xml.rels":
      `${head}<Relationships xmlns="${packaged}/relationships">` +
      numbers.map((n) => relation(`rId${n}`, "worksheet", `worksheets/sheet${n}.xml`)).join("") +
      `${relation(`rId${sheets.length + 1}`, "styles", "styles.xml")}</Relationships>`,
    "xl/styles.xml":
      `${head}<styleSheet xmlns="${main}">` +
      '<numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>' +
      '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>' +
      '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>' +
      '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>' +
      '<fills count="2"><fill><patternFill patternType="none"/></fill>' +
      '<fill><patternFill patternType="gray125"/></fill></fills>' +
      '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>' +
      '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>' +
      '<cellXfs count="5"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>' +
      '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>' +
      '<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>' +
      '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1" applyNumberFormat="1"/>' +
      '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>' +
      "</styleSheet>",
  };
}
