import { z } from "@hono/zod-openapi";
import { eventTypes } from "@jobyard/core";
import { queryInteger, queryIntegerOr } from "../../../operations.ts";
import { count, moment, name, tenantQuery } from "./basics.ts";

const url = z.url({ protocol: /^https?$/ }).max(2048);
const events = z
  .array(z.enum(["*", ...eventTypes]))
  .min(1)
  .max(eventTypes.length + 1)
  .openapi({ description: "`*`: all of them" });
const secret = z.string().min(1).max(256);

export const webhookParams = z.object({ id: z.string() });

export const newWebhook = z
  .object({
    url,
    events,
    queue: name.nullish().openapi({ description: "Default: all queues" }),
    secret: secret.nullish().openapi({ description: "Signs each delivery; never shown again" }),
    enabled: z.boolean().default(true),
  })
  .openapi("NewWebhook", {
    example: { url: "https://hooks.example.com/jobs", events: ["job.failed"], secret: "s3cr3t" },
  });

export const webhookPatch = z
  .object({
    url: url.optional(),
    events: events.optional(),
    queue: name.nullish(),
    secret: secret.nullish().openapi({ description: "null: deliveries are not signed any more" }),
    enabled: z.boolean().optional(),
  })
  .openapi("WebhookPatch");

export const webhook = z
  .object({
    id: z.string(),
    tenant: z.string(),
    url: z.string(),
    events: z.array(z.string()),
    queue: z.string().nullable(),
    signed: z.boolean().openapi({ description: "Whether it has a secret" }),
    enabled: z.boolean(),
    disabledReason: z.string().nullable().openapi({
      description: "Why it was disabled by its failures, until it is enabled again",
    }),
    failingSince: moment.nullable().openapi({ description: "Since when every attempt has failed" }),
    givenUp: count.openapi({ description: "Deliveries in a row that were given up" }),
    dropped: count.openapi({
      description: "Events that it was not told of, since too many of its deliveries waited",
    }),
    createdAt: moment,
  })
  .openapi("Webhook");

export const webhooks = z.object({ items: z.array(webhook) }).openapi("Webhooks");

export const deliveryParams = webhookParams.extend({ delivery: z.string() });

export const deliveriesQuery = tenantQuery.extend({
  state: z.enum(["pending", "delivered", "failed"]).optional(),
  limit: queryIntegerOr(50, 1, 100),
  cursor: queryInteger(1, 2 ** 53 - 1)
    .optional()
    .openapi({ description: "`next` of the page before" }),
});

export const delivery = z
  .object({
    id: z.string(),
    event: z.string(),
    jobId: z.string().nullable(),
    state: z.enum(["pending", "delivered", "failed"]),
    attempts: count,
    status: z.number().int().nullable().openapi({ description: "The last answer's" }),
    durationMs: count.nullable().openapi({ description: "Of the last attempt" }),
    error: z.string().nullable(),
    createdAt: moment,
    lastAttemptAt: moment.nullable(),
    nextAttemptAt: moment.nullable(),
  })
  .openapi("Delivery");

export const deliveryDetail = delivery
  .extend({
    body: z.string().openapi({ description: "As it is sent" }),
    history: z.array(
      z.object({
        at: moment,
        durationMs: count,
        status: z.number().int().nullable(),
        error: z.string().nullable(),
        response: z.string().openapi({ description: "The beginning of the answer" }),
      }),
    ),
  })
  .openapi("DeliveryDetail");

export const deliveries = z
  .object({ items: z.array(delivery), total: count, next: z.string().nullable() })
  .openapi("Deliveries");
