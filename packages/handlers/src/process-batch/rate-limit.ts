import { setTimeout as sleep } from "node:timers/promises";

const MINUTE_MS = 60_000;

/** At most so many turns in any minute, given in the order of asking. */
export class RateLimit {
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #sleep: (ms: number, signal: AbortSignal) => Promise<unknown>;
  /** When the last turns were or will be, oldest first. */
  #turns: number[] = [];

  /** @param perMinute - 0: no limit */
  constructor(
    perMinute: number,
    now: () => number = () => performance.now(),
    pause = (ms: number, signal: AbortSignal): Promise<unknown> => sleep(ms, undefined, { signal }),
  ) {
    this.#perMinute = perMinute;
    this.#now = now;
    this.#sleep = pause;
  }

  /** Settles when it is the caller's turn; rejects with the signal's reason. */
  async turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#perMinute === 0) return;
    const now = this.#now();
    this.#turns = this.#turns.filter((at) => at > now - MINUTE_MS);
    const blocking = this.#turns.at(-this.#perMinute);
    const at = blocking === undefined ? now : Math.max(now, blocking + MINUTE_MS);
    this.#turns.push(at);
    if (at <= now) return;
    try {
      await this.#sleep(at - now, signal);
    } catch (error) {
      this.#turns.splice(this.#turns.indexOf(at), 1);
      signal.throwIfAborted();
      throw error;
    }
  }
}
