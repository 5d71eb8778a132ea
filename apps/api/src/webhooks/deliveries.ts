import {
  isFinished,
  isHeard,
  type JobOutline,
  type JobQueue,
  type JobSpec,
  type JobState,
  type JobType,
  type LogLine,
  type Payload,
  QueueError,
  type WebhookRecord,
  type WebhookVerdict,
} from "@jobyard/core";
import { z } from "zod";
import { bodyText, TEST_EVENT } from "./bodies.ts";

/*
 * A delivery is a job of its own. Its queue has a name that nobody can call for, and each webhook's part of it belongs to
 * a tenant that no token can be of. So one webhook's backlog takes its turn among the others as a tenant's does, its
 * deliveries are limited by the engine, and its list of jobs is the log.
 */
const QUEUE = "~webhooks";

/** Attempts at once for one webhook, over all processes; for one that fails, until it does not. */
const AT_ONCE = 4;
const AT_ONCE_FAILING = 1;
const TIMEOUT_MS = 30_000;

/** Deliveries of one webhook that wait; what happens beyond that it is not told. */
export const MAX_WAITING = 10_000;
/**
 * Of data and results in them: the n-th that waits may hold the n-th part, and tells what is longer by where it can be read.
 * So all of them hold at most this times 1 + ln(MAX_WAITING / 100): a hundred can hold all that is ever sent, 1 MB.
 */
export const WAITING_BYTES = 100_000_000;

export interface Retry {
  readonly attempts: number;
  /** Before the second attempt, doubled before each further one. */
  readonly backoffMs: number;
}

/** The last attempt comes 22 h 45 min after the first. */
export const RETRY: Retry = { attempts: 14, backoffMs: 10_000 };

const deliveryData = z.object({
  webhook: z.int(),
  event: z.string(),
  jobId: z.int().nullable(),
  body: z.string(),
});

export type DeliveryData = z.output<typeof deliveryData>;

export const deliveryType = {
  name: QUEUE,
  title: "Webhook delivery",
  data: deliveryData,
  result: z.null(),
  defaults: { ...RETRY, timeoutMs: TIMEOUT_MS },
  maxDataBytes: Infinity,
} satisfies JobType;

/** How an attempt went: a line of the delivery's log. */
export interface Attempt {
  /** Epoch ms. */
  readonly at: number;
  readonly ms: number;
  /** null: there was no answer. */
  readonly status: number | null;
  readonly error: string | null;
  /** The beginning of the answer's body. */
  readonly response: string;
}

export type DeliveryState = "pending" | "delivered" | "failed";

const statesOf: Readonly<Record<DeliveryState, readonly JobState[]>> = {
  pending: ["waiting", "delayed", "blocked", "active"],
  delivered: ["completed"],
  failed: ["failed", "cancelled"],
};

export interface Delivery {
  readonly id: number;
  readonly event: string;
  readonly jobId: number | null;
  readonly state: DeliveryState;
  readonly createdAt: number;
  readonly nextAttemptAt: number | null;
  /** Oldest first. */
  readonly attempts: readonly Attempt[];
}

function tenantOf(webhook: number): string {
  return `~${webhook}`;
}

export async function deliverySpec(
  queue: JobQueue,
  data: DeliveryData,
  { attempts, backoffMs }: Retry,
): Promise<JobSpec> {
  return {
    tenant: tenantOf(data.webhook),
    queue: QUEUE,
    // Not among those that workers of any queue are given.
    typed: true,
    name: data.event,
    data: await queue.payloads.keep(JSON.stringify(data)),
    priority: 0,
    lifo: false,
    delayMs: 0,
    ttlMs: null,
    timeoutMs: TIMEOUT_MS,
    maxAttempts: attempts,
    backoffMs,
    uniqueKey: null,
    dependsOn: [],
    dependsOnSiblings: [],
    tags: [],
    project: null,
    batch: data.jobId === null ? null : String(data.jobId),
    origin: null,
  };
}

/** To be called before a webhook's first delivery, and when it begins or ends to fail. */
export async function limitDeliveries(
  queue: JobQueue,
  id: number,
  { failingSince }: WebhookVerdict,
): Promise<void> {
  const concurrency = failingSince === null ? AT_ONCE : AT_ONCE_FAILING;
  const settings = { concurrency };
  await queue.adapter.configureQueue({ tenant: tenantOf(id), queue: QUEUE, typed: true, settings });
}

/** Deliveries that have not ended. */
export async function waitingDeliveries(queue: JobQueue, webhook: number): Promise<number> {
  const tenant = tenantOf(webhook);
  const [lane] = await queue.adapter.listQueues({ tenant, queues: [QUEUE] });
  return statesOf.pending.reduce((sum, state) => sum + (lane?.counts[state] ?? 0), 0);
}

/** The newest first; `after`: those older than that one. */
export async function listDeliveries(
  queue: JobQueue,
  webhook: number,
  page: { readonly limit: number; readonly after?: number; readonly state?: DeliveryState },
): Promise<{ readonly deliveries: readonly Delivery[]; readonly total: number }> {
  const { limit, after, state } = page;
  const { jobs, total } = await queue.adapter.list({
    filter: {
      tenant: tenantOf(webhook),
      queues: [QUEUE],
      ...(state === undefined ? {} : { states: statesOf[state] }),
    },
    page: { limit, order: "desc", ...(after === undefined ? {} : { after }) },
  });
  return { deliveries: await Promise.all(jobs.map((job) => deliveryOf(queue, job))), total };
}

/** @throws QueueError JOB_NOT_FOUND */
export async function findDelivery(
  queue: JobQueue,
  webhook: number,
  id: number,
): Promise<Delivery & { readonly body: string }> {
  const { job, data } = await deliveryJob(queue, webhook, id);
  return { ...(await deliveryOf(queue, job)), body: data.body };
}

/**
 * Sends it again, as a delivery of its own.
 * @throws QueueError JOB_NOT_FOUND; INVALID_STATE while it is under way, or the webhook is disabled
 */
export async function replayDelivery(
  queue: JobQueue,
  webhook: WebhookRecord,
  id: number,
): Promise<Delivery> {
  const { job, data } = await deliveryJob(queue, webhook.id, id);
  if (!isFinished(job.state)) {
    throw new QueueError("INVALID_STATE", `Delivery ${id} is still under way`);
  }
  return addDelivery(queue, webhook, data);
}

/** @throws QueueError INVALID_STATE while the webhook is disabled */
export function sendTest(queue: JobQueue, webhook: WebhookRecord): Promise<Delivery> {
  const at = queue.clock.now();
  const event = { type: TEST_EVENT, queue: webhook.queue, jobId: null, at } as const;
  const body = bodyText(webhook.shape, event, null);
  return addDelivery(queue, webhook, { webhook: webhook.id, event: TEST_EVENT, jobId: null, body });
}

async function addDelivery(
  queue: JobQueue,
  webhook: WebhookRecord,
  data: DeliveryData,
): Promise<Delivery> {
  if (!isHeard(webhook)) {
    throw new QueueError("INVALID_STATE", `Webhook ${webhook.id} is disabled: enable it first`);
  }
  await limitDeliveries(queue, webhook.id, webhook.health);
  const spec = await deliverySpec(queue, data, RETRY);
  const [id] = await queue.adapter.enqueue({ jobs: [spec], atomic: true });
  return findDelivery(queue, webhook.id, id as number);
}

async function deliveryJob(queue: JobQueue, webhook: number, id: number) {
  const [job] = await queue.adapter.get({ tenant: tenantOf(webhook), ids: [id] });
  if (job == null) throw new QueueError("JOB_NOT_FOUND", `Delivery ${id} not found`);
  return { job, data: await dataOf(queue, job.data) };
}

async function dataOf(queue: JobQueue, payload: Payload): Promise<DeliveryData> {
  return deliveryData.parse(JSON.parse(await queue.payloads.read(payload)));
}

async function deliveryOf(queue: JobQueue, job: JobOutline): Promise<Delivery> {
  const { id, tenant, name, batch, state, createdAt, runAt } = job;
  const { lines } = await queue.adapter.logs({ tenant, id, offset: 0, limit: 100 });
  const known = Object.entries(statesOf) as [DeliveryState, readonly JobState[]][];
  return {
    id,
    event: name ?? "",
    jobId: batch === null ? null : Number(batch),
    state: known.find(([, states]) => states.includes(state))?.[0] ?? "pending",
    createdAt,
    nextAttemptAt: state === "delayed" ? runAt : null,
    attempts: lines.map(attemptOf),
  };
}

function attemptOf({ line }: LogLine): Attempt {
  return JSON.parse(line) as Attempt;
}
