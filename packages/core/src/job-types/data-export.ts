import { z } from "zod";
import { anyData, inOrder, isoMoment, oneOf, resultFile, uuid } from "./fields.ts";
import { defineJobType } from "./job-type.ts";

const data = z.looseObject({
  ...anyData,
  /** A dataset, or the job whose results are to be exported. */
  datasetId: uuid,
  format: oneOf(["csv", "json", "xlsx"]),
  filters: z
    .looseObject({
      sentiment: oneOf(["positive", "negative", "neutral"]).optional(),
      dateRange: z
        .looseObject({ start: isoMoment, end: isoMoment })
        .check(inOrder("start", "end"))
        .optional(),
      /** Rows. */
      limit: z.number().int().min(1).optional(),
    })
    .optional(),
  includeMetadata: z.boolean().optional(),
});

const result = z.looseObject({
  file: resultFile,
  rowsWritten: z.number().int(),
  metadata: z.looseObject({}).optional(),
});

export const dataExport = defineJobType({
  name: "data_export",
  title: "Data export",
  data,
  result,
  defaults: {
    attempts: 4,
    backoffMs: 2_000,
    timeoutMs: 1_800_000,
    retryableErrors: ["NETWORK_ERROR", "TEMPORARY_FAILURE"],
  },
});
