import { createHmac } from "node:crypto";
import {
  ALL_TENANTS,
  defineHandler,
  goodVerdict,
  type Handler,
  HandlerError,
  isHeard,
  type JobQueue,
  type WebhookVerdict,
  type WebhookRecord,
} from "@jobyard/core";
import type { Logger } from "@jobyard/core/process";
import { AddressRefused, type PublicHttp } from "@jobyard/handlers";
import {
  type Attempt,
  type DeliveryData,
  deliveryType,
  limitDeliveries,
  type Retry,
} from "./deliveries.ts";

/** An attempt, from the look-up of the name to the last byte of the answer, ms. */
const ATTEMPT_MS = 10_000;
/** More of an answer is not read. */
const MAX_ANSWER_BYTES = 65_536;
/** Of an answer, kept in the log. */
const MAX_SHOWN = 1000;
const MAX_ERROR = 500;

/** A webhook is disabled when so many deliveries in a row were given up, or all attempts of so many ms have failed. */
const MAX_GIVEN_UP = 20;
const MAX_FAILING_MS = 3 * 86_400_000;
const GONE = 410;

/** What other processes change of a webhook is known so soon, ms. */
const KNOWN_MS = 1000;

export interface SenderOptions {
  readonly queue: JobQueue;
  readonly http: PublicHttp;
  readonly retry: Retry;
  readonly log: Logger;
}

/** Sends deliveries, and judges webhooks by how that goes. */
export class Sender {
  readonly handler: Handler;
  readonly #options: SenderOptions;
  #known:
    | { readonly until: number; readonly webhooks: Promise<ReadonlyMap<number, WebhookRecord>> }
    | undefined;
  #judging: Promise<void> = Promise.resolve();

  constructor(options: SenderOptions) {
    this.#options = options;
    this.handler = defineHandler(deliveryType, async ({ data, signal, attempt, job, log }) => {
      const webhook = await this.#find(data.webhook);
      if (webhook === undefined || !isHeard(webhook)) {
        const message =
          webhook === undefined ? "The webhook was removed" : "The webhook is disabled";
        log(JSON.stringify(attemptWithout(message, options.queue.clock.now())));
        throw new HandlerError("WEBHOOK_UNHEARD", message, { dataFault: true });
      }
      const made = await this.#post(webhook, job.id, data, signal);
      // Called off by us: no fault of the receiver's.
      signal.throwIfAborted();
      log(JSON.stringify(made.attempt));
      const { error, status } = made.attempt;
      if (error === null) {
        await this.#succeeded(webhook);
        return null;
      }
      const last = made.refused || status === GONE || attempt >= options.retry.attempts;
      await this.#failed(webhook, status, last);
      throw new HandlerError("DELIVERY_FAILED", error, { dataFault: last });
    });
  }

  /** One that is not heard was perhaps made, or enabled, a moment ago. */
  async #find(id: number): Promise<WebhookRecord | undefined> {
    const webhook = (await this.#webhooks()).get(id);
    if (webhook !== undefined && isHeard(webhook)) return webhook;
    this.#known = undefined;
    return (await this.#webhooks()).get(id);
  }

  #webhooks(): Promise<ReadonlyMap<number, WebhookRecord>> {
    if (this.#known !== undefined && this.#known.until > Date.now()) return this.#known.webhooks;
    const webhooks = this.#options.queue.adapter
      .listWebhooks({ tenant: ALL_TENANTS })
      .then((all) => new Map(all.map((webhook) => [webhook.id, webhook])));
    const known = { until: Date.now() + KNOWN_MS, webhooks };
    this.#known = known;
    webhooks.catch(() => {
      if (this.#known === known) this.#known = undefined;
    });
    return webhooks;
  }

  async #post(
    { url, secret }: WebhookRecord,
    id: number,
    { event, body }: DeliveryData,
    signal: AbortSignal,
  ): Promise<{ readonly attempt: Attempt; readonly refused: boolean }> {
    const { http, queue } = this.#options;
    const at = queue.clock.now();
    const began = performance.now();
    let status: number | null = null;
    let error: string | null = null;
    let response = "";
    let refused = false;
    const late = new AbortController();
    const callOff = queue.clock.at(at + ATTEMPT_MS, () => {
      late.abort(new Error(`There was no answer within ${ATTEMPT_MS} ms`));
    });
    try {
      const answer = await http.post(url, {
        headers: {
          "content-type": "application/json",
          "user-agent": "Jobyard-Webhooks",
          "x-flashq-event": event,
          "x-flashq-delivery": String(id),
          ...(secret === null ? {} : { "x-flashq-signature": signatureOf(secret, body) }),
        },
        body,
        signal: AbortSignal.any([signal, late.signal]),
      });
      status = answer.statusCode;
      response = await beginning(answer.body);
      if (status < 200 || status > 299) error = `The receiver answered ${status}`;
      if (status >= 300 && status < 400) error += ": redirects are not followed";
    } catch (fault) {
      refused = fault instanceof AddressRefused;
      error = faultText(fault);
    } finally {
      callOff();
    }
    const ms = Math.round(performance.now() - began);
    return { attempt: { at, ms, status, error, response }, refused };
  }

  async #succeeded({ id, tenant, health }: WebhookRecord): Promise<void> {
    if (health.failingSince === null && health.givenUp === 0) return;
    await this.#judge(tenant, id, () => goodVerdict);
  }

  /** `last`: the delivery is given up. */
  async #failed(webhook: WebhookRecord, status: number | null, last: boolean): Promise<void> {
    const { id, tenant, health } = webhook;
    const now = this.#options.queue.clock.now();
    const isLong = (since: number): boolean => now - since >= MAX_FAILING_MS;
    // Nothing new.
    if (!last && health.failingSince !== null && !isLong(health.failingSince)) return;
    await this.#judge(tenant, id, (known) => {
      const failingSince = known.failingSince ?? now;
      const givenUp = known.givenUp + (last ? 1 : 0);
      let disabled = known.disabled;
      if (status === GONE) disabled = "The receiver answered 410: it wants no more";
      else if (givenUp >= MAX_GIVEN_UP) disabled = `${givenUp} deliveries in a row were given up`;
      else if (isLong(failingSince)) disabled = "Every attempt of three days has failed";
      return { failingSince, givenUp, disabled };
    });
  }

  /** One after the other, or what several attempts at once have shown would count once. */
  #judge(
    tenant: string,
    id: number,
    judge: (known: WebhookVerdict) => WebhookVerdict,
  ): Promise<void> {
    const { queue, log } = this.#options;
    this.#judging = this.#judging
      .then(async () => {
        const webhooks = await queue.adapter.listWebhooks({ tenant });
        const known = webhooks.find((webhook) => webhook.id === id);
        if (known === undefined || !isHeard(known)) return;
        const verdict = judge(known.health);
        await queue.adapter.noteWebhook({ id, verdict });
        await limitDeliveries(queue, id, verdict);
        this.#known = undefined;
        const reason = verdict.disabled;
        if (reason !== null) log.warn({ webhook: id, tenant, reason }, "A webhook was disabled");
      })
      .catch((error: unknown) => log.error({ err: error }, "Could not note a webhook's failures"));
    return this.#judging;
  }
}

/** Hex, of the body's bytes. */
export function signatureOf(secret: string, body: string | Uint8Array): string {
  return createHmac("sha256", secret).update(body).digest("hex");
}

/** Of an answer's body. What it says beyond that it came is no reason to fail. */
async function beginning(
  body: AsyncIterable<Uint8Array> & { destroy(): unknown },
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= MAX_ANSWER_BYTES) break;
    }
  } catch {
    // Cut off, or too slow: the status counts.
  } finally {
    body.destroy();
  }
  return Buffer.concat(chunks).toString("utf8").slice(0, MAX_SHOWN).toWellFormed();
}

function attemptWithout(error: string, at: number): Attempt {
  return { at, ms: 0, status: null, error, response: "" };
}

function faultText(fault: unknown): string {
  if (fault instanceof AddressRefused)
    return `${fault.message}: deliveries go to public addresses only`;
  const text = fault instanceof Error ? fault.message || fault.name : String(fault);
  return text.slice(0, MAX_ERROR).toWellFormed();
}
