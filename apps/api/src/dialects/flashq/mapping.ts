import {
  attemptsStarted,
  fromHigherFirst,
  isHeard,
  type Job,
  type JobState,
  type NewJob,
  parseJobId,
  QueueError,
  type QueueInfo,
  type ScheduleRecord,
  type StateCounts,
  type StatsRow,
  toHigherFirst,
  type WebhookRecord,
  type WorkerRecord,
} from "@jobyard/core";
import type { RecentSpan } from "../../recent-figures.ts";
import type { FlashqState, JobInput } from "./schemas.ts";

/** A job with what it carries as JSON text. */
export interface LoadedJob {
  readonly job: Job & { readonly lease?: string };
  readonly data: string;
}

const stateOf: Readonly<Record<JobState, FlashqState>> = {
  waiting: "waiting",
  delayed: "delayed",
  blocked: "waiting-children",
  active: "active",
  completed: "completed",
  failed: "failed",
  cancelled: "failed",
};

export function flashqState(state: JobState): FlashqState {
  return stateOf[state];
}

export function statesOf(state: FlashqState): readonly JobState[] {
  return (Object.keys(stateOf) as JobState[]).filter((own) => stateOf[own] === state);
}

const origin = Object.freeze({ via: "flashq" });

/** What is absent, null or, where 0 stands for none on the wire, 0 is left to the queue's default. */
export function newJob(queue: string, input: JobInput): NewJob {
  const { priority, delay, ttl, timeout, max_attempts, backoff } = input;
  const { unique_key, depends_on, tags, lifo } = input;
  const job: { -readonly [Field in keyof NewJob]: NewJob[Field] } = {
    queue,
    data: input.data,
    origin,
  };
  if (priority != null) job.priority = innerPriority(priority);
  if (delay != null) job.delayMs = delay;
  if (ttl != null && ttl !== 0) job.ttlMs = ttl;
  if (timeout != null && timeout !== 0) job.timeoutMs = timeout;
  if (max_attempts != null) job.maxAttempts = max_attempts;
  if (backoff != null) job.backoffMs = backoff;
  if (unique_key != null) job.uniqueKey = unique_key;
  if (depends_on != null) job.dependsOn = depends_on.map(dependency);
  if (tags != null) job.tags = tags;
  if (lifo != null) job.lifo = lifo;
  return job;
}

/** Out of range it stays what it is, for core to refuse. */
export function innerPriority(priority: number): number {
  return fromHigherFirst(priority) ?? priority;
}

function dependency(spelling: number | string, index: number): number {
  const id = parseJobId(spelling);
  if (id !== null) return id;
  const error = { field: `depends_on[${index}]`, message: "Must be a job's id" };
  throw new QueueError("VALIDATION", `${error.field}: ${error.message}`, { errors: [error] });
}

/**
 * A job as JSON text: its data goes in as the text it is stored as. `more` follows as further members, in the same form:
 * `,"name":value`.
 */
export function jobText({ job, data }: LoadedJob, more = ""): string {
  return `${beforeData(job)}${data}${afterData(job)}${more}}`;
}

/** As `jobText`, of job after job: what follows their data is spelt anew only where it differs. */
export function jobTexts(): (loaded: LoadedJob, more?: string) => string {
  let last: LoadedJob["job"] | undefined;
  let after = "";
  return ({ job, data }: LoadedJob, more = ""): string => {
    if (last === undefined || !isAlikeAfterData(job, last)) after = afterData(job);
    last = job;
    return `${beforeData(job)}${data}${after}${more}}`;
  };
}

/** The text of a job, without the brace at its end, before its data and after it. */
export function aroundData(job: LoadedJob["job"]): readonly [before: string, after: string] {
  return [beforeData(job), afterData(job)];
}

function beforeData({ id, queue }: LoadedJob["job"]): string {
  return `{"id":${id},"queue":"${queue}","data":`;
}

function afterData(job: LoadedJob["job"]): string {
  const { uniqueKey, progressMessage, lease } = job;
  return [
    `,"priority":${toHigherFirst(job.priority)},"created_at":${job.createdAt}`,
    `,"run_at":${job.runAt},"started_at":${job.startedAt ?? 0}`,
    `,"attempts":${attemptsStarted(job)},"max_attempts":${job.maxAttempts}`,
    `,"backoff":${job.backoffMs},"ttl":${job.ttlMs ?? 0},"timeout":${job.timeoutMs ?? 0}`,
    uniqueKey === null ? "" : `,"unique_key":${JSON.stringify(uniqueKey)}`,
    `,"depends_on":[${job.dependsOn.join()}],"progress":${wholePercent(job)}`,
    progressMessage === null ? "" : `,"progress_msg":${JSON.stringify(progressMessage)}`,
    `,"tags":${job.tags.length === 0 ? "[]" : JSON.stringify(job.tags)},"lifo":${job.lifo}`,
    lease === undefined ? "" : `,"lease":${JSON.stringify(lease)}`,
  ].join("");
}

function isAlikeAfterData(a: LoadedJob["job"], b: LoadedJob["job"]): boolean {
  return (
    a.priority === b.priority &&
    a.createdAt === b.createdAt &&
    a.runAt === b.runAt &&
    a.startedAt === b.startedAt &&
    a.state === b.state &&
    a.attemptsMade === b.attemptsMade &&
    a.maxAttempts === b.maxAttempts &&
    a.backoffMs === b.backoffMs &&
    a.ttlMs === b.ttlMs &&
    a.timeoutMs === b.timeoutMs &&
    a.uniqueKey === b.uniqueKey &&
    a.dependsOn === b.dependsOn &&
    a.progress === b.progress &&
    a.progressMessage === b.progressMessage &&
    a.tags === b.tags &&
    a.lifo === b.lifo &&
    a.lease === b.lease
  );
}

/** Clients take it for a small whole number. */
export function wholePercent({ progress }: Pick<Job, "progress">): number {
  return Math.floor(progress);
}

/** In the place of what is too long for an answer: where it can be read. */
export function referenceText(path: string, bytes: number): string {
  return JSON.stringify({ $ref: path, bytes });
}

/** Why a job failed, as lists and single jobs show it; undefined while it has not. */
export function failureOf({ state, error }: Pick<Job, "state" | "error">): string | undefined {
  if (state === "cancelled") return error?.message ?? "cancelled";
  return state === "failed" ? (error?.message ?? "failed") : undefined;
}

export interface WebhookView {
  readonly id: number;
  readonly url: string;
  readonly events: readonly string[];
  readonly queue: string | null;
  readonly signed: boolean;
  readonly enabled: boolean;
  readonly created_at: number;
}

/** Without its secret. */
export function webhookView(webhook: WebhookRecord): WebhookView {
  const { id, url, events, queue, secret, createdAt } = webhook;
  return {
    id,
    url,
    events,
    queue,
    signed: secret !== null,
    enabled: isHeard(webhook),
    created_at: createdAt,
  };
}

export interface QueueView {
  readonly name: string;
  readonly pending: number;
  readonly processing: number;
  readonly dlq: number;
  readonly paused: boolean;
  readonly rate_limit: number | null;
  readonly concurrency_limit: number | null;
}

/** One for each name; who sees several tenants' queues of one name sees their sum, and the settings of its own. */
export function queueViews(queues: readonly QueueInfo[], home: string): readonly QueueView[] {
  const byName = new Map<string, QueueView>();
  for (const { tenant, queue, counts, paused, rateLimit, concurrency } of queues) {
    const known = byName.get(queue);
    const settings =
      known === undefined || tenant === home
        ? { paused, rate_limit: rateLimit, concurrency_limit: concurrency }
        : undefined;
    byName.set(queue, {
      name: queue,
      pending: (known?.pending ?? 0) + counts.waiting + counts.delayed + counts.blocked,
      processing: (known?.processing ?? 0) + counts.active,
      dlq: (known?.dlq ?? 0) + counts.failed,
      ...((settings ?? known) as Pick<QueueView, "paused" | "rate_limit" | "concurrency_limit">),
    });
  }
  return [...byName.values()];
}

export interface StatsView {
  readonly queued: number;
  readonly processing: number;
  readonly delayed: number;
  readonly dlq: number;
}

export function statsView(counts: StateCounts): StatsView {
  return {
    queued: counts.waiting + counts.blocked,
    processing: counts.active,
    delayed: counts.delayed,
    dlq: counts.failed,
  };
}

export interface MetricsView {
  readonly total_pushed: number;
  readonly total_completed: number;
  readonly total_failed: number;
  readonly jobs_per_second: number;
  readonly avg_latency_ms: number;
  readonly queues: readonly Pick<QueueView, "name" | "pending" | "processing" | "dlq">[];
}

export function metricsView(from: {
  /** Since ever. */
  readonly everything: StatsRow | undefined;
  /** Since `recentMs` ago. */
  readonly recent: StatsRow | undefined;
  readonly recentMs: number;
  readonly queues: readonly QueueView[];
}): MetricsView {
  const { everything, recent, recentMs, queues } = from;
  return {
    total_pushed: everything?.added ?? 0,
    total_completed: everything?.completed ?? 0,
    total_failed: everything?.failed ?? 0,
    jobs_per_second: rounded(((recent?.completed ?? 0) / recentMs) * 1000, 2),
    avg_latency_ms: rounded(everything?.durationAvg ?? 0, 2),
    queues: queues.map(({ name, pending, processing, dlq }) => ({
      name,
      pending,
      processing,
      dlq,
    })),
  };
}

export interface CronView {
  readonly name: string;
  readonly queue: string;
  readonly data: unknown;
  readonly schedule: string;
  readonly priority: number;
  readonly next_run: number | null;
}

export function cronView({ name, queue, cron, template, nextRun }: ScheduleRecord): CronView {
  const { data = null, priority = 0 } = JSON.parse(template) as Partial<NewJob>;
  return {
    name,
    queue,
    data,
    schedule: cron,
    priority: toHigherFirst(priority),
    next_run: nextRun,
  };
}

export interface WorkerView {
  readonly id: string;
  readonly queues: readonly string[];
  readonly concurrency: number;
  readonly last_heartbeat: number;
  readonly jobs_processed: number;
}

export function workerView(worker: WorkerRecord): WorkerView {
  const { id, queues, concurrency, lastHeartbeat, jobsProcessed } = worker;
  return {
    id,
    queues,
    concurrency,
    last_heartbeat: lastHeartbeat,
    jobs_processed: jobsProcessed,
  };
}

/** Of the history: its time is the end of a span, what was counted is of the span alone. */
export function historyPoint({ start, end, figures, active, queued }: RecentSpan) {
  const { completed, failed, durationAvg } = figures;
  return {
    timestamp: end,
    queued,
    processing: active,
    completed,
    failed,
    throughput: rounded((completed / Math.max(1, end - start)) * 1000, 2),
    latency_ms: rounded(durationAvg ?? 0, 2),
  };
}

function rounded(value: number, places: number): number {
  const scale = 10 ** places;
  return Math.round(value * scale) / scale;
}
