import { type EventType, eventTypes, type JobEvent } from "../../events.ts";
import { ALL_TENANTS, type EventSubscription } from "../../queue-adapter.ts";
import type { Connection } from "./connection.ts";
import { parseLane } from "./job-hash.ts";

/** Events are written for so long after a listener was last heard of: a server that restarts misses none. */
const LISTENING_MS = 60_000;
const READ_AT_ONCE = 1000;

/** A cursor is the epoch in which an event was written and its number in it, without holes. */
interface Place {
  readonly epoch: number;
  readonly number: number;
}

interface Reader {
  readonly subscription: EventSubscription;
  place: Place;
  /** A gap was told already. */
  gap: boolean;
}

type Extra = Pick<JobEvent, "progress" | "message" | "error" | "final">;

/** Hands the events of the one log, a Redis stream, to this process' listeners; read only when there is news. */
export class EventReader {
  readonly #connection: Connection;
  readonly #readers = new Set<Reader>();
  #reading = false;
  #news = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async subscribe(subscription: EventSubscription): Promise<() => void> {
    const newest = parsePlace(String(await this.#connection.script("listen", LISTENING_MS)));
    if (newest === undefined) throw new TypeError("Redis answered with no cursor");
    const reader: Reader = { subscription, place: newest, gap: false };
    const { after } = subscription;
    if (after !== undefined) {
      const place = parsePlace(after);
      if (place?.epoch === newest.epoch && place.number <= newest.number) {
        reader.place = place;
      } else {
        reader.place = { epoch: newest.epoch, number: 0 };
        reader.gap = true;
        subscription.onGap?.();
      }
    }
    this.#readers.add(reader);
    this.read();
    return () => void this.#readers.delete(reader);
  }

  /** Says that somebody still listens, and looks for what was missed. */
  async renew(): Promise<void> {
    if (this.#readers.size === 0) return;
    await this.#connection.script("listen", LISTENING_MS);
    this.read();
  }

  /** There are new events, or may be. */
  read(): void {
    this.#news = true;
    if (this.#reading) return;
    this.#reading = true;
    // What could not be read is read with the next news; the log keeps it.
    this.#readAll().catch(() => undefined);
  }

  async #readAll(): Promise<void> {
    try {
      while (this.#news && this.#readers.size > 0) {
        this.#news = false;
        if (await this.#readSome()) this.#news = true;
      }
    } finally {
      // In the same turn as the look at the news, so that none comes between.
      this.#reading = false;
    }
  }

  /** True when there may be more. */
  async #readSome(): Promise<boolean> {
    const from = [...this.#readers].map(({ place }) => place).reduce(earlier);
    const entries = (await this.#connection.command(
      "XRANGE",
      "events",
      `(${from.epoch}-${from.number}`,
      "+",
      "COUNT",
      READ_AT_ONCE,
    )) as [string, string[]][];
    const events = entries.map(([cursor, fields]) => decode(cursor, fields));
    for (const reader of this.#readers) deliver(reader, events);
    return events.length === READ_AT_ONCE;
  }
}

function parsePlace(cursor: string): Place | undefined {
  const [, epoch, number] = /^(\d{1,15})-(\d{1,15})$/.exec(cursor) ?? [];
  if (epoch === undefined || number === undefined) return undefined;
  return { epoch: Number(epoch), number: Number(number) };
}

function isBefore(a: Place, b: Place): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.number < b.number);
}

function earlier(a: Place, b: Place): Place {
  return isBefore(b, a) ? b : a;
}

interface Placed {
  readonly place: Place;
  /** Absent where an epoch begins. */
  readonly event: JobEvent | undefined;
}

function decode(cursor: string, fields: readonly string[]): Placed {
  const place = parsePlace(cursor) ?? { epoch: 0, number: 0 };
  return { place, event: eventOf(cursor, fields) };
}

/** An entry of a stream of events; undefined where it is none. */
export function eventOf(cursor: string, fields: readonly string[]): JobEvent | undefined {
  const [, base = "", , more = ""] = fields;
  const [name, at, id, ...lane] = base.split("|");
  const type: EventType | undefined = eventTypes.find((known) => known === name);
  if (type === undefined) return undefined;
  return {
    cursor,
    type,
    ...parseLane(lane.join("|")),
    jobId: id === "0" ? null : Number(id),
    at: Number(at),
    ...(more === "" ? {} : (JSON.parse(more) as Extra)),
  };
}

function deliver(reader: Reader, all: readonly Placed[]): void {
  const { subscription } = reader;
  const { tenant, queue, types } = subscription;
  const wanted: JobEvent[] = [];
  for (const { place, event } of all) {
    const last = reader.place;
    if (!isBefore(last, place)) continue;
    const next = place.epoch === last.epoch && place.number === last.number + 1;
    reader.place = place;
    if (!next && !reader.gap) subscription.onGap?.();
    reader.gap = false;
    if (event === undefined) continue;
    if (tenant !== ALL_TENANTS && tenant !== event.tenant) continue;
    if (queue !== undefined && queue !== event.queue) continue;
    if (types !== undefined && !types.includes(event.type)) continue;
    wanted.push(event);
  }
  if (wanted.length === 0) return;
  try {
    subscription.onEvents(wanted);
  } catch (error) {
    // A careless reader must not harm the others.
    process.emitWarning(error instanceof Error ? error : new Error(String(error)));
  }
}
