import type { TypedQueues } from "./generated/job-types.ts";
import type { operations } from "./generated/native.ts";
import type { CallOptions, Content } from "./http.ts";
import { Jobs, type QueueName } from "./jobs.ts";
import {
  type Body,
  type Data,
  Native,
  type NativeCallOptions,
  type NativeOptions,
  type OperationId,
  type Query,
} from "./native.ts";
import type { ParamsOf } from "./operations.ts";
import { Queue } from "./queue.ts";
import { type Activity, type ActivityOptions, watchActivity } from "./streams.ts";

/** `Queues`: the types of your own queues; extend `TypedQueues` to keep those that Jobyard knows. */
export class Jobyard<Queues extends object = TypedQueues> {
  readonly jobs: Jobs<Queues>;
  readonly #native: Native;

  constructor(options: NativeOptions) {
    this.#native = new Native(options);
    this.jobs = new Jobs(this.#native);
  }

  /** Any operation of the interface by its `operationId`; answers with what its envelope holds. */
  call<Id extends OperationId>(
    id: Id,
    params: ParamsOf<operations[Id]>,
    options?: NativeCallOptions,
  ): Promise<Data<Id>> {
    return this.#native.call(id, params, options);
  }

  getQueue<Name extends QueueName<Queues>>(name: Name): Queue<Queues, Name> {
    return new Queue(this.#native, this.jobs, name);
  }

  readonly queues = {
    list: (options?: CallOptions) => this.#items("listQueues", {}, options),
  };

  readonly schedules = {
    list: (options?: CallOptions) => this.#items("listSchedules", {}, options),
    add: (schedule: Body<"addSchedule">, options?: CallOptions) =>
      this.call("addSchedule", { body: schedule }, options),
    get: (name: string, options?: CallOptions) =>
      this.call("getSchedule", { path: { name } }, options),
    update: (name: string, patch: Body<"updateSchedule">, options?: CallOptions) =>
      this.call("updateSchedule", { path: { name }, body: patch }, options),
    remove: (name: string, options?: CallOptions) =>
      this.call("removeSchedule", { path: { name } }, options),
    /** Adds its job now. */
    run: (name: string, options?: CallOptions) =>
      this.call("runSchedule", { path: { name } }, options),
    /** The next runs of a cron expression. */
    preview: (question: Body<"previewSchedule">, options?: CallOptions) =>
      this.call("previewSchedule", { body: question }, options),
  };

  readonly webhooks = {
    list: (options?: CallOptions) => this.#items("listWebhooks", {}, options),
    add: (webhook: Body<"addWebhook">, options?: CallOptions) =>
      this.call("addWebhook", { body: webhook }, options),
    get: (id: string, options?: CallOptions) => this.call("getWebhook", { path: { id } }, options),
    update: (id: string, patch: Body<"updateWebhook">, options?: CallOptions) =>
      this.call("updateWebhook", { path: { id }, body: patch }, options),
    remove: (id: string, options?: CallOptions) =>
      this.call("removeWebhook", { path: { id } }, options),
    deliveries: (id: string, query: Query<"listDeliveries"> = {}, options?: CallOptions) =>
      this.call("listDeliveries", { path: { id }, query }, options),
    replay: (id: string, delivery: string, options?: CallOptions) =>
      this.call("replayDelivery", { path: { id, delivery } }, options),
  };

  readonly files = {
    list: (query: Query<"listFiles"> = {}, options?: CallOptions) =>
      this.call("listFiles", { query }, options),
    /** An answer of `fetch`: read its `body`, `text()` or `arrayBuffer()`. */
    get: (path: string, options?: CallOptions): Promise<Response> =>
      this.#native.raw("getFile", { path: { path } }, options),
    /** A stream is sent as it comes, so its sending is not repeated; size your `timeoutMs` for it. */
    put: async (
      path: string,
      content: Content,
      options: CallOptions = {},
    ): Promise<Data<"putFile">> => {
      const response = await this.#native.raw(
        "putFile",
        { path: { path } },
        {
          ...options,
          content,
          headers: { "Content-Type": "application/octet-stream" },
          repeatable: !(content instanceof ReadableStream),
        },
      );
      return ((await response.json()) as { readonly data: Data<"putFile"> }).data;
    },
    remove: (path: string, options?: CallOptions) =>
      this.call("removeFile", { path: { path } }, options),
  };

  /** What happened in a period, in all and by queue, project or priority. */
  stats(query: Query<"getStats"> = {}, options?: CallOptions) {
    return this.call("getStats", { query }, options);
  }

  /** The same over time, one point a minute or an hour. */
  metrics(query: Query<"getMetrics"> = {}, options?: CallOptions) {
    return this.call("getMetrics", { query }, options);
  }

  /** Failed jobs by what their messages have in common. */
  errors(query: Query<"listErrors"> = {}, options?: CallOptions) {
    return this.#items("listErrors", { query }, options);
  }

  /** How much happens in which queues, at most once every `everyMs` (default: 1 s). */
  activity(options: ActivityOptions = {}): AsyncGenerator<Activity, void, undefined> {
    return watchActivity(this.#native, options);
  }

  workers(options?: CallOptions) {
    return this.#items("listWorkers", {}, options);
  }

  nodes(options?: CallOptions) {
    return this.#items("listNodes", {}, options);
  }

  jobTypes(options?: CallOptions) {
    return this.#items("listJobTypes", {}, options);
  }

  settings(options?: CallOptions) {
    return this.call("getSettings", {}, options);
  }

  health(options?: CallOptions) {
    return this.call("getHealth", {}, options);
  }

  /** Who the token says is calling, what it may do, and which server answers. */
  whoami(options?: CallOptions) {
    return this.call("whoami", {}, options);
  }

  /** The embedded engine's database, while it serves: an answer of `fetch` with the file. */
  backup(options?: CallOptions): Promise<Response> {
    return this.#native.raw("getBackup", {}, options);
  }

  async #items<Id extends OperationId>(
    id: Id,
    params: ParamsOf<operations[Id]>,
    options?: CallOptions,
  ): Promise<Data<Id> extends { items: infer Items } ? Items : never> {
    const { items } = (await this.call(id, params, options)) as { items: never };
    return items;
  }
}
