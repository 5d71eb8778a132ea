import { z } from "@hono/zod-openapi";
import { MAX_BATCH } from "@jobyard/core";
import {
  count,
  jobId,
  json,
  label,
  longText,
  milliseconds,
  moment,
  name,
  problem,
  state,
} from "./basics.ts";
import { job } from "./jobs.ts";

export const pullBody = z
  .object({
    queues: z
      .array(name)
      .min(1)
      .max(100)
      .optional()
      .openapi({ description: "Absent: every queue without a job type" }),
    limit: z.number().int().min(1).max(MAX_BATCH).default(1),
    waitMs: z
      .number()
      .int()
      .min(0)
      .max(300_000)
      .default(0)
      .openapi({ description: "Answers as soon as there is a job, at most so late" }),
    worker: name.optional().openapi({
      description: "Who runs the jobs; its heartbeats keep their leases alive",
    }),
  })
  .openapi("Pull");

const claimedJob = job
  .extend({
    lease: z.string().openapi({ description: "The right to end this run" }),
    leaseMs: milliseconds.openapi({
      description: "The job is given to others when nothing is heard of it for so long",
    }),
  })
  .omit({ result: true, resultFile: true })
  .openapi("ClaimedJob");

export const claimedJobs = z.object({ items: z.array(claimedJob) }).openapi("ClaimedJobs");

const run = { id: jobId, lease: label };

function batch<Item extends z.ZodRawShape>(item: Item) {
  return z.object({ items: z.array(z.object(item)).min(1).max(MAX_BATCH) });
}

export const ackBody = batch({
  ...run,
  result: json.optional().openapi({ description: "Any JSON value" }),
}).openapi("Acks");

export const failBody = batch({
  ...run,
  error: longText,
  code: label.optional(),
  final: z.boolean().default(false).openapi({ description: "No further attempt can succeed" }),
}).openapi("Fails");

export const progressBody = batch({
  ...run,
  progress: z.number().min(0).max(100).optional().openapi({ description: "Percent" }),
  message: longText.nullish(),
  stats: z
    .object({
      totalItems: z.number().min(0),
      processedItems: z.number().min(0),
      failedItems: z.number().min(0),
      averageItemMs: z.number().min(0),
      itemsPerSecond: z.number().min(0),
      estimatedEnd: moment.nullable(),
    })
    .optional(),
}).openapi("Reports");

export const logBody = batch({
  ...run,
  lines: z.array(longText).min(1).max(MAX_BATCH),
}).openapi("LogLines");

export const runsBody = batch(run).openapi("Runs");

const runOutcome = z
  .object({
    id: jobId,
    state: state.nullable().openapi({ description: "Of the job now; null where it was refused" }),
    error: problem.nullable(),
  })
  .openapi("RunOutcome");

export const runOutcomes = z
  .object({ outcomes: z.array(runOutcome).openapi({ description: "In the order asked" }) })
  .openapi("RunOutcomes");

export const workerParams = z.object({ worker: name });

export const heartbeatBody = z
  .object({
    queues: z.array(name).max(MAX_BATCH).default([]),
    concurrency: z.number().int().min(1).max(1_000_000).default(1),
    active: count.optional().openapi({ description: "Runs under way; default: as it said before" }),
    jobsProcessed: count
      .optional()
      .openapi({ description: "Runs that have ended since its start; default: as it said before" }),
  })
  .openapi("Heartbeat");

export const heartbeat = z
  .object({ leaseMs: milliseconds.openapi({ description: "Come again well before" }) })
  .openapi("HeartbeatAnswer");

const worker = z
  .object({
    id: z.string(),
    tenant: z.string(),
    queues: z.array(z.string()),
    concurrency: count,
    active: count,
    jobsProcessed: count,
    startedAt: moment,
    lastHeartbeatAt: moment,
    memoryBytes: z.number().nullable(),
    eventLoopLagMs: z.number().nullable(),
  })
  .openapi("Worker");

export const workers = z.object({ items: z.array(worker) }).openapi("Workers");
