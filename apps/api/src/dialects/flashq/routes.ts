import { type Job, jobTypeOf, type NodeRecord, type Payload, QueueError } from "@jobyard/core";
import type { z } from "zod";
import about from "../../../package.json" with { type: "json" };
import { mayAccess } from "../../auth/caller.ts";
import { retryAfter } from "../../envelope.ts";
import type { ApiContext, Dialect, DialectDeps } from "../../dialect.ts";
import { readJson } from "../../json-body.ts";
import { maskedAddress } from "../../masked-config.ts";
import { type Handle, idempotencyKey, mount, parseInput } from "../../operations.ts";
import { type RequestError } from "../../request-error.ts";
import { answerSpliced } from "../../spliced-json.ts";
import { eventStream } from "../../transports/sse.ts";
import { type Command, commands, execute, giveBack, pull, type Session } from "./commands.ts";
import { refusalOf, statuses } from "./errors.ts";
import { admission, eventKey, MAX_EVENT_BYTES } from "./incoming.ts";
import { streamBytes } from "./event-text.ts";
import {
  aroundData,
  failureOf,
  flashqState,
  historyPoint,
  jobText,
  jobTexts,
  type LoadedJob,
  wholePercent,
} from "./mapping.ts";
import { dlqQuery, listQuery, operations, pullQuery } from "./operations.ts";
import { prometheusPage } from "./prometheus.ts";

export const flashq: Dialect = {
  name: "flashq",
  title: "flashQ",
  summary: "Push, pull and acknowledge, from any language",
  // Whatever no other dialect has.
  prefix: "",
  operations,
  asksForToken: "unless open",
  streams: /^\/events(?:\/[^/]+)?$/,
  figures: operations.prometheus.path,
  admission,
  routes: (deps) => mount(operations, handlersOf(deps), deps.log),
  refuse,
};

/** What surrounds a job's data. */
const MAX_FIELDS_BYTES = 1_000_000;
const MAX_SMALL_BODY_BYTES = 100_000;
/** Of a long body; only lists of texts are that long. */
const MAX_VALUES = 50_000;
const JOB = { maxValues: MAX_VALUES, judged: ["data"] };
const RESULT = { maxValues: MAX_VALUES, judged: ["result"] };

function handlersOf(deps: DialectDeps): Record<keyof typeof operations, Handle> {
  const { config, queue, events, recent, ending } = deps;
  const sessionOf = (c: ApiContext): Session => ({ queue, caller: c.get("caller") });

  /** A command of which the path names the object, and which takes no body. */
  const onPath =
    <Input extends z.ZodType, Output>(
      command: Command<Input, Output>,
      show: (output: Output) => string,
    ): Handle =>
    async (c) =>
      answer(c, show(await execute(sessionOf(c), command, c.req.param())));

  /** As above, with a body of further fields. What the path names cannot be overruled by it. */
  const withBody =
    <Input extends z.ZodType>(command: Command<Input>, named: (c: ApiContext) => object): Handle =>
    async (c) => {
      const fields = objectIn(await readJson(c, MAX_SMALL_BODY_BYTES));
      await execute(sessionOf(c), command, { ...fields, ...named(c) });
      return answer(c, "null");
    };

  /** `data` in parts, as `answer` has it in one. */
  const answerWith = (c: ApiContext, ...data: readonly Payload[]): Promise<Response> =>
    answerSpliced(c, queue, ['{"ok":true,"data":', ...data, ',"error":null}']);

  const path = (c: ApiContext): object => c.req.param();

  const stream: Handle = async (c) => {
    const headers = { "Content-Type": "text/event-stream", "X-Accel-Buffering": "no" };
    if (c.req.method === "HEAD") return c.body(null, 200, headers);
    const { tenant, expiresAt } = c.get("caller");
    const only = c.req.param("queue");
    const after = c.req.header("last-event-id");
    const scope = {
      tenant,
      ...(only === undefined ? {} : { queue: only }),
      ...(after === undefined ? {} : { after }),
    };
    const body = eventStream({
      reading: await events.read(scope),
      encode: (batch) => batch.bytes(streamBytes),
      expiresAt,
      signal: AbortSignal.any([c.req.raw.signal, ending]),
      cut: () => c.env.outgoing.destroy(),
    });
    return c.body(body, 200, headers);
  };

  return {
    listQueues: onPath(commands.listQueues, JSON.stringify),
    async push(c) {
      const name = c.req.param("queue") ?? "";
      const maxBytes = (jobTypeOf(name)?.maxDataBytes ?? 0) + MAX_FIELDS_BYTES * 2;
      const fields = objectIn(await readJson(c, maxBytes, JOB));
      const session = { ...sessionOf(c), ...idempotencyKey(c) };
      const id = await execute(session, commands.push, { ...fields, queue: name });
      // It is durable by now. Whoever has claimed, ended or removed it since has not changed what was added.
      const job = await execute(session, commands.getJob, { id });
      if (job === null) return answer(c, `{"id":${id}}`);
      const [before, after] = aroundData(job);
      return answerWith(c, before, job.data, `${after}}`);
    },
    async pull(c) {
      const { count, wait, worker } = parseInput(pullQuery, c.req.query(), "query");
      // A HEAD is answered like a GET without a body: nobody would get the jobs.
      if (c.req.method === "HEAD") return answer(c, "[]");
      const gone = c.req.raw.signal;
      const session = sessionOf(c);
      const claimed = await pull(session, {
        queue: c.req.param("queue") ?? "",
        ...(worker === undefined ? {} : { worker }),
        count,
        waitMs: wait,
        maxBytes: config.limits.maxBatchBytes,
        signal: AbortSignal.any([gone, ending]),
      });
      if (gone.aborted) {
        await giveBack(
          session,
          claimed.map(({ job }) => job as typeof job & { lease: string }),
        );
        return answer(c, "[]");
      }
      const textOf = jobTexts();
      return answer(c, listText(claimed.map((job) => textOf(job))));
    },
    pause: onPath(commands.pause, nothing),
    resume: onPath(commands.resume, nothing),
    async dlq(c) {
      const query = parseInput(dlqQuery, c.req.query(), "query");
      const failed = await execute(sessionOf(c), commands.dlq, { ...c.req.param(), ...query });
      return answer(c, listText(failed.map((job) => listedText(job))));
    },
    retryDlq: onPath(commands.retryDlq, String),
    rateLimit: withBody(commands.rateLimit, path),
    clearRateLimit: onPath(commands.clearRateLimit, nothing),
    setConcurrency: withBody(commands.setConcurrency, path),
    clearConcurrency: onPath(commands.clearConcurrency, nothing),
    async listJobs(c) {
      const query = parseInput(listQuery, c.req.query(), "query");
      const { jobs } = await execute(sessionOf(c), commands.listJobs, query);
      return answer(c, listText(jobs.map((job) => listedText(job))));
    },
    async getJob(c) {
      const id = c.req.param("id") ?? "";
      const job = await execute(sessionOf(c), commands.getJob, { id });
      if (job === null) throw unknownJob(id);
      const [before, after] = aroundData(job);
      const middle = `${after}${stateMembers(job)},"result":`;
      return answerWith(c, before, job.data, middle, job.result ?? "null", "}");
    },
    async ack(c) {
      const fields = objectIn(await readJson(c, config.limits.maxBatchBytes, RESULT));
      await execute(sessionOf(c), commands.ack, { ...fields, ...c.req.param() });
      return answer(c, "null");
    },
    fail: withBody(commands.fail, path),
    cancel: onPath(commands.cancel, nothing),
    progress: withBody(commands.progress, path),
    getProgress: onPath(commands.getProgress, (job) =>
      JSON.stringify([wholePercent(job), job.progressMessage]),
    ),
    async getResult(c) {
      const { result } = await execute(sessionOf(c), commands.getResult, c.req.param());
      return answerWith(c, result ?? "null");
    },
    listCrons: onPath(commands.listCrons, JSON.stringify),
    cron: withBody(commands.cron, path),
    deleteCron: onPath(commands.deleteCron, nothing),
    stats: onPath(commands.stats, JSON.stringify),
    metrics: onPath(commands.metrics, JSON.stringify),
    async metricsHistory(c) {
      const spans = await recent.of(c.get("caller").tenant);
      return answer(c, JSON.stringify(spans.map(historyPoint)));
    },
    async prometheus(c) {
      const session = sessionOf(c);
      const [stats, metrics] = await Promise.all([
        execute(session, commands.stats, {}),
        execute(session, commands.metrics, {}),
      ]);
      const { text, contentType } = await prometheusPage(stats, metrics);
      const process = mayAccess(c.get("caller"), "system") ? await deps.metrics.metrics() : "";
      return c.body(text + process, 200, { "Content-Type": contentType });
    },
    async settings(c) {
      const { reachable } = await queue.health();
      return answer(c, JSON.stringify(settingsView(deps, reachable)));
    },
    shutdown(c) {
      deps.control.stop();
      return answer(c, "null");
    },
    restart(c) {
      deps.control.restart();
      return answer(c, "null");
    },
    async clusterNodes(c) {
      const nodes = await queue.of(c.get("caller").tenant).nodes();
      return answer(c, JSON.stringify(nodes.map(nodeView)));
    },
    streamEvents: stream,
    streamQueueEvents: stream,
    listWebhooks: onPath(commands.listWebhooks, JSON.stringify),
    async createWebhook(c) {
      const fields = objectIn(await readJson(c, MAX_SMALL_BODY_BYTES));
      const made = await execute(sessionOf(c), commands.createWebhook, fields);
      return answer(c, JSON.stringify(made));
    },
    deleteWebhook: onPath(commands.deleteWebhook, nothing),
    async incomingWebhook(c) {
      const name = c.req.param("queue") ?? "";
      const data = await readJson(c, MAX_EVENT_BYTES);
      if (data === undefined) {
        const errors = [{ field: "body", message: "Must be JSON" }];
        throw new QueueError("VALIDATION", "The body is empty", { errors });
      }
      const session = { ...sessionOf(c), ...eventKey(c, name) };
      const id = await execute(session, commands.push, { queue: name, data });
      return answer(c, `{"id":${id}}`);
    },
    listWorkers: onPath(commands.listWorkers, JSON.stringify),
    heartbeat: withBody(commands.heartbeat, (c) => ({ worker: c.req.param("id") })),
  };
}

const nothing = (): string => "null";

const startedAt = Date.now();

function settingsView({ config, queue }: DialectDeps, reachable: boolean) {
  const { auth, engine } = config;
  return {
    version: about.version,
    tcp_port: config.tcp.port,
    http_port: config.http.ports.at(-1),
    grpc_port: config.grpc.port,
    engine: queue.adapter.capabilities.engine,
    database_connected: reachable,
    database_url:
      engine.redisUrl === null ? `file:${engine.dataDir}` : maskedAddress(engine.redisUrl),
    auth_enabled: !auth.open,
    auth_token_count: auth.apiTokens.length,
    uptime_seconds: Math.floor((Date.now() - startedAt) / 1000),
  };
}

function nodeView({ id, host, port, isLeader, lastHeartbeat, startedAt: began }: NodeRecord) {
  return {
    node_id: id,
    host,
    port,
    is_leader: isLeader,
    last_heartbeat: lastHeartbeat,
    started_at: began,
  };
}

/** `data` is JSON text, that of jobs as it is stored. */
function answer(c: ApiContext, data: string): Response {
  return c.body(`{"ok":true,"data":${data},"error":null}`, 200, {
    "Content-Type": "application/json",
  });
}

function listText(texts: readonly string[]): string {
  return `[${texts.join()}]`;
}

function listedText(loaded: LoadedJob): string {
  return jobText(loaded, stateMembers(loaded.job));
}

function stateMembers(job: Job): string {
  const failure = failureOf(job);
  const error = failure === undefined ? "" : `,"error":${JSON.stringify(failure)}`;
  return `,"state":"${flashqState(job.state)}"${error}`;
}

/** @throws QueueError VALIDATION; an absent body has no fields. */
function objectIn(body: unknown): object {
  if (body === undefined) return {};
  if (typeof body === "object" && body !== null && !Array.isArray(body)) return body;
  throw new QueueError("VALIDATION", "The body must be a JSON object");
}

function unknownJob(spelt: string): QueueError {
  const shown = spelt.slice(0, 64).toWellFormed();
  return new QueueError("JOB_NOT_FOUND", `Job ${shown} not found`);
}

/** An error in flashQ's envelope. */
function refuse(error: QueueError | RequestError, c: ApiContext): Response {
  const { fault, error: told, ...more } = refusalOf(error);
  const status = statuses[fault];
  const lookUp = `Something went wrong here; the log has more under the id ${c.get("requestId")}`;
  const body = { ok: false, data: null, error: fault === "INTERNAL" ? lookUp : told, ...more };
  const known = error instanceof QueueError;
  return c.json(body, status, known ? retryAfter(error, status) : { ...error.headers });
}
