import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { isDeepStrictEqual } from "node:util";
import { parseFingerprint } from "../../error-groups.ts";
import { isFinished, type JobState, jobStates } from "../../job.ts";
import type { JobFilter, Page, StateCounts } from "../../queue-adapter.ts";
import { valueKey } from "../../payload-paths.ts";
import { levelRange, type PriorityLevel, priorityLevels } from "../../priority.ts";
import { type Lane, noCounts } from "./lanes.ts";
import { Phase } from "./rows.ts";

/** Lanes merged in one statement, each read in the order of its own key. */
const MERGED_LANES = 60;
/** Stands for an active job, whose phase is that of a waiting one. */
const ACTIVE = 6;
/** Statements kept for the next time. */
const MOST_PREPARED = 100;
/** Jobs passed over in one statement. */
const LONGEST_SKIP = 5000;
/** Jobs looked at in one statement: as many as take about so long, ms. */
const FIRST_STEP = 500;
const LONGEST_STEP = 20_000;
const STEP_MS = 5;
/** Then others get their turn, ms. */
const TURN_MS = 8;
/** Ids rise with creation times, but for clocks that were set back; by no more than this, ms. */
const CLOCK_MARGIN_MS = 3_600_000;

const stateNumbers: Readonly<Record<JobState, number>> = {
  waiting: Phase.ready,
  delayed: Phase.delayed,
  blocked: Phase.blocked,
  active: ACTIVE,
  completed: Phase.completed,
  failed: Phase.failed,
  cancelled: Phase.cancelled,
};

const GIVEN = "SELECT g.id FROM (SELECT value id FROM json_each($given)) g WHERE 1";

type Values = Record<string, SQLInputValue>;
type Statement = (values: Values) => Record<string, SQLInputValue>[];

/** Jobs in the order of their ids, of which some match. */
interface Source {
  /** A SELECT that ends in its conditions; its ids are called `id`. */
  readonly candidates: string;
  readonly joins: string;
  /** The number of a candidate's state. */
  readonly state: string;
  readonly conditions: readonly string[];
  readonly values: Values;
}

export interface Asked {
  readonly filter: JobFilter;
  readonly lanes: readonly Lane[];
  /** Of the filter's path in its payloads. */
  readonly indexes: readonly number[];
  /** Ids of the jobs being run, which the tables do not tell from waiting ones. */
  readonly active: () => readonly number[];
}

interface Scan {
  readonly counts: Record<JobState, number>;
  readonly ids: number[];
}

/** Finds jobs by filter: at once where keys and counters tell, else by looking through them in short steps. */
export class Listing {
  readonly #db: DatabaseSync;
  readonly #bounds;
  readonly #next;
  /** By their text. */
  readonly #prepared = new Map<string, Statement>();

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#bounds = db.prepare(
      "SELECT (SELECT min(id) FROM job) first, (SELECT max(id) FROM job) last",
    );
    this.#next = db.prepare("SELECT id, created_at at FROM job WHERE id >= ? ORDER BY id LIMIT 1");
  }

  /** `pause` lets others have their turn; `known`: how many match, where that is counted elsewhere. */
  async find(
    asked: Asked,
    page: Page,
    pause: () => Promise<void>,
    known?: number,
  ): Promise<{ ids: number[]; total: number }> {
    const total = isDirect(asked.filter) ? sumOf(directCounts(asked)) : known;
    if (total !== undefined) return { ids: await this.#page(asked, page, pause, total), total };
    const { ids, counts } = await this.#scan(asked, pause, page, "all", false);
    return { ids, total: sumOf(counts) };
  }

  /** What lies nearer to the end is reached from there. */
  async #page(
    asked: Asked,
    page: Page,
    pause: () => Promise<void>,
    total: number,
  ): Promise<number[]> {
    const { offset = 0, limit, after, order } = page;
    if (after !== undefined || offset < total / 2) return this.ids(asked, page, pause);
    const left = total - offset;
    if (left <= 0) return [];
    const fromEnd: Page = {
      order: order === "asc" ? "desc" : "asc",
      limit: Math.min(limit, left),
      offset: Math.max(0, left - limit),
    };
    return (await this.ids(asked, fromEnd, pause)).toReversed();
  }

  /** The ids alone. */
  async ids(asked: Asked, page: Page, pause: () => Promise<void>): Promise<number[]> {
    if (keysTell(asked, page)) return this.directIds(asked, page);
    if (keysOrder(asked)) return this.directIds(asked, await this.#passed(asked, page, pause));
    return (await this.#scan(asked, pause, page, "page", false)).ids;
  }

  async count(asked: Asked, pause: () => Promise<void>): Promise<StateCounts> {
    if (isDirect(asked.filter)) return directCounts(asked);
    return (await this.#scan(asked, pause, { limit: 0, order: "asc" }, "all", true)).counts;
  }

  /** Those of some jobs that match now. */
  matching(asked: Asked, ids: readonly number[]): number[] {
    const source = wholeSource(asked, false, {
      candidates: GIVEN,
      values: { given: JSON.stringify(ids) },
      tells: [],
    });
    const found = this.#all(
      `SELECT c.id id FROM (${source.candidates}) c ${source.joins} WHERE ${allOf(source)}`,
      { ...source.values, active: JSON.stringify(asked.active()) },
    );
    const matching = new Set(found.map((row) => Number(row["id"])));
    return ids.filter((id) => matching.has(id));
  }

  /** A page of a filter whose keys tell. */
  directIds(asked: Asked, page: Page): number[] {
    const { lanes, active } = asked;
    const sources = lanes.flatMap((lane) => laneSources(lane, asked, false));
    if (sources.length === 0) return [];
    const { after, order, limit, offset = 0 } = page;
    const beyond = after === undefined ? "1" : `id ${order === "asc" ? ">" : "<"} $after`;
    const { parts, values } = merged(sources, beyond, "x.id id");
    const sql = `${parts.join(" UNION ALL ")} ORDER BY id ${order} LIMIT $limit OFFSET $offset`;
    const own = { limit, offset, after: after ?? null, active: JSON.stringify(active()) };
    return this.#all(sql, { ...values, ...own }).map((row) => Number(row["id"]));
  }

  /** The same page, from a place near it: whole ranges of ids are counted, and passed over, first. */
  async #passed(asked: Asked, page: Page, pause: () => Promise<void>): Promise<Page> {
    const { order, limit } = page;
    let { offset = 0 } = page;
    const ascending = order === "asc";
    const sources = asked.lanes.flatMap((lane) => laneSources(lane, asked, false));
    const range = "id >= $from AND id <= $to";
    const { parts, values } = merged(sources, range, "count(*) n");
    const count = this.#prepare(`SELECT sum(n) n FROM (${parts.join(" UNION ALL ")})`);
    const [first, last] = this.#idsIn(asked.filter);
    let after = page.after ?? (ascending ? first - 1 : last + 1);
    let width = LONGEST_STEP;
    let turnBegan = performance.now();
    while (offset > LONGEST_SKIP && after >= first - 1 && after <= last + 1) {
      const end = ascending ? after + width : after - width;
      const [from, to] = ascending ? [after + 1, end] : [end, after - 1];
      const began = performance.now();
      const [row] = count({ ...values, from, to, active: JSON.stringify(asked.active()) });
      const there = Number(row?.["n"] ?? 0);
      const took = performance.now() - began;
      if (there > offset) {
        width = Math.ceil(width / 2);
      } else {
        offset -= there;
        after = end;
        if (took < STEP_MS / 2) width *= 2;
        else if (took > STEP_MS) width = Math.max(1, Math.floor((width * STEP_MS) / took));
      }
      if (performance.now() - turnBegan > TURN_MS) {
        await pause();
        turnBegan = performance.now();
      }
    }
    return { order, limit, offset, after };
  }

  /** `what`: all matches are counted, or the search ends with the page. */
  async #scan(
    asked: Asked,
    pause: () => Promise<void>,
    page: Page,
    what: "all" | "page",
    withState: boolean,
  ): Promise<Scan> {
    const { limit, offset = 0, order, after } = page;
    const sources = this.#sources(asked, withState);
    // Of several sources' matches it is not known yet which ones the page passes over.
    const passes = sources.length === 1 && (after === undefined || what === "page");
    let toPass = passes ? offset : 0;
    const offsetLeft = offset - toPass;
    const wanted = limit === 0 ? 0 : offsetLeft + limit;
    const counts = noCounts();
    const found: number[] = [];
    const [first, last] = this.#idsIn(asked.filter);
    const ascending = order === "asc";
    let turnBegan = performance.now();
    let most = FIRST_STEP;
    for (const source of sources) {
      const step = this.#stepThrough(source, ascending);
      let collected = 0;
      let at = ascending ? first - 1 : last + 1;
      if (what === "page" && after !== undefined)
        at = ascending ? Math.max(at, after) : Math.min(at, after);
      const end = ascending ? last : first;
      for (;;) {
        const began = performance.now();
        const range = { at, end, most, active: JSON.stringify(asked.active()) };
        const { seen, reached, ofStates } = step.count(range);
        let matching = 0;
        for (const [state, n] of ofStates) {
          counts[state] += n;
          matching += n;
        }
        if (matching <= toPass) {
          toPass -= matching;
        } else if (collected < wanted) {
          const beyond = after ?? (ascending ? 0 : Number.MAX_SAFE_INTEGER);
          const ids = step.ids({ ...range, beyond, limit: wanted - collected, offset: toPass });
          toPass = 0;
          collected += ids.length;
          found.push(...ids);
        }
        if (seen < most || (what === "page" && collected >= wanted)) break;
        at = reached;
        const took = performance.now() - began;
        if (took < STEP_MS / 2) most = Math.min(LONGEST_STEP, most * 2);
        else if (took > STEP_MS) most = Math.max(1, Math.floor((most * STEP_MS) / took));
        if (performance.now() - turnBegan > TURN_MS) {
          await pause();
          turnBegan = performance.now();
        }
      }
      // Many small sources are a long one.
      if (performance.now() - turnBegan > TURN_MS) {
        await pause();
        turnBegan = performance.now();
      }
    }
    found.sort((a, b) => (ascending ? a - b : b - a));
    return { counts, ids: found.slice(offsetLeft, wanted) };
  }

  #stepThrough(source: Source, ascending: boolean) {
    const direction = ascending ? "ASC" : "DESC";
    const range = ascending ? "id > $at AND id <= $end" : "id < $at AND id >= $end";
    const from = `FROM (${source.candidates} AND ${range} ORDER BY id ${direction} LIMIT $most) c ${source.joins}`;
    // To group what is all of one kind would sort it.
    const grouping = /^(\d+|NULL)$/.test(source.state) ? "HAVING count(*) > 0" : "GROUP BY 1";
    const matching = source.conditions.length === 0 ? "count(*)" : `sum(${allOf(source)})`;
    const count = this.#prepare(
      `SELECT ${source.state} state, count(*) seen, ${matching} n,
         ${ascending ? "max" : "min"}(c.id) reached ${from} ${grouping}`,
    );
    const ids = this.#prepare(
      `SELECT c.id id ${from} WHERE ${allOf(source)} AND c.id ${ascending ? ">" : "<"} $beyond
       ORDER BY c.id ${direction} LIMIT $limit OFFSET $offset`,
    );
    return {
      count: (values: Values) => {
        let seen = 0;
        let reached = Number(values["at"]);
        const ofStates: [JobState, number][] = [];
        for (const row of count({ ...source.values, ...values })) {
          seen += Number(row["seen"]);
          const there = Number(row["reached"]);
          if (ascending ? there > reached : there < reached) reached = there;
          ofStates.push([stateOfNumber(Number(row["state"])), Number(row["n"] ?? 0)]);
        }
        return { seen, reached, ofStates };
      },
      ids: (values: Values) => ids({ ...source.values, ...values }).map((row) => Number(row["id"])),
    };
  }

  /** The most telling part of the filter gives the candidates. */
  #sources(asked: Asked, withState: boolean): Source[] {
    const { filter, lanes } = asked;
    if (filter.ids !== undefined) {
      const values = { given: JSON.stringify([...new Set(filter.ids)]) };
      return [wholeSource(asked, withState, { candidates: GIVEN, values, tells: ["ids"] })];
    }
    const group = filter.errorGroup === undefined ? null : parseFingerprint(filter.errorGroup);
    if (group !== null) {
      return lanes
        .filter(({ queue, counts }) => queue === group.queue && counts.failed > 0)
        .map(({ no }) =>
          wholeSource(asked, withState, {
            candidates: "SELECT e.id FROM failure e WHERE e.lane = $no AND e.grp = $grp",
            values: { no, grp: group.group },
            tells: ["errorGroup", "queues"],
          }),
        );
    }
    if (filter.payload !== undefined) {
      const value = valueKey(filter.payload.equals);
      return asked.indexes.map((idx) =>
        wholeSource(asked, withState, {
          candidates: "SELECT v.id FROM payload_value v WHERE v.idx = $idx AND v.value = $value",
          values: { idx, value },
          tells: ["payload", "queues"],
        }),
      );
    }
    const [label] = labelsOf(filter);
    if (label !== undefined) {
      const [kind, value] = label;
      return [...new Set(lanes.map(({ tenant }) => tenant))].map((tenant) =>
        wholeSource(asked, withState, {
          candidates:
            "SELECT l.id FROM label l WHERE l.tenant = $owner AND l.kind = $kind AND l.value = $value",
          values: { owner: tenant, kind, value },
          tells: [kind],
        }),
      );
    }
    const present = lanes.reduce((sum, { counts }) => sum + sumOf(counts), 0);
    const { first, last } = this.#bounds.get() as { first: number | null; last: number | null };
    // Where most jobs are in question, to read them one after the other is faster than to look each one up.
    if (!withState && filter.states === undefined && filter.error === undefined) {
      if (present * 4 > (last ?? 0) - (first ?? 0)) return [jobSource(asked)];
    }
    return lanes.flatMap((lane) => laneSources(lane, asked, withState));
  }

  /** First and last id that can match. */
  #idsIn({ created }: JobFilter): [number, number] {
    const { first, last } = this.#bounds.get() as { first: number | null; last: number | null };
    if (first === null || last === null) return [1, 0];
    const { from, to } = created ?? {};
    return [
      from === undefined ? first : this.#firstSince(from - CLOCK_MARGIN_MS, first, last),
      to === undefined ? last : this.#firstSince(to + CLOCK_MARGIN_MS, first, last),
    ];
  }

  #firstSince(time: number, first: number, last: number): number {
    let low = first;
    let high = last + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const row = this.#next.get(middle) as { id: number; at: number } | undefined;
      if (row === undefined || row.at >= time) high = middle;
      else low = row.id + 1;
    }
    return low;
  }

  /** A statement that is given exactly the values it names. */
  #prepare(sql: string): Statement {
    let prepared = this.#prepared.get(sql);
    if (prepared === undefined) {
      const statement = this.#db.prepare(sql);
      const names = [
        ...new Set(Array.from(sql.matchAll(/\$(\w+)/g), ([, name]) => name as string)),
      ];
      prepared = (values) =>
        statement.all(
          Object.fromEntries(names.map((name) => [name, values[name] as SQLInputValue])),
        );
    }
    // The last used one is the last to go.
    this.#prepared.delete(sql);
    this.#prepared.set(sql, prepared);
    if (this.#prepared.size > MOST_PREPARED) {
      const [oldest] = this.#prepared.keys();
      this.#prepared.delete(oldest as string);
    }
    return prepared;
  }

  #all(sql: string, values: Values): Record<string, SQLInputValue>[] {
    return this.#prepare(sql)(values);
  }
}

/** The state of a job that may be in any table, as far as it may be one of these. */
function stateAmong(states: readonly JobState[]): { readonly joins: string; readonly sql: string } {
  const open = states.some((state) => !isFinished(state));
  const phases = states.filter(isFinished).map((state) => stateNumbers[state]);
  const openState = `CASE WHEN o.phase = 0 AND c.id IN (SELECT value FROM json_each($active))
    THEN ${ACTIVE} ELSE o.phase END`;
  const joins: string[] = [];
  if (open) joins.push("LEFT JOIN open_job o ON o.lane = j.lane AND o.id = j.id");
  if (phases.length > 0) {
    joins.push(
      `LEFT JOIN finished_job f ON f.lane = j.lane AND f.phase IN (${phases.join(", ")}) AND f.id = j.id`,
    );
  }
  const either = open ? `coalesce(f.phase, ${openState})` : "f.phase";
  if (joins.length === 0) return { joins: "", sql: "NULL" };
  return { joins: joins.join(" "), sql: phases.length > 0 ? either : openState };
}

/** Jobs named from outside the lanes' own tables, by what `tells` some of the filter already. */
function wholeSource(
  { filter, lanes, indexes }: Asked,
  withState: boolean,
  given: Pick<Source, "candidates" | "values"> & { readonly tells: readonly string[] },
): Source {
  const { tells } = given;
  // An error is looked for wherever the job is.
  const state = stateAmong(filter.error === undefined ? wantedStates(filter) : jobStates);
  const rest = Object.entries(filter).filter(([field]) => !tells.includes(field));
  const { sql, values } = jobConditions(Object.fromEntries(rest) as unknown as JobFilter);
  const conditions = [...sql];
  if (filter.payload !== undefined && !tells.includes("payload")) {
    conditions.push(`EXISTS (SELECT 1 FROM payload_value v WHERE v.value = $sought AND v.id = c.id
      AND v.idx IN (SELECT value FROM json_each($indexes)))`);
  }
  // A tenant's own set has no other tenant's jobs.
  if (filter.queues !== undefined || tells.length === 0 || tells[0] === "ids") {
    conditions.push("j.lane IN (SELECT value FROM json_each($lanes))");
  }
  if (filter.error !== undefined) {
    conditions.push(
      `coalesce(CASE WHEN f.phase IS NULL THEN o.error IS NOT NULL AND error_has(o.error, $text)
         WHEN f.phase = 4 THEN error_has(f.error, $text) END, 0)`,
    );
  }
  if (filter.states !== undefined) {
    conditions.push(`(${state.sql}) IN (SELECT value FROM json_each($states))`);
  }
  const looksAtRows = withState || filter.error !== undefined || filter.states !== undefined;
  return {
    candidates: given.candidates,
    joins: [
      looksAtRows || conditions.length > 0 ? "LEFT JOIN job j ON j.id = c.id" : "",
      looksAtRows ? state.joins : "",
    ].join(" "),
    state: withState ? state.sql : "0",
    conditions,
    values: {
      ...values,
      ...given.values,
      lanes: JSON.stringify(lanes.map(({ no }) => no)),
      text: filter.error ?? null,
      sought: filter.payload === undefined ? null : valueKey(filter.payload.equals),
      indexes: JSON.stringify(indexes),
      states: JSON.stringify(wantedStates(filter).map((state) => stateNumbers[state])),
    },
  };
}

/** All jobs, one after the other. */
function jobSource({ filter, lanes }: Asked): Source {
  const { sql, values } = jobConditions(filter);
  return {
    candidates: "SELECT a.id, a.lane, a.priority, a.created_at FROM job a WHERE 1",
    joins: "",
    state: "0",
    // The candidates have all that is asked of a job.
    conditions: [...sql, "j.lane IN (SELECT value FROM json_each($lanes))"].map((condition) =>
      condition.replaceAll("j.", "c."),
    ),
    values: { ...values, lanes: JSON.stringify(lanes.map(({ no }) => no)) },
  };
}

/** One lane's jobs by the tables they are in, as far as their states are wanted. */
function laneSources(lane: Lane, { filter }: Asked, withState: boolean): Source[] {
  const states = wantedStates(filter).filter((state) => lane.counts[state] > 0);
  const { sql, values } = jobConditions(filter);
  const joins = sql.length > 0 ? "LEFT JOIN job j ON j.id = c.id" : "";
  const error = filter.error === undefined ? "" : ", x.error";
  const onError =
    filter.error === undefined ? [] : ["c.error IS NOT NULL AND error_has(c.error, $text)"];
  const common = { joins, values: { ...values, no: lane.no, text: filter.error ?? null } };
  const sources: Source[] = [];
  const open = states.filter((state) => !isFinished(state));
  if (open.length > 0) {
    const isActive = "c.id IN (SELECT value FROM json_each($active))";
    const alternatives = open.map((state) =>
      state === "active"
        ? isActive
        : state === "waiting"
          ? `(c.phase = 0 AND NOT ${isActive})`
          : `c.phase = ${stateNumbers[state]}`,
    );
    // All there are need no telling apart.
    const all = openStates.every((state) => open.includes(state) || lane.counts[state] === 0);
    sources.push({
      ...common,
      candidates: `SELECT x.id, x.phase${error} FROM open_job x WHERE x.lane = $no`,
      state: withState
        ? `CASE WHEN c.phase = 0 AND ${isActive} THEN ${ACTIVE} ELSE c.phase END`
        : "0",
      conditions: [...(all ? [] : [`(${alternatives.join(" OR ")})`]), ...onError, ...sql],
    });
  }
  for (const state of states.filter(isFinished)) {
    // Only failed jobs have errors: a cancelled one has a reason.
    if (filter.error !== undefined && state !== "failed") continue;
    const phase = stateNumbers[state];
    sources.push({
      ...common,
      candidates: `SELECT x.id${error} FROM finished_job x WHERE x.lane = $no AND x.phase = ${phase}`,
      state: String(phase),
      conditions: [...onError, ...sql],
    });
  }
  return sources;
}

const openStates = jobStates.filter((state) => !isFinished(state));

/** The parts of a union over lanes' own tables, with conditions on these, so that their keys give the order. */
function merged(
  sources: readonly Source[],
  condition: string,
  select: string,
): { readonly parts: readonly string[]; readonly values: Values } {
  const values: Values = {};
  const parts = sources.map(({ candidates, conditions, values: own }, n) => {
    for (const [name, value] of Object.entries(own)) values[`${name}_${n}`] = value;
    const all = [candidates, ...conditions.map((sql) => sql.replaceAll("c.", "x."))].join(" AND ");
    const numbered = all.replaceAll(/\$(?!active)(\w+)/g, `$$$1_${n}`);
    return `${numbered.replace(/^SELECT .*? FROM/, `SELECT ${select} FROM`)} AND ${condition}`;
  });
  return { parts, values };
}

function allOf({ conditions }: Source): string {
  return conditions.length === 0 ? "1" : conditions.join(" AND ");
}

/** On what never changes about a job, and on its labels. */
function jobConditions(filter: JobFilter): { sql: string[]; values: Values } {
  const sql: string[] = [];
  const values: Values = {};
  const add = (condition: string, name: string, value: SQLInputValue): void => {
    sql.push(condition);
    values[name] = value;
  };
  const { priority, created, ids, errorGroup } = filter;
  if (priority?.min !== undefined) add("j.priority >= $least", "least", priority.min);
  if (priority?.max !== undefined) add("j.priority <= $greatest", "greatest", priority.max);
  if (created?.from !== undefined) add("j.created_at >= $since", "since", created.from);
  if (created?.to !== undefined) add("j.created_at < $until", "until", created.to);
  if (ids !== undefined) {
    add("c.id IN (SELECT value FROM json_each($ids))", "ids", JSON.stringify(ids));
  }
  if (errorGroup !== undefined) {
    // That of no queue is in no group.
    const { group, queue } = parseFingerprint(errorGroup) ?? { group: "", queue: "" };
    add("EXISTS (SELECT 1 FROM failure g WHERE g.id = c.id AND g.grp = $group)", "group", group);
    add("j.lane IN (SELECT no FROM lane WHERE queue = $queue)", "queue", queue);
  }
  for (const [n, [kind, value]] of labelsOf(filter).entries()) {
    add(
      `EXISTS (SELECT 1 FROM lane k JOIN label m ON m.tenant = k.tenant AND m.kind = '${kind}'
         AND m.value = $label${n} AND m.id = c.id WHERE k.no = j.lane)`,
      `label${n}`,
      value,
    );
  }
  return { sql, values };
}

/** The rarest kind first. */
function labelsOf({
  batch,
  schedule,
  tag,
  name,
  project,
}: JobFilter): (readonly [string, string])[] {
  const labels: (readonly [string, string])[] = [];
  for (const [kind, value] of Object.entries({ batch, schedule, tag, name, project })) {
    if (value !== undefined) labels.push([kind, value]);
  }
  return labels;
}

/** The level that is all that is asked besides lanes. */
export function levelAlone(filter: JobFilter): PriorityLevel | undefined {
  const { tenant: _, queues: __, priority, ...rest } = filter;
  if (priority === undefined || Object.values(rest).some((each) => each !== undefined)) return;
  return priorityLevels.find((level) => isDeepStrictEqual(levelRange(level), priority));
}

/** Whether nothing is asked but lanes and states. */
function isDirect(filter: JobFilter): boolean {
  const { priority, created, error, errorGroup, ids, payload } = filter;
  const { min, max } = priority ?? {};
  const asked = [min, max, created?.from, created?.to, error, errorGroup, ids, payload];
  return asked.every((each) => each === undefined) && labelsOf(filter).length === 0;
}

/** Whether the lanes' keys give the order, and no more is asked than they tell. */
function keysOrder({ filter, lanes }: Asked): boolean {
  return isDirect(filter) && lanes.length <= MERGED_LANES;
}

/** Whether a page can be read off the lanes' keys, in little time. */
export function keysTell(asked: Asked, { offset = 0 }: Page): boolean {
  return keysOrder(asked) && offset <= LONGEST_SKIP;
}

function directCounts({ filter, lanes }: Asked): StateCounts {
  const counts = noCounts();
  for (const state of wantedStates(filter)) {
    for (const lane of lanes) counts[state] += lane.counts[state];
  }
  return counts;
}

function sumOf(counts: StateCounts): number {
  return Object.values(counts).reduce((sum, n) => sum + n, 0);
}

function wantedStates({ states }: JobFilter): readonly JobState[] {
  return states === undefined ? jobStates : [...new Set(states)];
}

function stateOfNumber(n: number): JobState {
  return jobStates.find((state) => stateNumbers[state] === n) ?? "waiting";
}
