import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { ErrorGroupsParams } from "../../queue-adapter.ts";
import type { Lane } from "./lanes.ts";

const HOUR_MS = 3_600_000;
/** Rows read at once, which takes some ms. */
const STEP = 10_000;

export interface FailureGroup {
  readonly group: string;
  readonly queue: string;
  count: number;
  firstAt: number;
  lastAt: number;
  newest: number;
  readonly perHour: number[];
}

type Row = readonly [group: string, id: number, at: number];

/** What is known of failed jobs by the groups of their errors. */
export class Failures {
  readonly #rows: StatementSync;

  constructor(db: DatabaseSync) {
    this.#rows = db.prepare(
      `SELECT grp, id, at FROM failure WHERE lane = ? AND (grp, id) > (?, ?) ORDER BY grp, id LIMIT ${STEP}`,
    );
    this.#rows.setReturnArrays(true);
  }

  /** The largest groups; `pause` lets others have their turn. */
  async groups(
    { from = -Infinity, to = Infinity, limit }: ErrorGroupsParams,
    lanes: readonly Lane[],
    now: number,
    pause: () => Promise<void>,
  ): Promise<FailureGroup[]> {
    const groups = new Map<string, FailureGroup>();
    for (const lane of lanes) {
      if (lane.counts.failed === 0) continue;
      let last: Row = ["", 0, 0];
      for (;;) {
        const rows = this.#rows.all(lane.no, last[0], last[1]) as unknown as readonly Row[];
        for (const [group, id, at] of rows) {
          if (at < from || at >= to) continue;
          const key = `${group}.${lane.queue}`;
          let known = groups.get(key);
          if (known === undefined) {
            groups.set(key, (known = emptyGroup(group, lane.queue, at)));
          }
          known.count++;
          if (at < known.firstAt) known.firstAt = at;
          if (at >= known.lastAt) {
            known.lastAt = at;
            known.newest = id;
          }
          const hour = Math.floor((now - at) / HOUR_MS);
          const slot = 23 - hour;
          if (hour >= 0 && slot >= 0) known.perHour[slot] = (known.perHour[slot] ?? 0) + 1;
        }
        if (rows.length < STEP) break;
        last = rows.at(-1) as Row;
        await pause();
      }
    }
    return [...groups.values()]
      .sort((a, b) => b.count - a.count || b.lastAt - a.lastAt)
      .slice(0, limit);
  }
}

function emptyGroup(group: string, queue: string, at: number): FailureGroup {
  const perHour = Array.from({ length: 24 }, () => 0);
  return { group, queue, count: 0, firstAt: at, lastAt: at, newest: 0, perHour };
}
