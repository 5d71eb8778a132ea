import { QueueError } from "./errors.ts";
import type { JobEvent } from "./events.ts";
import { ALL_TENANTS, type QueueAdapter } from "./queue-adapter.ts";

const ends = ["job.completed", "job.failed", "job.cancelled"] as const;

/** Those who wait for jobs to end: one listener for all of them, constant work per job that ends. */
export class Waits {
  readonly #adapter: QueueAdapter;
  readonly #waiting = new Map<number, Set<() => void>>();
  #unsubscribe: (() => void) | undefined;
  #listening: Promise<void> | undefined;

  constructor(adapter: QueueAdapter) {
    this.#adapter = adapter;
  }

  close(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#wakeAll();
  }

  /** `leave` must be called; `ended` resolves when the job ended, the time is over, or there may be news. */
  join(id: number): {
    ended(timeoutMs: number, signal: AbortSignal | undefined): Promise<void>;
    leave(): void;
  } {
    let wake = (): void => undefined;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) this.#waiting.set(id, new Set([wake]));
    else waiting.add(wake);
    this.#listening ??= this.#listen();
    return {
      ended: async (timeoutMs, signal) => {
        await this.#listening;
        const timer = setTimeout(wake, timeoutMs);
        signal?.addEventListener("abort", wake, { once: true });
        await woken;
        clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        if (signal?.aborted === true) throw new QueueError("WAIT_TIMEOUT", "The wait was given up");
      },
      leave: () => {
        const all = this.#waiting.get(id);
        if (all?.delete(wake) === true && all.size === 0) this.#waiting.delete(id);
      },
    };
  }

  /** Only once somebody waits: events nobody listens to are never built. */
  async #listen(): Promise<void> {
    this.#unsubscribe = await this.#adapter.subscribe({
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
    for (const wake of this.#waiting.get(event.jobId) ?? []) wake();
  }

  #wakeAll(): void {
    for (const waiting of this.#waiting.values()) for (const wake of waiting) wake();
  }
}
