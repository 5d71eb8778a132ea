import { z } from "zod";
import { anyData, filePath, oneOf, resultFile, uuid } from "./fields.ts";
import { defineJobType } from "./job-type.ts";

const data = z.looseObject({
  ...anyData,
  filePath,
  datasetId: uuid,
  processingType: oneOf(["parse", "analyze"]).default("parse"),
  /** Bytes. */
  chunkSize: z.number().int().min(1).default(268_435_456),
});

const result = z.looseObject({
  datasetId: z.string(),
  columns: z.array(z.looseObject({ name: z.string(), type: z.string() })),
  rowCount: z.number().int(),
  rejectedRows: z.number().int(),
  /** The first of them; all of them are in `rejectedFile` where they are many. */
  rejected: z.array(z.looseObject({ line: z.number().int(), reason: z.string() })).optional(),
  rejectedFile: resultFile.optional(),
  /** By column; `analyze` only. */
  statistics: z.record(z.string(), z.looseObject({})).optional(),
});

export const fileProcessing = defineJobType({
  name: "file_processing",
  title: "File processing",
  data,
  result,
  defaults: {
    attempts: 4,
    backoffMs: 2_000,
    timeoutMs: 1_800_000,
    retryableErrors: ["NETWORK_ERROR", "TEMPORARY_FAILURE"],
  },
});
