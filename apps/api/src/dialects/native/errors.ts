import { type ErrorCode, QueueError } from "@jobyard/core";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { BulkRefusal } from "../../bulk-refusal.ts";
import type { ApiContext } from "../../dialect.ts";
import { refusal, retryAfter } from "../../envelope.ts";
import type { RequestError, RequestFault } from "../../request-error.ts";
import type { NativeCode, Problem } from "./schemas/basics.ts";

interface Answer {
  readonly status: ContentfulStatusCode;
  readonly code: NativeCode;
  /** In place of the error's own, which is for the log. */
  readonly message?: string;
}

const answers: Readonly<Record<ErrorCode | RequestFault, Answer>> = {
  VALIDATION: { status: 400, code: "INVALID_JOB_DATA" },
  UNKNOWN_JOB_TYPE: { status: 400, code: "INVALID_JOB_TYPE" },
  JOB_NOT_FOUND: { status: 404, code: "JOB_NOT_FOUND" },
  QUEUE_NOT_FOUND: { status: 404, code: "QUEUE_NOT_FOUND" },
  SCHEDULE_NOT_FOUND: { status: 404, code: "SCHEDULE_NOT_FOUND" },
  WEBHOOK_NOT_FOUND: { status: 404, code: "WEBHOOK_NOT_FOUND" },
  INVALID_STATE: { status: 409, code: "INVALID_STATE" },
  DUPLICATE_JOB: { status: 409, code: "DUPLICATE_JOB" },
  DUPLICATE_SCHEDULE: { status: 409, code: "DUPLICATE_SCHEDULE" },
  DEPENDENCY_NOT_FOUND: { status: 400, code: "INVALID_JOB_DATA" },
  DEPENDENCY_CYCLE: { status: 400, code: "INVALID_JOB_DATA" },
  STALE_LEASE: { status: 409, code: "STALE_LEASE" },
  PAYLOAD_TOO_LARGE: { status: 413, code: "INVALID_JOB_DATA" },
  LIMIT_REACHED: { status: 429, code: "QUEUE_FULL" },
  RATE_LIMITED: { status: 429, code: "RATE_LIMIT_EXCEEDED" },
  WAIT_TIMEOUT: { status: 408, code: "JOB_TIMEOUT" },
  UNAVAILABLE: {
    status: 503,
    code: "SYSTEM_ERROR",
    message: "The service cannot serve this request now. Try again later",
  },
  INTERNAL: {
    status: 500,
    code: "SYSTEM_ERROR",
    message: "Something went wrong here; the log has more under this id",
  },
  UNAUTHENTICATED: { status: 401, code: "AUTHENTICATION_ERROR" },
  FORBIDDEN: { status: 403, code: "AUTHORIZATION_ERROR" },
  FILE_NOT_FOUND: { status: 404, code: "FILE_NOT_FOUND" },
  ROUTE_NOT_FOUND: { status: 404, code: "NOT_FOUND" },
  METHOD_NOT_ALLOWED: { status: 405, code: "METHOD_NOT_ALLOWED" },
};

/** What v1 calls a state that forbids what was asked. */
const stateCodes: Readonly<Record<string, NativeCode>> = {
  cancelJob: "JOB_NOT_CANCELLABLE",
  retryJob: "JOB_NOT_RETRYABLE",
};

/** An error in the envelope. */
export function refuse(error: QueueError | RequestError, c: ApiContext): Response {
  if (!(error instanceof QueueError)) {
    const { status, code } = answers[error.fault];
    return c.json(refusal(error.message, { code }), status, { ...error.headers });
  }
  const { status } = answers[error.code];
  const { message, ...details } = problemOf(error);
  const { state, progress, limitBytes } = error.details;
  const operation = c.get("operation") ?? "";
  const stateCode = stateCodes[operation] ?? details.code;
  const body = refusal(message, {
    ...details,
    ...(error.code === "INVALID_STATE" && { code: stateCode }),
    ...(error.code === "JOB_NOT_FOUND" && { jobId: c.get("jobId") }),
    ...(error.code === "INTERNAL" && { id: c.get("requestId") }),
    ...(state !== undefined && { state }),
    ...(progress !== undefined && { progress }),
    ...(limitBytes !== undefined && { limitBytes }),
    ...(operation === "addJobs" && { index: error.details.index }),
    ...(error instanceof BulkRefusal && { report: error.report }),
  });
  return c.json(body, status, retryAfter(error, status));
}

/** Why one item of a batch was refused, or a call as a whole. */
export function problemOf(error: QueueError): Problem {
  const { code, message } = answers[error.code];
  const { errors, existingId } = error.details;
  const [first] = errors ?? [];
  return {
    code,
    message:
      message ??
      // The words of the request's checks do not name what is wrong.
      (first === undefined ? error.message : `${first.field}: ${first.message}`),
    ...(errors !== undefined && { errors: [...errors] }),
    ...(existingId !== undefined && { jobId: String(existingId) }),
  };
}
