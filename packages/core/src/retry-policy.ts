/** Doubling stops here: one day. A longer first backoff stays as long as it is. */
const MAX_BACKOFF_MS = 86_400_000;

/** A job whose worker died so often is failed, whatever attempts remain. */
export const CRASH_LIMIT = 5;

export interface Backoff {
  /** Delay after the first attempt, ms. */
  readonly backoffMs: number;
  /** Which attempt has failed, from 1. */
  readonly attempt: number;
  /** Share of the delay that chance may take off, 0 to 1; default 0: exact delays. */
  readonly jitter?: number;
  /** From 0 up to but not including 1. */
  readonly random?: () => number;
}

/** Milliseconds to wait after a failed attempt: `backoffMs * 2^(attempt - 1)`, at most a day. */
export function backoffDelay({
  backoffMs,
  attempt,
  jitter = 0,
  random = Math.random,
}: Backoff): number {
  const longest = Math.max(backoffMs, MAX_BACKOFF_MS);
  // 2^(attempt - 1) may be Infinity, and 0 * Infinity is no number.
  const delay = backoffMs <= 0 ? 0 : Math.min(longest, backoffMs * 2 ** (Math.max(attempt, 1) - 1));
  return Math.round(jitter > 0 ? delay * (1 - Math.min(jitter, 1) * random()) : delay);
}

export interface FailedAttempt {
  /** Finished attempts, the failed one included. */
  readonly attemptsMade: number;
  readonly maxAttempts: number;
  readonly backoffMs: number;
  /** Epoch ms. */
  readonly now: number;
  readonly failure: {
    readonly code?: string;
    /** The job's data is at fault: no further attempt can succeed. */
    readonly dataFault: boolean;
  };
  /** Codes worth another attempt; absent = every failure that is not a data fault. */
  readonly retryableErrors?: readonly string[];
  readonly jitter?: number;
  readonly random?: () => number;
}

/** When to try again, in epoch ms; null: failed for good. */
export function decideRetry(attempt: FailedAttempt): { retryAt: number | null } {
  const { attemptsMade, maxAttempts, backoffMs, now, failure, retryableErrors } = attempt;
  const { jitter = 0, random = Math.random } = attempt;
  const worthwhile =
    !failure.dataFault &&
    (retryableErrors === undefined ||
      (failure.code !== undefined && retryableErrors.includes(failure.code)));
  if (!worthwhile || attemptsMade >= maxAttempts) return { retryAt: null };
  return { retryAt: now + backoffDelay({ backoffMs, attempt: attemptsMade, jitter, random }) };
}

/** What becomes of a job whose worker died or lost its lease; `crashes` counts this time too. */
export function afterCrash(crashes: number): "requeue" | "dead-letter" {
  return crashes >= CRASH_LIMIT ? "dead-letter" : "requeue";
}
