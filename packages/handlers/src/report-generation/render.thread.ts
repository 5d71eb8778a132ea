import { readFile } from "node:fs/promises";
import { type Making, reportOnRows } from "./build.ts";
import type { ReportData } from "./kinds.ts";
import type { Report } from "./report.ts";
import type { DataRow } from "./tabulate.ts";

export interface RenderTask {
  /** A finished report, or the rows to make it of: a file of a JSON array, or as the job brought them. */
  readonly source:
    | { readonly report: Report }
    | { readonly rowsFile: string | null; readonly data: ReportData; readonly making: Making };
  readonly format: ReportData["format"];
  /** Where the file goes. */
  readonly path: string;
  readonly mostRows: number;
}

export type Rendered =
  | (Pick<Report, "title" | "language" | "facts"> & {
      /** Of all tables. */
      readonly rows: number;
      /** Of a PDF. */
      readonly pages?: number;
    })
  | { readonly tooManyRows: number }
  | { readonly error: string };

/** Runs on a worker thread. */
export default async function render(task: RenderTask): Promise<Rendered> {
  try {
    return await rendered(task);
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

async function rendered({ source, format, path, mostRows }: RenderTask): Promise<Rendered> {
  let report: Report;
  if ("report" in source) {
    report = source.report;
  } else {
    const { data, making, rowsFile } = source;
    const rows =
      rowsFile === null
        ? (data.rows ?? [])
        : (JSON.parse(await readFile(rowsFile, "utf8")) as DataRow[]);
    if (rows.length > mostRows) return { tooManyRows: rows.length };
    report = reportOnRows(data, rows, making);
  }
  const { title, language, facts, tables } = report;
  const rows = tables.reduce((sum, table) => sum + table.rows.length, 0);
  if (rows > mostRows) return { tooManyRows: rows };
  const about = { title, language, facts, rows };
  // What draws and packs takes longer to load than a small report takes to write: only what is needed.
  switch (format) {
    case "pdf": {
      const { writePdf } = await import("./pdf.ts");
      return { ...about, ...(await writePdf(report, path)) };
    }
    case "excel": {
      const { writeXlsx } = await import("./xlsx.ts");
      await writeXlsx(report, path);
      return about;
    }
    case "csv": {
      const { writeCsv } = await import("./csv.ts");
      await writeCsv(report, path);
      return about;
    }
  }
}
