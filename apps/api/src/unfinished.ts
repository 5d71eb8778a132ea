/** Whoever keeps bytes of something that has not come to its end. */
export interface Holder {
  giveUp(): void;
}

/** What all of one kind keep together: where it is too much, the longest is given up. */
export class Unfinished {
  readonly #maxBytes: number;
  readonly #held = new Map<Holder, number>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** So many bytes by now; 0 once it has ended. */
  holds(holder: Holder, bytes: number): void {
    this.#bytes += bytes - (this.#held.get(holder) ?? 0);
    if (bytes === 0) this.#held.delete(holder);
    else this.#held.set(holder, bytes);
    while (this.#bytes > this.#maxBytes) this.#giveUpLongest();
  }

  #giveUpLongest(): void {
    let longest: Holder | undefined;
    let most = 0;
    for (const [holder, bytes] of this.#held) {
      if (bytes > most) [longest, most] = [holder, bytes];
    }
    if (longest === undefined) return;
    this.holds(longest, 0);
    longest.giveUp();
  }
}
