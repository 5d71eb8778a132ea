import {
  fromOneBased,
  isHeard,
  type Job,
  type JobState,
  jobTypeOf,
  jobTypes,
  jobTypesTaking,
  type NewJob,
  type Payload,
  QueueError,
  type QueueInfo,
  type ScheduleRecord,
  type StateCounts,
  type StatsRow,
  toOneBased,
  type WebhookRecord,
} from "@jobyard/core";
import type {
  JobView,
  JobStatus,
  NewJobBody,
  QueueMetrics,
  QueueView,
  ScheduleView,
  Status,
  Timeframe,
  WebhookView,
} from "./schemas.ts";

/** Marks what was added here, so that it is shown as it was sent. */
const VIA = "wellflow";
/** Runs in all, where a job says nothing. */
const ATTEMPTS = 3;
/** Of a webhook's payloads. */
export const WEBHOOK_SHAPE = "wellflow";

const HOUR_MS = 3_600_000;

export const timeframeMs: Readonly<Record<Timeframe, number>> = {
  "1h": HOUR_MS,
  "24h": 24 * HOUR_MS,
  "7d": 7 * 24 * HOUR_MS,
  "30d": 30 * 24 * HOUR_MS,
};

const statusOfState: Readonly<Record<JobState, Status>> = {
  waiting: "waiting",
  delayed: "delayed",
  blocked: "waiting",
  active: "active",
  completed: "completed",
  failed: "failed",
  cancelled: "failed",
};

function statusOf(state: JobState): Status {
  return statusOfState[state];
}

/** Of a state that an error tells. */
export function statusNamed(state: string | undefined): string | undefined {
  return state !== undefined && Object.hasOwn(statusOfState, state)
    ? statusOfState[state as JobState]
    : state;
}

export function statesOf(status: Status): JobState[] {
  return (Object.keys(statusOfState) as JobState[]).filter((state) => statusOf(state) === status);
}

export function statusCounts(counts: readonly StateCounts[]): Record<Status, number> {
  const sums = { waiting: 0, active: 0, completed: 0, failed: 0, delayed: 0 };
  for (const one of counts) {
    for (const state of Object.keys(statusOfState) as JobState[])
      sums[statusOf(state)] += one[state];
  }
  return sums;
}

// ---- queues

/** One queue from the infos of its name: a caller that sees every tenant sees their queues together. */
export function queueView(name: string, infos: readonly QueueInfo[]): QueueView {
  return {
    name,
    ...statusCounts(infos.map(({ counts }) => counts)),
    paused: infos.length > 0 && infos.every(({ paused }) => paused),
  };
}

/** All queues there are: those with a job type first, in the types' order. */
export function queuesByName(
  infos: readonly QueueInfo[],
): ReadonlyMap<string, readonly QueueInfo[]> {
  const byName = new Map<string, QueueInfo[]>(Object.keys(jobTypes).map((name) => [name, []]));
  for (const info of infos) {
    const known = byName.get(info.queue);
    if (known === undefined) byName.set(info.queue, [info]);
    else known.push(info);
  }
  return byName;
}

// ---- jobs

export function newJob(queue: string, { name, data, opts = {} }: NewJobBody): NewJob {
  const { priority = 0, delay, attempts = ATTEMPTS } = opts;
  return {
    queue,
    data,
    ...(name === undefined ? {} : { name }),
    // Out of range it stays what it is, for core to refuse.
    priority: fromOneBased(priority) ?? priority,
    ...(delay === undefined ? {} : { delayMs: delay }),
    maxAttempts: attempts,
    origin: { via: VIA, priority },
  };
}

/**
 * Data and results as JSON text for one answer: what is above 1 MB, or would make the answer too long, is told by a
 * reference.
 */
export class PayloadBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  text(job: Job, which: "data" | "result"): string {
    const payload: Payload | null = job[which];
    if (payload === null) return "null";
    if (typeof payload === "string" && payload.length <= this.#left) {
      this.#left -= payload.length;
      return payload;
    }
    const bytes = typeof payload === "string" ? Buffer.byteLength(payload) : payload.bytes;
    return JSON.stringify({ href: `/api/native/jobs/${job.id}/${which}`, bytes });
  }
}

/** As JSON text: data and result go through as the texts that they are stored as. */
export function jobText(job: Job, budget: PayloadBudget): string {
  const view: Omit<JobView, "data" | "returnvalue"> = {
    id: String(job.id),
    name: job.name ?? job.queue,
    opts: { attempts: job.maxAttempts, delay: job.delayMs, priority: priorityOf(job) },
    progress: progressOf(job),
    delay: job.delayMs,
    timestamp: job.createdAt,
    attemptsMade: job.attemptsMade,
    stacktrace: job.error?.stack === undefined ? [] : [job.error.stack],
    finishedOn: job.finishedAt,
    processedOn: job.startedAt,
    ...failureOf(job, "failedReason"),
  };
  const payloads = `"data":${budget.text(job, "data")},"returnvalue":${budget.text(job, "result")}`;
  return `${JSON.stringify(view).slice(0, -1)},${payloads}}`;
}

/** As sent, if it was sent here. */
function priorityOf({ origin, priority }: Job): number {
  const sent = origin?.via === VIA ? origin.priority : undefined;
  return typeof sent === "number" ? sent : toOneBased(priority);
}

function progressOf({ state, progress }: Job): number {
  return state === "completed" ? 100 : rounded(progress, 1);
}

function failureOf<Field extends string>(job: Job, field: Field): Partial<Record<Field, string>> {
  if (statusOf(job.state) !== "failed") return {};
  return { [field]: job.error?.message ?? job.state } as Record<Field, string>;
}

export function statusText(job: Job, budget: PayloadBudget): string {
  const status = statusOf(job.state);
  const view: JobStatus = {
    jobId: String(job.id),
    status,
    progress: progressOf(job),
    ...failureOf(job, "error"),
  };
  const text = JSON.stringify(view);
  return status === "failed"
    ? text
    : `${text.slice(0, -1)},"result":${budget.text(job, "result")}}`;
}

/** Of an id that is no job's. */
export function unknownStatusText(spelt: string | number): string {
  const jobId = String(spelt).slice(0, 64).toWellFormed();
  const view: JobStatus = { jobId, status: "not_found", progress: 0, error: "Job not found" };
  return JSON.stringify(view);
}

// ---- schedules

/** The queue that recurring data are for. @throws QueueError VALIDATION when that cannot be told. */
export function queueFor(jobData: Readonly<Record<string, unknown>>): string {
  const { queue } = jobData;
  if (typeof queue === "string") return queue;
  if (queue === undefined) {
    const [type] = jobTypesTaking(jobData);
    if (type !== undefined) return type.name;
  }
  const message =
    queue === undefined
      ? "Is not what any job type takes: mend it, or name the queue in jobData.queue"
      : "Must be a queue's name";
  const field = queue === undefined ? "jobData" : "jobData.queue";
  throw new QueueError("VALIDATION", `${field}: ${message}`, { errors: [{ field, message }] });
}

export function scheduledJob(
  name: string,
  queue: string,
  data: Readonly<Record<string, unknown>>,
): NewJob {
  return newJob(queue, { name, data });
}

/** What a schedule adds from now on: other data, and all else as it was while they are for the same queue. */
export function rescheduledJob(
  name: string,
  soFar: NewJob,
  data: Readonly<Record<string, unknown>>,
): NewJob {
  const type = jobTypeOf(soFar.queue);
  const stays = data["queue"] === undefined && type?.data.safeParse(data).success !== false;
  const queue = stays ? soFar.queue : queueFor(data);
  return queue === soFar.queue ? { ...soFar, data } : scheduledJob(name, queue, data);
}

export function scheduleView(schedule: ScheduleRecord): ScheduleView {
  const { name, cron, enabled, timezone, description, nextRun, lastRun } = schedule;
  return {
    name,
    cron,
    enabled,
    timezone,
    description,
    nextRun: nextRun === null ? null : iso(nextRun),
    lastRun: lastRun === null ? null : iso(lastRun),
  };
}

// ---- figures

/** `row`: what happened within the timeframe; absent: nothing. */
export function metricsOf(row: StatsRow | undefined, timeframe: Timeframe): QueueMetrics {
  const { completed = 0, failed = 0, durationAvg = null } = row ?? {};
  return {
    processed: completed,
    failed,
    avgProcessingTime: rounded((durationAvg ?? 0) / 1000, 3),
    throughput: rounded(completed / (timeframeMs[timeframe] / HOUR_MS), 2),
    errorRate: completed === 0 ? (failed === 0 ? 0 : 100) : rounded((failed / completed) * 100, 2),
  };
}

export function webhookView(webhook: WebhookRecord): WebhookView {
  const { id, url, events, queue, createdAt } = webhook;
  const enabled = isHeard(webhook);
  return { id: String(id), url, events: [...events], queue, enabled, createdAt: iso(createdAt) };
}

export function rounded(value: number, places: number): number {
  const scale = 10 ** places;
  return Math.round(value * scale) / scale;
}

function iso(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
