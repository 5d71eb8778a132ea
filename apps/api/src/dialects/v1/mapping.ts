import {
  formatUuid,
  fromOneBased,
  type JobFilter,
  type JobOutline,
  type JobState,
  type JobTypeName,
  levelToPriority,
  MAX_PRIORITY,
  type NewJob,
  type PriorityLevel,
  priorityLevel,
  priorityLevels,
  type QueueInfo,
  type StateCounts,
  type StatsRow,
} from "@jobyard/core";
import type { CreateJob, JobDetail, JobSummary, QueueSummary, WaitedJob } from "./schemas.ts";

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
function typeOfQueue(queue: string): string {
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

/** The priorities that read as this level. */
function prioritiesOf(level: PriorityLevel): NonNullable<JobFilter["priority"]> {
  switch (level) {
    case "critical":
      return { max: -7 };
    case "high":
      return { min: -6, max: -1 };
    case "medium":
      return { min: 0, max: 0 };
    case "low":
      return { min: 1, max: MAX_PRIORITY };
  }
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
    ...(priority === undefined ? {} : { priority: prioritiesOf(priority) }),
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

/** The job in full but for its result, which is spliced in as the text it is. */
export function detailOf(job: JobOutline): Omit<JobDetail, "result"> {
  return {
    ...summaryOf(job),
    ...(job.state === "active" ? runningOf(job) : {}),
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

function runningOf({
  stats,
}: JobOutline): Pick<JobDetail, "estimatedCompletion" | "processingStats"> {
  if (stats === null) return {};
  const { estimatedEnd } = stats;
  return {
    ...(estimatedEnd === null ? {} : { estimatedCompletion: iso(estimatedEnd) }),
    processingStats: {
      totalItems: stats.totalItems,
      processedItems: stats.processedItems,
      failedItems: stats.failedItems,
      averageProcessingTime: rounded(stats.averageItemMs, 2),
      currentSpeed: `${speed(stats.itemsPerSecond)} items/second`,
    },
  };
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

/** Throughput is over this long, or since the first activity within it. */
export const THROUGHPUT_WINDOW_MS = 3_600_000;

const MINUTE_MS = 60_000;

export function queueSummary(from: {
  readonly queues: readonly QueueInfo[];
  /** Since ever, by priority level. */
  readonly levels: readonly StatsRow[];
  /** Since ever. */
  readonly everything: StatsRow | undefined;
  /** By minute, of the throughput's window. */
  readonly minutes: readonly StatsRow[];
  readonly now: number;
}): QueueSummary {
  const { queues, levels, everything, minutes, now } = from;
  const types = v1Types.map((type) => {
    const own = queues.filter(({ queue }) => queue === queueOfType[type]);
    return [type, statusCounts(own.map(({ counts }) => counts))] as const;
  });
  const all = statusCounts(queues.map(({ counts }) => counts));
  const completed = everything?.completed ?? 0;
  const ended = completed + (everything?.failed ?? 0);
  return {
    total: total(all),
    ...all,
    performance: {
      averageProcessingTime: Math.round(everything?.durationAvg ?? 0),
      throughput: `${throughput(minutes, now)} jobs/minute`,
      successRate: ended === 0 ? 100 : rounded((completed / ended) * 100, 1),
      peakConcurrency: everything?.peakConcurrency ?? 0,
    },
    byType: Object.fromEntries(
      types.map(([type, counts]) => {
        const { completed, failed, cancelled } = counts;
        return [type, { total: total(counts), completed, failed, cancelled }];
      }),
    ) as QueueSummary["byType"],
    byPriority: Object.fromEntries(
      priorityLevels.map((level) => {
        const row = levels.find(({ key }) => key === level);
        return [level, row === undefined ? 0 : row.added - row.removed];
      }),
    ) as QueueSummary["byPriority"],
  };
}

function throughput(minutes: readonly StatsRow[], now: number): number {
  const starts = minutes.map(({ key }) => Number(key)).filter((start) => start > 0);
  if (starts.length === 0) return 0;
  const completed = minutes.reduce((sum, row) => sum + row.completed, 0);
  const span = Math.min(now - Math.min(...starts), THROUGHPUT_WINDOW_MS);
  return rounded(completed / Math.max(1, span / MINUTE_MS), 1);
}

function statusCounts(counts: readonly StateCounts[]): Record<V1Status, number> {
  const sums = { pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 };
  for (const one of counts) {
    for (const state of Object.keys(statusOfState) as JobState[])
      sums[statusOf(state)] += one[state];
  }
  return sums;
}

function total(counts: Readonly<Record<V1Status, number>>): number {
  return Object.values(counts).reduce((sum, n) => sum + n, 0);
}

function speed(itemsPerSecond: number): number {
  return itemsPerSecond >= 10 ? Math.round(itemsPerSecond) : rounded(itemsPerSecond, 1);
}

function rounded(value: number, places: number): number {
  const scale = 10 ** places;
  return Math.round(value * scale) / scale;
}

export function iso(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
