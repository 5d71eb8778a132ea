import type { z } from "@hono/zod-openapi";
import { successSchema } from "../../envelope.ts";
import { operation } from "../../operations.ts";
import {
  cancelledJob,
  createdJob,
  documentedCreateJob,
  fileParams,
  idParams,
  jobDetail,
  jobPage,
  listQuery,
  queueSummary,
  refusal,
  waitBody,
  waitedJob,
} from "./schemas.ts";

const BASE = "/api/v1/jobs";

const exampleId = "6a6f6279-6172-8640-8000-0000000002c6";
const at = "2026-03-02T08:15:00.000Z";

function json(description: string, schema: z.ZodType, example?: unknown) {
  const content = { schema, ...(example === undefined ? {} : { example }) };
  return { description, content: { "application/json": content } };
}

function answer(description: string, data: z.ZodType, example: unknown) {
  return json(description, successSchema(data), { success: true, data: example, timestamp: at });
}

function problem(description: string, error: string, details: Record<string, unknown>) {
  return json(description, refusal, { success: false, error, details, timestamp: at });
}

function bytes(description: string) {
  const schema = { type: "string", format: "binary" } as const;
  return { description, content: { "application/octet-stream": { schema } } };
}

/** What any call may be answered. */
const always = {
  401: problem("No token, or a bad one", "The token has expired", { code: "AUTHENTICATION_ERROR" }),
  403: problem("The token's role may not do this", "Only ADMIN, OPERATOR may do this", {
    code: "AUTHORIZATION_ERROR",
  }),
  429: problem("Too many requests; see Retry-After", "Rate limited", {
    code: "RATE_LIMIT_EXCEEDED",
  }),
  500: problem("Our own fault", "Something went wrong here; the log has more under this id", {
    code: "SYSTEM_ERROR",
    id: "0b6e2f0e-6a0c-4f5e-9f0e-1d6f0c1d7a55",
  }),
  503: problem("The store cannot be reached; see Retry-After", "Try again later", {
    code: "SYSTEM_ERROR",
  }),
};

const invalid = problem("The request breaks a rule", "Invalid job data", {
  code: "INVALID_JOB_DATA",
  errors: [{ field: "texts", message: "Array must contain at least 1 item" }],
});

const unknown = problem("No such job", "Job not found", {
  code: "JOB_NOT_FOUND",
  jobId: exampleId,
});

const running = {
  id: exampleId,
  type: "sentiment_analysis_batch",
  status: "running",
  priority: "high",
  progress: 42.5,
  createdAt: at,
  startedAt: "2026-03-02T08:15:01.250Z",
};

const completed = {
  ...running,
  status: "completed",
  progress: 100,
  completedAt: "2026-03-02T08:15:04.000Z",
  result: {
    totalProcessed: 1,
    results: [
      {
        index: 0,
        text: "Lovely lamp, write to [EMAIL]",
        sentiment: "positive",
        score: 0.5859,
        confidence: 0.83,
      },
    ],
    summary: {
      successful: 1,
      failed: 0,
      averageScore: 0.5859,
      distribution: { positive: 1, negative: 0, neutral: 0 },
    },
    failures: [],
  },
};

const counts = { total: 12, completed: 10, failed: 1, cancelled: 0 };
const none = { total: 0, completed: 0, failed: 0, cancelled: 0 };

/** Every operation of the dialect: its address and, for the document, what goes in and out. */
export const operations = {
  create: operation("operate", {
    method: "post",
    path: BASE,
    operationId: "createJob",
    summary: "Add a job",
    request: {
      body: {
        required: true,
        ...json("The job", documentedCreateJob, {
          type: "sentiment_analysis_batch",
          data: { texts: ["Lovely lamp, write to mia@example.com"], enablePIIMasking: true },
          priority: "high",
        }),
      },
    },
    responses: {
      201: answer("Added, and on disk", createdJob, {
        jobId: exampleId,
        type: "sentiment_analysis_batch",
        status: "pending",
        priority: "high",
        createdAt: at,
      }),
      400: invalid,
      413: problem("More data than the job type takes", "Invalid job data", {
        code: "INVALID_JOB_DATA",
        errors: [{ field: "data", message: "The data is larger than the 1000000 bytes" }],
      }),
      ...always,
    },
  }),
  list: operation("read", {
    method: "get",
    path: BASE,
    operationId: "listJobs",
    summary: "List jobs, the newest first",
    request: { query: listQuery },
    responses: {
      200: answer("A page of jobs, without their results", jobPage, { jobs: [running], total: 1 }),
      400: invalid,
      ...always,
    },
  }),
  summary: operation("read", {
    method: "get",
    path: `${BASE}/stats/summary`,
    operationId: "summarizeQueue",
    summary: "How many jobs there are, and how they fare",
    responses: {
      200: answer("Counts are of the jobs present; performance outlives them", queueSummary, {
        total: 12,
        pending: 0,
        running: 1,
        completed: 10,
        failed: 1,
        cancelled: 0,
        performance: {
          averageProcessingTime: 2750,
          throughput: "3.5 jobs/minute",
          successRate: 90.9,
          peakConcurrency: 2,
        },
        byType: {
          sentiment_analysis_batch: counts,
          file_processing: none,
          security_scan: none,
          data_export: none,
          "file-analysis": none,
          "quote-calculation": none,
          "email-notification": none,
          "report-generation": none,
        },
        byPriority: { critical: 0, high: 4, medium: 8, low: 0 },
      }),
      ...always,
    },
  }),
  get: operation("read", {
    method: "get",
    path: `${BASE}/{id}`,
    operationId: "getJob",
    summary: "A job's status, progress and result",
    request: { params: idParams },
    responses: { 200: answer("The job", jobDetail, completed), 404: unknown, ...always },
  }),
  file: operation("read", {
    method: "get",
    path: `${BASE}/{id}/files/{name}`,
    operationId: "getJobFile",
    summary: "A file that the job has made",
    description: "Takes `Range` with one range, `If-Range` and `If-None-Match`.",
    request: { params: fileParams },
    responses: {
      200: bytes("The file"),
      206: bytes("The range of it that was asked for"),
      304: { description: "It is the one that `If-None-Match` names" },
      404: problem("No such job, or no such file of it", "The job has no such file", {
        code: "FILE_NOT_FOUND",
      }),
      416: { description: "It has no such range; `Content-Range` tells its size" },
      ...always,
    },
  }),
  cancel: operation("operate", {
    method: "delete",
    path: `${BASE}/{id}`,
    operationId: "cancelJob",
    summary: "Cancel a job that has not ended",
    description: "A running one stops at its next checkpoint.",
    request: { params: idParams },
    responses: {
      200: json("Cancelled", cancelledJob, {
        success: true,
        message: "Job cancelled successfully",
        timestamp: at,
      }),
      404: unknown,
      409: problem("It has ended already", "Job not found or cannot be cancelled", {
        code: "JOB_NOT_CANCELLABLE",
        currentStatus: "completed",
      }),
      ...always,
    },
  }),
  wait: operation("read", {
    method: "post",
    path: `${BASE}/{id}/wait`,
    operationId: "waitForJob",
    summary: "Wait until a job has ended",
    request: { params: idParams, body: json("For how long", waitBody, { timeout: 5000 }) },
    responses: {
      200: answer("It has ended, one way or another", waitedJob, {
        id: completed.id,
        type: completed.type,
        status: completed.status,
        progress: completed.progress,
        completedAt: completed.completedAt,
        result: completed.result,
      }),
      400: invalid,
      404: unknown,
      408: problem("It goes on", "Job timeout", {
        code: "JOB_TIMEOUT",
        currentStatus: "running",
        currentProgress: 42.5,
      }),
      ...always,
    },
  }),
};
