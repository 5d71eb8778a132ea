/**
 * What most filters ask of a job, in four bytes: its lane's number in the lower three, its state and priority in the
 * highest. Those of 1,024 ids that follow one another lie together, in a bucket; 0 stands for no job. A million jobs are
 * looked through in some milliseconds.
 */
import { type JobState, jobStates } from "./job.ts";
import type { JobFilter, Page, StateCounts } from "./queue-adapter.ts";

export const BUCKET = 1024;
/** Of one bucket's ids: a bit each. */
const WORDS = BUCKET / 32;
/** Lane numbers are smaller. */
const MAX_LANES = 2 ** 24;
/** Priorities that lie as far from 0, or farther, are not told apart. */
const FARTHEST = 15;

export type Facts = Uint32Array;
/** Some of a bucket's ids, a bit each. */
export type Bits = Uint32Array;

export const bucketOf = (id: number): number => Math.floor(id / BUCKET);
export const noBits = (): Bits => new Uint32Array(WORDS);

/** Place in `jobStates` and 1. */
const stateCodes = new Map(jobStates.map((state, i) => [state, i + 1]));

/** The highest byte: the priority's number times 8, and the state's. */
function factByte(state: JobState, priority: number): number {
  const near = Math.max(-FARTHEST, Math.min(FARTHEST, priority));
  return (near + FARTHEST) * 8 + (stateCodes.get(state) ?? 0);
}

export function factOf(lane: number, state: JobState, priority: number): number {
  return factByte(state, priority) * MAX_LANES + lane;
}

/** The same in another state. */
export function factIn(fact: number, state: JobState): number {
  const byte = Math.floor(fact / MAX_LANES);
  return ((byte & ~7) | (stateCodes.get(state) ?? 0)) * MAX_LANES + (fact % MAX_LANES);
}

export const stateOfFact = (fact: number): JobState | undefined =>
  jobStates[((fact >>> 24) & 7) - 1];

/** undefined where it is one of those that are not told apart. */
export function priorityOfFact(fact: number): number | undefined {
  const near = (fact >>> 27) - FARTHEST;
  return Math.abs(near) === FARTHEST ? undefined : near;
}

export const laneOfFact = (fact: number): number => fact & 0xff_ffff;

export function addTo(bits: Bits, id: number): void {
  const place = id % BUCKET;
  bits[place >>> 5] = (bits[place >>> 5] ?? 0) | (1 << (place & 31));
}

/** Leaves those that are in the other as well. */
export function intersect(bits: Bits, other: Bits | undefined): void {
  if (other === undefined) bits.fill(0);
  else for (let i = 0; i < WORDS; i++) bits[i] = (bits[i] ?? 0) & (other[i] ?? 0);
}

export function unite(bits: Bits, other: Bits): void {
  for (let i = 0; i < WORDS; i++) bits[i] = (bits[i] ?? 0) | (other[i] ?? 0);
}

export function sizeOf(bits: Bits): number {
  let size = 0;
  for (let word of bits) {
    word -= (word >>> 1) & 0x5555_5555;
    word = (word & 0x3333_3333) + ((word >>> 2) & 0x3333_3333);
    size += Math.imul((word + (word >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
  }
  return size;
}

export function idsOf(bits: Bits, bucket: number, descending = false): number[] {
  const ids: number[] = [];
  for (let i = 0; i < WORDS; i++) {
    let word = bits[i] ?? 0;
    while (word !== 0) {
      const bit = 31 - Math.clz32(word & -word);
      ids.push(bucket * BUCKET + i * 32 + bit);
      word &= word - 1;
    }
  }
  return descending ? ids.reverse() : ids;
}

/** By bucket. */
export function setsOf(ids: readonly number[]): Map<number, Bits> {
  const sets = new Map<number, Bits>();
  for (const id of ids) {
    let bits = sets.get(bucketOf(id));
    if (bits === undefined) sets.set(bucketOf(id), (bits = noBits()));
    addTo(bits, id);
  }
  return sets;
}

/** Whom a filter's lanes, states and priorities mean. */
export class FactTest {
  /** By the lane's number. */
  readonly #lanes: Uint8Array;
  /** By the highest byte: 1 for yes, 2 where the priority has to be looked up. */
  readonly #bytes = new Uint8Array(256);

  constructor({ states = jobStates, priority }: JobFilter, lanes: readonly number[]) {
    this.#lanes = new Uint8Array(lanes.reduce((most, no) => Math.max(most, no), 0) + 1);
    for (const no of lanes) this.#lanes[no] = 1;
    const { min = -Infinity, max = Infinity } = priority ?? {};
    for (let near = -FARTHEST; near <= FARTHEST; near++) {
      const least = near === -FARTHEST ? -Infinity : near;
      const greatest = near === FARTHEST ? Infinity : near;
      if (greatest < min || least > max) continue;
      const sure = least >= min && greatest <= max;
      for (const state of states) this.#bytes[factByte(state, near)] = sure ? 1 : 2;
    }
  }

  /** Those that may match, and among them those whose priority has to be looked up. */
  match(facts: Facts, among?: Bits): { readonly bits: Bits; readonly unsure: Bits | undefined } {
    const bits = noBits();
    let unsure: Bits | undefined;
    const lanes = this.#lanes;
    const bytes = this.#bytes;
    for (let word = 0; word < WORDS; word++) {
      const asked = among === undefined ? -1 : (among[word] ?? 0);
      if (asked === 0) continue;
      let found = 0;
      for (let bit = 0; bit < 32; bit++) {
        const fact = facts[word * 32 + bit] ?? 0;
        const byte = bytes[fact >>> 24];
        if (byte === 0 || lanes[fact & 0xff_ffff] !== 1) continue;
        found |= 1 << bit;
        if (byte === 2) addTo((unsure ??= noBits()), word * 32 + bit);
      }
      bits[word] = found & asked;
    }
    if (unsure !== undefined) intersect(unsure, bits);
    return { bits, unsure };
  }
}

/** What was found: how many, by state, and the ids of a page. To be told of the buckets in the page's order. */
export class Found {
  readonly counts: Record<JobState, number> = noCounts();
  readonly ids: number[] = [];
  total = 0;
  readonly #page: Page;
  #toPass: number;

  constructor(page: Page) {
    this.#page = page;
    this.#toPass = page.offset ?? 0;
  }

  /** Whether the page holds all that it can. */
  get isFull(): boolean {
    return this.ids.length >= this.#page.limit;
  }

  /** `facts` only where the states matter. */
  add(bucket: number, bits: Bits, facts?: Facts): void {
    const size = sizeOf(bits);
    if (size === 0) return;
    this.total += size;
    const { order, after, limit } = this.#page;
    const ascending = order === "asc";
    if (facts !== undefined) {
      for (const id of idsOf(bits, 0)) {
        const state = stateOfFact(facts[id] ?? 0);
        if (state !== undefined) this.counts[state]++;
      }
    }
    if (this.ids.length >= limit) return;
    const passed =
      after !== undefined && (ascending ? bucket < bucketOf(after) : bucket > bucketOf(after));
    if (passed) return;
    if (after === undefined && size <= this.#toPass) {
      this.#toPass -= size;
      return;
    }
    for (const id of idsOf(bits, bucket, !ascending)) {
      if (after !== undefined && (ascending ? id <= after : id >= after)) continue;
      if (this.#toPass > 0) this.#toPass--;
      else if (this.ids.length < limit) this.ids.push(id);
    }
  }
}

function noCounts(): Record<JobState, number> {
  return { waiting: 0, delayed: 0, blocked: 0, active: 0, completed: 0, failed: 0, cancelled: 0 };
}

export function sumOf(counts: StateCounts): number {
  return Object.values(counts).reduce((sum, n) => sum + n, 0);
}

/** Whether nothing is asked but lanes and states: of those there are counters. */
export function isCounted(filter: JobFilter): boolean {
  const { tenant: _, queues: __, states: ___, priority, created, ...rest } = filter;
  const bounds = [priority?.min, priority?.max, created?.from, created?.to];
  return [...bounds, ...Object.values(rest)].every((each) => each === undefined);
}

export function countedOf(
  filter: JobFilter,
  lanes: readonly { readonly counts: StateCounts }[],
): StateCounts {
  const counts = noCounts();
  for (const state of new Set(filter.states ?? jobStates)) {
    for (const lane of lanes) counts[state] += lane.counts[state];
  }
  return counts;
}

/** The same page from the end, of so many in all, where that is nearer; `null`: there is nothing on it. */
export function fromNearerEnd(page: Page, total: number): { page: Page; reversed: boolean } | null {
  const { offset = 0, limit, after, order } = page;
  if (after !== undefined || offset < total / 2) return { page, reversed: false };
  const left = total - offset;
  if (left <= 0) return null;
  return {
    page: {
      order: order === "asc" ? "desc" : "asc",
      limit: Math.min(limit, left),
      offset: Math.max(0, left - limit),
    },
    reversed: true,
  };
}

/** Of bit sets in their stored forms: short ones are lists of two bytes a place, others a bit for each of the bucket. */
export function decodeBits(stored: Uint8Array): Bits {
  const bits = noBits();
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
  if (stored.byteLength === BUCKET / 8) {
    for (let i = 0; i < WORDS; i++) bits[i] = view.getUint32(i * 4, true);
  } else {
    for (let i = 0; i < stored.byteLength; i += 2) addTo(bits, view.getUint16(i, true));
  }
  return bits;
}

export function encodeBits(bits: Bits): Uint8Array {
  const size = sizeOf(bits);
  const short = size * 2 < BUCKET / 8;
  const stored = new Uint8Array(short ? size * 2 : BUCKET / 8);
  const view = new DataView(stored.buffer);
  if (short) idsOf(bits, 0).forEach((place, i) => view.setUint16(i * 2, place, true));
  else bits.forEach((word, i) => view.setUint32(i * 4, word, true));
  return stored;
}
