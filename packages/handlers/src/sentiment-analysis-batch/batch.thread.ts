import { analyseText, IllFormedText } from "./analyse.ts";
import type { AnalysisOptions, TextAnalysis } from "./analyse.ts";

/** A part of a batch for one thread to analyse. */
export interface Chunk {
  texts: readonly string[];
  options: AnalysisOptions;
}

/** For each text of the chunk its analysis, or why it has none. */
export type Outcome = TextAnalysis | { error: string };

/** Runs on a worker thread. One text's failure leaves the others alone. */
export default function analyseChunk({ texts, options }: Chunk): Outcome[] {
  return texts.map((text) => {
    try {
      return analyseText(text, options);
    } catch (error) {
      // Any other message could quote the text, and this one is shown.
      return { error: error instanceof IllFormedText ? error.message : "The analysis failed" };
    }
  });
}
