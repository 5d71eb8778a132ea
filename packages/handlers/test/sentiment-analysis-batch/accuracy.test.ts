import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { analyseText, type Sentiment } from "../../src/sentiment-analysis-batch/analyse.ts";

const kinds = ["positive", "negative", "neutral"] as const;

interface Labelled {
  /** What a person would say of it, written down before the analyser saw the text. */
  readonly label: Sentiment;
  readonly text: string;
}

const texts: readonly Labelled[] = readFileSync(new URL("labelled.tsv", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => {
    const [label = "", text = ""] = line.split("\t");
    return { label: label as Sentiment, text };
  });

/** By label and verdict. */
function confusion(): Record<Sentiment, Record<Sentiment, number>> {
  const none = () => ({ positive: 0, negative: 0, neutral: 0 });
  const counts = { positive: none(), negative: none(), neutral: none() };
  for (const { label, text } of texts) {
    const { sentiment } = analyseText(text, { maskPersonalData: false, keywords: false });
    counts[label][sentiment]++;
  }
  return counts;
}

test("there are texts enough, of all kinds, none twice", () => {
  expect(texts.length).toBeGreaterThanOrEqual(500);
  expect(new Set(texts.map(({ text }) => text)).size).toBe(texts.length);
  for (const kind of kinds) {
    expect(texts.filter(({ label }) => label === kind).length).toBeGreaterThan(100);
  }
  expect(texts.every(({ label, text }) => kinds.includes(label) && text !== "")).toBe(true);
});

test("is as accurate as documented", () => {
  const counts = confusion();
  const right = kinds.reduce((sum, kind) => sum + counts[kind][kind], 0);
  expect(right / texts.length).toBeGreaterThan(0.67);
  const page = readFileSync(
    new URL("../../../../docs/job-types/sentiment.md", import.meta.url),
    "utf8",
  );
  expect(page).toContain(`${texts.length} texts: ${((100 * right) / texts.length).toFixed(1)} %`);
  for (const label of kinds) {
    const row = kinds.map((verdict) => counts[label][verdict]);
    const told = kinds.reduce((sum, other) => sum + counts[other][label], 0);
    const share = (of: number): string => (counts[label][label] / of).toFixed(2);
    const total = row.reduce((sum, count) => sum + count);
    const cells = [label, ...row, share(told), share(total)];
    expect(page).toContain(`| ${cells.join(" | ")} |`);
  }
});
