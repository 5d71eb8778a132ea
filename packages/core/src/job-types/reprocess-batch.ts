import { defineJobType } from "./job-type.ts";
import { batchData, batchDefaults, batchLabels, batchResult } from "./process-batch.ts";

/** A batch that was completed before, extracted again from the start. */
export const reprocessBatch = defineJobType({
  name: "reprocess_batch",
  title: "Repeated batch extraction",
  data: batchData,
  result: batchResult,
  defaults: batchDefaults,
  labels: batchLabels,
});
