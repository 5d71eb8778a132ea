import { JobyardError } from "./errors.ts";
import type { TypedQueues } from "./generated/job-types.ts";
import { pause } from "./http.ts";
import type { DataOf, QueueName, ResultOf } from "./jobs.ts";
import { type NativeOptions, randomKey } from "./native.ts";
import { HttpLink } from "./worker/http-link.ts";
import type { Claim, Ended, Ending, Link } from "./worker/link.ts";
import { TcpLink } from "./worker/tcp-link.ts";

export { JobyardError } from "./errors.ts";
export type { DataOf, ResultOf } from "./jobs.ts";
export type { TypedQueues } from "./generated/job-types.ts";

export interface WorkerOptions {
  /** `http://host:3001`, or `tcp://host:6789` for many short jobs. */
  readonly baseURL: string;
  readonly token?: NativeOptions["token"];
  /** Over HTTP, in place of the global one. */
  readonly fetch?: typeof fetch;
  /** Jobs at once, and pulled at once. Default: 5. */
  readonly concurrency?: number;
  /** Its name in the list of workers. Default: a random one. */
  readonly id?: string;
  /** Drains the worker when it is aborted, as `close()` does. */
  readonly signal?: AbortSignal;
  /** How long running jobs may go on once the worker drains, ms. Default: 30,000. */
  readonly drainMs?: number;
  /** Told of what goes wrong outside of handlers; the worker goes on. */
  readonly onError?: (error: unknown) => void;
}

/** A job as its handler sees it. */
export interface RemoteJob<Queue = string, Data = unknown> {
  readonly id: string;
  readonly queue: Queue;
  /** Its label; not told over TCP. */
  readonly name: string | null;
  readonly data: Data;
  /** 1 for the first. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** Aborted when the job is cancelled, given to others, or the worker has to stop. */
  readonly signal: AbortSignal;
  /** Cheap: the latest is sent several times a second. */
  progress(percent: number, message?: string): void;
  log(line: string): void;
}

/** What a handler throws to say more than a message. */
export class JobError extends Error {
  override readonly name = "JobError";
  readonly code: string | undefined;
  readonly final: boolean;

  /** `final`: no further attempt can succeed. */
  constructor(
    message: string,
    { code, final = false }: { readonly code?: string; readonly final?: boolean } = {},
  ) {
    super(message);
    this.code = code;
    this.final = final;
  }
}

interface Run {
  readonly claim: Claim;
  readonly abort: AbortController;
  progress: { percent: number; message: string | undefined } | undefined;
  lines: string[];
  /** Nobody is interested in how it ends any more. */
  lost: boolean;
  /** Epoch ms. */
  readonly since: number;
}

/** Leases are renewed, and cancelled jobs are found, so often at least; a cancelled job has to end within 5 s. */
const LOOK_MS = 1500;
/** Runs that are no older are left alone: most end by themselves soon. */
const YOUNG_MS = 250;
const REPORT_MS = 250;
/** A handler told to stop is abandoned after so long, ms. */
const STOP_GRACE_MS = 1500;
/** While the server cannot be reached. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
/** Ends that may wait to be told before no more is pulled. */
const MAX_UNTOLD = 5000;
const MAX_ERROR = 10_000;
const MAX_BATCH = 1000;

/** Runs a queue's jobs in this process: pulls them under leases, keeps those, and tells how the jobs ended. */
export class Worker<
  Types extends object = TypedQueues,
  Queue extends QueueName<Types> = QueueName<Types>,
> {
  readonly id: string;
  readonly queue: Queue;
  readonly #handler: (job: RemoteJob<Queue, DataOf<Types, Queue>>) => unknown;
  readonly #options: WorkerOptions;
  readonly #concurrency: number;
  readonly #link: Link;
  readonly #runs = new Set<Run>();
  /** Handlers under way. */
  #active = 0;
  /** Runs that have ended, well or not. */
  #processed = 0;
  #ended: (Ended & { readonly told: Run })[] = [];
  #telling: Promise<void> | undefined;
  #reporting = false;
  readonly #stopPulling = new AbortController();
  /** Nothing more is tried. */
  readonly #stopTrying = new AbortController();
  #wake: () => void = () => undefined;
  #lookMs = LOOK_MS;
  readonly #pulling: Promise<void>;
  #closed: Promise<void> | undefined;

  /** Begins at once. */
  constructor(
    queue: Queue,
    handler: (
      job: RemoteJob<Queue, DataOf<Types, Queue>>,
    ) => Promise<ResultOf<Types, Queue>> | ResultOf<Types, Queue>,
    options: WorkerOptions,
  ) {
    const { baseURL, token, fetch, signal, concurrency = 5 } = options;
    if (!Number.isInteger(concurrency) || concurrency < 1) {
      throw new RangeError(`concurrency must be a whole number from 1, not ${concurrency}`);
    }
    this.queue = queue;
    this.id = options.id ?? `sdk-${randomKey().slice(0, 12)}`;
    this.#handler = handler;
    this.#options = options;
    this.#concurrency = concurrency;
    this.#link = baseURL.startsWith("tcp://")
      ? new TcpLink(baseURL, token, queue, this.id)
      : new HttpLink(
          {
            baseURL,
            ...(token === undefined ? {} : { token }),
            ...(fetch === undefined ? {} : { fetch }),
          },
          queue,
          this.id,
        );
    this.#pulling = this.#pull();
    void this.#look();
    const drain = (): void => void this.close();
    if (signal?.aborted === true) drain();
    else signal?.addEventListener("abort", drain, { once: true });
  }

  /** Handlers under way. */
  get active(): number {
    return this.#active;
  }

  /** Pulls no more, lets what runs end for `drainMs`, gives back the rest, and tells the server everything. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    const { drainMs = 30_000 } = this.#options;
    this.#stopPulling.abort();
    this.#wake();
    const until = Date.now() + drainMs;
    const timer = setTimeout(() => {
      for (const run of this.#runs) this.#stop(run, "The worker stops");
    }, drainMs);
    await this.#pulling;
    while (this.#active > 0) await this.#woken();
    clearTimeout(timer);
    // What is over is told, also where the server is away for a while.
    const stop = setTimeout(() => this.#stopTrying.abort(), Math.max(until - Date.now(), 5000));
    while (this.#telling !== undefined) await this.#telling;
    clearTimeout(stop);
    this.#stopTrying.abort();
    const left = [...this.#runs].map(({ claim }) => claim);
    this.#runs.clear();
    await this.#link.close(left).catch((error: unknown) => this.#tellError(error));
  }

  async #pull(): Promise<void> {
    const { signal } = this.#stopPulling;
    let failures = 0;
    while (!signal.aborted) {
      const free = Math.min(this.#concurrency - this.#active, MAX_BATCH);
      if (free === 0 || this.#ended.length > MAX_UNTOLD) {
        await this.#woken();
        // Slots that become free together are filled together.
        await nextTurn();
        continue;
      }
      try {
        for (const claim of await this.#link.pull(free, signal)) void this.#run(claim);
        failures = 0;
      } catch (error) {
        this.#tellError(error);
        await pause(pauseAfter(failures++), signal).catch(() => undefined);
      }
    }
  }

  async #run(claim: Claim): Promise<void> {
    const abort = new AbortController();
    const since = Date.now();
    const run: Run = { claim, abort, progress: undefined, lines: [], lost: false, since };
    const { id, name, data, attempt, maxAttempts, leaseMs = Infinity } = claim;
    this.#lookMs = Math.min(this.#lookMs, leaseMs / 3);
    this.#runs.add(run);
    this.#active++;
    let ending: Ending;
    try {
      const handled = this.#handler({
        id,
        queue: this.queue,
        name,
        data: data as DataOf<Types, Queue>,
        attempt,
        maxAttempts,
        signal: abort.signal,
        progress: (percent, message) => {
          run.progress = { percent: Math.min(Math.max(percent, 0), 100), message };
          this.#report();
        },
        log: (line) => {
          run.lines.push(line.slice(0, MAX_ERROR));
          this.#report();
        },
      });
      const result = await abandonable(handled, abort.signal);
      ending = { kind: "completed", result: JSON.stringify(result) };
    } catch (error) {
      ending = failureOf(error);
    }
    this.#active--;
    if (run.lost) this.#runs.delete(run);
    else if (!abort.signal.aborted) {
      this.#processed++;
      this.#ended.push({ run: claim, ending, told: run });
    }
    if (this.#ended.length > 0) this.#telling ??= this.#tell();
    this.#wake();
  }

  /** Tells the ends in batches: those that come while one is under way make the next one. */
  async #tell(): Promise<void> {
    await nextTurn();
    let failures = 0;
    while (this.#ended.length > 0 && !this.#stopTrying.signal.aborted) {
      const batch = this.#ended.splice(0, MAX_BATCH);
      try {
        await this.#sendReports(batch.map(({ told }) => told));
        const refusals = await this.#link.end(batch);
        // Sent again, it may have been done the first time.
        if (failures === 0) {
          for (const refusal of refusals) if (refusal !== undefined) this.#tellError(refusal);
        }
        for (const { told } of batch) this.#runs.delete(told);
        failures = 0;
      } catch (error) {
        this.#tellError(error);
        if (isFinal(error)) {
          for (const { told } of batch) this.#runs.delete(told);
        } else {
          this.#ended.unshift(...batch);
          const { signal } = this.#stopTrying;
          await pause(pauseAfter(failures++), signal).catch(() => undefined);
        }
      }
      this.#wake();
    }
    this.#telling = undefined;
  }

  #report(): void {
    if (this.#reporting) return;
    this.#reporting = true;
    pause(REPORT_MS, this.#stopTrying.signal)
      .then(() => this.#sendReports(this.#runs))
      .catch((error: unknown) => {
        if (!this.#stopTrying.signal.aborted) this.#tellError(error);
      })
      .finally(() => {
        this.#reporting = false;
        if (!this.#stopTrying.signal.aborted && [...this.#runs].some(isUnreported)) this.#report();
      });
  }

  async #sendReports(runs: Iterable<Run>): Promise<void> {
    const reports = [];
    for (const run of runs) {
      const { claim, progress, lines } = run;
      if (!isUnreported(run)) continue;
      reports.push({ run: claim, progress, lines });
      run.progress = undefined;
      run.lines = [];
    }
    if (reports.length > 0) await this.#link.report(reports);
  }

  /** Keeps the worker and its leases, and stops what is no longer its own. */
  async #look(): Promise<void> {
    const { signal } = this.#stopTrying;
    while (!signal.aborted) {
      try {
        const before = Date.now() - Math.min(YOUNG_MS, this.#lookMs);
        const old = [...this.#runs].filter((run) => run.since <= before && !run.lost);
        await this.#link.heartbeat({
          concurrency: this.#concurrency,
          active: this.#active,
          jobsProcessed: this.#processed,
        });
        for (let from = 0; from < old.length; from += MAX_BATCH) {
          const runs = new Map(old.slice(from, from + MAX_BATCH).map((run) => [run.claim, run]));
          const lost = new Set<object>(await this.#link.renew([...runs.keys()]));
          // One that has ended meanwhile is not lost.
          for (const [claim, run] of runs) {
            if (!lost.has(claim) || this.#ended.some(({ told }) => told === run)) continue;
            run.lost = true;
            this.#stop(run, "The job was cancelled or given to another worker");
          }
        }
      } catch (error) {
        if (!signal.aborted) this.#tellError(error);
      }
      await pause(this.#lookMs, signal).catch(() => undefined);
    }
  }

  #stop(run: Run, why: string): void {
    run.abort.abort(new DOMException(why, "AbortError"));
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      const before = this.#wake;
      this.#wake = () => {
        this.#wake = () => undefined;
        before();
        resolve();
      };
    });
  }

  #tellError(error: unknown): void {
    this.#options.onError?.(error);
  }
}

function isUnreported({ progress, lines, lost }: Run): boolean {
  return !lost && (progress !== undefined || lines.length > 0);
}

/** Settles with the handler, or some time after it was told to stop. */
function abandonable<T>(handled: T | Promise<T>, signal: AbortSignal): T | Promise<T> {
  if (!(handled instanceof Promise)) return handled;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      setTimeout(() => reject(signal.reason as Error), STOP_GRACE_MS);
    };
    signal.addEventListener("abort", onAbort);
    handled.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

function failureOf(error: unknown): Ending {
  const { code, final } = error instanceof JobError ? error : { code: undefined, final: false };
  const message = error instanceof Error ? error.message || error.name : String(error);
  return { kind: "failed", error: message.slice(0, MAX_ERROR), code: code?.slice(0, 256), final };
}

/** Refused as it is: sent again, it would be refused again. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof JobyardError)) return false;
  return error.status === 400 || error.status === 413;
}

function pauseAfter(failures: number): number {
  const ms = Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS);
  return ms * (0.5 + Math.random() / 2);
}

/** Once everything that can be done in this turn of the event loop is done. */
function nextTurn(): Promise<void> {
  const { setImmediate: schedule = setTimeout } = globalThis as {
    setImmediate?: (callback: () => void) => unknown;
  };
  return new Promise((resolve) => {
    schedule(resolve);
  });
}
