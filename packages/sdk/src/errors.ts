import type { components } from "./generated/native.ts";

type Refusal = components["schemas"]["Error"];

/** `NETWORK_ERROR`, `TIMEOUT` and `INVALID_ANSWER` are the client's own: no answer, none in time, none that it can read. */
export type ErrorCode =
  | Refusal["details"]["code"]
  | "NETWORK_ERROR"
  | "TIMEOUT"
  | "INVALID_ANSWER"
  | (string & {});

export interface ErrorFacts {
  readonly code: ErrorCode;
  readonly status?: number;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly retryAfter?: number | undefined;
  readonly cause?: unknown;
}

/** Every failure of a call, whoever found it; only an abort is told as the signal's own reason. */
export class JobyardError extends Error {
  override readonly name = "JobyardError";
  readonly code: ErrorCode;
  /** Of the answer; 0 where there was none. */
  readonly status: number;
  /** What else the server said: `errors` by field, the job's `state`, the duplicate's `jobId`. */
  readonly details: Readonly<Record<string, unknown>>;
  /** Seconds after which it is worth trying again, where the server named them. */
  readonly retryAfter: number | undefined;

  constructor(message: string, { code, status = 0, details = {}, retryAfter, cause }: ErrorFacts) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.status = status;
    this.details = details;
    this.retryAfter = retryAfter;
  }
}

/** A refusal in the envelope of any dialect. */
export function refusalOf(response: Response, text: string): JobyardError {
  const { status, headers } = response;
  const body = objectOf(parsed(text));
  const inner = objectOf(body["error"]);
  const details = objectOf(inner["details"] ?? body["details"]);
  const code = inner["code"] ?? details["code"] ?? body["code"];
  const message = inner["message"] ?? body["error"] ?? body["message"];
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  return new JobyardError(
    typeof message === "string" ? message : `The server answered with status ${status}`,
    {
      code: typeof code === "string" ? code : `HTTP_${status}`,
      status,
      details,
      retryAfter: Number.isFinite(seconds) ? seconds : undefined,
    },
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
