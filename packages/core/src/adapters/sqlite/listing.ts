import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { isFinished, type JobState } from "../../job.ts";
import type { JobFilter, Page, StateCounts } from "../../queue-adapter.ts";
import { type Lane, noCounts } from "./lanes.ts";
import { Phase } from "./rows.ts";

/** Lanes merged in one statement, each read in the order of its own key; above that the jobs are read in id order. */
const MERGED_LANES = 60;
/** Stands for an active job, whose phase is that of a waiting one. */
const ACTIVE = 6;

const stateNumbers: Readonly<Record<JobState, number>> = {
  waiting: Phase.ready,
  delayed: Phase.delayed,
  blocked: Phase.blocked,
  active: ACTIVE,
  completed: Phase.completed,
  failed: Phase.failed,
  cancelled: Phase.cancelled,
};

interface Condition {
  readonly sql: string;
  readonly values: readonly SQLInputValue[];
}

const joined = `job j
  LEFT JOIN open_job o ON o.lane = j.lane AND o.id = j.id
  LEFT JOIN finished_job f ON f.lane = j.lane AND f.phase IN (3, 4, 5) AND f.id = j.id`;

/** Finds jobs by filter. `active` are the ids of the jobs being run, which the tables do not tell from waiting ones. */
export class Listing {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  ids(filter: JobFilter, page: Page, lanes: readonly Lane[], active: readonly number[]): number[] {
    const states = filter.states;
    const onJob = [...jobConditions(filter), ...pageConditions(page)];
    const limit = `ORDER BY id ${page.order === "asc" ? "ASC" : "DESC"} LIMIT ? OFFSET ?`;
    const window = [page.limit, page.offset ?? 0];
    if (labelOf(filter) !== undefined || lanes.length > MERGED_LANES) {
      const all = this.#everywhere(filter, lanes, active, onJob);
      return this.#column(`SELECT j.id id ${all.sql} ${limit}`, [...all.values, ...window]);
    }
    const parts: Condition[] = [];
    const wanted = (state: JobState): boolean => states === undefined || states.includes(state);
    for (const { no } of lanes) {
      const open = openCondition(wanted, active);
      if (open !== undefined) parts.push(part("open_job", no, open, onJob));
      for (const state of ["completed", "failed", "cancelled"] as const) {
        if (!wanted(state)) continue;
        const phase = { sql: "x.phase = ?", values: [stateNumbers[state]] };
        parts.push(part("finished_job", no, phase, onJob));
      }
    }
    if (parts.length === 0) return [];
    const sql = parts.map((p) => p.sql).join(" UNION ALL ");
    return this.#column(`${sql} ${limit}`, [...parts.flatMap((p) => p.values), ...window]);
  }

  counts(filter: JobFilter, lanes: readonly Lane[], active: readonly number[]): StateCounts {
    const counts = noCounts();
    const { states } = filter;
    if (labelOf(filter) === undefined && jobConditions(filter).length === 0) {
      for (const lane of lanes) {
        for (const state of Object.keys(counts) as JobState[]) counts[state] += lane.counts[state];
      }
    } else {
      const everything = this.#everywhere(filter, lanes, active, jobConditions(filter));
      const rows = this.#db
        .prepare(`SELECT ${stateExpression} state, count(*) n ${everything.sql} GROUP BY 1`)
        .all(JSON.stringify(active), ...everything.values);
      for (const state of Object.keys(counts) as JobState[]) {
        counts[state] = Number(
          rows.find((row) => row["state"] === stateNumbers[state])?.["n"] ?? 0,
        );
      }
    }
    for (const state of Object.keys(counts) as JobState[]) {
      if (states !== undefined && !states.includes(state)) counts[state] = 0;
    }
    return counts;
  }

  /** Label first if there is one, else the jobs in order of their ids. */
  #everywhere(
    filter: JobFilter,
    lanes: readonly Lane[],
    active: readonly number[],
    onJob: readonly Condition[],
  ): Condition {
    const label = labelOf(filter);
    const conditions: Condition[] = [...onJob];
    let from = joined;
    if (label !== undefined) {
      // A tenant's own labels; for all tenants the key's other columns do not help, so they are looked through.
      from = `label l CROSS JOIN ${joined.replace("job j", "job j ON j.id = l.id")}`;
      const tenants = [...new Set(lanes.map((lane) => lane.tenant))];
      conditions.push({
        sql: "l.tenant IN (SELECT value FROM json_each(?)) AND l.kind = ? AND l.value = ?",
        values: [JSON.stringify(tenants), ...label],
      });
    }
    conditions.push({
      sql: "j.lane IN (SELECT value FROM json_each(?))",
      values: [JSON.stringify(lanes.map((lane) => lane.no))],
    });
    if (filter.states !== undefined) {
      conditions.push({
        sql: `${stateExpression} IN (SELECT value FROM json_each(?))`,
        values: [
          JSON.stringify(active),
          JSON.stringify(filter.states.map((state) => stateNumbers[state])),
        ],
      });
    }
    return {
      sql: `FROM ${from} WHERE ${conditions.map((c) => c.sql).join(" AND ")}`,
      values: conditions.flatMap((c) => c.values),
    };
  }

  #column(sql: string, values: readonly SQLInputValue[]): number[] {
    return this.#db
      .prepare(sql)
      .all(...values)
      .map((row) => Number(row["id"]));
  }
}

/** Takes the active ids as its one parameter. */
const stateExpression = `CASE WHEN f.phase IS NOT NULL THEN f.phase
  WHEN o.phase = 0 AND j.id IN (SELECT value FROM json_each(?)) THEN ${ACTIVE} ELSE o.phase END`;

function openCondition(
  wanted: (state: JobState) => boolean,
  active: readonly number[],
): Condition | undefined {
  const states = (Object.keys(stateNumbers) as JobState[]).filter(
    (s) => wanted(s) && !isFinished(s),
  );
  if (states.length === 0) return undefined;
  if (states.length === 4) return { sql: "1", values: [] };
  const alternatives: Condition[] = [];
  const ids = (): string => JSON.stringify(active);
  for (const state of states) {
    if (state === "active") {
      alternatives.push({ sql: "x.id IN (SELECT value FROM json_each(?))", values: [ids()] });
    } else if (state === "waiting") {
      alternatives.push({
        sql: "(x.phase = 0 AND x.id NOT IN (SELECT value FROM json_each(?)))",
        values: [ids()],
      });
    } else {
      alternatives.push({ sql: "x.phase = ?", values: [stateNumbers[state]] });
    }
  }
  return {
    sql: `(${alternatives.map((a) => a.sql).join(" OR ")})`,
    values: alternatives.flatMap((a) => a.values),
  };
}

function part(
  table: string,
  lane: number,
  state: Condition,
  onJob: readonly Condition[],
): Condition {
  const conditions = [{ sql: "x.lane = ?", values: [lane] }, state, ...onJob];
  // `j` only where something is asked of it: the key of `x` alone gives the order.
  const job = onJob.some(
    (c) =>
      c.sql.includes("j.options") || c.sql.includes("j.created_at") || c.sql.includes("j.priority"),
  );
  const from = job ? `${table} x CROSS JOIN job j ON j.id = x.id` : `${table} x`;
  const where = conditions
    .map((c) => (job ? c.sql : c.sql.replaceAll("j.id", "x.id")))
    .join(" AND ");
  return {
    sql: `SELECT x.id id FROM ${from} WHERE ${where.replaceAll("j.id", "x.id")}`,
    values: conditions.flatMap((c) => c.values),
  };
}

function labelOf(filter: JobFilter): readonly [kind: string, value: string] | undefined {
  if (filter.batch !== undefined) return ["batch", filter.batch];
  if (filter.tag !== undefined) return ["tag", filter.tag];
  if (filter.project !== undefined) return ["project", filter.project];
  return undefined;
}

function jobConditions(filter: JobFilter): Condition[] {
  const conditions: Condition[] = [];
  const add = (sql: string, ...values: SQLInputValue[]): void =>
    void conditions.push({ sql, values });
  const { priority, created, name } = filter;
  if (priority?.min !== undefined) add("j.priority >= ?", priority.min);
  if (priority?.max !== undefined) add("j.priority <= ?", priority.max);
  if (created?.from !== undefined) add("j.created_at >= ?", created.from);
  if (created?.to !== undefined) add("j.created_at < ?", created.to);
  if (name !== undefined) add("j.options ->> 'name' = ?", name);
  const first = labelOf(filter)?.[0];
  for (const kind of ["batch", "tag", "project"] as const) {
    const value = filter[kind];
    if (value === undefined || kind === first) continue;
    add(
      "EXISTS (SELECT 1 FROM label m WHERE m.tenant = l.tenant AND m.kind = ? AND m.value = ? AND m.id = j.id)",
      kind,
      value,
    );
  }
  return conditions;
}

function pageConditions(page: Page): Condition[] {
  if (page.after === undefined) return [];
  return [{ sql: page.order === "asc" ? "j.id > ?" : "j.id < ?", values: [page.after] }];
}
