import type { Handler } from "@jobyard/core";
import { sentimentAnalysisBatchHandler } from "./sentiment-analysis-batch/handler.ts";

/** What runs the jobs of the typed queues. */
export const handlers: readonly Handler[] = [sentimentAnalysisBatchHandler];
