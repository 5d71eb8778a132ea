import { z } from "@hono/zod-openapi";
import { json, longText, moment, name } from "./basics.ts";
import { jobTemplate } from "./jobs.ts";

const cron = z
  .string()
  .max(256)
  .openapi({ description: "5 fields, or 6 with seconds first", example: "30 6 * * 1-5" });
const timezone = z.string().max(64).openapi({ example: "Europe/Madrid" });

const words = z
  .object({ en: z.string(), es: z.string() })
  .openapi({ description: "In plain words", example: { en: "At 06:30 AM", es: "A las 06:30 AM" } });

export const scheduleParams = z.object({ name });

export const newSchedule = z
  .object({
    name,
    cron,
    timezone: timezone.default("UTC"),
    enabled: z.boolean().default(true),
    description: longText.nullish(),
    job: jobTemplate,
  })
  .openapi("NewSchedule", {
    example: {
      name: "morning-report",
      cron: "30 6 * * 1-5",
      timezone: "Europe/Madrid",
      job: { queue: "thumbnails", data: { folder: "covers" } },
    },
  });

export const schedulePatch = z
  .object({
    cron: cron.optional(),
    timezone: timezone.optional(),
    enabled: z.boolean().optional().openapi({ description: "false pauses it" }),
    description: longText.nullish(),
    job: jobTemplate.optional(),
  })
  .openapi("SchedulePatch");

export const schedule = z
  .object({
    name: z.string(),
    tenant: z.string(),
    cron: z.string(),
    timezone: z.string(),
    words,
    enabled: z.boolean(),
    description: z.string().nullable(),
    queue: z.string(),
    job: z.looseObject({ queue: z.string(), data: json }),
    createdAt: moment,
    nextRunAt: moment.nullable(),
    lastRunAt: moment.nullable(),
    addedVia: z.string(),
  })
  .openapi("Schedule");

export const schedules = z.object({ items: z.array(schedule) }).openapi("Schedules");

export const previewBody = z
  .object({
    cron,
    timezone: timezone.default("UTC"),
    count: z.number().int().min(1).max(100).default(5),
    from: moment.optional().openapi({ description: "Default: now" }),
  })
  .openapi("SchedulePreviewQuestion");

export const preview = z
  .object({
    words,
    runs: z.array(
      z.object({
        at: moment,
        local: z.string().openapi({
          description: "The same in the schedule's time zone",
          example: "2026-03-02T06:30:00+01:00",
        }),
      }),
    ),
  })
  .openapi("SchedulePreview");
