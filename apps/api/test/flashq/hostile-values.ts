import fc from "fast-check";
import { expect } from "vitest";

/** For each protocol; many more where time does not matter. */
export const CASES = process.env["JOBYARD_LONG"] === "1" ? 100_000 : 10_000;

/** Tries so many cases, no fewer. */
export async function fuzz<Values>(
  property: fc.IAsyncPropertyWithHooks<Values>,
  cases = CASES,
): Promise<void> {
  const details = await fc.check(property, { numRuns: cases });
  if (details.failed) {
    const message = await fc.asyncDefaultReportMessage(details);
    throw new Error(message, { cause: details.errorInstance });
  }
  expect(details.numRuns).toBe(cases);
}

export const nasty = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    "",
    "q",
    "a/b",
    "\u0000",
    "\ud800",
    "constructor",
    "__proto__",
    0,
    -1,
    0.5,
    1e21,
    2 ** 31,
    2 ** 53,
    Number.MAX_SAFE_INTEGER,
    [],
    {},
    [[]],
    [null],
    true,
  ),
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: "binary", maxLength: 300 }),
);

export const bytes = (max: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength: max }).map((some) => Buffer.from(some));

/** The same bytes, but for one. */
export function withByte(text: Uint8Array, at: number, byte: number): Buffer {
  const changed = Buffer.from(text);
  if (changed.length > 0) changed[at % changed.length] = byte;
  return changed;
}

/** Of flashQ's calls, in whatever protocol. */
export const fields = {
  queue: fc.oneof(fc.constantFrom<unknown>("fuzz", "fuzz.2"), nasty),
  data: nasty,
  priority: nasty,
  delay: nasty,
  ttl: nasty,
  timeout: nasty,
  max_attempts: nasty,
  backoff: nasty,
  unique_key: nasty,
  depends_on: fc.oneof(nasty, fc.array(nasty, { maxLength: 3 })),
  tags: fc.oneof(nasty, fc.array(nasty, { maxLength: 3 })),
  lifo: nasty,
  jobs: fc.oneof(
    nasty,
    fc.array(fc.record({ data: nasty, delay: nasty }, { requiredKeys: [] }), { maxLength: 3 }),
  ),
  id: fc.oneof(fc.integer({ min: 1, max: 400 }), nasty),
  ids: fc.oneof(fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 5 }), nasty),
  lease: nasty,
  result: nasty,
  error: nasty,
  progress: nasty,
  message: nasty,
  count: nasty,
  limit: nasty,
  name: nasty,
  schedule: fc.oneof(fc.constantFrom("* * * * *", "*/5", "0 0 0 31 2 *"), nasty),
  worker: nasty,
  queues: nasty,
  concurrency: nasty,
  token: nasty,
};
