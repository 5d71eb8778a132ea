import { setTimeout as sleep } from "node:timers/promises";
import type { RateLimiter } from "@jobyard/core";

/** Every process and tenant asks the one model. */
const KEY = "model";

/** Whose turn it is to ask the model: in the order of asking, and as often as the limiter lets this process. */
export class ModelTurns {
  readonly #take: RateLimiter | undefined;
  #line: Promise<void> = Promise.resolve();

  /** @param take - absent: no limit */
  constructor(take: RateLimiter | undefined) {
    this.#take = take;
  }

  /** Settles when it is the caller's turn; rejects with the signal's reason. */
  async turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const take = this.#take;
    if (take === undefined) return;
    const own = this.#line.then(() => allowed(take, signal));
    this.#line = own.catch(() => undefined);
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await Promise.race([own, aborted]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }
}

async function allowed(take: RateLimiter, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const taken = await take(KEY);
    if (taken.allowed) return;
    await sleep(Math.max(1, taken.resetMs), undefined, { signal });
  }
}
