import type { z } from "@hono/zod-openapi";
import { successSchema } from "../../envelope.ts";
import { refusal } from "./schemas.ts";

/* What the operations' documentation is made of. */

export const exampleId = "6a6f6279-6172-8640-8000-0000000002c6";
export const at = "2026-03-02T08:15:00.000Z";

export function json(description: string, schema: z.ZodType, example?: unknown) {
  const content = { schema, ...(example === undefined ? {} : { example }) };
  return { description, content: { "application/json": content } };
}

export function answer(description: string, data: z.ZodType, example: unknown) {
  return json(description, successSchema(data), { success: true, data: example, timestamp: at });
}

export function problem(description: string, error: string, details: Record<string, unknown>) {
  return json(description, refusal, { success: false, error, details, timestamp: at });
}

export function bytes(description: string) {
  const schema = { type: "string", format: "binary" } as const;
  return { description, content: { "application/octet-stream": { schema } } };
}

/** What any call may be answered. */
export const always = {
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

export const invalid = problem("The request breaks a rule", "Invalid job data", {
  code: "INVALID_JOB_DATA",
  errors: [{ field: "texts", message: "Array must contain at least 1 item" }],
});

export const unknown = problem("No such job", "Job not found", {
  code: "JOB_NOT_FOUND",
  jobId: exampleId,
});

export const running = {
  id: exampleId,
  type: "sentiment_analysis_batch",
  status: "running",
  priority: "high",
  progress: 42.5,
  createdAt: at,
  startedAt: "2026-03-02T08:15:01.250Z",
};

export const completed = {
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

export const counts = { total: 12, completed: 10, failed: 1, cancelled: 0 };
export const none = { total: 0, completed: 0, failed: 0, cancelled: 0 };

export const tooLarge = problem("The body is too large", "Invalid job data", {
  code: "INVALID_JOB_DATA",
  errors: [
    { field: "data", message: "The data is larger than the 1000000 bytes that it can have" },
  ],
  limitBytes: 1_000_000,
});

export function done(message: string) {
  return { success: true, message, timestamp: at };
}
