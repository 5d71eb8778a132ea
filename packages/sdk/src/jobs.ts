import { JobyardError } from "./errors.ts";
import type { TypedQueues } from "./generated/job-types.ts";
import type { CallOptions } from "./http.ts";
import type { Body, Data, Native, NativeCallOptions, Query, Schemas } from "./native.ts";
import { randomKey } from "./native.ts";
import { type JobEvent, lastProgress, type Progress, watch, type WatchOptions } from "./streams.ts";

/** The name of a queue with types, or any other. */
export type QueueName<Types> = (keyof Types & string) | (string & {});
export type DataOf<Types, Queue> = Queue extends keyof Types
  ? Types[Queue] extends { data: infer Data }
    ? Data
    : unknown
  : unknown;
export type ResultOf<Types, Queue> = Queue extends keyof Types
  ? Types[Queue] extends { result: infer Result }
    ? Result
    : unknown
  : unknown;

/** `dataFile` and `resultFile` stand for what is over 1 MB: `jobs.data(id)` and `jobs.result(id)` read it. */
export type Job<Types = TypedQueues, Queue = string> = Omit<
  Schemas["Job"],
  "queue" | "data" | "result"
> & {
  readonly queue: Queue;
  readonly data?: DataOf<Types, Queue>;
  readonly result?: ResultOf<Types, Queue>;
};

/** How a job is to be run. */
export type JobOptions = Omit<Schemas["NewJob"], "queue" | "name" | "data">;

export interface NewJob<Data> {
  /** A label. */
  readonly name?: string;
  readonly data?: Data;
  readonly opts?: JobOptions;
}

/** A job that was added; it can be given wherever an id is taken, and its queue's types come along. */
export interface AddedJob<Queue = string> {
  readonly id: string;
  readonly queue: Queue;
}

export type JobId<Queue = string> = string | number | AddedJob<Queue>;

export type Filter = Schemas["JobFilter"];
/** `limit`: jobs a page. */
export type ListOptions = Query<"listJobs">;

export interface JobPage<Types, Queue> {
  readonly items: readonly Job<Types, Queue>[];
  /** How many match, whatever the page. */
  readonly total: number;
  /** `cursor` of the next page. */
  readonly next: string | null;
}

export interface WaitOptions {
  /** Default: as long as it takes. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface ActionOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** Jobs in one call. */
const MAX_BATCH = 1000;
/** One wait at the server; proxies cut those that last longer. */
const WAIT_MS = 25_000;

export class Jobs<Types extends object = TypedQueues> {
  readonly #native: Native;

  constructor(native: Native) {
    this.#native = native;
  }

  /** Resolves once the job is on disk. Repeated by itself, and never added twice, when an answer is lost. */
  async add<Queue extends QueueName<Types>>(
    queue: Queue,
    job: NewJob<DataOf<Types, Queue>>,
    options?: NativeCallOptions,
  ): Promise<AddedJob<Queue>> {
    const { id } = await this.#native.call("addJob", { body: bodyOf(queue, job) }, options);
    return { id, queue };
  }

  /** Each by itself, or with `atomic` all or none (1,000 at most); the outcomes are in the order of the jobs. */
  async addMany<Queue extends QueueName<Types>>(
    queue: Queue,
    jobs: readonly NewJob<DataOf<Types, Queue>>[],
    { atomic = false, ...options }: NativeCallOptions & { readonly atomic?: boolean } = {},
  ): Promise<Data<"addJobs">> {
    const key = options.idempotencyKey ?? randomKey();
    const all: Data<"addJobs"> = { added: 0, refused: 0, outcomes: [] };
    const size = atomic ? Math.max(jobs.length, 1) : MAX_BATCH;
    for (let from = 0; from < jobs.length; from += size) {
      const some = jobs.slice(from, from + size).map((job) => bodyOf(queue, job));
      const { added, refused, outcomes } = await this.#native.call(
        "addJobs",
        { body: { jobs: some, atomic } },
        { ...options, idempotencyKey: from === 0 ? key : `${key.slice(0, 240)}-${from}` },
      );
      all.added += added;
      all.refused += refused;
      all.outcomes.push(...outcomes);
    }
    return all;
  }

  async get<Queue extends QueueName<Types> = string>(
    job: JobId<Queue>,
    query: Query<"getJob"> & CallOptions = {},
  ): Promise<Job<Types, Queue>> {
    const { signal, timeoutMs, ...rest } = query;
    const params = { path: path(job), query: rest };
    return jobOf(await this.#native.call("getJob", params, options(signal, timeoutMs)));
  }

  /** All that match, read page by page as the loop goes on. */
  async *list<Queue extends QueueName<Types> = string>(
    query: ListOptions = {},
    options?: CallOptions,
  ): AsyncGenerator<Job<Types, Queue>, void, undefined> {
    for (let cursor = query.cursor; ;) {
      const asked = cursor === undefined ? query : { ...query, cursor };
      const { items, next } = await this.page<Queue>(asked, options);
      yield* items;
      if (next === null) return;
      cursor = next;
    }
  }

  async page<Queue extends QueueName<Types> = string>(
    query: ListOptions = {},
    options?: CallOptions,
  ): Promise<JobPage<Types, Queue>> {
    const found: unknown = await this.#native.call("listJobs", { query }, options);
    return found as JobPage<Types, Queue>;
  }

  /**
   * The job once it has ended, however it did: see its `state`.
   * @throws JobyardError `JOB_TIMEOUT`, with `details.state` and `details.progress`
   */
  async wait<Queue extends QueueName<Types> = string>(
    job: JobId<Queue>,
    { timeoutMs = Infinity, signal }: WaitOptions = {},
  ): Promise<Job<Types, Queue>> {
    const until = Date.now() + timeoutMs;
    for (;;) {
      const left = Math.max(0, until - Date.now());
      const body = { timeoutMs: Math.min(left, WAIT_MS) };
      const params = { path: path(job), body };
      try {
        return jobOf(await this.#native.call("waitForJob", params, options(signal)));
      } catch (error) {
        const over = error instanceof JobyardError && error.code === "JOB_TIMEOUT";
        if (!over || Date.now() >= until) throw error;
      }
    }
  }

  /** Events as they happen, of the queues, jobs and types named or of all; goes on where it was after a lost connection. */
  watch(options: WatchOptions = {}): AsyncGenerator<JobEvent, void, undefined> {
    return watch(this.#native, options);
  }

  /** Whole, also where a list shows a reference. */
  async data<Queue extends QueueName<Types> = string>(
    job: JobId<Queue>,
    options?: CallOptions,
  ): Promise<DataOf<Types, Queue>> {
    const response = await this.#native.raw("getJobData", { path: path(job) }, options);
    return (await response.json()) as DataOf<Types, Queue>;
  }

  /** Whole; refused with `INVALID_STATE` where the job is not completed. */
  async result<Queue extends QueueName<Types> = string>(
    job: JobId<Queue>,
    options?: CallOptions,
  ): Promise<ResultOf<Types, Queue>> {
    const response = await this.#native.raw("getJobResult", { path: path(job) }, options);
    return (await response.json()) as ResultOf<Types, Queue>;
  }

  /** A running job gets a signal and ends within 5 s. */
  cancel(job: JobId, { signal, ...body }: Body<"cancelJob"> & CallOptions = {}) {
    return this.#native.call("cancelJob", { path: path(job), body }, options(signal));
  }

  /** A failed job, with its attempts anew. */
  retry(job: JobId, options?: CallOptions) {
    return this.#native.call("retryJob", { path: path(job) }, options);
  }

  remove(job: JobId, options?: CallOptions) {
    return this.#native.call("removeJob", { path: path(job) }, options);
  }

  /** A delayed job, now. */
  promote(job: JobId, options?: CallOptions) {
    return this.#native.call("promoteJob", { path: path(job) }, options);
  }

  /** A new job like this one, but for what is named. */
  requeue(job: JobId, changes: Body<"requeueJob"> = {}, options?: CallOptions) {
    return this.#native.call("requeueJob", { path: path(job), body: changes }, options);
  }

  logs(job: JobId, query: Query<"getJobLogs"> = {}, options?: CallOptions) {
    return this.#native.call("getJobLogs", { path: path(job), query }, options);
  }

  /** Each run: who, from when to when, how it ended. */
  attempts(job: JobId, options?: CallOptions) {
    return this.#native.call("getJobAttempts", { path: path(job) }, options);
  }

  dependencies(job: JobId, options?: CallOptions) {
    return this.#native.call("getJobDependencies", { path: path(job) }, options);
  }

  /** Of its result. */
  files(job: JobId, options?: CallOptions) {
    return this.#native.call("listJobFiles", { path: path(job) }, options);
  }

  /** The file as an answer of `fetch`: read its `body`, `text()` or `arrayBuffer()`. */
  file(job: JobId, name: string, options?: CallOptions): Promise<Response> {
    return this.#native.raw("getJobFile", { path: { ...path(job), name } }, options);
  }

  cancelAll(filter: Filter, options: ActionOptions & { readonly reason?: string } = {}) {
    return this.#act("cancel", filter, options);
  }

  retryAll(filter: Filter, options?: ActionOptions): Promise<Progress> {
    return this.#act("retry", filter, options);
  }

  removeAll(filter: Filter, options?: ActionOptions): Promise<Progress> {
    return this.#act("remove", filter, options);
  }

  promoteAll(filter: Filter, options?: ActionOptions): Promise<Progress> {
    return this.#act("promote", filter, options);
  }

  /** Where a queue stands, as WellFlow's client names it; `client.getQueue(name)` does more. */
  getQueue(queue: QueueName<Types>, options?: CallOptions): Promise<Schemas["Queue"]> {
    return this.#native.call("getQueue", { path: { queue } }, options);
  }

  async #act(
    action: Schemas["JobAction"]["action"],
    filter: Filter,
    given: ActionOptions & { readonly reason?: string } = {},
  ): Promise<Progress> {
    const { signal, onProgress, reason } = given;
    const body = { action, filter, ...(reason === undefined ? {} : { reason }) };
    const params = { body: body };
    const response = await this.#native.raw("actOnJobs", params, options(signal));
    return lastProgress(response, onProgress);
  }
}

const JOB_OPTIONS: Readonly<Record<keyof JobOptions, true>> = {
  priority: true,
  lifo: true,
  delayMs: true,
  ttlMs: true,
  timeoutMs: true,
  maxAttempts: true,
  backoffMs: true,
  uniqueKey: true,
  tags: true,
  project: true,
  batch: true,
  dependsOn: true,
};

function bodyOf(queue: string, { name, data, opts }: NewJob<unknown>): Schemas["NewJob"] {
  // Other dialects have other names: what would do nothing must not go unnoticed.
  for (const option in opts) {
    if (Object.hasOwn(JOB_OPTIONS, option)) continue;
    const known = Object.keys(JOB_OPTIONS).join(", ");
    throw new TypeError(`There is no option ${option} of a job; there are ${known}`);
  }
  return {
    ...opts,
    queue,
    ...(name === undefined ? {} : { name }),
    ...(data === undefined ? {} : { data }),
  };
}

function path(job: JobId): { readonly id: string } {
  return { id: String(typeof job === "object" ? job.id : job) };
}

function jobOf<Types, Queue>(job: Schemas["Job"]): Job<Types, Queue> {
  return job as unknown as Job<Types, Queue>;
}

function options(signal: AbortSignal | undefined, timeoutMs?: number): CallOptions {
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}
