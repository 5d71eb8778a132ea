import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { type Config, isLoopbackHost, type JobQueue, processId } from "@jobyard/core";
import type { Logger, Metrics } from "@jobyard/core/process";

interface WatchPortOptions {
  readonly auth: Config["auth"];
  readonly queue: JobQueue;
  readonly metrics: Metrics;
  /** Aborted when the worker begins to stop. */
  readonly stopping: AbortSignal;
  readonly log: Logger;
}

/**
 * What whoever watches a worker asks of it: `/health` and `/health/live`, which anybody may, and `/metrics` for Prometheus.
 */
export function watchPort(options: WatchPortOptions): RequestListener {
  const { auth, queue, metrics, stopping, log } = options;
  const tokens =
    auth.metricsToken === null ? auth.apiTokens : [...auth.apiTokens, auth.metricsToken];

  const health = async (response: ServerResponse): Promise<void> => {
    const { reachable, warnings } = await queue.health();
    const status = stopping.aborted ? "stopping" : reachable ? "healthy" : "unhealthy";
    const data = {
      status,
      node_id: processId,
      is_leader: queue.isLeader,
      warnings: warnings.map(({ message }) => message),
    };
    answer(response, status === "healthy" ? 200 : 503, { ok: true, data });
  };

  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = "", url = "/", headers } = request;
    const [path] = url.split("?");
    response.setHeader("Cache-Control", "no-store");
    response.setHeader("X-Content-Type-Options", "nosniff");
    // A web page whose name was pointed at this machine asks for its own host.
    if (auth.open && !isLoopbackHost((headers.host ?? "").replace(/:\d*$/, ""))) {
      refuse(response, 403, "Without configured tokens this worker answers this machine only");
    } else if (path !== "/health" && path !== "/health/live" && path !== "/metrics") {
      refuse(response, 404, "There are /health, /health/live and /metrics here");
    } else if (method !== "GET" && method !== "HEAD") {
      response.setHeader("Allow", "GET, HEAD");
      refuse(response, 405, `${path} can only be read`);
    } else if (path === "/health/live") {
      answer(response, 200, { ok: true, data: { status: "alive" } });
    } else if (path === "/health") {
      await health(response);
    } else if (!auth.open && !isToken(headers.authorization, tokens)) {
      response.setHeader("WWW-Authenticate", "Bearer");
      refuse(response, 401, "Metrics need METRICS_TOKEN or one of API_TOKENS as a bearer token");
    } else {
      response.setHeader("Content-Type", metrics.contentType);
      response.end(await metrics.metrics());
    }
  };

  return (request, response) => {
    if (stopping.aborted) response.setHeader("Connection", "close");
    respond(request, response).catch((error: unknown) => {
      log.error({ err: error }, "Could not answer whoever watches this worker");
      if (!response.headersSent) refuse(response, 500, "Something went wrong here");
    });
  };
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
}

function refuse(response: ServerResponse, status: number, error: string): void {
  answer(response, status, { ok: false, error });
}

function isToken(authorization: string | undefined, tokens: readonly string[]): boolean {
  const [, given] = /^Bearer +(\S+) *$/i.exec(authorization ?? "") ?? [];
  if (given === undefined) return false;
  const sum = digest(given);
  // Each is compared, and in constant time.
  return tokens.filter((token) => timingSafeEqual(digest(token), sum)).length > 0;
}

function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
