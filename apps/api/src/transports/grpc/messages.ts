import { attemptsStarted, parseJson, QueueError, toHigherFirst } from "@jobyard/core";
import { type LoadedJob, wholePercent } from "../../dialects/flashq/mapping.ts";
import type { FlashqState } from "../../dialects/flashq/schemas.ts";

/** Requests as protobuf reads them: every field is there but those that are optional. */

export interface JobInputMessage {
  readonly data: Buffer;
  readonly priority: number;
  readonly delay_ms: number;
  readonly ttl_ms: number;
  readonly timeout_ms: number;
  readonly max_attempts: number;
  readonly backoff_ms: number;
  readonly unique_key?: string;
  readonly depends_on: readonly number[];
  readonly lifo: boolean;
}

export interface PushRequest extends JobInputMessage {
  readonly queue: string;
}

export interface PushBatchRequest {
  readonly queue: string;
  readonly jobs: readonly JobInputMessage[];
}

export interface PullRequest {
  readonly queue: string;
  readonly worker?: string;
}

export interface PullBatchRequest extends PullRequest {
  readonly count: number;
}

export interface AckRequest {
  readonly id: number;
  readonly result?: Buffer;
  readonly lease?: string;
}

export interface AckBatchRequest {
  readonly ids: readonly number[];
}

export interface FailRequest {
  readonly id: number;
  readonly error?: string;
  readonly lease?: string;
}

export interface GetStateRequest {
  readonly id: number;
}

export interface StreamJobsRequest {
  readonly queue: string;
  readonly batch_size: number;
  readonly prefetch: number;
}

export interface JobResult {
  readonly id: number;
  readonly success: boolean;
  readonly result?: Buffer;
  readonly error?: string;
}

/** As flashQ's commands take it. */
export async function jobInput(message: JobInputMessage, place = ""): Promise<object> {
  const { priority, delay_ms, ttl_ms, timeout_ms, max_attempts, backoff_ms } = message;
  const { data, unique_key, depends_on, lifo } = message;
  return {
    data: await jsonOf(data, `${place}data`),
    priority,
    lifo,
    ...(delay_ms === 0 ? {} : { delay: delay_ms }),
    ...(ttl_ms === 0 ? {} : { ttl: ttl_ms }),
    ...(timeout_ms === 0 ? {} : { timeout: timeout_ms }),
    ...(max_attempts === 0 ? {} : { max_attempts }),
    ...(backoff_ms === 0 ? {} : { backoff: backoff_ms }),
    ...(unique_key === undefined ? {} : { unique_key }),
    ...(depends_on.length === 0 ? {} : { depends_on }),
  };
}

/** Of a long text; more would take minutes and gigabytes to parse. */
const MAX_VALUES = 1_000_000;

/** @throws QueueError VALIDATION, PAYLOAD_TOO_LARGE */
export async function jsonOf(bytes: Buffer, field: string): Promise<unknown> {
  if (bytes.length === 0) throw invalid(field, "Required field missing");
  const parsed = await parseJson(bytes, { maxValues: MAX_VALUES });
  if ("value" in parsed) return parsed.value;
  if (parsed.fault === "too many values") {
    throw new QueueError("PAYLOAD_TOO_LARGE", `${field} holds more than ${MAX_VALUES} values`);
  }
  throw invalid(field, parsed.fault === "not UTF-8" ? "Must be UTF-8" : "Must be JSON");
}

export function invalid(field: string, message: string): QueueError {
  return new QueueError("VALIDATION", `${field}: ${message}`, { errors: [{ field, message }] });
}

export function jobMessage({ job, data }: LoadedJob): { readonly data: Buffer } {
  const { uniqueKey, progressMessage, lease } = job;
  const message = {
    id: job.id,
    queue: job.queue,
    data: Buffer.from(data),
    priority: toHigherFirst(job.priority),
    created_at: job.createdAt,
    run_at: job.runAt,
    started_at: job.startedAt ?? 0,
    attempts: attemptsStarted(job),
    max_attempts: job.maxAttempts,
    backoff: job.backoffMs,
    ttl: job.ttlMs ?? 0,
    timeout: job.timeoutMs ?? 0,
    depends_on: job.dependsOn,
    progress: wholePercent(job),
    lifo: job.lifo,
    ...(uniqueKey === null ? {} : { unique_key: uniqueKey }),
    ...(progressMessage === null ? {} : { progress_msg: progressMessage }),
    ...(lease === undefined ? {} : { lease }),
  };
  return message;
}

export const stateNames: Readonly<Record<FlashqState, string>> = {
  waiting: "JOB_STATE_WAITING",
  delayed: "JOB_STATE_DELAYED",
  active: "JOB_STATE_ACTIVE",
  completed: "JOB_STATE_COMPLETED",
  failed: "JOB_STATE_FAILED",
  "waiting-children": "JOB_STATE_WAITING_CHILDREN",
};
