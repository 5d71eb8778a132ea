import { type PriorityLevel, priorityLevels } from "../../priority.ts";
import type { StatsParams, StatsRow } from "../../queue-adapter.ts";
import type { Reply } from "./connection.ts";
import { parseLane } from "./job-hash.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Minutes are folded into hours when older than this, hours into totals when older than the second. */
const KEEP_MINUTES_MS = 25 * HOUR_MS;
const KEEP_HOURS_MS = 31 * 24 * HOUR_MS;

/** What is old at a time, in whole hours. */
export function foldBefore(now: number): { readonly minutes: number; readonly hours: number } {
  const minutes = now - KEEP_MINUTES_MS;
  const hours = now - KEEP_HOURS_MS;
  return { minutes: minutes - (minutes % HOUR_MS), hours: hours - (hours % HOUR_MS) };
}

/** Nothing finer is kept. */
export function wholeMinute(time: number): number {
  return time - (time % MINUTE_MS);
}

/** Sums as the scripts keep them. */
interface Sums {
  added: number;
  completed: number;
  failed: number;
  cancelled: number;
  retried: number;
  stalled: number;
  durationSum: number;
  durationMin: number | null;
  durationMax: number | null;
  waitSum: number;
  tokens: number;
  peak: number;
  removed: number;
}

function noSums(): Sums {
  return {
    added: 0,
    completed: 0,
    failed: 0,
    cancelled: 0,
    retried: 0,
    stalled: 0,
    durationSum: 0,
    durationMin: null,
    durationMax: null,
    waitSum: 0,
    tokens: 0,
    peak: 0,
    removed: 0,
  };
}

interface Entry {
  readonly queue: string;
  readonly span: string;
  readonly at: number;
  readonly level: PriorityLevel;
  readonly project: string;
  /** In the order in which the scripts write them. */
  readonly sums: readonly (number | null)[];
}

/** Rows from the answer of the script `rollups`. */
export function rollupRows(params: StatsParams, answer: readonly Reply[]): StatsRow[] {
  const { groupBy } = params;
  const rows = new Map<string, Sums>();
  const peaks = new Map<string, number>();
  const queues = new Set<string>();
  let lanes = 0;
  for (let i = 0; i < answer.length; i += 2) {
    const { queue } = parseLane(answer[i] as string);
    if (queue !== "") lanes++;
    for (const entry of entriesOf(queue, answer[i + 1] as readonly string[])) {
      if (!isWanted(entry, params)) continue;
      const key = keyOf(entry, groupBy);
      if (queue === "") {
        peaks.set(key, Math.max(peaks.get(key) ?? 0, entry.sums[11] ?? 0));
        continue;
      }
      queues.add(queue);
      let sums = rows.get(key);
      if (sums === undefined) rows.set(key, (sums = noSums()));
      add(sums, entry.sums);
    }
  }
  // Ungrouped, there is a row of nothing where nothing happened.
  if (rows.size === 0 && groupBy === undefined) rows.set("", noSums());
  return [...rows]
    .sort(([a], [b]) => compareKeys(a, b, groupBy))
    .map(([key, sums]) => {
      const together = lanes > 1 && groupBy !== "queue" ? (peaks.get(key) ?? 0) : 0;
      return rowOf(key, sums, together);
    });
}

function* entriesOf(queue: string, hash: readonly string[]): Generator<Entry> {
  for (let i = 0; i < hash.length; i += 2) {
    const [span = "", level = "", ...project] = (hash[i] ?? "").split("|");
    yield {
      queue,
      span: span.slice(0, 1),
      at: Number(span.slice(1)),
      level: priorityLevels[Number(level)] ?? "medium",
      project: project.join("|"),
      sums: (hash[i + 1] ?? "").split(" ").map((word) => (word === "-" ? null : Number(word))),
    };
  }
}

function isWanted({ span, at, level, project }: Entry, params: StatsParams): boolean {
  const { from, to } = params;
  // An hour or total that begins earlier cannot be split.
  if (from !== undefined && (span === "t" || at < wholeMinute(from))) return false;
  if (to !== undefined && at >= to) return false;
  if (params.project !== undefined && params.project !== project) return false;
  return params.level === undefined || params.level === level;
}

function keyOf(
  { queue, span, at, level, project }: Entry,
  groupBy: StatsParams["groupBy"],
): string {
  switch (groupBy) {
    case "queue":
      return queue;
    case "level":
      return level;
    case "project":
      return project;
    case "minute":
      return String(span === "m" ? at : 0);
    case "hour":
      return String(span === "t" ? 0 : at - (at % HOUR_MS));
    case undefined:
      return "";
  }
}

function compareKeys(a: string, b: string, groupBy: StatsParams["groupBy"]): number {
  if (groupBy === "minute" || groupBy === "hour") return Number(a) - Number(b);
  if (groupBy === "level") {
    const levels: readonly string[] = priorityLevels;
    return levels.indexOf(a) - levels.indexOf(b);
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function add(to: Sums, sums: readonly (number | null)[]): void {
  const n = (index: number): number => sums[index] ?? 0;
  to.added += n(0);
  to.completed += n(1);
  to.failed += n(2);
  to.cancelled += n(3);
  to.retried += n(4);
  to.stalled += n(5);
  to.durationSum += n(6);
  const [min = null, max = null] = [sums[7], sums[8]];
  if (min !== null && (to.durationMin === null || min < to.durationMin)) to.durationMin = min;
  if (max !== null && (to.durationMax === null || max > to.durationMax)) to.durationMax = max;
  to.waitSum += n(9);
  to.tokens += n(10);
  to.peak = Math.max(to.peak, n(11));
  to.removed += n(12);
}

function rowOf(key: string, sums: Sums, together: number): StatsRow {
  const { added, completed, failed, cancelled, retried, stalled, tokens } = sums;
  const { durationSum, durationMin, durationMax, waitSum, peak, removed } = sums;
  return {
    key,
    added,
    completed,
    failed,
    cancelled,
    retried,
    stalled,
    removed,
    durationAvg: completed === 0 ? null : durationSum / completed,
    durationMin,
    durationMax,
    waitAvg: completed === 0 ? null : waitSum / completed,
    tokens,
    peakConcurrency: Math.max(peak, together),
  };
}
