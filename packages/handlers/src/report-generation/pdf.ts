import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import PdfKit from "pdfkit";
import { drawChart, type Surface } from "./chart.ts";
import { fontFiles } from "./fonts.ts";
import { type Cell, cellText, type Column, isNumeric, type Report, type Table } from "./report.ts";

/** Points. */
const MARGIN = 40;
const FOOTER = 26;
const CELL_X = 5;
const CELL_Y = 3.5;
const SIZE = 8;
const LINE = 11;
const MOST_LINES = 4;
const NARROWEST = 34;
const WIDEST = 230;
const CHART_HEIGHT = 200;
/** Two beside each other. */
const SMALL_CHART_HEIGHT = 170;
const CHART_GAP = 24;
/** A cell shows no more of its text; shaping more would only take time. */
const MOST_CHARACTERS = 1000;
/** Measured for the columns' widths. */
const SAMPLE_ROWS = 400;

const INK = "#1c2733";
const FAINT = "#5a6472";
const BAND = "#f4f6f8";
const RULE = "#c9d0d8";
const HEAD = "#1f3a5f";

const words = {
  en: {
    page: (n: number, of: number) => `Page ${n} of ${of}`,
    empty: "There is nothing to report for this period.",
    part: (n: number, of: number) => `columns, part ${n} of ${of}`,
    terms: "Terms",
  },
  es: {
    page: (n: number, of: number) => `Página ${n} de ${of}`,
    empty: "No hay nada que informar en este periodo.",
    part: (n: number, of: number) => `columnas, parte ${n} de ${of}`,
    terms: "Condiciones",
  },
};

type Doc = PDFKit.PDFDocument;

/** Writes a report as a PDF on Letter paper; tells its pages. */
export async function writePdf(report: Report, path: string): Promise<{ pages: number }> {
  const doc = new PdfKit({
    size: "LETTER",
    layout: report.tables.some((table) => isWide(table)) ? "landscape" : "portrait",
    margins: { top: MARGIN, left: MARGIN, right: MARGIN, bottom: 0 },
    font: fontFiles.regular,
    lang: report.language,
    displayTitle: true,
    info: {
      Title: report.title,
      Creator: "Jobyard",
      CreationDate: new Date(report.createdAt),
    },
  });
  const written = pipeline(doc, createWriteStream(path, { mode: 0o600 }));
  // Once to count the pages, then to draw them, each leaving memory when it is full.
  const widths = new Map<string, number>();
  const pages = layOut(new Page(doc, report, widths, null));
  layOut(new Page(doc, report, widths, pages));
  doc.end();
  await written;
  return { pages };
}

function layOut(page: Page): number {
  page.heading();
  page.charts();
  for (const table of page.report.tables) page.table(table);
  page.terms();
  return page.end();
}

/** By the header alone: measuring needs the document, whose layout this decides. */
function isWide({ columns }: Table): boolean {
  return columns.length > 7;
}

/** Draws from the top of a page to its bottom, and goes on to the next. */
class Page {
  readonly report: Report;
  readonly #doc: Doc;
  readonly #surface: Surface;
  /** Of single characters, by font, in parts of the size. */
  readonly #widths: Map<string, number>;
  /** null: nothing is drawn, the pages are counted. */
  readonly #pages: number | null;
  readonly #width: number;
  readonly #bottom: number;
  #y = MARGIN;
  #number = 1;
  #font = "";
  #color = "";

  constructor(doc: Doc, report: Report, widths: Map<string, number>, pages: number | null) {
    this.#doc = doc;
    this.report = report;
    this.#widths = widths;
    this.#pages = pages;
    doc.registerFont("regular", fontFiles.regular);
    doc.registerFont("bold", fontFiles.bold);
    this.#width = doc.page.width - 2 * MARGIN;
    this.#bottom = doc.page.height - MARGIN - FOOTER;
    this.#surface = this.#surfaceOf(doc);
  }

  heading(): void {
    const { title, subtitle, facts } = this.report;
    this.#paragraph(title, 18, true, INK);
    if (subtitle !== null) this.#paragraph(subtitle, 11, false, FAINT);
    this.#y += 6;
    if (facts.length === 0) return;
    const half = this.#width / 2;
    const labelWidth = Math.min(
      half * 0.45,
      Math.max(...facts.map(({ label }) => this.#measure(label, 9, false))) + 12,
    );
    for (let i = 0; i < facts.length; i += 2) {
      const pair = facts.slice(i, i + 2).map((fact) => ({
        label: this.#wrapped(fact.label, labelWidth - 8, 9, false),
        value: this.#wrapped(fact.value, half - labelWidth - 12, 9, false),
      }));
      const lines = Math.max(
        ...pair.map(({ label, value }) => Math.max(label.length, value.length)),
      );
      this.#room(lines * 12.5 + 2);
      for (const [side, { label, value }] of pair.entries()) {
        const x = MARGIN + side * half;
        this.#lines(label, x, this.#y, 9, 12.5, FAINT, false);
        this.#lines(value, x + labelWidth, this.#y, 9, 12.5, INK, false);
      }
      this.#y += lines * 12.5 + 2;
    }
    this.#y += 10;
  }

  /** Beside each other where the page is wide enough. */
  charts(): void {
    const { charts } = this.report;
    const abreast = charts.length > 1 && this.#width > 600 ? 2 : 1;
    const height = abreast === 1 ? CHART_HEIGHT : SMALL_CHART_HEIGHT;
    const width = (this.#width - (abreast - 1) * CHART_GAP) / abreast;
    for (const [index, chart] of charts.entries()) {
      const column = index % abreast;
      if (column === 0) this.#room(height + 10);
      const box = { x: MARGIN + column * (width + CHART_GAP), y: this.#y, width, height };
      drawChart(chart, box, this.#surface);
      if (column === abreast - 1 || index === charts.length - 1) this.#y += height + 18;
    }
  }

  table(table: Table): void {
    const parts = this.#parts(table);
    for (const [index, part] of parts.entries()) {
      const suffix =
        parts.length === 1 ? "" : ` (${words[this.report.language].part(index + 1, parts.length)})`;
      this.#part(table, part, `${table.title ?? ""}${suffix}`.trim());
    }
  }

  /** A table with more columns than fit goes on beside itself, its first column repeated. */
  #parts(table: Table): (readonly { index: number; width: number }[])[] {
    const widths = table.columns.map((column, index) => this.#columnWidth(table, column, index));
    const parts: { index: number; width: number }[][] = [];
    let part: { index: number; width: number }[] = [];
    const least = (width: number) => Math.min(width, 110);
    let used = 0;
    for (const [index, width] of widths.entries()) {
      if (part.length > 1 && used + least(width) > this.#width) {
        parts.push(part);
        part = [{ index: 0, width: widths[0] ?? NARROWEST }];
        used = least(widths[0] ?? NARROWEST);
      }
      part.push({ index, width });
      used += least(width);
    }
    if (part.length > 0) parts.push(part);
    return parts.map((columns) => this.#fitted(columns));
  }

  /** Wide columns give way until all fit; with room to spare, all grow alike. */
  #fitted(columns: readonly { index: number; width: number }[]) {
    const total = columns.reduce((sum, { width }) => sum + width, 0);
    if (total <= this.#width) {
      const grow = Math.min(1.5, this.#width / total);
      const scale = columns.length > 2 ? this.#width / total : grow;
      return columns.map(({ index, width }) => ({ index, width: width * scale }));
    }
    // The width that none may exceed: found by halving.
    let [low, high] = [0, WIDEST];
    for (let i = 0; i < 30; i++) {
      const cap = (low + high) / 2;
      const sum = columns.reduce((all, { width }) => all + Math.min(width, cap), 0);
      if (sum > this.#width) high = cap;
      else low = cap;
    }
    return columns.map(({ index, width }) => ({ index, width: Math.min(width, low) }));
  }

  #columnWidth(table: Table, { label, type }: Column, index: number): number {
    const words = label.split(" ").map((word) => this.#measure(word, SIZE, true));
    const whole = this.#measure(label, SIZE, true);
    let width = Math.max(...words, Math.min(whole, 60));
    const some = table.rows.slice(0, SAMPLE_ROWS);
    for (const row of table.totals === null ? some : [...some, table.totals]) {
      const text = this.#text(row[index] ?? null, type, table);
      width = Math.max(width, Math.min(WIDEST, this.#measure(text, SIZE, false)));
    }
    return Math.max(NARROWEST, width + 2 * CELL_X + 1);
  }

  #part(table: Table, columns: readonly { index: number; width: number }[], title: string): void {
    const { language } = this.report;
    const lineHeight = LINE + 2 * CELL_Y;
    this.#room((title === "" ? 0 : 22) + 3 * lineHeight);
    if (title !== "") {
      this.#paragraph(title, 12, true, INK);
      this.#y += 4;
    }
    if (table.rows.length === 0) {
      this.#paragraph(words[language].empty, 10, false, FAINT);
      return;
    }
    this.#header(table, columns);
    for (const [index, row] of table.rows.entries()) {
      this.#row(table, columns, row, index % 2 === 1, false);
    }
    if (table.totals !== null) this.#row(table, columns, table.totals, false, true);
    this.#y += 18;
  }

  #header(table: Table, columns: readonly { index: number; width: number }[]): void {
    const cells = columns.map(({ index, width }) => ({
      width,
      right: isNumeric(table.columns[index]?.type ?? "text"),
      lines: this.#wrapped(table.columns[index]?.label ?? "", width - 2 * CELL_X, SIZE, true),
    }));
    const height = Math.max(...cells.map(({ lines }) => lines.length)) * LINE + 2 * CELL_Y;
    const total = columns.reduce((sum, { width }) => sum + width, 0);
    this.#surface.fill(MARGIN, this.#y, total, height, HEAD);
    this.#cells(cells, "#ffffff", true);
    this.#y += height;
  }

  #row(
    table: Table,
    columns: readonly { index: number; width: number }[],
    row: readonly Cell[],
    banded: boolean,
    bold: boolean,
  ): void {
    const cells = columns.map(({ index, width }) => {
      const type = table.columns[index]?.type ?? "text";
      const text = this.#text(row[index] ?? null, type, table);
      return {
        width,
        right: isNumeric(type),
        lines: this.#wrapped(text, width - 2 * CELL_X, SIZE, bold),
      };
    });
    const height = Math.max(1, ...cells.map(({ lines }) => lines.length)) * LINE + 2 * CELL_Y;
    if (this.#y + height > this.#bottom) {
      this.#next();
      this.#header(table, columns);
    }
    const total = columns.reduce((sum, { width }) => sum + width, 0);
    if (banded) this.#surface.fill(MARGIN, this.#y, total, height, BAND);
    const border = bold ? this.#y : this.#y + height - 0.4;
    this.#surface.fill(MARGIN, border, total, bold ? 0.9 : 0.4, bold ? INK : RULE);
    this.#cells(cells, INK, bold);
    this.#y += height;
  }

  #cells(
    cells: readonly { width: number; right: boolean; lines: readonly string[] }[],
    color: string,
    bold: boolean,
  ): void {
    let x = MARGIN;
    for (const { width, right, lines } of cells) {
      for (const [i, line] of lines.entries()) {
        const indent = right ? width - CELL_X - this.#measure(line, SIZE, bold) : CELL_X;
        this.#write(line, x + indent, this.#y + CELL_Y + i * LINE, SIZE, color, bold);
      }
      x += width;
    }
  }

  terms(): void {
    const { terms, language } = this.report;
    if (terms.length === 0) return;
    this.#room(50);
    this.#paragraph(words[language].terms, 11, true, INK);
    for (const term of terms) this.#paragraph(term, 8.5, false, FAINT);
  }

  /** @returns how many pages there are */
  end(): number {
    this.#footer();
    return this.#number;
  }

  #footer(): void {
    if (this.#pages === null) return;
    const { title, language } = this.report;
    const y = this.#doc.page.height - MARGIN - 6;
    const number = words[language].page(this.#number, this.#pages);
    const [left = ""] = this.#wrapped(title, this.#width - 120, SIZE, false);
    this.#surface.fill(MARGIN, y - 6, this.#width, 0.4, RULE);
    this.#write(left, MARGIN, y, SIZE, FAINT, false);
    const x = MARGIN + this.#width - this.#measure(number, SIZE, false);
    this.#write(number, x, y, SIZE, FAINT, false);
  }

  #text(value: Cell, type: Column["type"], { currency }: Table): string {
    return cellText(value, type, this.report.language, currency).slice(0, MOST_CHARACTERS);
  }

  #paragraph(text: string, size: number, bold: boolean, color: string): void {
    for (const line of this.#wrapped(text, this.#width, size, bold, 200)) {
      this.#room(size * 1.4);
      this.#write(line, MARGIN, this.#y, size, color, bold);
      this.#y += size * 1.4;
    }
    this.#y += 2;
  }

  #lines(
    lines: readonly string[],
    x: number,
    y: number,
    size: number,
    leading: number,
    color: string,
    bold: boolean,
  ): void {
    for (const [i, line] of lines.entries()) {
      this.#write(line, x, y + i * leading, size, color, bold);
    }
  }

  #room(height: number): void {
    if (this.#y + height > this.#bottom) this.#next();
  }

  #next(): void {
    this.#footer();
    if (this.#pages !== null) this.#doc.addPage();
    this.#number++;
    this.#font = "";
    this.#color = "";
    this.#y = MARGIN;
  }

  #write(text: string, x: number, y: number, size: number, color: string, bold: boolean): void {
    if (text === "" || this.#pages === null) return;
    this.#use(bold, size);
    if (this.#color !== color) {
      this.#color = color;
      this.#doc.fillColor(color);
    }
    this.#doc.text(text, x, y, { lineBreak: false });
  }

  #use(bold: boolean, size: number): void {
    const font = bold ? "bold" : "regular";
    const key = `${font} ${size}`;
    if (this.#font === key) return;
    this.#font = key;
    this.#doc.font(font).fontSize(size);
  }

  /** Character by character, without kerning: near enough, and much faster than shaping every text twice. */
  #measure(text: string, size: number, bold: boolean): number {
    const font = bold ? "b" : "r";
    let width = 0;
    for (const character of text) {
      const key = font + character;
      let known = this.#widths.get(key);
      if (known === undefined) {
        this.#use(bold, size);
        known = this.#doc.widthOfString(character) / size;
        this.#widths.set(key, known);
      }
      width += known;
    }
    return width * size;
  }

  /** Lines that fit; a word that does not is broken, and what is over `most` lines ends in an ellipsis. */
  #wrapped(text: string, width: number, size: number, bold: boolean, most = MOST_LINES): string[] {
    const flat = text.replace(/[^\P{Cc}\n]/gu, " ");
    if (!flat.includes("\n") && this.#measure(flat, size, bold) <= width) return [flat];
    const lines: string[] = [];
    for (const paragraph of flat.split("\n")) {
      let line = "";
      for (const word of paragraph.split(/ +/)) {
        const longer = line === "" ? word : `${line} ${word}`;
        if (this.#measure(longer, size, bold) <= width) {
          line = longer;
          continue;
        }
        if (line !== "") lines.push(line);
        line = word;
        while (lines.length <= most && this.#measure(line, size, bold) > width) {
          const fits = this.#fitting(line, width, size, bold);
          lines.push(line.slice(0, fits));
          line = line.slice(fits);
        }
        if (lines.length > most) break;
      }
      lines.push(line);
      if (lines.length > most) break;
    }
    if (lines.length <= most) return lines;
    const kept = lines.slice(0, most);
    let last = kept[most - 1] ?? "";
    while (last !== "" && this.#measure(`${last}…`, size, bold) > width) last = last.slice(0, -1);
    kept[most - 1] = `${last.toWellFormed().replaceAll("\uFFFD", "")}…`;
    return kept;
  }

  /** UTF-16 units of a word's longest beginning that fits, at least one character. */
  #fitting(word: string, width: number, size: number, bold: boolean): number {
    let end = 0;
    for (const character of word) {
      const next = end + character.length;
      if (end > 0 && this.#measure(word.slice(0, next), size, bold) > width) break;
      end = next;
    }
    return end;
  }

  #surfaceOf(doc: Doc): Surface {
    // Shapes bring their colors along: the text's has to be set again after them.
    const drawing = (draw: () => unknown): void => {
      if (this.#pages === null) return;
      this.#color = "";
      draw();
    };
    return {
      fill: (x, y, width, height, color) =>
        drawing(() => doc.rect(x, y, width, height).fill(color)),
      line: ([first, ...others], width, color) =>
        drawing(() => {
          if (first === undefined) return;
          doc.moveTo(...first);
          for (const point of others) doc.lineTo(...point);
          doc.lineWidth(width).lineJoin("round").stroke(color);
        }),
      dot: (x, y, radius, color) => drawing(() => doc.circle(x, y, radius).fill(color)),
      text: (text, x, y, { size, color, bold = false, align }) => {
        const width = this.#measure(text, size, bold);
        const left = align === "left" ? x : align === "right" ? x - width : x - width / 2;
        this.#write(text, left, y - size * 0.68, size, color, bold);
      },
      width: (text, size) => this.#measure(text, size, false),
    };
  }
}
