import type { DatabaseSync, StatementSync } from "node:sqlite";
import { isFinished, type JobState } from "../../job.ts";
import { BUCKET, bucketOf, factIn, factOf, type Facts, stateOfFact } from "../../job-facts.ts";
import { type FinishedPhase, stateOf } from "./rows.ts";

/** Rows read in one step. */
const STEP = 2000;

interface Bucket {
  readonly no: number;
  readonly facts: Facts;
  /** Jobs that are there. */
  live: number;
  /** Creation times of its jobs, epoch ms, those that are gone included. */
  oldest: number;
  newest: number;
}

/**
 * Facts of all jobs, in memory. An active job's are those of a waiting one. What the last process left is read bit by bit
 * by `build`.
 */
export class JobFacts {
  readonly #buckets = new Map<number, Bucket>();
  /** The one asked for last: most ids come after each other. */
  #last: Bucket | undefined;
  /** Of the current transaction: ids, and what was known of them before; so many of them. */
  #changed = new Float64Array(BUCKET);
  #before = new Uint32Array(BUCKET);
  #changes = 0;
  #sorted: number[] | undefined;
  readonly #jobs: StatementSync;
  readonly #finished: StatementSync;

  constructor(db: DatabaseSync) {
    const arrays = (sql: string): StatementSync => {
      const statement = db.prepare(sql);
      statement.setReturnArrays(true);
      return statement;
    };
    this.#jobs = arrays(
      `SELECT id, lane, priority, created_at FROM job WHERE id > ? ORDER BY id LIMIT ${STEP}`,
    );
    this.#finished = arrays(
      `SELECT lane, phase, id FROM finished_job WHERE (lane, phase, id) > (?, ?, ?)
       ORDER BY lane, phase, id LIMIT ${STEP}`,
    );
  }

  /** Numbers of the buckets in which there are jobs, in order. */
  buckets(): readonly number[] {
    return (this.#sorted ??= [...this.#buckets.keys()].sort((a, b) => a - b));
  }

  bucket(no: number): Bucket | undefined {
    return this.#buckets.get(no);
  }

  set(id: number, lane: number, state: JobState, priority: number): void {
    this.#write(id, factOf(lane, state, priority));
  }

  /** Of an open job that the last process left. */
  load(id: number, lane: number, state: JobState, priority: number): void {
    this.#put(id, factOf(lane, state, priority));
  }

  /** Exact also before `build` is through: what is open is known from the beginning. */
  isOpen(id: number): boolean {
    const state = stateOfFact(this.of(id));
    return state !== undefined && !isFinished(state);
  }

  /** Of a job that is new. */
  created(id: number, at: number): void {
    const bucket = this.#bucketAt(id);
    if (at < bucket.oldest) bucket.oldest = at;
    if (at > bucket.newest) bucket.newest = at;
  }

  remove(id: number): void {
    this.#write(id, 0);
  }

  commit(): void {
    let looked = -1;
    for (let i = 0; i < this.#changes; i++) {
      const no = bucketOf(this.#changed[i] as number);
      if (no === looked) continue;
      looked = no;
      if (this.#buckets.get(no)?.live !== 0) continue;
      this.#buckets.delete(no);
      this.#last = this.#sorted = undefined;
    }
    this.#changes = 0;
  }

  rollback(): void {
    for (let i = this.#changes - 1; i >= 0; i--) {
      this.#put(this.#changed[i] as number, this.#before[i] as number);
    }
    this.commit();
  }

  /** What `load` was not told of, while the store serves. */
  async build(pause: () => Promise<void>): Promise<void> {
    for (let after = 0, read = STEP; read === STEP;) {
      const rows = this.#jobs.all(after) as unknown as [number, number, number, number][];
      for (const [id, lane, priority, at] of rows) {
        this.created(id, at);
        // What is open is known.
        if (this.of(id) === 0) this.#put(id, factOf(lane, "completed", priority));
      }
      read = rows.length;
      after = rows.at(-1)?.[0] ?? after;
      await pause();
    }
    let last: readonly [number, number, number] = [0, 0, 0];
    for (let read = STEP; read === STEP;) {
      const rows = this.#finished.all(...last) as unknown as [number, FinishedPhase, number][];
      for (const [, phase, id] of rows) this.#put(id, factIn(this.of(id), stateOf(phase)));
      read = rows.length;
      last = rows.at(-1) ?? last;
      await pause();
    }
  }

  /** 0 where there is no such job. */
  of(id: number): number {
    return this.#buckets.get(bucketOf(id))?.facts[id % BUCKET] ?? 0;
  }

  #write(id: number, fact: number): void {
    const bucket = this.#bucketAt(id);
    const place = id % BUCKET;
    if (this.#changes === this.#changed.length) this.#grow();
    this.#changed[this.#changes] = id;
    this.#before[this.#changes++] = bucket.facts[place] ?? 0;
    this.#putIn(bucket, place, fact);
  }

  #grow(): void {
    const [changed, before] = [this.#changed, this.#before];
    this.#changed = new Float64Array(2 * changed.length);
    this.#before = new Uint32Array(2 * before.length);
    this.#changed.set(changed);
    this.#before.set(before);
  }

  #put(id: number, fact: number): void {
    this.#putIn(this.#bucketAt(id), id % BUCKET, fact);
  }

  #putIn(bucket: Bucket, place: number, fact: number): void {
    const before = bucket.facts[place] ?? 0;
    bucket.facts[place] = fact;
    bucket.live += (fact === 0 ? 0 : 1) - (before === 0 ? 0 : 1);
  }

  #bucketAt(id: number): Bucket {
    const no = bucketOf(id);
    if (this.#last?.no === no) return this.#last;
    let bucket = this.#buckets.get(no);
    if (bucket === undefined) {
      bucket = { no, facts: new Uint32Array(BUCKET), live: 0, oldest: Infinity, newest: -Infinity };
      this.#buckets.set(no, bucket);
      this.#sorted = undefined;
    }
    this.#last = bucket;
    return bucket;
  }
}
