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

/** For takers of several points at once, who may give some back; a key's points are never exceeded. */
export interface Allowance {
  /** Up to `count` points of the key's (`whole`: all of them or none). */
  take(key: string, count: number, whole: boolean): Promise<PointsTaken>;
  giveBack(key: string, count: number): Promise<void>;
}

export interface PointsTaken {
  readonly taken: number;
  /** Until the key has all of its points again. */
  readonly resetMs: number;
}

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

export function allowanceOf(limiter: RateLimiterAbstract): Allowance {
  const giveBack = async (key: string, count: number): Promise<void> => {
    if (count > 0) await limiter.reward(key, count);
  };
  return {
    giveBack,
    async take(key, count, whole) {
      // It counts what it refuses as well, and says how much that makes.
      const { consumedPoints, msBeforeNext } = await limiter
        .consume(key, count)
        .catch((refusal: unknown) => {
          if (refusal instanceof RateLimiterRes) return refusal;
          throw refusal;
        });
      const left = Math.max(0, limiter.points - (consumedPoints - count));
      const taken = left >= count ? count : whole ? 0 : left;
      await giveBack(key, count - taken);
      return { taken, resetMs: Math.max(0, msBeforeNext) };
    },
  };
}

function takenOf({ remainingPoints, msBeforeNext }: RateLimiterRes, allowed: boolean): RateTaken {
  return { allowed, remaining: remainingPoints, resetMs: Math.max(0, msBeforeNext) };
}
