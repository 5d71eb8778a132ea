import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  commonMessage,
  containsText,
  errorGroupOf,
  fingerprintOf,
  parseFingerprint,
} from "../src/error-groups.ts";

describe("what messages have in common", () => {
  it.each([
    ["Job 4711 failed after 3 tries", "Job <n> failed after <n> tries"],
    ["took 12.5 ms, 1,200 rows at 10:15:02", "took <n> ms, <n> rows at <n>"],
    ["connect ECONNREFUSED 10.0.0.7:5432", "connect ECONNREFUSED <n>"],
    ["no job 3f9a1c52-7d0e-4b6a-9c1f-2a8e5d4b7c60", "no job <id>"],
    ["commit 9fceb02aa17 not found", "commit <id> not found"],
    ["at 0x7ffde4 in heap", "at <hex> in heap"],
    [`can't read "a b.csv" of 'x'`, "can't read <text> of <text>"],
    ["Unexpected token `<` in JSON", "Unexpected token <text> in JSON"],
    ["„Größe“ fehlt in «Teil 7»", "<text> fehlt in <text>"],
    ["  two\n  lines\t", "two lines"],
    ["worker7 died", "worker<n> died"],
    ["deadline exceeded", "deadline exceeded"],
    ["", ""],
  ])("%j", (message, common) => {
    expect(commonMessage(message)).toBe(common);
  });

  it("groups like messages, and tells others apart", () => {
    expect(errorGroupOf("row 1: 'a' is bad")).toBe(errorGroupOf("row 22: 'b c' is bad"));
    expect(errorGroupOf("row 1 is bad")).not.toBe(errorGroupOf("column 1 is bad"));
  });

  it("takes any message, in little time", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 3000 }), (message) => {
        expect(commonMessage(message).length).toBeLessThanOrEqual(300);
        expect(errorGroupOf(message)).toMatch(/^[0-9a-f]{16}$/);
      }),
    );
    const before = process.cpuUsage();
    for (const mark of ["'", '"', "1", "a1", " ", "„", "0x", "-"])
      commonMessage(mark.repeat(10_000));
    // Of the processor's time: what else the machine does is not counted.
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(200);
  });
});

it("a fingerprint names a group and its queue", () => {
  const group = errorGroupOf("x");
  expect(parseFingerprint(fingerprintOf(group, "a.b_c-d"))).toEqual({ group, queue: "a.b_c-d" });
  for (const none of ["", "x", group, `${group}.`, `${group}.a b`]) {
    expect(parseFingerprint(none)).toBeNull();
  }
});

it("a text is found in either case", () => {
  expect(containsText("Größe 7 FEHLT", "gRÖSSE")).toBe(false);
  expect(containsText("Größe 7 FEHLT", "GRÖ")).toBe(true);
  expect(containsText("50% off", "%")).toBe(true);
});
