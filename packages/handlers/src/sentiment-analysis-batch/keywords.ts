import { stopwords } from "@orama/stopwords/english";
import { wordValence } from "./lexicon.ts";
import { isLetter } from "./tokens.ts";
import { isDegreeWord, isNegation } from "./vader.ts";

const MOST_KEYWORDS = 10;
const MOST_WORDS = 3;
const SHORTEST_WORD = 3;

/** What the list lacks: words that reviews are full of and that say nothing by themselves. */
const OTHER_STOP_WORDS = (
  "also just get gets got getting one ones two even still us much many lot lots bit thing things something " +
  "anything everything someone anyone everyone went go goes going gone came come comes said say says make " +
  "makes made put take took taken give gave given let will yet ever already though although however since " +
  "around within upon every another now back way always yes oh im ive id youre thats theres"
).split(" ");

const stopWords: ReadonlySet<string> = new Set([...stopwords, ...OTHER_STOP_WORDS]);

/** These may stand between a negation and its word: "not a very good idea" is not about a good idea. */
const articles: ReadonlySet<string> = new Set(["a", "an", "the", "any"]);

/**
 * The most telling words and phrases of an English text, at most ten, in lower case, best first.
 *
 * A phrase is up to three words next to each other with no stop word, degree word or punctuation between; a
 * negation stays with the word after it ("not recommend"). A word weighs 1 plus its absolute valence, times
 * 1 + ln of how often the text has it; a phrase, the sum of its words over the square root of their number.
 * Addresses (with `@` or `://`) and numbers are never part of one. Linear but for sorting the phrases.
 *
 * @param passages - the parts of the text that keywords may come from; none goes across two of them
 */
export function findKeywords(passages: readonly string[]): string[] {
  const phrases: string[][] = [];
  const counts = new Map<string, number>();
  let phrase: string[] = [];
  let negation: string | undefined;

  const endPhrase = (): void => {
    if (phrase.length > 0) phrases.push(phrase);
    phrase = [];
    negation = undefined;
  };
  for (const { word, closes } of passages.flatMap((passage) => [...words(passage)])) {
    if (word === "no" || isNegation(word)) {
      endPhrase();
      negation = word;
    } else if (isContentWord(word)) {
      if (phrase.length === MOST_WORDS) endPhrase();
      if (negation !== undefined) phrase.push(negation);
      negation = undefined;
      phrase.push(word);
      counts.set(word, (counts.get(word) ?? 0) + 1);
    } else if (word === "of" && (phrase.at(-1) === "kind" || phrase.at(-1) === "sort")) {
      phrase.pop();
      endPhrase();
    } else if (negation === undefined || !(articles.has(word) || isDegreeWord(word))) endPhrase();
    if (closes) endPhrase();
  }

  const weightOf = (word: string): number => {
    const count = counts.get(word);
    // Negations are not counted: they add no weight of their own.
    if (count === undefined) return 0;
    return (1 + Math.abs(wordValence.get(word) ?? 0)) * (1 + Math.log(count));
  };
  const weights = new Map<string, number>();
  for (const words of phrases) {
    const sum = words.reduce((total, word) => total + weightOf(word), 0);
    weights.set(words.join(" "), sum / Math.sqrt(words.length));
  }
  return [...weights]
    .toSorted(([, one], [, other]) => other - one)
    .slice(0, MOST_KEYWORDS)
    .map(([words]) => words);
}

function isContentWord(word: string): boolean {
  return (
    (word.length >= SHORTEST_WORD || wordValence.has(word)) &&
    !stopWords.has(word) &&
    !isDegreeWord(word) &&
    !isNumber(word)
  );
}

function isNumber(word: string): boolean {
  for (let at = 0; at < word.length; at++) if (isLetter(word.charCodeAt(at))) return false;
  return true;
}

/** The words in lower case; `closes` where more than white space follows. An empty word stands for what is none. */
function* words(passage: string): Generator<{ word: string; closes: boolean }> {
  for (const chunk of chunks(passage)) {
    if (chunk.includes("@") || chunk.includes("://")) {
      yield { word: "", closes: true };
      continue;
    }
    let start = -1;
    for (let at = 0; at < chunk.length; at++) {
      if (isWordUnit(chunk, at)) {
        if (start < 0) start = at;
      } else {
        yield { word: start < 0 ? "" : plain(chunk.slice(start, at)), closes: true };
        start = -1;
      }
    }
    if (start >= 0) yield { word: plain(chunk.slice(start)), closes: false };
  }
  yield { word: "", closes: true };
}

function* chunks(passage: string): Generator<string> {
  let start = 0;
  for (let at = 0; at <= passage.length; at++) {
    if (at < passage.length && !isSpace(passage.charCodeAt(at))) continue;
    if (at > start) yield passage.slice(start, at);
    start = at + 1;
  }
}

function isSpace(unit: number): boolean {
  return unit <= 0x20 || unit === 0xa0;
}

/** Letters, digits, and an apostrophe or hyphen between them. */
function isWordUnit(chunk: string, at: number): boolean {
  const unit = chunk.charCodeAt(at);
  if (isLetter(unit) || isDigit(unit)) return true;
  if (unit !== 0x27 && unit !== 0x2019 && unit !== 0x2d) return false;
  const [before, after] = [chunk.charCodeAt(at - 1), chunk.charCodeAt(at + 1)];
  return (isLetter(before) || isDigit(before)) && (isLetter(after) || isDigit(after));
}

function isDigit(unit: number): boolean {
  return unit >= 0x30 && unit <= 0x39;
}

function plain(word: string): string {
  return word.toLowerCase().replaceAll("’", "'");
}
