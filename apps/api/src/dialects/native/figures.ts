import { noFigures, type StatsRow } from "@jobyard/core";
import { RECENT_SPAN_MS, type RecentSpan } from "../../recent-figures.ts";
import { iso } from "./mapping.ts";

export const intervalMs = { "5s": RECENT_SPAN_MS, minute: 60_000, hour: 3_600_000 } as const;

/** In one answer. */
export const MAX_POINTS = 20_000;

export function figuresOf(row: StatsRow = noFigures) {
  const { added, completed, failed, cancelled, retried, stalled, removed } = row;
  const ended = completed + failed;
  return {
    added,
    completed,
    failed,
    cancelled,
    retried,
    stalled,
    removed,
    successRate: ended === 0 ? null : hundredths((completed / ended) * 100),
    durationAvgMs: row.durationAvg === null ? null : hundredths(row.durationAvg),
    durationMinMs: row.durationMin,
    durationMaxMs: row.durationMax,
    waitAvgMs: row.waitAvg === null ? null : hundredths(row.waitAvg),
    tokens: row.tokens,
    peakConcurrency: row.peakConcurrency,
  };
}

/** A point for every interval, also where nothing happened. `rows` reach from `first` to now, `backlog` is that of now. */
export function dense(from: {
  readonly rows: readonly StatsRow[];
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly backlog: number;
}) {
  const { rows, first, last, step } = from;
  const byStart = new Map(rows.map((row) => [Number(row.key), row]));
  let { backlog } = from;
  for (const [start, row] of byStart) if (start >= last) backlog -= growth(row);
  const points = [];
  for (let at = last - step; at >= first; at -= step) {
    const row = byStart.get(at);
    points.push({ at: iso(at), ...figuresOf(row), backlog: Math.max(0, backlog) });
    if (row !== undefined) backlog -= growth(row);
  }
  return points.reverse();
}

/** Where nobody looked, as many are taken to run as do now. */
export function fine(spans: readonly RecentSpan[]) {
  const activeNow = spans.at(-1)?.active ?? 0;
  return spans.map(({ start, figures, active, queued }) => ({
    at: iso(start),
    ...figuresOf(figures),
    backlog: queued + (active ?? activeNow),
  }));
}

function growth({ added, completed, failed, cancelled }: StatsRow): number {
  return added - completed - failed - cancelled;
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
