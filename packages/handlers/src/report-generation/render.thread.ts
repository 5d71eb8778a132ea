import { writeCsv } from "./csv.ts";
import { writePdf } from "./pdf.ts";
import type { Report } from "./report.ts";
import { writeXlsx } from "./xlsx.ts";

export interface RenderTask {
  readonly report: Report;
  readonly format: "pdf" | "excel" | "csv";
  readonly path: string;
}

/** `pages` of a PDF. */
export type Rendered = { readonly pages?: number } | { readonly error: string };

/** Runs on a worker thread. */
export default async function render({ report, format, path }: RenderTask): Promise<Rendered> {
  try {
    switch (format) {
      case "pdf":
        return await writePdf(report, path);
      case "excel":
        await writeXlsx(report, path);
        return {};
      case "csv":
        await writeCsv(report, path);
        return {};
    }
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
