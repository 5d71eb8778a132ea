import {
  ALL_TENANTS,
  type JobEvent,
  type JobQueue,
  type JobSpec,
  type WebhookRecord,
} from "@jobyard/core";
import { asksFor, bodyText } from "./bodies.ts";
import type { Logger } from "@jobyard/core/process";
import { deliverySpec, limitDeliveries, type Retry, waitingDeliveries } from "./deliveries.ts";

const TAKEN = 500;
/** Their jobs are in memory together, with data and results. */
const READ_AT_ONCE = 100;
const MAX_STEP_BYTES = 8_000_000;
/** After a failure of the store, ms. */
const AGAIN_MS = 1000;

interface DispatcherOptions {
  readonly queue: JobQueue;
  readonly retry: Retry;
  /** Deliveries of one webhook that may wait. */
  readonly maxWaiting: number;
  /** Of payloads in them, shared out as they come. */
  readonly waitingBytes: number;
  readonly log: Logger;
  readonly onError: (error: unknown, doing: string) => void;
}

/** An event, and the webhooks that ask for it. */
interface Taken {
  readonly event: JobEvent;
  readonly told: { readonly webhook: WebhookRecord; readonly maxBytes: number }[];
  /** Too many of their deliveries wait. */
  readonly dropped: WebhookRecord[];
}

/** Makes deliveries of the events in the outbox. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #limited = new Set<number>();
  /** Webhooks that are told less than happens, as the log says. */
  readonly #full = new Set<number>();
  #news = false;
  #running: Promise<void> | undefined;
  #stopped = false;
  #stopListening: () => void = () => undefined;
  #callOff: () => void = () => undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#stopListening = this.#options.queue.adapter.onOutbox(() => this.#look());
    this.#look();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopListening();
    this.#callOff();
    await this.#running;
  }

  #look(): void {
    this.#news = true;
    if (this.#stopped) return;
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
  }

  async #run(): Promise<void> {
    const { queue, onError } = this.#options;
    try {
      while (this.#news && !this.#stopped) {
        this.#news = false;
        while (await this.#step());
      }
    } catch (error) {
      if (this.#stopped) return;
      onError(error, "add webhook deliveries");
      this.#callOff();
      this.#callOff = queue.clock.at(queue.clock.now() + AGAIN_MS, () => this.#look());
    }
  }

  /** False when there is nothing to do, or somebody else does it. */
  async #step(): Promise<boolean> {
    const { adapter } = this.#options.queue;
    const events = await adapter.takeOutbox({ limit: TAKEN });
    if (events.length === 0) return false;
    // Read after the events: whoever asked for one of them is there, unless it is gone.
    const webhooks = await adapter.listWebhooks({ tenant: ALL_TENANTS });
    const taken = await this.#shareOut(events, webhooks);
    for (let at = 0; at < taken.length; at += READ_AT_ONCE) {
      if (this.#stopped) return false;
      if (!(await this.#dispatch(taken.slice(at, at + READ_AT_ONCE)))) return false;
    }
    return true;
  }

  async #shareOut(
    events: readonly JobEvent[],
    webhooks: readonly WebhookRecord[],
  ): Promise<readonly Taken[]> {
    const { maxWaiting, waitingBytes } = this.#options;
    const asking = events.map((event) => webhooks.filter((webhook) => asksFor(webhook, event)));
    const room = new Map(
      await Promise.all(
        [...new Set(asking.flat())].map(async ({ id }) => [id, await this.#room(id)] as const),
      ),
    );
    return events.map((event, i) => {
      const taken: Taken = { event, told: [], dropped: [] };
      for (const webhook of asking[i] ?? []) {
        const left = room.get(webhook.id) ?? 0;
        room.set(webhook.id, left - 1);
        const place = maxWaiting - left + 1;
        if (left <= 0) taken.dropped.push(webhook);
        else taken.told.push({ webhook, maxBytes: waitingBytes / place });
      }
      return taken;
    });
  }

  /** How many deliveries more the webhook may have. */
  async #room(webhook: number): Promise<number> {
    const { queue, maxWaiting, log } = this.#options;
    const room = maxWaiting - (await waitingDeliveries(queue, webhook));
    if (room > 0) this.#full.delete(webhook);
    else if (!this.#full.has(webhook)) {
      this.#full.add(webhook);
      log.warn(
        { webhook, maxWaiting },
        "Too many deliveries of a webhook wait: it is not told of events",
      );
    }
    return room;
  }

  async #dispatch(taken: readonly Taken[]): Promise<boolean> {
    const { queue, retry } = this.#options;
    const ids = taken.flatMap(({ event: { jobId }, told }) =>
      jobId === null || told.length === 0 ? [] : [jobId],
    );
    const found = ids.length === 0 ? [] : await queue.adapter.get({ tenant: ALL_TENANTS, ids });
    const jobs = new Map(found.flatMap((job) => (job === null ? [] : [[job.id, job]])));
    let first: string | undefined;
    let specs: JobSpec[] = [];
    let dropped = new Map<number, number>();
    let bytes = 0;
    const settle = async (last: string): Promise<boolean> => {
      const settled = await queue.adapter.settleOutbox({ first: first ?? last, last, jobs: specs });
      if (!settled) for (const { data } of specs) await queue.payloads.discard(data);
      else
        for (const [id, count] of dropped) await queue.adapter.noteWebhook({ id, dropped: count });
      first = undefined;
      specs = [];
      dropped = new Map();
      bytes = 0;
      return settled;
    };
    for (const [i, { event, ...webhooks }] of taken.entries()) {
      const { cursor, jobId, type } = event;
      first ??= cursor;
      const job = jobId === null ? null : (jobs.get(jobId) ?? null);
      for (const { webhook, maxBytes } of webhooks.told) {
        await this.#limit(webhook);
        const body = bodyText(webhook.shape, event, job, maxBytes);
        bytes += body.length;
        specs.push(
          await deliverySpec(queue, { webhook: webhook.id, event: type, jobId, body }, retry),
        );
      }
      for (const { id } of webhooks.dropped) dropped.set(id, (dropped.get(id) ?? 0) + 1);
      const over = i === taken.length - 1 || bytes > MAX_STEP_BYTES;
      if (over && !(await settle(cursor))) return false;
    }
    return true;
  }

  async #limit(webhook: WebhookRecord): Promise<void> {
    if (this.#limited.has(webhook.id)) return;
    await limitDeliveries(this.#options.queue, webhook.id, webhook.health);
    this.#limited.add(webhook.id);
  }
}
