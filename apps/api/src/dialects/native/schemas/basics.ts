import { z } from "@hono/zod-openapi";
import { jobStates } from "@jobyard/core";
import { refusalSchema } from "../../../envelope.ts";

/** What the other schemas are made of. The document in openapi/native.json is made of all of them. */

export const count = z.number().int().min(0);

const FIRST_YEAR = Date.UTC(1000, 0);
const AFTER_LAST_YEAR = Date.UTC(10_000, 0);

/** Four digits of a year have to do, in UTC as well. */
function isInCalendar(text: string): boolean {
  const at = Date.parse(text);
  return at >= FIRST_YEAR && at < AFTER_LAST_YEAR;
}

export const moment = z.iso
  .datetime({ offset: true })
  .refine(isInCalendar, "Must be within the years 1000 to 9999 of UTC");
export const milliseconds = z.number().min(0);
export const state = z.enum(jobStates);

export const jobId = z
  .string()
  .openapi({ description: "A whole number in decimal", example: "5021" });

const NAME = /^[A-Za-z0-9_.-]{1,256}$/;
const NAME_RULE = "Must be 1 to 256 of A-Z a-z 0-9 _ . -";

/** Of queues, schedules and workers. */
export const name = z.string().regex(NAME, NAME_RULE);
/** Free text in one line. */
export const label = z.string().min(1).max(256);
export const longText = z.string().max(10_000);

/** A JSON value. */
export const json = z.unknown();

export const stateCounts = z
  .object({
    waiting: count,
    delayed: count,
    blocked: count,
    active: count,
    completed: count,
    failed: count,
    cancelled: count,
  })
  .openapi("StateCounts", { description: "Jobs present" });

/** `true` or `false` in an address. */
export const flag = z
  .enum(["true", "false"])
  .transform((word) => word === "true")
  .openapi({ type: "boolean" });

/** Every operation on what belongs to a tenant takes it. */
export const tenantQuery = z.object({
  tenant: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,128}$/, "Must be 1 to 128 of A-Z a-z 0-9 _ -")
    .optional()
    .openapi({
      description:
        "For a token of all tenants (`*`): the one that is meant. Without it, what is made is of `default`",
    }),
});

export const errorCodes = [
  "INVALID_JOB_DATA",
  "INVALID_JOB_TYPE",
  "JOB_NOT_FOUND",
  "QUEUE_NOT_FOUND",
  "SCHEDULE_NOT_FOUND",
  "WEBHOOK_NOT_FOUND",
  "FILE_NOT_FOUND",
  "NOT_FOUND",
  "METHOD_NOT_ALLOWED",
  "INVALID_STATE",
  "JOB_NOT_CANCELLABLE",
  "JOB_NOT_RETRYABLE",
  "DUPLICATE_JOB",
  "DUPLICATE_SCHEDULE",
  "STALE_LEASE",
  "JOB_TIMEOUT",
  "QUEUE_FULL",
  "RATE_LIMIT_EXCEEDED",
  "AUTHENTICATION_ERROR",
  "AUTHORIZATION_ERROR",
  "SYSTEM_ERROR",
] as const;

export type NativeCode = (typeof errorCodes)[number];

const code = z.enum(errorCodes);

const fieldErrors = z.array(z.object({ field: z.string(), message: z.string() })).optional();

export const refusal = refusalSchema
  .extend({
    details: z.looseObject({
      code,
      errors: fieldErrors.openapi({ description: "Each field that breaks a rule" }),
      state: state.optional().openapi({ description: "The job's, where that is what forbids it" }),
      jobId: jobId.optional().openapi({ description: "The job asked for, or the duplicate" }),
    }),
  })
  .openapi("Error");

/** Why one item of a batch was refused. */
export const problem = z.object({
  code,
  message: z.string(),
  errors: fieldErrors,
  jobId: jobId.optional(),
});

export type Problem = z.output<typeof problem>;
