import type { Admission } from "./admission.ts";
import { type Clock, systemClock } from "./clock.ts";
import {
  type ErrorRecord,
  type FieldError,
  jobNotFound,
  QueueError,
  validationError,
} from "./errors.ts";
import { eventTypes } from "./events.ts";
import { isJobId } from "./ids.ts";
import {
  checkBoolean,
  checkFilter,
  checkIdempotencyKey,
  checkInteger,
  checkLease,
  checkList,
  checkName,
  checkObject,
  checkOneOf,
  checkPage,
  checkPayloadPath,
  checkSignal,
  checkText,
  checkWait,
  checkWebAddress,
  LONGEST_MS,
  MAX_LABEL,
  isTenant,
  refuseIfAny,
} from "./input-checks.ts";
import {
  isFinished,
  type ClaimedJob,
  type Job,
  type JobOrigin,
  type JobOutline,
  type JobRun,
  type JobState,
} from "./job.ts";
import { jobTypeOf } from "./job-types/index.ts";
import { type JobLabels, validationIssues } from "./job-types/job-type.ts";
import { checkJson, encodeJson } from "./json.ts";
import { Node, type NodeAddress } from "./node.ts";
import { knownText } from "./long-json.ts";
import { isShort, PayloadFiles } from "./payload-files.ts";
import { MAX_INDEXED_PATHS } from "./payload-paths.ts";
import { checkedPriority, MAX_PRIORITY, priorityLevels } from "./priority.ts";
import {
  ALL_TENANTS,
  type Answer,
  type BulkAction,
  type Completion,
  type EngineHealth,
  type ErrorGroup,
  type ErrorGroupsParams,
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
  type RemovedJob,
  type Report,
  type RunRef,
  type ScheduleRecord,
  type StateCounts,
  type StatsParams,
  type StatsRow,
  type TenantScope,
  type WebhookInput,
  type WebhookRecord,
  type WorkerRecord,
} from "./queue-adapter.ts";
import { decideRetry } from "./retry-policy.ts";
import { Scheduler, type ScheduleInput } from "./scheduler.ts";
import { Waits } from "./waits.ts";

/** Who calls with every tenant's rights adds to this one. */
export const DEFAULT_TENANT = "default";
export const MAX_BATCH = 1000;
/** Workers and nodes not heard of for so long are gone from lists. */
const WORKER_GONE_MS = 60_000;
const NODE_GONE_MS = 15_000;

/** The last moment that a date can be, epoch ms. */
const LAST_MOMENT = 8.64e15;
const MAX_ATTEMPTS = 1000;
const MAX_TAGS = 100;
const MAX_DEPENDENCIES = 1000;
const HOUSEKEEPING_MS = 60_000;
const SWEEP_MS = 3_600_000;
/** Jobs pruned or changed in one step, so that no step holds others up. */
const STEP = 200;
const DEFAULT_BACKOFF_MS = 1000;
const MAX_UNTYPED_BYTES = 1_000_000;
/** Of a queue's starts a second, and of its runs at once. */
export const MAX_QUEUE_LIMIT = 1_000_000;
const MAX_LOG_LINE = 10_000;
const MAX_WEBHOOKS = 100;
/** Jobs or log lines shown at once. */
const MAX_PAGE = 10_000;
/** No job has it. */
const NO_JOB = 0;
const GROUPS = ["queue", "level", "project", "minute", "hour"] as const;

/** Its data comes last: it may have to be written to a file first. */
type Spec = Omit<JobSpec, "data"> & { data: JobSpec["data"] };

/** Of the jobs of a call, each in its place; none for those that were refused. */
type Specs = (JobSpec | undefined)[];

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

/** What is to differ from the finished job; the delay is not taken over. */
export interface Requeue extends Partial<Omit<NewJob, "queue" | "dependsOn">> {
  /** Removes the finished job. */
  readonly remove?: boolean;
}

export interface AddOptions {
  /** All or none: the first refused job is thrown with its `index`. */
  readonly atomic: boolean;
  /**
   * 1 to 255 visible ASCII characters: of the calls of a tenant with the same key within 24 h the first one adds, and
   * the others are answered as it was.
   */
  readonly idempotencyKey?: string;
}

/** What became of a job that has an idempotency key of its own. */
export interface OnceOutcome {
  readonly outcome: Outcome<number>;
  /** Of an earlier call with the key; this one has added nothing. */
  readonly repeated: boolean;
}

export interface PullParams {
  /** One or several; absent: every untyped queue. */
  readonly queue?: string | readonly string[];
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
  /** Folder of data and results over 1 MB, of this store alone: files of such that its jobs do not name are deleted. */
  readonly payloadFolder: string;
  readonly clock?: Clock;
  /** How long a pulled job without a timeout may stay silent, ms; default 5 min. */
  readonly leaseMs?: number;
  /** How long finished jobs are kept, ms; default 24 h and 72 h. */
  readonly keepCompletedMs?: number;
  readonly keepFailedMs?: number;
  /**
   * Deletes what others keep for jobs, which are gone by now. Lost with the process: whoever keeps something has to look
   * for leftovers as well.
   */
  readonly onRemoved?: (jobs: readonly RemovedJob[]) => Promise<void>;
  /** Absent: jobs may be added as fast as can be. */
  readonly admission?: Admission;
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
  readonly admission: Admission | undefined;
  readonly scheduler: Scheduler;
  readonly #options: QueueOptions;
  readonly #waits: Waits;
  #stopHousekeeping: () => void = () => undefined;
  #sweptAt = -Infinity;
  #node: Node | undefined;
  #closed = false;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.adapter = options.adapter;
    this.clock = options.clock ?? systemClock;
    this.payloads = new PayloadFiles(options.payloadFolder);
    this.leaseMs = options.leaseMs ?? 300_000;
    this.admission = options.admission;
    this.#waits = new Waits(this.adapter, this.clock);
    this.scheduler = new Scheduler({
      adapter: this.adapter,
      clock: this.clock,
      check: (tenant, job) => void checkJob(tenant, job, 0),
      specOf: (tenant, job) => this.#spec(tenant, job),
      discard: ({ data }) => this.payloads.discard(data),
      onError: (error, doing) => this.#failed(error, doing),
    });
  }

  async open(): Promise<void> {
    await this.adapter.open();
    await this.scheduler.start();
    this.#planHousekeeping();
    void this.#sweepInTime();
  }

  /**
   * Makes this process one of the nodes that share the store, at this address, until it closes. One of them leads, and
   * does alone what need not be done twice.
   */
  async join(address: NodeAddress): Promise<void> {
    const { adapter, clock } = this;
    const onError = (error: unknown, doing: string): void => this.#failed(error, doing);
    this.#node = new Node({ adapter, clock, address, onError });
    await this.#node.start();
  }

  get isLeader(): boolean {
    return this.#node?.isLeader ?? false;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#node?.stop();
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

  /** @internal Deletes what removed jobs leave behind. */
  async cleanUp(jobs: readonly RemovedJob[]): Promise<void> {
    if (jobs.length === 0) return;
    try {
      await this.payloads.delete(jobs.flatMap(({ files }) => files));
      await this.#options.onRemoved?.(jobs);
    } catch (error) {
      this.#failed(error, "delete the files of removed jobs");
    }
  }

  /** Deletes large payloads of jobs that were never stored, or whose process died when they were removed. */
  async sweep(): Promise<number> {
    this.#sweptAt = this.clock.now();
    return this.payloads.sweep((files) => this.adapter.filesInUse(files));
  }

  /** Deletes finished jobs whose time is over, with their files. */
  async prune(): Promise<number> {
    const { keepCompletedMs = 86_400_000, keepFailedMs = 259_200_000 } = this.#options;
    const now = this.clock.now();
    let total = 0;
    for (;;) {
      const removed = await this.adapter.prune({
        completedBefore: now - keepCompletedMs,
        failedBefore: now - keepFailedMs,
        limit: STEP,
      });
      await this.cleanUp(removed);
      total += removed.length;
      if (removed.length < STEP) return total;
    }
  }

  #planHousekeeping(): void {
    if (this.#closed) return;
    this.#stopHousekeeping = this.clock.at(this.clock.now() + HOUSEKEEPING_MS, () => {
      void this.#sweepInTime();
      const others = this.#node !== undefined && !this.isLeader;
      (others ? Promise.resolve() : this.prune())
        .catch((error: unknown) => this.#failed(error, "prune finished jobs"))
        .finally(() => this.#planHousekeeping());
    });
  }

  async #sweepInTime(): Promise<void> {
    if (this.#closed || this.clock.now() < this.#sweptAt + SWEEP_MS) return;
    await this.sweep().catch((error: unknown) => this.#failed(error, "sweep large payloads"));
  }

  #failed(error: unknown, doing: string): void {
    if (!this.#closed) this.#options.onError?.(error, doing);
  }

  async #spec(tenant: string, job: NewJob): Promise<JobSpec> {
    const { spec, text } = checkJob(tenant, job, 0);
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
  async add(job: NewJob, options: Pick<AddOptions, "idempotencyKey"> = {}): Promise<number> {
    const errors: FieldError[] = [];
    const fields = checkObject(options, "options", errors);
    refuseIfAny(errors);
    const { outcomes } = await this.#addMany([job], { ...fields, atomic: false });
    return unwrap(outcomes[0]);
  }

  /** Up to 1,000 jobs, one outcome each, also where the store cannot take them: UNAVAILABLE. Atomic, it throws instead. */
  async addMany(jobs: readonly NewJob[], options: AddOptions): Promise<readonly Outcome<number>[]> {
    return (await this.#addMany(jobs, options)).outcomes;
  }

  /** Up to 1,000 jobs, each as `add` takes it with a key of its own, whatever comes with it in the call. */
  async addEachOnce(
    jobs: readonly { readonly job: NewJob; readonly idempotencyKey: string }[],
  ): Promise<readonly OnceOutcome[]> {
    checkBatch(jobs, "jobs");
    const each = jobs.map(async (entry, i): Promise<OnceOutcome> => {
      const errors: FieldError[] = [];
      const { job, idempotencyKey } = checkObject(entry, "job", errors) as Partial<typeof entry>;
      try {
        refuseIfAny(errors);
        // None: refused as one that is empty.
        const options = { atomic: false, idempotencyKey: idempotencyKey ?? "" };
        const { outcomes, repeated } = await this.#addMany([job as NewJob], options);
        const [outcome] = outcomes as [Outcome<number>];
        return { outcome: outcome instanceof QueueError ? indexed(outcome, i) : outcome, repeated };
      } catch (error) {
        return { outcome: indexed(error, i), repeated: false };
      }
    });
    return Promise.all(each);
  }

  async #addMany(jobs: readonly NewJob[], options: AddOptions): Promise<Added> {
    const errors: FieldError[] = [];
    const { atomic, idempotencyKey: key } = checkObject(options, "options", errors);
    checkBoolean(atomic, "atomic", errors);
    if (key !== undefined) checkIdempotencyKey(key, errors);
    refuseIfAny(errors);
    if (options.idempotencyKey !== undefined) {
      // Before anything is judged: what the first call was told holds, whatever comes with its key now.
      const call = { tenant: this.home, key: options.idempotencyKey };
      const earlier = await this.#adapter.recall(call);
      if (earlier !== null) return { outcomes: repeatedOutcomes(earlier), repeated: true };
    }
    checkBatch(jobs, "jobs");
    const needs = siblingsOf(jobs);
    const cycle = siblingCycle(needs);
    const outcomes = jobs.map((): Outcome<number> | undefined => undefined);
    const specs: Specs = jobs.map(() => undefined);
    for (let i = 0; i < jobs.length; i++) {
      try {
        if (cycle?.has(i) === true) {
          throw new QueueError("DEPENDENCY_CYCLE", "The jobs depend on each other in a circle");
        }
        const { spec, text } = checkJob(this.home, jobs[i] as NewJob, jobs.length);
        // Without a wait where there is nothing to write: most data is small.
        spec.data = isShort(text) ? text : await this.#queue.payloads.keep(text);
        specs[i] = spec;
      } catch (error) {
        const told = indexed(error, i);
        if (options.atomic) {
          await this.#discard(specs);
          throw told;
        }
        outcomes[i] = told;
      }
    }
    const refused = refuseOrphans(needs, outcomes);
    // Waits only where there is something to wait for: calls made in a row reach the engine in their order.
    if (refused.length > 0) await this.#drop(refused, specs);
    const asking = this.#askingAdmission(specs);
    const hasty =
      asking.length === 0 ? none : await this.#refuseHasty(asking, specs, options.atomic, outcomes);
    if (hasty.length > 0) {
      await this.#drop(hasty, specs);
      const orphans = refuseOrphans(needs, outcomes);
      await this.#withdraw(orphans.map((i) => specs[i] as JobSpec));
      for (const i of orphans) specs[i] = undefined;
    }
    return await this.#enqueue(specs, options, outcomes);
  }

  /** Positions of the jobs whose rate is limited. */
  #askingAdmission(specs: Specs): readonly number[] {
    const { admission } = this.#queue;
    if (admission === undefined) return none;
    return [...specs.keys()].filter((i) => admission.queues.has(specs[i]?.queue ?? ""));
  }

  /** Refuses jobs that are added faster than they may be; answers with their positions. The others are counted. */
  async #refuseHasty(
    asking: readonly number[],
    specs: Specs,
    atomic: boolean,
    outcomes: (Outcome<number> | undefined)[],
  ): Promise<readonly number[]> {
    const { admission } = this.#queue;
    if (admission === undefined) return none;
    const count = asking.length;
    try {
      const answer = await admission.take({ tenant: this.home, count, whole: atomic });
      const { taken, retryAfterMs } = answer;
      const hasty = asking.slice(taken);
      for (const index of hasty) {
        outcomes[index] = new QueueError(
          "RATE_LIMITED",
          "Too many jobs of this kind were added lately; try again later",
          { index, retryAfterMs },
        );
      }
      if (atomic && hasty.length > 0) throw outcomes[hasty[0] as number] as QueueError;
      return hasty;
    } catch (error) {
      await this.#discard(specs);
      throw error;
    }
  }

  async #drop(positions: readonly number[], specs: Specs): Promise<void> {
    for (const i of positions) {
      await this.#discard([specs[i]]);
      specs[i] = undefined;
    }
  }

  /** Hands the sound jobs of a call to the engine, by their positions in the call; the others have their outcomes. */
  async #enqueue(
    specs: Specs,
    options: AddOptions,
    outcomes: (Outcome<number> | undefined)[],
  ): Promise<Added> {
    const told = outcomes as Outcome<number>[];
    const jobs = specs.includes(undefined) ? withoutGaps(specs) : (specs as JobSpec[]);
    if (jobs.length === 0) return { outcomes: told, repeated: false };
    let added: readonly Outcome<number>[];
    try {
      const { atomic, idempotencyKey: key } = options;
      if (key === undefined) {
        added = await this.#adapter.enqueue({ jobs, atomic });
      } else {
        const call = { tenant: this.home, key, note: noteOf(outcomes) };
        const answer = await this.#adapter.enqueueOnce({ jobs, atomic, ...call });
        if (answer.repeated) {
          await this.#withdraw(jobs);
          return { outcomes: repeatedOutcomes(answer), repeated: true };
        }
        if (answer.outcome instanceof QueueError) throw answer.outcome;
        added = answer.outcome;
      }
    } catch (error) {
      if (!isUncertain(error)) await this.#withdraw(jobs);
      if (options.atomic || !isAway(error)) throw error;
      const away = outcomes.map((outcome, i) => outcome ?? indexed(error, i));
      return { outcomes: away, repeated: false };
    }
    const refused: JobSpec[] = [];
    let place = 0;
    for (let i = 0; i < specs.length; i++) {
      const spec = specs[i];
      if (spec === undefined) continue;
      const outcome = added[place++] as Outcome<number>;
      outcomes[i] = outcome instanceof QueueError ? indexed(outcome, i) : outcome;
      if (outcome instanceof QueueError) refused.push(spec);
    }
    if (refused.length > 0) await this.#withdraw(refused);
    return { outcomes: told, repeated: false };
  }

  /** Jobs that might have been added, but were not. */
  async #withdraw(specs: readonly JobSpec[]): Promise<void> {
    await this.#discard(specs);
    const { admission } = this.#queue;
    if (admission === undefined) return;
    const count = specs.filter(({ queue }) => admission.queues.has(queue)).length;
    if (count > 0) await admission.giveBack({ tenant: this.home, count });
  }

  /** Deletes the files of jobs that were not taken. */
  async #discard(specs: Readonly<Specs>): Promise<void> {
    for (const spec of specs) if (spec !== undefined) await this.#queue.payloads.discard(spec.data);
  }

  /**
   * Adds a job like a finished one, with what is to be changed; its dependencies are not asked for again.
   * @returns the new job's id. @throws QueueError INVALID_STATE for a job that is not finished
   */
  async requeue(id: number, changes: Requeue = {}): Promise<number> {
    const errors: FieldError[] = [];
    const { remove, ...rest } = checkObject(changes, "changes", errors) as Requeue;
    if (remove !== undefined) checkBoolean(remove, "remove", errors);
    refuseIfAny(errors);
    const old = await this.get(id);
    const { state } = old;
    if (!isFinished(state)) {
      const what = `Job ${id} is not finished, and would run twice: it is ${state}`;
      throw new QueueError("INVALID_STATE", what, { state });
    }
    const { queue, name, priority, lifo, ttlMs, timeoutMs, maxAttempts, backoffMs } = old;
    const { uniqueKey, tags, project, batch, origin } = old;
    const same = { name, priority, lifo, ttlMs, timeoutMs, maxAttempts, backoffMs };
    const data: unknown = "data" in rest ? rest.data : JSON.parse((await this.load(old)).data);
    const added = await this.#queue.of(old.tenant).add({
      ...same,
      uniqueKey,
      tags,
      project,
      batch,
      // A changed priority was not sent as the old one was.
      ...(rest.priority === undefined ? { origin } : {}),
      ...rest,
      data,
      queue,
      dependsOn: [],
    });
    // Somebody may have retried or removed it by now, as is their right.
    if (remove === true) await this.remove(id).catch(unlessRefused);
    return added;
  }

  // ---- work

  /** Claims jobs for a worker outside this process. */
  async pull(params: PullParams): Promise<readonly ClaimedJob[]> {
    const errors: FieldError[] = [];
    checkObject(params, "params", errors);
    refuseIfAny(errors);
    const { queue, limit, waitMs = 0, worker = null, signal } = params;
    const queues = typeof queue === "string" ? [queue] : queue;
    if (queues !== undefined && checkList(queues, "queue", MAX_BATCH, errors)) {
      for (const name of queues) checkName(name, "queue", errors);
    }
    checkInteger(limit, "count", 1, MAX_BATCH, errors);
    checkWait(waitMs, "waitMs", errors);
    if (worker !== null) checkName(worker, "worker", errors);
    checkSignal(signal, errors);
    refuseIfAny(errors);
    return this.#adapter.claim({
      tenant: this.tenant,
      queues: queues === undefined ? "untyped" : queues.map((name) => ({ queue: name, limit })),
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
    checkBatch(acks, "acks");
    const errors: FieldError[] = [];
    const texts = acks.map((ack, i) => {
      const { id, lease, result } = checkObject(ack, "acks", errors, i);
      checkLease(lease, errors);
      refuseIfAny(errors);
      if (!isJobId(id)) throw unknownJob(id);
      return result == null ? null : encodeJson(result, "result");
    });
    const runs: Completion[] = [];
    let outcomes: readonly Outcome<true>[];
    try {
      for (const [i, { id, lease }] of acks.entries()) {
        const text = texts[i] ?? null;
        const result =
          text === null || isShort(text) ? text : await this.#queue.payloads.keep(text);
        runs.push(lease === undefined ? { id, result } : { id, lease, result });
      }
      outcomes = await this.#adapter.complete({ tenant: this.tenant, runs });
    } catch (error) {
      if (!isUncertain(error)) await this.#discardResults(runs);
      throw error;
    }
    await this.#discardResults(runs.filter((_, i) => outcomes[i] !== true));
    return outcomes;
  }

  async #discardResults(runs: readonly Completion[]): Promise<void> {
    for (const { result } of runs) {
      if (result !== null) await this.#queue.payloads.discard(result);
    }
  }

  /** Answers with the state the job is in then. */
  async fail(failure: Fail): Promise<JobState> {
    const errors: FieldError[] = [];
    checkObject(failure, "failure", errors);
    refuseIfAny(errors);
    const { id, lease, error: message, code, final = false } = failure;
    if (typeof message !== "string") errors.push({ field: "error", message: "Must be a string" });
    if (code !== undefined) checkText(code, "code", 1, MAX_LABEL, errors);
    checkBoolean(final, "final", errors);
    checkLease(lease, errors);
    refuseIfAny(errors);
    const job = await this.get(id);
    const retryable = jobTypeOf(job.queue)?.defaults.retryableErrors;
    const error = {
      message: message.slice(0, MAX_LOG_LINE).toWellFormed(),
      ...(code === undefined ? {} : { code }),
    };
    const attempt = job.attemptsMade + 1;
    const { retryAt } = decideRetry({
      attemptsMade: attempt,
      maxAttempts: job.maxAttempts,
      backoffMs: job.backoffMs,
      now: this.#queue.clock.now(),
      failure: { ...error, dataFault: final },
      ...(retryable === undefined ? {} : { retryableErrors: retryable }),
    });
    const [outcome] = await this.#adapter.fail({
      tenant: this.tenant,
      runs: [{ ...refTo(id, lease), error, retryAt, attempt }],
    });
    return unwrap(outcome);
  }

  async release(id: number, lease?: string): Promise<JobState> {
    const ref = checkedRef(id, lease);
    const [outcome] = await this.#adapter.release({ tenant: this.tenant, runs: [ref] });
    return unwrap(outcome);
  }

  /** Keeps runs alive for another lease; one that is refused is lost. */
  async renew(
    runs: readonly { readonly id: number; readonly lease?: string }[],
  ): Promise<readonly Outcome<true>[]> {
    checkBatch(runs, "runs");
    const checked = runs.map((run, i) => {
      const errors: FieldError[] = [];
      const { id, lease } = checkObject(run, `runs[${i}]`, errors);
      refuseIfAny(errors);
      return checkedRef(id, lease);
    });
    const { leaseMs } = this.#queue;
    return this.#adapter.renew({ tenant: this.tenant, runs: checked, leaseMs });
  }

  async progress(report: Report): Promise<void> {
    const errors: FieldError[] = [];
    checkObject(report, "report", errors);
    refuseIfAny(errors);
    const { id, lease, progress, message, stats } = report;
    const percent = typeof progress === "number" && progress >= 0 && progress <= 100;
    if (progress !== undefined && !percent) {
      errors.push({ field: "progress", message: "Must be a number from 0 to 100" });
    }
    if (message != null) checkText(message, "message", 0, MAX_LOG_LINE, errors);
    if (stats !== undefined) checkStats(stats, errors);
    refuseIfAny(errors);
    const checked: Report = {
      ...checkedRef(id, lease),
      ...(progress === undefined ? {} : { progress }),
      ...(message === undefined ? {} : { message }),
      ...(stats === undefined ? {} : { stats }),
    };
    const { leaseMs } = this.#queue;
    const [outcome] = await this.#adapter.progress({
      tenant: this.tenant,
      reports: [checked],
      leaseMs,
    });
    unwrap(outcome);
  }

  async log(id: number, lines: readonly string[], lease?: string): Promise<void> {
    const errors: FieldError[] = [];
    if (!Array.isArray(lines) || lines.some((line) => typeof line !== "string")) {
      errors.push({ field: "lines", message: "Must be a list of strings" });
    }
    refuseIfAny(errors);
    const run = checkedRef(id, lease);
    const cut = lines.map((line) => line.slice(0, MAX_LOG_LINE).toWellFormed());
    await this.#adapter.log({ tenant: this.tenant, run, lines: cut });
  }

  /** Keeps the worker in the lists and its jobs alive. */
  async heartbeat(worker: {
    readonly id: string;
    readonly queues?: readonly string[];
    readonly concurrency?: number;
    /** Runs under way; default: as it said before. */
    readonly active?: number;
    /** Runs that have ended since its start; default: as it said before. */
    readonly jobsProcessed?: number;
  }): Promise<void> {
    const errors: FieldError[] = [];
    checkObject(worker, "worker", errors);
    refuseIfAny(errors);
    const { id, queues = [], concurrency = 1, active, jobsProcessed } = worker;
    checkName(id, "worker", errors);
    if (checkList(queues, "queues", MAX_BATCH, errors)) {
      for (const [i, queue] of queues.entries()) checkName(queue, `queues[${i}]`, errors);
    }
    checkInteger(concurrency, "concurrency", 1, 1_000_000, errors);
    for (const [field, told] of Object.entries({ active, jobsProcessed })) {
      if (told !== undefined) checkInteger(told, field, 0, Number.MAX_SAFE_INTEGER, errors);
    }
    refuseIfAny(errors);
    const known = (await this.workers()).find((w) => w.id === id && w.tenant === this.tenant);
    await this.#adapter.heartbeatWorker({
      id,
      tenant: this.tenant,
      queues,
      concurrency,
      jobsProcessed: jobsProcessed ?? known?.jobsProcessed ?? 0,
      active: active ?? known?.active ?? 0,
    });
    const { leaseMs } = this.#queue;
    await this.#adapter.renew({ tenant: this.tenant, runs: [], worker: id, leaseMs });
  }

  /** Takes a worker off the lists; its jobs keep their leases. */
  async forgetWorker(id: string): Promise<void> {
    const errors: FieldError[] = [];
    checkName(id, "worker", errors);
    refuseIfAny(errors);
    await this.#adapter.forgetWorker({ tenant: this.tenant, id });
  }

  // ---- admin

  /** `running: false` refuses a job that is being run. */
  async cancel(id: number, options: { running: boolean; reason?: string }): Promise<void> {
    const errors: FieldError[] = [];
    checkObject(options, "options", errors);
    refuseIfAny(errors);
    const { running, reason = "cancelled" } = options;
    checkBoolean(running, "running", errors);
    checkText(reason, "reason", 1, MAX_LOG_LINE, errors);
    refuseIfAny(errors);
    const params = { tenant: this.tenant, ids: [checkedId(id)] };
    const [outcome] = await this.#adapter.cancel({ ...params, running, reason });
    unwrap(outcome);
  }

  async retry(id: number): Promise<void> {
    const [outcome] = await this.#adapter.retry({ tenant: this.tenant, ids: [checkedId(id)] });
    unwrap(outcome);
  }

  async promote(id: number): Promise<void> {
    const [outcome] = await this.#adapter.promote({ tenant: this.tenant, ids: [checkedId(id)] });
    unwrap(outcome);
  }

  async remove(id: number): Promise<void> {
    const [outcome] = await this.#adapter.remove({ tenant: this.tenant, ids: [checkedId(id)] });
    await this.#queue.cleanUp([unwrap(outcome)]);
  }

  /** Acts on every job that matches when it is reached; answers how many were changed. */
  async applyToMany(
    filter: Omit<JobFilter, "tenant">,
    action: BulkAction,
    options: {
      readonly reason?: string;
      readonly signal?: AbortSignal;
      /** After each step, with the jobs so far whose state did not allow it. */
      readonly onProgress?: (applied: number, refused: number) => void;
    } = {},
  ): Promise<number> {
    const errors: FieldError[] = [];
    checkFilter(filter, errors);
    checkOneOf(action, "action", ["cancel", "retry", "remove", "promote"], errors);
    checkObject(options, "options", errors);
    refuseIfAny(errors);
    const { reason = "cancelled", signal, onProgress } = options;
    checkText(reason, "reason", 1, MAX_LOG_LINE, errors);
    checkSignal(signal, errors);
    refuseIfAny(errors);
    let applied = 0;
    let refused = 0;
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
      await this.#queue.cleanUp(step.removed);
      applied += step.applied;
      refused += step.refused;
      onProgress?.(applied, refused);
      if (step.next === null) return applied;
      after = step.next;
    }
  }

  // ---- read

  /** @throws QueueError JOB_NOT_FOUND, also for another tenant's job. */
  async get(id: number): Promise<Job> {
    const [job] = await this.getMany([id]);
    if (job == null) throw unknownJob(id);
    return job;
  }

  /** Up to 10,000, in the order asked; null for what is no job of this tenant, or no id at all. */
  async getMany(ids: readonly number[]): Promise<readonly (Job | null)[]> {
    const errors: FieldError[] = [];
    checkList(ids, "ids", MAX_PAGE, errors);
    refuseIfAny(errors);
    return this.#adapter.get({
      tenant: this.tenant,
      ids: ids.map((id) => (isJobId(id) ? id : NO_JOB)),
    });
  }

  /** The job with its data and result as JSON text, however long. */
  async load(job: Job): Promise<{ readonly data: string; readonly result: string | null }> {
    const { payloads } = this.#queue;
    return {
      data: await payloads.read(job.data),
      result: job.result === null ? null : await payloads.read(job.result),
    };
  }

  /** `payloads: false` leaves out data and results, which cost more to read than all the rest. */
  async list(
    filter: Omit<JobFilter, "tenant">,
    page: Page & { readonly payloads: false },
  ): Promise<JobList<JobOutline>>;
  async list(
    filter: Omit<JobFilter, "tenant">,
    page: Page & { readonly payloads?: boolean },
  ): Promise<JobList>;
  async list(
    filter: Omit<JobFilter, "tenant">,
    page: Page & { readonly payloads?: boolean },
  ): Promise<JobList<JobOutline>> {
    const errors: FieldError[] = [];
    checkFilter(filter, errors);
    checkPage(page, MAX_PAGE, errors);
    if (page?.payloads !== undefined) checkBoolean(page.payloads, "payloads", errors);
    refuseIfAny(errors);
    const { payloads = true, ...place } = page;
    const { tenant } = this;
    const { jobs, total } = await this.#adapter.list({
      filter: { ...filter, tenant },
      page: place,
    });
    if (!payloads) return { jobs, total };
    // One that was removed meanwhile is left out.
    const whole = await this.#adapter.get({ tenant, ids: jobs.map(({ id }) => id) });
    return { jobs: whole.filter((job) => job !== null), total };
  }

  async count(filter: Omit<JobFilter, "tenant"> = {}): Promise<StateCounts> {
    const errors: FieldError[] = [];
    checkFilter(filter, errors);
    refuseIfAny(errors);
    return this.#adapter.count({ ...filter, tenant: this.tenant });
  }

  async stats(params: Omit<StatsParams, "tenant"> = {}): Promise<readonly StatsRow[]> {
    const errors: FieldError[] = [];
    const { level, groupBy } = params ?? {};
    checkFilter({ queues: params?.queues, project: params?.project }, errors);
    checkObject(params, "params", errors);
    if (level !== undefined) checkOneOf(level, "level", priorityLevels, errors);
    if (groupBy !== undefined) checkOneOf(groupBy, "groupBy", GROUPS, errors);
    for (const field of ["from", "to"] as const) {
      if (params?.[field] !== undefined) checkInteger(params[field], field, 0, 2 ** 53 - 1, errors);
    }
    refuseIfAny(errors);
    return this.#adapter.stats({ ...params, tenant: this.tenant });
  }

  async logs(
    id: number,
    page: { readonly offset: number; readonly limit: number },
  ): Promise<{ readonly lines: readonly LogLine[]; readonly total: number }> {
    const errors: FieldError[] = [];
    const { offset, limit } = checkObject(page, "page", errors);
    checkInteger(offset, "offset", 0, 2 ** 53 - 1, errors);
    checkInteger(limit, "limit", 0, MAX_PAGE, errors);
    refuseIfAny(errors);
    await this.get(id);
    return this.#adapter.logs({ tenant: this.tenant, id, offset: page.offset, limit: page.limit });
  }

  /** Failed jobs still there, by what their errors have in common: the largest groups first. */
  async errorGroups(params: Omit<ErrorGroupsParams, "tenant">): Promise<readonly ErrorGroup[]> {
    const errors: FieldError[] = [];
    const { queues, from, to, limit } = checkObject(params, "params", errors);
    checkFilter({ queues }, errors);
    checkInteger(limit, "limit", 1, MAX_BATCH, errors);
    for (const [field, time] of Object.entries({ from, to })) {
      if (time !== undefined) checkInteger(time, field, 0, 2 ** 53 - 1, errors);
    }
    refuseIfAny(errors);
    return this.#adapter.errorGroups({ ...params, tenant: this.tenant });
  }

  /** Unfinished jobs that depend on this one, directly. @throws QueueError JOB_NOT_FOUND */
  async dependents(
    id: number,
    options: { readonly limit: number },
  ): Promise<{ readonly ids: readonly number[]; readonly total: number }> {
    const errors: FieldError[] = [];
    const { limit } = checkObject(options, "options", errors);
    checkInteger(limit, "limit", 0, MAX_PAGE, errors);
    refuseIfAny(errors);
    await this.get(id);
    return this.#adapter.dependents({ tenant: this.tenant, id, limit: options.limit });
  }

  /** The job's history, run by run. @throws QueueError JOB_NOT_FOUND */
  async runs(id: number): Promise<readonly JobRun[]> {
    await this.get(id);
    return this.#adapter.runs({ tenant: this.tenant, id });
  }

  /**
   * The job once it is finished.
   * @throws QueueError WAIT_TIMEOUT with `state` and `progress` when that takes longer than `timeoutMs`.
   */
  async wait(id: number, options: { timeoutMs: number; signal?: AbortSignal }): Promise<Job> {
    const errors: FieldError[] = [];
    checkObject(options, "options", errors);
    refuseIfAny(errors);
    const { timeoutMs, signal } = options;
    checkWait(timeoutMs, "timeoutMs", errors);
    checkSignal(signal, errors);
    refuseIfAny(errors);
    const { clock } = this.#queue;
    const until = clock.now() + timeoutMs;
    // Listening first, so that an end between the look and the wait is not missed.
    const wait = await this.#waits.join(checkedId(id));
    try {
      for (;;) {
        const job = await this.get(id);
        if (isFinished(job.state)) return job;
        if (clock.now() >= until) {
          const { state, progress } = job;
          const what = `Job ${id} is not finished after ${timeoutMs} ms`;
          throw new QueueError("WAIT_TIMEOUT", what, { state, progress });
        }
        // Not every piece of news is the end: it may be waiting again by now.
        await wait.news(until, signal);
      }
    } finally {
      wait.leave();
    }
  }

  // ---- queues

  async queues(names?: readonly string[]): Promise<readonly QueueInfo[]> {
    const { tenant } = this;
    const errors: FieldError[] = [];
    checkFilter({ queues: names }, errors);
    refuseIfAny(errors);
    return this.#adapter.listQueues({ tenant, ...(names === undefined ? {} : { queues: names }) });
  }

  /** Pause, starts a second, runs at once, fields to search by; absent ones stay. */
  async configure(queue: string, settings: Partial<QueueSettings>): Promise<QueueSettings> {
    const errors: FieldError[] = [];
    checkName(queue, "queue", errors);
    const { paused, rateLimit, concurrency, indexedPaths } = checkObject(
      settings,
      "settings",
      errors,
    );
    if (
      indexedPaths !== undefined &&
      checkList(indexedPaths, "indexedPaths", MAX_INDEXED_PATHS, errors)
    ) {
      for (const [i, path] of indexedPaths.entries()) {
        checkPayloadPath(path, `indexedPaths[${i}]`, errors);
      }
    }
    if (paused !== undefined) checkBoolean(paused, "paused", errors);
    for (const [field, value] of Object.entries({ rateLimit, concurrency })) {
      if (value != null) checkInteger(value, field, 1, MAX_QUEUE_LIMIT, errors);
    }
    refuseIfAny(errors);
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
    const fields = checkObject(input, "schedule", errors);
    if (fields["cron"] !== undefined) checkText(fields["cron"], "cron", 0, MAX_LOG_LINE, errors);
    if (fields["timezone"] !== undefined)
      checkText(fields["timezone"], "timezone", 0, MAX_LABEL, errors);
    if (fields["enabled"] !== undefined) checkBoolean(fields["enabled"], "enabled", errors);
    if (fields["description"] != null) {
      checkText(fields["description"], "description", 0, MAX_LOG_LINE, errors);
    }
    if (fields["via"] !== undefined) checkText(fields["via"], "via", 1, MAX_LABEL, errors);
    if (expect !== undefined) checkOneOf(expect, "expect", ["new", "existing"], errors);
    refuseIfAny(errors);
    return this.#queue.scheduler.put(this.home, name, input, expect);
  }

  async deleteSchedule(name: string): Promise<void> {
    const errors: FieldError[] = [];
    checkText(name, "name", 0, Infinity, errors);
    refuseIfAny(errors);
    // A name alone says nothing about other tenants' schedules.
    const deleted = await this.#adapter.deleteSchedule({ tenant: this.home, name });
    if (!deleted)
      throw new QueueError("SCHEDULE_NOT_FOUND", `Schedule ${name.slice(0, 256)} not found`);
  }

  // ---- webhooks, workers, nodes, events

  webhooks(): Promise<readonly WebhookRecord[]> {
    return this.#adapter.listWebhooks({ tenant: this.tenant });
  }

  async putWebhook(webhook: Omit<WebhookInput, "tenant">): Promise<WebhookRecord> {
    const errors: FieldError[] = [];
    const { id, url, events, queue, secret, shape, enabled } = checkObject(
      webhook,
      "webhook",
      errors,
    );
    if (id !== undefined && !isJobId(id))
      errors.push({ field: "id", message: "Must be a webhook's id" });
    checkWebAddress(url, "url", errors);
    if (checkList(events, "events", MAX_TAGS, errors)) {
      for (const [i, event] of events.entries())
        checkOneOf(event, `events[${i}]`, ["*", ...eventTypes], errors);
    }
    if (queue !== null) checkName(queue, "queue", errors);
    if (secret !== null) checkText(secret, "secret", 1, MAX_LOG_LINE, errors);
    checkText(shape, "shape", 1, MAX_LABEL, errors);
    checkBoolean(enabled, "enabled", errors);
    refuseIfAny(errors);
    if (id === undefined) {
      const own = await this.#adapter.listWebhooks({ tenant: this.home });
      if (own.length >= MAX_WEBHOOKS) {
        throw new QueueError(
          "LIMIT_REACHED",
          `There are ${MAX_WEBHOOKS} webhooks already, as many as a tenant can have`,
        );
      }
    }
    return this.#adapter.putWebhook({ ...webhook, tenant: this.home });
  }

  async deleteWebhook(id: number): Promise<void> {
    const { tenant } = this;
    const deleted = isJobId(id) && (await this.#adapter.deleteWebhook({ tenant, id }));
    if (!deleted) throw new QueueError("WEBHOOK_NOT_FOUND", `Webhook ${spelled(id)} not found`);
  }

  /** What senders of events from outside sign with; null: they need a token. */
  async setIncomingSecret(queue: string, secret: string | null): Promise<void> {
    const errors: FieldError[] = [];
    checkName(queue, "queue", errors);
    if (secret !== null) checkText(secret, "secret", 1, MAX_LABEL, errors);
    refuseIfAny(errors);
    await this.#adapter.putIncomingSecret({ tenant: this.home, queue, secret });
  }

  async incomingSecret(queue: string): Promise<string | null> {
    const errors: FieldError[] = [];
    checkName(queue, "queue", errors);
    refuseIfAny(errors);
    return this.#adapter.incomingSecret({ tenant: this.home, queue });
  }

  workers(): Promise<readonly WorkerRecord[]> {
    return this.#adapter.listWorkers({ tenant: this.tenant, withinMs: WORKER_GONE_MS });
  }

  nodes(): Promise<readonly NodeRecord[]> {
    return this.#adapter.listNodes({ withinMs: NODE_GONE_MS });
  }

  async subscribe(subscription: Omit<EventSubscription, "tenant">): Promise<() => void> {
    const errors: FieldError[] = [];
    const { queue, types, after, onEvents, onGap } = checkObject(
      subscription,
      "subscription",
      errors,
    );
    if (queue !== undefined) checkName(queue, "queue", errors);
    if (types !== undefined && checkList(types, "types", eventTypes.length, errors)) {
      for (const [i, type] of types.entries()) checkOneOf(type, `types[${i}]`, eventTypes, errors);
    }
    // Any text: a cursor that is none is a gap.
    if (after !== undefined && typeof after !== "string") {
      errors.push({ field: "after", message: "Must be a string" });
    }
    for (const [field, call] of Object.entries({ onEvents, onGap: onGap ?? Boolean })) {
      if (typeof call !== "function") errors.push({ field, message: "Must be a function" });
    }
    refuseIfAny(errors);
    return this.#adapter.subscribe({ ...subscription, tenant: this.tenant });
  }
}

/** Files of what may have been kept have to stay. */
function isUncertain(error: unknown): boolean {
  return error instanceof QueueError && error.details.uncertain === true;
}

function isAway(error: unknown): boolean {
  return error instanceof QueueError && error.code === "UNAVAILABLE";
}

function unlessRefused(error: unknown): void {
  const refusal = error instanceof QueueError ? error.code : null;
  if (refusal !== "INVALID_STATE" && refusal !== "JOB_NOT_FOUND") throw error;
}

function unwrap<T>(outcome: Outcome<T> | undefined): T {
  if (outcome instanceof QueueError) throw outcome;
  if (outcome === undefined) throw new QueueError("INTERNAL", "The engine gave no answer");
  return outcome;
}

/** What the engine keeps with an answer: the jobs of the call that never reached it, by their positions. */
type Note = readonly (readonly [index: number, error: ErrorRecord])[];

function noteOf(outcomes: readonly (Outcome<number> | undefined)[]): string {
  const refused = [...outcomes.entries()].filter(([, outcome]) => outcome !== undefined);
  return refused.length === 0 ? "" : JSON.stringify(refused);
}

/** What the first call was told. */
interface Added {
  readonly outcomes: readonly Outcome<number>[];
  /** As an earlier call with the same key was told. */
  readonly repeated: boolean;
}

function repeatedOutcomes({ outcome, note }: Answer): readonly Outcome<number>[] {
  if (outcome instanceof QueueError) throw outcome;
  const outcomes = [...outcome];
  for (const [i, error] of note === "" ? [] : (JSON.parse(note) as Note)) {
    outcomes.splice(i, 0, QueueError.from(error));
  }
  return outcomes.map((each, i) => (each instanceof QueueError ? indexed(each, i) : each));
}

function indexed(error: unknown, index: number): QueueError {
  if (!(error instanceof QueueError)) throw error;
  const { code, message, details, cause } = error;
  return new QueueError(code, message, { ...details, index }, cause);
}

function checkBatch(batch: unknown, field: string): void {
  if (!Array.isArray(batch) || batch.length < 1 || batch.length > MAX_BATCH) {
    throw validationError([{ field, message: `Must contain 1 to ${MAX_BATCH} items` }]);
  }
}

function spelled(id: unknown): string {
  return typeof id === "number" || typeof id === "string" ? String(id).slice(0, 64) : typeof id;
}

/** As an unknown job's: what is no id is the id of none. */
function unknownJob(id: unknown): QueueError {
  return jobNotFound(spelled(id));
}

function checkedId(id: unknown): number {
  if (!isJobId(id)) throw unknownJob(id);
  return id;
}

function refTo(id: number, lease: string | undefined): RunRef {
  return lease === undefined ? { id } : { id, lease };
}

function checkedRef(id: unknown, lease: unknown): RunRef {
  const errors: FieldError[] = [];
  checkLease(lease, errors);
  refuseIfAny(errors);
  return refTo(checkedId(id), lease as string | undefined);
}

// ---- checks of what comes in

function checkStats(stats: unknown, errors: FieldError[]): void {
  const { estimatedEnd, ...figures } = checkObject(stats, "stats", errors);
  const { totalItems, processedItems, failedItems, averageItemMs, itemsPerSecond } = figures;
  const needed = { totalItems, processedItems, failedItems, averageItemMs, itemsPerSecond };
  const known = estimatedEnd === null ? needed : { ...needed, estimatedEnd };
  for (const [field, value] of Object.entries(known)) {
    const sound = Number.isFinite(value) && Number(value) >= 0 && Number(value) <= LAST_MOMENT;
    if (!sound) errors.push({ field: `stats.${field}`, message: "Must be a number, not negative" });
  }
}

/** Those that nobody can change are looked at once. */
const soundOrigins = new WeakSet<JobOrigin>();

function checkJob(
  tenant: string,
  job: NewJob,
  batch: number,
): { readonly spec: Spec; readonly text: string | Uint8Array } {
  const errors: FieldError[] = [];
  checkObject(job, "job", errors);
  refuseIfAny(errors);
  checkName(job.queue, "queue", errors);
  if (!isTenant(tenant)) errors.push({ field: "tenantId", message: "Is no tenant name" });
  const type = errors.length > 0 ? undefined : jobTypeOf(job.queue);
  const whole = (value: unknown, field: string, min: number, max: number): void => {
    if (value !== undefined) checkInteger(value, field, min, max, errors);
  };
  whole(job.delayMs, "delayMs", 0, LONGEST_MS);
  whole(job.ttlMs ?? undefined, "ttlMs", 1, LONGEST_MS);
  whole(job.timeoutMs ?? undefined, "timeoutMs", 1, LONGEST_MS);
  whole(job.maxAttempts, "maxAttempts", 1, MAX_ATTEMPTS);
  whole(job.backoffMs, "backoffMs", 0, LONGEST_MS);
  const priority = checkedPriority(job.priority ?? type?.defaults.priority ?? 0);
  if (priority === null) {
    const message = `Must be a whole number from -${MAX_PRIORITY} to ${MAX_PRIORITY}`;
    errors.push({ field: "priority", message });
  }
  const label = (value: unknown, field: string): void => {
    if (value != null) checkText(value, field, 1, MAX_LABEL, errors);
  };
  label(job.name, "name");
  label(job.uniqueKey, "uniqueKey");
  label(job.project, "project");
  label(job.batch, "batch");
  if (job.lifo !== undefined) checkBoolean(job.lifo, "lifo", errors);
  const { tags = [], dependsOn = [] } = job;
  if (checkList(tags, "tags", MAX_TAGS, errors)) {
    for (const [i, tag] of tags.entries()) checkText(tag, `tags[${i}]`, 1, MAX_LABEL, errors);
  }
  if (checkList(dependsOn, "dependsOn", MAX_DEPENDENCIES, errors)) {
    for (const [i, on] of dependsOn.entries())
      checkDependency(on, `dependsOn[${i}]`, batch, errors);
  }
  if (job.origin != null && !soundOrigins.has(job.origin)) {
    const { via, priority, schedule } = checkObject(job.origin, "origin", errors);
    if (schedule !== undefined) checkName(schedule, "origin.schedule", errors);
    checkText(via, "origin.via", 1, MAX_LABEL, errors);
    if (priority !== undefined && typeof priority !== "number") {
      checkText(priority, "origin.priority", 1, MAX_LABEL, errors);
    }
    if (errors.length === 0 && Object.isFrozen(job.origin)) soundOrigins.add(job.origin);
  }
  refuseIfAny(errors);

  const known = knownText(job.data);
  if (known !== undefined) checkJson(job.data);
  const text = known ?? encodeJson(job.data);
  const maxBytes = type?.maxDataBytes ?? MAX_UNTYPED_BYTES;
  // A character is at most three bytes: most texts need no counting.
  if (text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes) {
    throw new QueueError(
      "PAYLOAD_TOO_LARGE",
      `The data is larger than the ${maxBytes} bytes that ${job.queue} takes`,
      { limitBytes: maxBytes },
    );
  }
  let labels: JobLabels = {};
  if (type !== undefined) {
    const parsed = type.data.safeParse(job.data);
    if (!parsed.success) throw validationError(validationIssues(parsed.error));
    labels = type.labels?.(parsed.data) ?? labels;
  }
  const claimed = (job.data as { readonly tenantId?: unknown } | null)?.tenantId;
  if (claimed !== undefined && claimed !== tenant) {
    const message = "Must be the tenant of the token, or be left out";
    throw validationError([{ field: "tenantId", message }]);
  }
  return {
    text,
    spec: {
      tenant,
      queue: job.queue,
      data: "",
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
      project: job.project ?? labels.project ?? null,
      batch: job.batch ?? labels.batch ?? null,
      origin: job.origin ?? null,
    },
  };
}

const none: readonly number[] = [];

/** `batch`: how many jobs the call has; 0 where the job stands alone, as a schedule's. */
function checkDependency(on: unknown, field: string, batch: number, errors: FieldError[]): void {
  const sibling = typeof on === "object" && on !== null;
  if (sibling && batch === 0) {
    errors.push({ field, message: "A job that is added alone has no siblings" });
  } else if (sibling) {
    checkInteger((on as { sibling?: unknown }).sibling, field, 0, batch - 1, errors);
  } else {
    checkInteger(on, field, 1, 2 ** 53 - 1, errors);
  }
}

function isJobIndex(value: unknown, count: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < count;
}

/** The positions in a call that each of its jobs depends on. */
function siblingsOf(jobs: readonly NewJob[]): readonly (readonly number[])[] {
  return jobs.map((job) => {
    const dependsOn: unknown = (job as NewJob | null | undefined)?.dependsOn;
    if (!Array.isArray(dependsOn)) return none;
    return dependsOn
      .map((on): unknown => (on as { readonly sibling?: unknown } | null)?.sibling)
      .filter((sibling) => isJobIndex(sibling, jobs.length));
  });
}

/** Who has to hear of each position: those that depend on it. */
function dependentsOf(
  needs: readonly (readonly number[])[],
): ReadonlyMap<number, readonly number[]> {
  const dependents = new Map<number, number[]>();
  for (const [i, siblings] of needs.entries()) {
    for (const sibling of siblings) {
      const others = dependents.get(sibling);
      if (others === undefined) dependents.set(sibling, [i]);
      else others.push(i);
    }
  }
  return dependents;
}

/** Positions of the jobs of a call that stand on, or lead into, a circle; undefined when there is none. */
function siblingCycle(needs: readonly (readonly number[])[]): Set<number> | undefined {
  if (needs.every((siblings) => siblings.length === 0)) return undefined;
  // Kahn: whoever waits for nobody that is left goes; who remains is caught.
  const dependents = dependentsOf(needs);
  const pending = needs.map((siblings) => siblings.length);
  const left = new Set(needs.keys());
  const free = [...left].filter((i) => pending[i] === 0);
  for (let i = free.pop(); i !== undefined; i = free.pop()) {
    left.delete(i);
    for (const other of dependents.get(i) ?? []) {
      const now = (pending[other] as number) - 1;
      pending[other] = now;
      if (now === 0) free.push(other);
    }
  }
  return left.size > 0 ? left : undefined;
}

/** The jobs of a call without those that were refused: the engine counts siblings without them. */
function withoutGaps(specs: Specs): JobSpec[] {
  const left = [...specs.keys()].filter((i) => specs[i] !== undefined);
  const places = new Map(left.map((i, place) => [i, place]));
  return left
    .map((i) => specs[i] as JobSpec)
    .map((spec) => ({
      ...spec,
      dependsOnSiblings: spec.dependsOnSiblings.map((i) => places.get(i) as number),
    }));
}

/** Refuses the jobs whose sibling was refused, and those of such siblings in turn; answers with their positions. */
function refuseOrphans(
  needs: readonly (readonly number[])[],
  outcomes: (Outcome<number> | undefined)[],
): readonly number[] {
  if (outcomes.every((outcome) => outcome === undefined)) return none;
  const refused = [...outcomes.keys()].filter((i) => outcomes[i] !== undefined);
  const dependents = dependentsOf(needs);
  const orphans: number[] = [];
  for (let i = refused.pop(); i !== undefined; i = refused.pop()) {
    for (const other of dependents.get(i) ?? []) {
      if (outcomes[other] !== undefined) continue;
      const what = `Job ${i} of the batch was refused`;
      outcomes[other] = new QueueError("DEPENDENCY_NOT_FOUND", what, { index: other, ids: [] });
      orphans.push(other);
      refused.push(other);
    }
  }
  return orphans;
}
