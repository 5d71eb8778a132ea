import { z } from "@hono/zod-openapi";
import { queryInteger, queryIntegerOr } from "../../../operations.ts";
import {
  count,
  flag,
  jobId,
  label,
  milliseconds,
  moment,
  name,
  stateCounts,
  tenantQuery,
} from "./basics.ts";

const limit = z.number().int().min(1).max(1_000_000).nullable();

export const queueParams = z.object({ queue: name });

export const queueSettings = z
  .object({
    rateLimit: limit.optional().openapi({ description: "Starts a second; null: no limit" }),
    concurrency: limit.optional().openapi({ description: "Runs at once; null: no limit" }),
    indexedPaths: z
      .array(z.string().min(1).max(256))
      .max(16)
      .optional()
      .openapi({
        description: "Paths in jobs' data that can be searched for",
        example: ["data.wellId"],
      }),
  })
  .openapi("QueueSettings");

export const queue = z
  .object({
    name: z.string(),
    tenant: z.string(),
    typed: z.boolean().openapi({ description: "Whether Jobyard itself runs its jobs" }),
    paused: z.boolean(),
    rateLimit: limit,
    concurrency: limit,
    indexedPaths: z.array(z.string()),
    counts: stateCounts,
  })
  .openapi("Queue");

export type QueueView = z.output<typeof queue>;

export const queues = z.object({ items: z.array(queue) }).openapi("Queues");

export const drainBody = z
  .object({
    states: z
      .array(z.enum(["waiting", "delayed", "blocked"]))
      .min(1)
      .max(3)
      .default(["waiting"])
      .openapi({ description: "Which jobs to remove" }),
  })
  .openapi("DrainQueue");

// ---- figures

const figures = {
  added: count,
  completed: count,
  failed: count.openapi({ description: "For good, expired ones included" }),
  cancelled: count,
  retried: count.openapi({ description: "Attempts that failed and were repeated" }),
  stalled: count.openapi({ description: "Runs that ran out of time or lost their worker" }),
  removed: count.openapi({ description: "By hand or after their time" }),
  successRate: z.number().nullable().openapi({
    description: "Percent completed of those completed or failed; null before any has ended",
  }),
  durationAvgMs: milliseconds.nullable().openapi({ description: "Of completed runs" }),
  durationMinMs: milliseconds.nullable(),
  durationMaxMs: milliseconds.nullable(),
  waitAvgMs: milliseconds.nullable().openapi({ description: "From runnable to started" }),
  tokens: count.openapi({ description: "Spent on models" }),
  peakConcurrency: count,
};

const YEAR_MS = 31_622_400_000;

const period = {
  from: moment.optional().openapi({ description: "To the minute; default: since ever" }),
  to: moment.optional().openapi({ description: "Exclusive; default: now" }),
  lastMs: queryInteger(1, YEAR_MS)
    .optional()
    .openapi({ description: "In place of `from`: so long before the server's now" }),
};

const queueFilter = z.array(name).max(100).optional();

export const statsQuery = tenantQuery.extend({
  queue: queueFilter,
  project: label.optional(),
  by: z.enum(["queue", "project", "level"]).optional(),
  ...period,
});

export const stats = z
  .object({
    counts: stateCounts,
    total: z.object(figures).openapi({ description: "What happened in the period" }),
    groups: z
      .array(z.object({ key: z.string(), ...figures }))
      .openapi({ description: "The same for each queue, project or priority level (`by`)" }),
  })
  .openapi("Stats");

export const metricsQuery = tenantQuery.extend({
  queue: queueFilter,
  project: label.optional(),
  interval: z.enum(["5s", "minute", "hour"]).default("minute").openapi({
    description:
      "`5s`: all queues of the last five minutes, sampled from the first such question on until nobody has asked for ten minutes; what was before is spread evenly over its minutes. Shortest and longest runs are not known there",
  }),
  ...period,
  from: moment.optional().openapi({
    description: "Default: 60 intervals ago. Minutes are kept for 25 h, hours for 31 d",
  }),
  perQueue: flag.optional().openapi({ description: "One series for each queue" }),
});

export const metrics = z
  .object({
    interval: z.enum(["5s", "minute", "hour"]),
    from: moment,
    to: moment,
    series: z.array(
      z.object({
        queue: z.string().nullable().openapi({ description: "null: all that were asked for" }),
        points: z
          .array(
            z.object({
              at: moment.openapi({ description: "The interval's start" }),
              ...figures,
              backlog: count.openapi({
                description:
                  "Unfinished jobs at its end, reckoned back from now by what was added and what ended since",
              }),
            }),
          )
          .openapi({
            description: "One for each interval; that of a minute or an hour may be still running",
          }),
      }),
    ),
  })
  .openapi("Metrics");

// ---- events from outside

export const incomingSecret = z
  .object({
    secret: z
      .string()
      .min(8)
      .max(256)
      .nullable()
      .openapi({ description: "null: senders need a token" }),
  })
  .openapi("IncomingSecret");

export const incomingSecretView = z
  .object({ queue: z.string(), signed: z.boolean() })
  .openapi("IncomingSecretView");

// ---- errors

export const errorsQuery = tenantQuery.extend({
  queue: queueFilter,
  from: moment.optional().openapi({ description: "When they failed; inclusive" }),
  to: moment.optional().openapi({ description: "Exclusive" }),
  limit: queryIntegerOr(100, 1, 1000),
});

export const errorGroups = z
  .object({
    items: z.array(
      z.object({
        group: z.string().openapi({ description: "For `errorGroup` of a job filter" }),
        queue: z.string(),
        message: z.string().openapi({ description: "What their messages have in common" }),
        count: count.openapi({ description: "Failed jobs present" }),
        firstAt: moment,
        lastAt: moment,
        sampleJob: jobId.openapi({ description: "The newest of them" }),
        sampleMessage: z.string(),
        perHour: z.array(count).openapi({
          description: "Failures in each of the last 24 hours, the oldest first",
        }),
      }),
    ),
  })
  .openapi("ErrorGroups");
