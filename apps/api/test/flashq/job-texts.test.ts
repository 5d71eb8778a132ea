import type { Job } from "@jobyard/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { jobText, jobTexts } from "../../src/dialects/flashq/mapping.ts";

/** Few values of each field, so that neighbours are alike but for some of them. */
const job: fc.Arbitrary<Job & { readonly lease?: string }> = fc.record(
  {
    id: fc.nat(),
    tenant: fc.constant("default"),
    queue: fc.constantFrom("mail", "video"),
    name: fc.constantFrom(null, "a"),
    state: fc.constantFrom("active", "waiting"),
    data: fc.constant("{}"),
    result: fc.constant(null),
    priority: fc.constantFrom(0, -4),
    lifo: fc.boolean(),
    delayMs: fc.constant(0),
    createdAt: fc.constantFrom(1000, 2000),
    runAt: fc.constantFrom(1000, 3000),
    startedAt: fc.constantFrom(null, 4000),
    finishedAt: fc.constant(null),
    attemptsMade: fc.constantFrom(0, 2),
    maxAttempts: fc.constantFrom(1, 3),
    backoffMs: fc.constantFrom(1000, 500),
    ttlMs: fc.constantFrom(null, 60_000),
    timeoutMs: fc.constantFrom(null, 30_000),
    uniqueKey: fc.constantFrom(null, 'of "one"'),
    dependsOn: fc.constantFrom([], [7, 8]),
    tags: fc.constantFrom([], ["urgent"]),
    project: fc.constant(null),
    batch: fc.constant(null),
    origin: fc.constant(null),
    progress: fc.constantFrom(0, 40.5),
    progressMessage: fc.constantFrom(null, "half"),
    stats: fc.constant(null),
    error: fc.constant(null),
    crashes: fc.constant(0),
    worker: fc.constant(null),
    lease: fc.constantFrom("s1", "s2"),
  },
  { noNullPrototype: true },
);

test("jobs that are spelt one after another read as each does alone", () => {
  fc.assert(
    fc.property(fc.array(job, { maxLength: 20 }), job, (jobs, base) => {
      const fields = Object.keys(base) as (keyof Job)[];
      // Each differs from the one before in one field, and then in any.
      const steps = fields.flatMap((field) =>
        jobs.map((other) => ({ ...base, [field]: other[field] })),
      );
      const textOf = jobTexts();
      for (const each of [...steps, ...jobs]) {
        expect(textOf({ job: each, data: "{}" })).toBe(jobText({ job: each, data: "{}" }));
      }
    }),
  );
});
