import {
  attemptsStarted,
  fromOneBased,
  type Job,
  type JobOutline,
  type JobState,
  type JobTypeName,
  type NewJob,
  type StateCounts,
  type StatsRow,
  toOneBased,
} from "@jobyard/core";
import type { JobView, Metrics, Status, TimeRange } from "./schemas.ts";

const VIA = "batch";
/** How an ordinary priority reads. */
const ORDINARY = 10;

/** Whole batches; a redo is about one row of one. */
export const wholeBatches = ["process_batch", "reprocess_batch"] as const;

export const batchQueues: readonly JobTypeName[] = [...wholeBatches, "process_redo"];

const HOUR_MS = 3_600_000;

/** What is older is known in all, but not by the hour. */
export const HOURS_KEPT_MS = 30 * 24 * HOUR_MS;

/** null: since ever. */
export const timeRangeMs: Readonly<Record<TimeRange, number | null>> = {
  "24h": 24 * HOUR_MS,
  "7d": 7 * 24 * HOUR_MS,
  "30d": HOURS_KEPT_MS,
  all: null,
};

const statusOfState: Readonly<Record<JobState, Status>> = {
  waiting: "queued",
  delayed: "queued",
  blocked: "queued",
  active: "processing",
  completed: "completed",
  failed: "failed",
  cancelled: "failed",
};

function statusOf({ state, attemptsMade }: JobOutline): Status {
  return state === "delayed" && attemptsMade > 0 ? "retrying" : statusOfState[state];
}

function statesOf(...statuses: Status[]): JobState[] {
  const states = Object.keys(statusOfState) as JobState[];
  return states.filter((state) => statuses.includes(statusOfState[state]));
}

export const queuedStates = statesOf("queued");
export const unfinishedStates = statesOf("queued", "processing");

export function newJob(queue: JobTypeName, data: object, priority: number): NewJob {
  return {
    queue,
    data,
    // Out of range it stays what it is, for core to refuse.
    priority: fromOneBased(priority) ?? priority,
    origin: { via: VIA, priority },
  };
}

/** The job in full but for its data, which are spliced in as the text that they are. */
export function jobView(job: Job): Omit<JobView, "data"> {
  const status = statusOf(job);
  const failed = status === "failed" || status === "retrying";
  return {
    id: String(job.id),
    type: job.queue,
    status,
    priority: priorityOf(job),
    attempts: attemptsStarted(job),
    maxAttempts: job.maxAttempts,
    createdAt: iso(job.createdAt),
    startedAt: job.startedAt === null ? null : iso(job.startedAt),
    completedAt: job.finishedAt === null ? null : iso(job.finishedAt),
    error: failed ? (job.error?.message ?? job.state) : null,
  };
}

/** As sent, if it was sent here. */
function priorityOf({ origin, priority }: Job): number {
  const sent = origin?.via === VIA ? origin.priority : undefined;
  if (typeof sent === "number") return sent;
  return priority === 0 ? ORDINARY : toOneBased(priority);
}

export function queueCounts(counts: StateCounts) {
  const { waiting, delayed, blocked, active, completed, failed, cancelled } = counts;
  return {
    queued: waiting + delayed + blocked,
    processing: active,
    completed,
    failed: failed + cancelled,
  };
}

/** `everything`: in the time range; `hours`: by the hour, as far back as they are kept. */
export function metricsOf(
  everything: StatsRow | undefined,
  hours: readonly StatsRow[],
): Metrics["stats"] {
  const { completed = 0, failed = 0, tokens = 0 } = everything ?? {};
  const ended = completed + failed;
  return {
    successRate: ended === 0 ? 1 : Math.round((completed / ended) * 10_000) / 10_000,
    avgDuration: Math.round(everything?.durationAvg ?? 0),
    minDuration: everything?.durationMin ?? 0,
    maxDuration: everything?.durationMax ?? 0,
    totalTokens: tokens,
    hourlyBreakdown: hours
      .filter((row) => row.completed + row.failed > 0)
      .map((row) => ({
        hour: iso(Number(row.key)),
        completed: row.completed,
        failed: row.failed,
        avgDuration: Math.round(row.durationAvg ?? 0),
        tokens: row.tokens,
      })),
  };
}

function iso(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
