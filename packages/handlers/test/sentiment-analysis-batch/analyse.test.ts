import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { analyseText, IllFormedText } from "../../src/sentiment-analysis-batch/analyse.ts";

const all = { maskPersonalData: true, keywords: true };

test("a text's sentiment, score, confidence and keywords", () => {
  expect(analyseText("I love this product!", all)).toEqual({
    text: "I love this product!",
    sentiment: "positive",
    score: 0.6696,
    confidence: 0.87,
    keywords: ["love", "product"],
  });
});

test("keywords only when asked for", () => {
  expect(analyseText("Fine.", { ...all, keywords: false })).not.toHaveProperty("keywords");
});

test.each([
  ["The parcel came on Tuesday.", "neutral"],
  ["Fine.", "positive"],
  ["The hinge is broken.", "negative"],
])("%s is %s", (text, sentiment) => {
  expect(analyseText(text, all).sentiment).toBe(sentiment);
});

describe("confidence", () => {
  const confidence = (text: string): number => analyseText(text, all).confidence;

  test("grows with the strength of the score", () => {
    expect(confidence("It is ok")).toBeLessThan(confidence("It is good"));
    expect(confidence("It is good")).toBeLessThan(confidence("Excellent, I love it, best ever!!!"));
  });

  test("of a neutral text falls with words that may say more, and that cancel out", () => {
    expect(confidence("The parcel came")).toBeGreaterThan(
      confidence("The parcel came on Tuesday with the grey cable in the second box"),
    );
    expect(analyseText("nice, problem", all).sentiment).toBe("neutral");
    expect(confidence("nice, problem")).toBeLessThan(confidence("box, lid"));
  });

  test.each(["", "  \n", "12 345", "?! ...", "📦"])("is 0 with nothing to read: %j", (text) => {
    expect(analyseText(text, all)).toMatchObject({ sentiment: "neutral", score: 0, confidence: 0 });
  });

  test("an emoticon is something to read", () => {
    expect(confidence(":)")).toBeGreaterThan(0.5);
  });
});

describe("masking", () => {
  const text = "Great! Write to great.love@example.com";

  test("changes the text that is given back, not what is analysed", () => {
    const masked = analyseText(text, all);
    expect(masked.text).toBe("Great! Write to [EMAIL]");
    expect(masked.score).toBe(analyseText(text, { ...all, maskPersonalData: false }).score);
  });

  test("can be left off", () => {
    expect(analyseText(text, { ...all, maskPersonalData: false }).text).toBe(text);
  });

  test("keywords come from what is not masked", () => {
    const { keywords } = analyseText(
      "Card 4111 1111 1111 1111, account DE89 3704 0044 0532 0130 00, https://bob:hunter@shop.example.com/cart, bob@example.com",
      all,
    );
    expect(keywords).toEqual(["card", "account"]);
  });
});

describe("keywords", () => {
  const keywords = (text: string) => analyseText(text, all).keywords;

  test("the telling words first, neighbours together, negations with their words", () => {
    expect(
      keywords(
        "Not a very good idea: the battery life is terrible and customer service never answered.",
      ),
    ).toEqual(["terrible", "not good idea", "battery life", "customer service", "never answered"]);
  });

  test("are told once, and count for more when repeated", () => {
    expect(keywords("The lid leaks. The hinge squeaks, the lid leaks again: lid!")?.[0]).toBe(
      "lid leaks",
    );
  });

  test("at most ten", () => {
    const words = "apple, berry, carrot, date, egg, fig, grape, honey, ice, jam, kale, lime";
    expect(keywords(words)).toHaveLength(10);
  });

  test("a phrase has three words at most", () => {
    for (const phrase of keywords("red cotton summer dress pocket zip") ?? []) {
      expect(phrase.split(" ").length).toBeLessThanOrEqual(3);
    }
  });
});

test("half a surrogate pair is refused", () => {
  expect(() => analyseText("good \ud83d", all)).toThrow(IllFormedText);
});

test("any well-formed text is analysed, with numbers in range", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: "grapheme" }), fc.lorem(), fc.emailAddress()),
      (text) => {
        const result = analyseText(text, all);
        expect(Math.abs(result.score)).toBeLessThanOrEqual(1);
        expect(result.confidence).toBeGreaterThanOrEqual(0);
        expect(result.confidence).toBeLessThanOrEqual(1);
        expect(result.keywords?.length).toBeLessThanOrEqual(10);
      },
    ),
  );
});

test("no keyword holds a masked address", () => {
  fc.assert(
    fc.property(fc.emailAddress({ size: "small" }), (address) => {
      // What parts a URL is taken for the end of one.
      fc.pre(!/[/?=]/.test(address));
      const { keywords } = analyseText(`Reply to ${address} please`, all);
      expect(keywords?.every((keyword) => !keyword.includes("@"))).toBe(true);
      expect(keywords).toEqual(analyseText("Reply to [ please", all).keywords);
    }),
  );
});

// Ten thousand characters, the longest text there may be, of what would make a backtracking scan explode.
test.each([
  "a",
  "@",
  "a@",
  "a.",
  "1",
  "1 ",
  "1-",
  "1.",
  "(1",
  "+1",
  "4111 ",
  "DE89",
  "::",
  "a:",
  "://",
  "://a@",
  "0 0",
  "555-",
  "but ",
  "not ",
  ". ",
  "!?",
  "no no. ",
  "great,",
  "a/b/",
  "a--",
  "😀",
  "…",
  "so this never ",
  "call 1",
])("a text of nothing but %j is done at once", (piece) => {
  const text = piece.repeat(10_000 / piece.length);
  expect(analyseText(text, all).sentiment).toBeTypeOf("string");
});
