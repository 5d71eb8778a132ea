import {
  type JobState,
  priorityLevels,
  type QueueInfo,
  type StateCounts,
  type StatsRow,
} from "@jobyard/core";
import { queueOfType, rounded, statusOf, type V1Status, type V1Type, v1Types } from "./mapping.ts";
import type { QueueHealth, QueueMetrics, QueueSummary } from "./schemas.ts";

/** Throughput and health are over this long; throughput since the first activity within it. */
export const WINDOW_MS = 3_600_000;

const MINUTE_MS = 60_000;

export function queueSummary(from: {
  readonly queues: readonly QueueInfo[];
  /** Since ever, by priority level. */
  readonly levels: readonly StatsRow[];
  /** Since ever. */
  readonly everything: StatsRow | undefined;
  /** By minute, of the throughput's window. */
  readonly minutes: readonly StatsRow[];
  readonly now: number;
}): QueueSummary {
  const { queues, levels, everything, minutes, now } = from;
  const types = v1Types.map((type) => {
    const own = queues.filter(({ queue }) => queue === queueOfType[type]);
    return [type, statusCounts(own.map(({ counts }) => counts))] as const;
  });
  const all = statusCounts(queues.map(({ counts }) => counts));
  const completed = everything?.completed ?? 0;
  const ended = completed + (everything?.failed ?? 0);
  return {
    total: total(all),
    ...all,
    performance: {
      averageProcessingTime: Math.round(everything?.durationAvg ?? 0),
      throughput: `${throughput(minutes, now)} jobs/minute`,
      successRate: ended === 0 ? 100 : rounded((completed / ended) * 100, 1),
      peakConcurrency: everything?.peakConcurrency ?? 0,
    },
    byType: Object.fromEntries(
      types.map(([type, counts]) => {
        const { completed, failed, cancelled } = counts;
        return [type, { total: total(counts), completed, failed, cancelled }];
      }),
    ) as QueueSummary["byType"],
    byPriority: Object.fromEntries(
      priorityLevels.map((level) => {
        const row = levels.find(({ key }) => key === level);
        return [level, row === undefined ? 0 : row.added - row.removed];
      }),
    ) as QueueSummary["byPriority"],
  };
}

function throughput(minutes: readonly StatsRow[], now: number): number {
  const starts = minutes.map(({ key }) => Number(key)).filter((start) => start > 0);
  if (starts.length === 0) return 0;
  const completed = minutes.reduce((sum, row) => sum + row.completed, 0);
  const span = Math.min(now - Math.min(...starts), WINDOW_MS);
  return rounded(completed / Math.max(1, span / MINUTE_MS), 1);
}

function statusCounts(counts: readonly StateCounts[]): Record<V1Status, number> {
  const sums = { pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 };
  for (const one of counts) {
    for (const state of Object.keys(one) as JobState[]) sums[statusOf(state)] += one[state];
  }
  return sums;
}

function total(counts: Readonly<Record<V1Status, number>>): number {
  return Object.values(counts).reduce((sum, n) => sum + n, 0);
}

/** @param ended what ended since ever, by queue */
export function metricsOf(
  types: readonly V1Type[],
  queues: readonly QueueInfo[],
  ended: readonly StatsRow[],
): QueueMetrics[] {
  return types.map((type) => {
    const queue = queueOfType[type];
    // A caller who sees all tenants has a row of each.
    const own = queues.filter((info) => info.queue === queue);
    const sum = (...states: JobState[]): number =>
      own.reduce((n, { counts }) => n + states.reduce((m, state) => m + counts[state], 0), 0);
    return {
      name: type,
      waiting: sum("waiting", "blocked"),
      active: sum("active"),
      completed: sum("completed"),
      failed: sum("failed"),
      delayed: sum("delayed"),
      paused: own.some(({ paused }) => paused),
      failedRate: rounded(failedShare(ended, queue) * 100, 1),
    };
  });
}

/** @param lately what ended within the last hour, by queue */
export function healthOf(
  metrics: readonly QueueMetrics[],
  queues: readonly QueueInfo[],
  lately: readonly StatsRow[],
): QueueHealth {
  const troubled = metrics.some(
    ({ name, paused }) => paused || failedShare(lately, queueOfType[name]) >= 0.5,
  );
  return {
    status: troubled ? "degraded" : "healthy",
    queues: metrics.length,
    totalJobs: total(statusCounts(queues.map(({ counts }) => counts))),
    metrics: metrics.map(({ name, active, failed, failedRate, paused }) => ({
      name,
      active,
      failed,
      failedRate,
      paused,
    })),
  };
}

function failedShare(rows: readonly StatsRow[], queue: string): number {
  const { completed = 0, failed = 0 } = rows.find(({ key }) => key === queue) ?? {};
  return failed === 0 ? 0 : failed / (completed + failed);
}
