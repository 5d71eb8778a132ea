import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";

/** So many of something within a time, for each key of its own. */
export interface RateLimit {
  /** Engines that several processes share count for all of them under this name. */
  readonly name: string;
  readonly points: number;
  /** From a key's first point on. */
  readonly seconds: number;
}

export interface RateTaken {
  readonly allowed: boolean;
  readonly remaining: number;
  /** Until the key has all of its points again. */
  readonly resetMs: number;
}

/** Takes a point of the key's. What cannot be counted now is counted for this process alone. */
export type RateLimiter = (key: string) => Promise<RateTaken>;

/** Counts in this process. */
export function memoryLimiter({ points, seconds }: RateLimit): RateLimiterMemory {
  return new RateLimiterMemory({ points, duration: seconds });
}

export function rateLimiterOf(limiter: RateLimiterAbstract): RateLimiter {
  return async (key) => {
    try {
      return takenOf(await limiter.consume(key), true);
    } catch (refusal) {
      if (refusal instanceof RateLimiterRes) return takenOf(refusal, false);
      throw refusal;
    }
  };
}

function takenOf({ remainingPoints, msBeforeNext }: RateLimiterRes, allowed: boolean): RateTaken {
  return { allowed, remaining: remainingPoints, resetMs: Math.max(0, msBeforeNext) };
}
