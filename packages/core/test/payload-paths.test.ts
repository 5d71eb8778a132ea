import { describe, expect, it } from "vitest";
import { isPayloadPath, type PayloadValue, valueAt, valueKey } from "../src/payload-paths.ts";

it("a path begins with data or result, and names fields", () => {
  for (const path of [
    "data.a",
    "result.rows.0.total",
    "data.größe",
    "data.a b",
    "data.__proto__",
  ]) {
    expect(isPayloadPath(path)).toBe(true);
  }
  const deep = `data${".a".repeat(9)}`;
  const long = `data.${"a".repeat(65)}`;
  for (const path of ["", "data", "data.", "data..a", "a.b", "datax.a", deep, long, "data.\n", 7]) {
    expect(isPayloadPath(path)).toBe(false);
  }
});

describe("the value at a path", () => {
  const payload = { a: { b: [10, { c: "x" }], n: null, f: false }, length: 3 };

  it.each<[string, PayloadValue | undefined]>([
    ["data.a.b.0", 10],
    ["data.a.b.1.c", "x"],
    ["data.a.n", null],
    ["data.a.f", false],
    ["data.length", 3],
    ["data.a.b.length", undefined],
    ["data.a.b.2", undefined],
    ["data.a.b.00", undefined],
    ["data.a.b", undefined],
    ["data.a.n.x", undefined],
    ["data.toString", undefined],
    ["data.a.__proto__", undefined],
  ])("%s", (path, value) => {
    expect(valueAt(payload, path)).toBe(value);
  });

  it("is none in what is no object", () => {
    for (const other of ["x", 1, null, true]) expect(valueAt(other, "data.0")).toBeUndefined();
  });
});

it("a value's key tells values apart, and kinds of values", () => {
  const numbers = [0, 1, -1, 0.1, 1e21, 5e-324];
  const texts = [
    "",
    "null",
    "true",
    "0",
    "1",
    "a",
    "a\0",
    "a\0b",
    "x".repeat(200),
    "x".repeat(201),
  ];
  const values: PayloadValue[] = [null, true, false, ...numbers, ...texts];
  expect(new Set(values.map(valueKey)).size).toBe(values.length);
  expect(valueKey(-0)).toBe(valueKey(0));
});
