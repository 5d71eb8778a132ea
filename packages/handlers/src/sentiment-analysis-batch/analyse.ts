import { findKeywords } from "./keywords.ts";
import { findPersonalData, maskPersonalData } from "../personal-data/personal-data.ts";
import type { PersonalData } from "../personal-data/personal-data.ts";
import { rateText } from "./vader.ts";
import type { Valence } from "./vader.ts";

export type Sentiment = "positive" | "negative" | "neutral";

export interface TextAnalysis {
  /** The text analysed, with its personal data masked if that was asked for. */
  text: string;
  sentiment: Sentiment;
  /** VADER's compound score, -1 (most negative) to 1, to four places. */
  score: number;
  /** How likely `sentiment` is what people would say, 0 to 1, to two places; see `confidenceOf`. */
  confidence: number;
  /** At most ten, the most telling first. */
  keywords?: string[];
}

export interface AnalysisOptions {
  maskPersonalData: boolean;
  keywords: boolean;
}

/** The text is not well-formed Unicode: it holds half of a surrogate pair. */
export class IllFormedText extends Error {
  override readonly name = "IllFormedText";
  constructor() {
    super("The text is not well-formed Unicode");
  }
}

/** VADER's own bound between a neutral text and one that leans to a side. */
const NEUTRAL_WITHIN = 0.05;

/**
 * The sentiment of one English text, by VADER's lexicon and rules. It is the text as given that is analysed;
 * masking changes what is given back, and keywords never come from what it masks.
 *
 * @throws {IllFormedText}
 */
export function analyseText(text: string, options: AnalysisOptions): TextAnalysis {
  if (!text.isWellFormed()) throw new IllFormedText();
  const valence = rateText(text);
  const sentiment = sentimentOf(valence.compound);
  const masked = options.maskPersonalData ? findPersonalData(text) : [];
  return {
    text: maskPersonalData(text, masked),
    sentiment,
    // Adding 0 makes -0 plain.
    score: rounded(valence.compound, 4) + 0,
    confidence: rounded(confidenceOf(sentiment, valence), 2),
    ...(options.keywords && { keywords: findKeywords(between(text, masked)) }),
  };
}

function sentimentOf(compound: number): Sentiment {
  if (compound >= NEUTRAL_WITHIN) return "positive";
  return compound <= -NEUTRAL_WITHIN ? "negative" : "neutral";
}

/**
 * The share of texts with such a score for which people's judgement was the same: logistic curves fitted to
 * the tweets and product reviews that Hutto & Gilbert had rated by twenty people each (7,900 sentences; a
 * mean rating that rounds to 0 is neutral). For a text that leans to a side it grows with the strength of
 * the score. That a text is neutral is the less sure, the more words it has and if it has words of sentiment
 * that cancel out; it never gets far over a half, as plain words can carry sentiment that no lexicon knows.
 * With nothing to read it is 0.
 */
function confidenceOf(sentiment: Sentiment, { compound, hits, words, readable }: Valence): number {
  if (!readable) return 0;
  return sentiment === "neutral"
    ? logistic(0.73 - (hits > 0 ? 0.73 : 0) - 0.46 * Math.log(1 + words))
    : logistic(3.77 * Math.abs(compound) - 0.61);
}

function logistic(odds: number): number {
  return 1 / (1 + Math.exp(-odds));
}

function rounded(value: number, places: number): number {
  const scale = 10 ** places;
  return Math.round(value * scale) / scale;
}

/** What of the text lies outside the pieces of personal data. */
function between(text: string, found: readonly PersonalData[]): string[] {
  const starts = [0, ...found.map(({ end }) => end)];
  const ends = [...found.map(({ start }) => start), text.length];
  return starts.map((start, index) => text.slice(start, ends[index]));
}
