import { copyFile } from "node:fs/promises";
import { defineHandler, type Handler, jobTypes } from "@jobyard/core";
import type { HandlerDeps } from "../handler-deps.ts";
import { DEFAULT_MEMORY_MB, databaseMemoryMb, runInEngine } from "../tabular/engine.ts";
import { limits } from "../tabular/limits.ts";
import type { ParsedFile } from "./parse.ts";

/** Rejected rows told in the result itself; more of them are in a file. */
const REJECTS_FILE = "rejected-rows.ndjson";

/**
 * `file_processing`: makes a file of the tenant (CSV, TSV, JSON, NDJSON, XLSX, Parquet; gzip and zstd) a dataset,
 * and tells what its columns hold when asked to analyze.
 */
export function fileProcessingHandler({ files, fileMemoryMb }: HandlerDeps): Handler {
  return defineHandler(
    jobTypes.file_processing,
    async (context) => {
      const { data, job, signal } = context;
      const tenant = files.of(job.tenant);
      const source = { filePath: data.filePath };
      const file = await tenant.local(source, { signal, maxBytes: limits.fileBytes });
      try {
        return await tenant.withScratch(async (scratch) => {
          const memoryMb = fileMemoryMb ?? DEFAULT_MEMORY_MB;
          let parsed: ParsedFile | undefined;
          await tenant.writeDataset(data.datasetId, async (out) => {
            parsed = await runInEngine<ParsedFile>(
              {
                kind: "parse",
                path: file.path,
                name: data.filePath,
                scratch,
                out,
                analyze: data.processingType === "analyze",
                chunkSize: data.chunkSize,
                memoryMb: databaseMemoryMb(memoryMb),
              },
              {
                signal,
                memoryMb,
                onProgress: (percent, message) => context.progress({ progress: percent, message }),
              },
            );
          });
          if (parsed === undefined) throw new TypeError("The engine answered nothing");
          const { rejectsPath, statistics, ...told } = parsed;
          const { rejectedRows, rejected } = told;
          const rejectedFile =
            rejectedRows <= rejected.length
              ? undefined
              : await tenant.writeResult(job.id, REJECTS_FILE, (path) =>
                  copyFile(rejectsPath, path),
                );
          return {
            datasetId: data.datasetId,
            ...told,
            columns: told.columns.map((column) => ({ ...column })),
            rejected: rejected.map((reject) => ({ ...reject })),
            ...(statistics && { statistics: structuredClone(statistics) }),
            ...(rejectedFile && { rejectedFile: { ...rejectedFile } }),
          };
        });
      } finally {
        await file.release();
      }
    },
    { concurrency: 2 },
  );
}
