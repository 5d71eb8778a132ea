/**
 * Random histories, told to the engine and to a model that is simple enough to be believed. After each step every job
 * is in the same state in both; every claim hands out what the model would; every job's events are its history.
 *
 * Moments are kept apart so that nothing depends on who is first: calls happen at multiples of 50 ms, delays are
 * multiples of 100, leases, timeouts and ttls run out 25 ms off those.
 */
/* oxlint-disable vitest/no-standalone-expect, vitest/expect-expect -- one test, told in many methods */
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { QueueError } from "../../errors.ts";
import type { ErrorCode } from "../../errors.ts";
import type { EventType } from "../../events.ts";
import type { ClaimedJob, JobState } from "../../job.ts";
import { isFinished, jobStates, transitions } from "../../job.ts";
import type { JobSpec } from "../../queue-adapter.ts";
import { backoffDelay, CRASH_LIMIT } from "../../retry-policy.ts";
import { jobSpec } from "../job-factory.ts";
import { at, counts, ids, ref } from "./driver.ts";
import type { Driver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";
import { holds, PROPERTY_TIMEOUT_MS } from "./property.ts";

const STEP_MS = 50;
const LEASE_MS = 1025;
/** Once and twice over, it does not matter to the step at which it is over whether it began on time or a step's end. */
const TIMEOUT_BACKOFF_MS = 140;
const queues = ["a", "b"] as const;

interface AddOp {
  readonly kind: "add";
  readonly job: Partial<JobSpec>;
  /** Picks among the jobs so far. */
  readonly dependsOn: readonly number[];
}

type Op =
  | AddOp
  | { kind: "claim"; queue: (typeof queues)[number]; limit: number; inProcess: boolean }
  | { kind: "complete" | "progress" | "renew"; pick: number; stale: boolean }
  | { kind: "fail"; pick: number; retryIn: number | null }
  | { kind: "release"; pick: number; crashed: boolean }
  | { kind: "cancel"; pick: number; running: boolean }
  | { kind: "retry" | "promote" | "remove"; pick: number }
  | { kind: "pause"; queue: (typeof queues)[number]; paused: boolean }
  | { kind: "advance"; steps: number };

const pick = fc.nat({ max: 1000 });
const queue = fc.constantFrom(...queues);
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record<AddOp>({
      kind: fc.constant("add"),
      job: fc.record({
        queue,
        priority: fc.constantFrom(0, 0, -1, 1),
        lifo: fc.constantFrom(false, false, true),
        delayMs: fc.constantFrom(0, 0, 0, 100, 300),
        ttlMs: fc.constantFrom(null, null, null, 225, 625),
        timeoutMs: fc.constantFrom(null, null, null, 125, 325),
        maxAttempts: fc.integer({ min: 1, max: 3 }),
        uniqueKey: fc.constantFrom(null, null, "k1", "k2"),
      }),
      dependsOn: fc.oneof(fc.constant([]), fc.array(pick, { maxLength: 3 })),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant("claim"),
      queue,
      limit: fc.integer({ min: 1, max: 3 }),
      inProcess: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom("complete", "complete", "progress", "renew"),
      pick,
      stale: fc.constantFrom(false, false, false, true),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("fail"),
      pick,
      retryIn: fc.constantFrom(null, 0, 100, 200),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("release"), pick, crashed: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("cancel"), pick, running: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom("retry", "retry", "promote", "remove"), pick }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("pause"), queue, paused: fc.boolean() }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("advance"), steps: fc.integer({ min: 1, max: 12 }) }),
  },
);

interface ModelRun {
  readonly lease: string;
  readonly inProcess: boolean;
  leaseEnds: number | null;
  timeoutEnds: number | null;
  stopping: boolean;
}

interface ModelJob {
  readonly id: number;
  readonly spec: JobSpec;
  state: JobState;
  removed: boolean;
  runAt: number;
  /** Place among equals: lower is sooner. */
  place: number;
  attemptsMade: number;
  crashes: number;
  started: boolean;
  expires: number | null;
  awaits: Set<number>;
  run: ModelRun | null;
  /** Expected events, told or refused alike by the engine. */
  readonly events: string[];
}

class Model {
  readonly jobs = new Map<number, ModelJob>();
  readonly paused = new Set<string>();
  now: number;
  #places = 0;

  constructor(now: number) {
    this.now = now;
  }

  alive(): ModelJob[] {
    return [...this.jobs.values()].filter((job) => !job.removed);
  }

  /** Why an engine has to refuse a job, if it has to. */
  refusal(spec: JobSpec): ErrorCode | null {
    const known = spec.dependsOn.map((id) => this.jobs.get(id));
    if (known.some((job) => job === undefined || job.removed || job.state === "cancelled")) {
      return "DEPENDENCY_NOT_FOUND";
    }
    return this.holder(spec.queue, spec.uniqueKey) === undefined ? null : "DUPLICATE_JOB";
  }

  holder(inQueue: string, key: string | null): ModelJob | undefined {
    if (key === null) return undefined;
    return this.alive().find(
      ({ spec, state }) => spec.queue === inQueue && spec.uniqueKey === key && !isFinished(state),
    );
  }

  add(id: number, spec: JobSpec): void {
    const awaits = spec.dependsOn.filter((other) => this.jobs.get(other)?.state !== "completed");
    const job: ModelJob = {
      id,
      spec,
      state: "blocked",
      removed: false,
      runAt: this.now + spec.delayMs,
      place: 0,
      attemptsMade: 0,
      crashes: 0,
      started: false,
      expires: spec.ttlMs === null ? null : this.now + spec.ttlMs,
      awaits: new Set(awaits),
      run: null,
      events: ["job.pushed"],
    };
    this.jobs.set(id, job);
    if (job.awaits.size === 0) this.unblock(job);
  }

  unblock(job: ModelJob): void {
    if (job.runAt > this.now) job.state = "delayed";
    else this.queueUp(job);
  }

  queueUp(job: ModelJob): void {
    job.state = "waiting";
    this.#places++;
    job.place = job.spec.lifo ? -this.#places : this.#places;
  }

  waiting(inQueue: string): ModelJob[] {
    return this.alive()
      .filter(({ spec, state }) => spec.queue === inQueue && state === "waiting")
      .toSorted((a, b) => a.spec.priority - b.spec.priority || a.place - b.place);
  }

  start(job: ModelJob, lease: string, inProcess: boolean): void {
    const { timeoutMs } = job.spec;
    job.state = "active";
    job.started = true;
    job.events.push("job.started");
    job.run = {
      lease,
      inProcess,
      leaseEnds: timeoutMs === null ? this.now + LEASE_MS : null,
      timeoutEnds: timeoutMs === null ? null : this.now + timeoutMs,
      stopping: false,
    };
  }

  #end(job: ModelJob): boolean {
    const stopping = job.run?.stopping === true;
    job.run = null;
    if (stopping) this.cancelled(job);
    return stopping;
  }

  complete(job: ModelJob): void {
    if (this.#end(job)) return;
    job.attemptsMade++;
    job.state = "completed";
    job.events.push("job.completed");
    for (const other of this.alive()) {
      if (!other.awaits.delete(job.id)) continue;
      if (other.state === "blocked" && other.awaits.size === 0) this.unblock(other);
    }
  }

  fail(job: ModelJob, retryAt: number | null): void {
    if (this.#end(job)) return;
    job.attemptsMade++;
    if (retryAt === null) {
      this.failed(job);
      return;
    }
    job.events.push("job.failed:retried");
    job.runAt = retryAt;
    if (retryAt <= this.now) this.queueUp(job);
    else job.state = "delayed";
  }

  failed(job: ModelJob): void {
    job.state = "failed";
    job.events.push("job.failed:final");
  }

  cancelled(job: ModelJob): void {
    job.state = "cancelled";
    job.run = null;
    job.events.push("job.cancelled");
    this.#failDependents(job);
  }

  #failDependents(job: ModelJob): void {
    for (const other of this.alive()) {
      if (other.state === "blocked" && other.awaits.has(job.id)) this.failed(other);
    }
  }

  giveBack(job: ModelJob, crashed: boolean): void {
    if (this.#end(job)) return;
    job.state = "waiting";
    if (!crashed) return;
    job.crashes++;
    job.events.push("job.stalled");
    if (job.crashes >= CRASH_LIMIT) this.failed(job);
  }

  retry(job: ModelJob): void {
    job.attemptsMade = 0;
    job.crashes = 0;
    job.expires = null;
    job.awaits.clear();
    for (const id of job.spec.dependsOn) {
      const other = this.jobs.get(id);
      const hopeless = other === undefined || other.removed || other.state === "cancelled";
      if (!hopeless && other.state !== "completed") job.awaits.add(id);
    }
    job.runAt = this.now;
    if (job.awaits.size > 0) job.state = "blocked";
    else this.queueUp(job);
  }

  remove(job: ModelJob): void {
    job.removed = true;
    if (job.state !== "completed") this.#failDependents(job);
  }

  /** One step of time: at most one thing becomes due for a job, in the order of moments. */
  pass(ms: number): void {
    const until = this.now + ms;
    const due: { moment: number; job: ModelJob; what: () => void }[] = [];
    for (const job of this.alive()) {
      const consider = (moment: number | null | undefined, what: () => void): void => {
        if (moment !== null && moment !== undefined && moment <= until) {
          due.push({ moment, job, what });
        }
      };
      if (!job.started && !isFinished(job.state)) consider(job.expires, () => this.failed(job));
      if (job.state === "delayed") consider(job.runAt, () => this.queueUp(job));
      consider(job.run?.leaseEnds, () => this.giveBack(job, true));
      consider(job.run?.timeoutEnds, () => this.timeOut(job));
    }
    due.sort((a, b) => a.moment - b.moment || a.job.id - b.job.id);
    for (const { moment, job, what } of due) {
      this.now = moment;
      if (!isFinished(job.state)) what();
    }
    this.now = until;
  }

  timeOut(job: ModelJob): void {
    if (job.run?.stopping !== true) job.events.push("job.stalled");
    const attempt = job.attemptsMade + 1;
    const backoff = backoffDelay({ backoffMs: TIMEOUT_BACKOFF_MS, attempt });
    this.fail(job, attempt < job.spec.maxAttempts ? this.now + backoff : null);
  }
}

function expectCode(outcome: unknown, code: ErrorCode | null): void {
  expect(outcome instanceof QueueError ? outcome.code : null).toBe(code);
}

/** Tells one history to both, and compares them after each step. */
class Comparison {
  readonly #driver: Driver;
  readonly #model: Model;
  readonly #oldRuns: ClaimedJob[] = [];

  constructor(driver: Driver) {
    this.#driver = driver;
    this.#model = new Model(driver.now());
  }

  async step(step: Op): Promise<void> {
    const d = this.#driver;
    const model = this.#model;
    switch (step.kind) {
      case "add":
        await this.#add(step);
        break;
      case "claim":
        await this.#claim(step.queue, step.limit, step.inProcess);
        break;
      case "complete":
      case "progress":
      case "renew":
        await this.#touch(step.kind, step.pick, step.stale);
        break;
      case "fail": {
        const job = this.#running(step.pick);
        if (job === undefined) return;
        const retryAt = step.retryIn === null ? null : d.now() + step.retryIn;
        const attempt = job.attemptsMade + 1;
        const outcome = await d.fail(this.#refOf(job), { retryAt, attempt });
        model.fail(job, retryAt);
        expect(outcome).toBe(job.state);
        break;
      }
      case "release": {
        const job = this.#running(step.pick);
        if (job === undefined) return;
        const crash = step.crashed ? { message: "it died" } : undefined;
        const outcome = await d.release(this.#refOf(job), crash);
        model.giveBack(job, step.crashed);
        expect(outcome).toBe(job.state);
        break;
      }
      case "cancel":
        await this.#cancel(step.pick, step.running);
        break;
      case "retry":
      case "promote":
      case "remove":
        await this.#administer(step.kind, step.pick);
        break;
      case "pause":
        await d.configure({ paused: step.paused }, step.queue);
        if (step.paused) model.paused.add(step.queue);
        else model.paused.delete(step.queue);
        break;
      case "advance":
        for (let turn = 0; turn < step.steps; turn++) {
          await d.advance(STEP_MS);
          model.pass(STEP_MS);
        }
        break;
    }
  }

  /** Any job, gone ones too. */
  #any(index: number): ModelJob | undefined {
    const jobs = [...this.#model.jobs.values()];
    return jobs.length === 0 ? undefined : jobs[index % jobs.length];
  }

  #running(index: number): ModelJob | undefined {
    const running = this.#model.alive().filter(({ run }) => run !== null);
    return running.length === 0 ? undefined : running[index % running.length];
  }

  #refOf(job: ModelJob): { id: number; lease: string } {
    if (job.run === null) throw new Error("not running");
    return { id: job.id, lease: job.run.lease };
  }

  async #add({ job, dependsOn }: AddOp): Promise<void> {
    const known = dependsOn.map((index) => this.#any(index)?.id).filter((id) => id !== undefined);
    const spec = jobSpec({
      ...job,
      backoffMs: TIMEOUT_BACKOFF_MS,
      dependsOn: [...new Set(known)],
    });
    const [outcome] = await this.#driver.offer([spec]);
    const refusal = this.#model.refusal(spec);
    if (refusal === null) this.#model.add(outcome as number, spec);
    if (refusal === null) expect(outcome).toBeTypeOf("number");
    else expectCode(outcome, refusal);
  }

  async #claim(from: string, limit: number, inProcess: boolean): Promise<void> {
    const claimed = await this.#driver.claim({
      queue: from,
      limit,
      inProcess,
      timeoutFrom: inProcess ? "start" : "progress",
      leaseMs: LEASE_MS,
    });
    const expected = this.#model.paused.has(from) ? [] : this.#model.waiting(from).slice(0, limit);
    expect(ids(claimed)).toEqual(ids(expected));
    for (const [index, job] of expected.entries()) {
      this.#model.start(job, at(claimed, index).lease, inProcess);
    }
    this.#oldRuns.push(...claimed);
  }

  async #touch(
    kind: "complete" | "progress" | "renew",
    index: number,
    stale: boolean,
  ): Promise<void> {
    const d = this.#driver;
    const model = this.#model;
    const old = this.#oldRuns[index % Math.max(1, this.#oldRuns.length)];
    const job = stale && old ? model.jobs.get(old.id) : this.#running(index);
    if (job === undefined) return;
    const run = stale && old ? ref(old) : this.#refOf(job);
    let refusal: ErrorCode | null = null;
    if (job.removed) refusal = "JOB_NOT_FOUND";
    else if (job.run?.lease !== run.lease) refusal = "STALE_LEASE";

    if (kind === "complete") expectCodeUnlessStopping(await d.complete(run), refusal, job);
    else if (kind === "renew") expectCode(await d.renew(run, LEASE_MS), refusal);
    else expectCode(await d.report(run, { progress: 50 }, LEASE_MS), refusal);

    if (refusal !== null || job.run === null) return;
    if (kind === "complete") {
      model.complete(job);
      return;
    }
    if (job.run.leaseEnds !== null) job.run.leaseEnds = model.now + LEASE_MS;
    if (kind === "progress") {
      job.events.push("job.progress");
      const { timeoutMs } = job.spec;
      if (timeoutMs !== null && !job.run.inProcess) job.run.timeoutEnds = model.now + timeoutMs;
    }
  }

  async #cancel(index: number, running: boolean): Promise<void> {
    const job = this.#any(index);
    // What a second request says to a run that is stopping already is left open.
    if (job === undefined || job.run?.stopping === true) return;
    const outcome = await this.#driver.cancel(job.id, { running });
    let refusal: ErrorCode | null = null;
    if (job.removed) refusal = "JOB_NOT_FOUND";
    else if (isFinished(job.state) || (job.state === "active" && !running))
      refusal = "INVALID_STATE";
    expectCode(outcome, refusal);
    if (refusal !== null) return;
    if (job.run?.inProcess === true) job.run.stopping = true;
    else this.#model.cancelled(job);
  }

  async #administer(kind: "retry" | "promote" | "remove", index: number): Promise<void> {
    const job = this.#any(index);
    if (job === undefined) return;
    const d = this.#driver;
    const model = this.#model;
    let refusal: ErrorCode | null = null;
    if (job.removed) {
      refusal = "JOB_NOT_FOUND";
    } else if (kind === "retry") {
      // Whether a ttl begins anew is a matter of another test.
      if (job.spec.ttlMs !== null) return;
      if (job.state !== "failed" && job.state !== "cancelled") refusal = "INVALID_STATE";
      else if (model.holder(job.spec.queue, job.spec.uniqueKey)) refusal = "DUPLICATE_JOB";
    } else if (kind === "promote") {
      if (job.state !== "delayed") refusal = "INVALID_STATE";
    } else if (job.state === "active") {
      refusal = "INVALID_STATE";
    }
    expectCode(await d[kind](job.id), refusal);
    if (refusal !== null) return;
    if (kind === "retry") model.retry(job);
    else if (kind === "promote") model.queueUp(job);
    else model.remove(job);
  }

  async compare(): Promise<void> {
    const d = this.#driver;
    const expected = [...this.#model.jobs.values()];
    const jobs = await d.adapter.get({ tenant: "default", ids: ids(expected) });
    const seen = jobs.map((job) => job && [job.id, job.state, job.attemptsMade, job.crashes]);
    expect(seen).toEqual(
      expected.map(({ id, removed, state, attemptsMade, crashes }) =>
        removed ? null : [id, state, attemptsMade, crashes],
      ),
    );
    const tally = counts({});
    for (const { state } of this.#model.alive())
      Object.assign(tally, { [state]: tally[state] + 1 });
    expect(await d.count()).toEqual(tally);
    const perQueue = await d.adapter.listQueues({ tenant: "default" });
    for (const state of jobStates) {
      const sum = perQueue.reduce((total, info) => total + info.counts[state], 0);
      expect(sum).toBe(tally[state]);
    }
  }

  compareEvents(told: readonly { type: EventType; jobId: number | null; final?: boolean }[]): void {
    for (const job of this.#model.jobs.values()) {
      const of = told
        .filter(({ jobId }) => jobId === job.id)
        .map(({ type, final }) =>
          type === "job.failed" ? `${type}:${final === true ? "final" : "retried"}` : type,
        );
      // Whether a retry is told as pushed again is left open.
      const withoutRetries = of.filter((type, index) => type !== "job.pushed" || index === 0);
      expect([job.id, ...withoutRetries]).toEqual([job.id, ...job.events]);
    }
  }
}

/** What the holder hears who completes a run that was to stop is left open. */
function expectCodeUnlessStopping(outcome: unknown, code: ErrorCode | null, job: ModelJob): void {
  if (code !== null || job.run?.stopping !== true) expectCode(outcome, code);
}

export function describeModel(factory: EngineFactory): void {
  describe("random histories", () => {
    it("allow no transition that the table forbids", () => {
      for (const state of jobStates) {
        expect(transitions[state].every((next) => jobStates.includes(next))).toBe(true);
      }
    });

    it(
      "are the same for the engine and the model",
      async () => {
        const history = fc.array(op, { minLength: 30, maxLength: 90, size: "max" });
        await holds(factory, history, async (driver, ops) => {
          const recorder = await driver.record();
          const comparison = new Comparison(driver);
          for (const each of ops) {
            await comparison.step(each);
            await comparison.compare();
          }
          // Whatever is left comes to an end.
          await comparison.step({ kind: "advance", steps: 40 });
          await comparison.compare();
          comparison.compareEvents(await recorder.all());
        });
      },
      PROPERTY_TIMEOUT_MS,
    );
  });
}
