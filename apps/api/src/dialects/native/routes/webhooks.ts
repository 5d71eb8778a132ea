import {
  isHeard,
  parseJobId,
  QueueError,
  type TenantQueue,
  type WebhookRecord,
} from "@jobyard/core";
import type { ApiContext, DialectDeps } from "../../../dialect.ts";
import type { Handle } from "../../../operations.ts";
import {
  findDelivery,
  listDeliveries,
  replayDelivery,
  sendTest,
} from "../../../webhooks/deliveries.ts";
import { attemptView, deliveryView, webhookView } from "../mapping.ts";
import type { webhookOperations } from "../operations/webhooks.ts";
import { answer, bodyOf, queryOf, scopeOf } from "../requests.ts";
import * as schemas from "../schemas/webhooks.ts";

/** The shape of what is sent: that of flashQ's webhooks. */
const SHAPE = "flashq";

export function webhookRoutes(deps: DialectDeps): Record<keyof typeof webhookOperations, Handle> {
  const { queue } = deps;

  return {
    async listWebhooks(c) {
      return answer(c, { items: (await scopeOf(c, queue).webhooks()).map(webhookView) });
    },

    async addWebhook(c) {
      const { url, events, queue: only, secret, enabled } = await bodyOf(c, schemas.newWebhook);
      const webhook = await scopeOf(c, queue).putWebhook({
        url,
        events,
        queue: only ?? null,
        secret: secret ?? null,
        shape: SHAPE,
        enabled,
      });
      return answer(c, webhookView(webhook), 201);
    },

    async getWebhook(c) {
      return answer(c, webhookView(await found(scopeOf(c, queue), c)));
    },

    async updateWebhook(c) {
      const old = await found(scopeOf(c, queue), c);
      const { url, events, queue: only, secret, enabled } = await bodyOf(c, schemas.webhookPatch);
      const webhook = await queue.of(old.tenant).putWebhook({
        id: old.id,
        url: url ?? old.url,
        events: events ?? old.events,
        queue: only === undefined ? old.queue : only,
        secret: secret === undefined ? old.secret : secret,
        shape: old.shape,
        // One that was disabled for its failures is enabled by nothing else.
        enabled: enabled ?? isHeard(old),
      });
      return answer(c, webhookView(webhook));
    },

    async removeWebhook(c) {
      const jobs = scopeOf(c, queue);
      const { id } = await found(jobs, c);
      await jobs.deleteWebhook(id);
      return answer(c, { id: String(id) });
    },

    async testWebhook(c) {
      const webhook = await found(scopeOf(c, queue), c);
      return answer(c, deliveryView(await sendTest(queue, webhook)), 201);
    },

    async listDeliveries(c) {
      const query = queryOf(c, schemas.deliveriesQuery);
      const { id } = await found(scopeOf(c, queue, query), c);
      const { limit, cursor, state } = query;
      const { deliveries, total } = await listDeliveries(queue, id, {
        limit,
        ...(cursor === undefined ? {} : { after: cursor }),
        ...(state === undefined ? {} : { state }),
      });
      const last = deliveries.length < limit ? undefined : deliveries.at(-1);
      const next = last === undefined ? null : String(last.id);
      return answer(c, { items: deliveries.map(deliveryView), total, next });
    },

    async getDelivery(c) {
      const { id } = await found(scopeOf(c, queue), c);
      const delivery = await findDelivery(queue, id, deliveryIn(c));
      const { body, attempts } = delivery;
      return answer(c, { ...deliveryView(delivery), body, history: attempts.map(attemptView) });
    },

    async replayDelivery(c) {
      const webhook = await found(scopeOf(c, queue), c);
      return answer(c, deliveryView(await replayDelivery(queue, webhook, deliveryIn(c))), 201);
    },
  };
}

/** @throws QueueError WEBHOOK_NOT_FOUND */
async function found(jobs: TenantQueue, c: ApiContext): Promise<WebhookRecord> {
  const id = c.req.param("id") ?? "";
  const webhook = (await jobs.webhooks()).find((one) => String(one.id) === id);
  if (webhook !== undefined) return webhook;
  throw new QueueError("WEBHOOK_NOT_FOUND", `Webhook ${id.slice(0, 64).toWellFormed()} not found`);
}

/** @throws QueueError JOB_NOT_FOUND */
function deliveryIn(c: ApiContext): number {
  const spelt = c.req.param("delivery") ?? "";
  const id = parseJobId(spelt);
  if (id !== null) return id;
  throw new QueueError("JOB_NOT_FOUND", `Delivery ${spelt.slice(0, 64).toWellFormed()} not found`);
}
