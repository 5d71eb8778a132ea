import type { JobQueue, StateCounts, StatsRow } from "@jobyard/core";

export interface HistoryPoint {
  /** End of the span, epoch ms. */
  readonly timestamp: number;
  readonly queued: number;
  /** null: nobody looked at that moment. */
  readonly processing: number | null;
  /** In the span. */
  readonly completed: number;
  readonly failed: number;
  /** Completed a second. */
  readonly throughput: number;
  /** Average run time of the minute's completed jobs. */
  readonly latency_ms: number;
}

const HISTORY_POINTS = 60;
const SPAN_MS = 5000;
const MINUTE_MS = 60_000;
/** Nobody's figures are sampled for longer than this after they were asked for. */
const KEEP_MS = 10 * MINUTE_MS;

interface Sample {
  readonly at: number;
  readonly counts: StateCounts;
  /** Since ever. */
  readonly totals: StatsRow | undefined;
  /** Of the minute. */
  readonly recent: StatsRow | undefined;
}

interface Sampled {
  readonly points: HistoryPoint[];
  last: Sample;
  lastAsked: number;
}

/**
 * The last five minutes of each tenant that asks. Sampling begins with the first question; what was before is spread
 * evenly from the statistics by the minute.
 */
export class MetricsHistory {
  readonly #queue: JobQueue;
  readonly #tenants = new Map<string, Promise<Sampled>>();
  #stopClock: () => void = () => undefined;

  constructor(queue: JobQueue, ending: AbortSignal) {
    this.#queue = queue;
    ending.addEventListener("abort", () => {
      this.#tenants.clear();
      this.#stopClock();
    });
  }

  async of(tenant: string): Promise<readonly HistoryPoint[]> {
    let sampled = this.#tenants.get(tenant);
    if (sampled === undefined) {
      sampled = this.#begin(tenant);
      this.#tenants.set(tenant, sampled);
      sampled.catch(() => this.#tenants.delete(tenant));
      if (this.#tenants.size === 1) this.#plan();
    }
    const known = await sampled;
    known.lastAsked = this.#queue.clock.now();
    return known.points;
  }

  /** One timer for all tenants, while there are any. */
  #plan(): void {
    this.#stopClock();
    const { clock } = this.#queue;
    this.#stopClock = clock.at(clock.now() + SPAN_MS, () => {
      void this.#sampleAll();
      if (this.#tenants.size > 0) this.#plan();
    });
  }

  async #sampleAll(): Promise<void> {
    const now = this.#queue.clock.now();
    for (const [tenant, sampling] of this.#tenants) {
      const sampled = await sampling.catch(() => undefined);
      if (sampled === undefined) continue;
      if (now - sampled.lastAsked > KEEP_MS) {
        this.#tenants.delete(tenant);
        continue;
      }
      // A store that cannot be reached leaves a longer span behind.
      const next = await this.#sample(tenant).catch(() => undefined);
      if (next === undefined) continue;
      sampled.points.push(between(sampled.last, next));
      sampled.points.splice(0, sampled.points.length - HISTORY_POINTS);
      sampled.last = next;
    }
  }

  async #sample(tenant: string): Promise<Sample> {
    const jobs = this.#queue.of(tenant);
    const at = this.#queue.clock.now();
    const [counts, [totals], [recent]] = await Promise.all([
      jobs.count(),
      jobs.stats(),
      jobs.stats({ from: minuteOf(at) }),
    ]);
    return { at, counts, totals, recent };
  }

  async #begin(tenant: string): Promise<Sampled> {
    const last = await this.#sample(tenant);
    const from = minuteOf(last.at - HISTORY_POINTS * SPAN_MS);
    const minutes = await this.#queue.of(tenant).stats({ from, groupBy: "minute" });
    return { points: spread(minutes, last), last, lastAsked: last.at };
  }
}

function between(before: Sample, after: Sample): HistoryPoint {
  const completed = (after.totals?.completed ?? 0) - (before.totals?.completed ?? 0);
  const failed = (after.totals?.failed ?? 0) - (before.totals?.failed ?? 0);
  const { waiting, delayed, blocked, active } = after.counts;
  return {
    timestamp: after.at,
    queued: waiting + delayed + blocked,
    processing: active,
    completed,
    failed,
    throughput: rounded((completed / Math.max(1, after.at - before.at)) * 1000),
    latency_ms: rounded(after.recent?.durationAvg ?? 0),
  };
}

/** What the statistics by the minute say of the spans up to a sample. */
function spread(minutes: readonly StatsRow[], now: Sample): HistoryPoint[] {
  const rows = new Map(minutes.map((row) => [Number(row.key), row]));
  const { waiting, delayed, blocked } = now.counts;
  // Backwards from what is queued now: what ended since then was there, what was added since was not.
  let queued = waiting + delayed + blocked;
  const points: HistoryPoint[] = [];
  for (let i = 0; i < HISTORY_POINTS; i++) {
    const timestamp = now.at - i * SPAN_MS;
    const row = rows.get(minuteOf(timestamp - 1));
    const share = SPAN_MS / Math.min(MINUTE_MS, Math.max(SPAN_MS, now.at - Number(row?.key ?? 0)));
    const [completed, failed] = [(row?.completed ?? 0) * share, (row?.failed ?? 0) * share];
    points.push({
      timestamp,
      queued: Math.max(0, Math.round(queued)),
      processing: i === 0 ? now.counts.active : null,
      completed: rounded(completed),
      failed: rounded(failed),
      throughput: rounded((completed / SPAN_MS) * 1000),
      latency_ms: rounded(row?.durationAvg ?? 0),
    });
    queued += completed + failed + (row?.cancelled ?? 0) * share - (row?.added ?? 0) * share;
  }
  return points.reverse();
}

function minuteOf(at: number): number {
  return Math.floor(at / MINUTE_MS) * MINUTE_MS;
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
