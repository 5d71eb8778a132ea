import {
  ALL_TENANTS,
  type JobEvent,
  type JobQueue,
  type JobSpec,
  type WebhookRecord,
} from "@jobyard/core";
import { asksFor, bodyText } from "./bodies.ts";
import { deliverySpec, limitDeliveries, type Retry } from "./deliveries.ts";

const TAKEN = 500;
/** Their jobs are in memory together, with data and results. */
const READ_AT_ONCE = 100;
const MAX_STEP_BYTES = 8_000_000;
/** After a failure of the store, ms. */
const AGAIN_MS = 1000;

interface DispatcherOptions {
  readonly queue: JobQueue;
  readonly retry: Retry;
  readonly onError: (error: unknown, doing: string) => void;
}

/** Makes deliveries of the events in the outbox. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #limited = new Set<number>();
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
    for (let at = 0; at < events.length; at += READ_AT_ONCE) {
      if (this.#stopped) return false;
      if (!(await this.#dispatch(events.slice(at, at + READ_AT_ONCE), webhooks))) return false;
    }
    return true;
  }

  async #dispatch(
    events: readonly JobEvent[],
    webhooks: readonly WebhookRecord[],
  ): Promise<boolean> {
    const { queue, retry } = this.#options;
    const wanted = events.map((event) => webhooks.filter((webhook) => asksFor(webhook, event)));
    const ids = events.flatMap(({ jobId }, i) =>
      jobId === null || wanted[i]?.length === 0 ? [] : [jobId],
    );
    const found = await queue.adapter.get({ tenant: ALL_TENANTS, ids });
    const jobs = new Map(found.flatMap((job) => (job === null ? [] : [[job.id, job]])));
    let first: string | undefined;
    let specs: JobSpec[] = [];
    let bytes = 0;
    const settle = async (last: string): Promise<boolean> => {
      const settled = await queue.adapter.settleOutbox({ first: first ?? last, last, jobs: specs });
      if (!settled) for (const { data } of specs) await queue.payloads.discard(data);
      first = undefined;
      specs = [];
      bytes = 0;
      return settled;
    };
    for (const [i, event] of events.entries()) {
      const { cursor, jobId, type } = event;
      first ??= cursor;
      const job = jobId === null ? null : (jobs.get(jobId) ?? null);
      for (const webhook of wanted[i] ?? []) {
        await this.#limit(webhook);
        const body = bodyText(webhook.shape, event, job);
        bytes += body.length;
        specs.push(
          await deliverySpec(queue, { webhook: webhook.id, event: type, jobId, body }, retry),
        );
      }
      const over = i === events.length - 1 || bytes > MAX_STEP_BYTES;
      if (over && !(await settle(cursor))) return false;
    }
    return true;
  }

  async #limit(webhook: WebhookRecord): Promise<void> {
    if (this.#limited.has(webhook.id)) return;
    await limitDeliveries(this.#options.queue, webhook);
    this.#limited.add(webhook.id);
  }
}
