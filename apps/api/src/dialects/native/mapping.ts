import {
  type ErrorGroup,
  isHeard,
  type Job,
  type JobEvent,
  type JobFilter,
  type JobOutline,
  type JobRun,
  type NewJob,
  parseJobId,
  QueueError,
  type Payload,
  type QueueInfo,
  type WebhookRecord,
  type WorkerRecord,
} from "@jobyard/core";
import type { FileInfo } from "@jobyard/handlers";
import type { Attempt, Delivery } from "../../webhooks/deliveries.ts";
import { BASE } from "./operations/define.ts";
import type { JobFilterBody, JobView } from "./schemas/jobs.ts";
import type { QueueView } from "./schemas/queues.ts";

export function iso(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

export function isoOrNull(epochMs: number | null): string | null {
  return epochMs === null ? null : iso(epochMs);
}

/** Epoch ms of a moment that a schema has let through. */
export function epochOf(moment: string): number {
  return Date.parse(moment);
}

const origin = Object.freeze({ via: "native" });

/** As core takes it, and judges it: what is no job here is none there. */
export function newJob(body: unknown): NewJob {
  if (typeof body !== "object" || body === null) return body as never;
  const { queue, data = null, name, priority, lifo, delayMs, ttlMs, timeoutMs } = body as NewJob;
  const { maxAttempts, backoffMs, uniqueKey, dependsOn, tags, project, batch } = body as NewJob;
  // All fields in all jobs: objects of one shape are several times as fast to read.
  const job: Record<keyof NewJob, unknown> = {
    queue,
    data,
    name,
    priority,
    lifo,
    delayMs,
    ttlMs,
    timeoutMs,
    maxAttempts,
    backoffMs,
    uniqueKey,
    dependsOn: Array.isArray(dependsOn)
      ? dependsOn.map((on: unknown) => parseJobId(on) ?? on)
      : dependsOn,
    tags,
    project,
    batch,
    origin,
  };
  return job as NewJob;
}

type Defined<T> = { [Key in keyof T]: Exclude<T[Key], undefined> };

/** Without the fields that are undefined. */
export function defined<T extends object>(fields: T): Partial<Defined<T>> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Partial<Defined<T>>;
}

/** `data.wellId = WELL-1250`: a path, and a JSON value (quotes make a number a text) or else a text as it is. */
function payloadCondition(condition: string): NonNullable<JobFilter["payload"]> {
  const at = condition.indexOf("=");
  const path = condition.slice(0, at).trim();
  const text = condition.slice(at + 1).trim();
  if (at < 0) {
    const message = "Must be a path, = and a value, such as data.wellId = WELL-1250";
    throw new QueueError("VALIDATION", message, { errors: [{ field: "payload", message }] });
  }
  return { path, equals: scalarOf(text) };
}

function scalarOf(text: string): string | number | boolean | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? text : (value as string | number);
  } catch {
    return text;
  }
}

/** No job has it. */
const NO_JOB = Number.MAX_SAFE_INTEGER;

export function jobFilter(body: JobFilterBody): Omit<JobFilter, "tenant"> {
  const { queue, state, id, error, errorGroup } = body;
  const { name, tag, project, batch, schedule } = body;
  const { priorityMin: min, priorityMax: max, createdFrom, createdTo, payload } = body;
  return {
    ...defined({ queues: queue, states: state, error, errorGroup }),
    ...defined({ name, tag, project, batch, schedule }),
    // What is no id is the id of no job.
    ...(id !== undefined && { ids: id.map((one) => parseJobId(one) ?? NO_JOB) }),
    ...(payload !== undefined && { payload: payloadCondition(payload) }),
    ...((min ?? max) !== undefined && { priority: defined({ min, max }) }),
    ...((createdFrom ?? createdTo) !== undefined && {
      created: defined({
        from: createdFrom === undefined ? undefined : epochOf(createdFrom),
        to: createdTo === undefined ? undefined : epochOf(createdTo),
      }),
    }),
  };
}

/** A job without its data and result. */
export function jobView(job: JobOutline): JobView {
  const { stats } = job;
  return {
    id: String(job.id),
    tenant: job.tenant,
    queue: job.queue,
    name: job.name,
    state: job.state,
    priority: job.priority,
    lifo: job.lifo,
    progress: job.state === "completed" ? 100 : job.progress,
    progressMessage: job.progressMessage,
    stats: stats === null ? null : { ...stats, estimatedEnd: isoOrNull(stats.estimatedEnd) },
    createdAt: iso(job.createdAt),
    runAt: iso(job.runAt),
    startedAt: isoOrNull(job.startedAt),
    finishedAt: isoOrNull(job.finishedAt),
    attemptsMade: job.attemptsMade,
    maxAttempts: job.maxAttempts,
    crashes: job.crashes,
    delayMs: job.delayMs,
    backoffMs: job.backoffMs,
    ttlMs: job.ttlMs,
    timeoutMs: job.timeoutMs,
    uniqueKey: job.uniqueKey,
    dependsOn: job.dependsOn.map(String),
    tags: [...job.tags],
    project: job.project,
    batch: job.batch,
    worker: job.worker,
    error: job.error,
    addedVia: job.origin?.via ?? null,
    schedule: job.origin?.schedule ?? null,
  };
}

type Part = "data" | "result";

/** The job as JSON text: payloads go through as the text that they are, long ones as where they can be read. */
export function jobText(
  job: JobOutline & Partial<Job>,
  parts: readonly Part[],
  more: object = {},
): string {
  let text = JSON.stringify({ ...jobView(job), ...more });
  for (const part of parts) {
    const payload = job[part];
    if (payload != null) text = `${text.slice(0, -1)},${fieldOf(job.id, part, payload)}}`;
  }
  return text;
}

function fieldOf(id: number, part: Part, payload: Payload): string {
  if (typeof payload === "string") return `"${part}":${payload}`;
  const file = { href: `${BASE}/jobs/${id}/${part}`, bytes: payload.bytes };
  return `"${part}File":${JSON.stringify(file)}`;
}

export function runView({ number, worker, startedAt, endedAt, outcome, error, nextAt }: JobRun) {
  return {
    run: number,
    worker,
    startedAt: iso(startedAt),
    endedAt: isoOrNull(endedAt),
    outcome,
    error,
    nextAt: isoOrNull(nextAt),
  };
}

export function fileView({ name, size, modifiedAt, contentType }: FileInfo) {
  return { name, bytes: size, modifiedAt: iso(modifiedAt), contentType };
}

export function jobFileView(id: number, file: FileInfo) {
  return { ...fileView(file), href: `${BASE}/jobs/${id}/files/${file.name}` };
}

export function queueView(info: QueueInfo): QueueView {
  const { queue, tenant, typed, paused, rateLimit, concurrency, indexedPaths, counts } = info;
  const settings = { paused, rateLimit, concurrency, indexedPaths: [...indexedPaths] };
  return { name: queue, tenant, typed, ...settings, counts };
}

export function errorGroupView(group: ErrorGroup) {
  const { fingerprint, queue, message, count, sampleMessage, perHour } = group;
  return {
    group: fingerprint,
    queue,
    message,
    count,
    firstAt: iso(group.firstAt),
    lastAt: iso(group.lastAt),
    sampleJob: String(group.sampleId),
    sampleMessage,
    perHour,
  };
}

export function workerView(worker: WorkerRecord) {
  const { id, tenant, queues, concurrency, active, jobsProcessed } = worker;
  return {
    id,
    tenant,
    queues,
    concurrency,
    active,
    jobsProcessed,
    startedAt: iso(worker.startedAt),
    lastHeartbeatAt: iso(worker.lastHeartbeat),
    memoryBytes: worker.memoryBytes ?? null,
    eventLoopLagMs: worker.eventLoopLagMs ?? null,
  };
}

export function webhookView(webhook: WebhookRecord) {
  const { id, tenant, url, events, queue, secret, health, createdAt } = webhook;
  return {
    id: String(id),
    tenant,
    url,
    events,
    queue,
    signed: secret !== null,
    enabled: isHeard(webhook),
    disabledReason: health.disabled,
    failingSince: isoOrNull(health.failingSince),
    givenUp: health.givenUp,
    dropped: health.dropped,
    createdAt: iso(createdAt),
  };
}

export function deliveryView(delivery: Delivery) {
  const { id, event, jobId, state, attempts, createdAt, nextAttemptAt } = delivery;
  const last = attempts.at(-1);
  return {
    id: String(id),
    event,
    jobId: jobId === null ? null : String(jobId),
    state,
    attempts: attempts.length,
    status: last?.status ?? null,
    durationMs: last?.ms ?? null,
    error: last?.error ?? null,
    createdAt: iso(createdAt),
    lastAttemptAt: isoOrNull(last?.at ?? null),
    nextAttemptAt: isoOrNull(nextAttemptAt),
  };
}

export function attemptView({ at, ms, status, error, response }: Attempt) {
  return { at: iso(at), durationMs: ms, status, error, response };
}

export function eventView({ cursor, type, tenant, queue, jobId, at, ...rest }: JobEvent) {
  const job = jobId === null ? null : String(jobId);
  return { id: cursor, type, tenant, queue, jobId: job, at: iso(at), ...rest };
}
