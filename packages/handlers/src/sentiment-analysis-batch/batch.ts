import { extname } from "node:path";
import type { AnalysisOptions, Sentiment, TextAnalysis } from "./analyse.ts";
import type { Chunk, Outcome } from "./batch.thread.ts";
import { Threads } from "../threads.ts";
import { requireSupportedLanguage } from "./language.ts";

/** Texts to analyse together, and how. */
export interface Batch {
  texts: readonly string[];
  /** Default true. */
  enablePIIMasking?: boolean;
  /** Default false. */
  includeKeywords?: boolean;
  /** BCP 47; default "en". */
  language?: string;
}

/** How far a batch is; failed items are among the processed ones. */
export interface BatchProgress {
  totalItems: number;
  processedItems: number;
  failedItems: number;
}

export interface BatchRun {
  signal?: AbortSignal;
  /**
   * Told after each chunk, and every second while none ends. The batch waits for it after a chunk; what it
   * throws ends the batch.
   */
  onProgress?: (progress: BatchProgress) => void | Promise<void>;
  /** Default: threads that all batches of the process share. */
  threads?: Threads;
}

export interface BatchResult {
  /** How many texts there were, failed ones included. */
  totalProcessed: number;
  /** In the order of the texts, without those that failed; `index` is the text's place in the batch. */
  results: (TextAnalysis & { index: number })[];
  summary: {
    successful: number;
    failed: number;
    /** Mean of the successful texts' scores, to four places; 0 if there are none. */
    averageScore: number;
    distribution: Record<Sentiment, number>;
  };
  failures: { index: number; error: string }[];
}

// A chunk takes a thread some tens of milliseconds, so that progress is seen and memory stays small.
const MOST_TEXTS = 250;
/** UTF-16 units. */
const MOST_CHARACTERS = 250_000;
/** Chunks of one batch under way at once. */
const IN_FLIGHT = 2;
const PROGRESS_EVERY_MS = 1000;

const sharedThreads = new Threads();
const threadFile = new URL(`./batch.thread${extname(import.meta.url)}`, import.meta.url);

/**
 * Analyses many texts on worker threads.
 *
 * @throws {UnsupportedLanguage}, {ThreadDied}, or the signal's reason, within a moment of the abort
 */
export async function analyseBatch(batch: Batch, run: BatchRun = {}): Promise<BatchResult> {
  requireSupportedLanguage(batch.language ?? "en");
  const options: AnalysisOptions = {
    maskPersonalData: batch.enablePIIMasking ?? true,
    keywords: batch.includeKeywords ?? false,
  };
  const { threads = sharedThreads, onProgress } = run;
  const stop = new AbortController();
  const signal = run.signal ? AbortSignal.any([run.signal, stop.signal]) : stop.signal;
  signal.throwIfAborted();

  const outcomes = Array.from<Outcome | undefined>({ length: batch.texts.length });
  const progress = { totalItems: batch.texts.length, processedItems: 0, failedItems: 0 };
  const report = async (): Promise<void> => onProgress?.({ ...progress });
  const timer = setInterval(() => {
    report().catch((error: unknown) => stop.abort(error));
  }, PROGRESS_EVERY_MS);

  const chunks = chunksOf(batch.texts);
  const work = async (): Promise<void> => {
    for (const { start, texts } of chunks) {
      const chunk: Chunk = { texts, options };
      const answers = await threads.run<Outcome[]>(threadFile, chunk, signal);
      for (const [index, outcome] of answers.entries()) {
        outcomes[start + index] = outcome;
        if ("error" in outcome) progress.failedItems++;
      }
      progress.processedItems += answers.length;
      await report();
      signal.throwIfAborted();
    }
  };
  const workers = Array.from({ length: IN_FLIGHT }, work);
  try {
    await Promise.all(workers);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(workers);
    throw error;
  } finally {
    clearInterval(timer);
  }
  return resultOf(outcomes);
}

/** Ends the threads that batches share by default, after what they are running. */
export async function closeSharedThreads(): Promise<void> {
  await sharedThreads.close();
}

function* chunksOf(texts: readonly string[]): Generator<{ start: number; texts: string[] }> {
  let start = 0;
  let chunk: string[] = [];
  let characters = 0;
  for (const [index, text] of texts.entries()) {
    const full = chunk.length === MOST_TEXTS || characters + text.length > MOST_CHARACTERS;
    if (full && chunk.length > 0) {
      yield { start, texts: chunk };
      start = index;
      chunk = [];
      characters = 0;
    }
    chunk.push(text);
    characters += text.length;
  }
  if (chunk.length > 0) yield { start, texts: chunk };
}

function resultOf(outcomes: readonly (Outcome | undefined)[]): BatchResult {
  const results: BatchResult["results"] = [];
  const failures: BatchResult["failures"] = [];
  const distribution = { positive: 0, negative: 0, neutral: 0 };
  let sum = 0;
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome === undefined) continue;
    if ("error" in outcome) {
      failures.push({ index, error: outcome.error });
      continue;
    }
    results.push({ index, ...outcome });
    distribution[outcome.sentiment]++;
    sum += outcome.score;
  }
  const average = results.length === 0 ? 0 : sum / results.length;
  return {
    totalProcessed: outcomes.length,
    results,
    summary: {
      successful: results.length,
      failed: failures.length,
      averageScore: Math.round(average * 10_000) / 10_000 + 0,
      distribution,
    },
    failures,
  };
}
