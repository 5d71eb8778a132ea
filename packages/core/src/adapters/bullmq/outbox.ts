import type { JobEvent } from "../../events.ts";
import type { OutboxFigures } from "../../queue-adapter.ts";
import type { Connection } from "./connection.ts";
import { eventOf } from "./event-reader.ts";

/** For so long after it took events a process has the outbox to itself, ms. */
const HELD_MS = 3000;

/** Events for webhooks, a Redis stream that is written together with each change; one process at a time empties it. */
export class Outbox {
  readonly #id: string;
  readonly #connection: Connection;
  readonly #listeners = new Set<() => void>();
  #again: NodeJS.Timeout | undefined;

  constructor(id: string, connection: Connection) {
    this.#id = id;
    this.#connection = connection;
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** There may be something to take. */
  tell(): void {
    for (const listener of this.#listeners) listener();
  }

  async take(limit: number): Promise<readonly JobEvent[]> {
    const [entries, heldMs] = (await this.#connection.script(
      "take-outbox",
      this.#id,
      HELD_MS,
      limit,
    )) as [[string, string[]][], number];
    // Whoever has them may be dead.
    if (heldMs > 0) this.#tellIn(heldMs);
    return entries
      .map(([cursor, fields]) => eventOf(cursor, fields))
      .filter((event) => event !== undefined);
  }

  async figures(): Promise<OutboxFigures> {
    const [waiting, dropped] = await Promise.all([
      this.#connection.command("XLEN", "outbox"),
      this.#connection.command("GET", "outboxDropped"),
    ]);
    return { waiting: Number(waiting), dropped: Number(dropped ?? 0) };
  }

  #tellIn(ms: number): void {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.tell(), ms + 1);
    this.#again.unref();
  }

  stop(): void {
    clearTimeout(this.#again);
    this.#listeners.clear();
  }

  /** Leaves what is there to the next process at once. */
  async close(): Promise<void> {
    this.stop();
    await this.#connection.script("take-outbox", this.#id, HELD_MS, 0);
  }
}
