import { z } from "zod";
import { anyData, needsOneOf, pathSafeId } from "./fields.ts";
import { defineJobType, type JobLabels } from "./job-type.ts";

export const batchData = z
  .looseObject({
    ...anyData,
    batchId: pathSafeId.optional(),
    batchIds: z.array(pathSafeId).min(1).max(1000).optional(),
    projectId: pathSafeId,
  })
  .check(needsOneOf("batchId", "batchIds"));

/** One column of one row as it was read from an image. */
export const extraction = z.looseObject({
  value: z.unknown(),
  confidence: z.number().min(0).max(1).optional(),
  /** x1, y1, x2, y2 in pixels. */
  bbox_2d: z.array(z.number()).length(4).optional(),
  image_index: z.number().int().min(0),
  /** What was read but is no value of the column; `value` is null then. */
  rejected: z.looseObject({ value: z.string(), reason: z.string() }).optional(),
});

export const extractionCosts = { modelUsed: z.string(), tokensUsed: z.number().int().min(0) };

export const batchResult = z.looseObject({
  rows: z.array(
    z.looseObject({
      batchId: z.string(),
      /** In its batch. */
      rowIndex: z.number().int().min(0),
      /** By column id. */
      columns: z.record(z.string(), extraction),
    }),
  ),
  images: z.array(
    z.looseObject({
      batchId: z.string(),
      image_index: z.number().int().min(0),
      name: z.string(),
    }),
  ),
  imageCount: z.number().int(),
  /** Values that were found. */
  extractionCount: z.number().int(),
  ...extractionCosts,
});

/** A job of several batches is found by its project alone. */
export function batchLabels(data: z.output<typeof batchData>): JobLabels {
  const { projectId, batchId, batchIds = [] } = data;
  const ids = new Set(batchId === undefined ? batchIds : [batchId, ...batchIds]);
  const [only] = ids;
  return { project: projectId, batch: ids.size === 1 ? only : undefined };
}

export const batchDefaults = { attempts: 3, backoffMs: 5_000, timeoutMs: 600_000 };

export const processBatch = defineJobType({
  name: "process_batch",
  title: "Batch extraction",
  data: batchData,
  result: batchResult,
  defaults: batchDefaults,
  labels: batchLabels,
});
