import { z } from "@hono/zod-openapi";
import { jobStates, MAX_BATCH, MAX_PRIORITY } from "@jobyard/core";
import { queryInteger, queryIntegerOr } from "../../../operations.ts";
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
  tenantQuery,
} from "./basics.ts";

// ---- adding

const duration = z.number().int().min(0);

const jobFields = {
  queue: name,
  name: label.nullish().openapi({ description: "A label" }),
  data: json.optional().openapi({ description: "Any JSON value; default: null" }),
  priority: z
    .number()
    .int()
    .min(-MAX_PRIORITY)
    .max(MAX_PRIORITY)
    .optional()
    .openapi({ description: "Lower runs sooner; default: the job type's, or 0" }),
  lifo: z.boolean().optional().openapi({ description: "Last in, first out among its priority" }),
  delayMs: duration.optional().openapi({ description: "Not before so long from now" }),
  ttlMs: duration.nullish().openapi({ description: "Fails as `expired` if not started by then" }),
  timeoutMs: duration.nullish().openapi({ description: "For one run; default: the job type's" }),
  maxAttempts: z
    .number()
    .int()
    .min(1)
    .max(1000)
    .optional()
    .openapi({ description: "Runs in all; default: the job type's, or 1" }),
  backoffMs: duration
    .optional()
    .openapi({ description: "Before the second run, doubled each time; default: 1000" }),
  uniqueKey: label
    .nullish()
    .openapi({ description: "Refused while an unfinished job of the queue holds it" }),
  tags: z.array(label).max(100).optional(),
  project: label.nullish(),
  batch: label.nullish(),
};

const dependency = z.union([
  jobId,
  z.object({
    sibling: count.openapi({ description: "Position in the same bulk of a job, from 0" }),
  }),
]);

const dependsOn = z
  .array(dependency)
  .max(1000)
  .optional()
  .openapi({ description: "Jobs that have to complete first" });

export const newJob = z.object({ ...jobFields, dependsOn }).openapi("NewJob", {
  example: {
    queue: "thumbnails",
    name: "cover",
    data: { image: "covers/7f3a.png", width: 320 },
    maxAttempts: 3,
    tags: ["shop"],
  },
});

/** What a schedule adds each time. */
export const jobTemplate = z.object(jobFields).openapi("JobTemplate");

export const addedJob = z.object({ id: jobId }).openapi("AddedJob");

export const bulkBody = z
  .object({
    jobs: z
      .array(json)
      .min(1)
      .max(MAX_BATCH)
      .openapi({
        items: {
          allOf: [
            { $ref: "#/components/schemas/NewJob" },
            {
              type: "object",
              properties: {
                idempotencyKey: {
                  type: "string",
                  description:
                    "All jobs of a call have one, or none. Within 24 h the job with the same key, in whatever call, is answered as the first one was, and is not added. In place of the call's own key; not with `atomic`, nor with siblings",
                },
              },
            },
          ],
        },
      }),
    atomic: z.boolean().default(false).openapi({ description: "All of them or none" }),
  })
  .openapi("BulkJobs");

const addOutcome = z
  .object({
    id: jobId.nullable(),
    error: problem.nullable(),
    repeated: z.boolean().optional().openapi({
      description: "Of jobs with keys of their own: whether this is what an earlier call was told",
    }),
  })
  .openapi("AddOutcome");

export const bulkOutcome = z
  .object({
    added: count,
    refused: count,
    outcomes: z.array(addOutcome).openapi({ description: "One for each job, in their order" }),
  })
  .openapi("BulkOutcome");

// ---- a job

const failure = z.object({
  message: z.string(),
  code: z.string().optional(),
  stage: z.string().optional().openapi({ description: "Where in the handler's work" }),
  stack: z.string().optional(),
});

const payloadFile = z.object({
  href: z.string().openapi({ description: "Where it can be read, as JSON" }),
  bytes: count,
});

export const job = z
  .object({
    id: jobId,
    tenant: z.string(),
    queue: z.string(),
    name: z.string().nullable(),
    state,
    priority: z.number().int(),
    lifo: z.boolean(),
    progress: z.number().min(0).max(100).openapi({ description: "Percent" }),
    progressMessage: z.string().nullable(),
    stats: z
      .object({
        totalItems: z.number(),
        processedItems: z.number(),
        failedItems: z.number(),
        averageItemMs: z.number(),
        itemsPerSecond: z.number(),
        estimatedEnd: moment.nullable(),
      })
      .nullable()
      .openapi({ description: "As a handler that works through items reports them" }),
    createdAt: moment,
    runAt: moment.openapi({ description: "Not before" }),
    startedAt: moment.nullable().openapi({ description: "The current or last run" }),
    finishedAt: moment.nullable(),
    attemptsMade: count.openapi({ description: "Runs that ended in success or failure" }),
    maxAttempts: count,
    crashes: count.openapi({ description: "Runs whose worker died or lost its lease" }),
    delayMs: milliseconds,
    backoffMs: milliseconds,
    ttlMs: milliseconds.nullable(),
    timeoutMs: milliseconds.nullable(),
    uniqueKey: z.string().nullable(),
    dependsOn: z.array(jobId),
    tags: z.array(z.string()),
    project: z.string().nullable(),
    batch: z.string().nullable(),
    worker: z.string().nullable().openapi({ description: "Who runs it, or ran it last" }),
    error: failure.nullable().openapi({ description: "The last failure" }),
    addedVia: z.string().nullable().openapi({ description: "The interface that added it" }),
    schedule: z.string().nullable().openapi({ description: "The schedule that it is a run of" }),
    data: json.optional().openapi({ description: "Where it is asked for, up to 1 MB" }),
    dataFile: payloadFile.optional().openapi({ description: "In place of larger data" }),
    result: json.optional().openapi({ description: "Where it is asked for, up to 1 MB" }),
    resultFile: payloadFile.optional().openapi({ description: "In place of a larger result" }),
  })
  .openapi("Job");

export type JobView = z.output<typeof job>;

export const jobParams = z.object({ id: jobId });

const include = z
  .array(z.enum(["data", "result"]))
  .max(2)
  .optional()
  .openapi({ description: "What else to tell of each job" });

export const jobQuery = tenantQuery.extend({
  include: include.openapi({ description: "Default: both, data and result" }),
});

/** Where a job stands after what was done to it; null: it is gone. */
export const jobRef = z.object({ id: jobId, state: state.nullable() }).openapi("JobRef");

// ---- finding jobs

const filterFields = {
  queue: z.array(name).min(1).max(1000).optional(),
  state: z.array(state).min(1).max(jobStates.length).optional(),
  id: z.array(jobId).min(1).max(MAX_BATCH).optional(),
  name: label.optional(),
  tag: label.optional(),
  project: label.optional(),
  batch: label.optional(),
  schedule: name.optional().openapi({ description: "Runs of this schedule" }),
  createdFrom: moment.optional().openapi({ description: "Inclusive" }),
  createdTo: moment.optional().openapi({ description: "Exclusive" }),
  error: z
    .string()
    .min(1)
    .max(1000)
    .optional()
    .openapi({ description: "Part of the error's message, in any case" }),
  errorGroup: label.optional().openapi({ description: "As `GET /errors` names it" }),
  payload: z.string().min(3).max(1024).optional().openapi({
    description:
      "A path in the data or result, `=`, and a JSON value or a text as it is. With `queue`, and for queues that have the path among their `indexedPaths`",
    example: "data.wellId = WELL-1250",
  }),
};

const priority = { min: -MAX_PRIORITY, max: MAX_PRIORITY };
const wholePriority = z.number().int().min(priority.min).max(priority.max).optional();

export const jobFilter = z
  .object({ ...filterFields, priorityMin: wholePriority, priorityMax: wholePriority })
  .openapi("JobFilter", { description: "All conditions are met; one at least" });

export type JobFilterBody = z.output<typeof jobFilter>;

export const listQuery = tenantQuery.extend({
  ...filterFields,
  priorityMin: queryInteger(priority.min, priority.max).optional(),
  priorityMax: queryInteger(priority.min, priority.max).optional(),
  include,
  order: z.enum(["asc", "desc"]).default("desc").openapi({ description: "By age" }),
  limit: queryIntegerOr(50, 0, MAX_BATCH),
  cursor: z
    .string()
    .max(64)
    .optional()
    .openapi({ description: "`next` of the page before; jobs added meanwhile shift nothing" }),
});

export const jobPage = z
  .object({
    items: z.array(job),
    total: count.openapi({ description: "How many match, whatever the page" }),
    next: z.string().nullable().openapi({ description: "Cursor of the next page; null: the end" }),
  })
  .openapi("JobPage");

// ---- one job's other sides

export const logQuery = tenantQuery.extend({
  offset: queryIntegerOr(0, 0, Number.MAX_SAFE_INTEGER),
  limit: queryIntegerOr(1000, 0, 1000),
});

export const logPage = z
  .object({
    items: z.array(z.object({ at: moment, line: z.string() })),
    total: count.openapi({ description: "Lines kept: the newest 1,000" }),
  })
  .openapi("LogPage");

export const timeline = z
  .object({
    items: z.array(
      z.object({
        run: count.openapi({ description: "From 1; those that were no attempts count as well" }),
        worker: z.string().nullable(),
        startedAt: moment,
        endedAt: moment.nullable(),
        outcome: z
          .enum(["completed", "failed", "stalled", "released", "cancelled", "crashed"])
          .nullable()
          .openapi({ description: "null: it is being run" }),
        error: z.string().nullable(),
        nextAt: moment.nullable().openapi({ description: "When the job was due again" }),
      }),
    ),
  })
  .openapi("Timeline");

export const dependencies = z
  .object({
    dependsOn: z.array(job),
    dependents: z.array(job).openapi({ description: "Unfinished ones, 100 at most" }),
    gone: z.array(jobId).openapi({ description: "Of those it depends on: pruned or removed" }),
    totalDependents: count,
  })
  .openapi("Dependencies");

export const waitBody = z
  .object({
    timeoutMs: z.number().int().min(0).max(300_000).default(30_000),
  })
  .openapi("WaitForJob");

// ---- changing jobs

export const cancelBody = z
  .object({
    reason: z.string().min(1).max(10_000).default("cancelled"),
    running: z.boolean().default(true).openapi({ description: "false refuses a running job" }),
  })
  .openapi("CancelJob");

const { queue: _, ...changeable } = jobFields;

export const requeueBody = z
  .object({
    ...changeable,
    data: json.optional().openapi({ description: "In place of its data" }),
    remove: z.boolean().default(false).openapi({ description: "Removes the old job" }),
  })
  .openapi("RequeueJob", {
    description: "What is to differ from the old job; a delay is not taken over",
  });

export const actionBody = z
  .object({
    action: z.enum(["cancel", "retry", "remove", "promote"]),
    filter: jobFilter,
    reason: longText.min(1).default("cancelled").openapi({ description: "Of a cancellation" }),
  })
  .openapi("JobAction", {
    example: { action: "retry", filter: { state: ["failed"], queue: ["thumbnails"] } },
  });

/** One line of the answer to an action over many jobs. */
export const actionProgress = z
  .object({
    total: count.openapi({ description: "Jobs that matched when it began" }),
    applied: count,
    refused: count.openapi({ description: "Whose state did not allow it" }),
    done: z.boolean(),
    error: problem.nullable().openapi({ description: "Why it ended early" }),
  })
  .openapi("ActionProgress");

export type ActionProgress = z.output<typeof actionProgress>;
