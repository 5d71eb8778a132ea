/**
 * Priority inside is one whole number p within ±1,000,000: lower runs sooner, 0 is ordinary. The
 * other spellings are turned into it and back here; what is out of range or no whole number is null.
 */

export const MAX_PRIORITY = 1_000_000;

export const priorityLevels = ["critical", "high", "medium", "low"] as const;

export type PriorityLevel = (typeof priorityLevels)[number];

const byLevel: Readonly<Record<PriorityLevel, number>> = {
  critical: -9,
  high: -5,
  medium: 0,
  low: 10,
};

export function levelToPriority(level: PriorityLevel): number {
  return byLevel[level];
}

/** The level a priority belongs to, also one between the levels' own numbers. */
export function priorityLevel(p: number): PriorityLevel {
  if (p <= -7) return "critical";
  if (p < 0) return "high";
  return p === 0 ? "medium" : "low";
}

/** All priorities of a level, both ends included. */
export function levelRange(level: PriorityLevel): { readonly min: number; readonly max: number } {
  switch (level) {
    case "critical":
      return { min: -MAX_PRIORITY, max: -7 };
    case "high":
      return { min: -6, max: -1 };
    case "medium":
      return { min: 0, max: 0 };
    case "low":
      return { min: 1, max: MAX_PRIORITY };
  }
}

/** The number itself if it is a priority, else null. */
export function checkedPriority(p: number): number | null {
  // Adding 0 turns -0, which JSON and Redis spell differently, into 0.
  return Number.isSafeInteger(p) && Math.abs(p) <= MAX_PRIORITY ? p + 0 : null;
}

/** From a scale where 1 is the most urgent, 10 ordinary, and 0 or none means ordinary too. */
export function fromOneBased(n: number | undefined): number | null {
  if (n === undefined || n === 0) return 0;
  return n < 0 || checkedPriority(n) === null ? null : checkedPriority(n - 10);
}

/** Ordinary is told as 0. What that scale cannot say (p <= -10) becomes 1, its most urgent. */
export function toOneBased(p: number): number {
  return p === 0 ? 0 : Math.max(1, p + 10);
}

/** From a scale where higher runs sooner. */
export function fromHigherFirst(n: number): number | null {
  return checkedPriority(-n);
}

export function toHigherFirst(p: number): number {
  return -p + 0;
}
