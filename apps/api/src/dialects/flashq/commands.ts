import {
  type Ack,
  type ClaimedJob,
  type Job,
  type JobQueue,
  parseJobId,
  QueueError,
  type TenantQueue,
} from "@jobyard/core";
import type { z } from "zod";
import { type Access, type Caller, requireAccess } from "../../auth/caller.ts";
import { parseInput } from "../../operations.ts";
import {
  cronView,
  type LoadedJob,
  metricsView,
  newJob,
  innerPriority,
  queueViews,
  referenceText,
  statesOf,
  statsView,
  webhookView,
  workerView,
} from "./mapping.ts";
import * as schemas from "./schemas.ts";

/** What a command is carried out with. */
export interface Session {
  readonly queue: JobQueue;
  readonly caller: Caller;
  /** Of a call that adds: repeated, it answers as the first time and adds nothing. */
  readonly idempotencyKey?: string;
}

interface Context extends Pick<Session, "queue" | "idempotencyKey"> {
  readonly jobs: TenantQueue;
}

/** One thing that flashQ does, whatever the protocol it is asked for in. */
export interface Command<Input extends z.ZodType = z.ZodType, Output = unknown> {
  readonly access: Access;
  readonly input: Input;
  readonly run: (context: Context, input: z.output<Input>) => Promise<Output>;
}

function command<Input extends z.ZodType, Output>(
  access: Access,
  input: Input,
  run: Command<Input, Output>["run"],
): Command<Input, Output> {
  return { access, input, run };
}

/** @throws QueueError, RequestError FORBIDDEN */
export async function execute<Input extends z.ZodType, Output>(
  session: Session,
  asked: Command<Input, Output>,
  input: unknown,
): Promise<Output> {
  requireAccess(session.caller, asked.access);
  return asked.run(contextOf(session), parseInput(asked.input, input));
}

function contextOf({ caller, ...session }: Session): Context {
  return { ...session, jobs: session.queue.of(caller.tenant) };
}

/** Jobs shown at once unless asked otherwise. */
const DEFAULT_COUNT = 100;
/** Of data in one list. */
const MAX_LIST_CHARACTERS = 64_000_000;
const MINUTE_MS = 60_000;

export const commands = {
  // ---- jobs

  push: command("operate", schemas.pushInput, async ({ jobs, idempotencyKey }, input) => {
    const [outcome] = await jobs.addMany([newJob(input.queue, input)], {
      atomic: false,
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    });
    if (typeof outcome !== "number") throw alone(outcome);
    return outcome;
  }),

  /** All or none; the refused job is named by `index`. */
  pushBatch: command(
    "operate",
    schemas.pushBatchInput,
    async ({ jobs }, { queue, jobs: inputs }) => {
      const batch = inputs.map((input, index) => located(index, () => newJob(queue, input)));
      return (await jobs.addMany(batch, { atomic: true })) as readonly number[];
    },
  ),

  ack: command("operate", schemas.ackInput, async ({ jobs }, input) => {
    const [outcome] = await jobs.ack([ackOf(input)]);
    if (outcome instanceof QueueError) throw outcome;
  }),

  /** Answers how many were acknowledged. */
  ackBatch: command("operate", schemas.ackBatchInput, async ({ jobs }, { ids }) => {
    const acks: Ack[] = [];
    for (const spelling of ids) {
      const id = parseJobId(spelling);
      if (id !== null) acks.push({ id });
    }
    if (acks.length === 0) return 0;
    const outcomes = await jobs.ack(acks);
    return outcomes.filter((outcome) => outcome === true).length;
  }),

  fail: command("operate", schemas.failInput, async ({ jobs }, input) => {
    const { id, lease, error, code, final } = input;
    await jobs.fail({
      id: idOf(id),
      ...leaseOf(lease),
      error: error ?? "failed",
      ...(code == null ? {} : { code }),
      ...(final == null ? {} : { final }),
    });
  }),

  log: command("operate", schemas.logInput, async ({ jobs }, { id, lease, lines }) => {
    await jobs.log(idOf(id), lines, lease ?? undefined);
  }),

  cancel: command("operate", schemas.jobIdInput, ({ jobs }, { id }) =>
    jobs.cancel(idOf(id), { running: false }),
  ),

  progress: command("operate", schemas.progressInput, async ({ jobs }, input) => {
    const { id, lease, progress, message } = input;
    await jobs.progress({
      id: idOf(id),
      ...leaseOf(lease),
      progress,
      ...(message == null ? {} : { message }),
    });
  }),

  getProgress: command("read", schemas.jobIdInput, ({ jobs }, { id }) => jobs.get(idOf(id))),

  /** null when there is none. */
  getJob: command("read", schemas.jobIdInput, async ({ jobs }, { id }) => {
    const [job] = await jobs.getMany([parseJobId(id) ?? Number.NaN]);
    return job ?? null;
  }),

  getState: command("read", schemas.jobIdInput, ({ jobs }, { id }) => jobs.get(idOf(id))),

  getResult: command("read", schemas.jobIdInput, ({ jobs }, { id }) => jobs.get(idOf(id))),

  listJobs: command("read", schemas.listJobsInput, async ({ jobs }, input) => {
    const { queue, state, limit, offset } = input;
    const found = await jobs.list(
      {
        ...(queue == null ? {} : { queues: [queue] }),
        ...(state == null ? {} : { states: statesOf(state) }),
      },
      { limit: limit ?? DEFAULT_COUNT, offset: offset ?? 0, order: "desc" },
    );
    return { jobs: shown(found.jobs), total: found.total };
  }),

  // ---- queues

  dlq: command("read", schemas.dlqInput, async ({ jobs }, { queue, count }) => {
    const filter = { queues: [queue], states: ["failed"] } as const;
    const found = await jobs.list(filter, { limit: count ?? DEFAULT_COUNT, order: "asc" });
    return shown(found.jobs);
  }),

  /** All of them or the one named; answers how many went back. */
  retryDlq: command("operate", schemas.retryDlqInput, async ({ jobs }, { queue, id }) => {
    if (id == null) return jobs.applyToMany({ queues: [queue], states: ["failed"] }, "retry");
    const [job] = await jobs.getMany([parseJobId(id) ?? Number.NaN]);
    if (job?.state !== "failed" || job.queue !== queue) return 0;
    await jobs.retry(job.id);
    return 1;
  }),

  pause: command("operate", schemas.queueInput, async ({ jobs }, { queue }) => {
    await jobs.configure(queue, { paused: true });
  }),

  resume: command("operate", schemas.queueInput, async ({ jobs }, { queue }) => {
    await jobs.configure(queue, { paused: false });
  }),

  /** Jobs started a second. */
  rateLimit: command("administer", schemas.limitInput, async ({ jobs }, { queue, limit }) => {
    await jobs.configure(queue, { rateLimit: limit });
  }),

  clearRateLimit: command("administer", schemas.queueInput, async ({ jobs }, { queue }) => {
    await jobs.configure(queue, { rateLimit: null });
  }),

  /** Jobs run at once. */
  setConcurrency: command("administer", schemas.limitInput, async ({ jobs }, { queue, limit }) => {
    await jobs.configure(queue, { concurrency: limit });
  }),

  clearConcurrency: command("administer", schemas.queueInput, async ({ jobs }, { queue }) => {
    await jobs.configure(queue, { concurrency: null });
  }),

  listQueues: command("read", schemas.nothing, async ({ jobs }) =>
    queueViews(await jobs.queues(), jobs.home),
  ),

  // ---- crons

  /** A cron of that name is replaced. */
  cron: command("administer", schemas.cronInput, async ({ jobs }, input) => {
    const { name, queue, data, schedule, priority, timezone } = input;
    await jobs.putSchedule(name, {
      cron: schedule,
      timezone: timezone ?? "UTC",
      enabled: true,
      via: "flashq",
      job: {
        queue,
        data,
        ...(priority == null ? {} : { priority: innerPriority(priority) }),
        origin: { via: "flashq" },
      },
    });
  }),

  deleteCron: command("administer", schemas.cronNameInput, ({ jobs }, { name }) =>
    jobs.deleteSchedule(name),
  ),

  listCrons: command("read", schemas.nothing, async ({ jobs }) =>
    (await jobs.schedules()).map(cronView),
  ),

  // ---- webhooks

  listWebhooks: command("read", schemas.nothing, async ({ jobs }) =>
    (await jobs.webhooks()).map(webhookView),
  ),

  createWebhook: command("administer", schemas.webhookInput, async ({ jobs }, input) => {
    const { url, events, queue, secret } = input;
    const made = await jobs.putWebhook({
      url,
      events,
      queue: queue ?? null,
      secret: secret ?? null,
      shape: "flashq",
      enabled: true,
    });
    return webhookView(made);
  }),

  deleteWebhook: command("administer", schemas.webhookIdInput, async ({ jobs }, { id }) => {
    // As a number of its own, not in a job's other spellings.
    if (!/^[1-9]\d{0,15}$/.test(id)) {
      const shown = id.slice(0, 64).toWellFormed();
      throw new QueueError("WEBHOOK_NOT_FOUND", `Webhook ${shown} not found`);
    }
    await jobs.deleteWebhook(Number(id));
  }),

  // ---- figures and workers

  stats: command("read", schemas.nothing, async ({ jobs }) => statsView(await jobs.count())),

  metrics: command("read", schemas.nothing, async ({ jobs, queue }) => {
    const now = queue.clock.now();
    // Roll-ups are by the minute: from the start of the last whole one.
    const from = Math.floor(now / MINUTE_MS) * MINUTE_MS - MINUTE_MS;
    const [queues, [everything], [recent]] = await Promise.all([
      jobs.queues(),
      jobs.stats(),
      jobs.stats({ from }),
    ]);
    return metricsView({
      everything,
      recent,
      recentMs: now - from,
      queues: queueViews(queues, jobs.home),
    });
  }),

  heartbeat: command("operate", schemas.heartbeatInput, ({ jobs }, input) => {
    const { worker, queues, concurrency, active, jobs_processed: jobsProcessed } = input;
    return jobs.heartbeat({
      id: worker,
      ...(queues == null ? {} : { queues }),
      ...(concurrency == null ? {} : { concurrency }),
      ...(active == null ? {} : { active }),
      ...(jobsProcessed == null ? {} : { jobsProcessed }),
    });
  }),

  listWorkers: command("read", schemas.nothing, async ({ jobs }) =>
    (await jobs.workers()).map(workerView),
  ),
} as const;

// ---- pulling

export interface Pull {
  /** Absent: every untyped queue. */
  readonly queue?: string;
  readonly worker?: string | null;
  readonly count: number;
  readonly waitMs: number;
  /** Of data in one answer; what does not fit is given back, but for the first job. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
}

export const PULL_ACCESS: Access = "operate";

/**
 * Claims jobs and loads their data; empty when the wait ran out or was aborted.
 * @throws QueueError, RequestError FORBIDDEN
 */
export async function pull(session: Session, asked: Pull): Promise<readonly LoadedJob[]> {
  requireAccess(session.caller, PULL_ACCESS);
  const { jobs } = contextOf(session);
  const { queue, worker, count, waitMs, maxBytes, signal } = asked;
  const claimed = await jobs.pull({
    ...(queue === undefined ? {} : { queue }),
    worker: worker ?? null,
    limit: count,
    waitMs,
    ...(signal === undefined ? {} : { signal }),
  });
  const fitting = countFitting(claimed, maxBytes);
  const all = fitting === claimed.length;
  if (!all) await giveBack(session, claimed.slice(fitting));
  const taken = all ? claimed : claimed.slice(0, fitting);
  try {
    return await loadAll(jobs, taken);
  } catch (error) {
    await giveBack(session, taken);
    throw error;
  }
}

/** Returns runs whose worker never saw them, or is gone. */
export async function giveBack(
  { queue, caller }: Session,
  claimed: readonly Pick<ClaimedJob, "id" | "lease">[],
): Promise<void> {
  const jobs = queue.of(caller.tenant);
  // From the last, so that each finds its place in front of the others; one that cannot be given back now comes back when
  // its lease is over.
  await Promise.allSettled([...claimed].reverse().map(({ id, lease }) => jobs.release(id, lease)));
}

function countFitting(claimed: readonly ClaimedJob[], maxBytes: number): number {
  let total = 0;
  let count = 0;
  for (const { data } of claimed) {
    total += typeof data === "string" ? data.length : data.bytes;
    if (total > maxBytes && count > 0) break;
    count++;
  }
  return count;
}

/** For lists: a payload that lies in a file is only named, and what is too much for one answer is left out. */
function shown(found: readonly Job[]): readonly LoadedJob[] {
  const list = found.map((job) => {
    const { id, data } = job;
    return {
      job,
      data: typeof data === "string" ? data : referenceText(`/jobs/${id}`, data.bytes),
    };
  });
  let length = 0;
  const end = list.findIndex(({ data }) => (length += data.length) > MAX_LIST_CHARACTERS);
  return end === -1 ? list : list.slice(0, end);
}

async function loadAll(jobs: TenantQueue, found: readonly Job[]): Promise<readonly LoadedJob[]> {
  const loaded: LoadedJob[] = [];
  for (const job of found) {
    const data = typeof job.data === "string" ? job.data : (await jobs.load(job)).data;
    loaded.push({ job, data });
  }
  return loaded;
}

// ---- input

/** @throws QueueError JOB_NOT_FOUND */
function idOf(spelling: number | string): number {
  const id = parseJobId(spelling);
  if (id !== null) return id;
  throw new QueueError("JOB_NOT_FOUND", `Job ${String(spelling).slice(0, 64)} not found`);
}

/** @throws QueueError JOB_NOT_FOUND */
export function ackOf({ id, lease, result }: schemas.AckInput): Ack {
  return { id: idOf(id), ...leaseOf(lease), ...(result === undefined ? {} : { result }) };
}

/** The refusal of one that was added in a batch, but asked for alone. */
export function alone(refused: QueueError | undefined): QueueError {
  if (refused === undefined) return new QueueError("INTERNAL", "The engine gave no answer");
  const { index: _, ...details } = refused.details;
  return new QueueError(refused.code, refused.message, details, refused.cause);
}

function leaseOf(lease: string | null | undefined): { readonly lease?: string } {
  return lease == null ? {} : { lease };
}

/** A refusal names the job's place in its batch. */
function located<T>(index: number, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof QueueError)) throw error;
    throw new QueueError(error.code, error.message, { ...error.details, index });
  }
}
