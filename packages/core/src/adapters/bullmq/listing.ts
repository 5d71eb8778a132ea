import { parseFingerprint } from "../../error-groups.ts";
import { indexUnfinished, notIndexed } from "../../errors.ts";
import { type JobState, jobStates } from "../../job.ts";
import { valueKey } from "../../payload-paths.ts";
import type { JobFilter, Page, StateCounts } from "../../queue-adapter.ts";
import type { Connection, Reply } from "./connection.ts";
import { labelsOf, parseLane, stateOfLetter } from "./job-hash.ts";

/** Jobs looked at in one step, which must stay short. */
const STEP = 1000;

export interface LaneCounts {
  readonly lane: string;
  readonly typed: boolean;
  readonly paused: boolean;
  readonly rateLimit: number | null;
  readonly concurrency: number | null;
  readonly indexes: readonly PathIndex[];
  readonly counts: StateCounts;
}

interface PathIndex {
  readonly path: string;
  /** Whether all jobs that were there before it are in it. */
  readonly complete: boolean;
}

/** Of a lane's settings. */
export function decodeIndexes(paths: Reply | undefined): PathIndex[] {
  if (typeof paths !== "string" || paths === "") return [];
  const entries = JSON.parse(paths) as readonly (readonly [string, number, number])[];
  return entries.map(([path, reached, until]) => ({ path, complete: reached >= until }));
}

/** Above so many, a page is found by walking the ids rather than by reading all that match. */
const LONG = 20_000;
const WALK_BUCKETS = 500;

/** Ids rise with creation times, but for clocks that were set back; by no more than this, ms. */
const CLOCK_MARGIN_MS = 3_600_000;
const LETTERS = ["w", "d", "b", "a", "c", "f", "x"];

/** Finds jobs by filter. Lanes' own structures tell states and totals; only what they cannot tell is read from jobs. */
export class Listing {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async lanes(params: { tenant: string; queues?: readonly string[] }): Promise<LaneCounts[]> {
    const { tenant, queues } = params;
    const asked = queues === undefined ? ["*"] : ["", ...new Set(queues)];
    const answer = (await this.#connection.script("count", tenant, ...asked)) as Reply[][];
    return answer.map((row) => {
      const [lane, typed, paused, rateLimit, concurrency, paths, ...numbers] = row;
      const [waiting, delayed, blocked, active, completed, failed, cancelled] = numbers as number[];
      return {
        lane: String(lane),
        typed: typed === "1",
        paused: paused === "1",
        rateLimit: rateLimit === "" ? null : Number(rateLimit),
        concurrency: concurrency === "" ? null : Number(concurrency),
        indexes: decodeIndexes(paths),
        counts: {
          waiting: waiting ?? 0,
          delayed: delayed ?? 0,
          blocked: blocked ?? 0,
          active: active ?? 0,
          completed: completed ?? 0,
          failed: failed ?? 0,
          cancelled: cancelled ?? 0,
        },
      };
    });
  }

  async count(filter: JobFilter): Promise<StateCounts> {
    if (looksIntoJobs(filter)) {
      return (await this.#search(filter, { limit: 0, order: "asc" }, "all", true)).counts;
    }
    const counts = emptyCounts();
    for (const lane of await this.lanes(filter)) {
      for (const state of wantedStates(filter)) counts[state] += lane.counts[state];
    }
    return counts;
  }

  /** Ids of the page, and how many match in all. */
  async find(filter: JobFilter, page: Page): Promise<{ ids: number[]; total: number }> {
    if (looksIntoJobs(filter)) {
      const label = soleLabel(filter);
      if (label !== undefined) {
        const { ids } = await this.#search(filter, page, "page");
        return { ids, total: Number(await this.#connection.command("ZCARD", label)) };
      }
      const { ids, counts } = await this.#search(filter, page, "all");
      return { ids, total: Object.values(counts).reduce((sum, n) => sum + n, 0) };
    }
    const states = wantedStates(filter);
    const lanes = (await this.lanes(filter)).filter((lane) => jobsIn(lane, states) > 0);
    const total = lanes.reduce((sum, lane) => sum + jobsIn(lane, states), 0);
    if (total > LONG) return { ids: await this.#walk(lanes, states, page), total };
    const all = await this.#idsOf(lanes, states);
    all.sort((a, b) => (page.order === "asc" ? a - b : b - a));
    const { after, limit, offset = 0 } = page;
    const rest =
      after === undefined
        ? all
        : all.filter((id) => (page.order === "asc" ? id > after : id < after));
    return { ids: rest.slice(offset, offset + limit), total: all.length };
  }

  async ids(filter: JobFilter, page: Page): Promise<number[]> {
    if (!looksIntoJobs(filter)) return (await this.find(filter, page)).ids;
    return (await this.#search(filter, page, "page")).ids;
  }

  /** Looks through jobs step by step; `what`: all matches are counted, or the search ends with the page; `tell`: by their states. */
  async #search(
    filter: JobFilter,
    page: Page,
    what: "all" | "page",
    tell = false,
  ): Promise<{ ids: number[]; counts: StateCounts }> {
    const { limit, offset = 0, order, after } = page;
    const ascending = order === "asc";
    const wanted = limit === 0 ? 0 : offset + limit;
    const ids: number[] = [];
    const counts = emptyCounts();
    const where = await this.#placesOf(filter, ascending);
    if (where.length === 1) return { ids, counts };
    const [first, last] = await this.#idsCreated(filter);
    let from = ascending ? first : last;
    if (what === "page" && after !== undefined) from = String(after);
    const to = ascending ? last : first;
    // Where the first label says where to look, it need not be looked for.
    const { ids: given, errorGroup, payload } = filter;
    const elsewhere = [given, errorGroup, payload].some((each) => each !== undefined);
    const asked = JSON.stringify({ ...encodeFilter(filter, elsewhere ? 0 : 1), tell });
    do {
      const answer = await this.#connection.script(
        "search",
        order,
        from,
        to,
        STEP,
        asked,
        ...where,
      );
      const [next, ...numbers] = answer as readonly (string | number)[];
      for (const [i, letter] of LETTERS.entries()) {
        counts[stateOfLetter[letter === "w" ? "" : letter] ?? "waiting"] += Number(numbers[i]);
      }
      for (const id of numbers.slice(LETTERS.length).map(Number)) {
        const beyond = after === undefined || (ascending ? id > after : id < after);
        if (beyond && ids.length < wanted) ids.push(id);
      }
      from = String(next);
      if (what === "page" && ids.length >= wanted) break;
    } while (from !== "");
    return { ids: ids.slice(offset), counts };
  }

  /** Where the script `search` is to look: the shorter the better. Only the kind: nowhere. */
  async #placesOf(filter: JobFilter, ascending: boolean): Promise<(string | number)[]> {
    const { ids, errorGroup, error, tenant, payload } = filter;
    if (payload !== undefined) refuseUnindexed(await this.lanes(filter), payload.path);
    if (ids !== undefined) {
      return ["ids", ...[...new Set(ids)].sort((a, b) => (ascending ? a - b : b - a))];
    }
    const states = wantedStates(filter);
    const lanes = (await this.lanes(filter)).filter((lane) => jobsIn(lane, states) > 0);
    const names = lanes.map(({ lane }) => lane);
    if (errorGroup !== undefined) {
      const wanted = parseFingerprint(errorGroup);
      const alike = names.filter((lane) => parseLane(lane).queue === wanted?.queue);
      return ["sets", ...alike.map((lane) => `${lane}:errors:${wanted?.group}`)];
    }
    if (payload !== undefined) {
      return ["values", ...names.map((lane) => `${lane}:ix:${payload.path}`)];
    }
    const [label] = labelsIn(filter);
    if (label !== undefined) {
      const tenants = new Set(names.map((lane) => parseLane(lane).tenant));
      if (tenant !== "*") tenants.add(tenant);
      return ["sets", ...[...tenants].map((each) => `label:${each}:${label}`)];
    }
    if (error !== undefined) return ["sets", ...names.map((lane) => `${lane}:erring`)];
    return ["lanes", ...names];
  }

  /** Behind which ids those lie that were created in the time asked for: the one before the first, the last. */
  async #idsCreated({ created }: JobFilter): Promise<readonly [string, string]> {
    const { from, to } = created ?? {};
    const since = async (time: number | undefined): Promise<number | undefined> =>
      time === undefined ? undefined : Number(await this.#connection.script("since", time));
    const [first, last] = await Promise.all([
      since(from === undefined ? undefined : from - CLOCK_MARGIN_MS),
      since(to === undefined ? undefined : to + CLOCK_MARGIN_MS),
    ]);
    return [
      first === undefined ? "" : String(first),
      last === undefined ? "" : String(last + 2048),
    ];
  }

  async #walk(
    lanes: readonly LaneCounts[],
    states: readonly JobState[],
    page: Page,
  ): Promise<number[]> {
    const { order, limit, offset = 0, after } = page;
    const letters = states.map(letterOf).join("");
    const names = lanes.map(({ lane }) => lane);
    const ids: number[] = [];
    let from = String(after ?? "");
    let skip = offset;
    while (ids.length < limit) {
      const most = skip > 0 ? Math.min(skip, STEP) : limit - ids.length;
      const answer = await this.#connection.script(
        "walk",
        order,
        from,
        most,
        WALK_BUCKETS,
        letters,
        ...names,
      );
      const [next, ...found] = answer as (string | number)[];
      if (skip > 0) skip -= found.length;
      else ids.push(...found.map(Number));
      if (next === "") break;
      from = String(next);
    }
    return ids;
  }

  /** All that is in some lanes and states. */
  async #idsOf(lanes: readonly LaneCounts[], states: readonly JobState[]): Promise<number[]> {
    const ids = new Set<number>();
    const found = await Promise.all(
      lanes.map(({ lane }) => this.#connection.script("members", lane, ...states)),
    );
    for (const places of found as string[][][]) {
      for (const members of places) for (const member of members) ids.add(Number(member.slice(1)));
    }
    return [...ids];
  }
}

/** As the part `matches` of scripts takes it; `told`: how many of its labels need not be looked for. */
export function encodeFilter(filter: JobFilter, told = 0): object {
  const { tenant, queues, states, priority, created, error, errorGroup, payload } = filter;
  const labels = labelsIn(filter).slice(told);
  const fingerprint = errorGroup === undefined ? undefined : parseFingerprint(errorGroup);
  const text = error?.toLowerCase();
  return {
    tenant,
    queues: fingerprint === undefined ? queues : queuesWith(queues, fingerprint?.queue),
    states: states === undefined ? undefined : wantedStates(filter).map(letterOf).join(""),
    least: priority?.min,
    greatest: priority?.max,
    since: created?.from,
    until: created?.to,
    labels: labels.length === 0 ? undefined : labels,
    text,
    folds: text === undefined ? undefined : foldsOf(text),
    path: payload?.path,
    value: payload === undefined ? undefined : valueKey(payload.equals),
    group: fingerprint === undefined ? undefined : (fingerprint?.group ?? ""),
  };
}

function refuseUnindexed(lanes: readonly LaneCounts[], path: string): void {
  for (const { lane, indexes } of lanes) {
    const { tenant, queue } = parseLane(lane);
    const index = indexes.find((each) => each.path === path);
    if (index === undefined) throw notIndexed(tenant, queue, path);
    if (!index.complete) throw indexUnfinished(queue, path);
  }
}

function queuesWith(queues: readonly string[] | undefined, queue: string | undefined): string[] {
  return queue !== undefined && (queues?.includes(queue) ?? true) ? [queue] : [];
}

/** Lua knows upper and lower case of ASCII alone: those of the other letters in a text. */
function foldsOf(text: string): (readonly [upper: string, lower: string])[] {
  return [...new Set(text)]
    .filter((letter) => letter > "\u007f")
    .map((letter) => [letter.toUpperCase(), letter] as const)
    .filter(([upper, letter]) => upper !== letter);
}

/** The set of one tenant's jobs with a label, where the filter asks for nothing else. */
function soleLabel(filter: JobFilter): string | undefined {
  const { tenant, queues, states, priority, created, ids, error, errorGroup, payload } = filter;
  const [label, ...others] = labelsIn(filter);
  const more = [queues, states, priority, created, ids, error, errorGroup, payload];
  const sole = others.length === 0 && more.every((each) => each === undefined) && tenant !== "*";
  return sole && label !== undefined ? `label:${tenant}:${label}` : undefined;
}

/** The rarest kind first. */
function labelsIn({ batch, schedule, tag, name, project }: JobFilter): string[] {
  const nothing = { batch: null, tags: [], name: null, project: null, origin: null };
  return [
    ...labelsOf({ ...nothing, batch: batch ?? null }),
    ...labelsOf({ ...nothing, origin: schedule === undefined ? null : { via: "", schedule } }),
    ...labelsOf({ ...nothing, tags: tag === undefined ? [] : [tag] }),
    ...labelsOf({ ...nothing, name: name ?? null }),
    ...labelsOf({ ...nothing, project: project ?? null }),
  ];
}

function looksIntoJobs(filter: JobFilter): boolean {
  const { priority, created, ids, error, errorGroup, payload } = filter;
  const { min, max } = priority ?? {};
  const { from, to } = created ?? {};
  const more = [min, max, from, to, ids, error, errorGroup, payload];
  return labelsIn(filter).length > 0 || more.some((each) => each !== undefined);
}

function jobsIn({ counts }: LaneCounts, states: readonly JobState[]): number {
  return states.reduce((sum, state) => sum + counts[state], 0);
}

function letterOf(state: JobState): string {
  const [letter] = Object.entries(stateOfLetter).find(([, known]) => known === state) ?? [];
  return letter === undefined || letter === "" ? "w" : letter;
}

function wantedStates({ states }: JobFilter): readonly JobState[] {
  return states === undefined ? jobStates : [...new Set(states)];
}

function emptyCounts(): Record<JobState, number> {
  return { waiting: 0, delayed: 0, blocked: 0, active: 0, completed: 0, failed: 0, cancelled: 0 };
}
