import { type JobState, jobStates } from "../../job.ts";
import type { JobFilter, Page, StateCounts } from "../../queue-adapter.ts";
import type { Connection, Reply } from "./connection.ts";
import { laneName, labelsOf, stateOfLetter } from "./job-hash.ts";

/** Jobs looked at in one step, which must stay short. */
const STEP = 1000;

export interface LaneCounts {
  readonly lane: string;
  readonly typed: boolean;
  readonly paused: boolean;
  readonly rateLimit: number | null;
  readonly concurrency: number | null;
  readonly counts: StateCounts;
}

/** Above so many, a page is found by walking the ids rather than by reading all that match. */
const LONG = 20_000;
const WALK_BUCKETS = 500;

/** What a filter looks at. */
interface Outline {
  readonly id: number;
  readonly lane: string;
  readonly state: JobState;
}

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
      const [lane, typed, paused, rateLimit, concurrency, ...numbers] = row;
      const [waiting, delayed, blocked, active, completed, failed, cancelled] = numbers as number[];
      return {
        lane: String(lane),
        typed: typed === "1",
        paused: paused === "1",
        rateLimit: rateLimit === "" ? null : Number(rateLimit),
        concurrency: concurrency === "" ? null : Number(concurrency),
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
    const counts = emptyCounts();
    const wanted = wantedStates(filter);
    if (looksIntoJobs(filter)) {
      for (const { state } of await this.#matching(filter)) counts[state]++;
    } else {
      for (const lane of await this.lanes(filter)) {
        for (const state of wanted) counts[state] += lane.counts[state];
      }
    }
    return counts;
  }

  /** Ids of the page, and how many match in all. */
  async find(filter: JobFilter, page: Page): Promise<{ ids: number[]; total: number }> {
    if (!looksIntoJobs(filter)) {
      const states = wantedStates(filter);
      const lanes = (await this.lanes(filter)).filter((lane) => jobsIn(lane, states) > 0);
      const total = lanes.reduce((sum, lane) => sum + jobsIn(lane, states), 0);
      if (total > LONG) return { ids: await this.#walk(lanes, states, page), total };
    }
    const all = looksIntoJobs(filter)
      ? (await this.#matching(filter)).map(({ id }) => id)
      : await this.#idsOf(filter);
    all.sort((a, b) => (page.order === "asc" ? a - b : b - a));
    const { after, limit, offset = 0 } = page;
    const rest =
      after === undefined
        ? all
        : all.filter((id) => (page.order === "asc" ? id > after : id < after));
    return { ids: rest.slice(offset, offset + limit), total: all.length };
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

  /** All that is in the filter's lanes and states. */
  async #idsOf(filter: JobFilter): Promise<number[]> {
    const states = wantedStates(filter);
    const ids = new Set<number>();
    if (states.length === 0) return [];
    const lanes = await this.lanes(filter);
    const found = await Promise.all(
      lanes
        .filter(({ counts }) => states.some((state) => counts[state] > 0))
        .map(({ lane }) => this.#connection.script("members", lane, ...states)),
    );
    for (const places of found as string[][][]) {
      for (const members of places) for (const member of members) ids.add(Number(member.slice(1)));
    }
    return [...ids];
  }

  async #matching(filter: JobFilter): Promise<Outline[]> {
    const [label] = labelsIn(filter);
    let candidates: number[];
    if (label === undefined) {
      candidates = await this.#idsOf(filter);
    } else {
      const found = await this.#connection.script("labelled", filter.tenant, label);
      candidates = (found as string[][]).flat().map(Number);
    }
    const outlines: Outline[] = [];
    for (let from = 0; from < candidates.length; from += STEP) {
      const ids = candidates.slice(from, from + STEP);
      const rows = (await this.#connection.script("outline", ...ids)) as string[][];
      rows.forEach((row, i) => {
        const outline = match(filter, ids[i] as number, row);
        if (outline !== undefined) outlines.push(outline);
      });
    }
    return outlines;
  }
}

/** Of one row of the script `outline`; undefined where it does not match. */
function match(filter: JobFilter, id: number, row: readonly string[]): Outline | undefined {
  const [lane = "", letter = "", priorityText, createdText, labels = "", named, name] = row;
  if (lane === "") return undefined;
  const { queues, priority, created, tenant } = filter;
  const state = stateOfLetter[letter] ?? "waiting";
  if (!wantedStates(filter).includes(state)) return undefined;
  if (tenant !== "*" && !lane.startsWith(`${tenant}.`)) return undefined;
  const ofLane = lane.slice(0, lane.indexOf("."));
  if (queues !== undefined && !queues.some((queue) => laneName(ofLane, queue) === lane)) {
    return undefined;
  }
  if (filter.name !== undefined && (named !== "1" || name !== filter.name)) return undefined;
  const p = Number(priorityText);
  if (priority?.min !== undefined && p < priority.min) return undefined;
  if (priority?.max !== undefined && p > priority.max) return undefined;
  const createdAt = Number(createdText);
  if (created?.from !== undefined && createdAt < created.from) return undefined;
  if (created?.to !== undefined && createdAt >= created.to) return undefined;
  const has = labels === "" ? [] : (JSON.parse(labels) as string[]);
  if (labelsIn(filter).some((label) => !has.includes(label))) return undefined;
  return { id, lane, state };
}

/** The rarest kind first. */
function labelsIn({ batch, tag, project }: JobFilter): string[] {
  return [
    ...labelsOf({ batch: batch ?? null, tags: [], project: null }),
    ...labelsOf({ batch: null, tags: tag === undefined ? [] : [tag], project: null }),
    ...labelsOf({ batch: null, tags: [], project: project ?? null }),
  ];
}

function looksIntoJobs(filter: JobFilter): boolean {
  const { name, priority, created } = filter;
  return (
    labelsIn(filter).length > 0 ||
    name !== undefined ||
    priority?.min !== undefined ||
    priority?.max !== undefined ||
    created?.from !== undefined ||
    created?.to !== undefined
  );
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
