import { randomUUID } from "node:crypto";
import { Queue } from "bullmq";
import { RateLimiterRedis } from "rate-limiter-flexible";
import type { Clock } from "../../clock.ts";
import { errorGroupOf } from "../../error-groups.ts";
import { jobNotFound, QueueError } from "../../errors.ts";
import type { JobEvent } from "../../events.ts";
import {
  type ClaimedJob,
  type Job,
  type JobFailure,
  type JobOutline,
  type JobRun,
  type JobState,
  runsOf,
} from "../../job.ts";
import {
  ALL_TENANTS,
  type Answer,
  ANSWERS_KEPT_MS,
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
import { groupIsFull, type QueueGroup } from "../../queue-groups.ts";
import {
  type Allowance,
  allowanceOf,
  memoryLimiter,
  type RateLimit,
  type RateLimiter,
  rateLimiterOf,
} from "../../rate-limiter.ts";
import { addOutcome, keptAnswer, QUEUES_PER_TENANT } from "./answers.ts";
import { Connection, type Reply } from "./connection.ts";
import { crashArguments, noCrash } from "./crash.ts";
import { keepsAof, warningsOf } from "./durability.ts";
import { EventReader } from "./event-reader.ts";
import { Failures } from "./failures.ts";
import { Instances } from "./instances.ts";
import {
  decodeClaimed,
  decodeFile,
  decodeJob,
  decodeOutlines,
  decodeRun,
  encodePayload,
  encodeSpec,
  laneName,
  outlineFields,
  parseLane,
} from "./job-hash.ts";
import { decodeIndexes, encodeFilter, Listing } from "./listing.ts";
import { Outbox } from "./outbox.ts";
import { Records, scheduleKey } from "./records.ts";
import { RedisClock } from "./redis-clock.ts";
import {
  duplicate,
  invalidState,
  runOutcome,
  runRefusal,
  stateOutcome,
  tooManyQueues,
} from "./refusals.ts";
import { foldBefore, rollupRows, wholeMinute } from "./rollup-rows.ts";
import { Upkeep } from "./upkeep.ts";
import { WaitingClaims } from "./waiting-claims.ts";

const LOG_LINES = 1000;
/** Signs of life of this process, by the real clock, ms. */
const HEARTBEAT_MS = 5000;
/** A leader that is silent for so long is followed by another, ms. */
const LEADER_MS = 8000;
/** Sums merged into the roll-ups by one step. */
const TALLIES_AT_ONCE = 2000;
const HOUR_MS = 3_600_000;

/** What so many scripts tallied; readers merge what comes meanwhile. */
async function mergeTallies(connection: Connection, scripts: number): Promise<void> {
  let left = scripts;
  while (left > 0) {
    const merged = Number(await connection.script("tally", TALLIES_AT_ONCE));
    left = merged === 0 ? 0 : left - merged;
  }
}

export { BullmqAtRest } from "./at-rest.ts";

export interface BullmqOptions {
  /** `redis://host:port`, or those of some nodes of a cluster. */
  readonly url: string | readonly string[];
  /** In front of every key; stores of different prefixes know nothing of each other. Default `jobyard`. */
  readonly prefix?: string;
  /** For tests; default: Redis' own time. */
  readonly clock?: Clock;
  /** Hold for every process on the store: those given last. Absent: whatever the others were given. */
  readonly groups?: readonly QueueGroup[];
}

interface Open {
  readonly connection: Connection;
  readonly listing: Listing;
  readonly failures: Failures;
  readonly records: Records;
  readonly events: EventReader;
  readonly outbox: Outbox;
  readonly upkeep: Upkeep;
  readonly instances: Instances;
  readonly waiting: WaitingClaims;
}

/**
 * The distributed engine: any number of processes on one Redis (or cluster). Jobs are BullMQ jobs in BullMQ queues, one
 * queue for each tenant and queue name; every change of state is one script, which leaves what BullMQ's tools can read.
 */
export class BullmqAdapter implements QueueAdapter {
  readonly capabilities = { engine: "bullmq", processes: "many", backup: false } as const;
  /** The engine's time; core's decisions are to be made by it too. */
  readonly clock: Clock;
  readonly #options: BullmqOptions;
  readonly #redisClock: RedisClock | undefined;
  readonly #stopListeners = new Set<(request: StopRequest) => void>();
  /** Runs in process claimed here and not known to have ended, by job. */
  readonly #runs = new Map<number, { readonly lease: string; told: boolean }>();
  #state: Open | undefined;
  #nextBeat: NodeJS.Timeout | undefined;
  #turn = 0;
  /** Claims under way, and whether the answer to one was lost. */
  #claiming = 0;
  #unsure = false;
  #foldedHour = 0;

  constructor(options: BullmqOptions) {
    this.#options = options;
    if (options.clock === undefined) this.clock = this.#redisClock = new RedisClock();
    else this.clock = options.clock;
  }

  /**
   * A queue as BullMQ's own class, over this process' connection, for tools that show it, such as Bull Board. To be read
   * only: changes made through it go past what Jobyard keeps beside it.
   */
  bullQueue(tenant: string, queue: string): Queue {
    const { connection } = this.#open;
    return new Queue(laneName(tenant, queue), {
      connection: connection.redis,
      prefix: connection.tag,
      skipMetasUpdate: true,
    });
  }

  get #prefix(): string {
    return this.#options.prefix ?? "jobyard";
  }

  // ---- lifecycle

  async open(): Promise<void> {
    if (this.#state !== undefined) return;
    const id = randomUUID();
    const connection = new Connection({
      url: this.#options.url,
      prefix: this.#prefix,
      name: Instances.connectionName(id),
      now: () => (this.#redisClock === undefined ? String(this.clock.now()) : ""),
      onNews: (message) => this.#onNews(message),
    });
    await connection.open();
    const listing = new Listing(connection);
    this.#state = {
      connection,
      listing,
      failures: new Failures(connection, listing),
      records: new Records(connection, () => this.clock.now()),
      events: new EventReader(connection),
      outbox: new Outbox(id, connection),
      upkeep: new Upkeep(connection, this.clock),
      instances: new Instances(id, connection),
      waiting: new WaitingClaims({
        clock: this.clock,
        claim: (params) => this.#claimNow(params),
        giveBack: (jobs) => this.#giveBack(jobs),
      }),
    };
    try {
      await this.#declareGroups();
      this.#beat(HEARTBEAT_MS);
      await this.#heartbeat("opening");
      await this.upkeep();
    } catch (error) {
      this.kill();
      throw error;
    }
  }

  async #declareGroups(): Promise<void> {
    const { groups } = this.#options;
    if (groups === undefined) return;
    const declared = groups.map(({ name, queues, maxRunning, maxUnfinished }) => ({
      name,
      queues,
      ...(maxRunning === null ? {} : { maxRunning }),
      ...(maxUnfinished === null ? {} : { maxUnfinished }),
    }));
    await this.#open.connection.script("group", JSON.stringify(declared));
  }

  async close(): Promise<void> {
    const state = this.#state;
    if (state === undefined) return;
    const { connection, instances, upkeep, outbox, waiting } = state;
    clearTimeout(this.#nextBeat);
    waiting.close();
    upkeep.close();
    try {
      const runs = [...this.#runs].reverse().flatMap(([run, { lease }]) => [run, lease]);
      const released = connection.script("release", ALL_TENANTS, "", ...noCrash, ...runs);
      await Promise.all([released, instances.signOff(), outbox.close()]);
      if (upkeep.leads) await connection.command("HDEL", "leader", "until");
    } finally {
      this.#state = undefined;
      this.#runs.clear();
      instances.kill();
      await connection.close();
    }
  }

  /** For tests: the process dies, as far as one can within it. */
  kill(): void {
    const state = this.#state;
    this.#state = undefined;
    this.#runs.clear();
    if (state === undefined) return;
    clearTimeout(this.#nextBeat);
    state.upkeep.close();
    state.outbox.stop();
    state.instances.kill();
    state.connection.kill();
  }

  async backup(): Promise<void> {
    throw new QueueError(
      "INVALID_STATE",
      "The jobs are in Redis, which makes its own backups: use `redis-cli --rdb`, or copy its append-only files",
    );
  }

  async health(): Promise<EngineHealth> {
    const began = performance.now();
    try {
      const answers = await this.#open.connection.everywhere("INFO");
      const latencyMs = performance.now() - began;
      const infos = answers.map(String);
      const durable = infos.every(keepsAof);
      return { reachable: true, latencyMs, durable, warnings: warningsOf(infos) };
    } catch {
      const latencyMs = performance.now() - began;
      return { reachable: false, latencyMs, durable: false, warnings: [] };
    }
  }

  /** A sign of life: keeps this instance known and, if it leads, leading; makes up for missed messages. */
  async #heartbeat(opening?: "opening"): Promise<void> {
    const { instances, connection, upkeep, events, outbox, waiting } = this.#open;
    connection.probeListener();
    const sentAt = Date.now();
    const { now, leads, leaderMs, dueInMs, tallies, known } = await instances.showUp(LEADER_MS);
    this.#redisClock?.setBy(now, sentAt);
    upkeep.leads = leads;
    upkeep.expect(dueInMs);
    // Also who does not lead yet: the leader may be the dead one.
    if (leads || opening !== undefined) await instances.buryDead(known);
    if (leads) {
      await mergeTallies(connection, tallies);
    } else {
      this.#beat(opening === undefined ? Math.min(HEARTBEAT_MS, leaderMs + 10) : 10);
    }
    await this.#returnUnknown();
    await events.renew();
    outbox.tell();
    waiting.look();
  }

  /** Plans the next sign of life, by the real clock. */
  #beat(afterMs: number): void {
    clearTimeout(this.#nextBeat);
    this.#nextBeat = setTimeout(() => {
      this.#beat(HEARTBEAT_MS);
      this.#heartbeat().catch(() => undefined);
    }, afterMs);
    this.#nextBeat.unref();
  }

  #onNews(message: string): void {
    const state = this.#state;
    if (state === undefined) return;
    const [what = "", a = "", ...rest] = message.split(" ");
    if (what === "wake") {
      if (a === "*") state.waiting.look();
      else state.waiting.wake([a, ...rest]);
    } else if (what === "events") {
      state.events.read();
    } else if (what === "outbox") {
      state.outbox.tell();
    } else if (what === "due") {
      state.upkeep.look();
    } else if (what === "stop") {
      if (a !== state.instances.id) return;
      const [id, lease = "", reason] = rest;
      this.#stop(Number(id), lease, reason === "lost" ? "lost" : "cancelled");
    } else {
      // Connected anew: whatever was told meanwhile was missed.
      state.waiting.look();
      state.events.read();
      state.outbox.tell();
      state.upkeep.look();
      void this.#lookAfterRuns().catch(() => undefined);
      // It may be a server that has lost what it knew.
      void this.#declareGroups().catch(() => undefined);
    }
  }

  #stop(id: number, lease: string, reason: StopRequest["reason"]): void {
    const run = this.#runs.get(id);
    if (run?.lease !== lease) return;
    if (reason === "lost") this.#runs.delete(id);
    if (run.told) return;
    // Told once, however often it is heard.
    run.told = true;
    for (const listener of this.#stopListeners) listener({ id, lease, reason });
  }

  /** Asks again for requests to stop that may have been missed. */
  async #lookAfterRuns(): Promise<void> {
    const runs = [...this.#runs];
    const jobs = await this.#readJobs(
      ALL_TENANTS,
      runs.map(([id]) => id),
    );
    runs.forEach(([id, { lease }], i) => {
      const found = jobs[i];
      if (found?.lease !== lease) this.#stop(id, lease, "lost");
      else if (found.stopping) this.#stop(id, lease, "cancelled");
    });
  }

  // ---- submit

  async enqueue(params: {
    jobs: readonly JobSpec[];
    atomic: boolean;
  }): Promise<readonly Outcome<number>[]> {
    const { jobs, atomic } = params;
    if (jobs.length === 0) return [];
    const answer = await this.#enqueue(jobs, atomic, noSchedule, noKey);
    const outcome = addOutcome(answer as readonly Reply[], jobs.length, atomic);
    if (outcome instanceof QueueError) throw outcome;
    return outcome;
  }

  async enqueueOnce(params: {
    jobs: readonly JobSpec[];
    atomic: boolean;
    tenant: string;
    key: string;
    note: string;
  }): Promise<Answer> {
    const { jobs, atomic, tenant, key, note } = params;
    const call = [`${tenant}:${key}`, note, ANSWERS_KEPT_MS] as const;
    const answer = (await this.#enqueue(jobs, atomic, noSchedule, call)) as readonly Reply[];
    if (answer[0] === "repeated") return keptAnswer(String(answer[1]));
    return { outcome: addOutcome(answer, jobs.length, atomic), note, repeated: false };
  }

  async recall(params: { tenant: string; key: string }): Promise<Answer | null> {
    const { connection } = this.#open;
    const kept = await connection.script("recall", `${params.tenant}:${params.key}`);
    return kept === null ? null : keptAnswer(String(kept));
  }

  /**
   * `guard`: the schedule that fires, its due time and its next one, or what the script says of the outbox; answered with
   * "missed" when it had moved.
   * `once`: the idempotency key, its note, and how long its answer is kept.
   */
  #enqueue(
    jobs: readonly JobSpec[],
    atomic: boolean,
    guard: readonly [string, string | number, string | number],
    once: readonly [string, string, string | number],
  ): Promise<Reply> {
    const args: (string | number)[] = [atomic ? 1 : 0, QUEUES_PER_TENANT, ...guard, ...once];
    args.push(jobs.length);
    for (const job of jobs) encodeSpec(job, args);
    return this.#open.connection.script("enqueue", ...args);
  }

  // ---- work

  async claim(params: ClaimParams): Promise<readonly ClaimedJob[]> {
    const { signal, waitMs } = params;
    const isOff = (): boolean => signal?.aborted === true;
    if (isOff()) return [];
    if (waitMs > 0) return this.#open.waiting.wait(params);
    const jobs = await this.#claimNow(params);
    if (!isOff()) return jobs;
    await this.#giveBack(jobs);
    return [];
  }

  async #claimNow(params: ClaimParams): Promise<readonly ClaimedJob[]> {
    this.#claiming++;
    try {
      return await this.#askForJobs(params);
    } catch (error) {
      // It may have taken jobs all the same.
      this.#unsure = true;
      throw error;
    } finally {
      this.#claiming--;
    }
  }

  async #askForJobs(params: ClaimParams): Promise<readonly ClaimedJob[]> {
    const { connection, instances } = this.#open;
    const { tenant, queues, limit, worker, leaseMs, inProcess, timeoutFrom } = params;
    const owner = inProcess ? `i:${instances.id}` : worker === null ? "" : `w:${worker}`;
    const mode = timeoutFrom === "progress" ? "p" : "s";
    const asked = queues === "untyped" ? ["*"] : ["", ...queues.flatMap((q) => [q.queue, q.limit])];
    const turn = this.#turn++ % 1_000_000;
    const how = [tenant, limit, owner, worker ?? "", leaseMs, mode, turn] as const;
    const answer = await connection.script("claim", ...how, ...asked);
    const [lease, at, ...runs] = answer as readonly Reply[];
    const jobs: ClaimedJob[] = [];
    const claim = { lease: String(lease), at: Number(at), worker };
    for (let i = 0; i < runs.length; i += 3) {
      const id = Number(runs[i + 1]);
      jobs.push(decodeClaimed(id, String(runs[i]), runs[i + 2] as readonly Reply[], claim));
      if (inProcess) this.#runs.set(id, { lease: claim.lease, told: false });
    }
    return jobs;
  }

  /** Gives back runs of this process that it knows nothing of: their claim was done, its answer lost. */
  async #returnUnknown(): Promise<void> {
    // What a claim under way takes is not known here yet.
    if (!this.#unsure || this.#claiming > 0) return;
    this.#unsure = false;
    const { connection, instances } = this.#open;
    const members = await connection.command("SMEMBERS", `runs:i:${instances.id}`);
    const unknown = (members as readonly string[]).map(Number).filter((id) => !this.#runs.has(id));
    if (unknown.length === 0) return;
    const refs = unknown.sort((a, b) => b - a).flatMap((id) => [id, ""]);
    await connection.script("release", ALL_TENANTS, "gone", ...noCrash, ...refs);
  }

  /** In the reverse order, so that each finds its place in front of the others. */
  async #giveBack(jobs: readonly ClaimedJob[]): Promise<void> {
    await this.release({ tenant: ALL_TENANTS, runs: [...jobs].reverse() });
  }

  async renew(params: {
    tenant: TenantScope;
    runs: readonly RunRef[];
    worker?: string;
    leaseMs: number;
  }): Promise<readonly Outcome<true>[]> {
    const { tenant, runs, worker, leaseMs } = params;
    const owner = worker === undefined ? "" : `w:${worker}`;
    const refs = runs.flatMap(({ id, lease = "" }) => [id, lease]);
    const answer = await this.#open.connection.script("renew", tenant, leaseMs, owner, ...refs);
    return (answer as readonly Reply[]).map((each, i) => runOutcome(runs[i]?.id ?? 0, each));
  }

  async complete(params: {
    tenant: TenantScope;
    runs: readonly Completion[];
  }): Promise<readonly Outcome<true>[]> {
    const args: (string | number)[] = [params.tenant];
    for (const { id, lease = "", result, tokens = 0 } of params.runs) {
      const kind = result === null ? "" : typeof result === "string" ? "j" : "f";
      args.push(id, lease, kind, result === null ? "" : encodePayload(result), tokens);
    }
    return this.#ended(
      params.runs,
      await this.#open.connection.script("complete", ...args),
      runOutcome,
    );
  }

  async fail(params: {
    tenant: TenantScope;
    runs: readonly Failure[];
  }): Promise<readonly Outcome<JobState>[]> {
    const args: (string | number)[] = [params.tenant, ""];
    for (const { id, lease = "", attempt, retryAt, error } of params.runs) {
      const stack = JSON.stringify(error.stack === undefined ? [] : [error.stack]);
      args.push(id, lease, attempt, retryAt ?? "", error.message, JSON.stringify(error), stack);
      args.push(errorGroupOf(error.message));
    }
    return this.#ended(
      params.runs,
      await this.#open.connection.script("fail", ...args),
      stateOutcome,
    );
  }

  async release(params: {
    tenant: TenantScope;
    runs: readonly RunRef[];
    crashed?: JobFailure;
  }): Promise<readonly Outcome<JobState>[]> {
    const { tenant, runs, crashed } = params;
    const crash = crashed === undefined ? noCrash : crashArguments(crashed.message);
    const refs = runs.flatMap(({ id, lease = "" }) => [id, lease]);
    const answer = await this.#open.connection.script("release", tenant, "", ...crash, ...refs);
    return this.#ended(runs, answer, stateOutcome);
  }

  /** However they ended, these runs are no longer this process'. */
  #ended<T>(
    runs: readonly RunRef[],
    answer: Reply,
    outcome: (id: number, answer: Reply) => T,
  ): readonly T[] {
    return (answer as readonly Reply[]).map((each, i) => {
      const { id = 0, lease } = runs[i] ?? {};
      if (lease === undefined || this.#runs.get(id)?.lease === lease) this.#runs.delete(id);
      return outcome(id, each);
    });
  }

  async progress(params: {
    tenant: TenantScope;
    reports: readonly Report[];
    leaseMs: number;
  }): Promise<readonly Outcome<true>[]> {
    const args: (string | number)[] = [params.tenant, params.leaseMs];
    for (const { id, lease = "", progress, message, stats } of params.reports) {
      const text = message === undefined ? "" : JSON.stringify(message);
      args.push(id, lease, progress ?? "", text, stats === undefined ? "" : JSON.stringify(stats));
    }
    const answer = (await this.#open.connection.script("progress", ...args)) as readonly Reply[];
    return answer.map((each, i) => runOutcome(params.reports[i]?.id ?? 0, each));
  }

  async log(params: { tenant: TenantScope; run: RunRef; lines: readonly string[] }): Promise<void> {
    const { tenant, run, lines } = params;
    const { id, lease = "" } = run;
    const kept = lines.slice(-LOG_LINES);
    const { connection } = this.#open;
    const answer = await connection.script("log", tenant, id, lease, LOG_LINES, ...kept);
    if (answer !== "ok") throw runRefusal(id, String(answer));
  }

  onStopRequest(listener: (request: StopRequest) => void): () => void {
    this.#stopListeners.add(listener);
    return () => void this.#stopListeners.delete(listener);
  }

  // ---- admin

  async cancel(params: {
    tenant: TenantScope;
    ids: readonly number[];
    running: boolean;
    reason: string;
  }): Promise<readonly Outcome<true>[]> {
    const { tenant, ids, running, reason } = params;
    const answers = await this.#administer(tenant, "cancel", ids, running, reason);
    return answers.map((answer, i) => adminOutcome(ids[i] ?? 0, answer, "cannot be cancelled"));
  }

  async retry(params: {
    tenant: TenantScope;
    ids: readonly number[];
  }): Promise<readonly Outcome<true>[]> {
    const answers = await this.#administer(params.tenant, "retry", params.ids);
    return answers.map((answer, i) => adminOutcome(params.ids[i] ?? 0, answer, "has not failed"));
  }

  async promote(params: {
    tenant: TenantScope;
    ids: readonly number[];
  }): Promise<readonly Outcome<true>[]> {
    const answers = await this.#administer(params.tenant, "promote", params.ids);
    return answers.map((answer, i) => adminOutcome(params.ids[i] ?? 0, answer, "is not delayed"));
  }

  async remove(params: {
    tenant: TenantScope;
    ids: readonly number[];
  }): Promise<readonly Outcome<RemovedJob>[]> {
    const answers = await this.#administer(params.tenant, "remove", params.ids);
    return answers.map((answer, i) =>
      Array.isArray(answer)
        ? removedJob(answer)
        : (adminOutcome(params.ids[i] ?? 0, answer, "is being run") as QueueError),
    );
  }

  async #administer(
    tenant: TenantScope,
    action: BulkAction,
    ids: readonly number[],
    running = true,
    reason = "",
    among?: JobFilter,
  ): Promise<readonly Reply[]> {
    if (ids.length === 0) return [];
    const failure: JobFailure = { code: "cancelled", message: reason };
    return (await this.#open.connection.script(
      "administer",
      tenant,
      action,
      running ? 1 : 0,
      reason,
      JSON.stringify(failure),
      among === undefined ? "" : JSON.stringify(encodeFilter(among)),
      ...ids,
    )) as readonly Reply[];
  }

  async applyToMany(params: {
    filter: JobFilter;
    action: BulkAction;
    reason: string;
    limit: number;
    after?: number;
  }): Promise<{ applied: number; refused: number; next: number | null; removed: RemovedJob[] }> {
    const { filter, action, reason, limit, after } = params;
    const page: Page = { limit, order: "asc", ...(after === undefined ? {} : { after }) };
    const ids = await this.#open.listing.ids(filter, page);
    const told = await this.#administer(filter.tenant, action, ids, true, reason, filter);
    // What has changed or gone since it was found is not meant.
    const answers = told.filter((answer) => answer !== "other" && answer !== "unknown");
    const removed = answers.filter((answer) => Array.isArray(answer)).map(removedJob);
    const applied = removed.length + answers.filter((answer) => answer === "ok").length;
    const next = ids.length < limit ? null : (ids.at(-1) ?? null);
    return { applied, refused: answers.length - applied, next, removed };
  }

  // ---- read

  async get(params: {
    tenant: TenantScope;
    ids: readonly number[];
  }): Promise<readonly (Job | null)[]> {
    const found = await this.#readJobs(params.tenant, params.ids);
    return found.map((each) => each?.job ?? null);
  }

  async #readJobs(
    tenant: TenantScope,
    ids: readonly number[],
  ): Promise<({ job: Job; lease: string | undefined; stopping: boolean } | undefined)[]> {
    const answer = (await this.#open.connection.script("read", tenant, ...ids)) as Reply[];
    return ids.map((id, i) => {
      const lane = answer[2 * i];
      if (typeof lane !== "string" || lane === "") return undefined;
      const hash = answer[2 * i + 1] as readonly string[];
      const run = hash.indexOf("run");
      const lease = run === -1 ? undefined : hash[run + 1]?.split("|")[0];
      return { job: decodeJob(id, lane, hash), lease, stopping: hash.includes("stop") };
    });
  }

  async list(params: { filter: JobFilter; page: Page }): Promise<JobList<JobOutline>> {
    const { filter, page } = params;
    const { connection, listing } = this.#open;
    const { ids, total } = await listing.find(filter, page);
    const answer = await connection.script("outlines", filter.tenant, ...outlineFields, "", ...ids);
    return { jobs: decodeOutlines(ids, answer as readonly (readonly Reply[])[]), total };
  }

  count(filter: JobFilter): Promise<StateCounts> {
    return this.#open.listing.count(filter);
  }

  errorGroups(params: ErrorGroupsParams): Promise<readonly ErrorGroup[]> {
    return this.#open.failures.groups(params);
  }

  async stats(params: StatsParams): Promise<readonly StatsRow[]> {
    const { tenant, queues, from } = params;
    const asked = queues === undefined ? ["*"] : ["", ...new Set(queues)];
    const first = from === undefined ? "" : wholeMinute(from);
    const answer = await this.#open.connection.script("rollups", tenant, first, ...asked);
    return rollupRows(params, answer as readonly Reply[]);
  }

  async logs(params: {
    tenant: TenantScope;
    id: number;
    offset: number;
    limit: number;
  }): Promise<{ lines: LogLine[]; total: number }> {
    const { tenant, id, offset, limit } = params;
    const answer = await this.#open.connection.script("logs", tenant, id, offset, limit);
    const [total, ...lines] = answer as readonly Reply[];
    return {
      total: Number(total),
      lines: lines.map((line) => {
        const text = String(line);
        const space = text.indexOf(" ");
        return { at: Number(text.slice(0, space)), line: text.slice(space + 1) };
      }),
    };
  }

  async dependents(params: {
    tenant: TenantScope;
    id: number;
    limit: number;
  }): Promise<{ ids: number[]; total: number }> {
    const { tenant, id, limit } = params;
    const answer = await this.#open.connection.script("dependents", tenant, id, limit);
    const [total, ...ids] = (answer as readonly Reply[]).map(Number);
    return { ids, total: total ?? 0 };
  }

  async runs(params: { tenant: TenantScope; id: number }): Promise<readonly JobRun[]> {
    const { tenant, id } = params;
    const { connection } = this.#open;
    const answer = await connection.script("runs", tenant, id, ...outlineFields);
    const [outline, ...ended] = answer as readonly [readonly Reply[], ...string[]];
    const [job] = decodeOutlines([id], [outline]);
    return job === undefined ? [] : runsOf(job, ended.map(decodeRun));
  }

  // ---- queues

  async listQueues(params: {
    tenant: TenantScope;
    queues?: readonly string[];
  }): Promise<readonly QueueInfo[]> {
    const lanes = await this.#open.listing.lanes(params);
    return lanes
      .map(({ lane, typed, paused, rateLimit, concurrency, counts, indexes }) => ({
        ...parseLane(lane),
        typed,
        paused,
        rateLimit,
        concurrency,
        counts,
        indexedPaths: indexes.map(({ path }) => path),
      }))
      .sort((a, b) => compare(a.queue, b.queue) || compare(a.tenant, b.tenant));
  }

  async configureQueue(params: {
    tenant: string;
    queue: string;
    typed: boolean;
    settings: Partial<QueueSettings>;
  }): Promise<QueueSettings> {
    const { tenant, queue, typed, settings } = params;
    const { paused, rateLimit, concurrency, indexedPaths } = settings;
    const limit = (value: number | null | undefined): string | number =>
      value === undefined ? "" : (value ?? "none");
    const answer = await this.#open.connection.script(
      "configure",
      laneName(tenant, queue),
      typed ? 1 : 0,
      QUEUES_PER_TENANT,
      paused === undefined ? "" : paused ? 1 : 0,
      limit(rateLimit),
      limit(concurrency),
      indexedPaths === undefined ? "" : JSON.stringify(indexedPaths),
    );
    if (answer === "full") throw tooManyQueues(QUEUES_PER_TENANT);
    const [isPaused, rate, runs, paths] = answer as readonly string[];
    return {
      paused: isPaused === "1",
      rateLimit: rate === "" ? null : Number(rate),
      concurrency: runs === "" ? null : Number(runs),
      indexedPaths: decodeIndexes(paths).map(({ path }) => path),
    };
  }

  // ---- schedules and webhooks

  putSchedule(params: { schedule: Schedule; replaces: number | null }): Promise<number | null> {
    return this.#open.records.putSchedule(params.schedule, params.replaces);
  }

  async listSchedules(params: { tenant: TenantScope }): Promise<readonly ScheduleRecord[]> {
    return this.#open.records.schedules(params.tenant);
  }

  async deleteSchedule(params: { tenant: TenantScope; name: string }): Promise<boolean> {
    return this.#open.records.deleteSchedule(params.tenant, params.name);
  }

  async fireSchedule(params: {
    tenant: string;
    name: string;
    due: number;
    nextRun: number | null;
    job: JobSpec;
  }): Promise<Outcome<number> | null> {
    const { tenant, name, due, nextRun, job } = params;
    const guard = [scheduleKey(tenant, name), due, nextRun ?? ""] as const;
    const answer = await this.#enqueue([job], false, guard, noKey);
    if (answer === "missed") return null;
    const outcome = addOutcome(answer as readonly Reply[], 1, false);
    return outcome instanceof QueueError ? outcome : (outcome[0] ?? null);
  }

  async putWebhook(webhook: WebhookInput): Promise<WebhookRecord> {
    return this.#open.records.putWebhook(webhook);
  }

  async listWebhooks(params: { tenant: TenantScope }): Promise<readonly WebhookRecord[]> {
    return this.#open.records.webhooks(params.tenant);
  }

  async deleteWebhook(params: { tenant: TenantScope; id: number }): Promise<boolean> {
    return this.#open.records.deleteWebhook(params.tenant, params.id);
  }

  async noteWebhook(note: WebhookNote): Promise<void> {
    await this.#open.records.noteWebhook(note);
  }

  async takeOutbox({ limit }: { limit: number }): Promise<readonly JobEvent[]> {
    return this.#open.outbox.take(limit);
  }

  async settleOutbox(params: {
    first: string;
    last: string;
    jobs: readonly JobSpec[];
  }): Promise<boolean> {
    const { first, last, jobs } = params;
    return (await this.#enqueue(jobs, false, ["outbox", first, last], noKey)) !== "missed";
  }

  async outbox(): Promise<OutboxFigures> {
    return this.#open.outbox.figures();
  }

  onOutbox(listener: () => void): () => void {
    return this.#open.outbox.listen(listener);
  }

  async putIncomingSecret(params: {
    tenant: string;
    queue: string;
    secret: string | null;
  }): Promise<void> {
    const { tenant, queue, secret } = params;
    await this.#open.records.putIncomingSecret(tenant, queue, secret);
  }

  async incomingSecret(params: { tenant: string; queue: string }): Promise<string | null> {
    return this.#open.records.incomingSecret(params.tenant, params.queue);
  }

  // ---- workers and nodes

  async heartbeatWorker(worker: Omit<WorkerRecord, "startedAt" | "lastHeartbeat">): Promise<void> {
    await this.#open.records.heartbeatWorker(worker);
  }

  async listWorkers(params: {
    tenant: TenantScope;
    withinMs: number;
  }): Promise<readonly WorkerRecord[]> {
    return this.#open.records.workers(params.tenant, params.withinMs);
  }

  async forgetWorker(params: { tenant: TenantScope; id: string }): Promise<void> {
    await this.#open.records.forgetWorker(params.tenant, params.id);
  }

  async heartbeatNode(node: {
    id: string;
    host: string;
    port: number;
  }): Promise<{ isLeader: boolean }> {
    const { connection, instances, records, upkeep } = this.#open;
    await records.heartbeatNode(node);
    const answer = await connection.script("lead", instances.id, node.id, LEADER_MS);
    const isLeader = answer === "1";
    if (isLeader) upkeep.leads = true;
    return { isLeader };
  }

  async listNodes(params: { withinMs: number }): Promise<readonly NodeRecord[]> {
    return this.#open.records.nodes(params.withinMs);
  }

  // ---- events

  async subscribe(subscription: EventSubscription): Promise<() => void> {
    return this.#open.events.subscribe(subscription);
  }

  async cursor(): Promise<string> {
    return String(await this.#open.connection.script("cursor"));
  }

  // ---- limits

  rateLimiter(limit: RateLimit): RateLimiter {
    // Whoever is over the limit is refused without asking Redis again.
    return rateLimiterOf(this.#limiter(limit, limit.points + 1));
  }

  allowance(limit: RateLimit): Allowance {
    // What is over the limit is given back: the key is not to be refused for it.
    return allowanceOf(this.#limiter(limit, 0));
  }

  #limiter(limit: RateLimit, inMemoryBlockOnConsumed: number): RateLimiterRedis {
    const { connection } = this.#open;
    return new RateLimiterRedis({
      storeClient: connection.redis,
      keyPrefix: `${connection.tag}:limit:${limit.name}`,
      points: limit.points,
      duration: limit.seconds,
      inMemoryBlockOnConsumed,
      rejectIfRedisNotReady: true,
      // While Redis is away, each process counts for itself.
      insuranceLimiter: memoryLimiter(limit),
    });
  }

  // ---- upkeep

  async upkeep(): Promise<void> {
    await this.#open.upkeep.run();
  }

  async prune(params: PruneParams): Promise<readonly RemovedJob[]> {
    await this.#fold();
    const { completedBefore, failedBefore, limit } = params;
    const answer = await this.#open.connection.script(
      "prune",
      completedBefore,
      failedBefore,
      limit,
    );
    return (answer as readonly (readonly Reply[])[]).map(removedJob);
  }

  async filesInUse(files: readonly string[]): Promise<readonly string[]> {
    if (files.length === 0) return [];
    const known = await this.#open.connection.command("SMISMEMBER", "files", ...files);
    return files.filter((_, i) => (known as readonly number[])[i] === 1);
  }

  /** Folds old roll-ups, once an hour however often pruning is called. */
  async #fold(): Promise<void> {
    const now = this.clock.now();
    const hour = Math.floor(now / HOUR_MS);
    if (hour === this.#foldedHour) return;
    this.#foldedHour = hour;
    const { listing, connection } = this.#open;
    const lanes = await listing.lanes({ tenant: ALL_TENANTS });
    const { minutes, hours } = foldBefore(now);
    const typedTogether = new Set(lanes.map(({ lane }) => laneName(parseLane(lane).tenant, "")));
    for (const name of [...lanes.map(({ lane }) => lane), ...typedTogether]) {
      await connection.script("fold", name, minutes, hours);
    }
  }

  get #open(): Open {
    if (this.#state === undefined) {
      throw new QueueError("UNAVAILABLE", "The job store is closed: the server is stopping", {
        retryAfterMs: 1000,
      });
    }
    return this.#state;
  }
}

const noSchedule = ["", "", ""] as const;
const noKey = ["", "", ""] as const;

/** What the script `administer` says of one job. */
function adminOutcome(id: number, answer: Reply, refusal: string): Outcome<true> {
  const text = String(answer);
  if (text === "ok") return true;
  if (text === "unknown") return jobNotFound(id);
  if (text.startsWith("duplicate ")) return duplicate(Number(text.slice("duplicate ".length)));
  if (text.startsWith("full ")) return groupIsFull(Number(text.slice("full ".length)));
  return invalidState(id, text.slice("is ".length) as JobState, refusal);
}

/** As the scripts tell of it: its lane, its id, and where its data and result lay. */
function removedJob([lane, id, ...files]: readonly Reply[]): RemovedJob {
  return {
    ...parseLane(String(lane)),
    id: Number(id),
    files: files.map((text) => decodeFile(String(text))),
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
