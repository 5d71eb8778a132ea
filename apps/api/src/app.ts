import { randomUUID } from "node:crypto";
import { QueueError } from "@jobyard/core";
import { Hono } from "hono";
import { type Authenticate, tokenMissing } from "./auth/authenticate.ts";
import type { Caller } from "./auth/caller.ts";
import { refuseForeign } from "./auth/open-mode.ts";
import type { Admission, ApiContext, ApiEnv, Dialect, DialectDeps } from "./dialect.ts";
import { dialects } from "./dialects/index.ts";
import { flashq } from "./dialects/flashq/routes.ts";
import { documentRoutes } from "./openapi/routes.ts";
import { RequestError } from "./request-error.ts";

export interface AppOptions extends DialectDeps {
  readonly authenticate: Authenticate;
  /** Aborted when the server begins to go down. */
  readonly stopping: AbortSignal;
}

/** Everything that HTTP answers, whatever the dialect. */
export function createApp(options: AppOptions): Hono<ApiEnv> {
  const { config, queue, authenticate, nodeId, log, stopping } = options;
  const { open } = config.auth;
  const app = new Hono<ApiEnv>();
  const admissions = new Map<Dialect, Admission>();
  for (const dialect of dialects) {
    const admission = dialect.admission?.(options);
    if (admission !== undefined) admissions.set(dialect, admission);
  }

  const answer = (error: QueueError | RequestError, c: ApiContext): Response => {
    return (dialectOf(c) ?? flashq).refuse(error, c);
  };

  app.onError((error, c) => answer(known(error, c, options), c));
  app.notFound((c) => answer(new RequestError("ROUTE_NOT_FOUND", "There is nothing here"), c));

  app.use(async (c, next) => {
    const { outgoing } = c.env;
    const requestId = requestIdOf(c);
    c.set("requestId", requestId);
    outgoing.setHeader("X-Request-Id", requestId);
    const told = log.isLevelEnabled("debug");
    const request = told ? { requestId, method: c.req.method, path: c.req.path } : undefined;
    const began = told ? performance.now() : 0;
    if (told) log.trace(request, "request begins");
    if (open) {
      refuseForeign({
        host: c.req.header("host"),
        origin: c.req.header("origin"),
        fetchSite: c.req.header("sec-fetch-site"),
      });
    }
    await next();
    if (stopping.aborted) outgoing.setHeader("Connection", "close");
    if (!told) return;
    const ms = Math.round((performance.now() - began) * 10) / 10;
    log.debug({ ...request, status: c.res.status, ms }, "request");
  });

  app.get("/health", async (c) => {
    const { reachable, warnings } = await queue.health();
    const status = stopping.aborted ? "stopping" : reachable ? "healthy" : "unhealthy";
    const one = queue.adapter.capabilities.processes === "one";
    const data = {
      status,
      node_id: nodeId,
      is_leader: queue.isLeader,
      cluster_enabled: !one,
      postgres_connected: reachable,
      warnings,
    };
    return c.json({ ok: true, data }, status === "healthy" ? 200 : 503);
  });

  // Whatever becomes of the store and while it stops: a process that answers need not be started anew.
  app.get("/health/live", (c) => c.json({ ok: true, data: { status: "alive" } }));

  app.use(async (c, next) => {
    if (stopping.aborted) {
      throw new QueueError("UNAVAILABLE", "The server is stopping", { retryAfterMs: 1000 });
    }
    const own = dialectOf(c);
    const identify = async (): Promise<Caller> => {
      const token = c.req.header("authorization") ?? tokenInQuery(own, c);
      if (own?.asksForToken === "always" && token === undefined) {
        throw tokenMissing(open ? ` (\`pnpm -s dev-token\` prints one)` : "");
      }
      return authenticate(token);
    };
    const admit = own === undefined ? undefined : admissions.get(own);
    c.set("caller", await (admit === undefined ? identify() : admit(c, identify)));
    await next();
  });

  app.route("/", documentRoutes(dialects));
  for (const { routes } of dialects) app.route("/", routes(options));
  return app;
}

const REQUEST_ID = /^[\w=-]{1,255}$/;

/** The client's own, where it is one. */
function requestIdOf({ req }: ApiContext): string {
  const own = req.header("x-request-id");
  return own !== undefined && REQUEST_ID.test(own) ? own : randomUUID();
}

/** For readers of a stream, which cannot always send headers. */
function tokenInQuery(dialect: Dialect | undefined, { req }: ApiContext): string | undefined {
  if (dialect?.streams?.includes(req.path) !== true) return undefined;
  const token = req.query("token");
  return token === undefined ? undefined : `Bearer ${token}`;
}

function dialectOf({ req: { path } }: ApiContext): Dialect | undefined {
  return dialects.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`));
}

/** What a caller is told; of what was not foreseen, only where the log has more. */
function known(
  error: Error,
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
