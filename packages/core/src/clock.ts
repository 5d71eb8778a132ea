/** Where core gets the time from, so that tests can move it. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Calls `run` once at `at` (epoch ms) or as soon as possible after; the returned function calls it off. */
  at(at: number, run: () => void): () => void;
}

/** Longer waits overflow `setTimeout` and fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  at(at, run) {
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      const wait = at - Date.now();
      timer =
        wait > LONGEST_TIMER_MS
          ? setTimeout(arm, LONGEST_TIMER_MS)
          : setTimeout(run, Math.max(0, Math.ceil(wait)));
    };
    arm();
    return () => clearTimeout(timer);
  },
};
