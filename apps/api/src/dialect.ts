import type { IncomingMessage } from "node:http";
import type { Config, JobQueue, QueueError } from "@jobyard/core";
import type { Storage } from "@jobyard/handlers";
import type { Context } from "hono";
import type { Answer } from "./answer.ts";
import type { Caller } from "./auth/caller.ts";
import type { Operation, Route } from "./operations.ts";
import type { RecentFigures } from "./recent-figures.ts";
import type { EventHub } from "./transports/event-hub.ts";
import type { Logger, Metrics, ProcessControl } from "@jobyard/core/process";
import type { RequestError } from "./request-error.ts";

export interface ApiEnv {
  Bindings: {
    readonly incoming: IncomingMessage;
    readonly outgoing: Answer;
    /** What is wrong with its host or its address. */
    readonly malformed?: string;
  };
  Variables: {
    /** Goes back in `X-Request-Id` and names the request in the log. */
    requestId: string;
    caller: Caller;
    /** The `operationId` of the call; undefined where nothing is. */
    operation: string | undefined;
    /** The id in the path, as the caller spelt it. */
    jobId: string | undefined;
    /** Where it was read to see who sends it. */
    body: Buffer | undefined;
  };
}

export type ApiContext = Context<ApiEnv>;

/** What a dialect's routes work with. */
export interface DialectDeps {
  readonly config: Config;
  readonly queue: JobQueue;
  readonly events: EventHub;
  readonly recent: RecentFigures;
  /** Tenants' files and the files that jobs made. */
  readonly storage: Storage;
  readonly log: Logger;
  /** Of this process in the cluster. */
  readonly nodeId: string;
  readonly control: ProcessControl;
  /** Of this process; they concern every tenant. */
  readonly metrics: Metrics;
  /** Aborted when the server goes down and whoever still waits has to be answered. */
  readonly ending: AbortSignal;
}

/** Lets a request in on behalf of whom `identify` tells, or refuses it by throwing. */
export type Admission = (
  c: ApiContext,
  identify: () => Caller | Promise<Caller>,
) => Promise<Caller>;

/** One of the HTTP interfaces: a translator, mounted under its prefix. */
export interface Dialect {
  /** Of its document, `openapi/{name}.json`. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  readonly summary: string;
  readonly prefix: string;
  /** All that can be called, under the names that `routes` has handlers for. */
  readonly operations: Readonly<Record<string, Operation>>;
  /** Whether even an open server wants a token here. */
  readonly asksForToken: "always" | "unless open";
  /** Paths that take `?token=` as well. */
  readonly streams?: RegExp;
  /** The path of the figures for Prometheus, where METRICS_TOKEN is a token, too. */
  readonly figures?: string;
  /** Who is let in, where more is asked than who calls. */
  readonly admission?: (deps: DialectDeps) => Admission;
  /** With full paths. Errors and unknown routes are answered by `refuse`. */
  readonly routes: (deps: DialectDeps) => readonly Route[];
  readonly refuse: (error: QueueError | RequestError, c: ApiContext) => Response;
}
