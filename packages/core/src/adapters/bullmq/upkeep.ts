import type { Clock } from "../../clock.ts";
import { errorGroupOf } from "../../error-groups.ts";
import { jobTypeOf } from "../../job-types/index.ts";
import type { JobFailure } from "../../job.ts";
import { decideRetry } from "../../retry-policy.ts";
import type { Connection, Reply } from "./connection.ts";
import { crashArguments } from "./crash.ts";
import { parseLane } from "./job-hash.ts";

/** Due things done in one step, which must stay short. */
const STEP = 500;
/** After a failure of the store, ms. */
const AGAIN_MS = 1000;

interface Overdue {
  readonly id: number;
  readonly lease: string;
  readonly attemptsMade: number;
  readonly maxAttempts: number;
  readonly backoffMs: number;
  readonly queue: string;
  readonly leaseMs: number;
  readonly timeoutMs: number;
}

/** Does what becomes due; by itself only while this process leads. */
export class Upkeep {
  readonly #connection: Connection;
  readonly #clock: Clock;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #disarm: (() => void) | undefined;
  #armedFor = Infinity;
  #leads = false;
  #closed = false;

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  get leads(): boolean {
    return this.#leads;
  }

  set leads(leads: boolean) {
    const began = leads && !this.#leads;
    this.#leads = leads;
    if (began) this.look();
    if (!leads) this.#stopTimer();
  }

  /** The next due thing comes after so long, as far as Redis knows. */
  expect(wait: number | null): void {
    if (this.#leads && wait !== null) this.#arm(wait);
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer();
  }

  /** Something may be due earlier than was known. */
  look(): void {
    if (this.#leads && !this.#closed) this.run().catch(() => this.#arm(AGAIN_MS));
  }

  /** Does all that is due now. A run under way began with an earlier now, so another one follows it. */
  run(): Promise<void> {
    if (this.#running === undefined) {
      this.#running = this.#runAll().finally(() => (this.#running = undefined));
      return this.#running;
    }
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.run();
      });
    return this.#next;
  }

  async #runAll(): Promise<void> {
    for (;;) {
      const answer = (await this.#connection.script("due", STEP)) as readonly Reply[];
      const [more, wait, ...rest] = answer;
      const overdue = rest.length > 0;
      if (overdue) await this.#endOverdue(rest);
      if (more === "1" || overdue) continue;
      if (wait !== "" && this.#leads) this.#arm(Number(wait));
      return;
    }
  }

  async #endOverdue(rows: readonly Reply[]): Promise<void> {
    const timedOut: (string | number)[] = [];
    const silent = new Map<number, (string | number)[]>();
    for (let i = 0; i < rows.length; i += 8) {
      const run = overdueRun(rows, i);
      if (rows[i + 2] === "timeout") {
        timedOut.push(...this.#timeOut(run));
      } else {
        const runs = silent.get(run.leaseMs) ?? [];
        runs.push(run.id, run.lease);
        silent.set(run.leaseMs, runs);
      }
    }
    if (timedOut.length > 0) await this.#connection.script("fail", "*", "overdue", ...timedOut);
    for (const [leaseMs, runs] of silent) {
      const message = `The run showed no sign of life for ${leaseMs} ms`;
      await this.#connection.script("release", "*", "overdue", ...crashArguments(message), ...runs);
    }
  }

  #timeOut(run: Overdue): (string | number)[] {
    const { id, lease, attemptsMade, maxAttempts, backoffMs } = run;
    const retryable = jobTypeOf(run.queue)?.defaults.retryableErrors;
    const attempt = attemptsMade + 1;
    const { retryAt } = decideRetry({
      attemptsMade: attempt,
      maxAttempts,
      backoffMs,
      now: this.#clock.now(),
      failure: { code: "timeout", dataFault: false },
      ...(retryable === undefined ? {} : { retryableErrors: retryable }),
    });
    const message = `timeout: not done within ${run.timeoutMs} ms`;
    const failure: JobFailure = { code: "timeout", message };
    const group = errorGroupOf(message);
    return [id, lease, attempt, retryAt ?? "", message, JSON.stringify(failure), "[]", group];
  }

  #arm(wait: number): void {
    const at = this.#clock.now() + wait;
    if (this.#closed || at === this.#armedFor) return;
    this.#stopTimer();
    this.#armedFor = at;
    this.#disarm = this.#clock.at(at, () => {
      this.#stopTimer();
      this.look();
    });
  }

  #stopTimer(): void {
    this.#disarm?.();
    this.#disarm = undefined;
    this.#armedFor = Infinity;
  }
}

/** Of the rows that the script `due` tells. */
function overdueRun(rows: readonly Reply[], at: number): Overdue {
  const [id, lease, , attempts, options, lane, leaseMs, timeoutMs] = rows.slice(at, at + 8);
  const { attempts: maxAttempts, backoff } = JSON.parse(String(options)) as {
    readonly attempts: number;
    readonly backoff?: { readonly delay: number };
  };
  return {
    id: Number(id),
    lease: String(lease),
    attemptsMade: Number(attempts),
    maxAttempts,
    backoffMs: backoff?.delay ?? 1000,
    queue: parseLane(String(lane)).queue,
    leaseMs: Number(leaseMs),
    timeoutMs: Number(timeoutMs),
  };
}
