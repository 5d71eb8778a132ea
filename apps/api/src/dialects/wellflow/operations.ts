import type { z } from "@hono/zod-openapi";
import type { Access } from "../../auth/caller.ts";
import { idempotencyHeaders, operation } from "../../operations.ts";
import type { RateClass } from "../../rate-limits.ts";
import {
  addedJob,
  bulkResult,
  createdSchedule,
  documentedBulk,
  done,
  health,
  jobPage,
  jobParams,
  jobsQuery,
  jobStatus,
  metrics,
  metricsQuery,
  newJob,
  newSchedule,
  newWebhook,
  queueDetail,
  queueParams,
  queueView,
  refusal,
  schedule,
  schedulePatch,
  scheduleParams,
  stats,
  statusBody,
  success,
  webhook,
  webhookParams,
  type WellflowCode,
} from "./schemas.ts";

const BASE = "/api/jobs";

function json(description: string, schema: z.ZodType, example?: unknown) {
  const content = { schema, ...(example === undefined ? {} : { example }) };
  return { description, content: { "application/json": content } };
}

function answer(description: string, data: z.ZodType, example: unknown) {
  return json(description, success(data), { success: true, data: example });
}

function message(text: string) {
  return json(text, done, { success: true, message: text });
}

function problem(description: string, code: WellflowCode, message: string, details?: object) {
  const error = { code, message, ...(details === undefined ? {} : { details }) };
  return json(description, refusal, { success: false, error });
}

function body(schema: z.ZodType, example: unknown) {
  return { body: { required: true, ...json("What is asked for", schema, example) } };
}

/** What any call may be answered. */
const always = {
  401: problem("No token, or a bad one", "AUTHENTICATION_ERROR", "The token has expired"),
  403: problem(
    "The token's role may not do this",
    "AUTHORIZATION_ERROR",
    "Only ADMIN, OPERATOR may do this",
  ),
  429: problem(
    "Too many requests; see Retry-After and the X-RateLimit headers",
    "RATE_LIMIT_EXCEEDED",
    "More than 100 requests a minute: try again in 12 s",
  ),
  500: problem(
    "Our own fault",
    "SYSTEM_ERROR",
    "Something went wrong here; the log has more under this id",
    { id: "5d2c5a0e-4d52-4c9d-8f3f-6a3f0f2a9b11" },
  ),
  503: problem(
    "The store cannot be reached; see Retry-After",
    "SYSTEM_ERROR",
    "The service cannot serve this request now. Try again later",
  ),
};

const wrong = { field: "leaseId", reason: "Expected string, received number" };
const invalid = problem("The request breaks a rule", "VALIDATION_ERROR", "Invalid request data", {
  ...wrong,
  errors: [wrong],
});

const tooLarge = problem(
  "More than is taken at once",
  "VALIDATION_ERROR",
  "The data is larger than the 1000000 bytes that data-validation takes",
  {
    field: "data",
    reason: "The data is larger than the 1000000 bytes that data-validation takes",
    errors: [
      {
        field: "data",
        reason: "The data is larger than the 1000000 bytes that data-validation takes",
      },
    ],
  },
);

const noQueue = problem("No such queue", "QUEUE_NOT_FOUND", "Queue flow-meters not found");
const noJob = problem("No such job, or no such queue", "JOB_NOT_FOUND", "Job 4799 not found");
const noSchedule = problem(
  "No such schedule",
  "SCHEDULE_NOT_FOUND",
  "Schedule nightly-check not found",
);
const noWebhook = problem("No such webhook", "WEBHOOK_NOT_FOUND", "Webhook 12 not found");
const forbidden = problem("The job's state forbids it", "INVALID_STATE", "Job 4711 is active", {
  status: "active",
});

const validation = {
  name: "data-validation",
  waiting: 3,
  active: 1,
  completed: 640,
  failed: 7,
  delayed: 2,
  paused: false,
};

const added = {
  name: "check-lease-readings",
  data: {
    leaseId: "LEASE-58",
    validationType: "daily_production",
    production: { oil: 212, gas: 730, water: 44 },
  },
  opts: { priority: 2, delay: 0, attempts: 3 },
};

const email = {
  queue: "email-notifications",
  name: "tell-operator",
  data: { recipientEmail: "ops@example.com", message: "Lease 58 reported late" },
};

const view = {
  id: "4711",
  ...added,
  progress: 0,
  delay: 0,
  timestamp: 1_772_438_400_000,
  attemptsMade: 0,
  stacktrace: [],
  returnvalue: null,
  finishedOn: null,
  processedOn: null,
};

const recurring = {
  name: "nightly-check",
  cron: "30 1 * * *",
  enabled: true,
  timezone: "America/Denver",
  description: "Checks last day's production of lease 58",
};

const planned = {
  ...recurring,
  nextRun: "2026-03-03T08:30:00.000Z",
  lastRun: "2026-03-02T08:30:00.000Z",
};

const hook = {
  url: "https://hooks.example.com/jobs",
  events: ["job.completed", "job.failed"],
  queue: "data-validation",
};

const figures = {
  processed: 640,
  failed: 7,
  avgProcessingTime: 1.84,
  throughput: 26.67,
  errorRate: 1.09,
};

/** An operation with what it counts as against the caller's limit. */
function limited<const Route extends Parameters<typeof operation>[1]>(
  access: Access,
  route: Route,
  rate: RateClass = "standard",
) {
  return operation(access, { ...route, "x-rate-limit": rate });
}

/** Every operation of the dialect: its address and, for the document, what goes in and out. */
export const operations = {
  listQueues: limited("read", {
    method: "get",
    path: `${BASE}/queues`,
    operationId: "listQueues",
    summary: "List all queues",
    responses: {
      200: answer("Those with a job type, then those that were pushed to", queueView.array(), [
        validation,
      ]),
      ...always,
    },
  }),
  getQueue: limited("read", {
    method: "get",
    path: `${BASE}/queues/{queueName}`,
    operationId: "getQueue",
    summary: "A queue, and how it is run",
    request: { params: queueParams },
    responses: {
      200: answer("The queue", queueDetail, {
        ...validation,
        opts: { maxConcurrency: 5, stalledInterval: 300_000, maxStalledCount: 5 },
      }),
      404: noQueue,
      ...always,
    },
  }),
  listJobs: limited("read", {
    method: "get",
    path: `${BASE}/queues/{queueName}/jobs`,
    operationId: "listJobs",
    summary: "A queue's jobs",
    request: { params: queueParams, query: jobsQuery },
    responses: {
      200: answer("A page of jobs", jobPage, { jobs: [view], total: 1, hasMore: false }),
      400: invalid,
      404: noQueue,
      ...always,
    },
  }),
  addJob: limited("operate", {
    method: "post",
    path: `${BASE}/queues/{queueName}/jobs`,
    operationId: "addJob",
    summary: "Add a job",
    request: { params: queueParams, headers: idempotencyHeaders, ...body(newJob, added) },
    responses: {
      201: answer("Added, and durable", addedJob, {
        jobId: "4711",
        message: "Job added successfully",
      }),
      400: invalid,
      404: noQueue,
      409: problem("It is there already", "DUPLICATE_JOB", "Duplicate job", { jobId: "4711" }),
      413: tooLarge,
      ...always,
    },
  }),
  removeJob: limited("operate", {
    method: "delete",
    path: `${BASE}/queues/{queueName}/jobs/{jobId}`,
    operationId: "removeJob",
    summary: "Remove a job that is not running",
    request: { params: jobParams },
    responses: {
      200: message("Job removed successfully"),
      404: noJob,
      409: forbidden,
      ...always,
    },
  }),
  retryJob: limited("operate", {
    method: "post",
    path: `${BASE}/queues/{queueName}/jobs/{jobId}/retry`,
    operationId: "retryJob",
    summary: "Run a failed job anew",
    request: { params: jobParams },
    responses: { 200: message("Job queued for retry"), 404: noJob, 409: forbidden, ...always },
  }),
  listSchedules: limited("read", {
    method: "get",
    path: `${BASE}/schedules`,
    operationId: "listSchedules",
    summary: "All recurring jobs",
    responses: {
      200: answer("Whichever dialect made them", schedule.array(), [planned]),
      ...always,
    },
  }),
  createSchedule: limited("administer", {
    method: "post",
    path: `${BASE}/schedules`,
    operationId: "createSchedule",
    summary: "Add a job again and again",
    request: body(newSchedule, { ...recurring, jobData: added.data }),
    responses: {
      201: answer("Created", createdSchedule, {
        name: recurring.name,
        message: "Scheduled job created successfully",
      }),
      400: invalid,
      404: noQueue,
      409: problem("The name is taken", "DUPLICATE_JOB", "Schedule nightly-check already exists"),
      413: tooLarge,
      ...always,
    },
  }),
  updateSchedule: limited("administer", {
    method: "put",
    path: `${BASE}/schedules/{scheduleName}`,
    operationId: "updateSchedule",
    summary: "Change some of a schedule",
    request: {
      params: scheduleParams,
      ...body(schedulePatch, { cron: "0 3 * * *", enabled: false }),
    },
    responses: {
      200: message("Scheduled job updated successfully"),
      400: invalid,
      404: noSchedule,
      413: tooLarge,
      ...always,
    },
  }),
  deleteSchedule: limited("administer", {
    method: "delete",
    path: `${BASE}/schedules/{scheduleName}`,
    operationId: "deleteSchedule",
    summary: "End a schedule; jobs it has added stay",
    request: { params: scheduleParams },
    responses: { 200: message("Scheduled job deleted successfully"), 404: noSchedule, ...always },
  }),
  health: limited(
    "read",
    {
      method: "get",
      path: `${BASE}/health`,
      operationId: "getHealth",
      summary: "Whether the store answers, and jobs are taken",
      responses: {
        200: answer("It serves", health, {
          status: "healthy",
          timestamp: "2026-03-02T08:15:00.000Z",
          redis: { status: "connected", latency: 0.42 },
          queues: { "data-validation": "healthy", "report-generation": "paused" },
          workers: { active: 3, total: 60 },
        }),
        ...always,
      },
    },
    "health",
  ),
  metrics: limited("read", {
    method: "get",
    path: `${BASE}/metrics`,
    operationId: "getMetrics",
    summary: "How queues fared in a timeframe",
    request: { query: metricsQuery },
    responses: {
      200: answer("By queue", metrics, {
        timeframe: "24h",
        metrics: { "data-validation": figures },
      }),
      400: invalid,
      404: noQueue,
      ...always,
    },
  }),
  stats: limited("read", {
    method: "get",
    path: `${BASE}/stats`,
    operationId: "getStats",
    summary: "Jobs in all, and the load of the process",
    responses: {
      200: answer("As it stands", stats, {
        uptime: 5400,
        totalJobs: 700,
        completedJobs: 640,
        failedJobs: 7,
        activeJobs: 1,
        waitingJobs: 3,
        delayedJobs: 2,
        memoryUsage: { used: 184, total: 4096, percentage: 4.5 },
        cpuUsage: 3.2,
      }),
      ...always,
    },
  }),
  addJobs: limited(
    "operate",
    {
      method: "post",
      path: `${BASE}/bulk`,
      operationId: "addJobs",
      summary: "Add up to 1,000 jobs, each judged by itself",
      description:
        "Where the store cannot take them, the answer is 503 and `error.details.report` tells of each job what 201 would have told.",
      request: {
        headers: idempotencyHeaders,
        ...body(documentedBulk, { jobs: [{ queue: "data-validation", ...added }, email] }),
      },
      responses: {
        201: answer("What became of them", bulkResult, {
          created: 1,
          failed: 1,
          jobIds: ["4712"],
          errors: [
            {
              index: 1,
              code: "VALIDATION_ERROR",
              message: "recipientEmail: Must be an e-mail address such as name@example.com",
            },
          ],
        }),
        400: invalid,
        413: tooLarge,
        ...always,
      },
    },
    "bulk",
  ),
  jobStatuses: limited(
    "read",
    {
      method: "post",
      path: `${BASE}/status`,
      operationId: "getJobStatuses",
      summary: "Where up to 1,000 jobs stand",
      request: body(statusBody, { jobIds: ["4711", "4712", "4799"] }),
      responses: {
        200: answer("In the order asked", jobStatus.array(), [
          { jobId: "4711", status: "active", progress: 40, result: null },
          { jobId: "4712", status: "failed", progress: 0, error: "timeout" },
          { jobId: "4799", status: "not_found", progress: 0, error: "Job not found" },
        ]),
        400: invalid,
        413: tooLarge,
        ...always,
      },
    },
    "bulk",
  ),
  listWebhooks: limited("read", {
    method: "get",
    path: `${BASE}/webhooks`,
    operationId: "listWebhooks",
    summary: "Who is told of events",
    responses: {
      200: answer("Without their secrets", webhook.array(), [
        { id: "12", ...hook, enabled: true, createdAt: "2026-03-02T08:15:00.000Z" },
      ]),
      ...always,
    },
  }),
  createWebhook: limited("administer", {
    method: "post",
    path: `${BASE}/webhooks`,
    operationId: "createWebhook",
    summary: "Have an address told of events",
    request: body(newWebhook, { ...hook, secret: "b1a9-4c2e-77d0" }),
    responses: {
      201: answer("Created", webhook, {
        id: "12",
        ...hook,
        enabled: true,
        createdAt: "2026-03-02T08:15:00.000Z",
      }),
      400: invalid,
      413: tooLarge,
      ...always,
    },
  }),
  deleteWebhook: limited("administer", {
    method: "delete",
    path: `${BASE}/webhooks/{webhookId}`,
    operationId: "deleteWebhook",
    summary: "Tell an address no more",
    request: { params: webhookParams },
    responses: { 200: message("Webhook deleted successfully"), 404: noWebhook, ...always },
  }),
};
