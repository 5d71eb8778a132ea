import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { isDeepStrictEqual } from "node:util";
import { parseFingerprint } from "../../error-groups.ts";
import { isFinished, type JobState, jobStates } from "../../job.ts";
import {
  type Bits,
  bucketOf,
  BUCKET,
  countedOf,
  FactTest,
  factIn,
  type Facts,
  Found,
  fromNearerEnd,
  idsOf,
  intersect,
  isCounted,
  laneOfFact,
  noBits,
  setsOf,
  sumOf,
  unite,
} from "../../job-facts.ts";
import { valueKey } from "../../payload-paths.ts";
import { levelRange, type PriorityLevel, priorityLevels } from "../../priority.ts";
import type { JobFilter, Page, StateCounts } from "../../queue-adapter.ts";
import type { JobFacts } from "./job-facts.ts";
import type { LabelSets } from "./label-sets.ts";
import type { Lane } from "./lanes.ts";
import { Phase } from "./rows.ts";

/** Buckets whose further conditions are looked up together. */
const TOGETHER = 16;
/** Then others get their turn, ms. */
const TURN_MS = 8;
/** So many are not worth telling which of them have jobs in question. */
const FEW_LANES = 20;

export interface Asked {
  readonly filter: JobFilter;
  readonly lanes: readonly Lane[];
  /** Of the filter's path in its payloads. */
  readonly indexes: readonly number[];
  /** Ids of the jobs being run, which facts and tables do not tell from waiting ones. */
  readonly active: () => readonly number[];
}

/** By bucket. */
type Sets = ReadonlyMap<number, Bits>;

/** What was found in a bucket. */
interface InBucket {
  readonly no: number;
  readonly bits: Bits;
  readonly facts: Facts;
}

/** Finds jobs by filter: facts and label sets tell most of it, tables what is left. */
export class Listing {
  readonly #facts: JobFacts;
  readonly #labels: LabelSets;
  readonly #sql: ReturnType<typeof prepare>;

  constructor(db: DatabaseSync, facts: JobFacts, labels: LabelSets) {
    this.#facts = facts;
    this.#labels = labels;
    this.#sql = prepare(db);
  }

  /** `pause` lets others have their turn; `known`: how many match, where that is counted elsewhere. */
  async find(
    asked: Asked,
    page: Page,
    pause: () => Promise<void>,
    known?: number,
  ): Promise<{ ids: readonly number[]; total: number }> {
    const total = isCounted(asked.filter) ? sumOf(countedOf(asked.filter, asked.lanes)) : known;
    if (total === undefined) return this.#search(asked, page, pause, "all");
    const nearer = fromNearerEnd(page, total);
    if (nearer === null) return { ids: [], total };
    const { ids } = await this.#search(asked, nearer.page, pause, "page");
    return { ids: nearer.reversed ? ids.toReversed() : ids, total };
  }

  /** The ids alone. */
  async ids(asked: Asked, page: Page, pause: () => Promise<void>): Promise<readonly number[]> {
    return (await this.#search(asked, page, pause, "page")).ids;
  }

  async count(asked: Asked, pause: () => Promise<void>): Promise<StateCounts> {
    if (isCounted(asked.filter)) return countedOf(asked.filter, asked.lanes);
    return (await this.#search(asked, { limit: 0, order: "asc" }, pause, "states")).counts;
  }

  /** Those of some jobs that match now. */
  matching(asked: Asked, ids: readonly number[]): number[] {
    const given = setsOf(ids);
    const look = this.#look(asked);
    const matching = new Set<number>();
    const active = setsOf(asked.active());
    for (const no of given.keys()) {
      for (const { bits } of look([no], active, given)) {
        for (const id of idsOf(bits, no)) matching.add(id);
      }
    }
    return ids.filter((id) => matching.has(id));
  }

  /** "page": no further than the page goes; "states": with the states of all that match. */
  async #search(
    asked: Asked,
    page: Page,
    pause: () => Promise<void>,
    what: "all" | "page" | "states",
  ): Promise<Found> {
    const found = new Found(page);
    const { ids } = asked.filter;
    const look = this.#look(asked);
    const given = ids === undefined ? undefined : setsOf(ids);
    const left = this.#buckets(asked, page, what, given);
    let turnBegan = performance.now();
    let active = setsOf(asked.active());
    for (let from = 0; from < left.length; from += TOGETHER) {
      if (performance.now() - turnBegan > TURN_MS) {
        await pause();
        turnBegan = performance.now();
        active = setsOf(asked.active());
      }
      for (const { no, bits, facts } of look(left.slice(from, from + TOGETHER), active, given)) {
        found.add(no, bits, what === "states" ? facts : undefined);
        if (what === "page" && found.isFull) return found;
      }
    }
    return found;
  }

  /** Those that can hold what is looked for, in the page's order. */
  #buckets({ filter }: Asked, page: Page, what: string, given: Sets | undefined): number[] {
    const { from = -Infinity, to = Infinity } = filter.created ?? {};
    const ascending = page.order === "asc";
    const after = what === "page" ? page.after : undefined;
    const first = after === undefined ? undefined : bucketOf(after);
    const all =
      given === undefined ? this.#facts.buckets() : [...given.keys()].sort((a, b) => a - b);
    const buckets = all.filter((no) => {
      const bucket = this.#facts.bucket(no);
      if (bucket === undefined || bucket.newest < from || bucket.oldest >= to) return false;
      return first === undefined || (ascending ? no >= first : no <= first);
    });
    return ascending ? buckets : buckets.reverse();
  }

  /** How to look into some buckets. */
  #look(asked: Asked) {
    const { filter, lanes } = asked;
    const test = new FactTest(
      { ...filter, states: statesIn(filter) },
      lanes.map(({ no }) => no),
    );
    return (nos: readonly number[], active: Sets, given: Sets | undefined) => {
      const sets = this.#setsIn(asked, Math.min(...nos), Math.max(...nos));
      if (given !== undefined) sets.push(given);
      const found: InBucket[] = [];
      for (const no of nos) {
        const bucket = this.#facts.bucket(no);
        if (bucket === undefined) continue;
        let among: Bits | undefined;
        for (const set of sets) {
          if (among === undefined) among = set.get(no)?.slice() ?? noBits();
          else intersect(among, set.get(no));
        }
        const facts = withActive(bucket.facts, active.get(no));
        const { bits, unsure } = test.match(facts, among);
        if (unsure !== undefined) this.#keepByPriority(filter, no, bits, unsure);
        const { from = -Infinity, to = Infinity } = filter.created ?? {};
        if (bucket.oldest < from || bucket.newest >= to) this.#keepByTime(no, bits, from, to);
        if (bits.some((word) => word !== 0)) found.push({ no, bits, facts });
      }
      if (filter.error !== undefined) this.#keepByError(asked, filter.error, found);
      return found;
    };
  }

  /** What labels, groups of errors and payloads tell of some buckets. */
  #setsIn({ filter, lanes, indexes }: Asked, from: number, to: number): Sets[] {
    const sets: Sets[] = [];
    const [first, last] = [from * BUCKET, to * BUCKET + BUCKET - 1];
    const idsIn = (statement: StatementSync, ...values: SQLInputValue[]): number[] => {
      const rows = statement.all(...values, first, last) as unknown as [number][];
      return rows.map(([id]) => id);
    };
    const tenants = new Set(lanes.map(({ tenant }) => tenant));
    for (const [kind, value] of labelsOf(filter)) {
      const set = new Map<number, Bits>();
      for (const tenant of tenants) {
        for (const [no, bits] of this.#labels.read(tenant, kind, value, from, to)) {
          const known = set.get(no);
          if (known === undefined) set.set(no, bits);
          else unite(known, bits);
        }
      }
      sets.push(set);
    }
    if (filter.errorGroup !== undefined) {
      const { group, queue } = parseFingerprint(filter.errorGroup) ?? { group: "", queue: "" };
      const alike = lanes.filter((lane) => lane.queue === queue && lane.counts.failed > 0);
      sets.push(setsOf(alike.flatMap(({ no }) => idsIn(this.#sql.ofGroup, no, group))));
    }
    if (filter.payload !== undefined) {
      const value = valueKey(filter.payload.equals);
      sets.push(setsOf(indexes.flatMap((index) => idsIn(this.#sql.ofValue, index, value))));
    }
    return sets;
  }

  #keepByPriority({ priority }: JobFilter, no: number, bits: Bits, unsure: Bits): void {
    const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = priority ?? {};
    const others = JSON.stringify(idsOf(unsure, no));
    for (const [id] of this.#sql.beyond.all(others, min, max) as unknown as [number][]) {
      const place = id % BUCKET;
      bits[place >>> 5] = (bits[place >>> 5] ?? 0) & ~(1 << (place & 31));
    }
  }

  #keepByTime(no: number, bits: Bits, from: number, to: number): void {
    const [since, until] = [
      Math.max(from, Number.MIN_SAFE_INTEGER),
      Math.min(to, Number.MAX_SAFE_INTEGER),
    ];
    const rows = this.#sql.ofTime.all(no * BUCKET, no * BUCKET + BUCKET - 1, since, until);
    intersect(bits, setsOf((rows as unknown as [number][]).map(([id]) => id)).get(no));
  }

  #keepByError({ filter, lanes }: Asked, text: string, found: readonly InBucket[]): void {
    if (found.length === 0) return;
    const there = lanes.length > FEW_LANES ? lanesOf(found, lanes) : lanes;
    const numbers = found.map(({ no }) => no);
    const first = Math.min(...numbers) * BUCKET;
    const last = Math.max(...numbers) * BUCKET + BUCKET - 1;
    const states = statesIn(filter);
    const lower = text.toLowerCase();
    const terms = { first, last, text, lower, like: likeOf(lower) };
    const ids: number[] = [];
    const find = (statement: StatementSync, no: number): void => {
      const rows = statement.all({ no, ...terms }) as unknown as [number][];
      for (const [id] of rows) ids.push(id);
    };
    for (const { no, counts } of there) {
      if (states.includes("failed") && counts.failed > 0) find(this.#sql.failedWith, no);
      if (states.some((state) => !isFinished(state))) find(this.#sql.openWith, no);
    }
    const has = setsOf(ids);
    for (const { no, bits } of found) intersect(bits, has.get(no));
  }
}

function prepare(db: DatabaseSync) {
  const arrays = (sql: string): StatementSync => {
    const statement = db.prepare(sql);
    statement.setReturnArrays(true);
    return statement;
  };
  // Errors of ASCII alone, which most are, need no function of ours; a text in one's JSON looks as it is, but for quotes and
  // the like, and where it does not occur in that, it does not in its message.
  const has = `CASE WHEN octet_length(x.error) = length(x.error)
    THEN ($like = '' OR x.error LIKE $like ESCAPE '!') AND instr(lower(x.error ->> '$.message'), $lower) > 0
    ELSE error_has(x.error, $text) END`;
  return {
    ofGroup: arrays("SELECT id FROM failure WHERE lane = ? AND grp = ? AND id BETWEEN ? AND ?"),
    ofValue: arrays(
      "SELECT id FROM payload_value WHERE idx = ? AND value = ? AND id BETWEEN ? AND ?",
    ),
    beyond: arrays(
      "SELECT id FROM job WHERE id IN (SELECT value FROM json_each(?)) AND priority NOT BETWEEN ? AND ?",
    ),
    ofTime: arrays(
      "SELECT id FROM job WHERE id BETWEEN ? AND ? AND created_at >= ? AND created_at < ?",
    ),
    failedWith: arrays(
      `SELECT x.id FROM finished_job x WHERE x.lane = $no AND x.phase = ${Phase.failed}
       AND x.id BETWEEN $first AND $last AND x.error IS NOT NULL AND ${has}`,
    ),
    openWith: arrays(
      `SELECT x.id FROM open_job x WHERE x.lane = $no
       AND x.id BETWEEN $first AND $last AND x.error IS NOT NULL AND ${has}`,
    ),
  };
}

/** Pattern of a text that JSON does not change, or "". */
function likeOf(text: string): string {
  return /^[ !#-[\]-~]+$/.test(text) ? `%${text.replaceAll(/[!%_]/g, "!$&")}%` : "";
}

/** Only failed jobs, and those that try again, have errors: a cancelled one has a reason. */
function statesIn({ states = jobStates, error }: JobFilter): readonly JobState[] {
  if (error === undefined) return states;
  return states.filter((state) => state === "failed" || !isFinished(state));
}

/** Those that have some of the jobs. */
function lanesOf(found: readonly InBucket[], lanes: readonly Lane[]): readonly Lane[] {
  const there = new Set<number>();
  for (const { bits, facts } of found) {
    for (const place of idsOf(bits, 0)) there.add(laneOfFact(facts[place] ?? 0));
  }
  return lanes.filter(({ no }) => there.has(no));
}

function withActive(facts: Facts, active: Bits | undefined): Facts {
  if (active === undefined) return facts;
  const some = facts.slice();
  for (const place of idsOf(active, 0)) some[place] = factIn(some[place] ?? 0, "active");
  return some;
}

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
