import { emojiEmotion } from "emoji-emotion";
// @ts-expect-error The package has no types. Its data file is all that is used of it.
import { lexicon } from "vader-sentiment/src/vader_lexicon.js";

/** Words and emoticons in lower case, with the mean of ten people's ratings from -4 to 4. */
const publishedEntries = Object.entries(lexicon as Readonly<Record<string, number>>);

/** What the authors' own later lexicon changed after the version that the npm package carries. */
const LATER_ENTRIES: readonly (readonly [string, number])[] = [
  ["badass", 1.4],
  ["flawed", -2.1],
  ["heart", 3.2],
  ["hearts", 3.3],
];

/**
 * Valence of English words and emoticons, -4 (most negative) to 4, by lower-case spelling: the lexicon of
 * Hutto & Gilbert, "VADER", ICWSM 2014.
 */
export const wordValence: ReadonlyMap<string, number> = new Map([
  ...publishedEntries,
  ...LATER_ENTRIES,
]);

// Absolute value above which no entry of the lexicon lies, and emoji-emotion's own.
const VADER_SCALE = 4;
const EMOJI_EMOTION_SCALE = 5;

/** Signs frequent in reviews that emoji-emotion has not; rated by us, on the lexicon's scale. */
const OTHER_SIGNS: Readonly<Record<string, number>> = {
  "🥰": 2.8,
  "🤩": 2.8,
  "🥳": 2.4,
  "🫶": 2.4,
  "🧡": 2.4,
  "🤎": 2.4,
  "🤍": 2.4,
  "🩷": 2.4,
  "🩵": 2.4,
  "🩶": 2.4,
  "♥": 2.4,
  "❣": 2.4,
  "💟": 2.4,
  "🏆": 2,
  "🎉": 1.7,
  "🔥": 1.6,
  "⭐": 1.4,
  "🌟": 1.4,
  "💪": 1.4,
  "✨": 1.3,
  "✅": 1.2,
  "❌": -1.2,
  "🥱": -1.2,
  "🤦": -1.4,
  "🚩": -1.6,
  "🗑": -1.6,
  "🤮": -2.6,
  "🤬": -3.2,
};

/**
 * Valence of emoji, -4 to 4, by code point. VADER itself reads an emoji as the words of its Unicode name,
 * which makes "game die" negative and "thumbs up" nothing; a rating of the signs themselves does better.
 */
export const emojiValence: ReadonlyMap<number, number> = new Map([
  ...emojiEmotion.map(
    ({ emoji, polarity }) =>
      [codePoint(emoji), (polarity * VADER_SCALE) / EMOJI_EMOTION_SCALE] as const,
  ),
  ...Object.entries(OTHER_SIGNS).map(([emoji, valence]) => [codePoint(emoji), valence] as const),
]);

/** Every sign here is one code point, apart from variation selectors. */
function codePoint(emoji: string): number {
  return emoji.codePointAt(0) ?? 0;
}
