import type { EventType } from "@jobyard/core";
import type { EventBatch, EventListener, EventReading } from "./event-hub.ts";

/** How many events of each type there were in a queue since it was last told. */
export interface QueueActivity {
  readonly tenant: string;
  readonly queue: string;
  readonly counts: Partial<Record<EventType, number>>;
}

/** Events counted, for who wants to know that something happened and not what: its cost does not grow with their number. */
export class ActivityReading implements EventReading<readonly QueueActivity[]> {
  readonly #events: EventReading;
  readonly #everyMs: number;
  readonly #queues = new Map<string, QueueActivity>();
  #timer: NodeJS.Timeout | undefined;
  #toldAt = -Infinity;

  constructor(events: EventReading, everyMs: number) {
    this.#events = events;
    this.#everyMs = everyMs;
  }

  begin(listener: EventListener<readonly QueueActivity[]>): void {
    const tell = (): void => {
      this.#timer = undefined;
      this.#toldAt = performance.now();
      const batch = [...this.#queues.values()];
      this.#queues.clear();
      listener.onBatch(batch);
    };
    this.#events.begin({
      onBatch: (batch) => {
        this.#count(batch);
        const waitMs = Math.max(0, this.#toldAt + this.#everyMs - performance.now());
        this.#timer ??= setTimeout(tell, waitMs);
      },
      onGap: () => listener.onGap(),
    });
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#events.end();
  }

  #count({ events }: EventBatch): void {
    for (const { tenant, queue, type } of events) {
      const key = `${tenant}/${queue}`;
      let told = this.#queues.get(key);
      if (told === undefined) this.#queues.set(key, (told = { tenant, queue, counts: {} }));
      told.counts[type] = (told.counts[type] ?? 0) + 1;
    }
  }
}
