import { monitorEventLoopDelay } from "node:perf_hooks";
import { QueueError } from "./errors.ts";
import {
  type Handler,
  HandlerCrash,
  HandlerError,
  processingStats,
  type ProgressReport,
} from "./handler.ts";
import type { ClaimedJob, JobFailure, Payload, PayloadFile, ProcessingStats } from "./job.ts";
import { validationIssues } from "./job-types/job-type.ts";
import { processId } from "./node.ts";
import {
  ALL_TENANTS,
  type Completion,
  type Failure,
  type Outcome,
  type QueueDemand,
  type RunRef,
} from "./queue-adapter.ts";
import type { JobQueue } from "./queue.ts";
import { decideRetry } from "./retry-policy.ts";

/** A handler told to stop is abandoned after so long, ms: a cancelled job has ended within five seconds. */
export const STOP_GRACE_MS = 4500;
/** Of the time to drain, the part that handlers have after they were told to stop, ms. */
const DRAIN_STOP_MS = 1000;
/** Reports go out at most so often, ms. */
const REPORT_MS = 250;
const HEARTBEAT_MS = 5000;
/** How often the event loop's lag is measured; what is measured includes it, ms. */
const LAG_RESOLUTION_MS = 20;
/** Between tries while the store cannot be reached, ms. */
const STORE_RETRY_MS = 500;
/** A claim waits so long before it is made anew, ms. */
const CLAIM_WAIT_MS = 30_000;
const MAX_STACK = 4000;
const MAX_LOG_LINE = 10_000;
/** Of a job's log, kept until they are sent. */
const MAX_LINES = 1000;

export interface WorkerOptions {
  readonly queue: JobQueue;
  readonly handlers: readonly Handler[];
  /** Jobs at once over all queues. */
  readonly concurrency: number;
  /** Jobs at once by queue, within `concurrency`. */
  readonly perQueue?: Readonly<Record<string, number>>;
  /** Default: `processId`. */
  readonly id?: string;
  /** Whether it shows in the list of workers; default true. */
  readonly listed?: boolean;
  /** Told of what goes wrong outside of jobs, and of jobs that had to be abandoned. */
  readonly onError?: (error: unknown, doing: string) => void;
}

/** What a worker has to do with a queue. */
export interface QueueFigures {
  /** Jobs that run now. */
  readonly active: number;
  /** Runs since the start, by how they ended; those that were called off or handed back are none of these. */
  readonly completed: number;
  readonly failed: number;
  readonly crashed: number;
}

type Figures = { -readonly [Figure in keyof QueueFigures]: number };

type StopReason = "cancelled" | "lost" | "shutdown";

interface Running {
  readonly job: ClaimedJob;
  readonly handler: Handler;
  readonly abort: AbortController;
  readonly startedAt: number;
  report: { progress?: number; message?: string; stats?: ProcessingStats } | undefined;
  readonly lines: string[];
  tokens: number;
  /** Why it was told to stop; its outcome then no longer matters. */
  stopped: StopReason | undefined;
  callOffAbandon: () => void;
  over: boolean;
}

type Ending =
  | { readonly kind: "completed"; readonly result: Payload | null }
  | { readonly kind: "failed"; readonly error: JobFailure; readonly dataFault: boolean }
  | { readonly kind: "crashed"; readonly error: JobFailure }
  | { readonly kind: "released" };

/**
 * Runs handlers: claims as many jobs as it has free slots, keeps their leases, and tells the engine how they ended.
 * The same loop for every engine. A slot is free once its handler has settled, so that the end of one job and the
 * claim of the next travel together.
 */
export class Worker {
  readonly id: string;
  readonly #queue: JobQueue;
  readonly #handlers: ReadonlyMap<string, Handler>;
  readonly #options: WorkerOptions;
  readonly #running = new Map<string, Running>();
  readonly #figures: ReadonlyMap<string, Figures>;
  /** Ends not yet told to the engine. */
  #ended: { readonly run: Running; readonly ending: Ending }[] = [];
  readonly #telling = new Set<Promise<unknown>>();
  #claiming: { readonly abort: AbortController; readonly queues: ReadonlySet<string> } | undefined;
  /** Runs to be stopped that the claim under way has not brought yet. */
  readonly #stoppedEarly = new Map<string, StopReason>();
  #awake = false;
  #reporting: (() => void) | undefined;
  readonly #callOffs: (() => void)[] = [];
  #stopListening: () => void = () => undefined;
  #state: "new" | "running" | "draining" | "stopped" = "new";
  #idle: (() => void)[] = [];
  #drained: Promise<void> | undefined;
  /** Until when the engine is told of ends at most. */
  #tellUntil = Infinity;
  readonly #delay = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#queue = options.queue;
    this.#handlers = new Map(options.handlers.map((handler) => [handler.type.name, handler]));
    this.id = options.id ?? processId;
    this.#figures = new Map(
      options.handlers.map(({ type: { name } }) => [
        name,
        { active: 0, completed: 0, failed: 0, crashed: 0 },
      ]),
    );
  }

  get active(): number {
    return this.#running.size;
  }

  /** By queue. */
  get figures(): ReadonlyMap<string, QueueFigures> {
    return this.#figures;
  }

  start(): void {
    if (this.#state !== "new") return;
    this.#state = "running";
    this.#delay.enable();
    this.#stopListening = this.#queue.adapter.onStopRequest(({ id, lease, reason }) => {
      const run = this.#running.get(keyOf(id, lease));
      if (run !== undefined) this.#stop(run, reason);
      else if (this.#claiming !== undefined) this.#stoppedEarly.set(keyOf(id, lease), reason);
    });
    this.#every(this.#queue.leaseMs / 3, () => this.#renew());
    if (this.#options.listed !== false) {
      this.#every(HEARTBEAT_MS, () => this.#heartbeat());
      void this.#heartbeat();
    }
    this.#wake();
  }

  /** Claims no more; within `graceMs` running jobs finish, or are told to stop and handed back. */
  drain(graceMs: number): Promise<void> {
    this.#drained ??= this.#drain(graceMs);
    return this.#drained;
  }

  async #drain(graceMs: number): Promise<void> {
    this.#state = "draining";
    const end = this.#queue.clock.now() + graceMs;
    this.#tellUntil = end + DRAIN_STOP_MS;
    this.#claiming?.abort.abort();
    await this.#settled(end - Math.min(DRAIN_STOP_MS, graceMs / 2));
    for (const run of this.#running.values()) this.#stop(run, "shutdown");
    // Handlers that heed their signal end at once; the others are handed back over their heads.
    await this.#settled(end);
    for (const run of this.#running.values()) this.#end(run, { kind: "released" });
    while (this.#ended.length > 0 || this.#telling.size > 0) {
      this.#tell();
      await Promise.all(this.#telling);
    }
    this.#state = "stopped";
    this.#stopListening();
    this.#delay.disable();
    for (const callOff of this.#callOffs) callOff();
    this.#reporting?.();
    await this.#queue.adapter
      .forgetWorker({ tenant: ALL_TENANTS, id: this.id })
      .catch((error: unknown) => this.#failed(error, "sign off"));
  }

  /** Resolves when nothing runs, and no claim that could bring more is under way. */
  #settled(until: number): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => {
      const callOff = this.#queue.clock.at(until, resolve);
      this.#idle.push(() => {
        callOff();
        resolve();
      });
    });
  }

  #isIdle(): boolean {
    return this.#running.size === 0 && this.#claiming === undefined;
  }

  #every(ms: number, run: () => Promise<void>): void {
    const { clock } = this.#queue;
    let callOff = (): void => undefined;
    const plan = (): void => {
      callOff = clock.at(clock.now() + ms, () => {
        plan();
        void run();
      });
    };
    plan();
    this.#callOffs.push(() => callOff());
  }

  #later(ms: number, run: () => void): () => void {
    const { clock } = this.#queue;
    return clock.at(clock.now() + ms, run);
  }

  // ---- the loop

  /** After the callbacks of this turn, so that everything that ended in it goes in one call. */
  #wake(): void {
    if (this.#awake) return;
    this.#awake = true;
    setImmediate(() => {
      this.#awake = false;
      this.#tell();
      this.#claim();
    });
  }

  #demand(): QueueDemand[] {
    const { concurrency, perQueue = {} } = this.#options;
    const free = concurrency - this.#running.size;
    const demand: QueueDemand[] = [];
    for (const [queue, handler] of this.#handlers) {
      const most = Math.min(perQueue[queue] ?? concurrency, handler.concurrency ?? concurrency);
      const limit = Math.min(free, most - this.#of(queue).active);
      if (limit > 0) demand.push({ queue, limit });
    }
    return demand;
  }

  #claim(): void {
    if (this.#state !== "running") return;
    const queues = this.#demand();
    if (this.#claiming !== undefined) {
      // A waiting claim does not know of a queue that has room only now.
      const { abort, queues: asked } = this.#claiming;
      if (queues.some(({ queue }) => !asked.has(queue))) abort.abort();
      return;
    }
    if (queues.length === 0) return;
    const abort = new AbortController();
    this.#claiming = { abort, queues: new Set(queues.map(({ queue }) => queue)) };
    this.#queue.adapter
      .claim({
        tenant: ALL_TENANTS,
        queues,
        limit: Math.min(1000, this.#options.concurrency - this.#running.size),
        worker: this.id,
        leaseMs: this.#queue.leaseMs,
        inProcess: true,
        timeoutFrom: "start",
        waitMs: CLAIM_WAIT_MS,
        signal: abort.signal,
      })
      .then(
        (jobs) => {
          this.#claiming = undefined;
          if (this.#state === "running") for (const job of jobs) this.#begin(job);
          else if (jobs.length > 0) this.#handBack(jobs);
          this.#stoppedEarly.clear();
          this.#told();
          this.#wake();
        },
        (error: unknown) => {
          this.#claiming = undefined;
          this.#stoppedEarly.clear();
          this.#failed(error, "claim jobs");
          this.#told();
          this.#later(STORE_RETRY_MS, () => this.#wake());
        },
      );
  }

  /** Jobs that came when none were wanted any more. */
  #handBack(jobs: readonly ClaimedJob[]): void {
    const runs = jobs.map(({ id, lease }) => ({ id, lease }));
    this.#track(this.#surely(() => this.#queue.adapter.release({ tenant: ALL_TENANTS, runs })));
  }

  #told(): void {
    if (this.#isIdle()) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #begin(job: ClaimedJob): void {
    const handler = this.#handlers.get(job.queue) as Handler;
    const run: Running = {
      job,
      handler,
      abort: new AbortController(),
      startedAt: job.startedAt ?? this.#queue.clock.now(),
      report: undefined,
      lines: [],
      tokens: 0,
      stopped: this.#stoppedEarly.get(keyOf(job.id, job.lease)),
      callOffAbandon: () => undefined,
      over: false,
    };
    this.#running.set(keyOf(job.id, job.lease), run);
    this.#of(job.queue).active++;
    if (run.stopped !== undefined) {
      this.#end(run, { kind: "released" });
      return;
    }
    this.#run(run).then(
      (ending) => this.#end(run, ending),
      (error: unknown) => this.#end(run, endingOf(error)),
    );
  }

  async #run(run: Running): Promise<Ending> {
    const { job, handler } = run;
    const { type } = handler;
    const { payloads } = this.#queue;
    const parsed = type.data.safeParse(await payloads.readValue(job.data));
    if (!parsed.success) {
      const [issue] = validationIssues(parsed.error);
      throw new HandlerError("INVALID_DATA", `${issue?.field}: ${issue?.message}`, {
        dataFault: true,
      });
    }
    const value = await handler.run({
      data: parsed.data as never,
      signal: run.abort.signal,
      attempt: job.attemptsMade + 1,
      job: { id: job.id, tenant: job.tenant, queue: job.queue, name: job.name },
      progress: (report) => this.#progress(run, report),
      log: (line) => this.#log(run, line),
      spend: (tokens) => {
        if (Number.isFinite(tokens)) run.tokens += Math.max(0, Math.round(tokens));
      },
    });
    if (run.over) return { kind: "released" };
    const checked = type.result.safeParse(value);
    if (!checked.success) {
      const [issue] = validationIssues(checked.error, "result");
      throw new HandlerError(
        "INVALID_RESULT",
        `The handler's result is wrong: ${issue?.field}: ${issue?.message}`,
      );
    }
    return { kind: "completed", result: await payloads.keepValue(checked.data, "result") };
  }

  /** The handler has settled, or is given up. */
  #end(run: Running, settled: Ending): void {
    if (run.over) {
      this.#discard(settled);
      return;
    }
    run.over = true;
    run.callOffAbandon();
    const { job } = run;
    this.#running.delete(keyOf(job.id, job.lease));
    const ending = endingAs(settled, run.stopped);
    const figures = this.#of(job.queue);
    figures.active--;
    if (ending !== undefined && ending.kind !== "released") figures[ending.kind]++;
    if (ending !== settled) this.#discard(settled);
    if (ending !== undefined) this.#ended.push({ run, ending });
    this.#told();
    this.#wake();
  }

  /** A result that nobody will ask for leaves no file behind. */
  #discard(ending: Ending): void {
    if (ending.kind !== "completed" || ending.result === null) return;
    this.#track(this.#queue.payloads.discard(ending.result));
  }

  #stop(run: Running, reason: StopReason): void {
    if (run.stopped !== undefined) return;
    run.stopped = reason;
    run.abort.abort(new HandlerError(reason.toUpperCase(), `The job was told to stop: ${reason}`));
    run.callOffAbandon = this.#later(STOP_GRACE_MS, () => {
      this.#failed(
        new Error(`Its handler did not stop within ${STOP_GRACE_MS} ms`),
        `stop job ${run.job.id} of ${run.job.queue}`,
      );
      this.#end(run, { kind: "released" });
    });
  }

  // ---- telling the engine

  #tell(): void {
    const ended = this.#ended;
    if (ended.length === 0) return;
    this.#ended = [];
    this.#track(this.#tellEngine(ended));
  }

  /** What has to be done before the worker is gone. */
  #track(work: Promise<unknown>): void {
    const tracked = work.finally(() => this.#telling.delete(tracked));
    this.#telling.add(tracked);
  }

  async #tellEngine(ended: readonly { run: Running; ending: Ending }[]): Promise<void> {
    const { adapter, clock } = this.#queue;
    const tenant = ALL_TENANTS;
    const calls: Promise<unknown>[] = [];
    const ref = ({ job }: Running) => ({ id: job.id, lease: job.lease });
    // First what they reported last, in the same commit.
    for (const { run } of ended) {
      const lines = run.lines.splice(0);
      if (lines.length > 0) {
        calls.push(this.#surely(() => adapter.log({ tenant, run: ref(run), lines })));
      }
    }
    const reports = ended
      .filter(({ run }) => run.report !== undefined)
      .map(({ run }) => ({ ...ref(run), ...run.report }));
    if (reports.length > 0) {
      const { leaseMs } = this.#queue;
      calls.push(this.#surely(() => adapter.progress({ tenant, reports, leaseMs })));
    }
    const completed: Completion[] = [];
    const failed: Failure[] = [];
    const released: RunRef[] = [];
    for (const { run, ending } of ended) {
      const { job, handler } = run;
      if (ending.kind === "completed") {
        const tokens = run.tokens === 0 ? {} : { tokens: run.tokens };
        completed.push({ ...ref(run), result: ending.result, ...tokens });
      } else if (ending.kind === "failed") {
        const { error, dataFault } = ending;
        const { retryableErrors } = handler.type.defaults;
        const attempt = job.attemptsMade + 1;
        const { retryAt } = decideRetry({
          attemptsMade: attempt,
          maxAttempts: job.maxAttempts,
          backoffMs: job.backoffMs,
          now: clock.now(),
          failure: { ...error, dataFault },
          ...(retryableErrors === undefined ? {} : { retryableErrors }),
        });
        failed.push({ ...ref(run), error, retryAt, attempt });
      } else if (ending.kind === "crashed") {
        const { error } = ending;
        const runs = [ref(run)];
        calls.push(this.#surely(() => adapter.release({ tenant, runs, crashed: error })));
      } else {
        released.push(ref(run));
      }
    }
    if (completed.length > 0) calls.push(this.#complete(completed));
    if (failed.length > 0) calls.push(this.#surely(() => adapter.fail({ tenant, runs: failed })));
    if (released.length > 0) {
      calls.push(this.#surely(() => adapter.release({ tenant, runs: released })));
    }
    await Promise.all(calls);
  }

  async #complete(runs: readonly Completion[]): Promise<void> {
    const { adapter, payloads } = this.#queue;
    const outcomes = await this.#surely(() => adapter.complete({ tenant: ALL_TENANTS, runs }));
    // Without an answer nobody knows whether the results are asked for later.
    if (outcomes === undefined) return;
    for (const { id, result } of runs) {
      if (result === null || typeof result === "string") continue;
      if (await this.#isUnused(id, result)) await payloads.discard(result);
    }
  }

  /** Whether a result did not become its job's: somebody else had ended the run, or called it off. */
  async #isUnused(id: number, result: PayloadFile): Promise<boolean> {
    try {
      const [job] = await this.#queue.adapter.get({ tenant: ALL_TENANTS, ids: [id] });
      const kept = job?.result ?? null;
      return kept === null || typeof kept === "string" || kept.file !== result.file;
    } catch (error) {
      this.#failed(error, "look for a result's file");
      return false;
    }
  }

  /** Tells an end until the store takes it or the leases are over anyway; undefined: it did not. */
  async #surely<T>(
    tell: () => Promise<readonly Outcome<T>[] | void>,
  ): Promise<readonly Outcome<T>[] | undefined> {
    const { clock, leaseMs } = this.#queue;
    const giveUpAt = clock.now() + leaseMs;
    for (;;) {
      try {
        const outcomes = (await tell()) ?? [];
        for (const outcome of outcomes) {
          // The run was ended by others meanwhile: what they decided stands.
          if (outcome instanceof QueueError) this.#failed(outcome, "end a run");
        }
        return outcomes;
      } catch (error) {
        this.#failed(error, "end runs");
        const hopeless = !(error instanceof QueueError) || error.code !== "UNAVAILABLE";
        if (hopeless || clock.now() >= Math.min(giveUpAt, this.#tellUntil)) return undefined;
        await new Promise<void>((resolve) => this.#later(STORE_RETRY_MS, resolve));
      }
    }
  }

  #progress(run: Running, report: ProgressReport): void {
    if (run.over) return;
    const { items, message } = report;
    const told = report.progress ?? (items === undefined ? undefined : percent(items));
    const progress = Number.isNaN(told) ? undefined : told;
    const countable = items !== undefined && Object.values(items).every(Number.isFinite);
    run.report = {
      ...run.report,
      ...(progress === undefined ? {} : { progress: Math.min(100, Math.max(0, progress)) }),
      ...(message === undefined ? {} : { message: message.slice(0, MAX_LOG_LINE).toWellFormed() }),
      ...(countable
        ? { stats: processingStats(items, run.startedAt, this.#queue.clock.now()) }
        : {}),
    };
    this.#planReports();
  }

  #log(run: Running, line: string): void {
    if (run.over) return;
    if (run.lines.length < MAX_LINES) run.lines.push(line.slice(0, MAX_LOG_LINE).toWellFormed());
    this.#planReports();
  }

  #planReports(): void {
    this.#reporting ??= this.#later(REPORT_MS, () => {
      this.#reporting = undefined;
      const runs = [...this.#running.values()];
      // Lines first: who is told of progress finds what was logged before it.
      for (const run of runs) if (run.lines.length > 0) void this.#sendLog(run);
      void this.#sendReports(runs.filter((run) => run.report !== undefined));
    });
  }

  async #sendReports(runs: readonly Running[]): Promise<void> {
    if (runs.length === 0) return;
    const { adapter, leaseMs } = this.#queue;
    const sent = runs.map((run) => {
      const { report } = run;
      run.report = undefined;
      return { run, report };
    });
    try {
      const reports = sent.map(({ run, report }) => ({
        id: run.job.id,
        lease: run.job.lease,
        ...report,
      }));
      await adapter.progress({ tenant: ALL_TENANTS, reports, leaseMs });
    } catch (error) {
      this.#failed(error, "report progress");
      // What was reported since then counts more.
      for (const { run, report } of sent) run.report = { ...report, ...run.report };
      if (isPassing(error)) this.#planReports();
    }
  }

  async #sendLog(run: Running): Promise<void> {
    const { id, lease } = run.job;
    const lines = run.lines.splice(0);
    try {
      await this.#queue.adapter.log({ tenant: ALL_TENANTS, run: { id, lease }, lines });
    } catch (error) {
      this.#failed(error, "write a job's log");
      if (!isPassing(error)) return;
      run.lines.unshift(...lines);
      run.lines.length = Math.min(run.lines.length, MAX_LINES);
      this.#planReports();
    }
  }

  async #renew(): Promise<void> {
    const runs = [...this.#running.values()];
    if (runs.length === 0) return;
    const { adapter, leaseMs } = this.#queue;
    try {
      const outcomes = await adapter.renew({
        tenant: ALL_TENANTS,
        runs: runs.map(({ job }) => ({ id: job.id, lease: job.lease })),
        leaseMs,
      });
      outcomes.forEach((outcome, i) => {
        if (outcome instanceof QueueError) this.#stop(runs[i] as Running, "lost");
      });
    } catch (error) {
      this.#failed(error, "renew leases");
    }
  }

  async #heartbeat(): Promise<void> {
    const { mean } = this.#delay;
    const eventLoopLagMs = Number.isNaN(mean) ? 0 : Math.max(0, mean / 1e6 - LAG_RESOLUTION_MS);
    this.#delay.reset();
    await this.#queue.adapter
      .heartbeatWorker({
        id: this.id,
        tenant: ALL_TENANTS,
        queues: [...this.#handlers.keys()],
        concurrency: this.#options.concurrency,
        jobsProcessed: this.#processed(),
        active: this.#running.size,
        memoryBytes: process.memoryUsage.rss(),
        eventLoopLagMs,
      })
      .catch((error: unknown) => this.#failed(error, "send a heartbeat"));
  }

  #processed(): number {
    let sum = 0;
    for (const { completed, failed } of this.#figures.values()) sum += completed + failed;
    return sum;
  }

  /** Of a queue that there is a handler for. */
  #of(queue: string) {
    return this.#figures.get(queue) as Figures;
  }

  #failed(error: unknown, doing: string): void {
    this.#options.onError?.(error, doing);
  }
}

function keyOf(id: number, lease: string): string {
  return `${id} ${lease}`;
}

function percent(items: NonNullable<ProgressReport["items"]>): number {
  return items.total === 0 ? 100 : Math.min(100, (items.processed / items.total) * 100);
}

/** Whether the store may take it later. */
function isPassing(error: unknown): boolean {
  return error instanceof QueueError && error.code === "UNAVAILABLE";
}

/** What the engine is told of a run that was told to stop; undefined: it has ended it already. */
function endingAs(ending: Ending, stopped: StopReason | undefined): Ending | undefined {
  if (stopped === undefined) return ending;
  if (stopped === "lost") return undefined;
  // Handed back, a job that was called off is cancelled.
  if (stopped === "cancelled") return { kind: "released" };
  return ending.kind === "completed" ? ending : { kind: "released" };
}

/** What a handler's rejection means for its job. Handlers throw anything, also what cannot be read. */
function endingOf(error: unknown): Ending {
  try {
    return readableEnding(error);
  } catch {
    const message = "The handler failed with something that is no error";
    return { kind: "failed", dataFault: false, error: { message } };
  }
}

function readableEnding(error: unknown): Ending {
  if (error instanceof HandlerCrash) {
    return { kind: "crashed", error: { code: "crashed", message: textOf(error.message) } };
  }
  const known = error instanceof Error ? error : new Error(textOf(error));
  const code = known instanceof HandlerError ? known.code : (known as NodeJS.ErrnoException).code;
  const stage = known instanceof HandlerError ? known.stage : undefined;
  const { stack } = known;
  return {
    kind: "failed",
    dataFault: known instanceof HandlerError && known.dataFault,
    error: {
      message: textOf(known.message),
      ...(typeof code === "string" ? { code } : {}),
      ...(stage === undefined ? {} : { stage }),
      ...(stack === undefined ? {} : { stack: textOf(stack).slice(0, MAX_STACK) }),
    },
  };
}

function textOf(value: unknown): string {
  return String(value).slice(0, MAX_LOG_LINE).toWellFormed();
}
