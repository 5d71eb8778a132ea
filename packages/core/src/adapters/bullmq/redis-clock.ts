import { type Clock, systemClock } from "../../clock.ts";

/** Redis' time, as far as it is known here: this machine's clock, set right by what Redis last said. */
export class RedisClock implements Clock {
  #offset = 0;

  now(): number {
    return Date.now() + this.#offset;
  }

  at(at: number, run: () => void): () => void {
    return systemClock.at(at - this.#offset, run);
  }

  /** `sentAt`: when Redis was asked, by this machine's clock. */
  setBy(redisTime: number, sentAt: number): void {
    const halfway = (sentAt + Date.now()) / 2;
    this.#offset = Math.round(redisTime - halfway);
  }
}
