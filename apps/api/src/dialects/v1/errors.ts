import { type ErrorCode, formatUuid, jobStates, QueueError } from "@jobyard/core";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ApiContext } from "../../dialect.ts";
import { refusal, retryAfter } from "../../envelope.ts";
import type { RequestError, RequestFault } from "../../request-error.ts";
import { statusOf, v1Types } from "./mapping.ts";
import { operations } from "./operations.ts";

interface Answer {
  readonly status: ContentfulStatusCode;
  readonly code: string;
  /** As documented; absent: the error's own. */
  readonly message?: string;
  /** In `details`, beside the code. */
  readonly details?: (error: QueueError, c: ApiContext) => Record<string, unknown>;
}

const notFound: Answer = { status: 404, code: "JOB_NOT_FOUND" };

const invalidData: Answer = {
  status: 400,
  code: "INVALID_JOB_DATA",
  message: "Invalid job data",
  details: ({ message, details }) => ({ errors: details.errors ?? [{ field: "data", message }] }),
};

const duplicate: Answer = {
  status: 409,
  code: "DUPLICATE_JOB",
  details: ({ details: { existingId } }) =>
    existingId === undefined ? {} : { jobId: formatUuid(existingId) },
};

function stateIn({ details: { state } }: QueueError): Record<string, unknown> {
  return { currentStatus: currentStatus(state) };
}

/** A state forbids two things here; the table below has the other one. */
const notRetryable: Answer = {
  status: 409,
  code: "JOB_NOT_RETRYABLE",
  message: "Only a failed or cancelled job can be retried",
  details: stateIn,
};

const answers: Readonly<Record<ErrorCode | RequestFault, Answer>> = {
  VALIDATION: invalidData,
  UNKNOWN_JOB_TYPE: {
    status: 400,
    code: "INVALID_JOB_TYPE",
    message: "Invalid job type",
    details: () => ({ allowedTypes: v1Types }),
  },
  JOB_NOT_FOUND: {
    ...notFound,
    message: "Job not found",
    details: (_, c) => ({ jobId: c.get("jobId") }),
  },
  QUEUE_NOT_FOUND: notFound,
  SCHEDULE_NOT_FOUND: notFound,
  WEBHOOK_NOT_FOUND: notFound,
  INVALID_STATE: {
    status: 409,
    code: "JOB_NOT_CANCELLABLE",
    message: "Job not found or cannot be cancelled",
    details: stateIn,
  },
  DUPLICATE_JOB: duplicate,
  DUPLICATE_SCHEDULE: duplicate,
  DEPENDENCY_NOT_FOUND: invalidData,
  DEPENDENCY_CYCLE: invalidData,
  STALE_LEASE: { status: 409, code: "STALE_LEASE" },
  PAYLOAD_TOO_LARGE: {
    ...invalidData,
    status: 413,
    details: ({ message, details: { limitBytes } }) => ({
      errors: [{ field: "data", message }],
      limitBytes,
    }),
  },
  LIMIT_REACHED: { status: 429, code: "QUEUE_FULL" },
  RATE_LIMITED: { status: 429, code: "RATE_LIMIT_EXCEEDED" },
  WAIT_TIMEOUT: {
    status: 408,
    code: "JOB_TIMEOUT",
    message: "Job timeout",
    details: ({ details: { state, progress } }) => ({
      currentStatus: currentStatus(state),
      currentProgress: progress,
    }),
  },
  // What is wrong with the store is for the log.
  UNAVAILABLE: {
    status: 503,
    code: "SYSTEM_ERROR",
    message: "The service cannot serve this request now. Try again later",
  },
  INTERNAL: {
    status: 500,
    code: "SYSTEM_ERROR",
    message: "Something went wrong here; the log has more under this id",
    details: (_, c) => ({ id: c.get("requestId") }),
  },
  UNAUTHENTICATED: { status: 401, code: "AUTHENTICATION_ERROR" },
  FORBIDDEN: { status: 403, code: "AUTHORIZATION_ERROR" },
  FILE_NOT_FOUND: { status: 404, code: "FILE_NOT_FOUND" },
  ROUTE_NOT_FOUND: { status: 404, code: "NOT_FOUND" },
  METHOD_NOT_ALLOWED: { status: 405, code: "METHOD_NOT_ALLOWED" },
};

/** An error in v1's envelope. */
export function refuse(error: QueueError | RequestError, c: ApiContext): Response {
  const known = error instanceof QueueError;
  const refusesRetry =
    known && error.code === "INVALID_STATE" && c.get("operation") === operations.retry.operationId;
  const answer = refusesRetry ? notRetryable : answers[known ? error.code : error.fault];
  const { status, code, message, details } = answer;
  const body = refusal(message ?? error.message, {
    code,
    ...(known ? details?.(error, c) : {}),
  });
  return c.json(body, status, known ? retryAfter(error, status) : { ...error.headers });
}

function currentStatus(state: string | undefined): string | undefined {
  const known = jobStates.find((one) => one === state);
  return known === undefined ? state : statusOf(known);
}
