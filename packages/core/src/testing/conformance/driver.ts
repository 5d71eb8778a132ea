import { afterEach, beforeEach, expect } from "vitest";

import type { ErrorCode, ErrorDetails } from "../../errors.ts";
import { QueueError } from "../../errors.ts";
import type { EventType, JobEvent } from "../../events.ts";
import type { ClaimedJob, Job, JobFailure, JobState } from "../../job.ts";
import { attemptsStarted, jobStates } from "../../job.ts";
import type {
  ClaimParams,
  Completion,
  EventSubscription,
  JobFilter,
  JobSpec,
  Outcome,
  QueueAdapter,
  QueueSettings,
  RemovedJob,
  Report,
  RunRef,
  StateCounts,
  StatsParams,
  StatsRow,
} from "../../queue-adapter.ts";
import type { QueueGroup } from "../../queue-groups.ts";
import { jobSpec } from "../job-factory.ts";
import type { Engine, EngineFactory } from "./engine.ts";

export const LEASE_MS = 30_000;

/** What differs from an ordinary claim: up to 1,000 jobs of the queue `work`, pulled by the worker `w1`. */
export interface ClaimWish extends Partial<Omit<ClaimParams, "queues">> {
  readonly queue?: string;
  readonly queues?: ClaimParams["queues"];
}

export interface FailWish {
  readonly retryAt?: number | null;
  readonly error?: JobFailure;
  readonly attempt?: number;
  readonly tenant?: string;
}

/** Drives one engine in the words that the tests are written in. */
export class Driver {
  engine: Engine;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  static async start(factory: EngineFactory, groups?: readonly QueueGroup[]): Promise<Driver> {
    return new Driver(await factory.make(groups));
  }

  get adapter(): QueueAdapter {
    return this.engine.adapter;
  }

  now(): number {
    return this.engine.now();
  }

  advance(ms: number): Promise<void> {
    return this.engine.advance(ms);
  }

  /** Moves to where the next minute (or hour) begins, so that what follows falls into one roll-up. */
  async alignTo(unitMs: number): Promise<number> {
    await this.advance(unitMs - (this.now() % unitMs));
    return this.now();
  }

  /** Has everything that was called before take its course, without moving time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 3; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      await this.adapter.get({ tenant: "*", ids: [] });
      await this.adapter.upkeep();
    }
  }

  // Submit

  offer(specs: readonly JobSpec[], atomic = false): Promise<readonly Outcome<number>[]> {
    return this.adapter.enqueue({ jobs: specs, atomic });
  }

  async addAll(specs: readonly JobSpec[]): Promise<number[]> {
    return accepted(await this.offer(specs));
  }

  async add(overrides: Partial<JobSpec> = {}): Promise<number> {
    return only(await this.addAll([jobSpec(overrides)]));
  }

  // Work

  claim(wish: ClaimWish = {}): Promise<readonly ClaimedJob[]> {
    const { queue = "work", ...rest } = wish;
    return this.adapter.claim({
      tenant: "default",
      queues: [{ queue, limit: 1000 }],
      limit: 1000,
      worker: "w1",
      leaseMs: LEASE_MS,
      inProcess: false,
      timeoutFrom: "progress",
      waitMs: 0,
      ...rest,
    });
  }

  /** One job, which must be there. */
  async take(wish: ClaimWish = {}): Promise<ClaimedJob> {
    return only(await this.claim({ ...wish, limit: 1 }));
  }

  /** Ids of what can be run now, in the order in which it is handed out. */
  async drain(wish: ClaimWish = {}): Promise<number[]> {
    const drained: number[] = [];
    for (;;) {
      const claimed = await this.claim(wish);
      if (claimed.length === 0) return drained;
      drained.push(...ids(claimed));
    }
  }

  async complete(
    run: RunRef,
    extra: Partial<Completion> = {},
    tenant = "default",
  ): Promise<Outcome<true>> {
    const completion: Completion = { result: null, ...ref(run), ...extra };
    return only(await this.adapter.complete({ tenant, runs: [completion] }));
  }

  async fail(run: RunRef | ClaimedJob, wish: FailWish = {}): Promise<Outcome<JobState>> {
    const attempt = "attemptsMade" in run ? attemptsStarted(run) : 1;
    const { tenant = "default", ...rest } = wish;
    const failure = { error: { message: "it broke" }, retryAt: null, attempt, ...rest };
    return only(await this.adapter.fail({ tenant, runs: [{ ...failure, ...ref(run) }] }));
  }

  async release(run: RunRef, crashed?: JobFailure): Promise<Outcome<JobState>> {
    const params = { tenant: "default", runs: [ref(run)] };
    return only(await this.adapter.release(crashed ? { ...params, crashed } : params));
  }

  async renew(run: RunRef, leaseMs = LEASE_MS): Promise<Outcome<true>> {
    return only(await this.adapter.renew({ tenant: "default", runs: [ref(run)], leaseMs }));
  }

  async heartbeat(worker: string, tenant = "default", leaseMs = LEASE_MS): Promise<void> {
    await this.adapter.renew({ tenant, runs: [], worker, leaseMs });
  }

  async report(
    run: RunRef,
    report: Omit<Report, "id" | "lease"> = {},
    leaseMs = LEASE_MS,
  ): Promise<Outcome<true>> {
    const reports = [{ ...ref(run), ...report }];
    return only(await this.adapter.progress({ tenant: "default", reports, leaseMs }));
  }

  // Admin

  async cancel(
    id: number,
    options: { running?: boolean; reason?: string; tenant?: string } = {},
  ): Promise<Outcome<true>> {
    const { running = true, reason = "not needed", tenant = "default" } = options;
    return only(await this.adapter.cancel({ tenant, ids: [id], running, reason }));
  }

  async retry(id: number): Promise<Outcome<true>> {
    return only(await this.adapter.retry({ tenant: "default", ids: [id] }));
  }

  async promote(id: number): Promise<Outcome<true>> {
    return only(await this.adapter.promote({ tenant: "default", ids: [id] }));
  }

  async remove(id: number): Promise<Outcome<RemovedJob>> {
    return only(await this.adapter.remove({ tenant: "default", ids: [id] }));
  }

  configure(
    settings: Partial<QueueSettings>,
    queue = "work",
    tenant = "default",
  ): Promise<QueueSettings> {
    return this.adapter.configureQueue({ tenant, queue, typed: false, settings });
  }

  // Read

  async find(id: number, tenant = "default"): Promise<Job | null> {
    return only(await this.adapter.get({ tenant, ids: [id] }));
  }

  async job(id: number, tenant = "default"): Promise<Job> {
    const job = await this.find(id, tenant);
    if (job === null) throw new Error(`job ${id} is not there`);
    return job;
  }

  async state(id: number, tenant = "default"): Promise<JobState> {
    return (await this.job(id, tenant)).state;
  }

  async states(of: readonly number[]): Promise<(JobState | null)[]> {
    const jobs = await this.adapter.get({ tenant: "*", ids: of });
    return jobs.map((job) => job?.state ?? null);
  }

  count(filter: Partial<JobFilter> = {}): Promise<StateCounts> {
    return this.adapter.count({ tenant: "default", ...filter });
  }

  stats(params: Partial<StatsParams> = {}): Promise<readonly StatsRow[]> {
    return this.adapter.stats({ tenant: "default", ...params });
  }

  async total(params: Partial<Omit<StatsParams, "groupBy">> = {}): Promise<StatsRow> {
    return only(await this.stats(params));
  }

  record(subscription: Partial<EventSubscription> = {}): Promise<Recorder> {
    return Recorder.start(this, subscription);
  }
}

/** A driver that has a fresh engine in each test of the surrounding `describe`. */
export function useDriver(factory: EngineFactory, groups?: readonly QueueGroup[]): Driver {
  // Set before each test, and never used outside of one.
  const driver = new Driver(undefined as unknown as Engine);
  beforeEach(async () => {
    driver.engine = await factory.make(groups);
  });
  afterEach(async () => {
    await driver.engine.dispose();
  });
  return driver;
}

/** Told apart among all recorders: pausing a queue that is paused already tells nothing. */
let marks = 0;

/** Keeps the events of a subscription. */
export class Recorder {
  readonly events: JobEvent[] = [];
  gaps = 0;
  readonly #driver: Driver;
  readonly #tenant: string;
  #stop: () => void = () => {};
  #woken: () => void = () => {};

  private constructor(driver: Driver, tenant: string) {
    this.#driver = driver;
    this.#tenant = tenant;
  }

  static async start(driver: Driver, subscription: Partial<EventSubscription>): Promise<Recorder> {
    const recorder = new Recorder(driver, subscription.tenant ?? "default");
    recorder.#stop = await driver.adapter.subscribe({
      tenant: "default",
      onEvents: (events) => {
        recorder.events.push(...events);
        recorder.#woken();
      },
      onGap: () => {
        recorder.gaps++;
        recorder.#woken();
      },
      ...subscription,
    });
    return recorder;
  }

  /** Waits until what has come satisfies the condition; the test's own timeout bounds it. */
  async until(condition: (recorder: Recorder) => boolean): Promise<void> {
    while (!condition(this)) {
      await new Promise<void>((resolve) => {
        this.#woken = resolve;
      });
    }
  }

  /** All events up to now, told by one more event behind them; for subscriptions without filters. */
  async all(): Promise<JobEvent[]> {
    const queue = `mark-${++marks}`;
    const tenant = this.#tenant === "*" ? "default" : this.#tenant;
    await this.#driver.configure({ paused: true }, queue, tenant);
    await this.until(({ events }) => events.some((event) => event.queue === queue));
    return this.events.filter((event) => !event.queue.startsWith("mark-"));
  }

  async of(jobId: number): Promise<EventType[]> {
    return (await this.all()).filter((event) => event.jobId === jobId).map(({ type }) => type);
  }

  stop(): void {
    this.#stop();
  }
}

/** Tells whether a promise is still open after everything else has taken its course. */
export async function isPending(driver: Driver, promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  const done = (): void => {
    pending = false;
  };
  promise.then(done, done);
  await driver.settle();
  return pending;
}

export function only<T>(values: readonly T[]): T {
  expect(values).toHaveLength(1);
  return values[0] as T;
}

export function at<T>(values: readonly T[], index: number): T {
  const value = values[index];
  if (value === undefined) throw new Error(`nothing at ${index} of ${values.length}`);
  return value;
}

export function ids(jobs: readonly { readonly id: number }[]): number[] {
  return jobs.map(({ id }) => id);
}

export function ref(run: RunRef): RunRef {
  return run.lease === undefined ? { id: run.id } : { id: run.id, lease: run.lease };
}

/** The values of a batch that must not have been refused in part. */
export function accepted<T>(outcomes: readonly Outcome<T>[]): T[] {
  return outcomes.map((outcome) => {
    if (outcome instanceof QueueError) throw outcome;
    return outcome;
  });
}

export function expectRefused(outcome: unknown, code: ErrorCode): ErrorDetails {
  if (!(outcome instanceof QueueError)) {
    throw new Error(`expected ${code}, but it was not refused: ${JSON.stringify(outcome)}`);
  }
  expect(outcome.code).toBe(code);
  return outcome.details;
}

export async function expectRejected(
  promise: Promise<unknown>,
  code: ErrorCode,
): Promise<ErrorDetails> {
  const rejection = await promise.then(
    (value: unknown) => {
      throw new Error(`expected ${code}, but it was not refused: ${JSON.stringify(value)}`);
    },
    (error: unknown) => error,
  );
  return expectRefused(rejection, code);
}

export function counts(some: Partial<StateCounts>): StateCounts {
  const none = Object.fromEntries(jobStates.map((state) => [state, 0])) as StateCounts;
  return { ...none, ...some };
}
