import type { EventType, JobEvent } from "../../events.ts";
import { eventTypes } from "../../events.ts";
import { ALL_TENANTS, type EventSubscription } from "../../queue-adapter.ts";
import type { Lane } from "./lanes.ts";

/** Events kept for readers that come back, a power of two. */
const KEPT = 65_536;

const CURSOR = /^([a-z0-9]+)-(\d{1,16})$/;

type Extra = Pick<JobEvent, "progress" | "message" | "error" | "final">;

interface Reader {
  readonly subscription: EventSubscription;
  next: number;
}

const codes = Object.fromEntries(eventTypes.map((type, code) => [type, code])) as Record<
  EventType,
  number
>;

/**
 * The newest events, in memory. Most happen unread, so they lie in plain arrays and become objects only for readers.
 * Events of an open transaction are pending: `settle` makes them readable, `discard` takes them back.
 */
export class EventLog {
  /** Tells this log's cursors from those of an earlier process. */
  readonly #epoch: string;
  readonly #lanes: (no: number) => Lane | undefined;
  readonly #post: (event: Omit<JobEvent, "cursor">) => void;
  readonly #type = new Uint8Array(KEPT);
  readonly #lane = new Uint32Array(KEPT);
  readonly #id = new Float64Array(KEPT);
  readonly #at = new Float64Array(KEPT);
  readonly #extra: (Extra | undefined)[] = [];
  readonly #readers = new Set<Reader>();
  #end = 0;
  #pending = 0;
  /** How far slots were ever written: a discarded event has overwritten what lay there. */
  #written = 0;

  /** `post`: told of events that a lane's webhooks ask for. */
  constructor(
    epoch: string,
    lanes: (no: number) => Lane | undefined,
    post: (event: Omit<JobEvent, "cursor">) => void,
  ) {
    this.#epoch = epoch;
    this.#lanes = lanes;
    this.#post = post;
  }

  get cursor(): string {
    return this.#cursor(this.#end);
  }

  add(type: EventType, lane: Lane, id: number, at: number, extra?: Extra): void {
    if ((lane.asked & (1 << codes[type])) !== 0) {
      const { tenant, queue } = lane;
      this.#post({ type, tenant, queue, jobId: id === 0 ? null : id, at, ...extra });
    }
    const slot = this.#pending++ & (KEPT - 1);
    if (this.#pending > this.#written) this.#written = this.#pending;
    this.#type[slot] = codes[type];
    this.#lane[slot] = lane.no;
    this.#id[slot] = id;
    this.#at[slot] = at;
    // Sparse: most slots never hold one.
    if (extra !== undefined || this.#extra[slot] !== undefined) this.#extra[slot] = extra;
  }

  discard(): void {
    this.#pending = this.#end;
  }

  settle(): void {
    this.#end = this.#pending;
    for (const reader of this.#readers) this.#deliver(reader);
  }

  subscribe(subscription: EventSubscription): () => void {
    const reader: Reader = { subscription, next: this.#end };
    if (subscription.after !== undefined) {
      const [, epoch, place] = CURSOR.exec(subscription.after) ?? [];
      const after = Number(place);
      if (epoch === this.#epoch && after <= this.#end && after >= this.#written - KEPT) {
        reader.next = after;
      } else {
        told(() => subscription.onGap?.());
      }
    }
    this.#readers.add(reader);
    // Not from within the call, so that the caller holds the function that ends it first.
    if (reader.next < this.#end) queueMicrotask(() => this.#deliver(reader));
    return () => {
      this.#readers.delete(reader);
    };
  }

  #cursor(place: number): string {
    return `${this.#epoch}-${place}`;
  }

  #deliver(reader: Reader): void {
    if (!this.#readers.has(reader)) return;
    const { subscription } = reader;
    if (reader.next < this.#written - KEPT) {
      reader.next = Math.min(this.#written - KEPT, this.#end);
      told(() => subscription.onGap?.());
    }
    const events: JobEvent[] = [];
    for (; reader.next < this.#end; reader.next++) {
      const slot = reader.next & (KEPT - 1);
      const lane = this.#lanes(this.#lane[slot] as number);
      const type = eventTypes[this.#type[slot] as number];
      if (lane === undefined || type === undefined) continue;
      if (subscription.tenant !== ALL_TENANTS && subscription.tenant !== lane.tenant) continue;
      if (subscription.queue !== undefined && subscription.queue !== lane.queue) continue;
      if (subscription.types !== undefined && !subscription.types.includes(type)) continue;
      const id = this.#id[slot] as number;
      events.push({
        cursor: this.#cursor(reader.next + 1),
        type,
        tenant: lane.tenant,
        queue: lane.queue,
        jobId: id === 0 ? null : id,
        at: this.#at[slot] as number,
        ...this.#extra[slot],
      });
    }
    if (events.length === 0) return;
    told(() => subscription.onEvents(events));
  }
}

/** A careless reader must not harm the others, nor the call whose events these are. */
function told(tell: () => void): void {
  try {
    tell();
  } catch (error) {
    process.emitWarning(error instanceof Error ? error : new Error(String(error)));
  }
}
