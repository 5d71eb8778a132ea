import { extname } from "node:path";
import { defineHandler, type Handler, HandlerCrash, HandlerError, jobTypes } from "@jobyard/core";
import type { HandlerDeps } from "../handler-deps.ts";
import type { TenantFiles } from "../storage.ts";
import { DEFAULT_MEMORY_MB } from "../tabular/engine.ts";
import { ThreadDied, Threads } from "../threads.ts";
import { datasetAsJson, type DatasetRun } from "./dataset.ts";
import { reportOnRecords, REPORTS } from "./from-records.ts";
import type { ReportData } from "./kinds.ts";
import type { Rendered, RenderTask } from "./render.thread.ts";

const formats = {
  pdf: { extension: "pdf", mostRows: 50_000 },
  excel: {
    extension: "xlsx",
    mostRows: 200_000,
  },
  csv: { extension: "csv", mostRows: 200_000 },
} as const;

/** A thread's heap: 200,000 rows of a workbook need most of it. */
const THREAD_MEMORY_MB = 1536;
const threads = new Threads({ size: 2, memoryMb: THREAD_MEMORY_MB });
const threadFile = new URL(`./render.thread${extname(import.meta.url)}`, import.meta.url);

type Written = Exclude<Rendered, { readonly error: string } | { readonly tooManyRows: number }>;

/** Makes reports as PDF, XLSX or CSV, and queues an e-mail with the file where recipients are named. */
export function reportGenerationHandler(deps: HandlerDeps): Handler {
  const { fileMemoryMb = DEFAULT_MEMORY_MB } = deps;
  return defineHandler(jobTypes["report-generation"], async (context) => {
    const { data, job, signal } = context;
    const files = deps.files.of(job.tenant);
    const { extension, mostRows } = formats[data.format];
    const reportId = `report-${job.id}`;
    const name = `${data.reportType}.${extension}`;
    context.progress({ progress: 5, message: "Gathering" });
    const [file, written] = await files.withScratch(async (scratch) => {
      const run = { signal, scratch, memoryMb: fileMemoryMb };
      const source = await sourceOf(data, files, mostRows, reportId, run);
      context.progress({ progress: 30, message: "Writing" });
      let answer: Written | undefined;
      const file = await files.writeResult(job.id, name, async (path) => {
        answer = await render({ source, format: data.format, path, mostRows }, signal);
      });
      if (answer === undefined) throw new TypeError("The report was not written");
      return [file, answer] as const;
    });
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
              subject: written.title,
              message: {
                en: `The report “${written.title}” is attached.`,
                es: `Se adjunta el informe «${written.title}».`,
              }[written.language],
              language: written.language,
              templateData: Object.fromEntries(
                written.facts.map(({ label, value }) => [label, value]),
              ),
              attachments: [
                {
                  filename: name,
                  resultOf: { jobId: job.id, name },
                },
              ],
            },
          });
    if (recipients.length > 0 && emailJobId === undefined) {
      context.log("The report was sent to nobody: this process cannot add jobs");
    }
    await files.putRecord(REPORTS, String(job.id), {
      reportType: data.reportType,
      format: data.format,
      rows: written.rows,
      bytes: file.size,
    });
    return {
      reportId,
      file: { ...file },
      rows: written.rows,
      ...(written.pages !== undefined && { pages: written.pages }),
      sentTo: emailJobId === undefined ? [] : recipients,
      ...(emailJobId !== undefined && { emailJobId }),
    };
  });
}

async function sourceOf(
  data: ReportData,
  files: TenantFiles,
  mostRows: number,
  reportId: string,
  run: DatasetRun,
): Promise<RenderTask["source"]> {
  const making = { reportId, now: Date.now() };
  if (data.rows !== undefined) return { rowsFile: null, data, making };
  if (data.datasetId === undefined) return { report: await reportOnRecords(data, files, making) };
  // One more, so that too many are told from all there are.
  const rowsFile = await datasetAsJson(data.datasetId, files, mostRows + 1, run);
  return { rowsFile, data, making };
}

async function render(task: RenderTask, signal: AbortSignal): Promise<Written> {
  let rendered: Rendered;
  try {
    rendered = await threads.run<Rendered>(threadFile, task, signal);
  } catch (error) {
    if (error instanceof ThreadDied) throw new HandlerCrash(error.message, { cause: error });
    throw error;
  }
  if ("error" in rendered) throw new Error(`The report could not be written: ${rendered.error}`);
  if ("tooManyRows" in rendered) {
    throw new HandlerError(
      "TOO_MANY_ROWS",
      `A report in this format holds up to ${task.mostRows} rows; data_export writes datasets of any size`,
      { dataFault: true, stage: "write" },
    );
  }
  return rendered;
}
