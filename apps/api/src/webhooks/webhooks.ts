import { type JobQueue, processId, Worker } from "@jobyard/core";
import type { Logger } from "@jobyard/core/process";
import type { PublicHttp } from "@jobyard/handlers";
import { MAX_WAITING, RETRY, type Retry, WAITING_BYTES } from "./deliveries.ts";
import { Dispatcher } from "./dispatcher.ts";
import { Sender } from "./sender.ts";

/** Deliveries at once in this process; each holds its body in memory. */
const CONCURRENCY = 128;

export interface WebhooksOptions {
  readonly queue: JobQueue;
  /** Closed with these. */
  readonly http: PublicHttp;
  readonly log: Logger;
  /** Default: over a day. */
  readonly retry?: Retry;
  /** Deliveries of one webhook; default: 10,000. */
  readonly maxWaiting?: number;
  /** Of payloads in them, shared out as they come; default: 100 MB. */
  readonly waitingBytes?: number;
}

/** Tells webhooks of events: from the outbox to deliveries, and these to their receivers. */
export class Webhooks {
  readonly #http: PublicHttp;
  readonly #dispatcher: Dispatcher;
  readonly #worker: Worker;

  constructor({
    queue,
    http,
    log,
    retry = RETRY,
    maxWaiting = MAX_WAITING,
    waitingBytes = WAITING_BYTES,
  }: WebhooksOptions) {
    const onError = (error: unknown, doing: string): void => {
      log.error({ err: error }, `Could not ${doing}`);
    };
    this.#http = http;
    this.#dispatcher = new Dispatcher({ queue, retry, maxWaiting, waitingBytes, log, onError });
    const { handler } = new Sender({ queue, http, retry, log });
    this.#worker = new Worker({
      queue,
      handlers: [handler],
      concurrency: CONCURRENCY,
      id: `${processId}-webhooks`,
      listed: false,
      onError,
    });
  }

  start(): void {
    this.#dispatcher.start();
    this.#worker.start();
  }

  /** What is not delivered yet is left to the next process. */
  async stop(graceMs: number): Promise<void> {
    await Promise.all([this.#dispatcher.stop(), this.#worker.drain(graceMs)]);
    await this.#http.close();
  }
}
