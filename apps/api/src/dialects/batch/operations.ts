import type { z } from "@hono/zod-openapi";
import { idempotencyHeaders, operation } from "../../operations.ts";
import {
  type BatchCode,
  cancelBody,
  cancelled,
  done,
  enqueueBody,
  enqueued,
  jobStatus,
  metrics,
  metricsQuery,
  redoBody,
  redone,
  refusal,
  retryBody,
  stats,
  statsQuery,
  statusParams,
} from "./schemas.ts";

const BASE = "/api/queue";

function json(description: string, schema: z.ZodType, example?: unknown) {
  const content = { schema, ...(example === undefined ? {} : { example }) };
  return { description, content: { "application/json": content } };
}

function answer(description: string, schema: z.ZodType, example: object) {
  return json(description, schema, { success: true, ...example });
}

function problem(description: string, code: BatchCode, error: string) {
  return json(description, refusal, { success: false, error, code });
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
  500: problem(
    "Our own fault",
    "SYSTEM_ERROR",
    "Something went wrong here; the log has more under the id 5d2c5a0e-4d52-4c9d-8f3f-6a3f0f2a9b11",
  ),
  503: problem(
    "The store cannot be reached; see Retry-After",
    "SYSTEM_ERROR",
    "The service cannot serve this request now. Try again later",
  ),
};

const invalid = problem(
  "The request breaks a rule",
  "VALIDATION_ERROR",
  "projectId: Required field missing",
);
const tooLarge = problem(
  "More than is taken at once",
  "VALIDATION_ERROR",
  "The body is larger than 1100000 bytes",
);
const full = problem(
  "There is no room for more; see Retry-After",
  "RATE_LIMIT_EXCEEDED",
  "The tenant has as many queues as it may have",
);
const noJob = problem("No such job", "JOB_NOT_FOUND", "Job 899 not found");

/** Every operation of the dialect: its address and, for the document, what goes in and out. */
export const operations = {
  enqueue: operation("operate", {
    method: "post",
    path: `${BASE}/enqueue`,
    operationId: "enqueueBatches",
    summary: "Process batches, each by a job of its own",
    description:
      "A job of the batch that still waits is cancelled. A batch that completed before is processed anew, by a reprocess_batch.",
    request: {
      headers: idempotencyHeaders,
      ...body(enqueueBody, { projectId: "invoices", batchIds: ["march-1", "march-2"] }),
    },
    responses: {
      200: answer("Queued, and durable", enqueued, {
        jobId: "815",
        jobIds: ["815", "816"],
        canceledCount: 1,
        message: "2 batches queued, 1 job replaced",
      }),
      400: invalid,
      409: problem("It is there already", "DUPLICATE_JOB", "Duplicate job"),
      413: tooLarge,
      429: full,
      ...always,
    },
  }),
  status: operation("read", {
    method: "get",
    path: `${BASE}/status/{jobId}`,
    operationId: "getBatchJob",
    summary: "Where a job stands",
    request: { params: statusParams },
    responses: {
      200: answer("The job", jobStatus, {
        job: {
          id: "815",
          type: "process_batch",
          status: "processing",
          priority: 10,
          data: { batchId: "march-1", projectId: "invoices" },
          attempts: 1,
          maxAttempts: 3,
          createdAt: "2026-03-02T08:15:00.000Z",
          startedAt: "2026-03-02T08:15:00.750Z",
          completedAt: null,
          error: null,
        },
      }),
      404: noJob,
      ...always,
    },
  }),
  retry: operation("operate", {
    method: "post",
    path: `${BASE}/retry`,
    operationId: "retryBatchJobs",
    summary: "Run a failed job of a project anew, or all of them",
    request: body(retryBody, { projectId: "invoices", jobId: "815" }),
    responses: {
      200: answer("Queued anew", done, { message: "Job 815 queued for retry" }),
      400: invalid,
      404: noJob,
      409: problem("It has not failed", "INVALID_STATE", "Job 815 has not failed: it is active"),
      413: tooLarge,
      ...always,
    },
  }),
  redo: operation("operate", {
    method: "post",
    path: `${BASE}/redo`,
    operationId: "redoRow",
    summary: "Read columns of one row again",
    request: {
      headers: idempotencyHeaders,
      ...body(redoBody, {
        projectId: "invoices",
        batchId: "march-1",
        rowIndex: 4,
        redoColumnIds: ["total"],
        croppedImageIds: { total: "crop-4-total" },
        sourceImageIds: { total: "scan-4" },
        priority: 5,
      }),
    },
    responses: {
      200: answer("Queued, and durable", redone, {
        jobId: "817",
        message: "Row 4 of batch march-1 queued for redo",
      }),
      400: invalid,
      409: problem("It is there already", "DUPLICATE_JOB", "Duplicate job"),
      413: tooLarge,
      429: full,
      ...always,
    },
  }),
  cancel: operation("operate", {
    method: "post",
    path: `${BASE}/cancel`,
    operationId: "cancelBatchJobs",
    summary: "Cancel a project's jobs that have not ended",
    description: "Those that run stop at their next checkpoint.",
    request: body(cancelBody, { projectId: "invoices", batchIds: ["march-2"] }),
    responses: {
      200: answer("Cancelled", cancelled, {
        canceledCount: 1,
        batchesReset: 1,
        message: "1 job cancelled, 1 batch reset",
      }),
      400: invalid,
      413: tooLarge,
      ...always,
    },
  }),
  stats: operation("read", {
    method: "get",
    path: `${BASE}/stats`,
    operationId: "getBatchStats",
    summary: "How many jobs there are, and whether they are worked on",
    request: { query: statsQuery },
    responses: {
      200: answer("As it stands", stats, {
        queue: { queued: 4, processing: 1, completed: 58, failed: 2, totalJobs: 65 },
        worker: { isRunning: true, activeJobs: 1, requestsPerMinute: 30, maxConcurrency: 1 },
      }),
      400: invalid,
      ...always,
    },
  }),
  metrics: operation("read", {
    method: "get",
    path: `${BASE}/metrics`,
    operationId: "getBatchMetrics",
    summary: "How jobs fared in a time range",
    request: { query: metricsQuery },
    responses: {
      200: answer("Since then", metrics, {
        stats: {
          successRate: 0.9667,
          avgDuration: 7420,
          minDuration: 1310,
          maxDuration: 21_870,
          totalTokens: 83_200,
          hourlyBreakdown: [
            {
              hour: "2026-03-02T08:00:00.000Z",
              completed: 58,
              failed: 2,
              avgDuration: 7420,
              tokens: 83_200,
            },
          ],
        },
      }),
      400: invalid,
      ...always,
    },
  }),
};
