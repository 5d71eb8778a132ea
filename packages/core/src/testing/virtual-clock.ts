import type { Clock } from "../clock.ts";

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** Time that stands still until it is moved. */
export class VirtualClock implements Clock {
  #now: number;
  /** In the order of their moments; first come first among equals. */
  readonly #timers: Timer[] = [];

  constructor(start: number = Date.UTC(2025, 0, 1)) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  at(at: number, run: () => void): () => void {
    const timer: Timer = { at, run };
    if (at <= this.#now) {
      // Not left to `advance`: a callback that arms itself for a moment already past would never let it end.
      const immediate = setImmediate(run);
      return () => clearImmediate(immediate);
    }
    const later = this.#timers.findIndex((other) => other.at > at);
    this.#timers.splice(later === -1 ? this.#timers.length : later, 0, timer);
    return () => {
      const index = this.#timers.indexOf(timer);
      if (index !== -1) this.#timers.splice(index, 1);
    };
  }

  advance(ms: number): void {
    this.advanceTo(this.#now + ms);
  }

  /** Fires what is due by then, in order, each timer at its own moment. */
  advanceTo(moment: number): void {
    if (moment < this.#now) throw new RangeError("time does not run backwards");
    for (;;) {
      const next = this.#timers[0];
      if (next === undefined || next.at > moment) break;
      this.#timers.shift();
      this.#now = next.at;
      next.run();
    }
    this.#now = moment;
  }
}
