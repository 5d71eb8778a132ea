import { tenantQuery } from "../schemas/basics.ts";
import * as webhooks from "../schemas/webhooks.ts";
import { define } from "./define.ts";

const one = { params: webhooks.webhookParams, query: tenantQuery };

export const webhookOperations = {
  listWebhooks: define("administer", "get /webhooks", {
    id: "listWebhooks",
    summary: "All webhooks",
    query: tenantQuery,
    data: webhooks.webhooks,
  }),
  addWebhook: define("administer", "post /webhooks", {
    id: "addWebhook",
    summary: "Tell an address of events",
    query: tenantQuery,
    body: webhooks.newWebhook,
    made: true,
    data: webhooks.webhook,
  }),
  getWebhook: define("administer", "get /webhooks/{id}", {
    id: "getWebhook",
    summary: "A webhook",
    ...one,
    data: webhooks.webhook,
    refused: ["WEBHOOK_NOT_FOUND"],
  }),
  updateWebhook: define("administer", "patch /webhooks/{id}", {
    id: "updateWebhook",
    summary: "Change, pause or resume a webhook",
    description: "What is absent stays as it is.",
    ...one,
    body: webhooks.webhookPatch,
    data: webhooks.webhook,
    refused: ["WEBHOOK_NOT_FOUND"],
  }),
  removeWebhook: define("administer", "delete /webhooks/{id}", {
    id: "removeWebhook",
    summary: "Remove a webhook",
    ...one,
    data: webhooks.webhookParams,
    refused: ["WEBHOOK_NOT_FOUND"],
  }),
  testWebhook: define("administer", "post /webhooks/{id}/test", {
    id: "testWebhook",
    summary: "Send a webhook an event of its own, `webhook.test`",
    ...one,
    made: true,
    data: webhooks.delivery,
    refused: ["WEBHOOK_NOT_FOUND", "INVALID_STATE"],
  }),
  listDeliveries: define("administer", "get /webhooks/{id}/deliveries", {
    id: "listDeliveries",
    summary: "What was sent to a webhook, the newest first",
    params: webhooks.webhookParams,
    query: webhooks.deliveriesQuery,
    data: webhooks.deliveries,
    refused: ["WEBHOOK_NOT_FOUND"],
  }),
  getDelivery: define("administer", "get /webhooks/{id}/deliveries/{delivery}", {
    id: "getDelivery",
    summary: "What was sent, and how each attempt went",
    params: webhooks.deliveryParams,
    query: tenantQuery,
    data: webhooks.deliveryDetail,
    refused: ["WEBHOOK_NOT_FOUND", "JOB_NOT_FOUND"],
  }),
  replayDelivery: define("administer", "post /webhooks/{id}/deliveries/{delivery}/replay", {
    id: "replayDelivery",
    summary: "Send a delivery again, as a new one",
    params: webhooks.deliveryParams,
    query: tenantQuery,
    made: true,
    data: webhooks.delivery,
    refused: ["WEBHOOK_NOT_FOUND", "JOB_NOT_FOUND", "INVALID_STATE"],
  }),
};
