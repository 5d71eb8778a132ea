import { join } from "node:path";
import sax from "sax";
import { Archive } from "./archive.ts";
import { badFile } from "./failure.ts";
import type { SourceFile } from "./content.ts";
import { limits } from "./limits.ts";
import { type Cell, kinds } from "./record-writer.ts";
import { SharedStrings } from "./shared-strings.ts";

export interface XlsxReading {
  readonly scratch: string;
  readonly onProgress: (fraction: number) => void;
  /** The row is reused for the next one; number counted from 1. */
  readonly onRow: (row: readonly (Cell | undefined)[], number: number) => void;
  /** Default: the first sheet only. */
  readonly allSheets?: boolean;
  readonly onSheet?: (name: string) => void;
}

/** Of a part that is read as a whole: workbook, relations, styles. */
const SMALL_PART_BYTES = 16_000_000;
const SHARED_STRINGS = 4_000_000;
/** Excel's own limit of a cell's text is 32,767. */
const CELL_CHARACTERS = 1_000_000;

/**
 * The rows of a workbook's first sheet (or of all), blank ones left out: a formula counts as its stored value, dates
 * become ISO texts. Memory does not grow with the sheet: shared texts lie in a file.
 */
export async function xlsxRows(
  file: SourceFile & { readonly size: number },
  reading: XlsxReading,
): Promise<void> {
  const archive = await Archive.open(file.path, file.name, file.size);
  const strings = new SharedStrings(join(reading.scratch, "strings"));
  try {
    const {
      sheets,
      strings: stringsPart,
      stylesPart,
      epoch1904,
    } = await workbookOf(archive, file.name);
    const dateStyles =
      stylesPart === undefined || !archive.has(stylesPart)
        ? []
        : await dateStylesOf(archive, stylesPart, file.name);
    if (stringsPart !== undefined && archive.has(stringsPart)) {
      await readStrings(archive, stringsPart, strings, file.name);
    }
    const wanted = reading.allSheets === true ? sheets : sheets.slice(0, 1);
    for (const { name, part } of wanted) {
      reading.onSheet?.(name);
      const context = { strings, dateStyles, epoch1904, sheet: name, file: file.name };
      await readSheet(archive, part, context, reading);
    }
  } finally {
    strings.close();
    archive.close();
  }
}

interface Workbook {
  readonly sheets: readonly { readonly name: string; readonly part: string }[];
  readonly strings: string | undefined;
  readonly stylesPart: string | undefined;
  readonly epoch1904: boolean;
}

async function workbookOf(archive: Archive, name: string): Promise<Workbook> {
  const workbookPart = "xl/workbook.xml";
  if (!archive.has(workbookPart)) {
    throw badFile(`${name}: is a zip archive, but no .xlsx workbook`);
  }
  const targets = new Map<string, { type: string; part: string }>();
  await parseXml(archive, "xl/_rels/workbook.xml.rels", name, SMALL_PART_BYTES, {
    open: (tag, attributes) => {
      if (tag !== "Relationship") return;
      const { Id, Type = "", Target = "" } = attributes;
      const part = Target.startsWith("/") ? Target.slice(1) : `xl/${Target}`;
      if (Id !== undefined) targets.set(Id, { type: Type.split("/").at(-1) ?? "", part });
    },
  });
  const sheets: { name: string; part: string }[] = [];
  let epoch1904 = false;
  await parseXml(archive, workbookPart, name, SMALL_PART_BYTES, {
    open: (tag, attributes) => {
      if (tag === "workbookPr") epoch1904 = /^(1|true)$/.test(attributes["date1904"] ?? "");
      if (tag !== "sheet") return;
      const target = targets.get(attributes["r:id"] ?? attributes["id"] ?? "");
      if (target?.type === "worksheet") {
        sheets.push({ name: attributes["name"] ?? "", part: target.part });
      }
    },
  });
  if (sheets.length === 0) throw badFile(`${name}: has no sheet`);
  const partOf = (type: string) =>
    [...targets.values()].find((target) => target.type === type)?.part;
  return { sheets, strings: partOf("sharedStrings"), stylesPart: partOf("styles"), epoch1904 };
}

/** By number of a cell's style: whether it shows dates. */
async function dateStylesOf(archive: Archive, part: string, name: string): Promise<boolean[]> {
  const custom = new Map<number, boolean>();
  const styles: boolean[] = [];
  let inCells = false;
  await parseXml(archive, part, name, SMALL_PART_BYTES, {
    open: (tag, attributes) => {
      if (tag === "numFmt") {
        custom.set(Number(attributes["numFmtId"]), isDateFormat(attributes["formatCode"] ?? ""));
      } else if (tag === "cellXfs") inCells = true;
      else if (tag === "xf" && inCells) {
        const format = Number(attributes["numFmtId"] ?? 0);
        const builtIn = (format >= 14 && format <= 22) || (format >= 45 && format <= 47);
        styles.push(custom.get(format) ?? builtIn);
      }
    },
    close: (tag) => {
      if (tag === "cellXfs") inCells = false;
    },
  });
  return styles;
}

/** A number format with a year, month, day, hour, minute or second in it, outside of quotes and brackets. */
function isDateFormat(code: string): boolean {
  const bare = code.replaceAll(/"[^"]*"|\[[^\]]*\]|\\./g, "");
  return /[ymdhs]/i.test(bare) && !/general/i.test(bare);
}

async function readStrings(
  archive: Archive,
  part: string,
  strings: SharedStrings,
  name: string,
): Promise<void> {
  let text: string | undefined;
  let phonetic = false;
  let inText = false;
  await parseXml(archive, part, name, Infinity, {
    open: (tag) => {
      if (tag === "si") text = "";
      else if (tag === "rPh") phonetic = true;
      else if (tag === "t") inText = !phonetic;
    },
    text: (more) => {
      if (!inText || text === undefined) return;
      text += more;
      if (text.length > CELL_CHARACTERS)
        throw badFile(`${name}: a text of more than ${CELL_CHARACTERS}`);
    },
    close: (tag) => {
      if (tag === "t") inText = false;
      else if (tag === "rPh") phonetic = false;
      else if (tag === "si") {
        if (strings.count >= SHARED_STRINGS) {
          throw badFile(`${name}: has more than ${SHARED_STRINGS} different texts`);
        }
        strings.add(text ?? "");
        text = undefined;
      }
    },
  });
}

interface SheetContext {
  readonly strings: SharedStrings;
  readonly dateStyles: readonly boolean[];
  readonly epoch1904: boolean;
  readonly sheet: string;
  readonly file: string;
}

async function readSheet(
  archive: Archive,
  part: string,
  context: SheetContext,
  { onRow, onProgress }: XlsxReading,
): Promise<void> {
  let row: (Cell | undefined)[] = [];
  let number = 0;
  let filled = false;
  let column = 0;
  let type = "";
  let style = 0;
  let text = "";
  let reading = false;
  await parseXml(
    archive,
    part,
    context.file,
    Infinity,
    {
      open: (tag, attributes) => {
        if (tag === "row") {
          number = Number(attributes["r"] ?? number + 1);
          row = [];
          filled = false;
          column = 0;
        } else if (tag === "c") {
          const reference = attributes["r"];
          if (reference !== undefined) column = columnOf(reference);
          if (column >= limits.columns || column < 0) {
            const message = `${context.file}: ${context.sheet}, row ${number}: more than ${limits.columns} columns`;
            throw badFile(message, "TOO_MANY_COLUMNS");
          }
          type = attributes["t"] ?? "n";
          style = Number(attributes["s"] ?? 0);
          text = "";
        } else if (tag === "v" || tag === "t") reading = true;
        else if (tag === "rPh") reading = false;
      },
      text: (more) => {
        if (!reading) return;
        text += more;
        if (text.length > CELL_CHARACTERS) {
          throw badFile(`${context.file}: ${context.sheet}, row ${number}: a cell is too long`);
        }
      },
      close: (tag) => {
        if (tag === "v" || tag === "t") reading = false;
        else if (tag === "c") {
          const cell = cellOf(text, type, style, context);
          if (cell !== undefined) {
            while (row.length < column) row.push(undefined);
            row[column] = cell;
            filled = true;
          }
          column++;
        } else if (tag === "row" && filled) onRow(row, number);
      },
    },
    onProgress,
  );
}

function cellOf(
  text: string,
  type: string,
  style: number,
  { strings, dateStyles, epoch1904 }: SheetContext,
): Cell | undefined {
  if (text === "" && type !== "s") return undefined;
  switch (type) {
    case "s": {
      const shared = strings.get(Number(text));
      return shared === undefined || shared === "" ? undefined : { text: shared, kind: kinds.text };
    }
    case "b":
      return { text: text === "1" ? "true" : "false", kind: kinds.boolean };
    case "d":
      return { text, kind: kinds.date };
    case "e":
      return undefined;
    case "n": {
      const value = Number(text);
      if (!Number.isFinite(value)) return { text, kind: kinds.text };
      if (dateStyles[style] === true) {
        const date = dateText(value, epoch1904);
        if (date !== undefined) return { text: date, kind: kinds.date };
      }
      return { text: String(value), kind: kinds.number };
    }
    default:
      return { text, kind: kinds.text };
  }
}

const DAY_MS = 86_400_000;
const EPOCH_1900 = Date.UTC(1899, 11, 30);
const EPOCH_1904 = Date.UTC(1904, 0, 1);

/** A serial number of days as a date, with its time if it has one; a time alone is none. */
function dateText(serial: number, epoch1904: boolean): string | undefined {
  if (serial < 1 || serial > 2_958_466) return undefined;
  // Excel takes 1900 for a leap year.
  const days = !epoch1904 && serial < 60 ? serial + 1 : serial;
  const ms = Math.round((epoch1904 ? EPOCH_1904 : EPOCH_1900) + days * DAY_MS);
  const text = new Date(ms).toISOString();
  return ms % DAY_MS === 0 ? text.slice(0, 10) : text.slice(0, 19).replace("T", " ");
}

/** From 0: AB12 is 27. */
function columnOf(reference: string): number {
  let column = 0;
  for (let at = 0; at < reference.length && at < 4; at++) {
    const unit = reference.charCodeAt(at) & ~0x20;
    if (unit < 0x41 || unit > 0x5a) break;
    column = column * 26 + unit - 0x40;
  }
  return column - 1;
}

interface XmlReader {
  readonly open?: (tag: string, attributes: Readonly<Record<string, string>>) => void;
  readonly text?: (text: string) => void;
  readonly close?: (tag: string) => void;
}

/** Prefixes of names are dropped; entities other than XML's own five are errors, so nothing expands. */
async function parseXml(
  archive: Archive,
  part: string,
  name: string,
  mostBytes: number,
  reader: XmlReader,
  onProgress?: (fraction: number) => void,
): Promise<void> {
  const size = archive.sizeOf(part);
  if (size > mostBytes) throw badFile(`${name}: its part ${part} is too large: ${size} bytes`);
  const parser = sax.parser(true, { position: false });
  const bare = (tag: string) => tag.slice(tag.indexOf(":") + 1);
  let failure: unknown;
  const onError = (error: Error) => {
    failure ??= error;
  };
  Object.assign(parser, {
    onerror: onError,
    onopentag: ({ name: tag, attributes }: sax.Tag) => reader.open?.(bare(tag), attributes),
    onclosetag: (tag: string) => reader.close?.(bare(tag)),
    ...(reader.text && { ontext: reader.text, oncdata: reader.text }),
  });
  const decoder = new TextDecoder("utf-8");
  let read = 0;
  for await (const chunk of archive.read(part)) {
    parser.write(decoder.decode(chunk, { stream: true }));
    if (failure !== undefined) throw badXml(name, part, failure);
    read += chunk.length;
    onProgress?.(read / size);
  }
  parser.close();
  if (failure !== undefined) throw badXml(name, part, failure);
}

function badXml(name: string, part: string, failure: unknown): Error {
  const why = failure instanceof Error ? failure.message.split("\n")[0] : String(failure);
  return badFile(`${name}: its part ${part} is no valid XML: ${why}`);
}
