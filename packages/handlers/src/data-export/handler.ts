import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { defineHandler, type Handler, HandlerError, jobTypes, parseJobId } from "@jobyard/core";
import type { HandlerDeps } from "../handler-deps.ts";
import type { TenantFiles } from "../storage.ts";
import { DEFAULT_MEMORY_MB, databaseMemoryMb, runInEngine } from "../tabular/engine.ts";
import type { ExportedFile, ExportTask } from "./export.ts";

/** `data_export`: a dataset, or a sentiment job's results, as a file. */
export function dataExportHandler(deps: HandlerDeps): Handler {
  const { files, fileMemoryMb = DEFAULT_MEMORY_MB } = deps;
  return defineHandler(
    jobTypes.data_export,
    async (context) => {
      const { data, job, signal } = context;
      const tenant = files.of(job.tenant);
      const { datasetId, format, filters = {}, includeMetadata = false } = data;
      return tenant.withScratch(async (scratch) => {
        const source = await sourceOf(deps, tenant, job.tenant, datasetId, scratch);
        let exported: ExportedFile | undefined;
        const file = await tenant.writeResult(job.id, `export.${format}`, async (out) => {
          exported = await runInEngine<ExportedFile>(
            {
              kind: "export",
              datasetId,
              source,
              format,
              filters,
              metadata: includeMetadata,
              scratch,
              out,
              memoryMb: databaseMemoryMb(fileMemoryMb),
              now: Date.now(),
            },
            {
              signal,
              memoryMb: fileMemoryMb,
              onProgress: (percent, message) => context.progress({ progress: percent, message }),
            },
          );
        });
        if (exported === undefined) throw new TypeError("The engine answered nothing");
        const { rowsWritten, metadata } = exported;
        return { file: { ...file }, rowsWritten, ...(metadata && { metadata: { ...metadata } }) };
      });
    },
    { concurrency: 2 },
  );
}

async function sourceOf(
  { jobResult }: HandlerDeps,
  tenant: TenantFiles,
  tenantName: string,
  datasetId: string,
  scratch: string,
): Promise<ExportTask["source"]> {
  const path = await tenant.useDataset(datasetId);
  if (path !== null) return { kind: "dataset", path };
  const jobId = parseJobId(datasetId);
  const result = jobId === null ? null : await jobResult?.(tenantName, jobId);
  if (result == null) {
    const message = `datasetId: there is no dataset ${datasetId}, nor a finished job's result`;
    throw new HandlerError("DATASET_NOT_FOUND", message, { dataFault: true, stage: "read" });
  }
  const text = join(scratch, "result.json");
  await writeFile(text, result);
  return { kind: "results", path: text };
}
