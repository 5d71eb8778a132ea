import { backup, type DatabaseSync } from "node:sqlite";
import { setImmediate } from "node:timers/promises";
import { type Clock, systemClock } from "../../clock.ts";
import { commonMessage, fingerprintOf } from "../../error-groups.ts";
import { indexUnfinished, notIndexed, QueueError } from "../../errors.ts";
import type { JobEvent } from "../../events.ts";
import type { ClaimedJob, Job, JobOutline, JobRun, JobState } from "../../job.ts";
import {
  ALL_TENANTS,
  type Answer,
  type BulkAction,
  type ClaimParams,
  type Completion,
  type EngineHealth,
  type ErrorGroup,
  type ErrorGroupsParams,
  type EventSubscription,
  type Failure,
  type JobFilter,
  type JobList,
  type JobSpec,
  type LogLine,
  type NodeRecord,
  type Outcome,
  type Page,
  type OutboxFigures,
  type PruneParams,
  type QueueAdapter,
  type QueueInfo,
  type QueueSettings,
  type RemovedJob,
  type Report,
  type RunRef,
  type Schedule,
  type ScheduleRecord,
  type StateCounts,
  type StatsParams,
  type StatsRow,
  type StopRequest,
  type TenantScope,
  type WebhookInput,
  type WebhookNote,
  type WebhookRecord,
  type WorkerRecord,
} from "../../queue-adapter.ts";
import {
  type Allowance,
  allowanceOf,
  memoryLimiter,
  type RateLimit,
  type RateLimiter,
  rateLimiterOf,
} from "../../rate-limiter.ts";
import type { QueueGroup } from "../../queue-groups.ts";
import { refuseMoved } from "../../store-at-rest.ts";
import { Committer, type Transaction } from "./committer.ts";
import { keptMark, openDatabase, storeError } from "./database.ts";
import { Failures } from "./failures.ts";
import { type Lane, settingsOf } from "./lanes.ts";
import { type Asked, levelAlone, Listing } from "./listing.ts";
import { isBuilt } from "./payload-indexes.ts";
import { Records } from "./records.ts";
import { Store } from "./store.ts";

export { SqliteAtRest } from "./at-rest.ts";
export { restoreBackup, type RestoreReport } from "./restore.ts";

export interface SqliteOptions {
  /** A file, created if need be, or `:memory:`. */
  readonly path: string;
  readonly clock?: Clock;
  readonly groups?: readonly QueueGroup[];
}

/** Copied in one step, during which the store waits. */
const BACKUP_PAGES = 256;
const BACKUP_TRIES = 10_000;
/** Until what is due is tried again after the store failed, ms. */
const UPKEEP_RETRY_MS = 1000;

interface Open {
  readonly db: DatabaseSync;
  readonly store: Store;
  readonly listing: Listing;
  /** Until then nothing can be looked for. */
  factsBuilt: Promise<void>;
  readonly failures: Failures;
  readonly records: Records;
  readonly committer: Committer;
}

/**
 * The embedded engine: one process, one SQLite file. The order of the work lives in memory, the jobs on disk; every
 * change is part of a group commit, and nobody is answered before it is synced.
 */
export class SqliteAdapter implements QueueAdapter {
  readonly capabilities = { engine: "sqlite", processes: "one", backup: true } as const;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #groups: readonly QueueGroup[];
  #state: Open | undefined;
  readonly #waiting = new Set<() => void>();
  #upkeepDone: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: SqliteOptions) {
    this.#path = options.path;
    this.#clock = options.clock ?? systemClock;
    this.#groups = options.groups ?? [];
  }

  // ---- lifecycle

  async open(): Promise<void> {
    if (this.#state !== undefined) return;
    const db = openDatabase(this.#path);
    try {
      const kept = keptMark(db);
      if (kept !== null) refuseMoved(kept.mark, this.#path);
      const store = new Store(
        db,
        this.#clock,
        this.#groups,
        () => void this.upkeep().catch(() => undefined),
      );
      const committer = new Committer({
        now: () => this.#clock.now(),
        begin: () => store.begin(),
        beforeCommit: (tx) => store.beforeCommit(tx),
        commit: () => store.commit(),
        rollback: () => store.rollback(this.#clock.now()),
        isRefusal: (error): error is QueueError => error instanceof QueueError,
        translate: (error) => this.#translate(error),
      });
      this.#state = {
        db,
        store,
        committer,
        listing: new Listing(db, store.facts, store.labels),
        factsBuilt: Promise.resolve(),
        failures: new Failures(db),
        records: new Records(db, this.#clock),
      };
      const { records } = this.#state;
      await committer.submit((tx) => {
        for (const [tenant = "", own = []] of Map.groupBy(
          records.webhooks(ALL_TENANTS),
          (webhook) => webhook.tenant,
        )) {
          store.ask(tx, tenant, own);
        }
        store.load(tx);
      });
      const { facts } = store;
      this.#state.factsBuilt = this.#search((_, pause) => facts.build(pause));
      // Told to those who search.
      this.#state.factsBuilt.catch(() => undefined);
      await this.upkeep();
    } catch (error) {
      this.#state?.store.agenda.stop();
      this.#state = undefined;
      db.close();
      throw this.#translate(error).error;
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close().finally(() => (this.#closing = undefined));
    return this.#closing;
  }

  /** What was asked for before is kept; what is asked for meanwhile is refused, claims above all. */
  async #close(): Promise<void> {
    if (this.#state === undefined) return;
    const { db, store, committer } = this.#state;
    for (const endWait of this.#waiting) endWait();
    store.agenda.stop();
    try {
      await committer.submit((tx) => {
        store.flush();
        store.releaseInProcess(tx);
        store.releaseIds();
      });
      await committer.settled();
      // Claims that were on their way into the store began to wait only now.
      for (const endWait of this.#waiting) endWait();
    } finally {
      this.#state = undefined;
      db.close();
    }
  }

  async backup({ file }: { file: string }): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        // In steps beside the event loop; what changes meanwhile is copied again.
        await backup(this.#open.db, file, { rate: BACKUP_PAGES });
        return;
      } catch (error) {
        if (!metTransaction(error) || tries === BACKUP_TRIES) throw this.#translate(error).error;
      }
    }
  }

  async health(): Promise<EngineHealth> {
    const began = performance.now();
    const reachable = this.#state !== undefined && this.#reads(() => this.#open.records.ping());
    const durable = reachable && this.#path !== ":memory:";
    return { reachable, latencyMs: performance.now() - began, durable, warnings: [] };
  }

  // ---- submit

  enqueue(params: {
    jobs: readonly JobSpec[];
    atomic: boolean;
  }): Promise<readonly Outcome<number>[]> {
    return this.#submit((tx, { store }) => store.enqueue(tx, params.jobs, params.atomic));
  }

  enqueueOnce(params: {
    jobs: readonly JobSpec[];
    atomic: boolean;
    tenant: string;
    key: string;
    note: string;
  }): Promise<Answer> {
    const { jobs, atomic, ...call } = params;
    return this.#submit((tx, { store }) => store.enqueueOnce(tx, jobs, atomic, call));
  }

  recall(params: { tenant: string; key: string }): Promise<Answer | null> {
    const { tenant, key } = params;
    return this.#read(({ store }) => store.answers.find(tenant, key, this.#clock.now()));
  }

  // ---- work

  async claim(params: ClaimParams): Promise<readonly ClaimedJob[]> {
    const { signal, waitMs } = params;
    if (signal?.aborted === true) return [];
    return new Promise((resolve, reject) => {
      let leave = (): void => undefined;
      const end = (jobs: readonly ClaimedJob[]): void => {
        leave();
        resolve(jobs);
      };
      this.#write((tx, { store }) => {
        // Aborted while it waited for its turn: it must not take anything.
        if (signal?.aborted === true) return tx.onCommit(() => end([]));
        const jobs = store.claim(tx, params);
        if (jobs.length > 0 || waitMs <= 0) return tx.onCommit(() => end(jobs));
        leave = this.#wait(store, params, end);
        tx.onRollback(() => leave());
      }).catch(reject);
    });
  }

  /** Queues a claim that found nothing; the answer takes it out again. */
  #wait(store: Store, params: ClaimParams, end: (jobs: readonly ClaimedJob[]) => void): () => void {
    const { signal, waitMs } = params;
    const giveUp = (): void => end([]);
    const waiter = {
      params,
      serve: (jobs: readonly ClaimedJob[], tx: Transaction): void => {
        remove();
        tx.onCommit(() => end(jobs));
        tx.onRollback(() => {
          if (signal?.aborted !== true) remove = store.addWaiter(waiter);
        });
      },
    };
    let remove = store.addWaiter(waiter);
    const stopTimer =
      waitMs === Infinity ? undefined : this.#clock.at(this.#clock.now() + waitMs, giveUp);
    signal?.addEventListener("abort", giveUp, { once: true });
    this.#waiting.add(giveUp);
    return () => {
      remove();
      stopTimer?.();
      signal?.removeEventListener("abort", giveUp);
      this.#waiting.delete(giveUp);
    };
  }

  renew(params: {
    tenant: TenantScope;
    runs: readonly RunRef[];
    worker?: string;
    leaseMs: number;
  }): Promise<readonly Outcome<true>[]> {
    const { tenant, runs, worker, leaseMs } = params;
    return this.#write((tx, { store }) => store.renew(tx, tenant, runs, worker, leaseMs));
  }

  complete(params: {
    tenant: TenantScope;
    runs: readonly Completion[];
  }): Promise<readonly Outcome<true>[]> {
    return this.#write((tx, { store }) => store.complete(tx, params.tenant, params.runs));
  }

  fail(params: {
    tenant: TenantScope;
    runs: readonly Failure[];
  }): Promise<readonly Outcome<JobState>[]> {
    return this.#write((tx, { store }) => store.fail(tx, params.tenant, params.runs));
  }

  release(params: {
    tenant: TenantScope;
    runs: readonly RunRef[];
    crashed?: Failure["error"];
  }): Promise<readonly Outcome<JobState>[]> {
    const { tenant, runs, crashed } = params;
    return this.#write((tx, { store }) => store.release(tx, tenant, runs, crashed));
  }

  progress(params: {
    tenant: TenantScope;
    reports: readonly Report[];
    leaseMs: number;
  }): Promise<readonly Outcome<true>[]> {
    const { tenant, reports, leaseMs } = params;
    return this.#write((tx, { store }) => store.progress(tx, tenant, reports, leaseMs));
  }

  log(params: { tenant: TenantScope; run: RunRef; lines: readonly string[] }): Promise<void> {
    return this.#write((tx, { store }) => store.log(tx, params.tenant, params.run, params.lines));
  }

  onStopRequest(listener: (request: StopRequest) => void): () => void {
    const { stopListeners } = this.#open.store;
    stopListeners.add(listener);
    return () => void stopListeners.delete(listener);
  }

  // ---- admin

  cancel(params: {
    tenant: TenantScope;
    ids: readonly number[];
    running: boolean;
    reason: string;
  }): Promise<readonly Outcome<true>[]> {
    const { tenant, ids, running, reason } = params;
    return this.#each(ids, (tx, store, id) => store.cancel(tx, tenant, id, running, reason));
  }

  retry(params: {
    tenant: TenantScope;
    ids: readonly number[];
  }): Promise<readonly Outcome<true>[]> {
    return this.#each(params.ids, (tx, store, id) => store.retry(tx, params.tenant, id));
  }

  promote(params: {
    tenant: TenantScope;
    ids: readonly number[];
  }): Promise<readonly Outcome<true>[]> {
    return this.#each(params.ids, (tx, store, id) => store.promote(tx, params.tenant, id));
  }

  remove(params: {
    tenant: TenantScope;
    ids: readonly number[];
  }): Promise<readonly Outcome<RemovedJob>[]> {
    return this.#each(params.ids, (tx, store, id) => store.remove(tx, params.tenant, id));
  }

  applyToMany(params: {
    filter: JobFilter;
    action: BulkAction;
    reason: string;
    limit: number;
    after?: number;
  }): Promise<{ applied: number; refused: number; next: number | null; removed: RemovedJob[] }> {
    const { filter, action, reason, limit, after } = params;
    const page: Page = { limit, order: "asc", ...(after === undefined ? {} : { after }) };
    return this.#found(filter, page, (tx, { store }, ids, next) => {
      const removed: RemovedJob[] = [];
      let applied = 0;
      for (const id of ids) if (store.act(tx, action, id, reason, removed)) applied++;
      return { applied, refused: ids.length - applied, next, removed };
    });
  }

  // ---- read

  get(params: { tenant: TenantScope; ids: readonly number[] }): Promise<readonly (Job | null)[]> {
    return this.#read(({ store }) => params.ids.map((id) => store.read(params.tenant, id) ?? null));
  }

  list(params: { filter: JobFilter; page: Page }): Promise<JobList<JobOutline>> {
    const { filter, page } = params;
    return this.#search(async ({ store, listing, factsBuilt }, pause) => {
      await factsBuilt;
      const asked = this.#asked(filter);
      const level = levelAlone(filter);
      const [present] =
        level === undefined ? [] : store.stats({ tenant: filter.tenant, level }, asked.lanes);
      const known = present && present.added - present.removed;
      const { ids, total } = await listing.find(asked, page, pause, known);
      const jobs = ids
        .map((id) => store.outline(filter.tenant, id))
        .filter((job) => job !== undefined);
      return { jobs, total };
    });
  }

  count(filter: JobFilter): Promise<StateCounts> {
    return this.#search(async ({ listing, factsBuilt }, pause) => {
      await factsBuilt;
      return listing.count(this.#asked(filter), pause);
    });
  }

  errorGroups(params: ErrorGroupsParams): Promise<readonly ErrorGroup[]> {
    return this.#search(async ({ store, failures }, pause) => {
      const now = this.#clock.now();
      const groups = await failures.groups(params, this.#lanes(params), now, pause);
      return groups.flatMap(({ group, queue, newest, ...tally }) => {
        const sample = store.outline(params.tenant, newest)?.error?.message;
        // Retried or removed while the others were counted.
        if (sample === undefined) return [];
        return {
          ...tally,
          fingerprint: fingerprintOf(group, queue),
          queue,
          message: commonMessage(sample),
          sampleId: newest,
          sampleMessage: sample,
        };
      });
    });
  }

  stats(params: StatsParams): Promise<readonly StatsRow[]> {
    return this.#read(({ store }) => store.stats(params, this.#lanes(params)));
  }

  logs(params: {
    tenant: TenantScope;
    id: number;
    offset: number;
    limit: number;
  }): Promise<{ lines: LogLine[]; total: number }> {
    const { tenant, id, offset, limit } = params;
    return this.#read(({ store, records }) =>
      store.read(tenant, id) === undefined
        ? { lines: [], total: 0 }
        : records.logs(id, offset, limit),
    );
  }

  dependents(params: {
    tenant: TenantScope;
    id: number;
    limit: number;
  }): Promise<{ ids: number[]; total: number }> {
    const { tenant, id, limit } = params;
    return this.#read(({ store }) => store.dependents(tenant, id, limit));
  }

  runs(params: { tenant: TenantScope; id: number }): Promise<readonly JobRun[]> {
    return this.#read(({ store }) => store.runs(params.tenant, params.id));
  }

  // ---- queues

  listQueues(params: {
    tenant: TenantScope;
    queues?: readonly string[];
  }): Promise<readonly QueueInfo[]> {
    return this.#read(() =>
      this.#lanes(params)
        .map((lane) => {
          const { tenant, queue, typed, counts } = lane;
          return { tenant, queue, typed, ...settingsOf(lane), counts: { ...counts } };
        })
        .sort((a, b) => compare(a.queue, b.queue) || compare(a.tenant, b.tenant)),
    );
  }

  configureQueue(params: {
    tenant: string;
    queue: string;
    typed: boolean;
    settings: Partial<QueueSettings>;
  }): Promise<QueueSettings> {
    const { tenant, queue, typed, settings } = params;
    return this.#write((tx, { store }) =>
      store.configure(tx, store.laneFor(tx, tenant, queue, typed), settings),
    );
  }

  // ---- schedules and webhooks

  putSchedule(params: { schedule: Schedule; replaces: number | null }): Promise<number | null> {
    const { schedule, replaces } = params;
    return this.#write((_, { records }) => records.putSchedule(schedule, replaces));
  }

  listSchedules(params: { tenant: TenantScope }): Promise<readonly ScheduleRecord[]> {
    return this.#read(({ records }) => records.schedules(params.tenant));
  }

  deleteSchedule(params: { tenant: TenantScope; name: string }): Promise<boolean> {
    return this.#write((_, { records }) => records.deleteSchedule(params.tenant, params.name));
  }

  fireSchedule(params: {
    tenant: string;
    name: string;
    due: number;
    nextRun: number | null;
    job: JobSpec;
  }): Promise<Outcome<number> | null> {
    const { tenant, name, due, nextRun, job } = params;
    return this.#write((tx, { store, records }) => {
      if (!records.moveSchedule(tenant, name, due, nextRun)) return null;
      return store.enqueue(tx, [job], false)[0] ?? null;
    });
  }

  putWebhook(webhook: WebhookInput): Promise<WebhookRecord> {
    return this.#write((tx, { store, records }) => {
      const { tenant } = webhook;
      const kept = records.putWebhook(webhook, tx.now);
      store.ask(tx, tenant, records.webhooks(tenant));
      return kept;
    });
  }

  listWebhooks(params: { tenant: TenantScope }): Promise<readonly WebhookRecord[]> {
    return this.#read(({ records }) => records.webhooks(params.tenant));
  }

  deleteWebhook(params: { tenant: TenantScope; id: number }): Promise<boolean> {
    return this.#write((tx, { store, records }) => {
      const owner = records.tenantOfWebhook(params.id);
      if (owner === undefined || !records.deleteWebhook(params.tenant, params.id)) return false;
      store.ask(tx, owner, records.webhooks(owner));
      return true;
    });
  }

  noteWebhook(note: WebhookNote): Promise<void> {
    return this.#write((tx, { store, records }) => {
      const owner = records.tenantOfWebhook(note.id);
      if (owner === undefined) return;
      records.noteWebhook(note);
      if (note.verdict === undefined) return;
      store.ask(tx, owner, records.webhooks(owner));
    });
  }

  takeOutbox({ limit }: { limit: number }): Promise<readonly JobEvent[]> {
    return this.#read(({ store }) => store.outbox.take(limit));
  }

  settleOutbox(params: {
    first: string;
    last: string;
    jobs: readonly JobSpec[];
  }): Promise<boolean> {
    const { first, last, jobs } = params;
    return this.#write((tx, { store }) => {
      if (!store.outbox.forget(first, last)) return false;
      store.enqueue(tx, jobs, false);
      return true;
    });
  }

  outbox(): Promise<OutboxFigures> {
    return this.#read(({ store }) => store.outbox.figures());
  }

  onOutbox(listener: () => void): () => void {
    const { listeners } = this.#open.store.outbox;
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  putIncomingSecret(params: {
    tenant: string;
    queue: string;
    secret: string | null;
  }): Promise<void> {
    const { tenant, queue, secret } = params;
    return this.#write((_, { records }) => records.putIncomingSecret(tenant, queue, secret));
  }

  incomingSecret(params: { tenant: string; queue: string }): Promise<string | null> {
    return this.#read(({ records }) => records.incomingSecret(params.tenant, params.queue));
  }

  // ---- workers and nodes

  async heartbeatWorker(worker: Omit<WorkerRecord, "startedAt" | "lastHeartbeat">): Promise<void> {
    this.#open.records.heartbeatWorker(worker);
  }

  async listWorkers(params: {
    tenant: TenantScope;
    withinMs: number;
  }): Promise<readonly WorkerRecord[]> {
    return this.#open.records.workers(params.tenant, params.withinMs);
  }

  async forgetWorker(params: { tenant: TenantScope; id: string }): Promise<void> {
    this.#open.records.forgetWorker(params.tenant, params.id);
  }

  async heartbeatNode(node: {
    id: string;
    host: string;
    port: number;
  }): Promise<{ isLeader: boolean }> {
    this.#open.records.heartbeatNode(node);
    // The one process that can have the file open.
    return { isLeader: true };
  }

  async listNodes(params: { withinMs: number }): Promise<readonly NodeRecord[]> {
    return this.#open.records.nodes(params.withinMs);
  }

  // ---- events

  async subscribe(subscription: EventSubscription): Promise<() => void> {
    return this.#open.store.events.subscribe(subscription);
  }

  async cursor(): Promise<string> {
    return this.#open.store.events.cursor;
  }

  // ---- limits

  rateLimiter(limit: RateLimit): RateLimiter {
    return rateLimiterOf(memoryLimiter(limit));
  }

  allowance(limit: RateLimit): Allowance {
    return allowanceOf(memoryLimiter(limit));
  }

  // ---- upkeep

  upkeep(): Promise<void> {
    this.#upkeepDone ??= this.#runUpkeep().finally(() => (this.#upkeepDone = undefined));
    return this.#upkeepDone;
  }

  async #runUpkeep(): Promise<void> {
    try {
      while (this.#state !== undefined) {
        const more = await this.#write((tx, { store }) => store.upkeep(tx));
        if (!more) return;
      }
    } catch (error) {
      // At once it would fail again, as often as the event loop turns.
      this.#state?.store.agenda.retryAt(this.#clock.now() + UPKEEP_RETRY_MS);
      throw error;
    }
  }

  prune(params: PruneParams): Promise<readonly RemovedJob[]> {
    return this.#write((tx, { store }) => {
      store.rollups.fold(tx.now);
      return store.prune(params);
    });
  }

  filesInUse(files: readonly string[]): Promise<readonly string[]> {
    return this.#read(({ store }) => store.filesInUse(files));
  }

  // ---- how calls reach the store

  get #open(): Open {
    if (this.#state === undefined) throw closed();
    return this.#state;
  }

  #write<T>(apply: (tx: Transaction, state: Open) => T): Promise<T> {
    return this.#submit((tx, state) => {
      state.store.flush();
      return apply(tx, state);
    });
  }

  /** Adds jobs, or does what touches none. */
  #submit<T>(apply: (tx: Transaction, state: Open) => T): Promise<T> {
    const state = this.#state;
    if (state === undefined || this.#closing !== undefined) return Promise.reject(closed());
    return state.committer.submit((tx) => apply(tx, state));
  }

  /** Reads in steps, between which others have their turn. */
  async #search<T>(search: (state: Open, pause: () => Promise<void>) => Promise<T>): Promise<T> {
    const state = this.#open;
    const pause = async (): Promise<void> => {
      await setImmediate();
      if (this.#state !== state) throw closed();
    };
    try {
      return await search(state, pause);
    } catch (error) {
      throw error instanceof QueueError ? error : this.#translate(error).error;
    }
  }

  /** Changes the jobs of a page, of those that still match then; `next`: the last id looked at, null at the end. */
  async #found<T>(
    filter: JobFilter,
    page: Page,
    apply: (tx: Transaction, state: Open, ids: readonly number[], next: number | null) => T,
  ): Promise<T> {
    const next = (ids: readonly number[]): number | null =>
      ids.length < page.limit ? null : (ids.at(-1) ?? null);
    const ids = await this.#search(async ({ listing, factsBuilt }, pause) => {
      await factsBuilt;
      return listing.ids(this.#asked(filter), page, pause);
    });
    return this.#write((tx, state) =>
      apply(tx, state, state.listing.matching(this.#asked(filter), ids), next(ids)),
    );
  }

  #asked(filter: JobFilter): Asked {
    const lanes = this.#lanes(filter);
    const indexes = filter.payload === undefined ? [] : indexesOf(lanes, filter.payload.path);
    return { filter, lanes, indexes, active: () => this.#open.store.activeIds() };
  }

  async #read<T>(read: (state: Open) => T): Promise<T> {
    return this.#reads(() => read(this.#open));
  }

  #reads<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw error instanceof QueueError ? error : this.#translate(error).error;
    }
  }

  #each<T>(
    ids: readonly number[],
    act: (tx: Transaction, store: Store, id: number) => T,
  ): Promise<readonly Outcome<T>[]> {
    return this.#write((tx, { store }) =>
      ids.map((id): Outcome<T> => {
        try {
          return act(tx, store, id);
        } catch (error) {
          if (error instanceof QueueError) return error;
          throw error;
        }
      }),
    );
  }

  #lanes(params: { tenant: TenantScope; queues?: readonly string[] }): readonly Lane[] {
    const { lanes } = this.#open.store;
    const { tenant, queues } = params;
    if (tenant === ALL_TENANTS) {
      const wanted = queues === undefined ? undefined : new Set(queues);
      return [...lanes.all()].filter((lane) => wanted?.has(lane.queue) ?? true);
    }
    if (queues === undefined) return [...lanes.ofTenant(tenant)];
    return [...new Set(queues)]
      .map((queue) => lanes.find(tenant, queue))
      .filter((lane) => lane !== undefined);
  }

  #translate(error: unknown): { error: QueueError; wide: boolean } {
    if (error instanceof QueueError) return { error, wide: false };
    const fault = storeError(error, this.#path);
    if (fault !== undefined) return { error: fault, wide: true };
    return {
      error: new QueueError("INTERNAL", "The job store failed unexpectedly", {}, error),
      wide: false,
    };
  }
}

/** The lanes' indexes of a path; refuses where one has none. */
function indexesOf(lanes: readonly Lane[], path: string): number[] {
  return lanes.map((lane) => {
    const index = lane.indexes?.find((each) => each.path === path);
    if (index === undefined) throw notIndexed(lane.tenant, lane.queue, path);
    if (!isBuilt(index)) throw indexUnfinished(lane.queue, path);
    return index.no;
  });
}

/** A backup whose first step falls into a transaction is given up by Node, with this for an error. */
function metTransaction(error: unknown): boolean {
  const { code, errcode } = error as { readonly code?: unknown; readonly errcode?: unknown };
  return code === "ERR_SQLITE_ERROR" && errcode === 0;
}

function closed(): QueueError {
  return new QueueError("UNAVAILABLE", "The job store is closed: the server is stopping", {
    retryAfterMs: 1000,
  });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
