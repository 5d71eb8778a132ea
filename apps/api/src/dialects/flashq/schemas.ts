import { MAX_BATCH, MAX_QUEUE_LIMIT } from "@jobyard/core";
import { z } from "zod";

/**
 * What flashQ's commands take, whatever the protocol. Unknown fields are ignored; an optional one may be absent or null.
 * Ranges are core's to check: here is only what a field is.
 */

const whole = z.int().nullish();
const text = z.string().nullish();

/** In any of its spellings; what is no id is the id of no job. */
const id = z.union([z.number(), z.string()]);
const lease = text;
const queue = z.string();

const jobFields = {
  /** Any JSON value. */
  data: z.unknown(),
  priority: whole,
  delay: whole,
  ttl: whole,
  timeout: whole,
  max_attempts: whole,
  backoff: whole,
  unique_key: text,
  depends_on: z.array(id).nullish(),
  tags: z.array(z.string()).nullish(),
  lifo: z.boolean().nullish(),
};

export const jobInput = z.object(jobFields);
export type JobInput = z.output<typeof jobInput>;

export const pushInput = z.object({ queue, ...jobFields });

/** Whether it has data and nothing else, of which nothing is to be checked. */
function isBare(job: unknown): boolean {
  if (typeof job !== "object" || job === null || Array.isArray(job)) return false;
  if (!("data" in job)) return false;
  for (const key in job) if (key !== "data") return false;
  return true;
}

/** An array of items, of which most are sound at a glance: the schema would take longer than all else that is done to them. */
function batchOf<Item extends z.ZodType>(item: Item, isSound: (value: unknown) => boolean) {
  return z
    .array(z.unknown())
    .min(1)
    .max(MAX_BATCH)
    .transform((values, context): z.output<Item>[] => {
      if (values.every(isSound)) return values as z.output<Item>[];
      return values.map((value, i) => {
        const parsed = item.safeParse(value);
        if (parsed.success) return parsed.data;
        for (const issue of parsed.error.issues) {
          context.issues.push({ ...issue, input: value, path: [i, ...issue.path] } as never);
        }
        return z.NEVER;
      });
    });
}

export const pushBatchInput = z.object({ queue, jobs: batchOf(jobInput, isBare) });

const worker = text;

const batchCount = z.int().min(1).max(MAX_BATCH).nullish();

export const pullBatchInput = z.object({ queue, worker, count: batchCount });

export const ackInput = z.object({ id, lease, result: z.unknown().optional() });
export type AckInput = z.output<typeof ackInput>;

export const ackBatchInput = z.object({ ids: batchOf(id, Number.isFinite) });

export const failInput = z.object({
  id,
  lease,
  error: text,
  code: text,
  /** No further attempt can succeed. */
  final: z.boolean().nullish(),
});

export const logInput = z.object({ id, lease, lines: z.array(z.string()).min(1).max(MAX_BATCH) });

export const jobIdInput = z.object({ id });

export const progressInput = z.object({ id, lease, progress: z.number(), message: text });

export const dlqInput = z.object({ queue, count: batchCount });

export const retryDlqInput = z.object({ queue, id: id.nullish() });

export const queueInput = z.object({ queue });

export const limitInput = z.object({ queue, limit: z.int().min(1).max(MAX_QUEUE_LIMIT) });

export const cronInput = z.object({
  name: z.string(),
  queue,
  data: z.unknown(),
  /** 5 or 6 fields, or a star, a slash and N alone: every N seconds. */
  schedule: z.string(),
  priority: whole,
  /** IANA name; default UTC. */
  timezone: text,
});

export const cronNameInput = z.object({ name: z.string() });

export const heartbeatInput = z.object({
  worker: z.string(),
  queues: z.array(z.string()).nullish(),
  concurrency: whole,
  /** Jobs under way, and jobs that have ended since its start; as it said before where it does not. */
  active: whole,
  jobs_processed: whole,
});

export const flashqStates = [
  "waiting",
  "delayed",
  "active",
  "completed",
  "failed",
  "waiting-children",
] as const;

export type FlashqState = (typeof flashqStates)[number];

export const listJobsInput = z.object({
  queue: text,
  state: z.enum(flashqStates).nullish(),
  limit: batchCount,
  offset: z.int().min(0).nullish(),
});

export const webhookInput = z.object({
  url: z.string(),
  events: z.array(z.string()).min(1),
  /** Default: all queues. */
  queue: text,
  secret: text,
});

export const webhookIdInput = z.object({ id: z.string() });

export const nothing = z.object({});
