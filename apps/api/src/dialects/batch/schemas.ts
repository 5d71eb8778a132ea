import { z } from "@hono/zod-openapi";
import { jobTypes, MAX_PRIORITY } from "@jobyard/core";

/** What clients send, and what they are answered. The document in openapi/batch.json is made of these. */

export const statuses = ["queued", "processing", "retrying", "completed", "failed"] as const;

export type Status = (typeof statuses)[number];

export const timeRanges = ["24h", "7d", "30d", "all"] as const;

export type TimeRange = (typeof timeRanges)[number];

const count = z.number().int().min(0);
const moment = z.iso.datetime();
const jobId = z.string().openapi({ description: "Decimal", example: "815" });
const milliseconds = z.number().min(0).openapi({ description: "Milliseconds" });

function priority(standard: number) {
  return z
    .number()
    .int()
    .min(0)
    .max(MAX_PRIORITY)
    .default(standard)
    .openapi({ description: "Lower runs sooner; 10 is ordinary, as is 0", default: standard });
}

const someProject = z.string().min(1).max(256);

// ---- requests

/** What else is sent stays with the jobs. */
export const enqueueBody = jobTypes.process_batch.data
  .safeExtend({ priority: priority(10) })
  .openapi("Enqueue");

export const statusParams = z.object({ jobId });

export const retryBody = z
  .object({
    jobId: z.union([z.string(), z.number()]).optional().openapi({
      description: "Id in any spelling",
    }),
    projectId: someProject,
    retryAll: z.boolean().default(false).openapi({
      description: "All failed jobs of the project, whatever the jobId",
    }),
  })
  .check(
    z.superRefine<{ jobId?: unknown; retryAll: boolean }>((body, context) => {
      if (body.retryAll || body.jobId !== undefined) return;
      const message = "Required field missing: jobId, or retryAll";
      context.addIssue({ code: "custom", path: ["jobId"], message });
    }),
  )
  .openapi("Retry");

export const redoBody = jobTypes.process_redo.data
  .safeExtend({ priority: priority(5) })
  .openapi("Redo");

export const cancelBody = z
  .object({
    projectId: someProject,
    batchIds: z
      .array(z.string().min(1).max(256))
      .max(1000)
      .optional()
      .openapi({ description: "Default: all batches of the project" }),
  })
  .openapi("Cancel");

export const statsQuery = z.object({ projectId: someProject.optional() });

export const metricsQuery = statsQuery.extend({ timeRange: z.enum(timeRanges).default("24h") });

// ---- answers

function success<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.object({ success: z.literal(true), ...shape });
}

const message = z.string();

export const enqueued = success({
  jobId: jobId.openapi({ description: "The first one's" }),
  jobIds: z.array(jobId).openapi({ description: "One for each batch" }),
  canceledCount: count.openapi({ description: "Jobs that still waited, and that these replace" }),
  message,
}).openapi("Enqueued");

export type Enqueued = z.output<typeof enqueued>;

export const job = z
  .object({
    id: jobId,
    type: z.string().openapi({ description: "The queue" }),
    status: z.enum(statuses).openapi({ description: "retrying: after a failed attempt" }),
    priority: z.number().int(),
    data: z.unknown(),
    attempts: count.openapi({ description: "Runs begun" }),
    maxAttempts: count,
    createdAt: moment,
    startedAt: moment.nullable(),
    completedAt: moment.nullable().openapi({ description: "When it ended, however it ended" }),
    error: z.string().nullable(),
  })
  .openapi("Job");

export type JobView = z.output<typeof job>;

export const jobStatus = success({ job });

export const done = success({ message }).openapi("Done");

export const redone = success({ jobId, message }).openapi("Redone");

export const cancelled = success({
  canceledCount: count,
  batchesReset: count.openapi({ description: "Batches among them, free to be enqueued anew" }),
  message,
}).openapi("Cancelled");

export type Cancelled = z.output<typeof cancelled>;

export const stats = success({
  queue: z.object({
    queued: count,
    processing: count,
    completed: count,
    failed: count.openapi({ description: "Cancelled ones included" }),
    totalJobs: count.openapi({ description: "Added since ever" }),
  }),
  worker: z.object({
    isRunning: z.boolean().openapi({ description: "Whether a worker takes such jobs" }),
    activeJobs: count,
    requestsPerMinute: count.openapi({ description: "To the model; 0: no limit" }),
    maxConcurrency: count.openapi({ description: "Jobs at once; 0: no limit" }),
  }),
}).openapi("Stats");

export type Stats = z.output<typeof stats>;

export const metrics = success({
  stats: z.object({
    successRate: z.number().min(0).max(1).openapi({
      description: "Fraction completed of those completed or failed; 1 before any has ended",
    }),
    avgDuration: milliseconds,
    minDuration: milliseconds,
    maxDuration: milliseconds,
    totalTokens: count,
    hourlyBreakdown: z
      .array(
        z.object({
          hour: moment,
          completed: count,
          failed: count,
          avgDuration: milliseconds,
          tokens: count,
        }),
      )
      .openapi({ description: "Hours of the last 30 days in which a job ended" }),
  }),
}).openapi("Metrics");

export type Metrics = z.output<typeof metrics>;

export const errorCodes = [
  "AUTHENTICATION_ERROR",
  "AUTHORIZATION_ERROR",
  "VALIDATION_ERROR",
  "JOB_NOT_FOUND",
  "NOT_FOUND",
  "METHOD_NOT_ALLOWED",
  "INVALID_STATE",
  "DUPLICATE_JOB",
  "RATE_LIMIT_EXCEEDED",
  "SYSTEM_ERROR",
] as const;

export type BatchCode = (typeof errorCodes)[number];

export const refusal = z
  .object({ success: z.literal(false), error: z.string(), code: z.enum(errorCodes) })
  .openapi("Error");

export type Refusal = z.output<typeof refusal>;
