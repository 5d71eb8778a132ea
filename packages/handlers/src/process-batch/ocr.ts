import { extname } from "node:path";
import { HandlerCrash, HandlerError } from "@jobyard/core";
import { ThreadDied, Threads } from "../threads.ts";
import type { Image } from "./images.ts";
import type { ExtractedRow } from "./model.ts";
import type { OcrAnswer, OcrTask, OcrWord } from "./ocr.thread.ts";
import type { Column, Project } from "./project.ts";
import { checkValue, type Extraction } from "./values.ts";

/** Told as the model that was used. */
export const OCR_MODEL = "tesseract.js (eng)";

/** One: its engine uses a core by itself and some 150 MB. */
const threads = new Threads({ size: 1, memoryMb: 512 });
const threadFile = new URL(`./ocr.thread${extname(import.meta.url)}`, import.meta.url);

/**
 * Reads the text in an image on this machine and finds the columns' values in it.
 * @throws HandlerError `INVALID_IMAGE`, a fault of the data
 */
export async function readByOcr(
  project: Project,
  columns: readonly Column[],
  image: Image,
  imageIndex: number,
  signal: AbortSignal,
): Promise<ExtractedRow[]> {
  const task: OcrTask = { bytes: image.bytes };
  let answer: OcrAnswer;
  try {
    answer = await threads.run<OcrAnswer>(threadFile, task, signal);
  } catch (error) {
    if (error instanceof ThreadDied) throw new HandlerCrash(error.message, { cause: error });
    throw error;
  }
  if ("error" in answer) {
    throw new HandlerError("INVALID_IMAGE", `${image.name}: cannot be read: ${answer.error}`, {
      dataFault: true,
      stage: "extract",
    });
  }
  return rowsIn(answer.lines, project, columns, imageIndex);
}

type Line = readonly OcrWord[];

/**
 * Finds rows in lines of words: below a line that has most columns' names as its headings, each line is a
 * row; else the image is one row of labelled values (`Name: value`), patterns and allowed values.
 */
export function rowsIn(
  lines: readonly Line[],
  { flags }: Pick<Project, "flags">,
  columns: readonly Column[],
  imageIndex: number,
): ExtractedRow[] {
  const tabular = flags.multiRow ? tableIn(lines, columns) : null;
  const rows = tabular ?? [
    new Map(columns.map((column) => [column.id, wordsOf(lines, columns, column)])),
  ];
  return rows.map((cells) =>
    Object.fromEntries(
      columns.map((column) => [
        column.id,
        extractionOf(cells.get(column.id) ?? [], column, imageIndex, flags),
      ]),
    ),
  );
}

function extractionOf(
  words: Line,
  column: Column,
  imageIndex: number,
  flags: Project["flags"],
): Extraction {
  if (words.length === 0) return { value: null, image_index: imageIndex };
  const text = textOf(words);
  const checked = checkValue(text, column);
  const confidence = words.reduce((sum, word) => sum + word.confidence, 0) / words.length;
  const about = {
    ...(flags.confidence && { confidence: Math.round(confidence * 1000) / 1000 }),
    ...(flags.boundingBoxes && { bbox_2d: around(words) }),
    image_index: imageIndex,
  };
  if (!("reason" in checked)) return { value: checked.value, ...about };
  return { value: null, ...about, rejected: { value: text, reason: checked.reason } };
}

function textOf(words: Line): string {
  return words.map(({ text }) => text).join(" ");
}

function around(words: Line): [number, number, number, number] {
  return [
    Math.min(...words.map(({ box }) => box[0])),
    Math.min(...words.map(({ box }) => box[1])),
    Math.max(...words.map(({ box }) => box[2])),
    Math.max(...words.map(({ box }) => box[3])),
  ];
}

function plain(text: string): string {
  return text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, "");
}

/** Where in a line a column's name (or id) stands: first word and the one after its last; null: nowhere. */
function labelIn(line: Line, { name, id }: Column): { start: number; end: number } | null {
  const wanted = new Set([plain(name), plain(id)].filter((label) => label !== ""));
  for (let start = 0; start < line.length; start++) {
    let joined = "";
    for (let end = start; end < Math.min(line.length, start + 8); end++) {
      joined += plain(line[end]?.text ?? "");
      if (wanted.has(joined)) return { start, end: end + 1 };
    }
  }
  return null;
}

/** The words of a column's value in an image that holds one row. */
function wordsOf(lines: readonly Line[], columns: readonly Column[], column: Column): Line {
  for (const [index, line] of lines.entries()) {
    const label = labelIn(line, column);
    if (label === null) continue;
    const colon = line[label.end - 1]?.text.endsWith(":") === true || line[label.end]?.text === ":";
    if (label.start > 0 && !colon) continue;
    let rest = line.slice(label.end);
    // Until the next column's label.
    const others = columns.filter(({ id }) => id !== column.id);
    const ends = others.flatMap((other) => labelIn(rest, other)?.start ?? []);
    rest = rest.slice(0, Math.min(rest.length, ...ends));
    if (rest[0]?.text === ":") rest = rest.slice(1);
    if (rest.length > 0) return narrowed(rest, column);
    const below = lines[index + 1];
    if (below !== undefined && !columns.some((other) => labelIn(below, other)?.start === 0)) {
      return narrowed(below, column);
    }
  }
  // Without a label, only what the column itself describes can be told from other text.
  for (const line of lines) {
    const found = narrowed(line, column, true);
    if (found.length > 0) return found;
  }
  return columns.length === 1 && column.pattern === null && column.allowedValues.length === 0
    ? lines.flat()
    : [];
}

/** The words that the pattern or an allowed value covers; all of them where there is neither or no match. */
function narrowed(words: Line, { pattern, allowedValues }: Column, strict = false): Line {
  const text = textOf(words);
  const ranges: [number, number][] = [];
  if (pattern !== null) {
    const matcher = pattern.matcher(text);
    if (matcher.find() && matcher.end() > matcher.start())
      ranges.push([matcher.start(), matcher.end()]);
    else {
      // An anchored pattern describes a whole value: a word, here.
      const word = words.find((one) => pattern.matcher(one.text).find());
      if (word !== undefined) return [word];
    }
  }
  for (const allowed of allowedValues) {
    const at = ` ${text.toLowerCase()} `.indexOf(` ${allowed.toLowerCase()} `);
    if (at >= 0) ranges.push([at, at + allowed.length]);
  }
  const [range] = ranges;
  if (range === undefined) return strict ? [] : words;
  let at = 0;
  return words.filter((word) => {
    const [start, end] = [at, at + word.text.length];
    at = end + 1;
    return start < range[1] && end > range[0];
  });
}

/** Rows below a line of headings; null: there is none. */
function tableIn(
  lines: readonly Line[],
  columns: readonly Column[],
): Map<string, OcrWord[]>[] | null {
  if (columns.length < 2) return null;
  for (const [index, line] of lines.entries()) {
    const headings = columns.flatMap((column) => {
      const label = labelIn(line, column);
      if (label === null) return [];
      const [left, , right] = around(line.slice(label.start, label.end));
      return [{ id: column.id, left, right }];
    });
    const labelled = line.some(({ text }) => text.endsWith(":") || text === ":");
    if (labelled || headings.length < Math.max(2, columns.length / 2)) continue;
    return lines.slice(index + 1).flatMap((below) => {
      const cells = new Map<string, OcrWord[]>();
      for (const word of below) {
        const nearest = headings.toSorted((a, b) => gap(word, a) - gap(word, b))[0];
        if (nearest === undefined) continue;
        const cell = cells.get(nearest.id) ?? [];
        cell.push(word);
        cells.set(nearest.id, cell);
      }
      // A title or a total line below the table fills one column.
      return cells.size >= Math.min(2, headings.length) ? [cells] : [];
    });
  }
  return null;
}

/** Pixels between a word and a heading, seen from above; overlapping: the distance of their left edges, less much. */
function gap({ box }: OcrWord, { left, right }: { left: number; right: number }): number {
  const apart = Math.max(left - box[2], box[0] - right);
  return apart > 0 ? apart : -1 / (1 + Math.abs(left - box[0]));
}
