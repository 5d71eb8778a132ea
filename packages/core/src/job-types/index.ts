import { dataExport } from "./data-export.ts";
import { dataValidation } from "./data-validation.ts";
import { emailNotifications } from "./email-notifications.ts";
import { fileAnalysis } from "./file-analysis.ts";
import { fileProcessing } from "./file-processing.ts";
import type { JobType } from "./job-type.ts";
import { processBatch } from "./process-batch.ts";
import { processRedo } from "./process-redo.ts";
import { quoteCalculation } from "./quote-calculation.ts";
import { reportGeneration } from "./report-generation.ts";
import { reprocessBatch } from "./reprocess-batch.ts";
import { securityScan } from "./security-scan.ts";
import { sentimentAnalysisBatch } from "./sentiment-analysis-batch.ts";

/** All job types by queue name. Every other queue is untyped. */
export const jobTypes = Object.freeze({
  "data-validation": dataValidation,
  "report-generation": reportGeneration,
  "email-notifications": emailNotifications,
  "file-analysis": fileAnalysis,
  "quote-calculation": quoteCalculation,
  sentiment_analysis_batch: sentimentAnalysisBatch,
  file_processing: fileProcessing,
  security_scan: securityScan,
  data_export: dataExport,
  process_batch: processBatch,
  reprocess_batch: reprocessBatch,
  process_redo: processRedo,
} satisfies Record<string, JobType>);

export type JobTypeName = keyof typeof jobTypes;

export function isJobTypeName(queue: string): queue is JobTypeName {
  return Object.hasOwn(jobTypes, queue);
}

/** The job type of a queue; undefined for an untyped queue. */
export function jobTypeOf(queue: string): JobType | undefined {
  return isJobTypeName(queue) ? jobTypes[queue] : undefined;
}

/**
 * The job types whose schema takes these data, the one that knows most of their fields first:
 * unknown fields are no fault, so some data fit several types.
 */
export function jobTypesTaking(data: unknown): readonly JobType[] {
  const fits = Object.values(jobTypes).filter((jobType) => jobType.data.safeParse(data).success);
  const known = ({ data: schema }: (typeof fits)[number]) =>
    Object.keys(schema.shape).filter((field) => Object.hasOwn(data as object, field)).length;
  return fits.toSorted((a, b) => known(b) - known(a));
}
