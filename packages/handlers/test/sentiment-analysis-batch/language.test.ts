import { expect, test } from "vitest";
import {
  isSupportedLanguage,
  requireSupportedLanguage,
  SUPPORTED_LANGUAGES,
  UnsupportedLanguage,
} from "../../src/sentiment-analysis-batch/language.ts";

test.each(["en", "EN", "en-US", "en_GB", "en-Latn-AU"])("%s is supported", (tag) => {
  expect(isSupportedLanguage(tag)).toBe(true);
});

test.each(["fr", "eng-", "", "e", "es-US", "english", "../en"])("%j is not", (tag) => {
  expect(() => requireSupportedLanguage(tag)).toThrow(UnsupportedLanguage);
});

test("the error says which are", () => {
  expect(() => requireSupportedLanguage("fr")).toThrow(
    `"fr" is not supported; texts can be analysed in: ${SUPPORTED_LANGUAGES.join(", ")}`,
  );
});
