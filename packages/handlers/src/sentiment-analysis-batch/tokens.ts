import { emojiValence, wordValence } from "./lexicon.ts";

/** One word, emoticon or emoji of a text, as VADER's rules see it. */
export interface Token {
  /** In lower case, without the punctuation around it. */
  readonly word: string;
  /** From the lexicon, -4 to 4; undefined where it has no such word. */
  readonly valence: number | undefined;
  /** An emoji or emoticon: it says what it says, whatever words stand before it. */
  readonly sign: boolean;
  /** Written in capitals. */
  readonly capitals: boolean;
  readonly startsSentence: boolean;
}

/** The words of a text, and whether there is anything in it to read: a letter or a known emoji. */
export interface Reading {
  readonly tokens: readonly Token[];
  readonly readable: boolean;
}

/**
 * Splits a text at white space, dashes and emoji. Like VADER it keeps emoticons and contractions whole and
 * takes the punctuation off words; beyond it, it knows typographic quotes, words glued by punctuation
 * ("great,but"), short words with punctuation ("ok.") and drawn-out ones ("sooo", "gooood").
 *
 * @param known - every spelling that means something to the caller, in lower case
 */
export function readTokens(text: string, known: ReadonlySet<string>): Reading {
  const tokens: Token[] = [];
  let startsSentence = true;
  let readable = false;

  const push = (token: Omit<Token, "startsSentence">): void => {
    tokens.push({ ...token, startsSentence });
    startsSentence = false;
  };

  const pushPiece = (piece: string): void => {
    const text = bareWord(piece, known);
    const word = text.toLowerCase();
    const spelling = known.has(word) ? word : shortened(word, known);
    const valence = wordValence.get(spelling);
    const sign = valence !== undefined && isEmoticon(word);
    push({
      word: spelling,
      valence,
      sign,
      capitals: text !== word && text === text.toUpperCase(),
    });
    if (!sign && endsSentence(piece)) startsSentence = true;
  };

  let start = -1;
  let typographic = false;
  const finish = (end: number): void => {
    if (start < 0) return;
    const chunk = text.slice(start, end);
    for (const piece of unglued(typographic ? plainQuotes(chunk) : chunk, known)) pushPiece(piece);
    start = -1;
    typographic = false;
  };

  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) {
      if (unit <= 0x20) finish(at);
      else {
        if (start < 0) start = at;
        readable ||= isAsciiLetter(unit);
      }
      continue;
    }
    const point = text.codePointAt(at) ?? unit;
    const width = point > 0xffff ? 2 : 1;
    const valence = emojiValence.get(point);
    if (valence !== undefined) {
      finish(at);
      push({ word: String.fromCodePoint(point), valence, sign: true, capitals: false });
      readable = true;
    } else if (point === ELLIPSIS) {
      finish(at);
      startsSentence = true;
    } else if (isGap(point)) finish(at);
    else {
      if (start < 0) start = at;
      typographic ||= isTypographicQuote(point);
      readable ||= isLetter(point);
    }
    at += width - 1;
  }
  finish(text.length);
  return { tokens, readable };
}

const ELLIPSIS = 0x2026;

function isAsciiLetter(unit: number): boolean {
  const lower = unit | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** Near enough, by blocks: a code point, or a code unit that is no half of a pair, that words are made of. */
export function isLetter(point: number): boolean {
  if (point < 0x80) return isAsciiLetter(point);
  if (point < 0xc0) return point === 0xaa || point === 0xb5 || point === 0xba;
  if (point === 0xd7 || point === 0xf7 || (point >= 0xd800 && point <= 0xdfff)) return false;
  return !isGap(point) && !(point >= 0x2000 && point <= 0x2bff) && point < 0xf0000;
}

/** White space, dashes, invisible characters, and pictures that carry no rating. */
function isGap(point: number): boolean {
  return (
    point === 0x85 ||
    point === 0xa0 ||
    point === 0x1680 ||
    (point >= 0x2000 && point <= 0x2015) ||
    (point >= 0x2028 && point <= 0x202f) ||
    (point >= 0x205f && point <= 0x206f) ||
    (point >= 0x2190 && point <= 0x2bff) ||
    (point >= 0x3000 && point <= 0x303f) ||
    (point >= 0xfe00 && point <= 0xfe0f) ||
    point === 0xfeff ||
    (point >= 0x1f000 && point <= 0x1faff)
  );
}

function isTypographicQuote(point: number): boolean {
  return (point >= 0x2018 && point <= 0x201f) || point === 0x02bc;
}

function plainQuotes(chunk: string): string {
  let plain = "";
  for (const character of chunk) {
    const point = character.codePointAt(0) ?? 0;
    if (point >= 0x201c && point <= 0x201f) plain += '"';
    else plain += isTypographicQuote(point) ? "'" : character;
  }
  return plain;
}

/** Python's string.punctuation, which the published program strips. */
function isPunctuation(unit: number): boolean {
  return (
    (unit >= 0x21 && unit <= 0x2f) ||
    (unit >= 0x3a && unit <= 0x40) ||
    (unit >= 0x5b && unit <= 0x60) ||
    (unit >= 0x7b && unit <= 0x7e)
  );
}

function stripped(piece: string): string {
  let start = 0;
  let end = piece.length;
  while (start < end && isPunctuation(piece.charCodeAt(start))) start++;
  while (end > start && isPunctuation(piece.charCodeAt(end - 1))) end--;
  return piece.slice(start, end);
}

const SENTENCE_PUNCTUATION = '.,!?;"';

/** The piece without punctuation, or the emoticon that it is. */
function bareWord(piece: string, known: ReadonlySet<string>): string {
  if (known.has(piece.toLowerCase())) return piece;
  const word = stripped(piece);
  if (word !== "") return word;
  let end = piece.length;
  while (end > 2 && SENTENCE_PUNCTUATION.includes(piece.charAt(end - 1))) end--;
  return piece.slice(0, end);
}

/** `:)`, `<3`, `\o/`, `x-d`: has another character than letters and digits, and no two letters together. */
function isEmoticon(word: string): boolean {
  let other = false;
  let letters = 0;
  for (let at = 0; at < word.length; at++) {
    const unit = word.charCodeAt(at);
    letters = isAsciiLetter(unit) ? letters + 1 : 0;
    if (letters === 2) return false;
    other ||= isPunctuation(unit);
  }
  return other;
}

function endsSentence(piece: string): boolean {
  let at = piece.length - 1;
  while (at > 0 && "\"')]}*".includes(piece.charAt(at))) at--;
  return at >= 0 && ".!?".includes(piece.charAt(at));
}

/** "great,but" is two words; "example.com/great", "user-friendly" and "J.R.R." stay one. */
function unglued(chunk: string, known: ReadonlySet<string>): readonly string[] {
  if (!hasInnerPunctuation(chunk)) return [chunk];
  if (known.has(chunk.toLowerCase()) || known.has(stripped(chunk).toLowerCase())) return [chunk];
  if (chunk.includes("@") || chunk.includes("://")) return [chunk];
  const slashes = !chunk.includes(".");
  const pieces: string[] = [];
  let start = 0;
  for (let at = 1; at < chunk.length - 1; at++) {
    if (!isLetter(chunk.charCodeAt(at - 1))) continue;
    const gap = gapLength(chunk, at, slashes);
    if (gap === 0 || !isLetter(chunk.charCodeAt(at + gap))) continue;
    pieces.push(chunk.slice(start, at + gap));
    start = at + gap;
    at = start;
  }
  pieces.push(chunk.slice(start));
  return pieces;
}

function hasInnerPunctuation(chunk: string): boolean {
  for (let at = 1; at < chunk.length - 1; at++) {
    if (isPunctuation(chunk.charCodeAt(at)) && isLetter(chunk.charCodeAt(at - 1))) return true;
  }
  return false;
}

/** How many characters from `at` on part two words; 0 if none. */
function gapLength(chunk: string, at: number, slashes: boolean): number {
  let length = 0;
  while (',;!?()"'.includes(chunk.charAt(at + length)) && at + length < chunk.length) length++;
  if (length > 0) return length;
  if (chunk.charAt(at) === "/") return slashes ? 1 : 0;
  for (const mark of [".", "-"]) {
    while (chunk.charAt(at + length) === mark) length++;
    if (length > 1) return length;
    if (length === 1) return mark === "." && startsNextSentence(chunk, at) ? 1 : 0;
  }
  return 0;
}

/** The point in "awful.Never", not the one in "Node.js" or "U.S." */
function startsNextSentence(chunk: string, at: number): boolean {
  const before = chunk.charCodeAt(at - 1);
  const after = chunk.charCodeAt(at + 1);
  return before >= 0x61 && before <= 0x7a && after >= 0x41 && after <= 0x5a;
}

/** The known word that is drawn out ("gooood", "sooo"): runs of three letters and more cut to two, or one. */
function shortened(word: string, known: ReadonlySet<string>): string {
  if (!hasTriple(word)) return word;
  for (const kept of [2, 1]) {
    let short = "";
    for (let at = 0; at < word.length;) {
      let length = 1;
      while (word.charCodeAt(at + length) === word.charCodeAt(at)) length++;
      short += word.charAt(at).repeat(length > 2 ? kept : length);
      at += length;
    }
    if (known.has(short)) return short;
  }
  return word;
}

function hasTriple(word: string): boolean {
  for (let at = 2; at < word.length; at++) {
    const unit = word.charCodeAt(at);
    if (unit === word.charCodeAt(at - 1) && unit === word.charCodeAt(at - 2)) return true;
  }
  return false;
}
