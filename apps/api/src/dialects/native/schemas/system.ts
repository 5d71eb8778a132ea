import { z } from "@hono/zod-openapi";
import { eventTypes, storeWarnings } from "@jobyard/core";
import { accessRoles, roles } from "../../../auth/caller.ts";
import { queryIntegerOr } from "../../../operations.ts";
import { count, jobId, json, milliseconds, moment, name, tenantQuery } from "./basics.ts";

const accesses = Object.keys(accessRoles) as [string, ...string[]];

export const whoami = z
  .object({
    subject: z.string().nullable(),
    tenant: z.string().openapi({ description: "`*`: all of them" }),
    roles: z.array(z.enum(roles)),
    may: z
      .array(z.enum(accesses))
      .openapi({ description: "The kinds of access (`x-access`) that are granted" }),
    open: z.boolean().openapi({ description: "Whether the server asks for no token" }),
    expiresAt: moment.nullable().openapi({ description: "When the token does" }),
    server: z.object({
      version: z.string(),
      engine: z.enum(["sqlite", "bullmq"]),
      node: z.string(),
    }),
  })
  .openapi("WhoAmI");

export const health = z
  .object({
    status: z.enum(["healthy", "unhealthy"]),
    engine: z.enum(["sqlite", "bullmq"]),
    reachable: z.boolean(),
    latencyMs: milliseconds.openapi({ description: "Of one trip to the store" }),
    warnings: z
      .array(
        z.object({
          code: z.enum(storeWarnings),
          message: z.string(),
          parameters: z
            .record(z.string(), z.string())
            .openapi({ description: "What the message names, for who says it in other words" }),
        }),
      )
      .openapi({ description: "What is at risk as it is set up" }),
    node: z.string(),
    startedAt: moment,
  })
  .openapi("Health");

export const nodes = z
  .object({
    items: z.array(
      z.object({
        id: z.string(),
        host: z.string(),
        port: count,
        isLeader: z.boolean(),
        startedAt: moment,
        lastHeartbeatAt: moment,
      }),
    ),
  })
  .openapi("Nodes");

export const settings = z
  .record(z.string(), json)
  .openapi("Settings", { description: "As parsed at the start; secrets are masked" });

export const jobTypes = z
  .object({
    items: z.array(
      z.object({
        queue: z.string(),
        title: z.string(),
        defaults: z.object({
          attempts: count,
          backoffMs: milliseconds,
          timeoutMs: milliseconds,
          priority: z.number().int(),
        }),
        data: z.record(z.string(), json).openapi({ description: "JSON Schema of the data" }),
      }),
    ),
  })
  .openapi("JobTypes");

export const eventsQuery = tenantQuery.extend({
  queue: name.optional(),
  type: z.array(z.enum(eventTypes)).max(eventTypes.length).optional(),
  job: z.array(jobId).max(100).optional().openapi({ description: "Only of these jobs" }),
  after: z
    .string()
    .max(128)
    .optional()
    .openapi({ description: "Go on after this event; as the header Last-Event-ID" }),
  token: z.string().optional().openapi({
    description: "For readers that cannot send headers",
  }),
});

export const activityQuery = tenantQuery.extend({
  queue: name.optional(),
  everyMs: queryIntegerOr(1000, 250, 60_000),
  token: z.string().optional().openapi({
    description: "For readers that cannot send headers",
  }),
});

export const activity = z
  .object({
    at: moment,
    queues: z.array(
      z.object({
        tenant: z.string(),
        queue: z.string(),
        counts: z
          .partialRecord(z.enum(eventTypes), count)
          .openapi({ description: "Events of each type since the last time" }),
      }),
    ),
  })
  .openapi("Activity");

export const event = z
  .object({
    id: z.string().openapi({ description: "Its place: for `after`" }),
    type: z.enum(eventTypes),
    tenant: z.string(),
    queue: z.string(),
    jobId: jobId.nullable(),
    at: moment,
    progress: z.number().optional(),
    message: z.string().nullable().optional(),
    error: z.string().optional(),
    final: z.boolean().optional().openapi({ description: "`job.failed`: no attempt is left" }),
  })
  .openapi("Event");
