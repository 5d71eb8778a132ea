import { type ErrorCode, QueueError } from "@jobyard/core";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { BulkRefusal } from "../../bulk-refusal.ts";
import type { ApiContext } from "../../dialect.ts";
import { retryAfter } from "../../envelope.ts";
import type { RequestError, RequestFault } from "../../request-error.ts";
import { statusNamed } from "./mapping.ts";
import type { BulkResult, Refusal, WellflowCode } from "./schemas.ts";

type Details = NonNullable<Refusal["error"]["details"]>;

interface Answer {
  readonly status: ContentfulStatusCode;
  readonly code: WellflowCode;
  /** Absent: the error's own. */
  readonly message?: string;
  readonly details?: (error: QueueError, requestId: string) => Details | undefined;
}

const invalid: Answer = {
  status: 400,
  code: "VALIDATION_ERROR",
  details: ({ message, details }) => fieldsOf(details.errors ?? [{ field: "data", message }]),
};

const duplicate: Answer = {
  status: 409,
  code: "DUPLICATE_JOB",
  details: ({ details: { existingId } }) =>
    existingId === undefined ? {} : { jobId: String(existingId) },
};

const answers: Readonly<Record<ErrorCode | RequestFault, Answer>> = {
  VALIDATION: { ...invalid, message: "Invalid request data" },
  UNKNOWN_JOB_TYPE: invalid,
  JOB_NOT_FOUND: { status: 404, code: "JOB_NOT_FOUND" },
  QUEUE_NOT_FOUND: { status: 404, code: "QUEUE_NOT_FOUND" },
  SCHEDULE_NOT_FOUND: { status: 404, code: "SCHEDULE_NOT_FOUND" },
  WEBHOOK_NOT_FOUND: { status: 404, code: "WEBHOOK_NOT_FOUND" },
  FILE_NOT_FOUND: { status: 404, code: "NOT_FOUND" },
  INVALID_STATE: {
    status: 409,
    code: "INVALID_STATE",
    details: ({ details: { state } }) => ({ status: statusNamed(state) }),
  },
  DUPLICATE_JOB: duplicate,
  DUPLICATE_SCHEDULE: duplicate,
  DEPENDENCY_NOT_FOUND: invalid,
  DEPENDENCY_CYCLE: invalid,
  STALE_LEASE: { status: 409, code: "INVALID_STATE" },
  PAYLOAD_TOO_LARGE: { ...invalid, status: 413 },
  LIMIT_REACHED: { status: 429, code: "RATE_LIMIT_EXCEEDED" },
  RATE_LIMITED: { status: 429, code: "RATE_LIMIT_EXCEEDED" },
  WAIT_TIMEOUT: { status: 408, code: "SYSTEM_ERROR" },
  // What is wrong with the store is for the log.
  UNAVAILABLE: {
    status: 503,
    code: "SYSTEM_ERROR",
    message: "The service cannot serve this request now. Try again later",
    details: (error) =>
      error instanceof BulkRefusal ? { report: error.report as BulkResult } : undefined,
  },
  INTERNAL: {
    status: 500,
    code: "SYSTEM_ERROR",
    message: "Something went wrong here; the log has more under this id",
    details: (_, requestId) => ({ id: requestId }),
  },
  UNAUTHENTICATED: { status: 401, code: "AUTHENTICATION_ERROR" },
  FORBIDDEN: { status: 403, code: "AUTHORIZATION_ERROR" },
  ROUTE_NOT_FOUND: { status: 404, code: "NOT_FOUND" },
  METHOD_NOT_ALLOWED: { status: 405, code: "METHOD_NOT_ALLOWED" },
};

/** An error in WellFlow's envelope. */
export function refuse(error: QueueError | RequestError, c: ApiContext): Response {
  const known = error instanceof QueueError;
  const { status, code, message, details } = answers[known ? error.code : error.fault];
  const told = known ? details?.(error, c.get("requestId")) : undefined;
  const body: Refusal = {
    success: false,
    error: {
      code,
      message: message ?? error.message,
      ...(told === undefined ? {} : { details: told }),
    },
  };
  return c.json(body, status, known ? retryAfter(error, status) : { ...error.headers });
}

/** One of several jobs that was refused. */
export function refusedJob(error: QueueError): {
  readonly code: WellflowCode;
  readonly message: string;
} {
  const { code, message } = answers[error.code];
  const [first] = error.code === "VALIDATION" ? (error.details.errors ?? []) : [];
  if (first !== undefined) return { code, message: `${first.field}: ${first.message}` };
  return { code, message: message ?? error.message };
}

function fieldsOf(
  errors: readonly { readonly field: string; readonly message: string }[],
): Details {
  const told = errors.map(({ field, message }) => ({ field, reason: message }));
  return { ...told[0], errors: told };
}
