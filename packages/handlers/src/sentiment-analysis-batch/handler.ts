import { defineHandler, HandlerCrash, HandlerError, jobTypes } from "@jobyard/core";
import { ThreadDied } from "../threads.ts";
import { analyseBatch } from "./batch.ts";
import { UnsupportedLanguage } from "./language.ts";

export const sentimentAnalysisBatchHandler = defineHandler(
  jobTypes.sentiment_analysis_batch,
  async (context) => {
    const { texts, enablePIIMasking, includeKeywords = false, language } = context.data;
    try {
      const result = await analyseBatch(
        { texts, enablePIIMasking, includeKeywords, language },
        {
          signal: context.signal,
          onProgress: ({ totalItems: total, processedItems: processed, failedItems: failed }) =>
            context.progress({ items: { total, processed, failed } }),
        },
      );
      return {
        ...result,
        results: result.results.map((one) => ({ ...one })),
        summary: { ...result.summary, distribution: { ...result.summary.distribution } },
      };
    } catch (error) {
      if (error instanceof UnsupportedLanguage) {
        throw new HandlerError("UNSUPPORTED_LANGUAGE", error.message, {
          dataFault: true,
          stage: "validation",
          cause: error,
        });
      }
      if (error instanceof ThreadDied) throw new HandlerCrash(error.message, { cause: error });
      throw error;
    }
  },
);
