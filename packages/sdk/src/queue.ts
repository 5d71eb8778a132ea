import type { CallOptions } from "./http.ts";
import type {
  ActionOptions,
  AddedJob,
  DataOf,
  Job,
  Jobs,
  ListOptions,
  NewJob,
  QueueName,
} from "./jobs.ts";
import type { Body, Data, Native, NativeCallOptions, Query, Schemas } from "./native.ts";
import { lastProgress, type Progress } from "./streams.ts";

/** One queue, with the types of its jobs. Making one asks nothing of the server. */
export class Queue<Types extends object, Name extends QueueName<Types>> {
  readonly name: Name;
  readonly #native: Native;
  readonly #jobs: Jobs<Types>;

  constructor(native: Native, jobs: Jobs<Types>, name: Name) {
    this.#native = native;
    this.#jobs = jobs;
    this.name = name;
  }

  add(job: NewJob<DataOf<Types, Name>>, options?: NativeCallOptions): Promise<AddedJob<Name>> {
    return this.#jobs.add(this.name, job, options);
  }

  addMany(
    jobs: readonly NewJob<DataOf<Types, Name>>[],
    options?: NativeCallOptions & { readonly atomic?: boolean },
  ): Promise<Data<"addJobs">> {
    return this.#jobs.addMany(this.name, jobs, options);
  }

  list(
    query: Omit<ListOptions, "queue"> = {},
    options?: CallOptions,
  ): AsyncGenerator<Job<Types, Name>, void, undefined> {
    return this.#jobs.list<Name>({ ...query, queue: [this.name] }, options);
  }

  /** Paused or not, its limits, and how many jobs are in which state. */
  status(options?: CallOptions): Promise<Schemas["Queue"]> {
    return this.#native.call("getQueue", this.#path, options);
  }

  /** No more jobs are started; what runs goes on. */
  pause(options?: CallOptions): Promise<Schemas["Queue"]> {
    return this.#native.call("pauseQueue", this.#path, options);
  }

  resume(options?: CallOptions): Promise<Schemas["Queue"]> {
    return this.#native.call("resumeQueue", this.#path, options);
  }

  /** Starts a second, jobs at once, searchable paths; null: no limit. */
  configure(settings: Body<"configureQueue">, options?: CallOptions): Promise<Schemas["Queue"]> {
    return this.#native.call("configureQueue", { ...this.#path, body: settings }, options);
  }

  /** Removes the jobs that wait, or those in the `states` named. */
  async drain({
    onProgress,
    signal,
    ...body
  }: Partial<Body<"drainQueue">> & ActionOptions = {}): Promise<Progress> {
    const response = await this.#native.raw(
      "drainQueue",
      { ...this.#path, body: body },
      signal === undefined ? {} : { signal },
    );
    return lastProgress(response, onProgress);
  }

  stats(query: Omit<Query<"getStats">, "queue"> = {}, options?: CallOptions) {
    const params = { query: { ...query, queue: [this.name] } };
    return this.#native.call("getStats", params, options);
  }

  get #path() {
    return { path: { queue: this.name } };
  }
}
