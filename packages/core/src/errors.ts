/** Every way in which a queue operation can be refused. Closed: answers are tabled by it exhaustively. */
export const errorCodes = [
  /** The input breaks a rule; `details.errors` lists each field. */
  "VALIDATION",
  "UNKNOWN_JOB_TYPE",
  "JOB_NOT_FOUND",
  "QUEUE_NOT_FOUND",
  "SCHEDULE_NOT_FOUND",
  "WEBHOOK_NOT_FOUND",
  /** The job's state forbids it; `details.state` says which state. */
  "INVALID_STATE",
  /** A live job holds the unique key; `details.existingId` names it. */
  "DUPLICATE_JOB",
  "DUPLICATE_SCHEDULE",
  /** `details.ids` are not jobs of this tenant, or can never complete. */
  "DEPENDENCY_NOT_FOUND",
  "DEPENDENCY_CYCLE",
  /** The run is over or belongs to somebody else. */
  "STALE_LEASE",
  "PAYLOAD_TOO_LARGE",
  /** A cap on stored things is reached (queues, log lines, waiting claims). */
  "LIMIT_REACHED",
  "RATE_LIMITED",
  /** A wait ran out; the job goes on. */
  "WAIT_TIMEOUT",
  /** The store cannot take it now; nothing was kept, unless `details.uncertain`; try again. */
  "UNAVAILABLE",
  /** Our own bug. */
  "INTERNAL",
] as const;

export type ErrorCode = (typeof errorCodes)[number];

export interface FieldError {
  /** Path in the input, e.g. `texts[3]` or `location.latitude`. */
  readonly field: string;
  readonly message: string;
}

export interface ErrorDetails {
  readonly errors?: readonly FieldError[];
  readonly state?: string;
  readonly existingId?: number;
  readonly ids?: readonly number[];
  /** Position in the batch of the job that was at fault. */
  readonly index?: number;
  readonly retryAfterMs?: number;
  /** The answer alone was lost: it may have been done all the same. */
  readonly uncertain?: boolean;
  readonly [key: string]: unknown;
}

export interface ErrorRecord {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
}

/** The only error that core, its adapters and its worker throw at callers. */
export class QueueError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "QueueError";
    this.code = code;
    this.details = details;
  }

  /** What of it can be kept as JSON; its cause cannot. */
  toJSON(): ErrorRecord {
    const { code, message, details } = this;
    return { code, message, details };
  }

  static from({ code, message, details }: ErrorRecord): QueueError {
    return new QueueError(code, message, details);
  }
}

export function validationError(
  errors: readonly FieldError[],
  details: ErrorDetails = {},
): QueueError {
  const first = errors[0];
  const message = first === undefined ? "Invalid input" : `${first.field}: ${first.message}`;
  return new QueueError("VALIDATION", message, { ...details, errors });
}

/** A search in payloads that no index answers. */
export function notIndexed(tenant: string, queue: string, path: string): QueueError {
  const message =
    `Queue ${queue} of ${tenant} has no index of this field: add ${path} to its setting indexedPaths, ` +
    "and search again once its jobs are taken in";
  return validationError([{ field: "payload.path", message }]);
}

export function indexUnfinished(queue: string, path: string): QueueError {
  const message = `The index of ${path} is still being built for queue ${queue}; try again`;
  return new QueueError("UNAVAILABLE", message, { retryAfterMs: 1000 });
}

export function jobNotFound(id: unknown): QueueError {
  return new QueueError("JOB_NOT_FOUND", `Job ${String(id).slice(0, 64)} not found`);
}
