import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { InvalidArgumentError } from "commander";
import { CliError } from "./errors.ts";

/* What options and arguments are parsed with. */

const units: Readonly<Record<string, number>> = {
  "": 1,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** As the server's settings have it; ms. */
export function duration(value: string): number {
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(value) ?? [];
  const ms = Number(digits) * (units[unit] ?? Number.NaN);
  if (digits !== "" && Number.isSafeInteger(ms)) return ms;
  throw new InvalidArgumentError("Give a duration such as 500ms, 30s, 5m, 24h or 7d.");
}

/** A moment as ISO 8601: given so, or as how long ago it was. */
export function moment(value: string): string {
  if (/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(value)) {
    return new Date(Date.now() - duration(value)).toISOString();
  }
  const at = /^\d{4}-\d{2}-\d{2}/.test(value) ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(at)) return new Date(at).toISOString();
  throw new InvalidArgumentError(
    "Give a moment such as 2026-03-02T06:30:00Z, or how long ago: 15m, 24h, 7d.",
  );
}

/** A parser of whole numbers within bounds. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (/^-?\d+$/.test(value) && number >= min && number <= max) return number;
    const bounds = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`Give a whole number ${bounds}.`);
  };
}

/** A limit that `none` takes away. */
export function limit(value: string): number | null {
  return value === "none" ? null : integer(1, 1_000_000)(value);
}

/** For options that may be given several times. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** JSON as it is given, from a file (`@file`) or from standard input (`-`). */
export async function json(given: string): Promise<unknown> {
  const [source, content] =
    given === "-"
      ? ["Standard input", await text(process.stdin)]
      : given.startsWith("@")
        ? [given.slice(1), await readFile(given.slice(1), "utf8")]
        : ["The data", given];
  try {
    return JSON.parse(content.replace(/^\uFEFF/, ""));
  } catch (error) {
    const why = (error as Error).message.replaceAll(/\s+/g, " ");
    const file = source === "The data" ? "; quote it for your shell, or give @file or -" : "";
    throw new CliError("usage", `${source} is not JSON: ${why}${file}`);
  }
}

/** For options of fixed words that may be given several times, with commas too. */
export function oneOf<Word extends string>(
  words: readonly Word[],
): (value: string, before?: readonly Word[]) => Word[] {
  return (value, before = []) => {
    const given = value.split(",").map((part) => words.find((word) => word === part));
    if (!given.includes(undefined)) return [...before, ...(given as Word[])];
    throw new InvalidArgumentError(`Give ${words.slice(0, -1).join(", ")} or ${words.at(-1)}.`);
  };
}

/** Ids as they are given; `-`: from standard input, with any white space between. */
export async function readIds(given: readonly string[]): Promise<readonly string[]> {
  const ids = await Promise.all(
    given.map(async (id) => (id === "-" ? (await text(process.stdin)).split(/\s+/) : [id])),
  );
  return [...new Set(ids.flat().filter((id) => id !== ""))];
}
