import { base, type components, type operations, routes } from "./generated/native.ts";
import { type CallOptions, type ClientOptions, type Content, Http } from "./http.ts";
import type { AnswerOf, BodyOf, ParamsOf, QueryOf } from "./operations.ts";

export type OperationId = keyof operations;
export type Schemas = components["schemas"];
export type Query<Id extends OperationId> = Omit<QueryOf<operations[Id]>, "tenant">;
export type Body<Id extends OperationId> = Exclude<BodyOf<operations[Id]>, undefined>;

/** What the envelope of an answer holds. */
export type Data<Id extends OperationId> =
  AnswerOf<operations[Id]> extends { data: infer T } ? T : never;

export interface NativeOptions extends ClientOptions {
  /** For a token of all tenants: the one that is meant. */
  readonly tenant?: string;
}

export interface NativeCallOptions extends CallOptions {
  /** Of a call that adds, in place of a random one: with the same key, 24 h long, nothing is added twice. */
  readonly idempotencyKey?: string;
}

/** Those that change the same thing in the same way when they are made again, beside all that only read. */
const REPEATABLE: ReadonlySet<OperationId> = new Set([
  "waitForJob",
  "previewSchedule",
  "pauseQueue",
  "resumeQueue",
  "configureQueue",
  "updateSchedule",
  "updateWebhook",
  "putFile",
  "renewJobs",
  "heartbeatWorker",
]);

/** Every operation of Jobyard's own interface, by its `operationId`. */
export class Native {
  readonly #http: Http;
  readonly #tenant: { readonly tenant?: string };

  constructor({ tenant, ...options }: NativeOptions) {
    this.#http = new Http(options, base);
    this.#tenant = tenant === undefined ? {} : { tenant };
  }

  /** @throws JobyardError; what aborted the signal */
  async call<Id extends OperationId>(
    id: Id,
    params: ParamsOf<operations[Id]>,
    options: NativeCallOptions = {},
  ): Promise<Data<Id>> {
    const { idempotencyKey, ...rest } = options;
    const adds = id === "addJob" || id === "addJobs";
    const key = idempotencyKey ?? (adds ? randomKey() : undefined);
    const { data } = await this.#http.json<{ data: Data<Id> }>(routes[id], this.#with(params), {
      ...rest,
      ...(key === undefined ? {} : { headers: { "Idempotency-Key": key } }),
      ...(key !== undefined || REPEATABLE.has(id) ? { repeatable: true } : {}),
    });
    return data;
  }

  /** For operations whose answers are not in the envelope: the answer as it comes. */
  raw<Id extends OperationId>(
    id: Id,
    params: ParamsOf<operations[Id]>,
    options: CallOptions & {
      readonly headers?: Readonly<Record<string, string>>;
      readonly content?: Content;
      readonly repeatable?: boolean;
    } = {},
  ): Promise<Response> {
    return this.#http.raw(routes[id], this.#with(params), options);
  }

  #with(params: { readonly query?: unknown }): { readonly query: object } {
    return { ...params, query: { ...this.#tenant, ...(params.query as object | undefined) } };
  }
}

export function randomKey(): string {
  // Which pages without TLS do not have.
  const { randomUUID } = crypto as { readonly randomUUID?: unknown };
  if (randomUUID !== undefined) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
