import fc from "fast-check";

import type { QueueGroup } from "../../queue-groups.ts";
import { Driver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

/** The usual run is the same each time; the long one looks for what nobody has met yet. */
const parameters: fc.Parameters<unknown> =
  process.env["JOBYARD_LONG"] === "1"
    ? { numRuns: 1000, endOnFailure: false }
    : { numRuns: 30, seed: 20250101, endOnFailure: false };

export const PROPERTY_TIMEOUT_MS = process.env["JOBYARD_LONG"] === "1" ? 1_800_000 : 120_000;

/** Holds for every input, each tried on a fresh engine. */
export async function holds<T>(
  factory: EngineFactory,
  input: fc.Arbitrary<T>,
  check: (driver: Driver, value: T) => Promise<void>,
  groups?: readonly QueueGroup[],
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(input, async (value) => {
      const driver = await Driver.start(factory, groups);
      try {
        await check(driver, value);
      } finally {
        await driver.engine.dispose();
      }
    }),
    parameters,
  );
}
