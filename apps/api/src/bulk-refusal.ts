import { type Outcome, QueueError } from "@jobyard/core";

/** Jobs that the store could not take: the call fails as a whole, and tells of each job all the same. */
export class BulkRefusal extends QueueError {
  // Not for the log, to which one line about the store is enough.
  readonly #report: object;

  constructor(error: QueueError, report: object) {
    const { retryAfterMs = 1000 } = error.details;
    super(error.code, error.message, { retryAfterMs }, error.cause);
    this.#report = report;
  }

  /** What the call would have answered. */
  get report(): object {
    return this.#report;
  }
}

/** @throws BulkRefusal where the store was away. */
export function refuseIfAway(outcomes: readonly Outcome<number>[], report: object): void {
  for (const outcome of outcomes) {
    if (outcome instanceof QueueError && outcome.code === "UNAVAILABLE") {
      throw new BulkRefusal(outcome, report);
    }
  }
}
