import { wordValence } from "./lexicon.ts";
import { readTokens } from "./tokens.ts";
import type { Token } from "./tokens.ts";

// The rules of VADER (Hutto & Gilbert, ICWSM 2014) as its authors' program has them, with its constants.
// Where that program is blind, this one is not, and scores otherwise:
// - "but" contrasts within its sentence (and with the sentence before, when it opens one), and each word
//   counts by its place; theirs weighs the whole text by its first "but", and mistakes equal scores;
// - negations and degree words do not reach over the end of a sentence;
// - emoji and emoticons are not negated or strengthened by the words before them;
// - idioms and "kind of" count wherever they stand (theirs: from the fourth word on), and "kind of" weakens
//   a negative word too;
// - emoji have ratings of their own (lexicon.ts), and words are told apart better (tokens.ts).
// Measured on the authors' rated texts, all four corpora correlate with people as well as with theirs, and
// whole reviews better (Amazon: 0.657 against 0.629).

/** Mean rise of a rating by a degree word, by capitals, by an exclamation mark; and what negation leaves. */
const DEGREE = 0.293;
const CAPITALS = 0.733;
const EXCLAMATION = 0.292;
const NEGATION = -0.74;
/** A degree word's effect from one, two and three words away. */
const FADING = [1, 0.95, 0.9] as const;
const NEVER_SO = 1.25;
const BEFORE_BUT = 0.5;
const AFTER_BUT = 1.5;
/** Approximates the greatest expected sum of valences. */
const NORMALISATION = 15;

const negations = new Set(
  (
    "aint arent cannot cant couldnt darent didnt doesnt dont hadnt hasnt havent isnt mightnt mustnt " +
    "neednt oughtnt shant shouldnt wasnt werent wont wouldnt " +
    "neither never none nope nor not nothing nowhere uhuh uh-uh without rarely seldom despite"
  ).split(" "),
);

const degrees = new Map<string, number>();
for (const word of (
  "absolutely amazingly awfully completely considerable considerably decidedly deeply effing enormous " +
  "enormously entirely especially exceptional exceptionally extreme extremely fabulously flipping flippin " +
  "frackin fracking fricking frickin frigging friggin fully fuckin fucking fuggin fugging greatly hella " +
  "highly hugely incredible incredibly intensely major majorly more most particularly purely quite really " +
  "remarkably so substantially thoroughly total totally tremendous tremendously uber unbelievably " +
  "unusually utter utterly very"
).split(" ")) {
  degrees.set(word, DEGREE);
}
for (const word of (
  "almost barely hardly kinda kindof kind-of less little marginal marginally occasional occasionally " +
  "partly scarce scarcely slight slightly somewhat sorta sortof sort-of"
).split(" ")) {
  degrees.set(word, -DEGREE);
}
const degreePhrases = new Map([
  ["just enough", -DEGREE],
  ["kind of", -DEGREE],
  ["sort of", -DEGREE],
]);

const idioms = new Map([
  ["the shit", 3],
  ["the bomb", 3],
  ["bad ass", 1.5],
  ["bus stop", 0],
  ["yeah right", -2],
  ["kiss of death", -1.5],
  ["to die for", 3],
  ["beating heart", 3.1],
  ["broken heart", -2.9],
]);

/** Whether the word turns the meaning of what follows ("not", "isn't", "without"). */
export function isNegation(word: string): boolean {
  return negations.has(word) || word.includes("n't");
}

/** Whether the word only says how much ("very", "kinda"). */
export function isDegreeWord(word: string): boolean {
  return degrees.has(word);
}

const vocabulary: ReadonlySet<string> = new Set([
  ...wordValence.keys(),
  ...degrees.keys(),
  ...negations,
  "but",
]);

/** What VADER's rules make of a text. */
export interface Valence {
  /** VADER's compound score, -1 to 1; not rounded. */
  readonly compound: number;
  /** How many words and signs of the text carry sentiment. */
  readonly hits: number;
  readonly words: number;
  /** False if there is nothing to read: no letter, no rated emoji or emoticon. */
  readonly readable: boolean;
}

/** Scores an English text. Linear in its length; any string is taken. */
export function rateText(text: string): Valence {
  const { tokens, readable } = readTokens(text, vocabulary);
  const emphasised = hasSomeCapitals(tokens);
  const valences = tokens.map((token, at) => rateToken(tokens, at, token, emphasised));
  contrast(tokens, valences);

  let sum = 0;
  let hits = 0;
  for (const valence of valences) {
    sum += valence;
    if (valence !== 0) hits++;
  }
  sum += Math.sign(sum) * punctuationEmphasis(text);
  return {
    compound: sum / Math.sqrt(sum * sum + NORMALISATION),
    hits,
    words: tokens.length,
    readable: readable || hits > 0,
  };
}

/** Capitals emphasise only where not everything is in capitals. */
function hasSomeCapitals(tokens: readonly Token[]): boolean {
  const count = tokens.filter(({ capitals }) => capitals).length;
  return count > 0 && count < tokens.length;
}

function rateToken(
  tokens: readonly Token[],
  at: number,
  { word, valence, sign, capitals }: Token,
  emphasised: boolean,
): number {
  if (valence === undefined || degrees.has(word)) return 0;
  // ":D" and "XD" are in capitals too.
  const emphasis = capitals && emphasised ? CAPITALS : 0;
  if (sign) return valence + Math.sign(valence) * emphasis;
  const reach = wordsBefore(tokens, at);
  const before = (distance: number): string =>
    distance <= reach ? (tokens[at - distance]?.word ?? "") : "";
  const next = tokens[at + 1];
  if (word === "kind" && next?.word === "of") return 0;

  let rating = valence;
  // "no" before a word of the lexicon negates it and has no rating of its own.
  if (word === "no" && next?.valence !== undefined && !next.startsSentence) rating = 0;
  if (
    before(1) === "no" ||
    before(2) === "no" ||
    (before(3) === "no" && (before(1) === "or" || before(1) === "nor"))
  ) {
    rating = valence * NEGATION;
  }
  rating += rating > 0 ? emphasis : -emphasis;

  for (const [index, fading] of FADING.entries()) {
    const modifier = index + 1 <= reach ? tokens[at - index - 1] : undefined;
    if (modifier === undefined || modifier.valence !== undefined) continue;
    rating += degreeOf(modifier, rating, emphasised) * fading;
    rating *= negationBy(before, index + 1);
  }
  rating = rateIdioms(tokens, at, before, rating);

  if (before(1) === "least" && before(2) !== "at" && before(2) !== "very") rating *= NEGATION;
  return rating;
}

/** How many words before this one its modifiers may stand: three, within the sentence. */
function wordsBefore(tokens: readonly Token[], at: number): number {
  let reach = 0;
  while (reach < FADING.length && tokens[at - reach]?.startsSentence === false) reach++;
  return reach;
}

/** What the modifier adds to a rating. Away from neutral if it strengthens, towards if it weakens. */
function degreeOf({ word, capitals }: Token, rating: number, emphasised: boolean): number {
  const degree = degrees.get(word) ?? 0;
  if (degree === 0) return 0;
  const towards = rating < 0 ? -degree : degree;
  if (!capitals || !emphasised) return towards;
  return towards + (rating > 0 ? CAPITALS : -CAPITALS);
}

/** What a word at `distance` before the rated one multiplies its rating by. */
function negationBy(before: (distance: number) => string, distance: number): number {
  const so = (word: string): boolean => word === "so" || word === "this";
  const word = before(distance);
  if (distance === 2) {
    if (word === "never" && so(before(1))) return NEVER_SO;
    if (word === "without" && before(1) === "doubt") return 1;
  }
  if (distance === 3) {
    // The published program takes "so" and "this" just before the word as emphasis even without "never",
    // and does better for it.
    if ((word === "never" && so(before(2))) || so(before(1))) return NEVER_SO;
    if (word === "without" && (before(2) === "doubt" || before(1) === "doubt")) return 1;
  }
  return isNegation(word) ? NEGATION : 1;
}

function rateIdioms(
  tokens: readonly Token[],
  at: number,
  before: (distance: number) => string,
  rating: number,
): number {
  const word = tokens[at]?.word ?? "";
  const [one, two, three] = [before(1), before(2), before(3)];
  const next = tokens[at + 1]?.word;
  const afterNext = tokens[at + 2]?.word;

  const leading = [
    `${one} ${word}`,
    `${two} ${one} ${word}`,
    `${two} ${one}`,
    `${three} ${two} ${one}`,
    `${three} ${two}`,
  ].find((phrase) => idioms.has(phrase));
  let rated = (leading === undefined ? undefined : idioms.get(leading)) ?? rating;
  if (next !== undefined) {
    rated = idioms.get(`${word} ${next}`) ?? rated;
    rated = idioms.get(`${word} ${next} ${afterNext}`) ?? rated;
  }
  const degree =
    (degreePhrases.get(`${three} ${two}`) ?? 0) + (degreePhrases.get(`${two} ${one}`) ?? 0);
  return rated + (rated < 0 ? -degree : degree);
}

/** Of each sentence with a "but", what stands before its first one counts half, what follows half as much again. */
function contrast(tokens: readonly Token[], valences: number[]): void {
  let previous = 0;
  let start = 0;
  let but = -1;
  const scale = (from: number, to: number, factor: number): void => {
    for (let at = from; at < to; at++) valences[at] = (valences[at] ?? 0) * factor;
  };
  const endSentence = (end: number): void => {
    if (but >= 0) {
      scale(but === start ? previous : start, but, BEFORE_BUT);
      scale(but + 1, end, AFTER_BUT);
    }
    previous = start;
    start = end;
    but = -1;
  };
  for (const [at, { word, startsSentence }] of tokens.entries()) {
    if (startsSentence) endSentence(at);
    if (but < 0 && word === "but") but = at;
  }
  endSentence(tokens.length);
}

/** Up to four exclamation marks, and two or more question marks, raise the whole text's intensity. */
function punctuationEmphasis(text: string): number {
  let exclamations = 0;
  let questions = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0x21) exclamations++;
    else if (unit === 0x3f) questions++;
  }
  let doubt = 0;
  if (questions > 3) doubt = 0.96;
  else if (questions > 1) doubt = questions * 0.18;
  return Math.min(exclamations, 4) * EXCLAMATION + doubt;
}
