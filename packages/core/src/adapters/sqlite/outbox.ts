import type { DatabaseSync } from "node:sqlite";
import { type EventType, eventTypes, type JobEvent } from "../../events.ts";
import {
  isHeard,
  OUTBOX_LIMIT,
  type OutboxFigures,
  type WebhookRecord,
} from "../../queue-adapter.ts";
import type { Transaction } from "./committer.ts";

type Posted = Omit<JobEvent, "cursor">;

/** The events that a tenant's webhooks ask for, a bit each. */
interface Asked {
  /** Of every queue. */
  readonly everywhere: number;
  readonly byQueue: ReadonlyMap<string, number>;
}

/**
 * Events that webhooks ask for, written in the transaction of the change that they tell of. Each lane knows which ones
 * are asked for, so that where there is no webhook an event costs one look at a number.
 */
export class Outbox {
  readonly listeners = new Set<() => void>();
  readonly #asked = new Map<string, Asked>();
  #posted: Posted[] = [];
  readonly #sql;

  constructor(db: DatabaseSync) {
    this.#sql = {
      insert: db.prepare("INSERT INTO outbox (event) VALUES (?)"),
      oldest: db.prepare("SELECT no, event FROM outbox ORDER BY no LIMIT ?"),
      forget: db.prepare("DELETE FROM outbox WHERE no <= ?"),
      // Forgotten from the oldest on, they are numbered without gaps. Each look-up on its own, or all rows are read.
      size: db.prepare(
        "SELECT coalesce((SELECT max(no) FROM outbox) - (SELECT min(no) FROM outbox) + 1, 0) AS size",
      ),
      drop: db.prepare(
        `INSERT INTO meta VALUES ('outbox_dropped', ?)
         ON CONFLICT (key) DO UPDATE SET value = value + excluded.value`,
      ),
      dropped: db.prepare("SELECT value FROM meta WHERE key = 'outbox_dropped'"),
    };
  }

  /** All webhooks of the tenant; the answer takes it back. */
  ask(tenant: string, webhooks: readonly WebhookRecord[]): () => void {
    const before = this.#asked.get(tenant);
    const asked = askedBy(webhooks);
    if (asked === undefined) this.#asked.delete(tenant);
    else this.#asked.set(tenant, asked);
    return () => {
      if (before === undefined) this.#asked.delete(tenant);
      else this.#asked.set(tenant, before);
    };
  }

  /** As `Lane.asked` has it. */
  askedOf(tenant: string, queue: string): number {
    const asked = this.#asked.get(tenant);
    return asked === undefined ? 0 : asked.everywhere | (asked.byQueue.get(queue) ?? 0);
  }

  post(event: Posted): void {
    this.#posted.push(event);
  }

  write(tx: Transaction): void {
    if (this.#posted.length === 0) return;
    const kept = this.#posted.slice(0, Math.max(0, OUTBOX_LIMIT - this.#size()));
    for (const event of kept) this.#sql.insert.run(JSON.stringify(event));
    if (kept.length < this.#posted.length) this.#sql.drop.run(this.#posted.length - kept.length);
    this.#posted = [];
    tx.onCommit(() => this.tell());
  }

  discard(): void {
    this.#posted = [];
  }

  tell(): void {
    for (const listener of this.listeners) listener();
  }

  take(limit: number): JobEvent[] {
    return this.#sql.oldest.all(limit).map((row) => {
      return { cursor: String(row["no"]), ...(JSON.parse(String(row["event"])) as Posted) };
    });
  }

  figures(): OutboxFigures {
    const dropped = Number(this.#sql.dropped.get()?.["value"] ?? 0);
    return { waiting: this.#size(), dropped };
  }

  #size(): number {
    return Number(this.#sql.size.get()?.["size"]);
  }

  /** Forgets all up to `last`; false where `first` is not the oldest. */
  forget(first: string, last: string): boolean {
    if (String(this.#sql.oldest.get(1)?.["no"]) !== first) return false;
    this.#sql.forget.run(Number(last));
    return true;
  }
}

function askedBy(webhooks: readonly WebhookRecord[]): Asked | undefined {
  let everywhere = 0;
  const byQueue = new Map<string, number>();
  for (const webhook of webhooks) {
    if (!isHeard(webhook)) continue;
    const bits = bitsOf(webhook.events);
    if (webhook.queue === null) everywhere |= bits;
    else byQueue.set(webhook.queue, (byQueue.get(webhook.queue) ?? 0) | bits);
  }
  return everywhere === 0 && byQueue.size === 0 ? undefined : { everywhere, byQueue };
}

function bitsOf(events: readonly string[]): number {
  if (events.includes("*")) return 2 ** eventTypes.length - 1;
  return events.reduce((bits, event) => bits | bitOf(eventTypes.indexOf(event as EventType)), 0);
}

function bitOf(code: number): number {
  return code < 0 ? 0 : 1 << code;
}
