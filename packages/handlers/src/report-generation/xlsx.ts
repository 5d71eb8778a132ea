import writeExcelFile, { type CellObject, type Row, type Sheet } from "write-excel-file/node";
import { CHART_DPI, CHART_HEIGHT, CHART_WIDTH, chartImage } from "./chart-image.ts";
import { type Cell, cellText, type Column, isNumeric, type Report, type Table } from "./report.ts";

/** Excel's own. */
const MOST_CHARACTERS = 32_767;
const MOST_SHEET_NAME = 31;
const HEADER = { fontWeight: "bold", backgroundColor: "#1f3a5f", textColor: "#ffffff" } as const;
const WIDEST = 60;
const NARROWEST = 9;
/** Measured for the columns' widths. */
const SAMPLE_ROWS = 500;
const ROWS_BELOW_CHART = 22;

const words = {
  en: { summary: "Summary", data: "Data" },
  es: { summary: "Resumen", data: "Datos" },
};

/** Writes a workbook: a sheet for each table, its header frozen, its cells typed; then a summary with the charts. */
export async function writeXlsx(report: Report, path: string): Promise<void> {
  const { language } = report;
  const used = new Set<string>();
  const sheets: Sheet<Buffer>[] = report.tables.map((table) => ({
    sheet: sheetName(table.title ?? words[language].data, used),
    data: sheetRows(table),
    columns: table.columns.map((column, i) => ({ width: widthOf(column, i, table, report) })),
    stickyRowsCount: 1,
  }));
  sheets.push({ ...summary(report), sheet: sheetName(words[language].summary, used) });
  await writeExcelFile(sheets, { fontFamily: "Calibri", fontSize: 11 }).toFile(path);
}

function summary(report: Report): Omit<Sheet<Buffer>, "sheet"> {
  const data: Row[] = [
    [{ value: report.title, type: String, fontWeight: "bold", fontSize: 16 }],
    [report.subtitle === null ? null : { value: report.subtitle, type: String }],
    [],
    ...report.facts.map(({ label, value }): Row => [
      { value: clean(label), type: String, fontWeight: "bold" },
      { value: clean(value), type: String },
    ]),
    [],
    ...report.terms.map((term): Row => [{ value: clean(term), type: String }]),
  ];
  const images = report.charts.map((chart, i) => ({
    content: chartImage(chart),
    contentType: "image/png",
    width: (CHART_WIDTH * CHART_DPI) / 72,
    height: (CHART_HEIGHT * CHART_DPI) / 72,
    dpi: CHART_DPI,
    anchor: { row: data.length + 2 + i * ROWS_BELOW_CHART, column: 1 },
    title: chart.title,
  }));
  return { data, columns: [{ width: 28 }, { width: 40 }], showGridLines: false, images };
}

function sheetRows({ columns, rows, totals, currency }: Table): Row[] {
  const header = columns.map(({ label, type }): CellObject => ({
    value: clean(label),
    type: String,
    align: isNumeric(type) ? "right" : "left",
    ...HEADER,
  }));
  const formats = columns.map(({ type }) => formatOf(type, currency));
  const body = (row: readonly Cell[], bold: boolean): Row =>
    columns.map((column, i) => cellOf(row[i] ?? null, column, formats[i], bold));
  return [
    header,
    ...rows.map((row) => body(row, false)),
    ...(totals === null ? [] : [body(totals, true)]),
  ];
}

function cellOf(
  value: Cell,
  { type }: Column,
  format: string | undefined,
  bold: boolean,
): CellObject | null {
  if (value === null) return null;
  const style = bold ? ({ fontWeight: "bold", topBorderStyle: "thin" } as const) : {};
  if (typeof value === "string") return { value: clean(value), type: String, ...style };
  if (typeof value === "boolean") return { value, type: Boolean, ...style };
  const formatted = format === undefined ? style : { ...style, format };
  if (type === "date" || type === "time") {
    return { value: new Date(value), type: Date, ...formatted };
  }
  return { value, type: Number, ...formatted };
}

function formatOf(type: Column["type"], currency: string | null): string | undefined {
  switch (type) {
    case "date":
      return "yyyy-mm-dd";
    case "time":
      return "yyyy-mm-dd hh:mm";
    case "integer":
      return "#,##0";
    case "number":
      return "#,##0.####";
    case "percent":
      // Not Excel's own percent format: the value is in percent already.
      return '0.00"%"';
    case "money":
      return currency === null ? "#,##0.00" : `#,##0.00 "${currency}"`;
    case "text":
    case "boolean":
      return undefined;
  }
}

function widthOf(column: Column, index: number, table: Table, report: Report): number {
  let width = column.label.length + 3;
  for (const row of table.rows.slice(0, SAMPLE_ROWS)) {
    const text = cellText(row[index] ?? null, column.type, report.language, table.currency);
    width = Math.max(width, text.length + 2);
  }
  return Math.min(WIDEST, Math.max(NARROWEST, width));
}

/** What XML cannot hold is left out. */
function clean(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\P{Cc}\t\n\r]|[\uFFFE\uFFFF]/gu, "")
    .slice(0, MOST_CHARACTERS);
}

/** Without the characters that Excel forbids in it, and no name twice. */
function sheetName(title: string, used: Set<string>): string {
  const base = clean(title.replace(/[\\/?*[\]:]/g, " ").replace(/^'|'$/g, "")).trim() || "Sheet";
  for (let n = 1; ; n++) {
    const suffix = n === 1 ? "" : ` ${n}`;
    const name = base.slice(0, MOST_SHEET_NAME - suffix.length) + suffix;
    if (used.has(name.toLowerCase())) continue;
    used.add(name.toLowerCase());
    return name;
  }
}
