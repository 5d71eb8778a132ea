import { randomUUID } from "node:crypto";
import type { ServerDuplexStream, ServerWritableStream, StatusObject } from "@grpc/grpc-js";
import { type Ack, type JobEvent, MAX_BATCH, QueueError } from "@jobyard/core";
import { commands, giveBack, pull, type Session } from "../../dialects/flashq/commands.ts";
import type { LoadedJob } from "../../dialects/flashq/mapping.ts";
import { RequestError } from "../../request-error.ts";
import { type JobResult, jobMessage, jsonOf, type StreamJobsRequest } from "./messages.ts";
import { MALFORMED } from "./protocol.ts";

export type JobCall =
  | ServerWritableStream<StreamJobsRequest, object>
  | ServerDuplexStream<JobResult, object>;

export interface JobStreamOptions {
  readonly session: Session;
  /** Absent: every untyped queue. */
  readonly queue?: string;
  /** Jobs claimed at once. */
  readonly batch: number;
  /** Unfinished jobs that the client may have. */
  readonly prefetch: number;
  readonly worker: string | null;
  readonly statusOf: (error: unknown) => StatusObject;
  readonly onOver: () => void;
}

/** For more results to come, ms. */
const GATHER_MS = 2;
/** Of jobs that are claimed while HTTP/2's window lets none of them leave: a single longer job may pass it. */
const MAX_UNSENT_BYTES = 262_144;
/** Of a job before the first one was seen, and of what a message holds beside its data. */
const FIRST_JOB_BYTES = 16_384;
const MESSAGE_BYTES = 128;

interface Unfinished {
  readonly id: number;
  readonly lease: string;
  readonly startedAt: number;
}

/**
 * Jobs on their way to one client: no more than it may have unfinished, and few that it does not read. What is unfinished when
 * the stream ends goes back.
 */
export class JobStream {
  readonly #call: JobCall;
  readonly #options: JobStreamOptions;
  readonly #worker: string;
  /** What the client has. */
  readonly #unfinished = new Map<number, Unfinished>();
  readonly #waiting = new AbortController();
  #unsubscribe: () => void = () => undefined;
  #results: JobResult[] = [];
  #reporting: Promise<void> = Promise.resolve();
  #finished: Promise<void> = Promise.resolve();
  #claiming = false;
  /** Written, and held back by HTTP/2's window. */
  #unsentBytes = 0;
  /** Of a job, as those claimed last were: so many are claimed as there is room for. */
  #jobBytes = FIRST_JOB_BYTES;
  #stopped = false;
  #over = false;

  constructor(call: JobCall, options: JobStreamOptions) {
    this.#call = call;
    this.#options = options;
    this.#worker = options.worker ?? `grpc-${randomUUID()}`;
    call.on("cancelled", () => this.#finish());
  }

  /** Jobs whose end the client tells by other calls: it is heard of from the engine. */
  async begin(): Promise<void> {
    const { session, queue } = this.#options;
    try {
      const unsubscribe = await session.queue.of(session.caller.tenant).subscribe({
        ...(queue === undefined ? {} : { queue }),
        types: ["job.completed", "job.failed", "job.cancelled", "job.stalled"],
        onEvents: (events) => this.#onEnded(events),
      });
      if (this.#over) unsubscribe();
      else this.#unsubscribe = unsubscribe;
      await this.#claim();
    } catch (error) {
      this.end(error);
    }
  }

  /** Jobs whose end the client tells by what it writes. */
  process(results: ServerDuplexStream<JobResult, object>): void {
    results.on("data", (result: JobResult | typeof MALFORMED) => {
      if (result === MALFORMED) return this.end(malformed());
      // Once for all that come together.
      if (this.#results.push(result) === 1) setImmediate(() => this.#gather());
    });
    results.on("end", () => {
      this.#report();
      void this.#reporting.then(() => this.end());
    });
    void this.#claim();
  }

  /** Keeps what the client has alive. */
  async renew(): Promise<void> {
    const { session, queue, prefetch } = this.#options;
    const worker = {
      worker: this.#worker,
      concurrency: prefetch,
      ...(queue === undefined ? {} : { queues: [queue] }),
    };
    const { queue: jobs, caller } = session;
    await commands.heartbeat.run({ queue: jobs, jobs: jobs.of(caller.tenant) }, worker);
  }

  /** Hands out no more; what the client has may still be reported. */
  stop(): void {
    this.#stopped = true;
    this.#waiting.abort();
    if (this.#unfinished.size === 0) this.end(stopping());
  }

  endIfExpired(now: number): void {
    if (this.#options.session.caller.expiresAt > now) return;
    this.end(new RequestError("UNAUTHENTICATED", "The token has expired"));
  }

  /** Resolves when what the client has was given back. */
  async close(): Promise<void> {
    this.end(stopping());
    await this.#finished;
  }

  /** With a reason, or because the client is done. */
  end(error?: unknown): void {
    if (this.#over) return;
    this.#finish();
    if (error === undefined) this.#call.end();
    else this.#call.emit("error", this.#options.statusOf(error));
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#waiting.abort();
    this.#unsubscribe();
    this.#options.onOver();
    this.#finished = this.#reporting.then(() =>
      giveBack(this.#options.session, [...this.#unfinished.values()]),
    );
  }

  async #claim(): Promise<void> {
    if (this.#claiming) return;
    this.#claiming = true;
    const { session, queue, batch, prefetch } = this.#options;
    try {
      while (!this.#over && !this.#stopped && this.#flows) {
        const room = prefetch - this.#unfinished.size;
        if (room <= 0) break;
        const maxBytes = MAX_UNSENT_BYTES - this.#unsentBytes;
        const fitting = Math.max(1, Math.floor(maxBytes / this.#jobBytes));
        const got = await pull(session, {
          ...(queue === undefined ? {} : { queue }),
          worker: this.#worker,
          count: Math.min(room, batch, fitting, MAX_BATCH),
          waitMs: Infinity,
          maxBytes,
          signal: this.#waiting.signal,
        });
        const runs = got.map(unfinished);
        if (this.#over) return await giveBack(session, runs);
        if (got.length === 0) throw stopping();
        for (const run of runs) this.#unfinished.set(run.id, run);
        this.#write(got);
      }
    } catch (error) {
      if (!this.#stopped || this.#unfinished.size === 0) this.end(error);
    } finally {
      this.#claiming = false;
    }
  }

  /** Half of what may be unsent has left: jobs are claimed many at once. */
  get #flows(): boolean {
    return this.#unsentBytes <= MAX_UNSENT_BYTES / 2;
  }

  #write(claimed: readonly LoadedJob[]): void {
    let total = 0;
    for (const loaded of claimed) {
      const message = jobMessage(loaded);
      const bytes = message.data.length + MESSAGE_BYTES;
      total += bytes;
      this.#call.write(message, () => {
        const wasHeld = !this.#flows;
        this.#unsentBytes -= bytes;
        if (wasHeld && this.#flows) void this.#claim();
      });
    }
    this.#unsentBytes += total;
    this.#jobBytes = total / claimed.length;
  }

  /** Events of an earlier run of the same job may come late. */
  #onEnded(events: readonly JobEvent[]): void {
    const ended = events
      .filter(({ jobId, at }) => at >= (this.#unfinished.get(jobId ?? 0)?.startedAt ?? Infinity))
      .map(({ jobId }) => jobId as number);
    this.#forget(ended);
  }

  #forget(ids: readonly number[]): void {
    if (ids.length === 0) return;
    for (const id of ids) this.#unfinished.delete(id);
    if (this.#stopped) this.stop();
    else void this.#claim();
  }

  /** As long as the client has other jobs to go on with, results are reported many at once. */
  #gather(): void {
    if (this.#results.length * 2 >= this.#unfinished.size) this.#report();
    else setTimeout(() => this.#report(), GATHER_MS);
  }

  /** Each result frees its place at once; what is not this client's to end is left alone. */
  #report(): void {
    const results = this.#results.splice(0);
    const ended: Ended[] = [];
    for (const result of results) {
      const run = this.#unfinished.get(result.id);
      if (run === undefined || this.#over) continue;
      this.#unfinished.delete(run.id);
      ended.push({ run, result });
    }
    if (ended.length === 0) return;
    this.#reporting = Promise.all([this.#reporting, this.#tell(ended)]).then(
      () => undefined,
      (error: unknown) => this.end(error),
    );
    this.#forget(ended.map(({ run }) => run.id));
  }

  async #tell(ended: readonly Ended[]): Promise<void> {
    const { session } = this.#options;
    const jobs = session.queue.of(session.caller.tenant);
    const acks: Ack[] = [];
    const calls: Promise<unknown>[] = [];
    let fault: Error | undefined;
    for (const { run, result: told } of ended) {
      const { id, lease } = run;
      const { success, result, error } = told;
      if (!success) {
        calls.push(jobs.fail({ id, lease, error: error ?? "failed" }));
      } else if (result === undefined || result.length === 0) {
        acks.push({ id, lease });
      } else {
        try {
          acks.push({ id, lease, result: await jsonOf(result, "result") });
        } catch (malformed) {
          fault = malformed as Error;
          this.#unfinished.set(id, run);
        }
      }
    }
    for (let from = 0; from < acks.length; from += MAX_BATCH) {
      calls.push(jobs.ack(acks.slice(from, from + MAX_BATCH)));
    }
    for (const outcome of await Promise.allSettled(calls)) {
      if (outcome.status === "rejected" && !isPassed(outcome.reason))
        fault = outcome.reason as Error;
    }
    if (fault !== undefined) throw fault;
  }
}

/** What a client told of one of its jobs. */
interface Ended {
  readonly run: Unfinished;
  readonly result: JobResult;
}

function unfinished({ job: { id, lease = "", startedAt } }: LoadedJob): Unfinished {
  return { id, lease, startedAt: startedAt ?? 0 };
}

/** A job that is over, or somebody else's by now, ends no stream. */
function isPassed(error: unknown): boolean {
  return (
    error instanceof QueueError &&
    (error.code === "JOB_NOT_FOUND" ||
      error.code === "INVALID_STATE" ||
      error.code === "STALE_LEASE")
  );
}

export function malformed(): QueueError {
  return new QueueError("VALIDATION", "The request is malformed", {});
}

export function stopping(): QueueError {
  return new QueueError("UNAVAILABLE", "The server is stopping");
}
