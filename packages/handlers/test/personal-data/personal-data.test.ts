import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findPersonalData, maskPersonalData } from "../../src/personal-data/personal-data.ts";

describe("masked", () => {
  test.each([
    ["Mail bob.smith+shop@mail.example.co.uk!", "Mail [EMAIL]!"],
    ["(anna@example.com), 'o'hara@example.com'.", "([EMAIL]), '[EMAIL]'."],
    ["email=anna@example.com", "email=[EMAIL]"],
    ["https://example.com/?to=anna@example.com", "https://example.com/?to=[EMAIL]"],
    ["a@example.com,b@example.com", "[EMAIL],[EMAIL]"],
    ["mailto:jürgen@bücher.example", "mailto:[EMAIL]"],
    ["Call (555) 123-4567 now", "Call [PHONE] now"],
    ["Call 555-123-4567.", "Call [PHONE]."],
    ["1-800-555-0199", "[PHONE]"],
    ["my number is 555.010.1234", "my number is [PHONE]"],
    ["my number is 5550101234", "my number is [PHONE]"],
    ["+1 555 010 1234 or +1 (555) 010-1234", "[PHONE] or [PHONE]"],
    ["+44 (0)20 7946 0958", "[PHONE]"],
    ["020 7946 0958 / 07700 900123", "[PHONE] / [PHONE]"],
    ["06 12 34 56 78", "[PHONE]"],
    ["0049 30 1234567", "[PHONE]"],
    ["555-0134", "[PHONE]"],
    ["whatsapp: 7911123", "whatsapp: [PHONE]"],
    ["+1\u00a0555\u00a0010\u20111234", "[PHONE]"],
    ["SSN 123-45-6789", "SSN [SSN]"],
    ["123 45 6789", "[SSN]"],
    ["my social security number is 123456789", "my social security number is [SSN]"],
    ["4111 1111 1111 1111", "[CREDIT_CARD]"],
    ["4111111111111111 exp 12/27", "[CREDIT_CARD] exp 12/27"],
    ["3782-822463-10005", "[CREDIT_CARD]"],
    ["call 2024 4111 1111 1111 1111", "call 2024 [CREDIT_CARD]"],
    ["+1 555 123 4567 4111 1111 1111 1111", "[PHONE] [CREDIT_CARD]"],
    ["IBAN DE89 3704 0044 0532 0130 00 and so on", "IBAN [IBAN] and so on"],
    ["gb29nwbk60161331926819", "[IBAN]"],
    ["from 192.168.0.12.", "from [IP_ADDRESS]."],
    ["fe80::1ff:fe23:4567:890a, 2001:db8::1:", "[IP_ADDRESS], [IP_ADDRESS]:"],
    ["::ffff:192.0.2.1", "[IP_ADDRESS]"],
    ["postgres://bob:s3cret@db.example.com/x", "postgres://[CREDENTIALS]@db.example.com/x"],
    ["https://token@example.com", "https://[CREDENTIALS]@example.com"],
  ])("%s", (text, masked) => {
    expect(maskPersonalData(text)).toBe(masked);
  });
});

describe("left alone", () => {
  test.each([
    ["card with a wrong check digit", "4111 1111 1111 1112"],
    ["card of no issuer", "0000 0000 0000 0000"],
    ["bank account with wrong check digits", "GB29 NWBK 6016 1331 9268 18"],
    ["bank account of the wrong length", "GB29 NWBK 6016 1331 9268"],
    ["security number that is never given out", "666-45-6789, 123-00-6789, 900-45-6789"],
    ["nine digits", "123456789"],
    ["order number", "order no. 2345678901 and tracking 0123456789"],
    ["dates and times", "01.02.2024 12:30:45, 2024-11-22 10:30, 05-12-2024 10"],
    ["fraction", "0.123456789"],
    ["numbers of other kinds", "1,299.99 for 2 of 16x9, size 10-12, 100 200, 555-01345"],
    ["version", "version 1.2.3.4, v1.2.3.4, 1.2.3.4.5"],
    ["too great for an address", "256.1.1.1"],
    ["colons", "10:30:45, a::b, std::vector"],
    ["sign without an address", "@shop, me@, 5 @ 3.50, a@b, a@b.1"],
    ["address of a page", "https://example.com/a?b=c"],
  ])("%s", (_, text) => {
    expect(maskPersonalData(text)).toBe(text);
    expect(findPersonalData(text)).toEqual([]);
  });
});

test("tells kind and place", () => {
  const text = "a@example.com or 555-010-1234";
  expect(findPersonalData(text)).toEqual([
    { kind: "EMAIL", start: 0, end: 13 },
    { kind: "PHONE", start: 17, end: 29 },
  ]);
});

test("what overlaps is masked as one", () => {
  expect(maskPersonalData("4111111111111111@example.com")).toBe("[EMAIL]");
  expect(maskPersonalData("4111 1111 1111 1111@example.com")).toBe("[EMAIL]");
});

const prose = fc.constantFrom(
  "",
  "The lid broke. ",
  "I paid 12.99 on 3 May! ",
  "😀 ok, ",
  "(see) ",
);
const ending = fc.constantFrom("", ".", ", thanks", " 😀", ")", "\nbye");

test("no generated e-mail address is left", () => {
  fc.assert(
    fc.property(prose, fc.emailAddress(), ending, (before, address, after) => {
      expect(maskPersonalData(before + address + after)).not.toContain(address);
    }),
  );
});

test("no generated card number is left", () => {
  const digits = (length: number) =>
    fc.array(fc.integer({ min: 0, max: 9 }), { minLength: length, maxLength: length });
  const card = fc
    .oneof(
      fc.tuple(fc.constant("4"), digits(14)),
      fc.tuple(fc.constantFrom("51", "55", "65"), digits(13)),
      fc.tuple(fc.constantFrom("34", "37"), digits(12)),
    )
    .map(([issuer, rest]) => withCheckDigit(issuer + rest.join("")));
  const separator = fc.constantFrom("", " ", "-");
  fc.assert(
    fc.property(prose, card, separator, ending, (before, number, between, after) => {
      const written = number.match(/.{1,4}/g)?.join(between) ?? "";
      const grouped = written.split(between || "x").every(({ length }) => length > 2);
      fc.pre(grouped);
      expect(maskPersonalData(before + written + after)).toBe(`${before}[CREDIT_CARD]${after}`);
    }),
  );
});

test("places are in order, apart and within the text, whatever it is", () => {
  const piece = fc.constantFrom(
    ..."@ . : :// - ( ) + 1 555 0 00 4111 1111 :: fe80 DE89 a bob example.com 123-45-6789 call".split(
      " ",
    ),
    " ",
    "\n",
  );
  const made = fc.array(piece, { maxLength: 40 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.oneof(made, fc.string({ unit: "binary" })), (text) => {
      let from = 0;
      for (const { start, end } of findPersonalData(text)) {
        expect(start).toBeGreaterThanOrEqual(from);
        expect(end).toBeGreaterThan(start);
        from = end;
      }
      expect(from).toBeLessThanOrEqual(text.length);
    }),
    { numRuns: 1000 },
  );
});

function withCheckDigit(digits: string): string {
  let sum = 0;
  for (const [index, digit] of digits.split("").toReversed().entries()) {
    const doubled = Number(digit) * (index % 2 === 0 ? 2 : 1);
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return digits + String((10 - (sum % 10)) % 10);
}
