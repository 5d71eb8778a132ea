/**
 * The port: what an engine does for core. An engine stores jobs, orders them, hands them out and tells what happened;
 * it decides nothing that a policy in core can decide.
 *
 * Rules that every method keeps:
 * - parameters come validated by core; a broken promise of the store is `QueueError("UNAVAILABLE")`, and then nothing
 *   of that call was kept, unless `details.uncertain` says that only the answer was lost;
 * - a method that resolves has made its change durable as far as the engine can;
 * - batches answer in the order asked, one outcome each: the value, or the `QueueError` that refused that one;
 * - `tenant` bounds what a call can see and touch; `"*"` is every tenant; what lies outside does not exist;
 * - times are epoch ms of the engine's clock, durations ms.
 */
import type { JobEvent } from "./events.ts";
import { type ErrorRecord, QueueError } from "./errors.ts";
import type {
  ClaimedJob,
  Job,
  JobFailure,
  JobOrigin,
  JobOutline,
  JobRun,
  JobState,
  Payload,
  PayloadFile,
  ProcessingStats,
} from "./job.ts";
import type { PayloadValue } from "./payload-paths.ts";
import type { PriorityLevel } from "./priority.ts";
import type { Allowance, RateLimit, RateLimiter } from "./rate-limiter.ts";

/** A tenant's name, or `"*"`: all of them. */
export type TenantScope = string;
export const ALL_TENANTS = "*";

/** One outcome of a batch: the value, or why this one was refused. */
export type Outcome<T> = T | QueueError;

/** How long an answer is kept for calls with the same idempotency key, ms. */
export const ANSWERS_KEPT_MS = 86_400_000;

/** What a call of `enqueueOnce` is answered. */
export interface Answer {
  /** As `enqueue` would answer; the refusal of an atomic call as a value. */
  readonly outcome: Outcome<readonly Outcome<number>[]>;
  /** Of the first call. */
  readonly note: string;
  /** This call was not the first with its key, and has added nothing. */
  readonly repeated: boolean;
}

/** From its JSON. */
export function decodeOutcome(text: string): Answer["outcome"] {
  const kept = JSON.parse(text) as ErrorRecord | (ErrorRecord | number)[];
  if (!Array.isArray(kept)) return QueueError.from(kept);
  return kept.map((each): Outcome<number> =>
    typeof each === "number" ? each : QueueError.from(each),
  );
}

/** A job to be stored, complete: core has applied every default. */
export interface JobSpec {
  readonly tenant: string;
  readonly queue: string;
  /** Whether the queue has a job type; statistics tell typed work apart. */
  readonly typed: boolean;
  readonly name: string | null;
  readonly data: Payload;
  readonly priority: number;
  readonly lifo: boolean;
  /** From now; 0 = at once. */
  readonly delayMs: number;
  readonly ttlMs: number | null;
  readonly timeoutMs: number | null;
  readonly maxAttempts: number;
  readonly backoffMs: number;
  readonly uniqueKey: string | null;
  readonly dependsOn: readonly number[];
  /** Positions in the same batch of jobs this one depends on; free of cycles. */
  readonly dependsOnSiblings: readonly number[];
  readonly tags: readonly string[];
  readonly project: string | null;
  readonly batch: string | null;
  readonly origin: JobOrigin | null;
}

export interface QueueDemand {
  readonly queue: string;
  readonly limit: number;
}

export interface ClaimParams {
  readonly tenant: TenantScope;
  /** Queues in question, each with its own limit; or every untyped queue. */
  readonly queues: readonly QueueDemand[] | "untyped";
  /** Jobs in all, 1 to 1,000. */
  readonly limit: number;
  /** Name of the worker that runs them; its heartbeats renew its runs. */
  readonly worker: string | null;
  /** How long a run without its own timeout may stay silent. */
  readonly leaseMs: number;
  /** The run cannot outlive this process: after a restart it counts as crashed at once. */
  readonly inProcess: boolean;
  /** Whose clock ends a run at its timeout: measured from the last progress (pulled) or from the start. */
  readonly timeoutFrom: "start" | "progress";
  /** 0 answers at once; else waits until there is a job, at most so long. */
  readonly waitMs: number;
  /** Ends the wait; an aborted claim has taken nothing. */
  readonly signal?: AbortSignal;
}

/** A run to be ended or reported on; without a lease, the job's current run whoever holds it. */
export interface RunRef {
  readonly id: number;
  readonly lease?: string;
}

export interface Completion extends RunRef {
  readonly result: Payload | null;
  /** Model tokens spent, for the statistics. */
  readonly tokens?: number;
}

export interface Failure extends RunRef {
  readonly error: JobFailure;
  /** When core wants it run again; null: failed for good. */
  readonly retryAt: number | null;
  /** The run that core decided upon; another one has begun since: `STALE_LEASE`. */
  readonly attempt: number;
}

export interface Report extends RunRef {
  /** Percent, 0 to 100. */
  readonly progress?: number;
  readonly message?: string | null;
  readonly stats?: ProcessingStats;
}

export interface LogLine {
  readonly at: number;
  readonly line: string;
}

export interface JobFilter {
  readonly tenant: TenantScope;
  readonly queues?: readonly string[];
  readonly states?: readonly JobState[];
  readonly name?: string;
  readonly tag?: string;
  readonly project?: string;
  readonly batch?: string;
  /** Runs of the schedule with this name. */
  readonly schedule?: string;
  readonly priority?: { readonly min?: number; readonly max?: number };
  /** Creation time, inclusive from, exclusive to. */
  readonly created?: { readonly from?: number; readonly to?: number };
  readonly ids?: readonly number[];
  /** Contained in the message of the last failure, whatever the case: of failed jobs and of those that try again. */
  readonly error?: string;
  /** The `fingerprint` of a group of failed jobs. */
  readonly errorGroup?: string;
  /**
   * A field with this very value, in queues that are named and whose settings have the path among `indexedPaths`: others
   * are refused with `VALIDATION`, those whose index is still being built with `UNAVAILABLE`.
   */
  readonly payload?: { readonly path: string; readonly equals: PayloadValue };
}

export interface Page {
  readonly limit: number;
  readonly offset?: number;
  /** Stable under inserts: only jobs after this id in the page's order. */
  readonly after?: number;
  /** By id, which is the order of creation. */
  readonly order: "asc" | "desc";
}

export interface JobList<J extends JobOutline = Job> {
  readonly jobs: readonly J[];
  /** How many match, exactly, whatever the page. */
  readonly total: number;
}

export type StateCounts = Readonly<Record<JobState, number>>;

export interface QueueSettings {
  readonly paused: boolean;
  /** Starts a second; null = no limit. */
  readonly rateLimit: number | null;
  /** Runs at once; null = no limit. */
  readonly concurrency: number | null;
  /**
   * Fields that its jobs can be found by, e.g. `data.wellId`, `result.rows.0.total`; at most 16. Jobs that are there
   * already are taken in bit by bit. Payloads above 1 MB are not looked into.
   */
  readonly indexedPaths: readonly string[];
}

export interface QueueInfo extends QueueSettings {
  readonly tenant: string;
  readonly queue: string;
  readonly typed: boolean;
  readonly counts: StateCounts;
}

export interface StatsParams {
  readonly tenant: TenantScope;
  readonly queues?: readonly string[];
  readonly project?: string;
  readonly level?: PriorityLevel;
  /** Epoch ms, to the minute; absent = since ever. */
  readonly from?: number;
  readonly to?: number;
  /** One row for each value; absent = one row in all. */
  readonly groupBy?: "queue" | "level" | "project" | "minute" | "hour";
}

export interface ErrorGroupsParams {
  readonly tenant: TenantScope;
  readonly queues?: readonly string[];
  /** When the jobs failed, epoch ms: inclusive from, exclusive to. */
  readonly from?: number;
  readonly to?: number;
  readonly limit: number;
}

/** Failed jobs of one queue, still there, that failed alike. */
export interface ErrorGroup {
  /** For `JobFilter.errorGroup`. */
  readonly fingerprint: string;
  readonly queue: string;
  /** What their messages have in common. */
  readonly message: string;
  readonly count: number;
  /** Epoch ms, of the jobs counted. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** The newest of them, and its message. */
  readonly sampleId: number;
  readonly sampleMessage: string;
  /** Failures in each of the last 24 hours, the oldest first; the last one ends now. */
  readonly perHour: readonly number[];
}

/** What happened, from roll-ups that pruning does not touch. */
export interface StatsRow {
  /** Of `groupBy`: queue, level, project, or the start of the minute or hour in epoch ms; "" when not grouped. */
  readonly key: string;
  readonly added: number;
  readonly completed: number;
  /** For good, expired ones included. */
  readonly failed: number;
  readonly cancelled: number;
  /** Attempts that failed and were retried. */
  readonly retried: number;
  /** Runs that ran out of time or lost their worker. */
  readonly stalled: number;
  /** Removed by hand or pruned: over all time, `added - removed` jobs are present. */
  readonly removed: number;
  /** Run times of completed jobs, ms; null when there are none. */
  readonly durationAvg: number | null;
  readonly durationMin: number | null;
  readonly durationMax: number | null;
  /** From runnable to started, ms, of completed jobs. */
  readonly waitAvg: number | null;
  readonly tokens: number;
  /** Most runs at once; over several queues, of the tenant's typed queues together. */
  readonly peakConcurrency: number;
}

/** Where nothing happened. */
export const noFigures: StatsRow = {
  key: "",
  added: 0,
  completed: 0,
  failed: 0,
  cancelled: 0,
  retried: 0,
  stalled: 0,
  removed: 0,
  durationAvg: null,
  durationMin: null,
  durationMax: null,
  waitAvg: null,
  tokens: 0,
  peakConcurrency: 0,
};

export interface Schedule {
  readonly tenant: string;
  readonly name: string;
  readonly cron: string;
  readonly timezone: string;
  readonly enabled: boolean;
  readonly description: string | null;
  readonly queue: string;
  /** The job to add each time, as core's facade takes it: JSON text. */
  readonly template: string;
  readonly via: string;
  readonly createdAt: number;
  readonly nextRun: number | null;
  readonly lastRun: number | null;
}

export interface ScheduleRecord extends Schedule {
  /** Another one after each change, firing included, and never the same again. */
  readonly version: number;
}

export interface WebhookRecord {
  readonly id: number;
  readonly tenant: string;
  readonly url: string;
  readonly events: readonly string[];
  readonly queue: string | null;
  readonly secret: string | null;
  readonly shape: string;
  readonly enabled: boolean;
  readonly health: WebhookHealth;
  readonly createdAt: number;
}

/** As its owner puts it; what is put has a clean record. */
export type WebhookInput = Omit<WebhookRecord, "id" | "createdAt" | "health"> & {
  readonly id?: number;
};

/** What its deliveries have shown. */
export interface WebhookVerdict {
  /** Since when every attempt has failed, epoch ms; null: the last one has not. */
  readonly failingSince: number | null;
  /** Deliveries given up since one succeeded. */
  readonly givenUp: number;
  /** Why it is told nothing any more; null: it is. */
  readonly disabled: string | null;
}

export interface WebhookHealth extends WebhookVerdict {
  /** Events that it was not told of, since too many of its deliveries waited. */
  readonly dropped: number;
}

export const goodVerdict: WebhookVerdict = { failingSince: null, givenUp: 0, disabled: null };
export const goodHealth: WebhookHealth = { ...goodVerdict, dropped: 0 };

export function isWell(health: WebhookHealth): boolean {
  return (
    health.failingSince === null &&
    health.givenUp === 0 &&
    health.disabled === null &&
    health.dropped === 0
  );
}

/** Events of all tenants that wait for an API process; what happens beyond that no webhook is told. */
export const OUTBOX_LIMIT = 1_000_000;

export interface OutboxFigures {
  readonly waiting: number;
  /** Since the store was made. */
  readonly dropped: number;
}

export interface WebhookNote {
  readonly id: number;
  readonly verdict?: WebhookVerdict;
  readonly dropped?: number;
}

/** Whether events are to be told to it. */
export function isHeard({ enabled, health }: WebhookRecord): boolean {
  return enabled && health.disabled === null;
}

export interface WorkerRecord {
  readonly id: string;
  readonly tenant: TenantScope;
  readonly queues: readonly string[];
  readonly concurrency: number;
  readonly startedAt: number;
  readonly lastHeartbeat: number;
  readonly jobsProcessed: number;
  readonly active: number;
  readonly memoryBytes?: number;
  readonly eventLoopLagMs?: number;
}

export interface NodeRecord {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly isLeader: boolean;
  readonly startedAt: number;
  readonly lastHeartbeat: number;
}

/** A job that was deleted, and what it leaves behind outside the store. */
export interface RemovedJob {
  readonly tenant: string;
  readonly queue: string;
  readonly id: number;
  /** Of its data and result. */
  readonly files: readonly PayloadFile[];
}

export type BulkAction = "cancel" | "retry" | "remove" | "promote";

export interface EventSubscription {
  readonly tenant: TenantScope;
  readonly queue?: string;
  readonly types?: readonly JobEvent["type"][];
  /** Go on after this cursor; absent: only what comes from now on. */
  readonly after?: string;
  /** In order, after the change is durable. */
  onEvents(events: readonly JobEvent[]): void;
  /** The log no longer reaches back to `after`: events were missed. Later ones follow. */
  onGap?(): void;
}

/** A running job is wanted to stop. */
export interface StopRequest {
  readonly id: number;
  readonly lease: string;
  readonly reason: "cancelled" | "lost";
}

export const storeWarnings = ["NO_APPEND_ONLY_FILE", "MAY_EVICT"] as const;

/** What puts jobs at risk as the store is set up. */
export interface StoreWarning {
  readonly code: (typeof storeWarnings)[number];
  /** For people, with the mend. */
  readonly message: string;
  /** What the message names: `MAY_EVICT` the `policy`. */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface EngineHealth {
  readonly reachable: boolean;
  /** Of one trip to the store, ms. */
  readonly latencyMs: number;
  /** Whether what it accepted outlives a kill of the store; false as well while that cannot be asked. */
  readonly durable: boolean;
  /** Empty when all is well. */
  readonly warnings: readonly StoreWarning[];
}

export interface PruneParams {
  readonly completedBefore: number;
  readonly failedBefore: number;
  /** At most so many jobs in this call. */
  readonly limit: number;
}

export interface QueueAdapter {
  readonly capabilities: {
    readonly engine: "sqlite" | "bullmq";
    /** Whether several processes can share the store. */
    readonly processes: "one" | "many";
    /** Whether the store is one file that `backup` can copy. */
    readonly backup: boolean;
  };

  // Lifecycle
  open(): Promise<void>;
  /** Ends waits, keeps what was accepted, releases the store. Runs in process are given back. */
  close(): Promise<void>;
  health(): Promise<EngineHealth>;
  /**
   * Writes a consistent copy of the store to a file that is not there yet, while the store serves.
   * @throws QueueError INVALID_STATE without the capability, saying what to do instead
   */
  backup(params: { readonly file: string }): Promise<void>;

  // Submit
  /** `atomic`: one refused job refuses all, by a rejection that names its `index`. */
  enqueue(params: {
    readonly jobs: readonly JobSpec[];
    readonly atomic: boolean;
  }): Promise<readonly Outcome<number>[]>;
  /**
   * As `enqueue`, but one call alone of a tenant's with the same key adds; for 24 h the others are answered as it was.
   * The answer becomes durable together with the jobs. That of a call which added nothing and met a limit is not kept:
   * there may be room for the next one.
   */
  enqueueOnce(params: {
    readonly jobs: readonly JobSpec[];
    readonly atomic: boolean;
    readonly tenant: string;
    /** 1 to 255 visible ASCII characters. */
    readonly key: string;
    /** Kept with the answer: text of core's own, without line breaks. */
    readonly note: string;
  }): Promise<Answer>;
  /** The answer to earlier calls with that key; null where there was none within 24 h. */
  recall(params: { readonly tenant: string; readonly key: string }): Promise<Answer | null>;

  // Work
  claim(params: ClaimParams): Promise<readonly ClaimedJob[]>;
  /** Keeps runs alive for `leaseMs` from now; a refused one is lost. `worker`: all runs of that worker as well. */
  renew(params: {
    readonly tenant: TenantScope;
    readonly runs: readonly RunRef[];
    readonly worker?: string;
    readonly leaseMs: number;
  }): Promise<readonly Outcome<true>[]>;
  complete(params: {
    readonly tenant: TenantScope;
    readonly runs: readonly Completion[];
  }): Promise<readonly Outcome<true>[]>;
  /** Answers with the state the job is in then. */
  fail(params: {
    readonly tenant: TenantScope;
    readonly runs: readonly Failure[];
  }): Promise<readonly Outcome<JobState>[]>;
  /** Gives runs back, to be run soon and not counted as attempts; `crashed` counts towards the crash limit. */
  release(params: {
    readonly tenant: TenantScope;
    readonly runs: readonly RunRef[];
    readonly crashed?: JobFailure;
  }): Promise<readonly Outcome<JobState>[]>;
  /** Also keeps the run alive. */
  progress(params: {
    readonly tenant: TenantScope;
    readonly reports: readonly Report[];
    readonly leaseMs: number;
  }): Promise<readonly Outcome<true>[]>;
  /** The newest 1,000 lines of a job are kept. */
  log(params: {
    readonly tenant: TenantScope;
    readonly run: RunRef;
    readonly lines: readonly string[];
  }): Promise<void>;
  /** Told for runs of `inProcess` claims made through this adapter; returns how to stop listening. */
  onStopRequest(listener: (request: StopRequest) => void): () => void;

  // Admin
  /** `running: false` refuses active jobs. An active job is told to stop and ends as cancelled. */
  cancel(params: {
    readonly tenant: TenantScope;
    readonly ids: readonly number[];
    readonly running: boolean;
    readonly reason: string;
  }): Promise<readonly Outcome<true>[]>;
  /** Failed or cancelled jobs start anew, with attempts and crashes at 0; they wait for dependencies that can still complete. */
  retry(params: {
    readonly tenant: TenantScope;
    readonly ids: readonly number[];
  }): Promise<readonly Outcome<true>[]>;
  /** A delayed job runs as soon as it can. */
  promote(params: {
    readonly tenant: TenantScope;
    readonly ids: readonly number[];
  }): Promise<readonly Outcome<true>[]>;
  remove(params: {
    readonly tenant: TenantScope;
    readonly ids: readonly number[];
  }): Promise<readonly Outcome<RemovedJob>[]>;
  /** Acts on what matches now, in steps of `limit`; `next` is passed as `after` until it is null. */
  applyToMany(params: {
    readonly filter: JobFilter;
    readonly action: BulkAction;
    readonly reason: string;
    readonly limit: number;
    readonly after?: number;
  }): Promise<{
    readonly applied: number;
    readonly refused: number;
    readonly next: number | null;
    readonly removed: readonly RemovedJob[];
  }>;

  // Read
  get(params: {
    readonly tenant: TenantScope;
    readonly ids: readonly number[];
  }): Promise<readonly (Job | null)[]>;
  /** Whoever wants the payloads reads the jobs by their ids. */
  list(params: { readonly filter: JobFilter; readonly page: Page }): Promise<JobList<JobOutline>>;
  count(filter: JobFilter): Promise<StateCounts>;
  stats(params: StatsParams): Promise<readonly StatsRow[]>;
  /** The largest first, the newer first among equals. */
  errorGroups(params: ErrorGroupsParams): Promise<readonly ErrorGroup[]>;
  logs(params: {
    readonly tenant: TenantScope;
    readonly id: number;
    readonly offset: number;
    readonly limit: number;
  }): Promise<{ readonly lines: readonly LogLine[]; readonly total: number }>;

  /** Unfinished jobs that depend on this one, directly; the oldest `limit`, and how many there are. */
  dependents(params: {
    readonly tenant: TenantScope;
    readonly id: number;
    readonly limit: number;
  }): Promise<{ readonly ids: readonly number[]; readonly total: number }>;
  /** Oldest first; of those that did not complete the newest 50. None for a job that is not there. */
  runs(params: { readonly tenant: TenantScope; readonly id: number }): Promise<readonly JobRun[]>;

  // Queues
  /** Sorted by queue, then tenant. */
  listQueues(params: {
    readonly tenant: TenantScope;
    readonly queues?: readonly string[];
  }): Promise<readonly QueueInfo[]>;
  /** Creates the queue if need be; absent settings stay. */
  configureQueue(params: {
    readonly tenant: string;
    readonly queue: string;
    readonly typed: boolean;
    readonly settings: Partial<QueueSettings>;
  }): Promise<QueueSettings>;

  // Schedules
  /** Answers with its version; null, and nothing is changed, when there is not the one that it `replaces`. */
  putSchedule(params: {
    readonly schedule: Schedule;
    /** Version; null: there is to be none of that name yet. */
    readonly replaces: number | null;
  }): Promise<number | null>;
  listSchedules(params: { readonly tenant: TenantScope }): Promise<readonly ScheduleRecord[]>;
  deleteSchedule(params: { readonly tenant: TenantScope; readonly name: string }): Promise<boolean>;
  /** Adds the job and moves the schedule on, both or none; null if another process was first or it changed since. */
  fireSchedule(params: {
    readonly tenant: string;
    readonly name: string;
    readonly due: number;
    readonly nextRun: number | null;
    readonly job: JobSpec;
  }): Promise<Outcome<number> | null>;

  // Webhooks
  putWebhook(webhook: WebhookInput): Promise<WebhookRecord>;
  /** By id. */
  listWebhooks(params: { readonly tenant: TenantScope }): Promise<readonly WebhookRecord[]>;
  deleteWebhook(params: { readonly tenant: TenantScope; readonly id: number }): Promise<boolean>;
  /** `verdict`: in place of the one before; `dropped`: so many events more. Nothing where the webhook is gone. */
  noteWebhook(params: WebhookNote): Promise<void>;

  // Outbox
  /**
   * Events that enabled webhooks of their tenant ask for, oldest first; a cursor is a place in the outbox. They are
   * written together with the change that they tell of, and stay until they are settled. None while another process
   * is at work on them: whoever took last has the outbox to itself for some seconds.
   */
  takeOutbox(params: { readonly limit: number }): Promise<readonly JobEvent[]>;
  /**
   * Adds jobs for the events from the oldest, `first`, to `last`, and forgets these, both or none. False: `first` is not
   * the oldest, since another process has settled it.
   */
  settleOutbox(params: {
    readonly first: string;
    readonly last: string;
    readonly jobs: readonly JobSpec[];
  }): Promise<boolean>;
  outbox(): Promise<OutboxFigures>;
  /** Told when there may be something to take; returns how to stop listening. */
  onOutbox(listener: () => void): () => void;

  // Events from outside
  /** null takes it away. */
  putIncomingSecret(params: {
    readonly tenant: string;
    readonly queue: string;
    readonly secret: string | null;
  }): Promise<void>;
  incomingSecret(params: {
    readonly tenant: string;
    readonly queue: string;
  }): Promise<string | null>;

  // Workers and nodes
  heartbeatWorker(worker: Omit<WorkerRecord, "startedAt" | "lastHeartbeat">): Promise<void>;
  /** Those heard of within `withinMs`. */
  listWorkers(params: {
    readonly tenant: TenantScope;
    readonly withinMs: number;
  }): Promise<readonly WorkerRecord[]>;
  forgetWorker(params: { readonly tenant: TenantScope; readonly id: string }): Promise<void>;
  /** Also stands for leadership: the answer says who leads upkeep until the next heartbeat is due. */
  heartbeatNode(node: {
    readonly id: string;
    readonly host: string;
    readonly port: number;
  }): Promise<{
    readonly isLeader: boolean;
  }>;
  listNodes(params: { readonly withinMs: number }): Promise<readonly NodeRecord[]>;

  // Events
  /** Resolves once nothing later can be missed; the answer ends it. */
  subscribe(subscription: EventSubscription): Promise<() => void>;
  /** Cursor of the newest event. */
  cursor(): Promise<string>;

  // Limits
  /** To be made once a process. Windows are of real time. */
  rateLimiter(limit: RateLimit): RateLimiter;
  allowance(limit: RateLimit): Allowance;

  // Upkeep
  /**
   * Does what is due: delayed jobs become ready, expired ones fail, lost and overdue runs end. Engines do so by
   * themselves at the right moment; calling it only makes sure that it has happened.
   */
  upkeep(): Promise<void>;
  /** Deletes jobs that finished before the given times, except those others wait for. */
  prune(params: PruneParams): Promise<readonly RemovedJob[]>;
  /** Those of some payload files that belong to a job. */
  filesInUse(files: readonly string[]): Promise<readonly string[]>;
}
