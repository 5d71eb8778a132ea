import { z } from "zod";
import { anyData, oneOf } from "./fields.ts";
import { defineJobType } from "./job-type.ts";

const data = z.looseObject({
  ...anyData,
  texts: z.array(z.string().min(1).max(10_000)).min(1).max(10_000),
  enablePIIMasking: z.boolean().default(true),
  includeKeywords: z.boolean().optional(),
  language: z
    .string()
    .max(35)
    .regex(/^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*$/, "Must be a language code such as en")
    .default("en"),
});

const sentiment = oneOf(["positive", "negative", "neutral"]);

const result = z.looseObject({
  totalProcessed: z.number().int(),
  results: z.array(
    z.looseObject({
      text: z.string(),
      /** Absent where this text failed; then `error` says why. */
      sentiment: sentiment.optional(),
      score: z.number().min(-1).max(1).optional(),
      confidence: z.number().min(0).max(1).optional(),
      keywords: z.array(z.string()).optional(),
      error: z.string().optional(),
    }),
  ),
  summary: z.looseObject({
    successful: z.number().int(),
    failed: z.number().int(),
    averageScore: z.number(),
    distribution: z.looseObject({
      positive: z.number().int(),
      negative: z.number().int(),
      neutral: z.number().int(),
    }),
  }),
});

export const sentimentAnalysisBatch = defineJobType({
  name: "sentiment_analysis_batch",
  title: "Batch sentiment analysis",
  data,
  result,
  defaults: {
    attempts: 4,
    backoffMs: 2_000,
    timeoutMs: 1_800_000,
    retryableErrors: ["NETWORK_ERROR", "TEMPORARY_FAILURE"],
  },
  maxDataBytes: 100_000_000,
});
