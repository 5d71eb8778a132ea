import { extname } from "node:path";
import { defineHandler, type Handler, HandlerCrash, HandlerError, jobTypes } from "@jobyard/core";
import type { HandlerDeps } from "../storage.ts";
import { ThreadDied, Threads } from "../threads.ts";
import { buildReport, REPORTS } from "./build.ts";
import { datasetRows } from "./dataset.ts";
import type { Rendered, RenderTask } from "./render.thread.ts";

const formats = {
  pdf: { extension: "pdf", contentType: "application/pdf", mostRows: 50_000 },
  excel: {
    extension: "xlsx",
    contentType: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    mostRows: 200_000,
  },
  csv: { extension: "csv", contentType: "text/csv; charset=utf-8", mostRows: 200_000 },
} as const;

/** A thread's heap: 200,000 rows of a workbook need most of it. */
const THREAD_MEMORY_MB = 1536;
const threads = new Threads({ size: 2, memoryMb: THREAD_MEMORY_MB });
const threadFile = new URL(`./render.thread${extname(import.meta.url)}`, import.meta.url);

/** Makes reports as PDF, XLSX or CSV, and queues an e-mail with the file where recipients are named. */
export function reportGenerationHandler(deps: HandlerDeps): Handler {
  return defineHandler(jobTypes["report-generation"], async (context) => {
    const { data, job, signal } = context;
    const files = deps.files.of(job.tenant);
    const { extension, contentType, mostRows } = formats[data.format];
    const reportId = `report-${job.id}`;
    const rows =
      data.rows ??
      (data.datasetId === undefined ? null : await datasetRows(data.datasetId, files, mostRows));
    if (rows !== null && rows.length > mostRows) {
      throw new HandlerError(
        "TOO_MANY_ROWS",
        `A report as ${data.format} holds up to ${mostRows} rows; data_export writes datasets of any size`,
        { dataFault: true, stage: "gather" },
      );
    }
    context.progress({ progress: 10, message: "Gathering" });
    const report = await buildReport(data, { files, rows, reportId, now: Date.now() });
    context.progress({ progress: 30, message: "Writing" });
    let rendered: Rendered = {};
    const name = `${data.reportType}.${extension}`;
    const file = await files.writeResult(job.id, name, contentType, async (path) => {
      rendered = await render({ report, format: data.format, path }, signal);
    });
    const rowCount = report.tables.reduce((sum, table) => sum + table.rows.length, 0);
    const pages = "pages" in rendered ? rendered.pages : undefined;
    const recipients = [...new Set(data.recipients)];
    const emailJobId =
      recipients.length === 0
        ? undefined
        : await deps.enqueue?.(job.tenant, {
            queue: "email-notifications",
            name: "report",
            uniqueKey: `report-email-${job.id}`,
            data: {
              recipientEmails: recipients,
              emailType: "report",
              subject: report.title,
              message: {
                en: `The report “${report.title}” is attached.`,
                es: `Se adjunta el informe «${report.title}».`,
              }[report.language],
              language: report.language,
              templateData: Object.fromEntries(
                report.facts.map(({ label, value }) => [label, value]),
              ),
              attachments: [{ filename: name, contentType, resultOf: { jobId: job.id, name } }],
            },
          });
    if (recipients.length > 0 && emailJobId === undefined) {
      context.log("The report was sent to nobody: this process cannot add jobs");
    }
    await files.putRecord(REPORTS, String(job.id), {
      reportType: data.reportType,
      format: data.format,
      rows: rowCount,
      bytes: file.size,
    });
    return {
      reportId,
      file: { ...file },
      rows: rowCount,
      ...(pages !== undefined && { pages }),
      sentTo: emailJobId === undefined ? [] : recipients,
      ...(emailJobId !== undefined && { emailJobId }),
    };
  });
}

async function render(task: RenderTask, signal: AbortSignal): Promise<Rendered> {
  let rendered: Rendered;
  try {
    rendered = await threads.run<Rendered>(threadFile, task, signal);
  } catch (error) {
    if (error instanceof ThreadDied) throw new HandlerCrash(error.message, { cause: error });
    throw error;
  }
  if ("error" in rendered) throw new Error(`The report could not be written: ${rendered.error}`);
  return rendered;
}
