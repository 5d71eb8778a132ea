import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatUuid, parseJobId } from "../src/ids.ts";

const id = fc.oneof(
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  fc.integer({ min: 1, max: 1_000 }),
  fc.constantFrom(1, 2 ** 32, 2 ** 48 - 1, 2 ** 48, 2 ** 48 + 1, Number.MAX_SAFE_INTEGER),
);

describe("spellings", () => {
  test("each reads back as the same id", () => {
    fc.assert(
      fc.property(id, (number) => {
        expect(parseJobId(number)).toBe(number);
        expect(parseJobId(String(number))).toBe(number);
        expect(parseJobId(formatUuid(number))).toBe(number);
        expect(parseJobId(formatUuid(number).toUpperCase())).toBe(number);
      }),
    );
  });

  test("the UUID is of version 8 and RFC 9562's variant, and keeps the order", () => {
    expect(formatUuid(1)).toBe("6a6f6279-6172-8640-8000-000000000001");
    expect(formatUuid(Number.MAX_SAFE_INTEGER)).toBe("6a6f6279-6172-8640-801f-ffffffffffff");
    fc.assert(
      fc.property(id, id, (a, b) => {
        expect(formatUuid(a)).toMatch(
          /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
        );
        expect(formatUuid(a) < formatUuid(b)).toBe(a < b);
      }),
    );
  });
});

describe("what is no id", () => {
  test.each([
    ["", "1e3", "01", "00", "0", "-1", "+1", "1.0", " 1", "1 ", "1\n", "0x10", "١", "1_000"],
    ["9007199254740992", "9007199254740993", "99999999999999999999", "9".repeat(100_000)],
    [0, -1, 1.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, -0],
    [null, undefined, true, 1n, [1], ["1"], { id: 1 }, new Date(1), Symbol("1"), Object(1)],
    // Id 0, a bit beyond the 53, other versions, variants and constants, no or odd punctuation.
    [
      "6a6f6279-6172-8640-8000-000000000000",
      "6a6f6279-6172-8640-8020-000000000001",
      "6a6f6279-6172-4640-8000-000000000001",
      "6a6f6279-6172-8640-c000-000000000001",
      "6a6f6279-6172-8641-8000-000000000001",
      "550e8400-e29b-41d4-a716-446655440000",
      "00000000-0000-0000-0000-000000000000",
      "6a6f6279617286408000000000000001",
      "{6a6f6279-6172-8640-8000-000000000001}",
      "urn:uuid:6a6f6279-6172-8640-8000-000000000001",
      "6a6f6279-6172-8640-8000-00000000001",
      "invalid-uuid",
    ],
  ])("%#", (...spellings: unknown[]) => {
    for (const spelling of spellings) expect(parseJobId(spelling)).toBeNull();
  });

  test("foreign UUIDs, other strings, other values", () => {
    fc.assert(
      fc.property(fc.uuid(), (uuid) => {
        expect(parseJobId(uuid)).toBeNull();
      }),
    );
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const parsed = parseJobId(value);
        if (parsed !== null) expect([String(parsed), formatUuid(parsed)]).toContain(String(value));
      }),
    );
    fc.assert(
      fc.property(fc.stringMatching(/^[-+0-9a-fxA-F. ]{1,36}$/), (text) => {
        const parsed = parseJobId(text);
        if (parsed !== null) expect(String(parsed)).toBe(text);
      }),
    );
  });
});
