import fc from "fast-check";
import { expect, test } from "vitest";
import {
  checkedPriority,
  fromHigherFirst,
  fromOneBased,
  levelToPriority,
  priorityLevel,
  priorityLevels,
  toHigherFirst,
  toOneBased,
} from "../src/priority.ts";

const priority = fc.integer({ min: -1_000_000, max: 1_000_000 });

test("levels have their numbers, and read back from any number", () => {
  expect(priorityLevels.map(levelToPriority)).toEqual([-9, -5, 0, 10]);
  expect(priorityLevels.map(levelToPriority).map(priorityLevel)).toEqual(priorityLevels);
  expect([-1_000_000, -7, -6, -1, 0, -0, 1, 1_000_000].map(priorityLevel)).toEqual([
    "critical",
    "critical",
    "high",
    "high",
    "medium",
    "medium",
    "low",
    "low",
  ]);
});

test("a more urgent number is never a less urgent level", () => {
  fc.assert(
    fc.property(priority, priority, (a, b) => {
      const rank = (p: number) => priorityLevels.indexOf(priorityLevel(p));
      if (a < b) expect(rank(a)).toBeLessThanOrEqual(rank(b));
    }),
  );
});

test("from 1 for the most urgent", () => {
  expect([undefined, 0, -0, 1, 5, 9, 10, 11].map(fromOneBased)).toEqual([
    0, 0, 0, -9, -5, -1, 0, 1,
  ]);
  expect([-1, 1.5, 1_000_001, Number.NaN, Number.POSITIVE_INFINITY].map(fromOneBased)).toEqual(
    Array.from({ length: 5 }, () => null),
  );
  expect([0, -5, -9, -10, -1_000, 3].map(toOneBased)).toEqual([0, 5, 1, 1, 1, 13]);
  fc.assert(
    fc.property(fc.integer({ min: -9, max: 1_000_000 - 10 }), (p) => {
      expect(fromOneBased(toOneBased(p))).toBe(p);
    }),
  );
});

test("from higher for sooner, without a negative zero", () => {
  expect(fromHigherFirst(10)).toBe(-10);
  expect(fromHigherFirst(0)).toBe(0);
  expect(toHigherFirst(0)).toBe(0);
  expect(fromHigherFirst(1_000_001)).toBeNull();
  expect(fromHigherFirst(0.5)).toBeNull();
  fc.assert(
    fc.property(priority, (p) => {
      expect(fromHigherFirst(toHigherFirst(p))).toBe(p);
    }),
  );
});

test("range", () => {
  expect(checkedPriority(-0)).toBe(0);
  expect(checkedPriority(-1_000_000)).toBe(-1_000_000);
  expect(checkedPriority(-1_000_001)).toBeNull();
  expect(checkedPriority(2.5)).toBeNull();
});
