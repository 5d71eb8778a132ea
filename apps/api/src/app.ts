import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { QueueError } from "@jobyard/core";
import { Hono } from "hono";
import { TrieRouter } from "hono/router/trie-router";
import { type Authenticate, tokenMissing } from "./auth/authenticate.ts";
import type { Caller } from "./auth/caller.ts";
import { refuseForeign } from "./auth/open-mode.ts";
import { consoleRoutes } from "./console.ts";
import type { Admission, ApiContext, ApiEnv, Dialect, DialectDeps } from "./dialect.ts";
import { dialects } from "./dialects/index.ts";
import { flashq } from "./dialects/flashq/routes.ts";
import type { Handle, Route } from "./operations.ts";
import { documentRoutes } from "./openapi/routes.ts";
import { RecentFigures } from "./recent-figures.ts";
import { RequestError } from "./request-error.ts";
import { KeptRouter } from "./router.ts";

export interface AppOptions extends Omit<DialectDeps, "recent"> {
  readonly authenticate: Authenticate;
  /** Aborted when the server begins to go down. */
  readonly stopping: AbortSignal;
}

/** Everything that HTTP answers, whatever the dialect. */
export function createApp(options: AppOptions): Hono<ApiEnv> {
  const { config, queue, authenticate, nodeId, log, stopping } = options;
  const deps = { ...options, recent: new RecentFigures(queue, options.ending) };
  const { open } = config.auth;
  const app = new Hono<ApiEnv>({ router: new KeptRouter() });
  const admissions = new Map<Dialect, Admission>();
  for (const dialect of dialects) {
    const admission = dialect.admission?.(deps);
    if (admission !== undefined) admissions.set(dialect, admission);
  }

  const callerOf = (c: ApiContext, own: Dialect): Caller | Promise<Caller> => {
    if (stopping.aborted) {
      throw new QueueError("UNAVAILABLE", "The server is stopping", { retryAfterMs: 1000 });
    }
    const identify = (): Caller | Promise<Caller> => {
      const token = c.env.incoming.headers.authorization ?? tokenInQuery(own, c);
      if (own.asksForToken === "always" && token === undefined) {
        throw tokenMissing(open ? ` (\`pnpm -s jobs token create\` prints one)` : "");
      }
      return authenticate(token, own.figures === c.req.path ? "figures" : undefined);
    };
    const admit = admissions.get(own);
    return admit === undefined ? identify() : admit(c, identify);
  };

  /** One handler a request, and no layers of them: each would cost about as much as a route's own work. */
  const serve = async (
    c: ApiContext,
    own: Dialect,
    handle: Handle,
    access: "with caller" | "open" = "with caller",
  ): Promise<Response> => {
    const { incoming, outgoing } = c.env;
    const requestId = requestIdOf(incoming);
    c.set("requestId", requestId);
    outgoing.requestId = requestId;
    const told = log.isLevelEnabled("debug");
    const request = told ? { requestId, method: c.req.method, path: c.req.path } : undefined;
    const began = told ? performance.now() : 0;
    if (told) log.trace(request, "request begins");
    let response: Response;
    try {
      if (c.env.malformed !== undefined) throw malformed(c.env.malformed);
      // Of two hosts Node shows the first alone, here they are one that is none.
      if (open) refuseForeign(incoming.headers, c.req.header("host"));
      if (access === "with caller") {
        const caller = callerOf(c, own);
        // Who is known at once is not waited for.
        c.set("caller", caller instanceof Promise ? await caller : caller);
      }
      response = await handle(c);
    } catch (error) {
      response = own.refuse(known(error, c, options), c);
    }
    if (stopping.aborted) outgoing.setHeader("Connection", "close");
    if (told) {
      const ms = Math.round((performance.now() - began) * 10) / 10;
      log.debug({ ...request, status: response.status, ms }, "request");
    }
    return response;
  };

  const health = async (c: ApiContext): Promise<Response> => {
    const { reachable, warnings } = await queue.health();
    const status = stopping.aborted ? "stopping" : reachable ? "healthy" : "unhealthy";
    const one = queue.adapter.capabilities.processes === "one";
    const data = {
      status,
      node_id: nodeId,
      is_leader: queue.isLeader,
      cluster_enabled: !one,
      postgres_connected: reachable,
      warnings: warnings.map(({ message }) => message),
    };
    return c.json({ ok: true, data, error: null }, status === "healthy" ? 200 : 503);
  };
  app.get("/health", (c) => serve(c, flashq, health, "open"));

  // Whatever becomes of the store and while it stops: a process that answers need not be started anew.
  const alive = (c: ApiContext): Response =>
    c.json({ ok: true, data: { status: "alive" }, error: null });
  app.get("/health/live", (c) => serve(c, flashq, alive, "open"));

  const methods = new Map<string, string[]>();
  const add = (own: Dialect, { method, path, handle }: Route, access?: "open"): void => {
    app.on(method, path, (c) => serve(c, own, handle, access));
    methods.set(path, [...(methods.get(path) ?? []), method]);
  };
  for (const route of consoleRoutes(log)) add(flashq, route, "open");
  for (const route of documentRoutes(dialects)) add(flashq, route);
  for (const dialect of dialects) {
    for (const route of dialect.routes(deps)) add(dialect, route);
  }

  const paths = new TrieRouter<readonly string[]>();
  for (const [path, allowed] of methods) paths.add("ALL", path, allowed);
  /** A known path called by another method says which ones there are. */
  const refuseRoute = ({ req }: ApiContext): never => {
    const allowed = paths.match("ALL", req.path)[0][0]?.[0];
    if (allowed === undefined) throw new RequestError("ROUTE_NOT_FOUND", "There is nothing here");
    const allow = allowed.flatMap((one) => (one === "GET" ? [one, "HEAD"] : one)).join(", ");
    throw new RequestError("METHOD_NOT_ALLOWED", `Only ${allow} here`, { Allow: allow });
  };
  app.notFound((c) => serve(c, dialectOf(c.req.path), refuseRoute));
  return app;
}

/**
 * Answers a request whose host or address is so malformed that no route can be looked up for it: as the dialect would to
 * which it comes next.
 */
export function refuseMalformed(
  app: Hono<ApiEnv>,
  message: string,
  { incoming, outgoing }: ApiEnv["Bindings"],
): Response | Promise<Response> {
  const [path = ""] = (incoming.url ?? "").replace(/^https?:\/\/[^/]*/i, "").split(/[?#]/, 1);
  const tidy = path.replaceAll("\\", "/").replaceAll(/[^\w./-]/g, "_");
  const request = new Request(`http://localhost/${tidy.replace(/^\/+/, "")}`);
  return app.fetch(request, { incoming, outgoing, malformed: message });
}

function malformed(message: string): QueueError {
  return new QueueError("VALIDATION", message, { errors: [{ field: "request", message }] });
}

const REQUEST_ID = /^[\w=-]{1,255}$/;

/** The client's own, where it is one. */
function requestIdOf({ headers }: IncomingMessage): string {
  const own = headers["x-request-id"];
  return typeof own === "string" && REQUEST_ID.test(own) ? own : randomUUID();
}

/** For readers of a stream, which cannot always send headers. */
function tokenInQuery(dialect: Dialect, { req }: ApiContext): string | undefined {
  if (dialect.streams?.test(req.path) !== true) return undefined;
  const token = req.query("token");
  return token === undefined ? undefined : `Bearer ${token}`;
}

function dialectOf(path: string): Dialect {
  return dialects.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`)) ?? flashq;
}

/** What a caller is told; of what was not foreseen, only where the log has more. */
function known(
  error: unknown,
  c: ApiContext,
  { log, stopping }: AppOptions,
): QueueError | RequestError {
  const requestId = c.get("requestId");
  const expected = error instanceof QueueError || error instanceof RequestError;
  if (expected && !(error instanceof QueueError && error.code === "INTERNAL")) {
    if (error instanceof QueueError && error.code === "UNAVAILABLE" && !stopping.aborted) {
      log.warn({ requestId, err: error }, "The store could not serve a request");
    }
    return error;
  }
  const { method, path } = c.req;
  log.error({ requestId, method, path, err: error }, "A request failed unexpectedly");
  return new QueueError("INTERNAL", "Something went wrong");
}
