import type { Clock } from "./clock.ts";
import { QueueError } from "./errors.ts";
import type { JobEvent } from "./events.ts";
import { ALL_TENANTS, type QueueAdapter } from "./queue-adapter.ts";

const ends = ["job.completed", "job.failed", "job.cancelled"] as const;

/** One who waits for a job to end. */
export interface Wait {
  /** Resolves when there may be news of the job since the last call, or the time is over. */
  news(until: number, signal: AbortSignal | undefined): Promise<void>;
  /** Must be called. */
  leave(): void;
}

/** Those who wait for jobs to end: one listener for all of them, constant work per job that ends. */
export class Waits {
  readonly #adapter: QueueAdapter;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Set<() => void>>();
  #listening: Promise<() => void> | undefined;
  #closed = false;

  constructor(adapter: QueueAdapter, clock: Clock) {
    this.#adapter = adapter;
    this.#clock = clock;
  }

  close(): void {
    this.#closed = true;
    this.#listening?.then(
      (stop) => stop(),
      () => undefined,
    );
    this.#wakeAll();
  }

  /** Resolves once no later end of the job can be missed. */
  async join(id: number): Promise<Wait> {
    let told = false;
    let wake = (): void => undefined;
    const tell = (): void => {
      told = true;
      wake();
    };
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) this.#waiting.set(id, new Set([tell]));
    else waiting.add(tell);
    const leave = (): void => {
      const all = this.#waiting.get(id);
      if (all?.delete(tell) === true && all.size === 0) this.#waiting.delete(id);
    };
    try {
      await (this.#listening ??= this.#listen());
    } catch (error) {
      leave();
      this.#listening = undefined;
      throw error;
    }
    return {
      leave,
      news: async (until, signal) => {
        const woken = new Promise<void>((resolve) => (wake = resolve));
        if (told || this.#closed || signal?.aborted === true) wake();
        const callOff = until === Infinity ? undefined : this.#clock.at(until, wake);
        signal?.addEventListener("abort", wake, { once: true });
        await woken;
        told = false;
        callOff?.();
        signal?.removeEventListener("abort", wake);
        if (this.#closed) throw new QueueError("UNAVAILABLE", "The server is stopping");
        if (signal?.aborted === true) throw new QueueError("WAIT_TIMEOUT", "The wait was given up");
      },
    };
  }

  /** Only once somebody waits: events nobody listens to are never built. */
  #listen(): Promise<() => void> {
    return this.#adapter.subscribe({
      tenant: ALL_TENANTS,
      types: ends,
      onEvents: (events) => {
        for (const event of events) this.#told(event);
      },
      onGap: () => this.#wakeAll(),
    });
  }

  #told(event: JobEvent): void {
    if (event.jobId === null || (event.type === "job.failed" && event.final !== true)) return;
    for (const tell of this.#waiting.get(event.jobId) ?? []) tell();
  }

  #wakeAll(): void {
    for (const waiting of this.#waiting.values()) for (const tell of waiting) tell();
  }
}
