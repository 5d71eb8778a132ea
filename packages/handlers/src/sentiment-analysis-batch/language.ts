/** The languages whose sentiment can be analysed, as ISO 639-1 codes. */
export const SUPPORTED_LANGUAGES: readonly string[] = ["en"];

/** There is no lexicon for the language asked for. */
export class UnsupportedLanguage extends Error {
  override readonly name = "UnsupportedLanguage";
  constructor(language: string) {
    super(
      `Language "${language}" is not supported; texts can be analysed in: ${SUPPORTED_LANGUAGES.join(", ")} (with any region, such as en-US)`,
    );
  }
}

/** Whether texts in that language can be analysed: a BCP 47 tag, in any case; `_` is taken for `-`. */
export function isSupportedLanguage(tag: string): boolean {
  try {
    return SUPPORTED_LANGUAGES.includes(new Intl.Locale(tag.replaceAll("_", "-")).language);
  } catch {
    // Not a language tag at all.
    return false;
  }
}

/** @throws {UnsupportedLanguage} */
export function requireSupportedLanguage(tag: string): void {
  if (!isSupportedLanguage(tag)) throw new UnsupportedLanguage(tag);
}
