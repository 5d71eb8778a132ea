import { join } from "node:path";
import { HandlerError } from "@jobyard/core";
import type { ExportedFile } from "../data-export/export.ts";
import type { TenantFiles } from "../storage.ts";
import { databaseMemoryMb, runInEngine } from "../tabular/engine.ts";

export interface DatasetRun {
  readonly signal: AbortSignal;
  /** Of the process that reads the dataset, in MB. */
  readonly memoryMb: number;
  /** For the job's temporary files. */
  readonly scratch: string;
}

/**
 * Writes a dataset's rows, up to `most`, as a JSON array.
 * @returns where
 * @throws HandlerError `DATASET_NOT_FOUND`, a fault of the data, or as the file engine does
 */
export async function datasetAsJson(
  datasetId: string,
  files: TenantFiles,
  most: number,
  { signal, memoryMb, scratch }: DatasetRun,
): Promise<string> {
  const path = await files.useDataset(datasetId);
  if (path === null) {
    throw new HandlerError("DATASET_NOT_FOUND", `There is no dataset ${datasetId}`, {
      dataFault: true,
      stage: "gather",
    });
  }
  const out = join(scratch, "rows.json");
  await runInEngine<ExportedFile>(
    {
      kind: "export",
      datasetId,
      source: { kind: "dataset", path },
      format: "json",
      filters: { limit: most },
      metadata: false,
      scratch,
      out,
      memoryMb: databaseMemoryMb(memoryMb),
      now: Date.now(),
    },
    { signal, memoryMb },
  );
  return out;
}
