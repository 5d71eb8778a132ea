import type { Config } from "./config.ts";
import { QueueError } from "./errors.ts";
import type { JobTypeName } from "./job-types/index.ts";

/** Queues that share limits: for each tenant they hold over all of them together. A queue is in one group at most. */
export interface QueueGroup {
  readonly name: string;
  readonly queues: readonly string[];
  /** Runs at once, over all processes; null = no limit. */
  readonly maxRunning: number | null;
  /** Jobs that are neither completed, failed nor cancelled; null = no limit. */
  readonly maxUnfinished: number | null;
}

/** Sentiment, file, scan and export jobs. */
export const dataQueues = [
  "sentiment_analysis_batch",
  "file_processing",
  "security_scan",
  "data_export",
] as const satisfies readonly JobTypeName[];

const batchQueues = [
  "process_batch",
  "reprocess_batch",
  "process_redo",
] as const satisfies readonly JobTypeName[];

/** As configured; every process on one store has to be given the same. */
export function queueGroups({ dataJobs, batches }: Config["limits"]): readonly QueueGroup[] {
  const orNone = (limit: number): number | null => (limit === 0 ? null : limit);
  return [
    {
      name: "data",
      queues: dataQueues,
      maxRunning: orNone(dataJobs.maxRunning),
      maxUnfinished: orNone(dataJobs.maxUnfinished),
    },
    {
      name: "batches",
      queues: batchQueues,
      maxRunning: orNone(batches.maxRunning),
      maxUnfinished: null,
    },
  ];
}

/** Why a job is not taken, or not taken up again. */
export function groupIsFull(maxUnfinished: number, index?: number): QueueError {
  return new QueueError(
    "LIMIT_REACHED",
    `There are ${maxUnfinished} unfinished jobs of this kind already, as many as a tenant can have; try again when some are done`,
    { limit: maxUnfinished, ...(index === undefined ? {} : { index }) },
  );
}
