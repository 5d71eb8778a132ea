import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import type { PriorityLevel } from "../../priority.ts";
import type { StatsParams, StatsRow } from "../../queue-adapter.ts";
import type { Lane } from "./lanes.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Minutes are folded into hours when older than this, hours into totals when older than the second. */
const KEEP_MINUTES_MS = 25 * HOUR_MS;
const KEEP_HOURS_MS = 31 * 24 * HOUR_MS;

const levels: readonly PriorityLevel[] = ["critical", "high", "medium", "low"];

export type Tally =
  | "added"
  | "completed"
  | "failed"
  | "cancelled"
  | "retried"
  | "stalled"
  | "removed";

interface Sum {
  readonly lane: number;
  readonly level: number;
  readonly project: string;
  added: number;
  completed: number;
  failed: number;
  cancelled: number;
  retried: number;
  stalled: number;
  removed: number;
  durationSum: number;
  durationMin: number | null;
  durationMax: number | null;
  waitSum: number;
  tokens: number;
  peak: number;
}

const columns =
  "added, completed, failed, cancelled, retried, stalled, removed, duration_sum, duration_min, duration_max, wait_sum, tokens, peak";

const merge = `ON CONFLICT (lane, span, at, level, project) DO UPDATE SET
  added = added + excluded.added, completed = completed + excluded.completed, failed = failed + excluded.failed,
  cancelled = cancelled + excluded.cancelled, retried = retried + excluded.retried,
  stalled = stalled + excluded.stalled, removed = removed + excluded.removed, duration_sum = duration_sum + excluded.duration_sum,
  duration_min = coalesce(min(duration_min, excluded.duration_min), duration_min, excluded.duration_min),
  duration_max = coalesce(max(duration_max, excluded.duration_max), duration_max, excluded.duration_max),
  wait_sum = wait_sum + excluded.wait_sum, tokens = tokens + excluded.tokens, peak = max(peak, excluded.peak)`;

const sums = `sum(r.added) added, sum(r.completed) completed, sum(r.failed) failed, sum(r.cancelled) cancelled,
  sum(r.retried) retried, sum(r.stalled) stalled, sum(r.removed) removed, sum(r.duration_sum) duration_sum,
  min(r.duration_min) duration_min, max(r.duration_max) duration_max, sum(r.wait_sum) wait_sum,
  sum(r.tokens) tokens, max(r.peak) peak`;

/** Counts what happens, in the transaction in which it happens, one row a commit, lane, level and project. */
export class Rollups {
  readonly #db: DatabaseSync;
  readonly #upsert: StatementSync;
  readonly #byLane = new Map<number, Sum>();
  /** The one of `#byLane` that was added to last. */
  #last: Sum | undefined;
  readonly #byProject = new Map<string, Sum>();
  #foldedHour = 0;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#upsert = db.prepare(
      `INSERT INTO rollup (span, at, lane, level, project, ${columns})
       VALUES ('minute', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ${merge}`,
    );
  }

  add(lane: Lane, priority: number, project: string | null, tally: Tally, count = 1): void {
    this.#sum(lane.no, priority, project)[tally] += count;
  }

  completed(
    lane: Lane,
    priority: number,
    project: string | null,
    run: { readonly durationMs: number; readonly waitMs: number; readonly tokens: number },
  ): void {
    const sum = this.#sum(lane.no, priority, project);
    sum.completed++;
    sum.durationSum += run.durationMs;
    sum.waitSum += run.waitMs;
    sum.tokens += run.tokens;
    if (sum.durationMin === null || run.durationMs < sum.durationMin)
      sum.durationMin = run.durationMs;
    if (sum.durationMax === null || run.durationMs > sum.durationMax)
      sum.durationMax = run.durationMs;
  }

  /** `active` runs at once, of a lane or of the lane that stands for the tenant's typed queues. */
  active(laneNo: number, active: number): void {
    const sum = this.#sum(laneNo, 0, null);
    if (active > sum.peak) sum.peak = active;
  }

  write(now: number): void {
    if (this.#byLane.size === 0 && this.#byProject.size === 0) return;
    const minute = now - (now % MINUTE_MS);
    for (const sums of [this.#byLane, this.#byProject]) {
      for (const s of sums.values()) {
        this.#upsert.run(
          minute,
          s.lane,
          s.level,
          s.project,
          s.added,
          s.completed,
          s.failed,
          s.cancelled,
          s.retried,
          s.stalled,
          s.removed,
          s.durationSum,
          s.durationMin,
          s.durationMax,
          s.waitSum,
          s.tokens,
          s.peak,
        );
      }
    }
    this.discard();
  }

  discard(): void {
    this.#last = undefined;
    this.#byLane.clear();
    this.#byProject.clear();
  }

  /** Folds old spans into longer ones, once an hour however often it is called. */
  fold(now: number): void {
    const hour = Math.floor(now / HOUR_MS);
    if (hour === this.#foldedHour) return;
    this.#foldedHour = hour;
    const minutes = now - KEEP_MINUTES_MS;
    const hours = now - KEEP_HOURS_MS;
    this.#fold("minute", minutes - (minutes % HOUR_MS), "hour", `at - at % ${HOUR_MS}`);
    this.#fold("hour", hours - (hours % HOUR_MS), "total", "0");
  }

  #fold(from: string, before: number, to: string, at: string): void {
    this.#db
      .prepare(
        `INSERT INTO rollup (span, at, lane, level, project, ${columns})
         SELECT '${to}', ${at}, r.lane, r.level, r.project, ${sums} FROM rollup r
         WHERE r.span = '${from}' AND r.at < ? GROUP BY 2, 3, 4, 5 ${merge}`,
      )
      .run(before);
    this.#db.prepare(`DELETE FROM rollup WHERE span = ? AND at < ?`).run(from, before);
  }

  /** `lanes`: those asked for; `typedLanes`: what the peak over several queues is read from. */
  read(
    params: StatsParams,
    lanes: readonly Lane[],
    typedLanes: readonly number[],
  ): readonly StatsRow[] {
    const { groupBy } = params;
    const where = ["r.lane IN (SELECT value FROM json_each(?))"];
    const values: SQLInputValue[] = [];
    if (params.from !== undefined) {
      // An hour or total that begins earlier cannot be split.
      where.push("r.span IN ('minute', 'hour') AND r.at >= ?");
      values.push(params.from - (params.from % MINUTE_MS));
    }
    if (params.to !== undefined) {
      where.push("r.at < ?");
      values.push(params.to);
    }
    if (params.project !== undefined) {
      where.push("r.project = ?");
      values.push(params.project);
    }
    if (params.level !== undefined) {
      where.push("r.level = ?");
      values.push(levels.indexOf(params.level));
    }
    const key = {
      queue: "l.queue",
      level: "r.level",
      project: "r.project",
      minute: "CASE r.span WHEN 'minute' THEN r.at ELSE 0 END",
      hour: `CASE r.span WHEN 'total' THEN 0 ELSE r.at - r.at % ${HOUR_MS} END`,
      none: "''",
    }[groupBy ?? "none"];
    const query = (extra: string): StatementSync =>
      this.#db.prepare(
        `SELECT ${key} key, ${sums} FROM rollup r JOIN lane l ON l.no = r.lane
         WHERE ${where.join(" AND ")} ${extra} GROUP BY 1 ORDER BY 1`,
      );
    const found = query("").all(JSON.stringify(lanes.map((l) => l.no)), ...values);
    const peaks = new Map<string, number>();
    if (lanes.length > 1 && groupBy !== "queue") {
      for (const row of query("").all(JSON.stringify(typedLanes), ...values)) {
        peaks.set(String(row["key"]), Number(row["peak"] ?? 0));
      }
    }
    // Ungrouped, there is a row of nothing where nothing happened.
    const rows = found.length === 0 && groupBy === undefined ? [{ key: "" }] : found;
    return rows.map((row: Record<string, unknown>) => {
      const completed = Number(row["completed"] ?? 0);
      const k = String(row["key"]);
      return {
        key: groupBy === "level" ? (levels[Number(k)] as string) : k,
        added: Number(row["added"] ?? 0),
        completed,
        failed: Number(row["failed"] ?? 0),
        cancelled: Number(row["cancelled"] ?? 0),
        retried: Number(row["retried"] ?? 0),
        stalled: Number(row["stalled"] ?? 0),
        removed: Number(row["removed"] ?? 0),
        durationAvg: completed === 0 ? null : Number(row["duration_sum"]) / completed,
        durationMin: (row["duration_min"] ?? null) as number | null,
        durationMax: (row["duration_max"] ?? null) as number | null,
        waitAvg: completed === 0 ? null : Number(row["wait_sum"]) / completed,
        tokens: Number(row["tokens"] ?? 0),
        peakConcurrency: Math.max(Number(row["peak"] ?? 0), peaks.get(k) ?? 0),
      };
    });
  }

  #sum(lane: number, priority: number, project: string | null): Sum {
    const level = priority <= -7 ? 0 : priority < 0 ? 1 : priority === 0 ? 2 : 3;
    if (project === null) {
      const last = this.#last;
      if (last?.lane === lane && last.level === level) return last;
      const key = lane * 4 + level;
      let sum = this.#byLane.get(key);
      if (sum === undefined) this.#byLane.set(key, (sum = emptySum(lane, level, "")));
      this.#last = sum;
      return sum;
    }
    const key = `${lane}.${level}.${project}`;
    let sum = this.#byProject.get(key);
    if (sum === undefined) this.#byProject.set(key, (sum = emptySum(lane, level, project)));
    return sum;
  }
}

function emptySum(lane: number, level: number, project: string): Sum {
  return {
    lane,
    level,
    project,
    added: 0,
    completed: 0,
    failed: 0,
    cancelled: 0,
    retried: 0,
    stalled: 0,
    removed: 0,
    durationSum: 0,
    durationMin: null,
    durationMax: null,
    waitSum: 0,
    tokens: 0,
    peak: 0,
  };
}
