import {
  type CallOptions,
  type ClientOptions,
  Http,
  type Params,
  type RequestOptions,
} from "./http.ts";
import type { AnswerOf, Operation, ParamsOf } from "./operations.ts";

export interface DialectCallOptions extends CallOptions {
  /** Makes a call that adds repeatable: with the same key, 24 h long, nothing is added twice. */
  readonly idempotencyKey?: string;
}

/** Every operation of a dialect by its `operationId`, with its own words. */
export class DialectClient<Operations extends { [Id in keyof Operations]: Operation }> {
  readonly #http: Http;
  readonly #routes: Readonly<Record<keyof Operations, string>>;

  constructor(
    base: string,
    routes: Readonly<Record<keyof Operations, string>>,
    options: ClientOptions,
  ) {
    this.#http = new Http(options, base);
    this.#routes = routes;
  }

  /** The answer's JSON, envelope and all. @throws JobyardError; what aborted the signal */
  call<Id extends keyof Operations>(
    id: Id,
    params: ParamsOf<Operations[Id]>,
    options?: DialectCallOptions,
  ): Promise<AnswerOf<Operations[Id]>> {
    return this.#http.json(this.#routes[id], params as Params, requestOptions(options));
  }

  /** The answer as it comes: files, event streams, text. */
  raw<Id extends keyof Operations>(
    id: Id,
    params: ParamsOf<Operations[Id]>,
    options?: DialectCallOptions,
  ): Promise<Response> {
    return this.#http.raw(this.#routes[id], params as Params, requestOptions(options));
  }
}

function requestOptions({ idempotencyKey, ...rest }: DialectCallOptions = {}): RequestOptions {
  if (idempotencyKey === undefined) return rest;
  return { ...rest, repeatable: true, headers: { "Idempotency-Key": idempotencyKey } };
}
