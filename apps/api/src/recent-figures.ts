import { type JobQueue, noFigures, type StateCounts, type StatsRow } from "@jobyard/core";

/** What happened in a few seconds. */
export interface RecentSpan {
  /** Epoch ms. */
  readonly start: number;
  readonly end: number;
  /** Where nobody looked, shares of the minute's; shortest and longest run are not known, the peak is that of its end. */
  readonly figures: StatsRow;
  /** Jobs being run at its end; null: nobody looked at that moment. */
  readonly active: number | null;
  /** Unfinished jobs at its end that were not being run. */
  readonly queued: number;
}

const RECENT_SPANS = 60;
export const RECENT_SPAN_MS = 5000;
const MINUTE_MS = 60_000;
/** Nobody's figures are sampled for longer than this after they were asked for. */
const KEEP_MS = 10 * MINUTE_MS;

interface Sample {
  readonly at: number;
  readonly counts: StateCounts;
  /** Of the minutes since the one before the last sample's, by their start. */
  readonly minutes: ReadonlyMap<string, StatsRow>;
}

interface Sampled {
  readonly spans: RecentSpan[];
  last: Sample;
  lastAsked: number;
}

/**
 * The last five minutes of each tenant that asks, sampled once for all who do. Sampling begins with the first question;
 * what was before is spread evenly from the statistics by the minute.
 */
export class RecentFigures {
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

  /** The oldest first. @throws QueueError */
  async of(tenant: string): Promise<readonly RecentSpan[]> {
    let sampled = this.#tenants.get(tenant);
    if (sampled === undefined) {
      sampled = this.#begin(tenant);
      this.#tenants.set(tenant, sampled);
      sampled.catch(() => this.#tenants.delete(tenant));
      if (this.#tenants.size === 1) this.#plan();
    }
    const known = await sampled;
    known.lastAsked = this.#queue.clock.now();
    return known.spans;
  }

  /** One timer for all tenants, while there are any. */
  #plan(): void {
    this.#stopClock();
    const { clock } = this.#queue;
    this.#stopClock = clock.at(clock.now() + RECENT_SPAN_MS, () => {
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
      const next = await this.#sample(tenant, sampled.last.at).catch(() => undefined);
      if (next === undefined) continue;
      sampled.spans.push(between(sampled.last, next));
      sampled.spans.splice(0, sampled.spans.length - RECENT_SPANS);
      sampled.last = next;
    }
  }

  /** @param since all that happened since then is in it */
  async #sample(tenant: string, since: number): Promise<Sample> {
    const jobs = this.#queue.of(tenant);
    const at = this.#queue.clock.now();
    // The store's clock may lag behind this one.
    const from = minuteOf(since) - MINUTE_MS;
    const [counts, minutes] = await Promise.all([
      jobs.count(),
      jobs.stats({ from, groupBy: "minute" }),
    ]);
    return { at, counts, minutes: new Map(minutes.map((row) => [row.key, row])) };
  }

  async #begin(tenant: string): Promise<Sampled> {
    const now = this.#queue.clock.now();
    const last = await this.#sample(tenant, now - RECENT_SPANS * RECENT_SPAN_MS);
    return { spans: spread(last), last, lastAsked: last.at };
  }
}

const tallies = [
  "added",
  "completed",
  "failed",
  "cancelled",
  "retried",
  "stalled",
  "removed",
  "tokens",
] as const;

type Tally = (typeof tallies)[number];

function between(before: Sample, after: Sample): RecentSpan {
  const grown = { ...noFigures };
  let durations = 0;
  let waits = 0;
  const take = (row: StatsRow, sign: 1 | -1): void => {
    for (const tally of tallies) grown[tally] += sign * row[tally];
    durations += sign * (row.durationAvg ?? 0) * row.completed;
    waits += sign * (row.waitAvg ?? 0) * row.completed;
  };
  for (const [key, row] of after.minutes) {
    take(row, 1);
    const known = before.minutes.get(key);
    if (known !== undefined) take(known, -1);
  }
  const { completed } = grown;
  const { active } = after.counts;
  const figures = {
    ...grown,
    durationAvg: completed === 0 ? null : durations / completed,
    waitAvg: completed === 0 ? null : waits / completed,
    peakConcurrency: active,
  };
  return { start: before.at, end: after.at, figures, active, queued: queuedOf(after.counts) };
}

/** What the statistics by the minute say of the spans up to a sample. */
function spread(now: Sample): RecentSpan[] {
  const minutes = [...now.minutes.values()].map((row) => ({ row, start: Number(row.key) }));
  /** How often it had happened by then, as far as these minutes tell. */
  const until = (time: number, tally: Tally): number =>
    Math.round(
      minutes.reduce((sum, { row, start }) => {
        const length = Math.max(1, Math.min(MINUTE_MS, now.at - start));
        return sum + row[tally] * Math.min(1, Math.max(0, time - start) / length);
      }, 0),
    );
  // Backwards from what is queued now: what ended since then was there, what was added since was not.
  let queued = queuedOf(now.counts);
  const spans: RecentSpan[] = [];
  for (let n = 0; n < RECENT_SPANS; n++) {
    const end = now.at - n * RECENT_SPAN_MS;
    const start = end - RECENT_SPAN_MS;
    const row = now.minutes.get(String(minuteOf(end - 1)));
    const figures = {
      ...noFigures,
      durationAvg: row?.durationAvg ?? null,
      waitAvg: row?.waitAvg ?? null,
    };
    for (const tally of tallies) figures[tally] = until(end, tally) - until(start, tally);
    const active = n === 0 ? now.counts.active : null;
    spans.push({ start, end, figures, active, queued: Math.max(0, queued) });
    queued += figures.completed + figures.failed + figures.cancelled - figures.added;
  }
  return spans.reverse();
}

function queuedOf({ waiting, delayed, blocked }: StateCounts): number {
  return waiting + delayed + blocked;
}

function minuteOf(at: number): number {
  return Math.floor(at / MINUTE_MS) * MINUTE_MS;
}
