import type { Schemas } from "@jobyard/sdk";
import type { UseQueryResult } from "@tanstack/preact-query";
import { useMemo } from "preact/hooks";
import { useReading } from "./reading.ts";

type Counts = Schemas["StateCounts"];

/** A queue with what happened in it lately. */
export interface QueueFigures {
  readonly queue: Schemas["Queue"];
  /** In the last five minutes. */
  readonly recent: Omit<Schemas["Stats"]["groups"][number], "key">;
  /** Minute by minute over the last hour; empty where it was not asked for. */
  readonly history: Schemas["Metrics"]["series"][number]["points"];
}

const RECENT_MS = 300_000;
/** Queues whose last hour is asked for: the fullest ones. */
const WITH_HISTORY = 24;

export function backlogOf({ waiting, delayed, blocked, active }: Counts): number {
  return waiting + delayed + blocked + active;
}

export function useQueueFigures(): UseQueryResult<readonly QueueFigures[]> {
  const queues = useReading(["queues"], (client, signal) => client.queues.list({ signal }), {
    everyMs: 2000,
    // No event tells of what is removed.
    alsoIdleMs: 15_000,
  });
  const stats = useReading(
    ["recent"],
    (client, signal) => client.stats({ by: "queue", lastMs: RECENT_MS }, { signal }),
    { everyMs: 5000, alsoIdleMs: 60_000 },
  );
  const busy = useMemo(() => busiest(queues.data ?? [], stats.data), [queues.data, stats.data]);
  const history = useReading(
    ["history", busy.join()],
    (client, signal) => client.metrics({ queue: busy, perQueue: true }, { signal }),
    { everyMs: 20_000, alsoIdleMs: 60_000, keep: true, enabled: busy.length > 0 },
  );
  const data = useMemo(() => {
    if (queues.data === undefined) return undefined;
    const recent = new Map(stats.data?.groups.map((group) => [group.key, group]));
    const points = new Map(history.data?.series.map(({ queue, points }) => [queue, points]));
    return queues.data.map((queue) => ({
      queue,
      recent: recent.get(queue.name) ?? nothing,
      history: points.get(queue.name) ?? [],
    }));
  }, [queues.data, stats.data, history.data]);
  return { ...queues, data } as UseQueryResult<readonly QueueFigures[]>;
}

/** By name, so that the same ones are the same question. */
function busiest(
  queues: readonly Schemas["Queue"][],
  stats: Schemas["Stats"] | undefined,
): string[] {
  const ended = new Map(stats?.groups.map((group) => [group.key, group.completed + group.failed]));
  const used = queues
    .map(({ name, counts }) => ({
      name,
      weight: (ended.get(name) ?? 0) + backlogOf(counts) + total(counts) / 1e9,
    }))
    .filter(({ weight }) => weight > 0)
    .toSorted((a, b) => b.weight - a.weight);
  return [...new Set(used.map(({ name }) => name))].slice(0, WITH_HISTORY).toSorted();
}

function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

const nothing: QueueFigures["recent"] = {
  added: 0,
  completed: 0,
  failed: 0,
  cancelled: 0,
  retried: 0,
  stalled: 0,
  removed: 0,
  successRate: null,
  durationAvgMs: null,
  durationMinMs: null,
  durationMaxMs: null,
  waitAvgMs: null,
  tokens: 0,
  peakConcurrency: 0,
};
