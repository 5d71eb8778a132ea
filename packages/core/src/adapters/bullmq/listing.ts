import { parseFingerprint } from "../../error-groups.ts";
import { indexUnfinished, notIndexed } from "../../errors.ts";
import { isFinished, type JobState, jobStates } from "../../job.ts";
import {
  addTo,
  type Bits,
  bucketOf,
  BUCKET,
  countedOf,
  type Facts,
  FactTest,
  Found,
  fromNearerEnd,
  idsOf,
  intersect,
  isCounted,
  noBits,
  setsOf,
  sumOf,
  unite,
} from "../../job-facts.ts";
import { valueKey } from "../../payload-paths.ts";
import { ALL_TENANTS, type JobFilter, type Page, type StateCounts } from "../../queue-adapter.ts";
import type { Connection, Reply } from "./connection.ts";
import { labelsOf, parseLane, stateOfLetter } from "./job-hash.ts";
import { pairs } from "./records.ts";

/** Jobs looked at in one step, which must stay short. */
const STEP = 1000;
/** Buckets in which errors are looked at in one step. */
const ERRORS_STEP = 4;
/** Buckets read at once: few at first, as a page is mostly found at once. */
const FEW = 4;
const MANY = 64;

/** By bucket. */
type Sets = ReadonlyMap<number, Bits>;

/** Creation times of its jobs, epoch ms, those that are gone included. */
interface Bucket {
  readonly no: number;
  readonly earliest: number;
  readonly latest: number;
}

interface Read {
  readonly bucket: Bucket;
  readonly facts: Facts;
}

export interface LaneCounts {
  readonly lane: string;
  readonly no: number;
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

/** Finds jobs by filter: facts and sets of labels, read bucket by bucket, tell most of it; only the rest is read from jobs. */
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
      const [lane, no, typed, paused, rateLimit, concurrency, paths, ...numbers] = row;
      const [waiting, delayed, blocked, active, completed, failed, cancelled] = numbers as number[];
      return {
        lane: String(lane),
        no: Number(no),
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
    const lanes = await this.lanes(filter);
    if (isCounted(filter)) return countedOf(filter, lanes);
    return (await this.#search(filter, lanes, { limit: 0, order: "asc" }, "states")).counts;
  }

  /** Ids of the page, and how many match in all. */
  async find(filter: JobFilter, page: Page): Promise<{ ids: readonly number[]; total: number }> {
    const lanes = await this.lanes(filter);
    if (!isCounted(filter)) return this.#search(filter, lanes, page, "all");
    const total = sumOf(countedOf(filter, lanes));
    const nearer = fromNearerEnd(page, total);
    if (nearer === null) return { ids: [], total };
    const { ids } = await this.#search(filter, lanes, nearer.page, "page");
    return { ids: nearer.reversed ? ids.toReversed() : ids, total };
  }

  async ids(filter: JobFilter, page: Page): Promise<readonly number[]> {
    return (await this.#search(filter, await this.lanes(filter), page, "page")).ids;
  }

  /** "page": no further than the page goes; "states": with the states of all that match. */
  async #search(
    filter: JobFilter,
    all: readonly LaneCounts[],
    page: Page,
    what: "all" | "page" | "states",
  ): Promise<Found> {
    if (filter.payload !== undefined) refuseUnindexed(all, filter.payload.path);
    const states = statesIn(filter);
    const lanes = all.filter((lane) => jobsIn(lane, states) > 0);
    const found = new Found(page);
    if (lanes.length === 0) return found;
    const numbers = lanes.map(({ no }) => no);
    const test = new FactTest({ ...filter, states }, numbers);
    const given = filter.ids === undefined ? undefined : setsOf(filter.ids);
    const left = await this.#buckets(filter, page, what, given);
    let size = what === "page" ? FEW : MANY;
    const readNext = () => {
      const some = left.splice(0, size);
      size = Math.min(MANY, size * 2);
      if (some.length === 0) return undefined;
      const reading = this.#read(filter, lanes, some);
      // Awaited once what was read before is done with, if at all.
      reading.catch(() => undefined);
      return reading;
    };
    for (let reading = readNext(); reading !== undefined;) {
      const { read, sets } = await reading;
      // Meanwhile Redis reads the next ones.
      reading = readNext();
      if (given !== undefined) sets.push(given);
      const matches = read.map((each) => ({
        ...each,
        ...test.match(each.facts, among(each, sets)),
      }));
      await this.#keepMatching(filter, matches);
      for (const { bucket, bits, facts } of matches) {
        found.add(bucket.no, bits, what === "states" ? facts : undefined);
        if (what === "page" && found.isFull) return found;
      }
    }
    return found;
  }

  /** Those that can hold what is looked for, in the page's order. */
  async #buckets(
    filter: JobFilter,
    page: Page,
    what: string,
    given: Sets | undefined,
  ): Promise<Bucket[]> {
    const scores = async (key: string): Promise<Map<number, number>> => {
      const answer = await this.#connection.command("ZRANGE", key, 0, -1, "WITHSCORES");
      // Pairs by the newer protocol, one after the other by the older.
      return new Map(
        pairs((answer as readonly Reply[]).flat()).map(([bucket, at]) => [
          Number(bucket),
          Number(at),
        ]),
      );
    };
    const [earliest, latest] = await Promise.all([scores("ids:earliest"), scores("ids:latest")]);
    const { from = -Infinity, to = Infinity } = filter.created ?? {};
    const ascending = page.order === "asc";
    const first = what !== "page" || page.after === undefined ? undefined : bucketOf(page.after);
    const buckets: Bucket[] = [];
    for (const [no, at] of earliest) {
      const bucket = { no, earliest: at, latest: latest.get(no) ?? Infinity };
      if (bucket.latest < from || bucket.earliest >= to || given?.has(no) === false) continue;
      if (first === undefined || (ascending ? no >= first : no <= first)) buckets.push(bucket);
    }
    return buckets.sort((a, b) => (ascending ? a.no - b.no : b.no - a.no));
  }

  /** Facts, and what labels, errors and payloads tell. */
  async #read(
    filter: JobFilter,
    lanes: readonly LaneCounts[],
    buckets: readonly Bucket[],
  ): Promise<{ read: Read[]; sets: Sets[] }> {
    const { errorGroup, error, payload } = filter;
    const numbers = buckets.map(({ no }) => no);
    const first = Math.min(...numbers) * BUCKET;
    const last = Math.max(...numbers) * BUCKET + BUCKET - 1;
    const tenants = [...new Set(lanes.map(({ lane }) => parseLane(lane).tenant))];
    const scored = (key: string): Promise<number[]> =>
      this.#connection
        .command("ZRANGEBYSCORE", key, first, last)
        .then((members) => (members as readonly string[]).map(Number));
    const union = (lists: readonly Promise<number[]>[]): Promise<Sets> =>
      Promise.all(lists).then((found) => setsOf(found.flat()));
    const sets: Promise<Sets>[] = labelsIn(filter).map((label) =>
      this.#labelSets(tenants, label, numbers),
    );
    if (errorGroup !== undefined) {
      const wanted = parseFingerprint(errorGroup);
      const alike = lanes.filter(({ lane }) => parseLane(lane).queue === wanted?.queue);
      sets.push(union(alike.map(({ lane }) => scored(`${lane}:errors:${wanted?.group}`))));
    }
    if (error !== undefined) sets.push(this.#errorSets(tenants, error, numbers));
    if (payload !== undefined) {
      const value = valueKey(payload.equals);
      const member = (id: number): string => `[${value}\0${String(id).padStart(16, "0")}`;
      const range = [member(first), member(last)];
      sets.push(
        union(
          lanes.map(async ({ lane }) => {
            const key = `${lane}:ix:${payload.path}`;
            const members = await this.#connection.command("ZRANGEBYLEX", key, ...range);
            return (members as readonly string[]).map((each) => Number(each.slice(-16)));
          }),
        ),
      );
    }
    const keys = numbers.map((no) => `ids:${no}`);
    const [stored, ...told] = await Promise.all([this.#connection.buffers(keys), ...sets]);
    const read = buckets.map((bucket, i) => ({ bucket, facts: factsOf(stored[i]) }));
    return { read, sets: told };
  }

  async #labelSets(
    tenants: readonly string[],
    label: string,
    numbers: readonly number[],
  ): Promise<Sets> {
    const sets = new Map<number, Bits>();
    await Promise.all(
      tenants.map(async (tenant) => {
        const keys = numbers.map((no) => `label:${tenant}:${label}:${no}`);
        for (const [i, stored] of (await this.#connection.buffers(keys)).entries()) {
          const no = numbers[i] as number;
          if (stored === null) continue;
          const known = sets.get(no);
          if (known === undefined) sets.set(no, bitsOf(stored));
          else unite(known, bitsOf(stored));
        }
      }),
    );
    return sets;
  }

  async #errorSets(
    tenants: readonly string[],
    error: string,
    numbers: readonly number[],
  ): Promise<Sets> {
    const filter = JSON.stringify(encodeFilter({ tenant: ALL_TENANTS, error }));
    const steps: Promise<Reply>[] = [];
    for (let start = 0; start < numbers.length; start += ERRORS_STEP) {
      const some = numbers.slice(start, start + ERRORS_STEP);
      steps.push(this.#connection.script("errors", filter, ...tenants, "", ...some));
    }
    return setsOf((await Promise.all(steps)).flatMap((answer) => answer as number[]));
  }

  /** Looks into the jobs of which facts cannot tell whether they match. */
  async #keepMatching(
    filter: JobFilter,
    matches: readonly (Read & { readonly bits: Bits; readonly unsure: Bits | undefined })[],
  ): Promise<void> {
    const { priority, created } = filter;
    const { from = -Infinity, to = Infinity } = created ?? {};
    const asked = matches.map(({ bucket, bits, unsure }) => {
      const timely = bucket.earliest >= from && bucket.latest < to;
      return timely ? (unsure ?? noBits()) : bits.slice();
    });
    const ids = matches.flatMap(({ bucket }, i) => idsOf(asked[i] as Bits, bucket.no));
    if (ids.length === 0) return;
    const rest = JSON.stringify(
      encodeFilter({
        tenant: ALL_TENANTS,
        ...(priority !== undefined && { priority }),
        ...(created !== undefined && { created }),
      }),
    );
    const steps: Promise<Reply>[] = [];
    for (let start = 0; start < ids.length; start += STEP) {
      steps.push(this.#connection.script("matching", rest, ...ids.slice(start, start + STEP)));
    }
    const matching = setsOf((await Promise.all(steps)).flatMap((answer) => answer as number[]));
    for (const [i, { bucket, bits }] of matches.entries()) {
      const those = matching.get(bucket.no);
      for (const [word, unknown] of (asked[i] as Bits).entries()) {
        bits[word] = (bits[word] ?? 0) & (~unknown | (those?.[word] ?? 0));
      }
    }
  }
}

/** Only failed jobs, and those that try again, have errors: a cancelled one has a reason. */
function statesIn(filter: JobFilter): readonly JobState[] {
  const states = wantedStates(filter);
  if (filter.error === undefined) return states;
  return states.filter((state) => state === "failed" || !isFinished(state));
}

function among({ bucket }: Read, sets: readonly Sets[]): Bits | undefined {
  const [first, ...others] = sets;
  if (first === undefined) return undefined;
  const bits = first.get(bucket.no)?.slice() ?? noBits();
  for (const set of others) intersect(bits, set.get(bucket.no));
  return bits;
}

function factsOf(stored: Uint8Array | null | undefined): Facts {
  const facts = new Uint32Array(BUCKET);
  if (stored != null) new Uint8Array(facts.buffer).set(stored.subarray(0, BUCKET * 4));
  return facts;
}

/** Redis counts a byte's bits from the highest. */
function bitsOf(stored: Uint8Array): Bits {
  const bits = noBits();
  for (const [i, byte] of stored.entries()) {
    for (let bit = 0; bit < 8; bit++) if (byte & (128 >>> bit)) addTo(bits, i * 8 + bit);
  }
  return bits;
}

/** As the part `matches` of scripts takes it. */
export function encodeFilter(filter: JobFilter): object {
  const { tenant, queues, states, priority, created, error, errorGroup, payload } = filter;
  const labels = labelsIn(filter);
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
