/**
 * Glossary
 *
 * tenant    owner of jobs, schedules, webhooks, settings; taken from the caller's token
 * queue     a name; each tenant has its own queue of that name
 * lane      one tenant's part of one queue: order, limits and counts belong to it
 * job       a unit of work: JSON data in, JSON result out
 * run       one execution of a job by a worker, from claim to its end
 * lease     a run's token; who holds it may complete, fail, renew; void once the run is over
 * attempt   a run that ended in success or failure; runs given back or lost are not attempts
 * crash     a run whose worker died or lost its lease; counted apart from attempts
 * blocked   waits for the jobs it depends on
 * DLQ       the failed jobs (the dead-letter queue)
 */

export const jobStates = [
  "waiting",
  "delayed",
  "blocked",
  "active",
  "completed",
  "failed",
  "cancelled",
] as const;

export type JobState = (typeof jobStates)[number];

export const finishedStates = ["completed", "failed", "cancelled"] as const;

export type FinishedState = (typeof finishedStates)[number];

/** Which states each state may turn into; docs/state-machine.md draws it. Removal ends any but `active`. */
export const transitions: Readonly<Record<JobState, readonly JobState[]>> = {
  waiting: ["active", "cancelled", "failed"],
  delayed: ["waiting", "cancelled", "failed"],
  blocked: ["waiting", "delayed", "cancelled", "failed"],
  active: ["completed", "failed", "cancelled", "waiting", "delayed"],
  completed: [],
  failed: ["waiting", "blocked"],
  cancelled: ["waiting", "blocked"],
};

export function isFinished(state: JobState): state is FinishedState {
  return state === "completed" || state === "failed" || state === "cancelled";
}

/** JSON text too long to be kept in the store; it lies in a file that the payload store can open. */
export interface PayloadFile {
  /** Name within the payload store. */
  readonly file: string;
  readonly bytes: number;
}

/** JSON as text (never re-encoded on its way through), or where it lies. */
export type Payload = string | PayloadFile;

/** Why a run or a job failed. */
export interface JobFailure {
  readonly message: string;
  /** Machine-readable, e.g. `timeout`, `expired`, `NETWORK_ERROR`. */
  readonly code?: string;
  /** Where in the handler's work, e.g. `parsing`. */
  readonly stage?: string;
  readonly stack?: string;
}

/** Of a running handler, as it reported it. */
export interface ProcessingStats {
  readonly totalItems: number;
  readonly processedItems: number;
  readonly failedItems: number;
  /** Milliseconds an item. */
  readonly averageItemMs: number;
  readonly itemsPerSecond: number;
  /** Epoch ms; null while it cannot be said. */
  readonly estimatedEnd: number | null;
}

/** What the adding side sent, kept to be shown back as sent. */
export interface JobOrigin {
  /** Which interface added it. */
  readonly via: string;
  /** The priority as that interface spells it. */
  readonly priority?: number | string;
  /** The schedule that it is a run of. */
  readonly schedule?: string;
}

export interface Job {
  readonly id: number;
  readonly tenant: string;
  readonly queue: string;
  /** A label. */
  readonly name: string | null;
  readonly state: JobState;
  readonly data: Payload;
  readonly result: Payload | null;
  /** Lower runs sooner; 0 is ordinary. */
  readonly priority: number;
  readonly lifo: boolean;
  /** As asked for when it was added. */
  readonly delayMs: number;
  /** Times are epoch ms. */
  readonly createdAt: number;
  /** Not before. */
  readonly runAt: number;
  /** Of the current or last run. */
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  /** Runs that ended in success or failure. */
  readonly attemptsMade: number;
  readonly maxAttempts: number;
  readonly backoffMs: number;
  readonly ttlMs: number | null;
  readonly timeoutMs: number | null;
  readonly uniqueKey: string | null;
  readonly dependsOn: readonly number[];
  readonly tags: readonly string[];
  readonly project: string | null;
  readonly batch: string | null;
  readonly origin: JobOrigin | null;
  /** Percent, 0 to 100. */
  readonly progress: number;
  readonly progressMessage: string | null;
  readonly stats: ProcessingStats | null;
  /** The last failure; on an unfinished job, that of the attempt before. */
  readonly error: JobFailure | null;
  readonly crashes: number;
  /** Who runs it, or ran it last. */
  readonly worker: string | null;
}

/** A job without its payloads, which may be long: what lists show. */
export type JobOutline = Omit<Job, "data" | "result">;

/** How a run ended: `stalled` by its timeout or its lease, `crashed` with its worker. */
export type RunOutcome = "completed" | "failed" | "stalled" | "released" | "cancelled" | "crashed";

/** One run of a job. */
export interface JobRun {
  /** From 1, over all runs, those that were no attempts included. */
  readonly number: number;
  /** Times are epoch ms. */
  readonly startedAt: number;
  /** null, as `outcome`: it is being run. */
  readonly endedAt: number | null;
  readonly outcome: RunOutcome | null;
  readonly worker: string | null;
  /** Why it did not complete; null when it was released. */
  readonly error: string | null;
  /** When the job was due to be run again; null: with this run it ended. */
  readonly nextAt: number | null;
}

/** Runs kept of a job that did not complete; the newest. */
export const KEPT_RUNS = 50;

/** The runs of a job from those that did not complete, which are all that is stored of them. */
export function runsOf(job: JobOutline, ended: readonly JobRun[]): readonly JobRun[] {
  const { state, startedAt, finishedAt, worker } = job;
  if (startedAt === null || (state !== "active" && state !== "completed")) return ended;
  const last: JobRun = {
    number: (ended.at(-1)?.number ?? 0) + 1,
    startedAt,
    endedAt: finishedAt,
    outcome: state === "active" ? null : state,
    worker,
    error: null,
    nextAt: null,
  };
  return [...ended, last];
}

/** A job and the right to run it. */
export interface ClaimedJob extends Job {
  readonly lease: string;
}

/** Runs started so far: a running job counts its current run. */
export function attemptsStarted(job: Pick<Job, "attemptsMade" | "state">): number {
  return job.attemptsMade + (job.state === "active" ? 1 : 0);
}
