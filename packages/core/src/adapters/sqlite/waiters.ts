import type { ClaimedJob } from "../../job.ts";
import type { ClaimParams } from "../../queue-adapter.ts";
import type { Transaction } from "./committer.ts";
import type { Lane } from "./lanes.ts";

/** A claim that found nothing and waits. */
export interface Waiter {
  readonly params: ClaimParams;
  /** Takes the jobs; they may be used once the transaction is on disk. */
  readonly serve: (jobs: readonly ClaimedJob[], tx: Transaction) => void;
}

/** Who waits for jobs, by queue, in the order in which they came. */
export class Waiters {
  readonly #byQueue = new Map<string, Set<Waiter>>();
  readonly #untyped = new Set<Waiter>();

  /** The answer ends the wait. */
  add(waiter: Waiter): () => void {
    const { queues } = waiter.params;
    if (queues === "untyped") {
      this.#untyped.add(waiter);
      return () => void this.#untyped.delete(waiter);
    }
    for (const { queue } of queues) {
      const waiting = this.#byQueue.get(queue);
      if (waiting === undefined) this.#byQueue.set(queue, new Set([waiter]));
      else waiting.add(waiter);
    }
    return () => {
      for (const { queue } of queues) {
        const waiting = this.#byQueue.get(queue);
        if (waiting?.delete(waiter) === true && waiting.size === 0) this.#byQueue.delete(queue);
      }
    };
  }

  *of(lane: Lane): Generator<Waiter> {
    yield* this.#byQueue.get(lane.queue) ?? [];
    if (!lane.typed) yield* this.#untyped;
  }
}
