import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { scanBlock } from "../../src/security-scan/block.ts";
import { Findings } from "../../src/security-scan/findings.ts";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Labelled {
  readonly text: string;
  readonly kinds: readonly string[];
}

interface Score {
  readonly kind: string;
  readonly found: number;
  readonly missed: number;
  readonly wrong: number;
}

const documentation = new URL("../../../../docs/job-types/security-scan.md", import.meta.url);

async function scores(): Promise<Score[]> {
  const file = await readFile(new URL("labelled.ndjson", import.meta.url), "utf8");
  // The {+} keeps other scanners from taking the fixture for the real thing.
  const whole = file.replaceAll("{+}", "");
  const lines = whole
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Labelled);
  const byKind = new Map<string, { found: number; missed: number; wrong: number }>();
  const of = (kind: string) => {
    const score = byKind.get(kind) ?? { found: 0, missed: 0, wrong: 0 };
    byKind.set(kind, score);
    return score;
  };
  const path = join(tmpdir(), `findings-${process.pid}`);
  for (const { text, kinds } of lines) {
    const findings = new Findings(path);
    const fields = { kind: "none" } as const;
    scanBlock({ text, fields, placeOf: (line) => ({ line }) }, findings, new Map());
    const seen = new Set<string>(findings.counts.keys());
    for (const kind of kinds) of(kind)[seen.has(kind) ? "found" : "missed"]++;
    for (const kind of seen) if (!kinds.includes(kind)) of(kind).wrong++;
  }
  return [...byKind]
    .map(([kind, score]) => ({ kind, ...score }))
    .sort((one, other) => one.kind.localeCompare(other.kind));
}

const ratio = (part: number, whole: number) => (whole === 0 ? 1 : part / whole).toFixed(2);

function rowOf({ kind, found, missed, wrong }: Score): string {
  const [precision, recall] = [ratio(found, found + wrong), ratio(found, found + missed)];
  return `| \`${kind}\` | ${found + missed} | ${precision} | ${recall} |`;
}

describe("on the labelled lines", () => {
  it("is as precise and complete as documented", async () => {
    const all = await scores();
    const text = await readFile(documentation, "utf8");
    const documented = text
      .split("\n")
      .filter((line) => /^\| `[A-Z_]+` \| \d+ \| [\d.]+ \| [\d.]+ \|$/.test(line));
    expect(documented).toEqual(all.map(rowOf));
    const sum = (part: "found" | "missed" | "wrong") =>
      all.reduce((total, score) => total + score[part], 0);
    expect(sum("found") / (sum("found") + sum("wrong"))).toBeGreaterThan(0.95);
    expect(sum("found") / (sum("found") + sum("missed"))).toBeGreaterThan(0.8);
  });
});
