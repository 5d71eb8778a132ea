import type { HttpBindings } from "@hono/node-server";
import type { JobQueue, QueueError } from "@jobyard/core";
import type { Context, Hono } from "hono";
import type { Caller } from "./auth/caller.ts";
import type { RequestError } from "./request-error.ts";

export interface ApiEnv {
  Bindings: HttpBindings;
  Variables: {
    /** Goes back in `X-Request-Id` and names the request in the log. */
    requestId: string;
    caller: Caller;
    /** The id in the path, as the caller spelt it. */
    jobId: string | undefined;
  };
}

export type ApiContext = Context<ApiEnv>;

/** What a dialect's routes work with. */
export interface DialectDeps {
  readonly queue: JobQueue;
  /** Aborted when the server goes down and whoever still waits has to be answered. */
  readonly ending: AbortSignal;
}

/** One of the HTTP interfaces: a translator, mounted under its prefix. */
export interface Dialect {
  readonly prefix: string;
  /** With full paths. Its errors and unknown routes are answered by `refuse`. */
  readonly app: Hono<ApiEnv>;
  readonly refuse: (error: QueueError | RequestError, c: ApiContext) => Response;
}
