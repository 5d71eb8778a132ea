/**
 * A store that nobody serves, as it is read whole from one engine and written into another. The records are the engines'
 * common language: what a job is to the port, and what the port does not show but a store has to know.
 */
import type { JobEvent } from "./events.ts";
import type { Job, JobRun, JobState } from "./job.ts";
import { QueueError } from "./errors.ts";
import type {
  Answer,
  LogLine,
  QueueSettings,
  ScheduleRecord,
  WebhookRecord,
} from "./queue-adapter.ts";

/** Of the records below; a store that is half filled in one version is not filled on in another. */
export const RECORDS_VERSION = 1;

export interface StoredQueue extends QueueSettings {
  readonly tenant: string;
  readonly queue: string;
  readonly typed: boolean;
}

export interface StoredJob {
  /** Never active: a run cannot outlive its store. */
  readonly job: Job;
  /** Whether it was ever run since it was added or retried: its time to live is over then. */
  readonly started: boolean;
  /** When its time to live ends; null: never. */
  readonly expireAt: number | null;
  /** What it depends on, until it is finished. */
  readonly dependencies: readonly StoredDependency[];
  readonly logs: readonly LogLine[];
  /** Those that did not complete. */
  readonly runs: readonly JobRun[];
}

export interface StoredDependency {
  readonly id: number;
  /** Of that job, whose tenant is the same. */
  readonly queue: string;
  /** It completed. */
  readonly done: boolean;
}

/** A waiting job in its place: those of one queue come in the order in which they are to be claimed. */
export interface StoredPlace {
  readonly tenant: string;
  readonly queue: string;
  readonly id: number;
  readonly priority: number;
}

export interface StoredRollup {
  readonly tenant: string;
  /** "" stands for the tenant's typed queues together. */
  readonly queue: string;
  readonly span: "minute" | "hour" | "total";
  /** Epoch ms; 0 for totals. */
  readonly at: number;
  readonly level: number;
  readonly project: string;
  /**
   * added, completed, failed, cancelled, retried, stalled; of durations the sum, the smallest and the largest (null: there is
   * none); of waits the sum; tokens, most runs at once, removed.
   */
  readonly sums: readonly (number | null)[];
}

export interface StoredSecret {
  readonly tenant: string;
  readonly queue: string;
  readonly secret: string;
}

/** What a call with an idempotency key was answered. */
export interface StoredAnswer extends Omit<Answer, "repeated"> {
  readonly tenant: string;
  readonly key: string;
  /** When it was answered. */
  readonly at: number;
}

export type StoredEvent = Omit<JobEvent, "cursor">;

/** All that a store holds, in the order in which it is written: what comes later may refer to what came before. */
export interface StoreRecords {
  readonly queues: StoredQueue;
  /** By id. */
  readonly jobs: StoredJob;
  readonly order: StoredPlace;
  readonly rollups: StoredRollup;
  readonly schedules: ScheduleRecord;
  readonly webhooks: WebhookRecord;
  readonly secrets: StoredSecret;
  readonly answers: StoredAnswer;
  /** Events that webhooks have not been told of, oldest first. */
  readonly outbox: StoredEvent;
}

export type Section = keyof StoreRecords;

export const sections: readonly Section[] = [
  "queues",
  "jobs",
  "order",
  "rollups",
  "schedules",
  "webhooks",
  "secrets",
  "answers",
  "outbox",
];

/** Records that are written in one step. Memory and the length of a step are bounded by what a batch holds. */
export interface StoreBatch<S extends Section = Section> {
  readonly section: S;
  readonly records: readonly StoreRecords[S][];
  /**
   * Where reading goes on behind these records; "" where the section is begun again, which is harmless as its records
   * replace what was written before.
   */
  readonly next: string;
}

/** At most so many records a batch, and about so many bytes. */
export const BATCH_RECORDS = 1000;
export const BATCH_BYTES = 4_000_000;

/** How far a store is filled. */
export interface Filled {
  readonly section: Section | "all";
  readonly after: string;
}

/** What a store says of a move that it takes part in. */
export interface MoveMark {
  readonly version: number;
  /** The move's own name; both stores have the same. */
  readonly id: string;
  readonly role: "source" | "target";
  /** The other store, as people know it. */
  readonly other: string;
  readonly since: number;
  /** Of a source: all of it is in the other store, which is the one that counts. */
  readonly done: boolean;
}

/** One tenant's part of one queue, counted in two ways that have to agree. */
export interface Tally {
  /** As the places tell in which the engine keeps jobs by state. */
  readonly counts: Readonly<Record<JobState, number>>;
  /** Of the ids and states that the jobs themselves tell. */
  readonly checksum: string;
}

/** By `tenant/queue`. */
export type Census = ReadonlyMap<string, Tally>;

export interface StoreAtRest {
  /** As people know it: a path, or an address without its password. */
  readonly name: string;
  readonly engine: "sqlite" | "bullmq";
  /**
   * `create`: where there is none, makes one.
   * @throws QueueError UNAVAILABLE where it cannot be reached or is served, INVALID_STATE where there is none
   */
  open(how: { readonly create: boolean }): Promise<void>;
  close(): Promise<void>;

  mark(): Promise<MoveMark | null>;
  /** null: it takes part in no move (any more), and can be served. */
  setMark(mark: MoveMark | null): Promise<void>;

  /** Whether nothing would be mixed up if it were filled. */
  isEmpty(): Promise<boolean>;
  /** Forgets everything. */
  erase(): Promise<void>;

  /** The runs that its dead processes left behind have crashed. Answers how many. */
  endRuns(): Promise<number>;
  /** No job, run or lease has this number or a larger one. */
  nextNumber(): Promise<number>;
  /** Unfinished and finished jobs together. */
  countJobs(): Promise<number>;
  /** From behind `after` on; "" is the beginning. */
  read<S extends Section>(section: S, after: string): AsyncIterable<StoreBatch<S>>;
  census(onCounted: (jobs: number) => void): Promise<Census>;

  /** The mark of a target: nothing is in it yet, and its numbers begin with `nextNumber`. */
  begin(mark: MoveMark, nextNumber: number): Promise<void>;
  filled(): Promise<Filled>;
  /** One step: all of the batch is in the store, which is filled up to `then`, or nothing. `from`: as far as it is now. */
  write(batch: StoreBatch, from: Filled, then: Filled): Promise<void>;
  /** All that was written outlives a kill of the store, as far as its settings allow; answers with what is at risk. */
  settle(): Promise<readonly string[]>;
}

/** Cuts records into batches; `next` of one that can go on in the middle. */
export function* batched<S extends Section>(
  section: S,
  records: Iterable<StoreRecords[S]>,
  next: (index: number) => string = () => "",
): Generator<StoreBatch<S>> {
  let some: StoreRecords[S][] = [];
  let index = 0;
  for (const record of records) {
    some.push(record);
    index++;
    if (some.length === BATCH_RECORDS) {
      yield { section, records: some, next: next(index) };
      some = [];
    }
  }
  if (some.length > 0) yield { section, records: some, next: next(index) };
}

export const tallyKey = (tenant: string, queue: string): string => `${tenant}/${queue}`;

/** A sum over ids and states that no order changes: two stores with the same jobs in the same states have the same. */
export class Checksum {
  #a = 0;
  #b = 0;
  #count = 0;

  add(id: number, state: number): void {
    const high = Math.floor(id / 2 ** 32);
    const a = mixed((id >>> 0) ^ mixed(high * 8 + state + 1));
    this.#a = (this.#a + a) >>> 0;
    this.#b = (this.#b + mixed(a ^ 0x9e37_79b9)) >>> 0;
    this.#count++;
  }

  toString(): string {
    return [this.#count, this.#a, this.#b].map((word) => word.toString(16)).join("-");
  }
}

/** The finalizer of MurmurHash3: each bit of the number changes about half of those of the answer. */
function mixed(n: number): number {
  let h = n >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Why a store with a mark cannot be served, and what to do. */
export function refuseMoved(mark: MoveMark, name: string): never {
  const { role, other, done, since } = mark;
  const when = new Date(since).toISOString();
  const command = "`jobs migrate`";
  const why = done
    ? `The jobs of ${name} were moved to ${other} (${when}) and are served there: set REDIS_URL and DATA_DIR accordingly`
    : role === "source"
      ? `The jobs of ${name} are being moved to ${other} (begun ${when}). Run ${command} again to go on with it, or with --abandon to serve them here again`
      : `${name} is being filled with the jobs of ${other} (begun ${when}). Run ${command} again to go on with it, or with --abandon to give it up`;
  throw new QueueError("INVALID_STATE", `${why}.`);
}
