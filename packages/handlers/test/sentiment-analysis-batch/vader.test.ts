import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rateText } from "../../src/sentiment-analysis-batch/vader.ts";

const score = (text: string): number => Math.round(rateText(text).compound * 10_000) / 10_000;

// The examples of the authors' README, with the scores that their program gives.
test.each([
  ["VADER is smart, handsome, and funny.", 0.8316],
  ["VADER is smart, handsome, and funny!", 0.8439],
  ["VADER is very smart, handsome, and funny.", 0.8545],
  ["VADER is VERY SMART, handsome, and FUNNY.", 0.9227],
  ["VADER is VERY SMART, handsome, and FUNNY!!!", 0.9342],
  ["VADER is VERY SMART, uber handsome, and FRIGGIN FUNNY!!!", 0.9469],
  ["VADER is not smart, handsome, nor funny.", -0.7424],
  ["The book was good.", 0.4404],
  ["At least it isn't a horrible book.", 0.431],
  ["The book was only kind of good.", 0.3832],
  ["The plot was good, but the characters are uncompelling and the dialog is not great.", -0.7042],
  ["Today SUX!", -0.5461],
  ["Today only kinda sux! But I'll get by, lol", 0.5249],
  ["Make sure you :) or :D today!", 0.8633],
  ["Not bad at all", 0.431],
  ["Sentiment analysis has never been good.", -0.3412],
  ["Sentiment analysis has never been this good!", 0.5672],
  ["Most automated sentiment analysis tools are shit.", -0.5574],
  ["With VADER, sentiment analysis is the shit!", 0.6476],
  ["Other sentiment analysis tools can be quite bad.", -0.5849],
  ["On the other hand, VADER is quite bad ass", 0.802],
  ["VADER is such a badass!", 0.4003],
  ["Without a doubt, excellent idea.", 0.7013],
  ["Roger Dodger is one of the most compelling variations on this theme.", 0.2944],
  ["Roger Dodger is at least compelling as a variation on the theme.", 0.2263],
  ["Roger Dodger is one of the least compelling variations on this theme.", -0.1695],
  ["Not such a badass after all.", -0.2584],
])("published score of: %s", (text, published) => {
  expect(score(text)).toBe(published);
});

describe("degree", () => {
  test("words before strengthen or weaken, the less the farther", () => {
    const plain = score("The staff were helpful");
    expect(score("The staff were very helpful")).toBeGreaterThan(plain);
    expect(score("The staff were slightly helpful")).toBeLessThan(plain);
    expect(score("extremely bad")).toBeLessThan(score("bad"));
    expect(score("kind of bad")).toBeGreaterThan(score("bad"));
    expect(score("so very very helpful")).toBeGreaterThan(score("so very helpful"));
  });

  test("question marks count from the second on", () => {
    expect(score("A good book?")).toBe(score("A good book"));
    expect(score("A good book??")).toBeGreaterThan(score("A good book"));
    expect(score("A good book????")).toBe(score("A good book?????"));
  });

  test("four exclamation marks are as many as any more", () => {
    expect(score("good!!!!")).toBe(score("good!!!!!!!!"));
  });

  test("capitals say nothing where all is in capitals", () => {
    expect(score("THE BOOK WAS GOOD")).toBe(score("the book was good"));
    expect(score("the book was GOOD")).toBeGreaterThan(score("the book was good"));
  });
});

describe("negation", () => {
  test("reaches three words, and not into the next sentence", () => {
    expect(score("It is not good")).toBeLessThan(0);
    expect(score("It is not all that good")).toBeLessThan(0);
    expect(score("It did not fit. Terrible.")).toBeLessThan(score("It did fit. Great."));
    expect(score("No, it does not fit. Terrible.")).toBeLessThan(0);
  });

  test("by a typographic apostrophe", () => {
    expect(score("It isn’t good")).toBe(score("It isn't good"));
  });

  test("does not reach emoji and emoticons", () => {
    expect(score("not for me 😡")).toBeLessThan(0);
    expect(score("not for me :(")).toBeLessThan(0);
  });

  test('"no" turns what follows', () => {
    expect(score("No problems")).toBeGreaterThan(0);
    expect(score("No.")).toBeLessThan(0);
  });
});

describe('"but"', () => {
  test("gives what follows more weight", () => {
    expect(score("The screen is great, but the battery is terrible.")).toBeLessThan(0);
    expect(score("The battery is terrible, but the screen is great.")).toBeGreaterThan(0);
  });

  test("opening a sentence, it contrasts with the sentence before", () => {
    expect(score("The screen is great. But the battery is terrible.")).toBe(
      score("The screen is great, but the battery is terrible."),
    );
  });

  test("leaves other sentences alone", () => {
    expect(score("Small but old. Bad screen.")).toBe(score("Bad screen."));
    expect(score("Bad screen. Small but old.")).toBe(score("Bad screen."));
  });

  test("counts equal words by their place", () => {
    expect(score("good but good")).toBe(score("good, however, good"));
  });
});

describe("emoji", () => {
  test.each([
    ["👍", 1],
    ["I got it yesterday ❤️", 1],
    ["box📦arrived🎉", 1],
    ["👎🏽", -1],
    ["the new version 💩", -1],
    ["🥲 📦 🔧", 0],
  ])("%s", (text, sign) => {
    expect(Math.sign(score(text))).toBe(sign);
  });

  test("repeated ones add up", () => {
    expect(score("😍😍😍")).toBeGreaterThan(score("😍"));
  });
});

describe("words", () => {
  test.each([
    ["great,but late", "great, but late"],
    ["It broke...awful", "It broke... awful"],
    ["awful.Never again", "awful. Never again"],
    ["“great”", '"great"'],
    ["good—really", "good really"],
    ["goooood", "good"],
    ["ok.", "ok"],
    ["nice :).", "nice :)"],
    ["nice\u00a0phone", "nice phone"],
  ])("%s reads as %s", (written, meant) => {
    expect(score(written)).toBe(score(meant));
  });

  test("addresses are no words", () => {
    expect(score("https://example.com/great/love")).toBe(0);
    expect(score("great,love@example.com")).toBe(0);
  });

  test("idioms count at the start too", () => {
    expect(score("yeah right")).toBeLessThan(0);
    expect(score("The bomb!")).toBeGreaterThan(0);
    expect(score("broken heart")).toBeLessThan(0);
  });
});

test("every string has a score from -1 to 1", () => {
  const words = fc.constantFrom(
    ..."not never but least no so this without doubt kind of GREAT awful :) 😡 !!! ... , good\ud800".split(
      " ",
    ),
  );
  const sentence = fc.array(words, { maxLength: 60 }).map((parts) => parts.join(" "));
  fc.assert(
    fc.property(fc.oneof(sentence, fc.string({ unit: "binary" }), fc.string()), (text) => {
      const { compound } = rateText(text);
      expect(compound).toBeGreaterThanOrEqual(-1);
      expect(compound).toBeLessThanOrEqual(1);
    }),
  );
});
