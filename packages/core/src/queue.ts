import { type Clock, systemClock } from "./clock.ts";
import { jobNotFound, QueueError, validationError, type FieldError } from "./errors.ts";
import type { JobEvent } from "./events.ts";
import { isFinished, type ClaimedJob, type Job, type JobOrigin, type JobState } from "./job.ts";
import { jobTypeOf } from "./job-types/index.ts";
import { validationIssues } from "./job-types/job-type.ts";
import { encodeJson } from "./json.ts";
import { isShort, PayloadFiles } from "./payload-files.ts";
import { checkedPriority, MAX_PRIORITY } from "./priority.ts";
import {
  ALL_TENANTS,
  type BulkAction,
  type EngineHealth,
  type EventSubscription,
  type JobFilter,
  type JobList,
  type JobSpec,
  type LogLine,
  type NodeRecord,
  type Outcome,
  type Page,
  type QueueAdapter,
  type QueueInfo,
  type QueueSettings,
  type Report,
  type ScheduleRecord,
  type StateCounts,
  type StatsParams,
  type StatsRow,
  type TenantScope,
  type WebhookRecord,
  type WorkerRecord,
} from "./queue-adapter.ts";
import { decideRetry } from "./retry-policy.ts";
import { Scheduler, type ScheduleInput } from "./scheduler.ts";
import { Waits } from "./waits.ts";

/** Who calls with every tenant's rights adds to this one. */
export const DEFAULT_TENANT = "default";
export const MAX_BATCH = 1000;
/** Workers not heard of for so long are gone from lists. */
export const WORKER_GONE_MS = 60_000;

const NAME = /^[A-Za-z0-9_.-]{1,256}$/;
const TENANT = /^[A-Za-z0-9_-]{1,128}$/;
/** Ten years: longer is a unit mistaken. */
const LONGEST_MS = 315_360_000_000;
const MAX_ATTEMPTS = 1000;
const MAX_TAGS = 100;
const MAX_DEPENDENCIES = 1000;
const MAX_LABEL = 256;
const HOUSEKEEPING_MS = 60_000;
/** Jobs pruned or changed in one step, so that no step holds others up. */
const STEP = 200;
const DEFAULT_BACKOFF_MS = 1000;
const MAX_UNTYPED_BYTES = 1_000_000;
const MAX_LOG_LINE = 10_000;

/** A job as a caller asks for it. */
export interface NewJob {
  readonly queue: string;
  /** JSON value. */
  readonly data: unknown;
  readonly name?: string | null;
  /** Lower runs sooner; default: the job type's, or 0. */
  readonly priority?: number;
  readonly lifo?: boolean;
  readonly delayMs?: number;
  readonly ttlMs?: number | null;
  /** Default: the job type's, or none. */
  readonly timeoutMs?: number | null;
  /** Runs in all; default: the job type's, or 1. */
  readonly maxAttempts?: number;
  /** Before the second attempt, doubled each time; default: the job type's, or 1 s. */
  readonly backoffMs?: number;
  readonly uniqueKey?: string | null;
  /** Ids of jobs that have to complete first, or positions of jobs in the same call. */
  readonly dependsOn?: readonly (number | { readonly sibling: number })[];
  readonly tags?: readonly string[];
  readonly project?: string | null;
  readonly batch?: string | null;
  readonly origin?: JobOrigin | null;
}

export interface PullParams {
  /** Absent: every untyped queue. */
  readonly queue?: string;
  readonly limit: number;
  readonly waitMs?: number;
  readonly worker?: string | null;
  readonly signal?: AbortSignal;
}

export interface Ack {
  readonly id: number;
  readonly lease?: string;
  /** JSON value. */
  readonly result?: unknown;
}

export interface Fail {
  readonly id: number;
  readonly lease?: string;
  readonly error: string;
  readonly code?: string;
  /** No further attempt can succeed. */
  readonly final?: boolean;
}

export interface QueueOptions {
  readonly adapter: QueueAdapter;
  /** Folder of data and results over 1 MB. */
  readonly payloadFolder: string;
  readonly clock?: Clock;
  /** How long a pulled job without a timeout may stay silent, ms; default 5 min. */
  readonly leaseMs?: number;
  /** How long finished jobs are kept, ms; default 24 h and 72 h. */
  readonly keepCompletedMs?: number;
  readonly keepFailedMs?: number;
  /** Told of failures that no caller waits for. */
  readonly onError?: (error: unknown, doing: string) => void;
}

/**
 * What apps use: checks what comes in, applies job types' defaults and policies, and hands it to the engine. One per
 * process; `of(tenant)` is the view of one tenant.
 */
export class JobQueue {
  readonly adapter: QueueAdapter;
  readonly payloads: PayloadFiles;
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly scheduler: Scheduler;
  readonly #options: QueueOptions;
  readonly #waits: Waits;
  #stopHousekeeping: () => void = () => undefined;
  #closed = false;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.adapter = options.adapter;
    this.clock = options.clock ?? systemClock;
    this.payloads = new PayloadFiles(options.payloadFolder);
    this.leaseMs = options.leaseMs ?? 300_000;
    this.#waits = new Waits(this.adapter);
    this.scheduler = new Scheduler({
      adapter: this.adapter,
      clock: this.clock,
      check: (tenant, job) => void checkJob(tenant, job, 1),
      specOf: (tenant, job) => this.#spec(tenant, job),
      onError: (error, doing) => this.#failed(error, doing),
    });
  }

  async open(): Promise<void> {
    await this.adapter.open();
    await this.scheduler.start();
    this.#planHousekeeping();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopHousekeeping();
    this.scheduler.stop();
    this.#waits.close();
    await this.adapter.close();
  }

  of(tenant: TenantScope): TenantQueue {
    return new TenantQueue(this, tenant, this.#waits);
  }

  health(): Promise<EngineHealth> {
    return this.adapter.health();
  }

  /** Deletes finished jobs whose time is over, with their files. */
  async prune(): Promise<number> {
    const { keepCompletedMs = 86_400_000, keepFailedMs = 259_200_000 } = this.#options;
    const now = this.clock.now();
    let total = 0;
    for (;;) {
      const { removed, files } = await this.adapter.prune({
        completedBefore: now - keepCompletedMs,
        failedBefore: now - keepFailedMs,
        limit: STEP,
      });
      await this.payloads.delete(files);
      total += removed;
      if (removed < STEP) return total;
    }
  }

  #planHousekeeping(): void {
    if (this.#closed) return;
    this.#stopHousekeeping = this.clock.at(this.clock.now() + HOUSEKEEPING_MS, () => {
      this.prune()
        .catch((error: unknown) => this.#failed(error, "prune finished jobs"))
        .finally(() => this.#planHousekeeping());
    });
  }

  #failed(error: unknown, doing: string): void {
    if (!this.#closed) this.#options.onError?.(error, doing);
  }

  async #spec(tenant: string, job: NewJob): Promise<JobSpec> {
    const { spec, text } = checkJob(tenant, job, 1);
    return { ...spec, data: await this.payloads.keep(text) };
  }
}

/** One tenant's view: all it can see and do. */
export class TenantQueue {
  readonly tenant: TenantScope;
  readonly #queue: JobQueue;
  readonly #waits: Waits;

  constructor(queue: JobQueue, tenant: TenantScope, waits: Waits) {
    this.#queue = queue;
    this.tenant = tenant;
    this.#waits = waits;
  }

  /** Where what this caller adds belongs. */
  get home(): string {
    return this.tenant === ALL_TENANTS ? DEFAULT_TENANT : this.tenant;
  }

  get #adapter(): QueueAdapter {
    return this.#queue.adapter;
  }

  // ---- submit

  /** @returns the job's id. @throws QueueError */
  async add(job: NewJob): Promise<number> {
    const [outcome] = await this.addMany([job], { atomic: false });
    return unwrap(outcome);
  }

  /**
   * Up to 1,000 jobs, one outcome each; `atomic`: all or none, the first refused one is thrown with its `index`.
   */
  async addMany(
    jobs: readonly NewJob[],
    options: { readonly atomic: boolean },
  ): Promise<readonly Outcome<number>[]> {
    checkBatch(jobs.length);
    const { atomic } = options;
    const cycle = siblingCycle(jobs);
    const outcomes: (Outcome<number> | undefined)[] = [];
    const specs: JobSpec[] = [];
    // Where each job of the call went in the engine's batch; refused ones did not.
    const places = new Map<number, number>();
    for (const [i, job] of jobs.entries()) {
      try {
        if (cycle?.has(i) === true) {
          throw new QueueError("DEPENDENCY_CYCLE", "The jobs depend on each other in a circle");
        }
        const { spec, text } = checkJob(this.home, job, jobs.length);
        // Without a wait where there is nothing to write: most data is small.
        const data = isShort(text) ? text : await this.#queue.payloads.keep(text);
        places.set(i, specs.length);
        specs.push({ ...spec, data });
      } catch (error) {
        const told = indexed(error, i);
        if (atomic) {
          await this.#discard(specs);
          throw told;
        }
        outcomes[i] = told;
      }
    }
    const sound = refuseOrphans(jobs, specs, places, outcomes);
    try {
      const added = sound.length === 0 ? [] : await this.#adapter.enqueue({ jobs: sound, atomic });
      const refused: JobSpec[] = [];
      for (const [i, place] of places) {
        const outcome = added[place] as Outcome<number>;
        outcomes[i] = outcome instanceof QueueError ? indexed(outcome, i) : outcome;
        if (outcome instanceof QueueError) refused.push(sound[place] as JobSpec);
      }
      await this.#discard(refused);
      return outcomes as Outcome<number>[];
    } catch (error) {
      await this.#discard(sound);
      throw error;
    }
  }

  /** Deletes the files of jobs that were not taken. */
  async #discard(specs: readonly JobSpec[]): Promise<void> {
    for (const { data } of specs) {
      if (typeof data !== "string") await this.#queue.payloads.delete([data]);
    }
  }

  // ---- work

  /** Claims jobs for a worker outside this process. */
  pull(params: PullParams): Promise<readonly ClaimedJob[]> {
    const { queue, limit, waitMs = 0, worker = null, signal } = params;
    const errors: FieldError[] = [];
    if (queue !== undefined) checkName(queue, "queue", errors);
    checkInteger(limit, "count", 1, MAX_BATCH, errors);
    if (errors.length > 0) throw validationError(errors);
    return this.#adapter.claim({
      tenant: this.tenant,
      queues: queue === undefined ? "untyped" : [{ queue, limit }],
      limit,
      worker,
      leaseMs: this.#queue.leaseMs,
      inProcess: false,
      timeoutFrom: "progress",
      waitMs,
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async ack(acks: readonly Ack[]): Promise<readonly Outcome<true>[]> {
    checkBatch(acks.length);
    const runs = [];
    for (const { id, lease, result } of acks) {
      const text = result === undefined || result === null ? null : encodeJson(result, "result");
      runs.push({
        id,
        ...(lease === undefined ? {} : { lease }),
        result: text === null || isShort(text) ? text : await this.#queue.payloads.keep(text),
      });
    }
    return this.#adapter.complete({ tenant: this.tenant, runs });
  }

  /** Answers with the state the job is in then. */
  async fail(failure: Fail): Promise<JobState> {
    const { id, lease, final = false } = failure;
    const ref = { id, ...(lease === undefined ? {} : { lease }) };
    const job = await this.get(id);
    const retryable = jobTypeOf(job.queue)?.defaults.retryableErrors;
    const error = {
      message: failure.error.slice(0, MAX_LOG_LINE),
      ...(failure.code === undefined ? {} : { code: failure.code }),
    };
    const { retryAt } = decideRetry({
      attemptsMade: job.attemptsMade + 1,
      maxAttempts: job.maxAttempts,
      backoffMs: job.backoffMs,
      now: this.#queue.clock.now(),
      failure: { ...error, dataFault: final },
      ...(retryable === undefined ? {} : { retryableErrors: retryable }),
    });
    const attempt = job.attemptsMade + 1;
    const [outcome] = await this.#adapter.fail({
      tenant: this.tenant,
      runs: [{ ...ref, error, retryAt, attempt }],
    });
    return unwrap(outcome);
  }

  async release(id: number, lease?: string): Promise<JobState> {
    const runs = [{ id, ...(lease === undefined ? {} : { lease }) }];
    const [outcome] = await this.#adapter.release({ tenant: this.tenant, runs });
    return unwrap(outcome);
  }

  async progress(report: Report): Promise<void> {
    const errors: FieldError[] = [];
    const { progress, message } = report;
    if (progress !== undefined && !(progress >= 0 && progress <= 100)) {
      errors.push({ field: "progress", message: "Must be a number from 0 to 100" });
    }
    if (message != null) checkText(message, "message", 0, MAX_LOG_LINE, errors);
    if (errors.length > 0) throw validationError(errors);
    const { leaseMs } = this.#queue;
    const [outcome] = await this.#adapter.progress({
      tenant: this.tenant,
      reports: [report],
      leaseMs,
    });
    unwrap(outcome);
  }

  async log(id: number, lines: readonly string[], lease?: string): Promise<void> {
    const run = { id, ...(lease === undefined ? {} : { lease }) };
    const cut = lines.map((line) => line.toWellFormed().slice(0, MAX_LOG_LINE));
    await this.#adapter.log({ tenant: this.tenant, run, lines: cut });
  }

  /** Keeps the worker in the lists and its jobs alive. */
  async heartbeat(worker: {
    readonly id: string;
    readonly queues?: readonly string[];
    readonly concurrency?: number;
  }): Promise<void> {
    const { id, queues = [], concurrency = 1 } = worker;
    const errors: FieldError[] = [];
    checkName(id, "worker", errors);
    if (queues.length > MAX_BATCH)
      errors.push({ field: "queues", message: `At most ${MAX_BATCH}` });
    for (const [i, queue] of queues.entries()) checkName(queue, `queues[${i}]`, errors);
    checkInteger(concurrency, "concurrency", 1, 1_000_000, errors);
    if (errors.length > 0) throw validationError(errors);
    const known = (await this.workers()).find((w) => w.id === id && w.tenant === this.tenant);
    await this.#adapter.heartbeatWorker({
      id,
      tenant: this.tenant,
      queues,
      concurrency,
      jobsProcessed: known?.jobsProcessed ?? 0,
      active: known?.active ?? 0,
    });
    const { leaseMs } = this.#queue;
    await this.#adapter.renew({ tenant: this.tenant, runs: [], worker: id, leaseMs });
  }

  // ---- admin

  /** `running: false` refuses a job that is being run. */
  async cancel(id: number, options: { running: boolean; reason?: string }): Promise<void> {
    const { running, reason = "cancelled" } = options;
    const [outcome] = await this.#adapter.cancel({
      tenant: this.tenant,
      ids: [id],
      running,
      reason,
    });
    unwrap(outcome);
  }

  async retry(id: number): Promise<void> {
    const [outcome] = await this.#adapter.retry({ tenant: this.tenant, ids: [id] });
    unwrap(outcome);
  }

  async promote(id: number): Promise<void> {
    const [outcome] = await this.#adapter.promote({ tenant: this.tenant, ids: [id] });
    unwrap(outcome);
  }

  async remove(id: number): Promise<void> {
    const [outcome] = await this.#adapter.remove({ tenant: this.tenant, ids: [id] });
    await this.#queue.payloads.delete(unwrap(outcome));
  }

  /** Acts on every job that matches when it is reached; answers how many were changed. */
  async applyToMany(
    filter: Omit<JobFilter, "tenant">,
    action: BulkAction,
    options: {
      readonly reason?: string;
      readonly signal?: AbortSignal;
      readonly onProgress?: (applied: number) => void;
    } = {},
  ): Promise<number> {
    const { reason = "cancelled", signal, onProgress } = options;
    let applied = 0;
    let after: number | undefined;
    for (;;) {
      signal?.throwIfAborted();
      const step = await this.#adapter.applyToMany({
        filter: { ...filter, tenant: this.tenant },
        action,
        reason,
        limit: STEP,
        ...(after === undefined ? {} : { after }),
      });
      await this.#queue.payloads.delete(step.files);
      applied += step.applied;
      onProgress?.(applied);
      if (step.next === null) return applied;
      after = step.next;
    }
  }

  // ---- read

  /** @throws QueueError JOB_NOT_FOUND, also for another tenant's job. */
  async get(id: number): Promise<Job> {
    const [job] = await this.getMany([id]);
    if (job == null) throw jobNotFound(id);
    return job;
  }

  getMany(ids: readonly number[]): Promise<readonly (Job | null)[]> {
    return this.#adapter.get({ tenant: this.tenant, ids });
  }

  /** The job with its data and result as JSON text, however long. */
  async load(job: Job): Promise<{ readonly data: string; readonly result: string | null }> {
    const { payloads } = this.#queue;
    return {
      data: await payloads.read(job.data),
      result: job.result === null ? null : await payloads.read(job.result),
    };
  }

  list(filter: Omit<JobFilter, "tenant">, page: Page): Promise<JobList> {
    return this.#adapter.list({ filter: { ...filter, tenant: this.tenant }, page });
  }

  count(filter: Omit<JobFilter, "tenant"> = {}): Promise<StateCounts> {
    return this.#adapter.count({ ...filter, tenant: this.tenant });
  }

  stats(params: Omit<StatsParams, "tenant"> = {}): Promise<readonly StatsRow[]> {
    return this.#adapter.stats({ ...params, tenant: this.tenant });
  }

  async logs(
    id: number,
    page: { readonly offset: number; readonly limit: number },
  ): Promise<{ readonly lines: readonly LogLine[]; readonly total: number }> {
    await this.get(id);
    return this.#adapter.logs({ tenant: this.tenant, id, ...page });
  }

  /**
   * The job once it is finished.
   * @throws QueueError WAIT_TIMEOUT with `state` and `progress` when that takes longer than `timeoutMs`.
   */
  async wait(id: number, options: { timeoutMs: number; signal?: AbortSignal }): Promise<Job> {
    const { timeoutMs, signal } = options;
    // Listening first, so that an end between the look and the wait is not missed.
    const wait = this.#waits.join(id);
    try {
      const job = await this.get(id);
      if (isFinished(job.state)) return job;
      await wait.ended(timeoutMs, signal);
      const later = await this.get(id);
      if (isFinished(later.state)) return later;
      throw new QueueError("WAIT_TIMEOUT", `Job ${id} is not finished after ${timeoutMs} ms`, {
        state: later.state,
        progress: later.progress,
      });
    } finally {
      wait.leave();
    }
  }

  // ---- queues

  queues(names?: readonly string[]): Promise<readonly QueueInfo[]> {
    const { tenant } = this;
    return this.#adapter.listQueues({ tenant, ...(names === undefined ? {} : { queues: names }) });
  }

  /** Pause, starts a second, runs at once; absent ones stay. */
  async configure(queue: string, settings: Partial<QueueSettings>): Promise<QueueSettings> {
    const errors: FieldError[] = [];
    checkName(queue, "queue", errors);
    for (const field of ["rateLimit", "concurrency"] as const) {
      const value = settings[field];
      if (value != null) checkInteger(value, field, 1, 1_000_000, errors);
    }
    if (errors.length > 0) throw validationError(errors);
    const typed = jobTypeOf(queue) !== undefined;
    return this.#adapter.configureQueue({ tenant: this.home, queue, typed, settings });
  }

  // ---- schedules

  schedules(): Promise<readonly ScheduleRecord[]> {
    return this.#adapter.listSchedules({ tenant: this.tenant });
  }

  /** `expect: "new"` refuses an existing name, `"existing"` an unknown one; absent fields of an existing one stay. */
  async putSchedule(
    name: string,
    input: ScheduleInput,
    expect?: "new" | "existing",
  ): Promise<ScheduleRecord> {
    const errors: FieldError[] = [];
    checkName(name, "name", errors);
    if (errors.length > 0) throw validationError(errors);
    return this.#queue.scheduler.put(this.home, name, input, expect);
  }

  async deleteSchedule(name: string): Promise<void> {
    const deleted = await this.#adapter.deleteSchedule({ tenant: this.tenant, name });
    if (!deleted)
      throw new QueueError("SCHEDULE_NOT_FOUND", `Schedule ${name.slice(0, 256)} not found`);
  }

  // ---- webhooks, workers, nodes, events

  webhooks(): Promise<readonly WebhookRecord[]> {
    return this.#adapter.listWebhooks({ tenant: this.tenant });
  }

  putWebhook(
    webhook: Omit<WebhookRecord, "id" | "createdAt" | "tenant"> & { id?: number },
  ): Promise<WebhookRecord> {
    return this.#adapter.putWebhook({ ...webhook, tenant: this.home });
  }

  async deleteWebhook(id: number): Promise<void> {
    const deleted = await this.#adapter.deleteWebhook({ tenant: this.tenant, id });
    if (!deleted) throw new QueueError("WEBHOOK_NOT_FOUND", `Webhook ${id} not found`);
  }

  workers(): Promise<readonly WorkerRecord[]> {
    return this.#adapter.listWorkers({ tenant: this.tenant, withinMs: WORKER_GONE_MS });
  }

  nodes(): Promise<readonly NodeRecord[]> {
    return this.#adapter.listNodes({ withinMs: WORKER_GONE_MS });
  }

  subscribe(subscription: Omit<EventSubscription, "tenant">): Promise<() => void> {
    return this.#adapter.subscribe({ ...subscription, tenant: this.tenant });
  }
}

export type { JobEvent };

function unwrap<T>(outcome: Outcome<T> | undefined): T {
  if (outcome instanceof QueueError) throw outcome;
  if (outcome === undefined) throw new QueueError("INTERNAL", "The engine gave no answer");
  return outcome;
}

function indexed(error: unknown, index: number): QueueError {
  if (!(error instanceof QueueError)) throw error;
  const { code, message, details, cause } = error;
  return new QueueError(code, message, { ...details, index }, cause);
}

function checkBatch(size: number): void {
  if (size < 1 || size > MAX_BATCH) {
    throw validationError([{ field: "jobs", message: `Must contain 1 to ${MAX_BATCH} items` }]);
  }
}

// ---- checks of what comes in

function checkJob(
  tenant: string,
  job: NewJob,
  batch: number,
): { readonly spec: Omit<JobSpec, "data">; readonly text: string } {
  const errors: FieldError[] = [];
  checkName(job.queue, "queue", errors);
  if (!TENANT.test(tenant)) errors.push({ field: "tenantId", message: "Is no tenant name" });
  const type = jobTypeOf(job.queue);
  const optional = (
    field: "delayMs" | "ttlMs" | "timeoutMs" | "maxAttempts" | "backoffMs",
    min: number,
    max: number,
  ): void => {
    const value = job[field];
    if (value != null) checkInteger(value, field, min, max, errors);
  };
  optional("delayMs", 0, LONGEST_MS);
  optional("ttlMs", 1, LONGEST_MS);
  optional("timeoutMs", 1, LONGEST_MS);
  optional("maxAttempts", 1, MAX_ATTEMPTS);
  optional("backoffMs", 0, LONGEST_MS);
  const priority = checkedPriority(job.priority ?? type?.defaults.priority ?? 0);
  if (priority === null) {
    const message = `Must be a whole number from -${MAX_PRIORITY} to ${MAX_PRIORITY}`;
    errors.push({ field: "priority", message });
  }
  for (const field of ["name", "uniqueKey", "project", "batch"] as const) {
    const value = job[field];
    if (value != null) checkText(value, field, 1, MAX_LABEL, errors);
  }
  const { tags = [], dependsOn = [] } = job;
  checkList(tags, "tags", MAX_TAGS, errors);
  for (const [i, tag] of tags.entries()) checkText(tag, `tags[${i}]`, 1, MAX_LABEL, errors);
  checkList(dependsOn, "dependsOn", MAX_DEPENDENCIES, errors);
  for (const [i, on] of dependsOn.entries()) {
    const [value, max] = typeof on === "object" ? [on.sibling, batch - 1] : [on, 2 ** 53 - 1];
    checkInteger(value, `dependsOn[${i}]`, typeof on === "object" ? 0 : 1, max, errors);
  }
  if (errors.length > 0) throw validationError(errors);

  const text = encodeJson(job.data);
  if (type !== undefined) {
    const parsed = type.data.safeParse(job.data);
    if (!parsed.success) throw validationError(validationIssues(parsed.error));
  }
  const claimed = (job.data as { readonly tenantId?: unknown } | null)?.tenantId;
  if (type !== undefined && claimed !== undefined && claimed !== tenant) {
    const message = "Must be the tenant of the token, or be left out";
    throw validationError([{ field: "tenantId", message }]);
  }
  const maxBytes = type?.maxDataBytes ?? MAX_UNTYPED_BYTES;
  // A character is at most three bytes: most texts need no counting.
  if (text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes) {
    throw new QueueError(
      "PAYLOAD_TOO_LARGE",
      `The data is larger than the ${maxBytes} bytes that ${job.queue} takes`,
      { limitBytes: maxBytes },
    );
  }
  return {
    text,
    spec: {
      tenant,
      queue: job.queue,
      typed: type !== undefined,
      name: job.name ?? null,
      priority: priority ?? 0,
      lifo: job.lifo ?? false,
      delayMs: job.delayMs ?? 0,
      ttlMs: job.ttlMs ?? null,
      timeoutMs: job.timeoutMs ?? type?.defaults.timeoutMs ?? null,
      maxAttempts: job.maxAttempts ?? type?.defaults.attempts ?? 1,
      backoffMs: job.backoffMs ?? type?.defaults.backoffMs ?? DEFAULT_BACKOFF_MS,
      uniqueKey: job.uniqueKey ?? null,
      dependsOn: dependsOn.length === 0 ? none : dependsOn.filter((on) => typeof on === "number"),
      dependsOnSiblings:
        dependsOn.length === 0
          ? none
          : dependsOn.filter((on) => typeof on === "object").map((on) => on.sibling),
      tags,
      project: job.project ?? null,
      batch: job.batch ?? null,
      origin: job.origin ?? null,
    },
  };
}

const none: readonly number[] = [];

function checkName(value: unknown, field: string, errors: FieldError[]): void {
  if (typeof value === "string" && NAME.test(value)) return;
  errors.push({ field, message: "Must be 1 to 256 of A-Z a-z 0-9 _ . -" });
}

function checkInteger(
  value: unknown,
  field: string,
  min: number,
  max: number,
  errors: FieldError[],
): void {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max)
    return;
  errors.push({ field, message: `Must be a whole number from ${min} to ${max}` });
}

const CONTROL = /\p{Cc}/u;

function checkText(
  value: unknown,
  field: string,
  min: number,
  max: number,
  errors: FieldError[],
): void {
  if (typeof value !== "string" || value.length < min || value.length > max) {
    errors.push({ field, message: `Must be a string of ${min} to ${max} characters` });
  } else if (!value.isWellFormed() || (max === MAX_LABEL && CONTROL.test(value))) {
    errors.push({ field, message: "Must be valid Unicode without control characters" });
  }
}

function checkList(value: unknown, field: string, max: number, errors: FieldError[]): void {
  if (!Array.isArray(value)) errors.push({ field, message: "Must be a list" });
  else if (value.length > max)
    errors.push({ field, message: `Array must contain at most ${max} items` });
}

/** Positions of the jobs of a call that stand on, or lead into, a circle; undefined when there is none. */
function siblingCycle(jobs: readonly NewJob[]): Set<number> | undefined {
  const needs = jobs.map(({ dependsOn }) =>
    (Array.isArray(dependsOn) ? dependsOn : [])
      .filter((on): on is { sibling: number } => typeof on === "object" && on !== null)
      .map((on) => on.sibling),
  );
  if (needs.every((siblings) => siblings.length === 0)) return undefined;
  // Kahn: whoever waits for nobody that is left goes; who remains is caught.
  const left = new Map(needs.map((siblings, i) => [i, new Set(siblings.filter((s) => s in jobs))]));
  for (let again = true; again;) {
    again = false;
    for (const [i, siblings] of left) {
      if ([...siblings].some((s) => left.has(s))) continue;
      left.delete(i);
      again = true;
    }
  }
  return left.size > 0 ? new Set(left.keys()) : undefined;
}

/** Rewrites sibling positions to the engine's batch, refusing jobs whose sibling was refused. */
function refuseOrphans(
  jobs: readonly NewJob[],
  specs: readonly JobSpec[],
  places: Map<number, number>,
  outcomes: (Outcome<number> | undefined)[],
): JobSpec[] {
  if (specs.every((spec) => spec.dependsOnSiblings.length === 0)) return [...specs];
  for (let again = true; again;) {
    again = false;
    for (const [i, place] of places) {
      const spec = specs[place] as JobSpec;
      const missing = spec.dependsOnSiblings.find((sibling) => !places.has(sibling));
      if (missing === undefined) continue;
      places.delete(i);
      outcomes[i] = new QueueError(
        "DEPENDENCY_NOT_FOUND",
        `Job ${missing} of the batch was refused`,
        {
          index: i,
          ids: [],
        },
      );
      again = true;
    }
  }
  const sound: JobSpec[] = [];
  const moved = new Map<number, number>();
  for (const i of jobs.keys()) {
    const place = places.get(i);
    if (place === undefined) continue;
    moved.set(i, sound.length);
    sound.push(specs[place] as JobSpec);
  }
  for (const [i, place] of moved) places.set(i, place);
  return sound.map((spec) => ({
    ...spec,
    dependsOnSiblings: spec.dependsOnSiblings.map((sibling) => moved.get(sibling) as number),
  }));
}
