import { randomUUID } from "node:crypto";
import { type ErrorCode, QueueError } from "@jobyard/core";
import type { Logger } from "@jobyard/core/process";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { RequestError, type RequestFault } from "../../request-error.ts";

/** What a caller is told, in every protocol. */
export interface Refusal {
  readonly fault: ErrorCode | RequestFault;
  readonly error: string;
  /** Of the job that holds the unique key. */
  readonly existing_id?: number;
}

/** As documented; absent: the error's own message. */
const texts: Readonly<Record<ErrorCode | RequestFault, string | undefined>> = {
  VALIDATION: undefined,
  UNKNOWN_JOB_TYPE: undefined,
  JOB_NOT_FOUND: undefined,
  QUEUE_NOT_FOUND: undefined,
  SCHEDULE_NOT_FOUND: undefined,
  WEBHOOK_NOT_FOUND: undefined,
  INVALID_STATE: undefined,
  DUPLICATE_JOB: "Duplicate job",
  DUPLICATE_SCHEDULE: undefined,
  DEPENDENCY_NOT_FOUND: undefined,
  DEPENDENCY_CYCLE: undefined,
  STALE_LEASE: undefined,
  PAYLOAD_TOO_LARGE: "Payload too large",
  LIMIT_REACHED: undefined,
  RATE_LIMITED: "Rate limited",
  WAIT_TIMEOUT: undefined,
  // What is wrong with the store is for the log.
  UNAVAILABLE: "The service cannot serve this request now. Try again later",
  INTERNAL: undefined,
  UNAUTHENTICATED: "Authentication required",
  FORBIDDEN: undefined,
  FILE_NOT_FOUND: undefined,
  ROUTE_NOT_FOUND: undefined,
  METHOD_NOT_ALLOWED: undefined,
};

/** Of HTTP answers. */
export const statuses: Readonly<Record<Refusal["fault"], ContentfulStatusCode>> = {
  VALIDATION: 400,
  UNKNOWN_JOB_TYPE: 400,
  JOB_NOT_FOUND: 404,
  QUEUE_NOT_FOUND: 404,
  SCHEDULE_NOT_FOUND: 404,
  WEBHOOK_NOT_FOUND: 404,
  INVALID_STATE: 409,
  DUPLICATE_JOB: 409,
  DUPLICATE_SCHEDULE: 409,
  DEPENDENCY_NOT_FOUND: 400,
  DEPENDENCY_CYCLE: 400,
  STALE_LEASE: 409,
  PAYLOAD_TOO_LARGE: 413,
  LIMIT_REACHED: 429,
  RATE_LIMITED: 429,
  WAIT_TIMEOUT: 408,
  UNAVAILABLE: 503,
  INTERNAL: 500,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  ROUTE_NOT_FOUND: 404,
  FILE_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
};

/** Core's names for what flashQ calls otherwise. */
const fields: Readonly<Record<string, string>> = {
  delayMs: "delay",
  ttlMs: "ttl",
  timeoutMs: "timeout",
  maxAttempts: "max_attempts",
  backoffMs: "backoff",
  uniqueKey: "unique_key",
  dependsOn: "depends_on",
  cron: "schedule",
};

export function refusalOf(error: QueueError | RequestError): Refusal {
  if (error instanceof RequestError) {
    return { fault: error.fault, error: texts[error.fault] ?? error.message };
  }
  const { code, details } = error;
  const { index, existingId } = details;
  const text =
    code === "VALIDATION" ? validationText(error) : `${texts[code] ?? error.message}${at(index)}`;
  return {
    fault: code,
    error: text,
    ...(existingId === undefined ? {} : { existing_id: existingId }),
  };
}

/** The first complaint, with the place in a batch. */
function validationText({ message, details: { errors, index } }: QueueError): string {
  const [first] = errors ?? [];
  if (first === undefined) return `${message}${at(index)}`;
  if (first.field === "queue" || first.field === "queues[0]")
    return `Invalid queue name: ${first.message}${at(index)}`;
  const [, name = "", rest = ""] = /^([A-Za-z]*)(.*)$/.exec(first.field) ?? [];
  const field = `${fields[name] ?? name}${rest}`;
  return `${index === undefined ? "" : `jobs[${index}].`}${field}: ${first.message}`;
}

function at(index: number | undefined): string {
  return index === undefined ? "" : ` (jobs[${index}])`;
}

/** As above, for whatever was thrown: what was not foreseen is logged, and told by where the log has more. */
export function refuse(thrown: unknown, log: Logger): Refusal {
  const expected = thrown instanceof QueueError || thrown instanceof RequestError;
  if (!expected || (thrown instanceof QueueError && thrown.code === "INTERNAL")) {
    const id = randomUUID();
    log.error({ id, err: thrown }, "A command failed unexpectedly");
    const error = `Something went wrong here; the log has more under the id ${id}`;
    return { fault: "INTERNAL", error };
  }
  if (thrown instanceof QueueError && thrown.code === "UNAVAILABLE") {
    log.warn({ err: thrown }, "The store could not serve a command");
  }
  return refusalOf(thrown);
}
