import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { afterCrash, backoffDelay, decideRetry } from "../src/retry-policy.ts";

const DAY = 86_400_000;

describe("backoff", () => {
  test("doubles from the first delay", () => {
    const delays = [1, 2, 3, 4].map((attempt) => backoffDelay({ backoffMs: 1_000, attempt }));
    expect(delays).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(backoffDelay({ backoffMs: 0, attempt: 5_000 })).toBe(0);
  });

  test("stops growing at a day, but never shortens what was asked for", () => {
    expect(backoffDelay({ backoffMs: 1_000, attempt: 40 })).toBe(DAY);
    expect(backoffDelay({ backoffMs: 1_000, attempt: 1e9 })).toBe(DAY);
    expect(backoffDelay({ backoffMs: 3 * DAY, attempt: 1 })).toBe(3 * DAY);
    expect(backoffDelay({ backoffMs: 3 * DAY, attempt: 2 })).toBe(3 * DAY);
  });

  test("jitter takes off at most its share", () => {
    const delay = (random: number) =>
      backoffDelay({ backoffMs: 1_000, attempt: 2, jitter: 0.5, random: () => random });
    expect([0, 0.5, 0.999_999].map(delay)).toEqual([2_000, 1_500, 1_000]);
  });

  test("is always a whole number of milliseconds, and grows", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
        fc.integer({ min: 1, max: 100_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (backoffMs, attempt, jitter) => {
          const plain = backoffDelay({ backoffMs, attempt });
          expect(Number.isSafeInteger(plain)).toBe(true);
          expect(plain).toBeLessThanOrEqual(Math.max(DAY, backoffMs));
          expect(backoffDelay({ backoffMs, attempt: attempt + 1 })).toBeGreaterThanOrEqual(plain);
          const jittered = backoffDelay({ backoffMs, attempt, jitter });
          expect(jittered).toBeLessThanOrEqual(plain);
          expect(jittered).toBeGreaterThanOrEqual(Math.floor(plain * (1 - jitter)));
        },
      ),
    );
  });
});

describe("another attempt", () => {
  const failed = {
    attemptsMade: 1,
    maxAttempts: 3,
    backoffMs: 5_000,
    now: 1_000_000,
    failure: { code: "EIO", dataFault: false },
  };

  test("after the backoff, as long as attempts remain", () => {
    expect(decideRetry(failed)).toEqual({ retryAt: 1_005_000 });
    expect(decideRetry({ ...failed, attemptsMade: 2 })).toEqual({ retryAt: 1_010_000 });
    expect(decideRetry({ ...failed, attemptsMade: 3 })).toEqual({ retryAt: null });
    expect(decideRetry({ ...failed, maxAttempts: 1 })).toEqual({ retryAt: null });
  });

  test("never for a fault of the data", () => {
    const failure = { code: "NETWORK_ERROR", dataFault: true };
    const retryableErrors = ["NETWORK_ERROR"];
    expect(decideRetry({ ...failed, failure, retryableErrors })).toEqual({ retryAt: null });
  });

  test("only for the codes named, where codes are named", () => {
    const retryableErrors = ["NETWORK_ERROR", "TEMPORARY_FAILURE"];
    const after = (code?: string) =>
      decideRetry({
        ...failed,
        retryableErrors,
        failure: { dataFault: false, ...(code !== undefined && { code }) },
      }).retryAt;
    expect(after("TEMPORARY_FAILURE")).toBe(1_005_000);
    expect(after("timeout")).toBeNull();
    expect(after()).toBeNull();
  });
});

test("the fifth crash is the last", () => {
  expect([1, 2, 3, 4, 5, 6].map(afterCrash)).toEqual([
    ...Array.from({ length: 4 }, () => "requeue"),
    "dead-letter",
    "dead-letter",
  ]);
});
