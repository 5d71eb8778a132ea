import {
  formatUuid,
  fromOneBased,
  type JobFilter,
  type JobOutline,
  type JobState,
  type JobTypeName,
  levelRange,
  levelToPriority,
  type NewJob,
  type PriorityLevel,
  priorityLevel,
} from "@jobyard/core";
import type { CreatedJob, CreateJob, JobDetail, JobSummary, WaitedJob } from "./schemas.ts";

/** v1's job types, and the queues they are in. */
export const queueOfType = {
  sentiment_analysis_batch: "sentiment_analysis_batch",
  file_processing: "file_processing",
  security_scan: "security_scan",
  data_export: "data_export",
  "file-analysis": "file-analysis",
  "quote-calculation": "quote-calculation",
  "email-notification": "email-notifications",
  "report-generation": "report-generation",
} as const satisfies Record<string, JobTypeName>;

export type V1Type = keyof typeof queueOfType;

export const v1Types = Object.keys(queueOfType) as [V1Type, ...V1Type[]];

export const v1Queues = Object.values(queueOfType);

export function isV1Type(type: unknown): type is V1Type {
  return typeof type === "string" && Object.hasOwn(queueOfType, type);
}

/** A job of another queue, found by its id, is named by its queue. */
export function typeOfQueue(queue: string): string {
  return v1Types.find((type) => queueOfType[type] === queue) ?? queue;
}

export const v1Statuses = ["pending", "running", "completed", "failed", "cancelled"] as const;

export type V1Status = (typeof v1Statuses)[number];

const statusOfState: Readonly<Record<JobState, V1Status>> = {
  waiting: "pending",
  delayed: "pending",
  blocked: "pending",
  active: "running",
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
};

export function statusOf(state: JobState): V1Status {
  return statusOfState[state];
}

function statesOf(status: V1Status): JobState[] {
  return (Object.keys(statusOfState) as JobState[]).filter((state) => statusOf(state) === status);
}

export function newJob({ type, data, priority, options }: CreateJob): NewJob {
  const sent = priority ?? options?.priority;
  const inner =
    priority === undefined ? fromOneBased(options?.priority) : levelToPriority(priority);
  return {
    queue: queueOfType[type],
    data,
    ...(sent === undefined || inner === null ? {} : { priority: inner }),
    ...(options?.attempts === undefined ? {} : { maxAttempts: options.attempts }),
    ...(options?.delay === undefined ? {} : { delayMs: options.delay }),
    origin: { via: "v1", ...(sent === undefined ? {} : { priority: sent }) },
  };
}

export function jobFilter(wanted: {
  readonly type?: V1Type | undefined;
  readonly status?: V1Status | undefined;
  readonly priority?: PriorityLevel | undefined;
}): Omit<JobFilter, "tenant"> {
  const { type, status, priority } = wanted;
  return {
    queues: type === undefined ? v1Queues : [queueOfType[type]],
    ...(status === undefined ? {} : { states: statesOf(status) }),
    ...(priority === undefined ? {} : { priority: levelRange(priority) }),
  };
}

/** As lists show it. */
export function summaryOf(job: JobOutline): JobSummary {
  const status = statusOf(job.state);
  // A job that waits for another attempt has been started, but is not any more.
  const started = status === "pending" ? null : job.startedAt;
  return {
    id: formatUuid(job.id),
    type: typeOfQueue(job.queue),
    status,
    priority: priorityLevel(job.priority),
    ...optionsOf(job),
    progress: status === "completed" ? 100 : rounded(job.progress, 1),
    createdAt: iso(job.createdAt),
    ...(started === null ? {} : { startedAt: iso(started) }),
    ...(job.finishedAt === null ? {} : { completedAt: iso(job.finishedAt) }),
  };
}

/** A priority that was sent as a number is shown as that number too. */
function optionsOf({ origin }: JobOutline): Pick<JobSummary, "options"> {
  const sent = origin?.via === "v1" ? origin.priority : undefined;
  return typeof sent === "number" ? { options: { priority: sent } } : {};
}

/** What a job was when it was added: it may run or be done by now. */
export function createdOf(job: JobOutline): CreatedJob {
  return {
    jobId: formatUuid(job.id),
    type: typeOfQueue(job.queue),
    status: "pending",
    priority: priorityLevel(job.priority),
    createdAt: iso(job.createdAt),
    ...(job.delayMs === 0 ? {} : { scheduledFor: iso(job.createdAt + job.delayMs) }),
  };
}

/** Who reads jobs while they run wants to know when they end. */
export interface Outlook {
  readonly now: number;
  /** How long such jobs take on average, ms; null when none has completed. */
  readonly typicalMs: number | null;
}

/** The job in full but for its result, which is spliced in as the text it is. */
export function detailOf(job: JobOutline, outlook: Outlook): Omit<JobDetail, "result"> {
  return {
    ...summaryOf(job),
    ...(job.state === "active" ? runningOf(job, outlook) : {}),
    ...failureOf(job),
  };
}

/** What the answer to a wait tells, again without the result. */
export function waitedOf(job: JobOutline): Omit<WaitedJob, "result"> {
  const { id, type, status, progress, completedAt } = summaryOf(job);
  return {
    id,
    type,
    status,
    progress,
    ...(completedAt === undefined ? {} : { completedAt }),
    ...failureOf(job),
  };
}

function runningOf(
  job: JobOutline,
  outlook: Outlook,
): Pick<JobDetail, "estimatedCompletion" | "processingStats"> {
  const { stats } = job;
  const end = estimatedEnd(job, outlook);
  return {
    ...(end === null ? {} : { estimatedCompletion: iso(end) }),
    ...(stats === null
      ? {}
      : {
          processingStats: {
            totalItems: stats.totalItems,
            processedItems: stats.processedItems,
            failedItems: stats.failedItems,
            averageProcessingTime: rounded(stats.averageItemMs, 2),
            currentSpeed: `${speed(stats.itemsPerSecond)} items/second`,
          },
        }),
  };
}

/** From its items, else from how far it got since it began, else from how long others took; null when nothing is known. */
function estimatedEnd(
  { stats, startedAt, progress }: JobOutline,
  { now, typicalMs }: Outlook,
): number | null {
  if (stats?.estimatedEnd != null) return stats.estimatedEnd;
  if (startedAt === null) return null;
  if (progress > 0) return Math.round(startedAt + ((now - startedAt) * 100) / progress);
  return typicalMs === null ? null : Math.round(Math.max(now, startedAt + typicalMs));
}

function failureOf({ id, state, error }: JobOutline): Pick<JobDetail, "error" | "details"> {
  if (state !== "failed") return {};
  const message = error?.message ?? "Job processing failed";
  return {
    error: message,
    details: {
      code: "JOB_PROCESSING_ERROR",
      jobId: formatUuid(id),
      stage: error?.stage ?? "processing",
      message,
    },
  };
}

function speed(itemsPerSecond: number): number {
  return itemsPerSecond >= 10 ? Math.round(itemsPerSecond) : rounded(itemsPerSecond, 1);
}

export function rounded(value: number, places: number): number {
  const scale = 10 ** places;
  return Math.round(value * scale) / scale;
}

export function iso(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
