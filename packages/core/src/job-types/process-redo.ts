import { z } from "zod";
import { anyData, pathSafeId } from "./fields.ts";
import { defineJobType } from "./job-type.ts";
import { batchDefaults, extraction, extractionCosts } from "./process-batch.ts";

const imagesByColumn = z.record(z.string(), pathSafeId);

const data = z.looseObject({
  ...anyData,
  batchId: pathSafeId,
  projectId: pathSafeId,
  /** Counted from 0. */
  rowIndex: z.number().int().min(0),
  redoColumnIds: z.array(z.string().min(1).max(256)).min(1).max(1000),
  croppedImageIds: imagesByColumn,
  sourceImageIds: imagesByColumn.optional(),
});

const result = z.looseObject({
  batchId: z.string(),
  rowIndex: z.number().int().min(0),
  /** By column id: only those that were asked for. */
  columns: z.record(
    z.string(),
    // `bbox_2d` is in the image of that id.
    extraction.extend({ redone: z.literal(true), image_id: z.string() }),
  ),
  /** The whole row afterwards, where its batch was processed here. */
  row: z.record(z.string(), extraction).optional(),
  ...extractionCosts,
});

export const processRedo = defineJobType({
  name: "process_redo",
  title: "Row redo",
  data,
  result,
  // Somebody waits for this one row: before ordinary batches.
  defaults: { ...batchDefaults, priority: -5 },
  labels: ({ projectId, batchId }) => ({ project: projectId, batch: batchId }),
});
