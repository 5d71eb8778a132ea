import { z } from "@hono/zod-openapi";
import { jobTypes, LONGEST_MS, MAX_PRIORITY, priorityLevels } from "@jobyard/core";
import { refusalSchema } from "../../envelope.ts";
import { queryIntegerOr } from "../../operations.ts";
import { queueOfType, v1Statuses, v1Types, type V1Type } from "./mapping.ts";

/** What clients send, and what they are answered. The document in openapi/v1.json is made of these. */

const level = z.enum(priorityLevels);
const status = z.enum(v1Statuses);
const moment = z.iso.datetime();
const count = z.number().int().min(0);
const jobId = z.string().openapi({
  description: "UUID of the job; its decimal spelling is taken too",
  example: "6a6f6279-6172-8640-8000-0000000002c6",
});

// ---- requests

export const idParams = z.object({ id: jobId });

export const fileParams = idParams.extend({
  name: z.string().openapi({ description: "As the job's result tells it", example: "export.csv" }),
});

const oncePriority = {
  message: "Must not be given together with priority",
  path: ["options", "priority"],
};

/** About 10 years: as far ahead as a job can be put. */
const delay = z.number().int().min(0).max(LONGEST_MS);

const createFields = {
  priority: level.optional().openapi({ description: "Default: medium" }),
  options: z
    .object({
      priority: z.number().int().min(0).max(MAX_PRIORITY).optional().openapi({
        description:
          "1 is the most urgent, 10 ordinary; 0 or absent: ordinary. Not together with `priority` beside `options`",
      }),
      attempts: z.number().int().min(1).max(1000).optional().openapi({
        description: "Runs in all; default: the job type's",
      }),
      delay: delay.optional().openapi({ description: "Milliseconds before it may run" }),
    })
    .optional(),
};

type CreateFields = z.output<z.ZodObject<typeof createFields>>;

const priorityOnce = ({ priority, options }: CreateFields): boolean =>
  priority === undefined || options?.priority === undefined;

/** The data is the job type's affair: core checks it. */
export const createJob = z
  .object({ type: z.enum(v1Types), data: z.unknown(), ...createFields })
  .refine(priorityOnce, oncePriority);

export type CreateJob = z.output<typeof createJob>;

const scheduleFields = {
  ...createFields,
  delay: delay.optional().openapi({
    description: "Milliseconds before it may run, where options have none",
  }),
  cron: z.string().optional().openapi({
    description: "5 or 6 fields: a job at each of these times. Takes the role ADMIN",
    example: "0 2 * * *",
  }),
  timezone: z.string().optional().openapi({
    description: "IANA name, of `cron`; default: UTC",
    example: "America/Chicago",
  }),
  name: z.string().optional().openapi({
    description:
      "Of the recurring job: 1 to 256 of A-Z a-z 0-9 _ . -; default: one made of what is asked",
    example: "nightly-analytics",
  }),
};

const cronAlone = { message: "Must not be given together with cron" };
const withCron = { message: "Must be given together with cron" };

export const scheduleJob = z
  .object({ type: z.enum(v1Types), data: z.unknown(), ...scheduleFields })
  .refine(priorityOnce, oncePriority)
  .superRefine(({ delay, options, cron, timezone, name }, context) => {
    const refuse = (path: string[], { message }: { readonly message: string }): void =>
      context.addIssue({ code: "custom", path, message });
    if (cron === undefined) {
      if (timezone !== undefined) refuse(["timezone"], withCron);
      if (name !== undefined) refuse(["name"], withCron);
      if (delay === undefined && options?.delay === undefined) {
        refuse(["delay"], { message: "Required: delay for one job, or cron for a recurring one" });
      }
    } else {
      if (delay !== undefined) refuse(["delay"], cronAlone);
      if (options?.delay !== undefined) refuse(["options", "delay"], cronAlone);
    }
    if (delay !== undefined && options?.delay !== undefined) {
      refuse(["options", "delay"], { message: "Must not be given together with delay" });
    }
  });

export type ScheduleJob = z.output<typeof scheduleJob>;

const dataOf = Object.fromEntries(
  v1Types.map((type) => {
    const words = type
      .split(/[-_]/)
      .map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`);
    // A copy: they were made before zod learnt of OpenAPI.
    return [type, jobTypes[queueOfType[type]].data.clone().openapi(`${words.join("")}Data`)];
  }),
) as unknown as { readonly [Type in V1Type]: z.ZodObject };

/** As documented: with each type's data. */
function documented<Fields extends z.ZodRawShape>(fields: Fields) {
  const of = (type: V1Type) => z.object({ type: z.literal(type), data: dataOf[type], ...fields });
  const [first, ...others] = v1Types;
  return z.discriminatedUnion("type", [of(first), ...others.map(of)]);
}

export const documentedCreateJob = documented(createFields).openapi("CreateJob");

export const documentedScheduleJob = documented(scheduleFields).openapi("ScheduleJob");

export const listQuery = z.object({
  status: status.optional(),
  type: z.enum(v1Types).optional(),
  priority: level.optional(),
  limit: queryIntegerOr(50, 1, 100),
  page: queryIntegerOr(1, 1, 1_000_000),
});

export const metricsQuery = z.object({ type: z.enum(v1Types).optional() });

export const scheduleParams = z.object({
  name: z.string().openapi({ description: "Of the recurring job", example: "nightly-analytics" }),
});

export const waitBody = z
  .object({
    timeout: z
      .number()
      .int()
      .min(0)
      .max(300_000)
      .default(30_000)
      .openapi({ description: "Milliseconds" }),
  })
  .openapi("WaitForJob");

// ---- answers

export const createdJob = z
  .object({
    jobId,
    type: z.string(),
    status,
    priority: level,
    createdAt: moment,
    scheduledFor: moment.optional().openapi({ description: "Of a delayed job: not before" }),
  })
  .openapi("CreatedJob");

export type CreatedJob = z.output<typeof createdJob>;

export const jobSummary = z
  .object({
    id: jobId,
    type: z
      .string()
      .openapi({ description: "One of v1's types; a job of another queue has its name" }),
    status,
    priority: level,
    options: z.object({ priority: z.number().int() }).optional().openapi({
      description: "The priority as it was sent, where that was a number",
    }),
    progress: z.number().min(0).max(100),
    createdAt: moment,
    startedAt: moment.optional(),
    completedAt: moment.optional().openapi({ description: "When it ended, however it ended" }),
  })
  .openapi("JobSummary");

export type JobSummary = z.output<typeof jobSummary>;

const failure = {
  error: z.string().optional().openapi({ description: "Why it failed" }),
  details: z
    .object({
      code: z.literal("JOB_PROCESSING_ERROR"),
      jobId,
      stage: z.string(),
      message: z.string(),
    })
    .optional(),
};

const result = z.unknown().optional().openapi({ description: "As the job's type has it" });

export const jobDetail = jobSummary
  .extend({
    estimatedCompletion: moment.optional(),
    processingStats: z
      .object({
        totalItems: count,
        processedItems: count,
        failedItems: count,
        averageProcessingTime: z.number().openapi({ description: "Milliseconds an item" }),
        currentSpeed: z.string().openapi({ example: "310 items/second" }),
      })
      .optional()
      .openapi({ description: "While it runs" }),
    ...failure,
    result,
  })
  .openapi("Job");

export type JobDetail = z.output<typeof jobDetail>;

export const waitedJob = z
  .object({
    id: jobId,
    type: z.string(),
    status,
    progress: z.number(),
    completedAt: moment.optional(),
    ...failure,
    result,
  })
  .openapi("WaitedJob");

export type WaitedJob = z.output<typeof waitedJob>;

export const jobPage = z
  .object({
    jobs: z.array(jobSummary),
    total: count.openapi({ description: "How many match, whatever the page" }),
  })
  .openapi("JobPage");

export type JobPage = z.output<typeof jobPage>;

const typeCounts = z.object({ total: count, completed: count, failed: count, cancelled: count });

function each<const Keys extends readonly string[], Value extends z.ZodType>(
  keys: Keys,
  value: Value,
): z.ZodObject<Record<Keys[number], Value>> {
  return z.object(
    Object.fromEntries(keys.map((key) => [key, value])) as Record<Keys[number], Value>,
  );
}

export const queueSummary = z
  .object({
    total: count,
    pending: count,
    running: count,
    completed: count,
    failed: count,
    cancelled: count,
    performance: z.object({
      averageProcessingTime: z.number().openapi({
        description: "Milliseconds a completed job, since ever",
      }),
      throughput: z.string().openapi({
        description:
          "Completed jobs a minute over the last 60 minutes, or since the first activity within them",
        example: "25 jobs/minute",
      }),
      successRate: z.number().openapi({
        description:
          "Percent completed of those completed or failed, since ever; 100 before any has ended",
      }),
      peakConcurrency: count,
    }),
    byType: each(v1Types, typeCounts),
    byPriority: each(priorityLevels, count),
  })
  .openapi("QueueSummary");

export type QueueSummary = z.output<typeof queueSummary>;

export const scheduleView = z
  .object({
    name: z.string(),
    type: z
      .string()
      .openapi({ description: "One of v1's types; a schedule of another queue has its name" }),
    cron: z.string(),
    timezone: z.string(),
    enabled: z.boolean(),
    nextRun: moment.nullable(),
    lastRun: moment.nullable(),
    createdAt: moment,
  })
  .openapi("Schedule");

export type ScheduleView = z.output<typeof scheduleView>;

export const schedulePage = z
  .object({ schedules: z.array(scheduleView), total: count })
  .openapi("SchedulePage");

export type SchedulePage = z.output<typeof schedulePage>;

const percent = z.number().min(0).max(100);
const failedRate = percent.openapi({
  description: "Percent failed of those completed or failed, since ever; 0 before any has ended",
});

export const queueMetrics = z
  .object({
    name: z.enum(v1Types),
    waiting: count,
    active: count,
    completed: count,
    failed: count,
    delayed: count.openapi({ description: "Those that wait for another attempt included" }),
    paused: z.boolean(),
    failedRate,
  })
  .openapi("QueueMetrics");

export type QueueMetrics = z.output<typeof queueMetrics>;

export const queueHealth = z
  .object({
    status: z.enum(["healthy", "degraded"]).openapi({
      description:
        "degraded: a queue is paused, or half of its jobs that ended within the last hour failed",
    }),
    queues: count,
    totalJobs: count.openapi({ description: "Jobs present, whatever their state" }),
    metrics: z.array(
      z.object({
        name: z.enum(v1Types),
        active: count,
        failed: count,
        failedRate,
        paused: z.boolean(),
      }),
    ),
  })
  .openapi("QueueHealth");

export type QueueHealth = z.output<typeof queueHealth>;

export const refusal = refusalSchema.openapi("Error");

export const acknowledgement = z
  .object({ success: z.literal(true), message: z.string(), timestamp: moment })
  .openapi("Acknowledgement");
