import { type ErrorCode, QueueError } from "@jobyard/core";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ApiContext } from "../../dialect.ts";
import { retryAfter } from "../../envelope.ts";
import type { RequestError, RequestFault } from "../../request-error.ts";
import type { BatchCode, Refusal } from "./schemas.ts";

interface Answer {
  readonly status: ContentfulStatusCode;
  readonly code: BatchCode;
  /** Absent: the error's own. */
  readonly message?: (error: QueueError, requestId: string) => string;
}

const MAX_FIELDS_TOLD = 10;

const invalid: Answer = {
  status: 400,
  code: "VALIDATION_ERROR",
  message: ({ message, details: { errors = [] } }) => {
    if (errors.length === 0) return message;
    const told = errors
      .slice(0, MAX_FIELDS_TOLD)
      .map(({ field, message: why }) => `${field}: ${why}`);
    const rest = errors.length - told.length;
    return [...told, ...(rest > 0 ? [`and ${rest} more fields`] : [])].join("; ");
  },
};

const unknown: Answer = { status: 404, code: "NOT_FOUND" };
const duplicate: Answer = { status: 409, code: "DUPLICATE_JOB" };

const answers: Readonly<Record<ErrorCode | RequestFault, Answer>> = {
  VALIDATION: invalid,
  UNKNOWN_JOB_TYPE: invalid,
  JOB_NOT_FOUND: { status: 404, code: "JOB_NOT_FOUND" },
  QUEUE_NOT_FOUND: unknown,
  SCHEDULE_NOT_FOUND: unknown,
  WEBHOOK_NOT_FOUND: unknown,
  FILE_NOT_FOUND: unknown,
  INVALID_STATE: { status: 409, code: "INVALID_STATE" },
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
    message: () => "The service cannot serve this request now. Try again later",
  },
  INTERNAL: {
    status: 500,
    code: "SYSTEM_ERROR",
    message: (_, requestId) =>
      `Something went wrong here; the log has more under the id ${requestId}`,
  },
  UNAUTHENTICATED: { status: 401, code: "AUTHENTICATION_ERROR" },
  FORBIDDEN: { status: 403, code: "AUTHORIZATION_ERROR" },
  ROUTE_NOT_FOUND: unknown,
  METHOD_NOT_ALLOWED: { status: 405, code: "METHOD_NOT_ALLOWED" },
};

/** An error in the batch dialect's envelope. */
export function refuse(error: QueueError | RequestError, c: ApiContext): Response {
  const known = error instanceof QueueError;
  const { status, code, message } = answers[known ? error.code : error.fault];
  const told = known && message !== undefined ? message(error, c.get("requestId")) : error.message;
  const body: Refusal = { success: false, error: told, code };
  return c.json(body, status, known ? retryAfter(error, status) : { ...error.headers });
}
