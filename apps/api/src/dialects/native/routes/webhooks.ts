import { QueueError, type TenantQueue, type WebhookRecord } from "@jobyard/core";
import type { ApiContext, DialectDeps } from "../../../dialect.ts";
import type { Handle } from "../../../operations.ts";
import { webhookView } from "../mapping.ts";
import type { webhookOperations } from "../operations/webhooks.ts";
import { answer, bodyOf, scopeOf, notYet } from "../requests.ts";
import * as schemas from "../schemas/webhooks.ts";

/** The shape of what is sent: that of flashQ's webhooks. */
const SHAPE = "flashq";

export function webhookRoutes(deps: DialectDeps): Record<keyof typeof webhookOperations, Handle> {
  const { queue } = deps;

  return {
    listDeliveries: notYet,
    replayDelivery: notYet,
    async listWebhooks(c) {
      return answer(c, { items: (await scopeOf(c, queue).webhooks()).map(webhookView) });
    },

    async addWebhook(c) {
      const { url, events, queue: only, secret, enabled } = await bodyOf(c, schemas.newWebhook);
      const webhook = await queue.of(c.get("caller").tenant).putWebhook({
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
        enabled: enabled ?? old.enabled,
      });
      return answer(c, webhookView(webhook));
    },

    async removeWebhook(c) {
      const jobs = scopeOf(c, queue);
      const { id } = await found(jobs, c);
      await jobs.deleteWebhook(id);
      return answer(c, { id: String(id) });
    },
  };
}

/** @throws QueueError WEBHOOK_NOT_FOUND */
async function found(jobs: TenantQueue, c: ApiContext): Promise<WebhookRecord> {
  const id = c.req.param("id") ?? "";
  const webhook = (await jobs.webhooks()).find((one) => String(one.id) === id);
  if (webhook !== undefined) return webhook;
  throw new QueueError("WEBHOOK_NOT_FOUND", `Webhook ${id.slice(0, 64)} not found`);
}
