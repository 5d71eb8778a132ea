import type { JobEvent, JobQueue } from "@jobyard/core";

/** Events that all who listen to the same queues are given together. */
export class EventBatch {
  readonly events: readonly JobEvent[];
  readonly #encoded = new Map<EncodeEvents, Buffer>();

  constructor(events: readonly JobEvent[]) {
    this.events = events;
  }

  /** Made once, however many readers take it. */
  bytes(encode: EncodeEvents): Buffer {
    const known = this.#encoded.get(encode);
    if (known !== undefined) return known;
    const bytes = encode(this.events);
    this.#encoded.set(encode, bytes);
    return bytes;
  }
}

export type EncodeEvents = (events: readonly JobEvent[]) => Buffer;

export interface EventScope {
  readonly tenant: string;
  /** Absent: all of the tenant's. */
  readonly queue?: string;
  /** Go on after this cursor; absent: only what comes from now on. */
  readonly after?: string;
}

export interface EventListener<Batch = EventBatch> {
  onBatch(batch: Batch): void;
  /** Some events are lost to the reader. */
  onGap(): void;
}

/** A place in the stream of events. What comes is kept until somebody reads on from there. */
export interface EventReading<Batch = EventBatch> {
  begin(listener: EventListener<Batch>): void;
  end(): void;
}

/** Events that come within so long of the last ones are told together, ms: readers cost by the batch. */
const GATHER_MS = 50;

/** One subscription to the engine for all readers of the same queues. */
export class EventHub {
  readonly #queue: JobQueue;
  readonly #channels = new Map<string, Promise<Channel>>();

  constructor(queue: JobQueue) {
    this.#queue = queue;
  }

  /**
   * Resolves once nothing later can be missed.
   * @throws QueueError
   */
  async read(scope: EventScope): Promise<EventReading> {
    const channel = await this.#channel(scope);
    const early: ((listener: EventListener) => void)[] = [];
    let reader: EventListener = {
      onBatch: (batch) => void early.push((listener) => listener.onBatch(batch)),
      onGap: () => void early.push((listener) => listener.onGap()),
    };
    const held: EventListener = {
      onBatch: (batch) => reader.onBatch(batch),
      onGap: () => reader.onGap(),
    };
    channel.add(held);
    return {
      begin(listener) {
        reader = listener;
        for (const tell of early.splice(0)) tell(listener);
      },
      end: () => channel.remove(held),
    };
  }

  async #channel(scope: EventScope): Promise<Channel> {
    const { tenant, queue, after } = scope;
    // Who comes back reads what it has missed at its own pace.
    if (after !== undefined) return this.#open(scope, () => undefined);
    const key = `${tenant}/${queue ?? ""}`;
    for (;;) {
      let opening = this.#channels.get(key);
      if (opening === undefined) {
        opening = this.#open(scope, () => this.#channels.delete(key));
        this.#channels.set(key, opening);
        opening.catch(() => this.#channels.delete(key));
      }
      const channel = await opening;
      // The last reader may have left meanwhile.
      if (this.#channels.get(key) === opening) return channel;
    }
  }

  async #open({ tenant, queue, after }: EventScope, onEmpty: () => void): Promise<Channel> {
    const channel = new Channel(onEmpty);
    channel.unsubscribe = await this.#queue.of(tenant).subscribe({
      ...(queue === undefined ? {} : { queue }),
      ...(after === undefined ? {} : { after }),
      onEvents: (events) => channel.take(events),
      onGap: () => channel.gap(),
    });
    return channel;
  }
}

class Channel {
  unsubscribe: () => void = () => undefined;
  readonly #onEmpty: () => void;
  readonly #listeners = new Set<EventListener>();
  #gathered: JobEvent[] = [];
  #missed = false;
  #timer: NodeJS.Timeout | undefined;
  #lastTold = 0;

  constructor(onEmpty: () => void) {
    this.#onEmpty = onEmpty;
  }

  add(listener: EventListener): void {
    // What was gathered before it came is not for it.
    if (this.#listeners.size > 0) this.#tell();
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#tell();
  }

  remove(listener: EventListener): void {
    if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
    clearTimeout(this.#timer);
    this.#onEmpty();
    this.unsubscribe();
  }

  take(events: readonly JobEvent[]): void {
    for (const event of events) this.#gathered.push(event);
    if (this.#timer !== undefined) return;
    const wait = this.#lastTold + GATHER_MS - performance.now();
    if (wait <= 0) this.#tell();
    else this.#timer = setTimeout(() => this.#tell(), wait);
  }

  gap(): void {
    this.#tell();
    if (this.#listeners.size === 0) this.#missed = true;
    for (const listener of this.#listeners) listener.onGap();
  }

  #tell(): void {
    // A subscription can tell before its first reader is in.
    if (this.#listeners.size === 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#missed) for (const listener of this.#listeners) listener.onGap();
    this.#missed = false;
    if (this.#gathered.length === 0) return;
    const batch = new EventBatch(this.#gathered);
    this.#gathered = [];
    this.#lastTold = performance.now();
    for (const listener of this.#listeners) listener.onBatch(batch);
  }
}
