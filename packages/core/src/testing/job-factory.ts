import fc from "fast-check";

import type { JobSpec } from "../queue-adapter.ts";

/** An ordinary job of an untyped queue. */
export function jobSpec(overrides: Partial<JobSpec> = {}): JobSpec {
  return {
    tenant: "default",
    queue: "work",
    typed: false,
    name: null,
    data: "{}",
    priority: 0,
    lifo: false,
    delayMs: 0,
    ttlMs: null,
    timeoutMs: null,
    maxAttempts: 1,
    backoffMs: 1000,
    uniqueKey: null,
    dependsOn: [],
    dependsOnSiblings: [],
    tags: [],
    project: null,
    batch: null,
    origin: null,
    ...overrides,
  };
}

export function jobSpecs(
  count: number,
  each: (index: number) => Partial<JobSpec> = () => ({}),
): JobSpec[] {
  return Array.from({ length: count }, (_, index) => jobSpec(each(index)));
}

/** JSON text as somebody may have sent it: any value, any spacing. */
export const jsonText: fc.Arbitrary<string> = fc
  .tuple(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom(0, 1, 2))
  .map(([value, indent]) => JSON.stringify(value, null, indent));

export const priority: fc.Arbitrary<number> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 6, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 1, arbitrary: fc.integer({ min: -1_000_000, max: 1_000_000 }) },
);

const label = fc.constantFrom("alpha", "beta", "gamma");

/** Independent jobs, alike enough that filters find several of them. */
export const spec: fc.Arbitrary<JobSpec> = fc
  .record({
    tenant: fc.constantFrom("default", "acme"),
    queue: fc.constantFrom("work", "mail", "video"),
    name: fc.option(label),
    data: jsonText,
    priority,
    lifo: fc.boolean(),
    delayMs: fc.constantFrom(0, 0, 500),
    tags: fc.uniqueArray(label, { maxLength: 3 }),
    project: fc.option(label),
    batch: fc.option(label),
    origin: fc.option(label.map((schedule) => ({ via: "native", schedule }))),
    maxAttempts: fc.integer({ min: 1, max: 5 }),
  })
  .map(jobSpec);
