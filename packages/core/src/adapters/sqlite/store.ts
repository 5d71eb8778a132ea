import { randomBytes } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../../clock.ts";
import { jobNotFound, QueueError } from "../../errors.ts";
import { jobTypeOf } from "../../job-types/index.ts";
import {
  type ClaimedJob,
  type Job,
  type JobFailure,
  type JobOutline,
  type JobRun,
  type JobState,
  KEPT_RUNS,
  type RunOutcome,
  runsOf,
} from "../../job.ts";
import {
  ALL_TENANTS,
  type Answer,
  type BulkAction,
  type ClaimParams,
  type Completion,
  type Failure,
  type JobSpec,
  type Outcome,
  type PruneParams,
  type QueueSettings,
  type RemovedJob,
  type Report,
  type RunRef,
  type StatsParams,
  type StatsRow,
  type StopRequest,
  type TenantScope,
  type WebhookRecord,
} from "../../queue-adapter.ts";
import { groupIsFull, type QueueGroup } from "../../queue-groups.ts";
import { afterCrash, CRASH_LIMIT, decideRetry } from "../../retry-policy.ts";
import { Agenda, Due, due } from "./agenda.ts";
import { Answers } from "./answers.ts";
import { BulkInsert } from "./bulk-statement.ts";
import { OpenJobs } from "./open-jobs.ts";
import type { Transaction } from "./committer.ts";
import { Deadlines } from "./deadlines.ts";
import { EventLog } from "./event-log.ts";
import {
  type Lane,
  type LaneGroup,
  Lanes,
  RATE_WINDOW_MS,
  roomLeft,
  settingsOf,
  startsLeft,
} from "./lanes.ts";
import { Outbox } from "./outbox.ts";
import { JobFacts } from "./job-facts.ts";
import { LabelSets } from "./label-sets.ts";
import { PayloadIndexes } from "./payload-indexes.ts";
import { popped } from "./ready-order.ts";
import { Rollups } from "./rollups.ts";
import {
  type Claim,
  decodeOptions,
  encodeOptions,
  encodePayload,
  encodeReport,
  type FinishedPhase,
  type FinishedRow,
  isFile,
  labels,
  leaseOf,
  type OpenRow,
  optionsOf,
  payloadFiles,
  Phase,
  type Run,
  stateOf,
  toJob,
} from "./rows.ts";
import {
  finishedRow,
  type JobTuple,
  openRow,
  type OpenTuple,
  prepareStatements,
  type RevivedRow,
  type Statements,
} from "./statements.ts";
import { type Waiter, Waiters } from "./waiters.ts";

const QUEUES_PER_TENANT = 10_000;
/** Ids are reserved on disk in blocks, so that a commit need not write the counter. */
const ID_BLOCK = 10_000;
/** Waiting jobs kept readable in memory, so that short backlogs are never read back: at most so many, so large. */
const CACHED_JOBS = 20_000;
const CACHED_BYTES = 16 * 2 ** 20;
const CACHED_DATA = 8 * 1024;
const LOG_LINES = 1000;
/** Due things handled in one transaction, which must stay short. */
const DUE_STEP = 500;
/** The queue of the lane that stands for a tenant's typed queues together. */
const TYPED_QUEUES = "";

/** A claim being made. */
interface Taken {
  readonly params: ClaimParams;
  claim: Claim | undefined;
  readonly runs: Run[];
  readonly jobs: ClaimedJob[];
}

/** All state of the embedded engine, on disk and in memory, and every change of it. Calls run inside a transaction. */
export class Store {
  readonly lanes: Lanes;
  readonly events: EventLog;
  readonly rollups: Rollups;
  readonly agenda: Agenda;
  readonly indexes: PayloadIndexes;
  readonly facts: JobFacts;
  readonly labels: LabelSets;
  readonly answers: Answers;
  readonly outbox: Outbox;
  readonly #db: DatabaseSync;
  readonly #active = new Map<number, Run>();
  readonly #deadlines: Deadlines;
  readonly #openJobs: OpenJobs;
  readonly #cache = new Map<number, OpenRow>();
  #cachedBytes = 0;
  /** Runs at once in each tenant's typed queues. */
  readonly #typedActive = new Map<string, { readonly laneNo: number; runs: number }>();
  readonly #waiters = new Waiters();
  readonly stopListeners = new Set<(request: StopRequest) => void>();
  #nextId = 1;
  #reserved = 1;
  #dependencies = 0;
  #turn = 0;

  // Of the open transaction.
  readonly #touched = new Map<Lane, () => void>();
  #lastTouched: Lane | undefined;
  readonly #freed = new Set<Lane>();
  readonly #finished = new Map<number, number[]>();
  readonly #endedClaims: number[] = [];

  readonly #insertJob: BulkInsert;
  readonly #insertFinished: BulkInsert;
  readonly #sql: Statements;

  constructor(db: DatabaseSync, clock: Clock, groups: readonly QueueGroup[], onDue: () => void) {
    this.#db = db;
    this.outbox = new Outbox(db);
    this.lanes = new Lanes(groups, (tenant, queue) => this.outbox.askedOf(tenant, queue));
    this.#sql = prepareStatements(db);
    this.rollups = new Rollups(db);
    this.agenda = new Agenda(clock, onDue);
    this.indexes = new PayloadIndexes(db);
    this.facts = new JobFacts(db);
    this.labels = new LabelSets(db);
    this.#deadlines = new Deadlines(this.agenda);
    this.answers = new Answers(db, this.agenda);
    this.#insertJob = new BulkInsert(db, "job", {
      shared: ["lane", "priority", "created_at", "options"],
      own: ["id", "data"],
    });
    this.#insertFinished = new BulkInsert(db, "finished_job", {
      shared: [
        "lane",
        "phase",
        "run_at",
        "started_at",
        "finished_at",
        "attempts",
        "crashes",
        "worker",
        "error",
        "report",
      ],
      own: ["id", "result"],
    });
    this.#reserved = this.#nextId = Number(this.#sql.getMeta.get("next_id")?.["value"] ?? 1);
    this.#openJobs = new OpenJobs(db, this.#nextId, this.facts);
    this.#reserveIds();
    this.events = new EventLog(
      randomBytes(6).toString("hex"),
      (no) => this.lanes.get(no),
      (event) => this.outbox.post(event),
    );
  }

  /** Reads what the last process left; runs that lived in it have crashed. */
  load(tx: Transaction): void {
    for (const row of this.#sql.allLanes.all()) {
      const no = Number(row["no"]);
      const tenant = String(row["tenant"]);
      if (row["queue"] === TYPED_QUEUES) {
        this.#typedActive.set(tenant, { laneNo: no, runs: 0 });
        continue;
      }
      this.lanes.add({
        no,
        tenant,
        queue: String(row["queue"]),
        typed: row["typed"] === 1,
        paused: row["paused"] === 1,
        rateLimit: row["rate_limit"] as number | null,
        concurrency: row["concurrency"] as number | null,
      });
    }
    for (const lane of this.indexes.load((no) => this.lanes.get(no))) {
      this.agenda.add(0, Due.indexes, lane.no);
    }
    this.#dependencies = Number(this.#sql.countDependencies.get()?.["n"]);
    for (const row of this.#sql.countFinished.iterate()) {
      const lane = this.lanes.get(Number(row["lane"]));
      if (lane === undefined) continue;
      lane.counts[stateOf(row["phase"] as FinishedPhase)] = Number(row["n"]);
    }
    for (const lane of this.lanes.all()) {
      const { counts } = lane;
      const back: { priority: number; ord: number; id: number }[] = [];
      const rows = this.#sql.loadLane.iterate(lane.no) as unknown as Iterable<
        [number, Phase, number, number | null, number | null, number | null]
      >;
      for (const [id, phase, priority, ord, runAt, expireAt] of rows) {
        counts[stateOf(phase)]++;
        this.facts.load(id, lane.no, stateOf(phase), priority);
        if (phase === Phase.ready) {
          if (ord === null || ord === id) lane.ready.push(priority, id, id);
          else back.push({ priority, ord, id });
        } else if (phase === Phase.delayed) {
          this.agenda.add(runAt ?? 0, Due.job, id);
        }
        if (expireAt !== null) this.agenda.add(expireAt, Due.expiry, id);
      }
      for (const { priority, ord, id } of back) lane.ready.push(priority, ord, id);
    }
    for (const row of this.#sql.allClaims.all()) this.#reviveClaim(tx, row);
    for (const lane of this.lanes.all()) this.#refresh(lane, tx.now);
    this.answers.planOldest();
  }

  #reviveClaim(tx: Transaction, row: Record<string, unknown>): void {
    const no = Number(row["no"]);
    const claim: Claim = {
      no,
      lease: leaseOf(no),
      worker: row["worker"] as string | null,
      inProcess: row["in_process"] === 1,
      timeoutFrom: row["timeout_from"] as Claim["timeoutFrom"],
      leaseMs: Number(row["lease_ms"]),
      at: Number(row["at"]),
      left: 0,
    };
    const stopped: Run[] = [];
    for (const id of JSON.parse(String(row["ids"])) as number[]) {
      const open = this.#readOpen(id);
      if (open === undefined || open.phase !== Phase.ready || open.over >= no) continue;
      const { lane } = open;
      const run = this.#begin(open, claim, claim.at, tx.now);
      lane.counts.waiting--;
      lane.counts.active++;
      if (lane.typed) this.#typedRuns(lane, 1);
      if (open.report !== null) Object.assign(run, JSON.parse(open.report));
      run.stop = open.stop;
      if (claim.inProcess) stopped.push(run);
    }
    if (claim.left === 0) this.#endedClaims.push(no);
    const error: JobFailure = {
      code: "crashed",
      message: "The process that ran the job died",
    };
    for (const run of stopped) this.#crashed(tx, run, error, "crashed");
  }

  // ---- the transaction's frame

  begin(): void {
    this.#db.exec("BEGIN");
  }

  /** Writes the rows of new jobs: a few statements for many calls that add one job each. Before anything reads them. */
  flush(): void {
    this.#insertJob.flush();
    this.#openJobs.flush();
  }

  beforeCommit(tx: Transaction): void {
    this.flush();
    this.#serveWaiters(tx);
    for (const [key, ids] of this.#finished) {
      this.#sql.logFinished.run(key % 8, tx.now, Math.floor(key / 8), JSON.stringify(ids));
    }
    for (const no of this.#endedClaims) this.#sql.deleteClaim.run(no);
    this.#openJobs.beforeCommit(tx, this.#nextId);
    this.rollups.write(tx.now);
    this.labels.write();
    this.outbox.write(tx);
    tx.onCommit(() => this.events.settle());
  }

  commit(): void {
    this.#db.exec("COMMIT");
    this.facts.commit();
    this.#openJobs.commit();
    this.#forget();
  }

  rollback(now: number): void {
    if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
    this.#cache.clear();
    this.#cachedBytes = 0;
    for (const restore of this.#touched.values()) restore();
    const lanes = [...this.#touched.keys()];
    this.facts.rollback();
    this.#openJobs.rollback();
    this.labels.discard();
    this.rollups.discard();
    this.events.discard();
    this.outbox.discard();
    this.#forget();
    // The reservation of ids may have been taken back as well. Not looked up: the disk may not be readable now.
    this.#reserved = this.#nextId;
    for (const lane of lanes) if (this.lanes.get(lane.no) === lane) this.#refresh(lane, now);
  }

  #forget(): void {
    this.#insertJob.discard();
    this.#insertFinished.discard();
    this.#touched.clear();
    this.#lastTouched = undefined;
    this.#freed.clear();
    this.#finished.clear();
    this.#endedClaims.length = 0;
  }

  /** To be called before a lane's counts or window change. */
  #touch(lane: Lane): void {
    if (lane === this.#lastTouched || this.#touched.has(lane)) return;
    this.#lastTouched = lane;
    const { windowEnd, windowStarts, paused, rateLimit, concurrency, typed } = lane;
    const counts = { ...lane.counts };
    this.#touched.set(lane, () => {
      Object.assign(lane.counts, counts);
      Object.assign(lane, { windowEnd, windowStarts, paused, rateLimit, concurrency, typed });
    });
  }

  #refresh(lane: Lane, now: number): void {
    if (lane.group === null) return this.#refreshAlone(lane, now);
    // What one lane of a group gives up or takes, the others gain or lose.
    for (const each of lane.group.lanes) this.#refreshAlone(each, now);
  }

  #refreshAlone(lane: Lane, now: number): void {
    const claimable = startsLeft(lane, now) > 0;
    if (claimable) this.#freed.add(lane);
    this.lanes.setClaimable(lane, claimable);
  }

  #newId(): number {
    if (this.#nextId >= this.#reserved) this.#reserveIds();
    return this.#nextId++;
  }

  #reserveIds(): void {
    this.#reserved = this.#nextId + ID_BLOCK;
    this.#sql.putMeta.run("next_id", this.#reserved);
  }

  /** Gives back what of the last block was not used. */
  releaseIds(): void {
    this.#sql.putMeta.run("next_id", this.#nextId);
  }

  // ---- lanes

  laneFor(tx: Transaction, tenant: string, queue: string, typed: boolean): Lane {
    const known = this.lanes.find(tenant, queue);
    if (known !== undefined) return known;
    if (this.lanes.queuesOf(tenant) >= QUEUES_PER_TENANT) {
      throw new QueueError(
        "LIMIT_REACHED",
        `There are ${QUEUES_PER_TENANT} queues already, as many as a tenant can have`,
      );
    }
    const no = this.#addLane(tenant, queue, typed);
    const lane = this.lanes.add({
      no,
      tenant,
      queue,
      typed,
      paused: false,
      rateLimit: null,
      concurrency: null,
    });
    tx.onRollback(() => this.lanes.drop(lane));
    if (typed && !this.#typedActive.has(tenant)) {
      const laneNo = this.#addLane(tenant, TYPED_QUEUES, true);
      this.#typedActive.set(tenant, { laneNo, runs: 0 });
      tx.onRollback(() => this.#typedActive.delete(tenant));
    }
    return lane;
  }

  #dropLane(lane: Lane): void {
    this.#sql.deleteLane.run(lane.no);
    this.lanes.drop(lane);
  }

  #addLane(tenant: string, queue: string, typed: boolean): number {
    return Number(this.#sql.insertLane.run(tenant, queue, typed ? 1 : 0).lastInsertRowid);
  }

  configure(tx: Transaction, lane: Lane, settings: Partial<QueueSettings>): QueueSettings {
    this.#touch(lane);
    const was = lane.paused;
    if (settings.paused !== undefined) lane.paused = settings.paused;
    if (settings.rateLimit !== undefined) lane.rateLimit = settings.rateLimit;
    if (settings.concurrency !== undefined) lane.concurrency = settings.concurrency;
    this.#sql.updateLane.run(lane.paused ? 1 : 0, lane.rateLimit, lane.concurrency, lane.no);
    if (was !== lane.paused) {
      this.events.add(lane.paused ? "queue.paused" : "queue.resumed", lane, 0, tx.now);
    }
    if (settings.indexedPaths !== undefined) {
      this.indexes.configure(tx, lane, settings.indexedPaths, this.#nextId - 1);
      this.agenda.add(tx.now, Due.indexes, lane.no);
    }
    this.#refresh(lane, tx.now);
    return settingsOf(lane);
  }

  // ---- submit

  /** What these webhooks ask for is told from now on: all that the tenant has. */
  ask(tx: Transaction, tenant: string, webhooks: readonly WebhookRecord[]): void {
    const takeBack = this.outbox.ask(tenant, webhooks);
    const refresh = (): void => {
      for (const lane of this.lanes.ofTenant(tenant)) {
        lane.asked = this.outbox.askedOf(tenant, lane.queue);
      }
    };
    refresh();
    tx.onRollback(() => {
      takeBack();
      refresh();
    });
  }

  enqueue(tx: Transaction, specs: readonly JobSpec[], atomic: boolean): Outcome<number>[] {
    // Those they depend on may have been added a moment ago.
    if (specs.some(({ dependsOn }) => dependsOn.length > 0)) this.flush();
    const outcomes: (Outcome<number> | undefined)[] = Array.from(specs, () => undefined);
    const ids = specs.map(() => this.#newId());
    const added: OpenRow[] = [];
    const held = new Map<string, number>();
    const places = new Map<LaneGroup, number>();
    const created: Lane[] = [];
    let last: Lane | undefined;
    const add = (i: number): Outcome<number> => {
      const known = outcomes[i];
      if (known !== undefined) return known;
      const spec = specs[i] as JobSpec;
      const id = ids[i] as number;
      try {
        const siblings: number[] = [];
        for (const sibling of spec.dependsOnSiblings) {
          if (add(sibling) instanceof QueueError) {
            throw new QueueError(
              "DEPENDENCY_NOT_FOUND",
              `Job ${sibling} of the batch was refused`,
              {
                ids: [],
              },
            );
          }
          siblings.push(ids[sibling] as number);
        }
        const { tenant, queue } = spec;
        const known =
          last?.queue === queue && last.tenant === tenant ? last : this.lanes.find(tenant, queue);
        const row = this.#admit(tx, spec, known, { id, siblings, held, places });
        if (known === undefined) created.push(row.lane);
        last = row.lane;
        added.push(row);
        return (outcomes[i] = id);
      } catch (error) {
        if (!(error instanceof QueueError)) throw error;
        // That of a sibling at fault stays.
        const told = new QueueError(error.code, error.message, { index: i, ...error.details });
        if (atomic) throw withoutOwnIds(told, ids);
        return (outcomes[i] = told);
      }
    };
    try {
      for (let i = 0; i < specs.length; i++) add(i);
    } catch (error) {
      // A refused call has changed nothing.
      if (error instanceof QueueError) for (const lane of created) this.#dropLane(lane);
      throw error;
    }
    for (const row of added) {
      const { id, lane, priority, createdAt, options, data } = row;
      this.#insertJob.add([lane.no, priority, createdAt, encodeOptions(options)], [id, data]);
      this.#openJobs.add(row);
      this.#added(tx, row);
    }
    return outcomes as Outcome<number>[];
  }

  enqueueOnce(
    tx: Transaction,
    specs: readonly JobSpec[],
    atomic: boolean,
    { tenant, key, note }: { readonly tenant: string; readonly key: string; readonly note: string },
  ): Answer {
    const known = this.answers.find(tenant, key, tx.now);
    if (known !== null) return known;
    const outcome = attempt(() => this.enqueue(tx, specs, atomic));
    const told = outcome instanceof QueueError ? [outcome] : outcome;
    const lasting =
      told.some((each) => typeof each === "number") || !told.some((each) => isForWantOfRoom(each));
    if (lasting) this.answers.keep(tenant, key, tx.now, { outcome, note });
    return { outcome, note, repeated: false };
  }

  /**
   * Checks a new job against the store without writing anything. `known`: its lane, where it has one; `held` and `places`:
   * keys that jobs of the same call hold, and how many of them each group has taken.
   */
  #admit(
    tx: Transaction,
    spec: JobSpec,
    known: Lane | undefined,
    {
      id,
      siblings,
      held,
      places,
    }: {
      readonly id: number;
      readonly siblings: readonly number[];
      readonly held: Map<string, number>;
      readonly places: Map<LaneGroup, number>;
    },
  ): OpenRow {
    const { dependsOn } = spec;
    let pending = siblings.length;
    const hopeless: number[] = [];
    for (const parent of dependsOn) {
      const progress = this.#progressOf(parent, spec.tenant);
      if (progress === "never") hopeless.push(parent);
      else if (progress === "pending") pending++;
    }
    if (hopeless.length > 0) {
      const what = `Jobs to depend on were not found, or were cancelled: ${hopeless.join(", ")}`;
      throw new QueueError("DEPENDENCY_NOT_FOUND", what, { ids: hopeless });
    }
    if (known !== undefined && spec.uniqueKey !== null) {
      const holder =
        held.get(`${known.no} ${spec.uniqueKey}`) ??
        this.#sql.findUnique.get(known.no, spec.uniqueKey)?.["id"] ??
        undefined;
      if (holder !== undefined) {
        throw new QueueError("DUPLICATE_JOB", "Duplicate job", { existingId: Number(holder) });
      }
    }
    const group = known === undefined ? this.lanes.groupOf(spec.tenant, spec.queue) : known.group;
    const taken = group === null ? 0 : (places.get(group) ?? 0);
    if (group !== null) refuseIfFull(group, taken);
    const lane = known ?? this.laneFor(tx, spec.tenant, spec.queue, spec.typed);
    if (group !== null) places.set(group, taken + 1);
    if (spec.uniqueKey !== null) held.set(`${lane.no} ${spec.uniqueKey}`, id);
    const runAt = tx.now + spec.delayMs;
    return {
      id,
      lane,
      priority: spec.priority,
      createdAt: tx.now,
      options: optionsOf(spec, siblings.length === 0 ? dependsOn : [...dependsOn, ...siblings]),
      expireAt: spec.ttlMs === null ? null : tx.now + spec.ttlMs,
      data: encodePayload(spec.data),
      phase: pending > 0 ? Phase.blocked : spec.delayMs > 0 ? Phase.delayed : Phase.ready,
      ord: spec.lifo ? -id : id,
      runAt,
      attempts: 0,
      crashes: 0,
      error: null,
      over: 0,
    };
  }

  /** How far a job to depend on is. */
  #progressOf(parent: number, tenant: string): "done" | "pending" | "never" {
    const found = this.#sql.findState.get(parent);
    const lane = found === undefined ? undefined : this.lanes.get(Number(found["lane"]));
    if (lane === undefined || lane.tenant !== tenant) return "never";
    const phase = found?.["finished"] as FinishedPhase | null;
    if (phase === Phase.cancelled) return "never";
    return phase === Phase.completed ? "done" : "pending";
  }

  /** The job is in the tables: everything that hangs on it. */
  #added(tx: Transaction, row: OpenRow): void {
    const { id, lane, options } = row;
    if (options.uniqueKey !== null) this.#sql.insertUnique.run(lane.no, options.uniqueKey, id);
    for (const parent of options.dependsOn) {
      const found = this.#sql.findState.get(parent);
      const done = found?.["finished"] === Phase.completed ? 1 : 0;
      this.#dependOn(tx, parent, id, done);
    }
    for (const [kind, value] of labels(options)) {
      this.labels.add(lane.tenant, kind, value, id);
    }
    this.#keepFile(row.data);
    this.indexes.add(lane, id, row.data, "data");
    this.#touch(lane);
    lane.counts[stateOf(row.phase)]++;
    this.facts.set(id, lane.no, stateOf(row.phase), row.priority);
    this.facts.created(id, row.createdAt);
    this.rollups.add(lane, row.priority, options.project, "added");
    this.events.add("job.pushed", lane, id, tx.now);
    if (row.expireAt !== null) this.agenda.add(row.expireAt, Due.expiry, id);
    if (row.phase === Phase.delayed) this.agenda.add(row.runAt, Due.job, id);
    if (row.phase === Phase.ready) {
      this.#remember(row);
      lane.ready.push(row.priority, row.ord, id);
      if (!lane.claimable) this.#refresh(lane, tx.now);
    }
  }

  #keepFile(payload: string | null): void {
    if (!isFile(payload)) return;
    for (const { file } of payloadFiles(payload)) this.#sql.insertFile.run(file);
  }

  filesInUse(files: readonly string[]): string[] {
    const rows = this.#sql.filesInUse.all(JSON.stringify(files)) as unknown as [string][];
    return rows.map(([file]) => file);
  }

  #dependOn(tx: Transaction, parent: number, child: number, done: 0 | 1): void {
    // Named twice, it counts once.
    const { changes } = this.#sql.insertDependency.run(parent, child, done);
    if (changes > 0) this.#countDependencies(tx, 1);
  }

  #countDependencies(tx: Transaction, change: number): void {
    this.#dependencies += change;
    tx.onRollback(() => (this.#dependencies -= change));
  }

  // ---- rows

  /** Keeps a waiting job's row in memory while there is room; the oldest are claimed first, so nothing makes room. */
  #remember(row: OpenRow): void {
    if (this.#cache.size >= CACHED_JOBS || row.data.length > CACHED_DATA) return;
    if (this.#cachedBytes + row.data.length > CACHED_BYTES) return;
    this.#cache.set(row.id, row);
    this.#cachedBytes += row.data.length;
  }

  #uncache(id: number): OpenRow | undefined {
    const row = this.#cache.get(id);
    if (row !== undefined) {
      this.#cache.delete(id);
      this.#cachedBytes -= row.data.length;
    }
    return row;
  }

  #readOpen(id: number): RevivedRow | undefined {
    if (!this.facts.isOpen(id)) return undefined;
    const found = this.#sql.getOpen.get(id) as unknown as OpenTuple | undefined;
    if (found === undefined) return undefined;
    const lane = this.lanes.get(found[1]);
    return lane === undefined ? undefined : openRow(found, lane);
  }

  /** An open job's row, from memory if it is there. */
  #open(id: number): OpenRow | undefined {
    return this.#active.get(id)?.row ?? this.#cache.get(id) ?? this.#readOpen(id);
  }

  /** The job as the port shows it; undefined when it is not there for this tenant. */
  read(tenant: TenantScope, id: number): Job | undefined {
    return this.#decode(tenant, this.#sql.getJob.get(id) as unknown as JobTuple | undefined);
  }

  outline(tenant: TenantScope, id: number): JobOutline | undefined {
    const found = this.#sql.getOutline.get(id) as unknown as JobTuple | undefined;
    const job = this.#decode(tenant, found);
    if (job === undefined) return undefined;
    const { data: _data, result: _result, ...outline } = job;
    return outline;
  }

  #decode(tenant: TenantScope, found: JobTuple | undefined): Job | undefined {
    if (found === undefined) return undefined;
    const lane = this.lanes.get(found[1]);
    if (lane === undefined || !sees(tenant, lane)) return undefined;
    const data = found[5];
    const run = this.#active.get(found[0]);
    if (run !== undefined) return toJob(run.row, data, run);
    const finished = finishedRow(found);
    return toJob(openRow(found, lane), data, undefined, finished);
  }

  dependents(tenant: TenantScope, id: number, limit: number): { ids: number[]; total: number } {
    if (this.outline(tenant, id) === undefined) return { ids: [], total: 0 };
    const rows = this.#sql.oldestDependents.all(id, limit) as { child: number }[];
    const total = Number(this.#sql.countDependents.get(id)?.["n"]);
    return { ids: rows.map(({ child }) => child), total };
  }

  runs(tenant: TenantScope, id: number): readonly JobRun[] {
    const job = this.outline(tenant, id);
    if (job === undefined) return [];
    const rows = this.#sql.runs.all(id) as unknown as readonly JobRun[];
    return runsOf(
      job,
      rows.map((row) => ({ ...row })),
    );
  }

  activeIds(): number[] {
    return [...this.#active.keys()];
  }

  // ---- work

  claim(tx: Transaction, params: ClaimParams): readonly ClaimedJob[] {
    const { queues, tenant } = params;
    const taken: Taken = { params, claim: undefined, runs: [], jobs: [] };
    const { jobs } = taken;
    // Queues in question and what they may still give.
    let sources: { readonly ring: Iterable<Lane>; left: number }[] = [];
    const add = (queue: string, ring: ReadonlySet<Lane> | undefined, left: number): void => {
      if (ring === undefined || left <= 0) return;
      if (tenant === ALL_TENANTS) {
        sources.push({ ring, left });
        return;
      }
      const lane = this.lanes.find(tenant, queue);
      if (lane?.claimable === true) sources.push({ ring: [lane], left });
    };
    if (queues === "untyped") {
      for (const [queue, ring] of this.lanes.rings()) {
        for (const { typed } of ring) {
          if (!typed) add(queue, ring, params.limit);
          break;
        }
      }
    } else {
      for (const { queue, limit } of queues) add(queue, this.lanes.ring(queue), limit);
    }
    // Another queue goes first each time, or small claims would never reach the later ones.
    if (sources.length > 1) {
      const first = this.#turn++ % sources.length;
      sources = [...sources.slice(first), ...sources.slice(0, first)];
    }
    while (sources.length > 0 && jobs.length < params.limit) {
      for (const source of sources) {
        if (jobs.length >= params.limit) break;
        const turn = nextInTurn(source.ring);
        if (turn === undefined) {
          source.left = 0;
          continue;
        }
        const { lane, alone } = turn;
        // Lanes take turns one job at a time; a lane without rivals gives all it can.
        const most = Math.min(params.limit - jobs.length, source.left);
        const count = this.#take(tx, lane, alone && sources.length === 1 ? most : 1, taken);
        this.lanes.toBack(lane);
        // Of a lane that had nothing after all, the ring is rid by now.
        source.left = count === 0 && lane.claimable ? 0 : source.left - count;
      }
      sources = sources.filter((source) => source.left > 0);
    }
    if (taken.claim !== undefined && taken.runs.length > 0) this.#record(taken.claim, taken.runs);
    return jobs;
  }

  /** Makes up to `most` waiting jobs of a lane runs of the claim; answers how many. */
  #take(tx: Transaction, lane: Lane, most: number, taken: Taken): number {
    const { now } = tx;
    this.#touch(lane);
    const left = Math.min(most, startsLeft(lane, now));
    if (left === 0) {
      this.#refresh(lane, now);
      return 0;
    }
    const claim = (taken.claim ??= this.#newClaim(tx, taken));
    const passed: { priority: number; ord: number; id: number }[] = [];
    let count = 0;
    while (count < left && lane.ready.pop()) {
      const { priority, ord, id } = popped;
      let row: OpenRow | undefined;
      try {
        // What is in memory is not being run.
        row = this.#uncache(id) ?? (this.#active.has(id) ? undefined : this.#readOpen(id));
      } catch (error) {
        lane.ready.push(priority, ord, id);
        throw error;
      }
      const expired = row !== undefined && hasExpired(row, now);
      // Whatever left the order otherwise (cancelled, expired, requeued elsewhere) left its entry behind.
      if (row === undefined || row.phase !== Phase.ready || row.ord !== ord || expired) {
        if (passed.length === 0) {
          // It may have left in this very transaction.
          tx.onRollback(() => {
            for (const { priority, ord, id } of passed) lane.ready.push(priority, ord, id);
          });
        }
        passed.push({ priority, ord, id });
        if (expired) this.#expire(tx, id);
        continue;
      }
      count++;
      lane.counts.waiting--;
      lane.counts.active++;
      if (lane.rateLimit !== null) this.#countStart(lane, lane.rateLimit, now);
      const { data } = row;
      row.data = "";
      const run = this.#begin(row, claim, now, now);
      taken.runs.push(run);
      if (lane.typed) this.#typedRuns(lane, 1);
      const job: { lease?: string } & Job = toJob(row, data, run);
      job.lease = claim.lease;
      taken.jobs.push(job as ClaimedJob);
      this.events.add("job.started", lane, id, now);
    }
    if (count > 0) this.rollups.active(lane.no, lane.counts.active);
    this.#tidy(tx, lane);
    this.#refresh(lane, now);
    return count;
  }

  /** Forgets the entries that jobs left behind, once they are known to be nothing else. */
  #tidy(tx: Transaction, lane: Lane): void {
    if (lane.counts.waiting > 0) return;
    tx.onCommit(() => {
      if (lane.counts.waiting === 0) lane.ready.clear();
    });
  }

  #countStart(lane: Lane, rateLimit: number, now: number): void {
    if (now >= lane.windowEnd) {
      lane.windowEnd = now + RATE_WINDOW_MS;
      lane.windowStarts = 0;
    }
    lane.windowStarts++;
    if (lane.windowStarts === rateLimit) this.agenda.add(lane.windowEnd, Due.lane, lane.no);
  }

  #newClaim(tx: Transaction, { params, runs }: Taken): Claim {
    const { worker, inProcess, timeoutFrom, leaseMs } = params;
    const no = this.#newId();
    tx.onRollback(() => {
      for (const run of runs) {
        this.#end(run);
        const { lane, priority, ord, id } = run.row;
        if (lane.typed) this.#typedRuns(lane, -1);
        lane.ready.push(priority, ord, id);
      }
    });
    return { no, lease: leaseOf(no), worker, inProcess, timeoutFrom, leaseMs, at: tx.now, left: 0 };
  }

  /** Writes a claim down. */
  #record(claim: Claim, runs: readonly Run[]): void {
    const { no, worker, inProcess, timeoutFrom, leaseMs, at } = claim;
    const ids = JSON.stringify(runs.map((run) => run.row.id));
    this.#sql.insertClaim.run(no, worker, inProcess ? 1 : 0, timeoutFrom, leaseMs, at, ids);
  }

  #typedRuns(lane: Lane, change: number): void {
    const typed = this.#typedActive.get(lane.tenant);
    if (typed === undefined) return;
    typed.runs += change;
    if (change > 0) this.rollups.active(typed.laneNo, typed.runs);
  }

  #begin(row: OpenRow, claim: Claim, from: number, now: number): Run {
    const run: Run = {
      row,
      claim,
      timeoutAt: row.options.timeoutMs === null ? Infinity : from + row.options.timeoutMs,
      leaseUntil: 0,
      slot: 0,
      progress: 0,
      message: null,
      stats: null,
      stop: null,
    };
    this.#alive(run, now);
    this.#active.set(row.id, run);
    this.#deadlines.add(run);
    claim.left++;
    return run;
  }

  /** A run gave a sign of life. A job's own timeout stands in for the lease of a pulled one. */
  #alive(run: Run, now: number, leaseMs = run.claim.leaseMs): void {
    const timed = run.timeoutAt !== Infinity && run.claim.timeoutFrom === "progress";
    run.leaseUntil = timed ? Infinity : now + leaseMs;
  }

  #end(run: Run): void {
    this.#active.delete(run.row.id);
    this.#deadlines.remove(run);
    run.claim.left--;
  }

  /** Keeps what is to be known of a run that did not complete. */
  #note(
    tx: Transaction,
    { row, claim }: Run,
    outcome: RunOutcome,
    error: string | null,
    nextAt: number | null,
  ): void {
    const n = Number(this.#sql.lastRun.get(row.id)?.["n"] ?? 0) + 1;
    const { at, worker } = claim;
    this.#sql.insertRun.run(row.id, n, at, tx.now, outcome, worker, error, nextAt);
    if (n > KEPT_RUNS) this.#sql.trimRuns.run(row.id, n - KEPT_RUNS);
  }

  /** Ends a run; what becomes of the job is the caller's. */
  #over(tx: Transaction, run: Run): void {
    const { row, claim } = run;
    this.#touch(row.lane);
    this.#end(run);
    row.lane.counts.active--;
    if (row.lane.typed) this.#typedRuns(row.lane, -1);
    if (claim.left === 0) this.#endedClaims.push(claim.no);
    const { over, error, attempts, crashes, phase, ord, runAt } = row;
    tx.onRollback(() => {
      Object.assign(row, { over, error, attempts, crashes, phase, ord, runAt });
      this.#active.set(row.id, run);
      this.#deadlines.add(run);
      claim.left++;
      if (row.lane.typed) this.#typedRuns(row.lane, 1);
    });
    row.over = claim.no;
  }

  /** The run a reference means. */
  #run(tenant: TenantScope, ref: RunRef, now: number): Run {
    return this.#mayReport(this.#active.get(ref.id), tenant, ref, now);
  }

  #mayReport(run: Run | undefined, tenant: TenantScope, ref: RunRef, now: number): Run {
    if (run === undefined || !sees(tenant, run.row.lane)) {
      const job = this.read(tenant, ref.id);
      if (job === undefined) throw jobNotFound(ref.id);
      if (ref.lease !== undefined) throw staleLease(ref.id);
      throw invalidState(ref.id, job.state, "is not being run");
    }
    if (ref.lease !== undefined && ref.lease !== run.claim.lease) throw staleLease(ref.id);
    // Out of time, though nobody has come round to say so.
    if (now >= run.timeoutAt) throw staleLease(ref.id);
    return run;
  }

  renew(
    tx: Transaction,
    tenant: TenantScope,
    runs: readonly RunRef[],
    worker: string | undefined,
    leaseMs: number,
  ): Outcome<true>[] {
    const outcomes = runs.map((ref) =>
      attempt((): true => {
        this.#renewed(this.#run(tenant, ref, tx.now), tx.now, leaseMs);
        return true;
      }),
    );
    if (worker !== undefined) {
      for (const run of this.#active.values()) {
        if (run.claim.worker === worker && sees(tenant, run.row.lane) && tx.now < run.timeoutAt) {
          this.#renewed(run, tx.now, leaseMs);
        }
      }
    }
    return outcomes;
  }

  #renewed(run: Run, now: number, leaseMs: number): void {
    this.#alive(run, now, leaseMs);
    this.#deadlines.move(run);
  }

  complete(tx: Transaction, tenant: TenantScope, runs: readonly Completion[]): Outcome<true>[] {
    const ended: { readonly row: OpenRow; readonly finished: FinishedRow }[] = [];
    const outcomes = runs.map((ref) =>
      attempt((): true => {
        // Asked for twice: the second must find the job as the first left it.
        let known = this.#active.get(ref.id);
        if (known === undefined && ended.length > 0) {
          this.#finish(tx, ended.splice(0));
          known = this.#active.get(ref.id);
        }
        const run = this.#mayReport(known, tenant, ref, tx.now);
        if (run.stop !== null) {
          this.#cancelRun(tx, run);
          return true;
        }
        const { row, claim } = run;
        this.#over(tx, run);
        row.attempts++;
        this.rollups.completed(row.lane, row.priority, row.options.project, {
          durationMs: tx.now - claim.at,
          waitMs: Math.max(0, claim.at - row.runAt),
          tokens: ref.tokens ?? 0,
        });
        this.events.add("job.completed", row.lane, row.id, tx.now);
        ended.push({
          row,
          finished: {
            phase: Phase.completed,
            startedAt: claim.at,
            finishedAt: tx.now,
            attempts: row.attempts,
            crashes: row.crashes,
            worker: claim.worker,
            result: ref.result === null ? null : encodePayload(ref.result),
            error: null,
            report: encodeReport(run),
          },
        });
        return true;
      }),
    );
    this.#finish(tx, ended);
    return outcomes;
  }

  fail(tx: Transaction, tenant: TenantScope, runs: readonly Failure[]): Outcome<JobState>[] {
    return runs.map((ref) =>
      attempt((): JobState => {
        const run = this.#run(tenant, ref, tx.now);
        if (ref.attempt !== run.row.attempts + 1) throw staleLease(ref.id);
        return this.#failed(tx, run, ref.error, ref.retryAt, "failed");
      }),
    );
  }

  /** A run ended in failure, which counts as an attempt. */
  #failed(
    tx: Transaction,
    run: Run,
    error: JobFailure,
    retryAt: number | null,
    outcome: "failed" | "stalled",
  ): JobState {
    if (run.stop !== null) return this.#cancelRun(tx, run);
    const { row } = run;
    const { lane, id } = row;
    this.#over(tx, run);
    this.#note(tx, run, outcome, error.message, retryAt && Math.max(retryAt, tx.now));
    row.attempts++;
    row.error = JSON.stringify(error);
    const final = retryAt === null;
    this.events.add("job.failed", lane, id, tx.now, { error: error.message, final });
    if (final) {
      this.#finish(tx, [{ row, finished: this.#failure(tx, run) }]);
      this.rollups.add(lane, row.priority, row.options.project, "failed");
      return "failed";
    }
    this.rollups.add(lane, row.priority, row.options.project, "retried");
    if (retryAt > tx.now) {
      row.runAt = retryAt;
      this.#place(tx, row, Phase.delayed);
      return "delayed";
    }
    this.#place(tx, row, Phase.ready);
    return "waiting";
  }

  #failure(tx: Transaction, run: Run): FinishedRow {
    const { row, claim } = run;
    return {
      phase: Phase.failed,
      startedAt: claim.at,
      finishedAt: tx.now,
      attempts: row.attempts,
      crashes: row.crashes,
      worker: claim.worker,
      result: null,
      error: row.error,
      report: encodeReport(run),
    };
  }

  release(
    tx: Transaction,
    tenant: TenantScope,
    runs: readonly RunRef[],
    crashed: JobFailure | undefined,
  ): Outcome<JobState>[] {
    return runs.map((ref) =>
      attempt((): JobState => {
        const run = this.#run(tenant, ref, tx.now);
        if (crashed === undefined) return this.#released(tx, run);
        return this.#crashed(tx, run, crashed, "crashed");
      }),
    );
  }

  #released(tx: Transaction, run: Run): JobState {
    if (run.stop !== null) return this.#cancelRun(tx, run);
    this.#over(tx, run);
    this.#note(tx, run, "released", null, tx.now);
    this.#place(tx, run.row, Phase.ready, "same place");
    return "waiting";
  }

  /** The run's worker is gone. */
  #crashed(tx: Transaction, run: Run, error: JobFailure, outcome: "crashed" | "stalled"): JobState {
    if (run.stop !== null) return this.#cancelRun(tx, run);
    const { row } = run;
    const { lane, id } = row;
    this.#over(tx, run);
    row.crashes++;
    this.rollups.add(lane, row.priority, row.options.project, "stalled");
    this.events.add("job.stalled", lane, id, tx.now, { error: error.message });
    const again = afterCrash(row.crashes) === "requeue";
    this.#note(tx, run, outcome, error.message, again ? tx.now : null);
    if (again) {
      this.#place(tx, row, Phase.ready, "same place");
      return "waiting";
    }
    row.error = JSON.stringify({
      code: "crashed",
      message: `The worker died or went silent ${row.crashes} times while it ran this job, as often as is tried (${CRASH_LIMIT}); last: ${error.message}`,
    } satisfies JobFailure);
    this.events.add("job.failed", lane, id, tx.now, { error: error.message, final: true });
    this.#finish(tx, [{ row, finished: this.#failure(tx, run) }]);
    this.rollups.add(lane, row.priority, row.options.project, "failed");
    return "failed";
  }

  /** Puts an open job where it belongs, on disk and in memory; its counts entry was taken off before. */
  #place(tx: Transaction, row: OpenRow, phase: Phase, where: "end" | "same place" = "end"): void {
    const { lane, id } = row;
    this.#touch(lane);
    row.phase = phase;
    if (phase === Phase.ready && where === "end") {
      const ord = this.#newId();
      row.ord = row.options.lifo ? -ord : ord;
      row.runAt = tx.now;
    }
    this.#uncache(id);
    this.#openJobs.update(row);
    lane.counts[stateOf(phase)]++;
    this.facts.set(id, lane.no, stateOf(phase), row.priority);
    if (phase === Phase.ready) lane.ready.push(row.priority, row.ord, id);
    if (phase === Phase.delayed) this.agenda.add(row.runAt, Due.job, id);
    this.#refresh(lane, tx.now);
  }

  /** Moves open jobs to the finished ones; their runs, counts and events are the caller's. */
  #finish(
    tx: Transaction,
    ended: readonly { readonly row: OpenRow; readonly finished: FinishedRow }[],
  ): void {
    if (ended.length === 0) return;
    const byLane = new Map<Lane, number[]>();
    let last: { readonly lane: Lane; readonly ids: number[] } | undefined;
    for (const { row, finished } of ended) {
      const { id, lane } = row;
      const { phase, startedAt, finishedAt, attempts, crashes, worker, error, report } = finished;
      const runAt = row.runAt === row.createdAt ? null : row.runAt;
      const run = [startedAt, finishedAt, attempts, crashes, worker, error, report];
      this.#insertFinished.add([lane.no, phase, runAt, ...run], [id, finished.result]);
      this.#keepFile(finished.result);
      this.indexes.add(lane, id, finished.result, "result");
      if (finished.phase === Phase.failed) {
        this.#sql.insertFailure.run(id, lane.no, finished.error, finished.finishedAt);
      }
      this.#touch(lane);
      lane.counts[stateOf(finished.phase)]++;
      this.facts.set(id, lane.no, stateOf(finished.phase), row.priority);
      this.#logFinished(lane, finished.phase, id);
      if (last?.lane !== lane) {
        let ids = byLane.get(lane);
        if (ids === undefined) byLane.set(lane, (ids = []));
        last = { lane, ids };
      }
      last.ids.push(id);
      if (row.options.uniqueKey !== null) {
        this.#sql.deleteUnique.run(lane.no, row.options.uniqueKey);
      }
    }
    for (const [lane, ids] of byLane) {
      this.#openJobs.delete(lane.no, ids);
      this.#refresh(lane, tx.now);
    }
    this.#insertFinished.flush();
    if (this.#dependencies === 0) return;
    for (const { row, finished } of ended) {
      if (row.options.dependsOn.length > 0) this.#dropDependencies(tx, row.id);
      if (finished.phase === Phase.completed) this.#freeDependents(tx, row.id);
      else if (finished.phase === Phase.cancelled) this.#failDependents(tx, row.id, "cancelled");
    }
  }

  #logFinished(lane: Lane, phase: FinishedPhase, id: number): void {
    const key = lane.no * 8 + phase;
    const ids = this.#finished.get(key);
    if (ids === undefined) this.#finished.set(key, [id]);
    else ids.push(id);
  }

  // ---- dependencies

  #dropDependencies(tx: Transaction, child: number): void {
    const { changes } = this.#sql.deleteDependencies.run(child);
    if (changes > 0) this.#countDependencies(tx, -Number(changes));
  }

  #freeDependents(tx: Transaction, parent: number): void {
    for (const { child } of this.#sql.dependents.all(parent) as { child: number }[]) {
      this.#sql.dependencyDone.run(parent, child);
      if (this.#sql.undone.get(child) !== undefined) continue;
      const row = this.#open(child);
      if (row === undefined || row.phase !== Phase.blocked) continue;
      this.#touch(row.lane);
      row.lane.counts.blocked--;
      this.#place(tx, row, row.runAt > tx.now ? Phase.delayed : Phase.ready);
    }
  }

  #failDependents(tx: Transaction, parent: number, what: "cancelled" | "removed"): void {
    const children = this.#sql.dependents.all(parent) as { child: number }[];
    for (const { child } of children) {
      const row = this.#open(child);
      if (row === undefined || row.phase !== Phase.blocked) continue;
      this.#drop(tx, row, Phase.failed, {
        code: "dependency_cancelled",
        message: `Job ${parent}, on which this job depends, was ${what}`,
      });
    }
  }

  // ---- admin

  /** Finishes a job that is not being run. */
  #drop(
    tx: Transaction,
    row: OpenRow,
    phase: typeof Phase.failed | typeof Phase.cancelled,
    error: JobFailure,
  ): void {
    const { lane, id } = row;
    this.#uncache(id);
    this.#touch(lane);
    lane.counts[stateOf(row.phase)]--;
    this.#tidy(tx, lane);
    const failed = phase === Phase.failed;
    this.rollups.add(lane, row.priority, row.options.project, failed ? "failed" : "cancelled");
    this.events.add(failed ? "job.failed" : "job.cancelled", lane, id, tx.now, {
      error: error.message,
      ...(failed ? { final: true } : {}),
    });
    this.#finish(tx, [
      {
        row,
        finished: {
          phase,
          startedAt: null,
          finishedAt: tx.now,
          attempts: row.attempts,
          crashes: row.crashes,
          worker: null,
          result: null,
          error: JSON.stringify(error),
          report: null,
        },
      },
    ]);
  }

  /** Ends a run whose cancellation was asked for. */
  #cancelRun(tx: Transaction, run: Run): "cancelled" {
    const { row } = run;
    this.#over(tx, run);
    const message = run.stop ?? "cancelled";
    this.#note(tx, run, "cancelled", message, null);
    row.error = JSON.stringify({ code: "cancelled", message } satisfies JobFailure);
    this.rollups.add(row.lane, row.priority, row.options.project, "cancelled");
    this.events.add("job.cancelled", row.lane, row.id, tx.now, { error: message });
    this.#finish(tx, [{ row, finished: { ...this.#failure(tx, run), phase: Phase.cancelled } }]);
    return "cancelled";
  }

  #askToStop(tx: Transaction, run: Run, reason: StopRequest["reason"]): void {
    const request: StopRequest = { id: run.row.id, lease: run.claim.lease, reason };
    tx.onCommit(() => {
      for (const listener of this.stopListeners) listener(request);
    });
  }

  cancel(tx: Transaction, tenant: TenantScope, id: number, running: boolean, reason: string): true {
    const run = this.#active.get(id);
    if (run !== undefined && sees(tenant, run.row.lane)) {
      if (!running) throw invalidState(id, "active", "cannot be cancelled");
      if (run.stop !== null) return true;
      run.stop = reason;
      tx.onRollback(() => (run.stop = null));
      if (run.claim.inProcess) {
        this.#openJobs.stop(run);
        this.#askToStop(tx, run, "cancelled");
      } else {
        this.#cancelRun(tx, run);
      }
      return true;
    }
    const row = this.#settable(
      tenant,
      id,
      ["waiting", "delayed", "blocked"],
      "cannot be cancelled",
    );
    this.#drop(tx, row, Phase.cancelled, { code: "cancelled", message: reason });
    return true;
  }

  /** The open row of a job in one of these states. */
  #settable(
    tenant: TenantScope,
    id: number,
    states: readonly JobState[],
    refusal: string,
  ): OpenRow {
    const row = this.#active.has(id) ? undefined : this.#open(id);
    if (row !== undefined && sees(tenant, row.lane) && states.includes(stateOf(row.phase))) {
      return row;
    }
    const job = this.read(tenant, id);
    if (job === undefined) throw jobNotFound(id);
    throw invalidState(id, job.state, refusal);
  }

  promote(tx: Transaction, tenant: TenantScope, id: number): true {
    const row = this.#settable(tenant, id, ["delayed"], "is not delayed");
    this.#makeReady(tx, row);
    return true;
  }

  #makeReady(tx: Transaction, row: OpenRow): void {
    this.#touch(row.lane);
    row.lane.counts[stateOf(row.phase)]--;
    this.#place(tx, row, Phase.ready);
  }

  retry(tx: Transaction, tenant: TenantScope, id: number): true {
    const found = this.#sql.getJob.get(id) as unknown as JobTuple | undefined;
    const lane = found === undefined ? undefined : this.lanes.get(found[1]);
    if (found === undefined || lane === undefined || !sees(tenant, lane)) throw jobNotFound(id);
    const finished = finishedRow(found);
    if (finished === undefined || finished.phase === Phase.completed) {
      const state = this.#active.has(id)
        ? "active"
        : stateOf(finished?.phase ?? found[6] ?? Phase.ready);
      throw invalidState(id, state, "has not failed");
    }
    const options = decodeOptions(found[4]);
    if (options.uniqueKey !== null) {
      const holder = this.#sql.findUnique.get(lane.no, options.uniqueKey)?.["id"];
      if (holder !== undefined) {
        throw new QueueError("DUPLICATE_JOB", "Duplicate job", { existingId: Number(holder) });
      }
    }
    if (lane.group !== null) refuseIfFull(lane.group, 0);
    if (options.uniqueKey !== null) this.#sql.insertUnique.run(lane.no, options.uniqueKey, id);
    this.#touch(lane);
    this.#sql.deleteFinished.run(lane.no, finished.phase, id);
    if (finished.phase === Phase.failed) this.#sql.deleteFailure.run(id);
    lane.counts[stateOf(finished.phase)]--;
    // What can still complete is waited for again; what is gone or was cancelled the retry is meant to do without.
    const pending = options.dependsOn.filter(
      (parent) => this.#progressOf(parent, lane.tenant) === "pending",
    );
    for (const parent of pending) this.#dependOn(tx, parent, id, 0);
    const phase = pending.length > 0 ? Phase.blocked : Phase.ready;
    const ord = this.#newId();
    const row: OpenRow = {
      ...openRow(found, lane),
      options,
      // A time to live counts once: the retry was asked for after it began.
      expireAt: null,
      phase,
      ord: options.lifo ? -ord : ord,
      runAt: tx.now,
      attempts: 0,
      crashes: 0,
      error: null,
      // A claim that gave out its earlier run may live on with other jobs.
      over: ord,
    };
    this.#openJobs.add(row);
    this.#openJobs.flush();
    this.#openJobs.over(row);
    lane.counts[stateOf(phase)]++;
    this.facts.set(id, lane.no, stateOf(phase), row.priority);
    if (phase === Phase.ready) lane.ready.push(row.priority, row.ord, id);
    this.events.add("job.pushed", lane, id, tx.now);
    this.#refresh(lane, tx.now);
    return true;
  }

  remove(tx: Transaction, tenant: TenantScope, id: number): RemovedJob {
    const found = this.#sql.getJob.get(id) as unknown as JobTuple | undefined;
    const lane = found === undefined ? undefined : this.lanes.get(found[1]);
    if (found === undefined || lane === undefined || !sees(tenant, lane)) throw jobNotFound(id);
    if (this.#active.has(id)) throw invalidState(id, "active", "is being run");
    const finished = finishedRow(found);
    this.#touch(lane);
    if (finished === undefined) {
      const row = openRow(found, lane);
      lane.counts[stateOf(row.phase)]--;
      this.#tidy(tx, lane);
      if (row.options.uniqueKey !== null)
        this.#sql.deleteUnique.run(lane.no, row.options.uniqueKey);
      this.#uncache(id);
      this.#openJobs.delete(lane.no, [id]);
      this.#dropDependencies(tx, id);
      this.#refresh(lane, tx.now);
    } else {
      this.#sql.deleteFinished.run(lane.no, finished.phase, id);
      lane.counts[stateOf(finished.phase)]--;
    }
    if (this.#dependencies > 0) {
      // A child that waits for a job it will never see complete fails; one that has all it needs goes on.
      if (finished?.phase !== Phase.completed) this.#failDependents(tx, id, "removed");
    }
    return this.#erase(lane, found);
  }

  /** The job's last traces, once it is neither open nor finished. */
  #erase(lane: Lane, found: JobTuple): RemovedJob {
    const [id, , priority, , text, data] = found;
    const options = decodeOptions(text);
    const finished = finishedRow(found);
    if (finished?.phase === Phase.failed) this.#sql.deleteFailure.run(id);
    this.indexes.remove(lane, id, data, "data");
    this.indexes.remove(lane, id, finished?.result ?? null, "result");
    const files = payloadFiles(data, finished?.result ?? null);
    for (const { file } of files) this.#sql.deleteFile.run(file);
    this.#sql.deleteJob.run(id);
    this.facts.remove(id);
    this.#sql.deleteLogs.run(id);
    this.#sql.deleteRuns.run(id);
    for (const [kind, value] of labels(options)) {
      this.labels.remove(lane.tenant, kind, value, id);
    }
    this.rollups.add(lane, priority, options.project, "removed");
    return { tenant: lane.tenant, queue: lane.queue, id, files };
  }

  /** Does one thing to one job; false when its state forbids it. */
  act(
    tx: Transaction,
    action: BulkAction,
    id: number,
    reason: string,
    removed: RemovedJob[],
  ): boolean {
    const done = attempt(() => {
      switch (action) {
        case "cancel":
          return this.cancel(tx, ALL_TENANTS, id, true, reason);
        case "retry":
          return this.retry(tx, ALL_TENANTS, id);
        case "promote":
          return this.promote(tx, ALL_TENANTS, id);
        case "remove":
          removed.push(this.remove(tx, ALL_TENANTS, id));
          return true;
      }
    });
    return !(done instanceof QueueError);
  }

  // ---- reports

  progress(
    tx: Transaction,
    tenant: TenantScope,
    reports: readonly Report[],
    leaseMs: number,
  ): Outcome<true>[] {
    return reports.map((report) =>
      attempt((): true => {
        const run = this.#run(tenant, report, tx.now);
        const { progress, message, stats, timeoutAt } = run;
        tx.onRollback(() => {
          Object.assign(run, { progress, message, stats, timeoutAt });
          this.#deadlines.move(run);
        });
        if (report.progress !== undefined) run.progress = report.progress;
        if (report.message !== undefined) run.message = report.message;
        if (report.stats !== undefined) run.stats = report.stats;
        const { timeoutMs } = run.row.options;
        if (timeoutMs !== null && run.claim.timeoutFrom === "progress")
          run.timeoutAt = tx.now + timeoutMs;
        this.#renewed(run, tx.now, leaseMs);
        this.#openJobs.report(run);
        this.events.add("job.progress", run.row.lane, run.row.id, tx.now, {
          progress: run.progress,
          message: run.message,
        });
        return true;
      }),
    );
  }

  log(tx: Transaction, tenant: TenantScope, ref: RunRef, lines: readonly string[]): void {
    const { row } = this.#run(tenant, ref, tx.now);
    let n = Number(this.#sql.lastLine.get(row.id)?.["n"] ?? 0);
    for (const line of lines.slice(-LOG_LINES)) this.#sql.insertLog.run(row.id, ++n, tx.now, line);
    this.#sql.trimLogs.run(row.id, n - LOG_LINES);
  }

  // ---- what time brings

  /** Does some of what is due; true when more is left. */
  upkeep(tx: Transaction): boolean {
    const { now } = tx;
    let steps = 0;
    const past = this.#deadlines.past(now, DUE_STEP);
    for (const run of past) this.#pastDeadline(tx, run);
    steps += past.length;
    while (steps < DUE_STEP && this.agenda.take(now)) {
      steps++;
      const { at, kind, key } = due;
      tx.onRollback(() => this.agenda.add(at, kind, key));
      if (kind === Due.job) {
        const row = this.#open(key);
        if (row?.phase === Phase.delayed && row.runAt <= now) this.#makeReady(tx, row);
      } else if (kind === Due.expiry) {
        this.#expire(tx, key);
      } else if (kind === Due.lane) {
        const lane = this.lanes.get(key);
        if (lane !== undefined) this.#refresh(lane, now);
      } else if (kind === Due.indexes) {
        const lane = this.lanes.get(key);
        // They look for open jobs by their rows.
        this.#openJobs.writeUntil(tx, this.#nextId);
        if (lane !== undefined && this.indexes.step(tx, lane)) {
          // Others come in between.
          this.agenda.add(now, Due.indexes, key);
          return true;
        }
      } else if (kind === Due.answers) {
        steps += this.answers.forget(tx, at);
      }
    }
    return steps >= DUE_STEP;
  }

  #pastDeadline(tx: Transaction, run: Run): void {
    const { row, claim } = run;
    if (claim.inProcess) this.#askToStop(tx, run, "lost");
    if (tx.now < run.timeoutAt) {
      const message = `The run showed no sign of life for ${claim.leaseMs} ms`;
      this.#crashed(tx, run, { code: "lease_expired", message }, "stalled");
      return;
    }
    if (run.stop === null) {
      this.rollups.add(row.lane, row.priority, row.options.project, "stalled");
      this.events.add("job.stalled", row.lane, row.id, tx.now, { error: "timeout" });
    }
    const { maxAttempts, backoffMs } = row.options;
    const retryable = row.lane.typed
      ? jobTypeOf(row.lane.queue)?.defaults.retryableErrors
      : undefined;
    const { retryAt } = decideRetry({
      attemptsMade: row.attempts + 1,
      maxAttempts,
      backoffMs,
      now: tx.now,
      failure: { code: "timeout", dataFault: false },
      ...(retryable === undefined ? {} : { retryableErrors: retryable }),
    });
    const message = `timeout: not done within ${row.options.timeoutMs} ms`;
    this.#failed(tx, run, { code: "timeout", message }, retryAt, "stalled");
  }

  #expire(tx: Transaction, id: number): void {
    if (this.#active.has(id)) return;
    const row = this.#open(id);
    if (row === undefined || !hasExpired(row, tx.now)) return;
    this.#drop(tx, row, Phase.failed, { code: "expired", message: "expired" });
  }

  prune(params: PruneParams): RemovedJob[] {
    const removed: RemovedJob[] = [];
    const ages = [
      [Phase.completed, params.completedBefore],
      [Phase.failed, params.failedBefore],
      [Phase.cancelled, params.failedBefore],
    ] as const;
    for (const [phase, before] of ages) {
      while (removed.length < params.limit) {
        const entry = this.#sql.oldestFinished.get(phase, before);
        if (entry === undefined) break;
        const lane = this.lanes.get(Number(entry["lane"]));
        const ids = JSON.parse(String(entry["ids"])) as number[];
        for (const id of ids.splice(0, params.limit - removed.length)) {
          const gone = lane === undefined ? undefined : this.#prune(lane, phase, id, before);
          if (gone !== undefined) removed.push(gone);
        }
        const no = Number(entry["no"]);
        if (ids.length === 0) this.#sql.deleteFinishLog.run(no);
        else this.#sql.updateFinishLog.run(JSON.stringify(ids), no);
        if (ids.length > 0) break;
      }
    }
    return removed;
  }

  #prune(lane: Lane, phase: FinishedPhase, id: number, before: number): RemovedJob | undefined {
    const found = this.#sql.getJob.get(id) as unknown as JobTuple | undefined;
    const finished = found === undefined ? undefined : finishedRow(found);
    // Retried since; if it finished again, a later entry names it.
    if (found === undefined || finished?.phase !== phase || finished.finishedAt >= before)
      return undefined;
    if (this.#dependencies > 0 && this.#sql.hasDependents.get(id) !== undefined) {
      this.#logFinished(lane, phase, id);
      return undefined;
    }
    this.#touch(lane);
    lane.counts[stateOf(phase)]--;
    this.#sql.deleteFinished.run(lane.no, phase, id);
    return this.#erase(lane, found);
  }

  /** The process is about to end: what it runs goes back, uncounted. */
  releaseInProcess(tx: Transaction): void {
    for (const run of this.#active.values()) {
      if (run.claim.inProcess) this.#released(tx, run);
    }
  }

  /** Nobody can have kept a run of this store; answers how many there were. */
  crashRuns(tx: Transaction, message: string): number {
    const runs = [...this.#active.values()];
    for (const run of runs) this.#crashed(tx, run, { code: "crashed", message }, "crashed");
    return runs.length;
  }

  stats(params: StatsParams, lanes: readonly Lane[]): readonly StatsRow[] {
    const tenants = new Set(lanes.map((lane) => lane.tenant));
    const typed = [...tenants].flatMap((tenant) => this.#typedActive.get(tenant)?.laneNo ?? []);
    return this.rollups.read(params, lanes, typed);
  }

  // ---- waiting claims

  addWaiter(waiter: Waiter): () => void {
    return this.#waiters.add(waiter);
  }

  /** Gives what became claimable in this transaction to those who wait for it, first come first served. */
  #serveWaiters(tx: Transaction): void {
    // A snapshot: claims put lanes they have not emptied among the freed ones again.
    const freed = [...this.#freed];
    for (const lane of freed) {
      for (const waiter of this.#waiters.of(lane)) {
        if (!lane.claimable) break;
        if (!sees(waiter.params.tenant, lane)) continue;
        const jobs = this.claim(tx, waiter.params);
        if (jobs.length > 0) waiter.serve(jobs, tx);
      }
    }
  }
}

/** A job that has been started lives on, even while it waits for another attempt. */
function hasExpired(row: OpenRow, now: number): boolean {
  return row.expireAt !== null && row.expireAt <= now && row.attempts === 0 && row.over === 0;
}

function sees(tenant: TenantScope, lane: Lane): boolean {
  return tenant === ALL_TENANTS || tenant === lane.tenant;
}

function nextInTurn(ring: Iterable<Lane>): { lane: Lane; alone: boolean } | undefined {
  let lane: Lane | undefined;
  for (const candidate of ring) {
    if (!candidate.claimable) continue;
    if (lane !== undefined) return { lane, alone: false };
    lane = candidate;
  }
  return lane === undefined ? undefined : { lane, alone: true };
}

function attempt<T>(run: () => T): Outcome<T> {
  try {
    return run();
  } catch (error) {
    if (error instanceof QueueError) return error;
    throw error;
  }
}

/** A call that is refused whole has added no job that could be named. */
function withoutOwnIds(error: QueueError, ids: readonly number[]): QueueError {
  const { existingId, ...details } = error.details;
  if (existingId === undefined || !ids.includes(existingId)) return error;
  return new QueueError(error.code, error.message, details);
}

/** `taken`: places that are spoken for. */
function refuseIfFull(group: LaneGroup, taken: number): void {
  if (roomLeft(group) > taken) return;
  throw groupIsFull(group.maxUnfinished ?? 0);
}

/** What is refused now may be taken when others have left. */
function isForWantOfRoom(outcome: Outcome<number>): boolean {
  return outcome instanceof QueueError && outcome.code === "LIMIT_REACHED";
}

function staleLease(id: number): QueueError {
  return new QueueError("STALE_LEASE", `Job ${id}: this run is over or belongs to another worker`);
}

function invalidState(id: number, state: JobState, refusal: string): QueueError {
  return new QueueError("INVALID_STATE", `Job ${id} ${refusal}: it is ${state}`, { state });
}
