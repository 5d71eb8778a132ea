import { z } from "@hono/zod-openapi";
import { MAX_BATCH } from "@jobyard/core";
import { idempotencyHeaders, operation, queryInteger, queryIntegerOr } from "../../operations.ts";
import {
  ackInput,
  cronInput,
  failInput,
  flashqStates,
  heartbeatInput,
  jobInput,
  limitInput,
  progressInput,
  webhookInput,
} from "./schemas.ts";
import { commands, PULL_ACCESS } from "./commands.ts";

const at = 1_772_439_300_000;
/** A pull may wait so long, ms. */
const MAX_PULL_WAIT_MS = 60_000;
const LONGEST_OFFSET = 2 ** 53 - 1;

// ---- answers

const id = z.number().int().min(1);
const moment = z.number().int().min(0).openapi({ description: "Epoch ms" });
const count = z.number().int().min(0);

const shownJob = z
  .object({
    id,
    queue: z.string(),
    data: z.unknown(),
    priority: z.number().int().openapi({ description: "Higher runs sooner" }),
    created_at: moment,
    run_at: moment,
    started_at: moment.openapi({ description: "Epoch ms; 0 before it has been started" }),
    attempts: count.openapi({ description: "Runs begun" }),
    max_attempts: count,
    backoff: count,
    ttl: count,
    timeout: count,
    unique_key: z.string().optional(),
    depends_on: z.array(id),
    progress: z.number().min(0).max(100),
    progress_msg: z.string().optional(),
    tags: z.array(z.string()),
    lifo: z.boolean(),
  })
  .openapi("Job");

const pulledJob = shownJob
  .extend({
    lease: z.string().openapi({ description: "Of this run: send it with ack, fail and progress" }),
  })
  .openapi("PulledJob");

const listedJob = shownJob
  .extend({ state: z.enum(flashqStates), error: z.string().optional() })
  .openapi("ListedJob");

const jobDetail = listedJob.extend({ result: z.unknown() }).openapi("JobDetail");

const queueView = z
  .object({
    name: z.string(),
    pending: count,
    processing: count,
    dlq: count,
    paused: z.boolean(),
    rate_limit: z.number().int().nullable(),
    concurrency_limit: z.number().int().nullable(),
  })
  .openapi("Queue");

const cronView = z
  .object({
    name: z.string(),
    queue: z.string(),
    schedule: z.string(),
    data: z.unknown(),
    priority: z.number().int(),
    next_run: moment.nullable(),
  })
  .openapi("Cron");

const webhookView = z
  .object({
    id,
    url: z.string(),
    events: z.array(z.string()),
    queue: z.string().nullable(),
    signed: z.boolean().openapi({ description: "Whether it has a secret" }),
    enabled: z.boolean(),
    created_at: moment,
  })
  .openapi("Webhook");

const statsView = z
  .object({ queued: count, processing: count, delayed: count, dlq: count })
  .openapi("Stats");

const metricsView = z
  .object({
    total_pushed: count,
    total_completed: count,
    total_failed: count,
    jobs_per_second: z.number(),
    avg_latency_ms: z.number(),
    queues: z.array(queueView.pick({ name: true, pending: true, processing: true, dlq: true })),
  })
  .openapi("Metrics");

const workerView = z
  .object({
    id: z.string(),
    queues: z.array(z.string()),
    concurrency: count,
    last_heartbeat: moment,
    jobs_processed: count,
  })
  .openapi("Worker");

const historyPoint = z
  .object({
    timestamp: moment,
    queued: count,
    processing: count
      .nullable()
      .openapi({ description: "null: before anybody asked for the history" }),
    completed: z.number().min(0),
    failed: z.number().min(0),
    throughput: z.number().min(0).openapi({ description: "Jobs completed a second" }),
    latency_ms: z.number().min(0).openapi({ description: "Average run of those completed" }),
  })
  .openapi("HistoryPoint");

const settingsView = z
  .object({
    version: z.string(),
    tcp_port: count,
    http_port: count,
    grpc_port: count,
    engine: z.enum(["sqlite", "bullmq"]),
    database_connected: z.boolean(),
    database_url: z.string(),
    auth_enabled: z.boolean(),
    auth_token_count: count,
    uptime_seconds: count,
  })
  .openapi("Settings");

const nodeView = z
  .object({
    node_id: z.string(),
    host: z.string(),
    port: count,
    is_leader: z.boolean(),
    last_heartbeat: moment,
    started_at: moment,
  })
  .openapi("Node");

const nothing = z.null();

const refusal = z
  .object({
    ok: z.literal(false),
    data: z.null(),
    error: z.string(),
    existing_id: id.optional().openapi({ description: "Of the job that holds the unique key" }),
  })
  .openapi("Refusal");

function json(description: string, schema: z.ZodType, example: unknown) {
  return { description, content: { "application/json": { schema, example } } };
}

function answer(description: string, data: z.ZodType, example: unknown) {
  const envelope = z.object({ ok: z.literal(true), data, error: z.null() });
  return json(description, envelope, { ok: true, data: example, error: null });
}

function problem(description: string, error: string) {
  return json(description, refusal, { ok: false, data: null, error });
}

/** What any call may be answered. */
const always = {
  400: problem("The request breaks a rule", "priority: Must be an integer"),
  401: problem("No token, or a bad one", "Authentication required"),
  403: problem("The token's role may not do this", "Only ADMIN, OPERATOR may do this"),
  500: problem("Our own fault", "Something went wrong here; the log has more under the id 7c1e"),
  503: problem(
    "The store cannot be reached; see Retry-After",
    "The service cannot serve this request now. Try again later",
  ),
};

const jobUnknown = { 404: problem("No such job", "Job 8123 not found") };
const wrongState = { 409: problem("Its state, or its lease, forbids it", "Job 8123 is active") };
const tooLarge = { 413: problem("More than is taken", "Payload too large") };

const done = { 200: answer("Done", nothing, null), ...always };

// ---- requests

const queueParams = z.object({ queue: z.string().openapi({ example: "thumbnails" }) });
const idParams = z.object({
  id: z.string().openapi({ description: "In any of its spellings", example: "8123" }),
});
const nameParams = z.object({ name: z.string().openapi({ example: "nightly-sweep" }) });

function body(schema: z.ZodType, example: unknown, required = true) {
  return { required, content: { "application/json": { schema, example } } };
}

export const pullQuery = z.object({
  count: queryIntegerOr(1, 1, MAX_BATCH),
  wait: queryIntegerOr(0, 0, MAX_PULL_WAIT_MS).openapi({
    description: "Milliseconds to wait for a job; a list may be empty all the same",
  }),
  worker: z.string().optional().openapi({
    description: "Who pulls: its heartbeats keep its jobs alive",
  }),
});

export const dlqQuery = z.object({ count: queryIntegerOr(100, 1, MAX_BATCH) });

export const listQuery = z.object({
  queue: z.string().optional(),
  state: z.enum(flashqStates).optional(),
  limit: queryInteger(1, MAX_BATCH).optional().openapi({ default: 100 }),
  offset: queryInteger(0, LONGEST_OFFSET).optional().openapi({ default: 0 }),
});

const exampleWebhook = {
  id: 17,
  url: "https://hooks.example.com/jobs",
  events: ["job.completed", "job.failed"],
  queue: "thumbnails",
  signed: true,
  enabled: true,
  created_at: at,
};

const exampleJob = {
  id: 8123,
  queue: "thumbnails",
  data: { image: "boat.png", width: 320 },
  priority: 5,
  created_at: at,
  run_at: at,
  started_at: 0,
  attempts: 0,
  max_attempts: 3,
  backoff: 1000,
  ttl: 0,
  timeout: 0,
  depends_on: [],
  progress: 0,
  tags: ["web"],
  lifo: false,
};
const started = { ...exampleJob, started_at: at + 40, attempts: 1 };

const streamHeaders = z.object({
  "Last-Event-ID": z.string().optional().openapi({
    description: "The `id` of the last event that was read: the stream goes on after it",
  }),
});

const streamQuery = z.object({
  token: z.string().optional().openapi({ description: "For readers that cannot send headers" }),
});

const stream = {
  method: "get",
  responses: {
    200: {
      description:
        "Server-sent events. `event: gap` says that some are lost; `event: dropped` ends the stream of a reader that was too slow, or whose token has expired, with the reason in `error`",
      content: {
        "text/event-stream": {
          schema: z.string(),
          example:
            'id: 4k-17\nevent: job.completed\ndata: {"event_type":"job.completed","queue":"thumbnails","job_id":8123,"timestamp":1772439300000,"data":{},"error":null}\n\n',
        },
      },
    },
    ...always,
  },
} as const;

/** Every operation of flashQ's HTTP interface: its address and, for the document, what goes in and out. */
export const operations = {
  listQueues: operation(commands.listQueues.access, {
    method: "get",
    path: "/queues",
    operationId: "listQueues",
    summary: "Queues with their counts and limits",
    responses: {
      200: answer("All queues", z.array(queueView), [
        {
          name: "thumbnails",
          pending: 12,
          processing: 2,
          dlq: 0,
          paused: false,
          rate_limit: null,
          concurrency_limit: 2,
        },
      ]),
      ...always,
    },
  }),
  push: operation(commands.push.access, {
    method: "post",
    path: "/queues/{queue}/jobs",
    operationId: "pushJob",
    summary: "Add a job",
    request: {
      params: queueParams,
      headers: idempotencyHeaders,
      body: body(jobInput, { data: exampleJob.data, priority: 5, max_attempts: 3, tags: ["web"] }),
    },
    responses: {
      200: answer("Added, and durable", shownJob, exampleJob),
      409: problem("A live job has its unique key", "Duplicate job"),
      429: problem("More than the queue takes; see Retry-After", "Rate limited"),
      ...tooLarge,
      ...always,
    },
  }),
  pull: operation(PULL_ACCESS, {
    method: "get",
    path: "/queues/{queue}/jobs",
    operationId: "pullJobs",
    summary: "Claim jobs to run them",
    request: { params: queueParams, query: pullQuery },
    responses: {
      200: answer("The jobs that are the caller's now", z.array(pulledJob), [
        { ...started, lease: "1f-3" },
      ]),
      ...always,
    },
  }),
  pause: operation(commands.pause.access, {
    method: "post",
    path: "/queues/{queue}/pause",
    operationId: "pauseQueue",
    summary: "Start no more jobs of a queue",
    request: { params: queueParams },
    responses: done,
  }),
  resume: operation(commands.resume.access, {
    method: "post",
    path: "/queues/{queue}/resume",
    operationId: "resumeQueue",
    summary: "Start jobs of a paused queue again",
    request: { params: queueParams },
    responses: done,
  }),
  dlq: operation(commands.dlq.access, {
    method: "get",
    path: "/queues/{queue}/dlq",
    operationId: "listDeadLetters",
    summary: "Jobs that failed for good",
    request: { params: queueParams, query: dlqQuery },
    responses: {
      200: answer("The oldest first", z.array(listedJob), [
        { ...started, attempts: 3, state: "failed", error: "The image is empty" },
      ]),
      ...always,
    },
  }),
  retryDlq: operation(commands.retryDlq.access, {
    method: "post",
    path: "/queues/{queue}/dlq/retry",
    operationId: "retryDeadLetters",
    summary: "Run all jobs that failed for good again",
    request: { params: queueParams },
    responses: { 200: answer("How many went back", count, 4), ...always },
  }),
  rateLimit: operation(commands.rateLimit.access, {
    method: "post",
    path: "/queues/{queue}/rate-limit",
    operationId: "setRateLimit",
    summary: "Start at most so many jobs a second",
    request: { params: queueParams, body: body(limitInput.omit({ queue: true }), { limit: 50 }) },
    responses: { ...done, ...tooLarge },
  }),
  clearRateLimit: operation(commands.clearRateLimit.access, {
    method: "delete",
    path: "/queues/{queue}/rate-limit",
    operationId: "clearRateLimit",
    summary: "Start jobs at any rate",
    request: { params: queueParams },
    responses: done,
  }),
  setConcurrency: operation(commands.setConcurrency.access, {
    method: "post",
    path: "/queues/{queue}/concurrency",
    operationId: "setConcurrency",
    summary: "Run at most so many jobs at once",
    request: { params: queueParams, body: body(limitInput.omit({ queue: true }), { limit: 2 }) },
    responses: { ...done, ...tooLarge },
  }),
  clearConcurrency: operation(commands.clearConcurrency.access, {
    method: "delete",
    path: "/queues/{queue}/concurrency",
    operationId: "clearConcurrency",
    summary: "Run any number of jobs at once",
    request: { params: queueParams },
    responses: done,
  }),
  listJobs: operation(commands.listJobs.access, {
    method: "get",
    path: "/jobs",
    operationId: "listJobs",
    summary: "Jobs, the newest first",
    request: { query: listQuery },
    responses: {
      200: answer("A page of jobs", z.array(listedJob), [{ ...exampleJob, state: "waiting" }]),
      ...always,
    },
  }),
  getJob: operation(commands.getJob.access, {
    method: "get",
    path: "/jobs/{id}",
    operationId: "getJob",
    summary: "A job with its state and result",
    request: { params: idParams },
    responses: {
      200: answer("The job", jobDetail, { ...started, state: "active", result: null }),
      ...jobUnknown,
      ...always,
    },
  }),
  ack: operation(commands.ack.access, {
    method: "post",
    path: "/jobs/{id}/ack",
    operationId: "acknowledgeJob",
    summary: "End a run that succeeded",
    request: {
      params: idParams,
      body: body(ackInput.omit({ id: true }), { result: { bytes: 18_231 } }, false),
    },
    responses: { ...done, ...jobUnknown, ...wrongState, ...tooLarge },
  }),
  fail: operation(commands.fail.access, {
    method: "post",
    path: "/jobs/{id}/fail",
    operationId: "failJob",
    summary: "End a run that failed: the job is retried, or fails for good",
    request: {
      params: idParams,
      body: body(failInput.omit({ id: true }), { error: "The image is empty" }, false),
    },
    responses: { ...done, ...tooLarge, ...jobUnknown, ...wrongState },
  }),
  cancel: operation(commands.cancel.access, {
    method: "post",
    path: "/jobs/{id}/cancel",
    operationId: "cancelJob",
    summary: "Cancel a job that is not being run",
    request: { params: idParams },
    responses: { ...done, ...jobUnknown, ...wrongState },
  }),
  progress: operation(commands.progress.access, {
    method: "post",
    path: "/jobs/{id}/progress",
    operationId: "reportProgress",
    summary: "Tell how far a run is; it stays the caller's",
    request: {
      params: idParams,
      body: body(progressInput.omit({ id: true }), { progress: 40, message: "Scaling" }),
    },
    responses: { ...done, ...tooLarge, ...jobUnknown, ...wrongState },
  }),
  getProgress: operation(commands.getProgress.access, {
    method: "get",
    path: "/jobs/{id}/progress",
    operationId: "getProgress",
    summary: "How far a job is",
    request: { params: idParams },
    responses: {
      200: answer("Percent and message", z.tuple([z.number(), z.string().nullable()]), [
        40,
        "Scaling",
      ]),
      ...jobUnknown,
      ...always,
    },
  }),
  getResult: operation(commands.getResult.access, {
    method: "get",
    path: "/jobs/{id}/result",
    operationId: "getResult",
    summary: "What a job was acknowledged with",
    request: { params: idParams },
    responses: {
      200: answer("The result; null while there is none", z.unknown(), { bytes: 18_231 }),
      ...jobUnknown,
      ...always,
    },
  }),
  listCrons: operation(commands.listCrons.access, {
    method: "get",
    path: "/crons",
    operationId: "listCrons",
    summary: "Jobs that are added again and again",
    responses: {
      200: answer("All of them", z.array(cronView), [
        {
          name: "nightly-sweep",
          queue: "thumbnails",
          schedule: "0 15 2 * * *",
          data: { all: true },
          priority: 0,
          next_run: at,
        },
      ]),
      ...always,
    },
  }),
  cron: operation(commands.cron.access, {
    method: "post",
    path: "/crons/{name}",
    operationId: "putCron",
    summary: "Add a job again and again; one of that name is replaced",
    request: {
      params: nameParams,
      body: body(cronInput.omit({ name: true }), {
        queue: "thumbnails",
        data: { all: true },
        schedule: "0 15 2 * * *",
      }),
    },
    responses: { ...done, ...tooLarge },
  }),
  deleteCron: operation(commands.deleteCron.access, {
    method: "delete",
    path: "/crons/{name}",
    operationId: "deleteCron",
    summary: "End a cron",
    request: { params: nameParams },
    responses: { ...done, 404: problem("No such cron", "Schedule nightly-sweep not found") },
  }),
  stats: operation(commands.stats.access, {
    method: "get",
    path: "/stats",
    operationId: "getStats",
    summary: "How many jobs there are",
    responses: {
      200: answer("By state", statsView, { queued: 12, processing: 2, delayed: 1, dlq: 0 }),
      ...always,
    },
  }),
  metrics: operation(commands.metrics.access, {
    method: "get",
    path: "/metrics",
    operationId: "getMetrics",
    summary: "Totals since ever, rates of the last minute",
    responses: {
      200: answer("Figures", metricsView, {
        total_pushed: 5120,
        total_completed: 5100,
        total_failed: 5,
        jobs_per_second: 3.25,
        avg_latency_ms: 61.4,
        queues: [{ name: "thumbnails", pending: 12, processing: 2, dlq: 0 }],
      }),
      ...always,
    },
  }),
  metricsHistory: operation("read", {
    method: "get",
    path: "/metrics/history",
    operationId: "getMetricsHistory",
    summary: "The last five minutes, in points 5 s apart",
    responses: {
      200: answer("The oldest first", z.array(historyPoint), [
        {
          timestamp: at,
          queued: 12,
          processing: 2,
          completed: 16,
          failed: 0,
          throughput: 3.2,
          latency_ms: 61.4,
        },
      ]),
      ...always,
    },
  }),
  prometheus: operation("read", {
    method: "get",
    path: "/metrics/prometheus",
    operationId: "getPrometheusMetrics",
    summary: "The figures for Prometheus",
    description: "METRICS_TOKEN is a token here, and nowhere else",
    responses: {
      200: {
        description: "Prometheus' text format",
        content: {
          "text/plain": {
            schema: z.string(),
            example:
              "# HELP flashq_jobs_pushed_total Jobs added\n# TYPE flashq_jobs_pushed_total counter\nflashq_jobs_pushed_total 5120\n",
          },
        },
      },
      ...always,
    },
  }),
  settings: operation("system", {
    method: "get",
    path: "/settings",
    operationId: "getSettings",
    summary: "How this server is set up",
    responses: {
      200: answer("Secrets are masked", settingsView, {
        version: "0.1.0",
        tcp_port: 6789,
        http_port: 6790,
        grpc_port: 6791,
        engine: "bullmq",
        database_connected: true,
        database_url: "redis://***@queue.internal:6379/0",
        auth_enabled: true,
        auth_token_count: 1,
        uptime_seconds: 5400,
      }),
      ...always,
    },
  }),
  shutdown: operation("system", {
    method: "post",
    path: "/server/shutdown",
    operationId: "shutDown",
    summary: "Stop this server: running jobs end or are given back first",
    responses: done,
  }),
  restart: operation("system", {
    method: "post",
    path: "/server/restart",
    operationId: "restart",
    summary: "Stop this server as above, and start another in its place",
    responses: {
      ...done,
      409: problem("It is part of another program", "This server is part of another program"),
    },
  }),
  clusterNodes: operation("system", {
    method: "get",
    path: "/cluster/nodes",
    operationId: "listClusterNodes",
    summary: "The processes that share the queues",
    responses: {
      200: answer("Those heard of lately", z.array(nodeView), [
        {
          node_id: "queue-a-418-9f3c",
          host: "10.1.4.7",
          port: 6790,
          is_leader: true,
          last_heartbeat: at,
          started_at: at - 60_000,
        },
      ]),
      ...always,
    },
  }),
  streamEvents: operation("read", {
    ...stream,
    path: "/events",
    operationId: "streamEvents",
    summary: "Events of all queues, as they happen",
    request: { headers: streamHeaders, query: streamQuery },
  }),
  streamQueueEvents: operation("read", {
    ...stream,
    path: "/events/{queue}",
    operationId: "streamQueueEvents",
    summary: "Events of one queue, as they happen",
    request: { params: queueParams, headers: streamHeaders, query: streamQuery },
  }),
  listWebhooks: operation(commands.listWebhooks.access, {
    method: "get",
    path: "/webhooks",
    operationId: "listWebhooks",
    summary: "All webhooks",
    responses: {
      200: answer("Without their secrets", z.array(webhookView), [exampleWebhook]),
      ...always,
    },
  }),
  createWebhook: operation(commands.createWebhook.access, {
    method: "post",
    path: "/webhooks",
    operationId: "createWebhook",
    summary: "Tell an address of events",
    request: {
      body: body(webhookInput, {
        url: exampleWebhook.url,
        events: exampleWebhook.events,
        queue: exampleWebhook.queue,
        secret: "keep-me-to-yourself",
      }),
    },
    responses: {
      200: answer("Made", webhookView, exampleWebhook),
      ...tooLarge,
      429: problem("As many as a tenant can have", "There are 100 webhooks already"),
      ...always,
    },
  }),
  deleteWebhook: operation(commands.deleteWebhook.access, {
    method: "delete",
    path: "/webhooks/{id}",
    operationId: "deleteWebhook",
    summary: "Remove a webhook",
    request: { params: z.object({ id: z.string().openapi({ example: "17" }) }) },
    responses: { ...done, 404: problem("No such webhook", "Webhook 17 not found") },
  }),
  incomingWebhook: operation(commands.push.access, {
    method: "post",
    path: "/webhooks/incoming/{queue}",
    operationId: "takeEvent",
    summary: "An event from outside becomes a job",
    description:
      "With a token, or signed with the secret that was set for the queue: HMAC-SHA256 of the body in hex, as `X-FlashQ-Signature` or, after `sha256=`, as `X-Hub-Signature-256`. An event that is sent again within 24 h is known by the first of `Idempotency-Key`, `X-Event-Id`, `Webhook-Id`, `X-GitHub-Delivery` and `X-FlashQ-Delivery`, and answered as it was.",
    request: {
      params: queueParams,
      query: z.object({
        tenant: z.string().optional().openapi({
          description: "Of a signed event; default: `default`. A token says its own",
        }),
      }),
      body: body(z.unknown(), { action: "opened", number: 12 }),
    },
    responses: {
      200: answer("The job is durable", z.object({ id }), { id: 8123 }),
      409: problem("An unfinished job is like it", "Duplicate job"),
      ...tooLarge,
      429: problem("There is no room", "The queue is full"),
      ...always,
    },
  }),
  listWorkers: operation(commands.listWorkers.access, {
    method: "get",
    path: "/workers",
    operationId: "listWorkers",
    summary: "Workers heard of in the last minute",
    responses: {
      200: answer("All of them", z.array(workerView), [
        {
          id: "scaler-2",
          queues: ["thumbnails"],
          concurrency: 4,
          last_heartbeat: at,
          jobs_processed: 310,
        },
      ]),
      ...always,
    },
  }),
  heartbeat: operation(commands.heartbeat.access, {
    method: "post",
    path: "/workers/{id}/heartbeat",
    operationId: "sendHeartbeat",
    summary: "Stay in the list of workers, and keep the jobs pulled under this name",
    request: {
      params: z.object({ id: z.string().openapi({ example: "scaler-2" }) }),
      body: body(
        heartbeatInput.omit({ worker: true }),
        { queues: ["thumbnails"], concurrency: 4 },
        false,
      ),
    },
    responses: { ...done, ...tooLarge },
  }),
};
