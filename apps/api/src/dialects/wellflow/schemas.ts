import { z } from "@hono/zod-openapi";
import { LONGEST_MS, MAX_BATCH, MAX_PRIORITY } from "@jobyard/core";
import { queryIntegerOr } from "../../operations.ts";

/** What clients send, and what they are answered. The document in openapi/wellflow.json is made of these. */

export const statuses = ["waiting", "active", "completed", "failed", "delayed"] as const;

export type Status = (typeof statuses)[number];

export const timeframes = ["1h", "24h", "7d", "30d"] as const;

export type Timeframe = (typeof timeframes)[number];

export const webhookEvents = [
  "job.completed",
  "job.failed",
  "job.stalled",
  "queue.paused",
  "queue.resumed",
] as const;

const count = z.number().int().min(0);
const moment = z.iso.datetime();
const epochMs = z.number().int().openapi({ description: "Epoch milliseconds" });
const milliseconds = z.number().int().min(0).openapi({ description: "Milliseconds" });
const anyJson = z.unknown();
const status = z.enum(statuses);
const jobId = z.string().openapi({
  description: "Decimal; a job's UUID is taken too",
  example: "4711",
});
const queueName = z.string().openapi({ example: "data-validation" });

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Kept as it came: what it holds is for the job type to judge. */
const object = z
  .custom<Record<string, unknown>>(isObject, {
    error: ({ input }) => (input === undefined ? "Required field missing" : "Must be an object"),
  })
  .openapi({ type: "object", additionalProperties: true });

// ---- requests

export const queueParams = z.object({ queueName });
export const jobParams = z.object({ queueName, jobId });
export const scheduleParams = z.object({ scheduleName: z.string() });
export const webhookParams = z.object({ webhookId: z.string() });

export const jobsQuery = z.object({
  status: status.optional(),
  limit: queryIntegerOr(20, 1, 100),
  offset: queryIntegerOr(0, 0, Number.MAX_SAFE_INTEGER),
  order: z.enum(["asc", "desc"]).default("desc").openapi({ description: "By creation" }),
});

export const metricsQuery = z.object({
  queue: queueName.optional(),
  timeframe: z.enum(timeframes).default("24h"),
});

export const newJob = z
  .object({
    name: z.string().min(1).max(256).optional().openapi({ description: "A label" }),
    data: anyJson.openapi({ description: "What the queue's job type takes" }),
    opts: z
      .object({
        priority: z.number().int().min(0).max(MAX_PRIORITY).optional().openapi({
          description: "1 is the most urgent, 10 ordinary; 0 or absent: ordinary",
        }),
        delay: milliseconds
          .max(LONGEST_MS)
          .optional()
          .openapi({ description: "Milliseconds before it may run" }),
        attempts: z.number().int().min(1).max(1000).optional().openapi({
          description: "Runs in all; default 3",
        }),
      })
      .optional(),
  })
  .openapi("NewJob");

export type NewJobBody = z.output<typeof newJob>;

export const bulkJob = newJob.extend({ queue: z.string() }).openapi("BulkJob");

/** Each job is judged by itself. */
export const bulkBody = z.object({ jobs: z.array(anyJson).min(1).max(MAX_BATCH) });

export const documentedBulk = z
  .object({ jobs: z.array(bulkJob).min(1).max(MAX_BATCH) })
  .openapi("BulkJobs");

export const statusBody = z
  .object({
    jobIds: z
      .array(z.union([z.string(), z.number()]))
      .min(1)
      .max(MAX_BATCH)
      .openapi({ description: "Ids in any spelling" }),
  })
  .openapi("JobIds");

const scheduleFields = {
  cron: z.string().openapi({ description: "5 fields, or 6 with seconds first" }),
  enabled: z.boolean().optional().openapi({ description: "Default: true" }),
  timezone: z.string().optional().openapi({ description: "IANA name; default UTC" }),
  description: z.string().max(10_000).nullish(),
  jobData: object.openapi({
    description:
      "Data of the job that is added each time. Its queue is `queue` within, or else that of the job type which takes these data",
  }),
};

export const newSchedule = z.object({ name: z.string(), ...scheduleFields }).openapi("NewSchedule");

export const schedulePatch = z.object(scheduleFields).partial().openapi("SchedulePatch", {
  description: "What is absent stays",
});

export const newWebhook = z
  .object({
    url: z.url({ protocol: /^https?$/, error: "Must be an http:// or https:// address" }).max(2048),
    events: z.array(z.enum(webhookEvents)).min(1).max(webhookEvents.length).optional().openapi({
      description: "Default: all of them",
    }),
    queue: queueName.nullish().openapi({ description: "Default: every queue" }),
    secret: z.string().min(1).max(256).nullish().openapi({
      description: "Signs each delivery; never shown again",
    }),
  })
  .openapi("NewWebhook");

// ---- answers

export const queueView = z
  .object({
    name: queueName,
    waiting: count,
    active: count,
    completed: count,
    failed: count.openapi({ description: "Cancelled ones included" }),
    delayed: count,
    paused: z.boolean(),
  })
  .openapi("Queue");

export type QueueView = z.output<typeof queueView>;

export const queueDetail = queueView
  .extend({
    opts: z.object({
      maxConcurrency: count.nullable().openapi({ description: "Runs at once; null: no limit" }),
      stalledInterval: milliseconds.openapi({
        description: "Milliseconds of silence after which a run counts as stalled",
      }),
      maxStalledCount: count.openapi({ description: "Stalled runs after which a job fails" }),
    }),
  })
  .openapi("QueueDetail");

export type QueueDetail = z.output<typeof queueDetail>;

export const job = z
  .object({
    id: jobId,
    name: z.string().openapi({ description: "The queue's, where the job has none" }),
    data: anyJson.openapi({
      description: "Above 1 MB, or where a page is large: `{ href, bytes }`, where to read it",
    }),
    opts: z.object({ attempts: count, delay: milliseconds, priority: z.number().int() }),
    progress: z.number().min(0).max(100),
    delay: milliseconds,
    timestamp: epochMs,
    attemptsMade: count.openapi({ description: "Finished runs" }),
    stacktrace: z.array(z.string()),
    returnvalue: anyJson,
    finishedOn: epochMs.nullable(),
    processedOn: epochMs.nullable(),
    failedReason: z.string().optional().openapi({ description: "Of a failed or cancelled job" }),
  })
  .openapi("Job");

export type JobView = z.output<typeof job>;

export const jobPage = z
  .object({
    jobs: z.array(job),
    total: count.openapi({ description: "How many match, whatever the page" }),
    hasMore: z.boolean(),
  })
  .openapi("JobPage");

export const addedJob = z.object({ jobId, message: z.string() }).openapi("AddedJob");

export type AddedJob = z.output<typeof addedJob>;

export const errorCodes = [
  "AUTHENTICATION_ERROR",
  "AUTHORIZATION_ERROR",
  "VALIDATION_ERROR",
  "JOB_NOT_FOUND",
  "QUEUE_NOT_FOUND",
  "SCHEDULE_NOT_FOUND",
  "WEBHOOK_NOT_FOUND",
  "NOT_FOUND",
  "METHOD_NOT_ALLOWED",
  "INVALID_STATE",
  "DUPLICATE_JOB",
  "RATE_LIMIT_EXCEEDED",
  "SYSTEM_ERROR",
] as const;

export type WellflowCode = (typeof errorCodes)[number];

const code = z.enum(errorCodes);

export const bulkResult = z
  .object({
    created: count,
    failed: count,
    jobIds: z.array(jobId).openapi({ description: "Of those created, in their order" }),
    errors: z
      .array(
        z.object({
          index: count.openapi({ description: "Place in the request" }),
          code,
          message: z.string(),
        }),
      )
      .optional()
      .openapi({ description: "Of those that failed, where there are any" }),
  })
  .openapi("BulkResult");

export type BulkResult = z.output<typeof bulkResult>;

export const jobStatus = z
  .object({
    jobId: z.string(),
    status: z.enum([...statuses, "not_found"]),
    progress: z.number().min(0).max(100),
    result: anyJson.optional().openapi({
      description: "Above 1 MB, or where an answer is large: `{ href, bytes }`, where to read it",
    }),
    error: z.string().optional(),
  })
  .openapi("JobStatus");

export type JobStatus = z.output<typeof jobStatus>;

export const schedule = z
  .object({
    name: z.string(),
    cron: z.string(),
    enabled: z.boolean(),
    timezone: z.string(),
    description: z.string().nullable(),
    nextRun: moment.nullable().openapi({ description: "null while it is disabled" }),
    lastRun: moment.nullable().openapi({ description: "null before the first" }),
  })
  .openapi("Schedule");

export type ScheduleView = z.output<typeof schedule>;

export const createdSchedule = z
  .object({ name: z.string(), message: z.string() })
  .openapi("CreatedSchedule");

const queueHealth = z.enum(["healthy", "paused", "unattended"]).openapi({
  description: "unattended: jobs wait, and no known worker takes them",
});

export const health = z
  .object({
    status: z.enum(["healthy", "degraded"]).openapi({
      description: "degraded: a queue is unattended",
    }),
    timestamp: moment,
    redis: z
      .object({
        status: z.literal("connected"),
        latency: z.number().openapi({ description: "Milliseconds of one trip, as measured now" }),
      })
      .openapi({ description: "The job store, whichever it is" }),
    queues: z.record(z.string(), queueHealth),
    workers: z.object({
      active: count.openapi({ description: "Jobs that are being run" }),
      total: count.openapi({ description: "Jobs that the known workers can run at once" }),
    }),
  })
  .openapi("Health");

export type Health = z.output<typeof health>;

export const queueMetrics = z
  .object({
    processed: count.openapi({ description: "Jobs completed in the timeframe" }),
    failed: count.openapi({ description: "Jobs failed for good in it" }),
    avgProcessingTime: z.number().openapi({ description: "Seconds a completed job" }),
    throughput: z.number().openapi({ description: "Jobs an hour over the whole timeframe" }),
    errorRate: z.number().openapi({
      description: "Failed jobs in percent of the processed ones; 100 where all failed",
    }),
  })
  .openapi("QueueMetrics");

export type QueueMetrics = z.output<typeof queueMetrics>;

export const metrics = z
  .object({ timeframe: z.enum(timeframes), metrics: z.record(z.string(), queueMetrics) })
  .openapi("Metrics");

export const stats = z
  .object({
    uptime: count.openapi({ description: "Seconds since this process began" }),
    totalJobs: count.openapi({ description: "Added since ever" }),
    completedJobs: count.openapi({ description: "Present, as the following" }),
    failedJobs: count,
    activeJobs: count,
    waitingJobs: count,
    delayedJobs: count,
    memoryUsage: z
      .object({
        used: z.number().openapi({ description: "MB" }),
        total: z.number().openapi({ description: "MB that the process may use" }),
        percentage: z.number(),
      })
      .openapi({ description: "Of the process that answers" }),
    cpuUsage: z.number().openapi({
      description: "Percent of the machine's processors that this process used lately",
    }),
  })
  .openapi("Stats");

export type Stats = z.output<typeof stats>;

export const webhook = z
  .object({
    id: z.string(),
    url: z.string(),
    events: z.array(z.string()),
    queue: z.string().nullable(),
    enabled: z.boolean(),
    createdAt: moment,
  })
  .openapi("Webhook");

export type WebhookView = z.output<typeof webhook>;

const fieldError = z.object({ field: z.string(), reason: z.string() });

export const refusal = z
  .object({
    success: z.literal(false),
    error: z.object({
      code,
      message: z.string(),
      details: z
        .looseObject({
          field: z.string().optional().openapi({ description: "The first that is wrong" }),
          reason: z.string().optional(),
          errors: z.array(fieldError).optional().openapi({ description: "All that are wrong" }),
          report: bulkResult.optional(),
        })
        .optional(),
    }),
  })
  .openapi("Error");

export type Refusal = z.output<typeof refusal>;

export function success<Data extends z.ZodType>(data: Data) {
  return z.object({ success: z.literal(true), data });
}

export const done = z.object({ success: z.literal(true), message: z.string() }).openapi("Done");
