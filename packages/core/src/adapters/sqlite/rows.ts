import type {
  FinishedState,
  Job,
  JobFailure,
  JobOrigin,
  JobState,
  Payload,
  PayloadFile,
  ProcessingStats,
} from "../../job.ts";
import type { ClaimParams } from "../../queue-adapter.ts";
import type { Lane } from "./lanes.ts";

/** As in the tables; `ready` is active as well, when a claim holds the job. */
export const Phase = {
  ready: 0,
  delayed: 1,
  blocked: 2,
  completed: 3,
  failed: 4,
  cancelled: 5,
} as const;

export type Phase = (typeof Phase)[keyof typeof Phase];
export type FinishedPhase = typeof Phase.completed | typeof Phase.failed | typeof Phase.cancelled;

const phaseStates = [
  "waiting",
  "delayed",
  "blocked",
  "completed",
  "failed",
  "cancelled",
] as const satisfies readonly JobState[];

export function stateOf(phase: FinishedPhase): FinishedState;
export function stateOf(phase: Phase): JobState;
export function stateOf(phase: Phase): JobState {
  return phaseStates[phase];
}

/** What a job can be given beyond data and priority. */
export interface JobOptions {
  readonly name: string | null;
  readonly lifo: boolean;
  readonly delayMs: number;
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
}

/** Most jobs have no more than these; they share this one object. */
const defaults: JobOptions = {
  name: null,
  lifo: false,
  delayMs: 0,
  maxAttempts: 1,
  backoffMs: 1000,
  ttlMs: null,
  timeoutMs: null,
  uniqueKey: null,
  dependsOn: [],
  tags: [],
  project: null,
  batch: null,
  origin: null,
};

/** Of jobs that have only that from elsewhere; they share one object for each origin that nobody can change, and its text. */
const ofOrigins = new WeakMap<JobOrigin, JobOptions>();
const texts = new WeakMap<JobOptions, string>();

function ofOrigin(origin: JobOrigin): JobOptions {
  const known = ofOrigins.get(origin);
  if (known !== undefined) return known;
  const options = { ...defaults, origin };
  if (Object.isFrozen(origin)) {
    ofOrigins.set(origin, options);
    texts.set(options, encodeOptions(options) as string);
  }
  return options;
}

export function optionsOf(
  spec: Omit<JobOptions, "dependsOn">,
  dependsOn: readonly number[],
): JobOptions {
  if (
    spec.name === null &&
    !spec.lifo &&
    spec.delayMs === 0 &&
    spec.maxAttempts === 1 &&
    spec.backoffMs === 1000 &&
    spec.ttlMs === null &&
    spec.timeoutMs === null &&
    spec.uniqueKey === null &&
    dependsOn.length === 0 &&
    spec.tags.length === 0 &&
    spec.project === null &&
    spec.batch === null
  ) {
    return spec.origin === null ? defaults : ofOrigin(spec.origin);
  }
  const { name, lifo, delayMs, maxAttempts, backoffMs, ttlMs, timeoutMs } = spec;
  const { uniqueKey, tags, project, batch, origin } = spec;
  return {
    name,
    lifo,
    delayMs,
    maxAttempts,
    backoffMs,
    ttlMs,
    timeoutMs,
    uniqueKey,
    dependsOn,
    tags,
    project,
    batch,
    origin,
  };
}

const optionNames = Object.keys(defaults) as (keyof JobOptions)[];

/** Only what is not as usual. */
export function encodeOptions(options: JobOptions): string | null {
  if (options === defaults) return null;
  const known = texts.get(options);
  if (known !== undefined) return known;
  const unusual: Record<string, unknown> = {};
  for (const name of optionNames) {
    const value = options[name];
    const usual = value === defaults[name] || (Array.isArray(value) && value.length === 0);
    if (!usual) unusual[name] = value;
  }
  return JSON.stringify(unusual);
}

export function decodeOptions(text: string | null): JobOptions {
  return text === null ? defaults : { ...defaults, ...(JSON.parse(text) as Partial<JobOptions>) };
}

export function encodePayload(payload: Payload): string {
  return typeof payload === "string" ? payload : `@${JSON.stringify(payload)}`;
}

function decodePayload(text: string): Payload {
  return text.startsWith("@") ? (JSON.parse(text.slice(1)) as PayloadFile) : text;
}

/** Whether a stored payload lies in a file. */
export function isFile(text: string | null): text is string {
  return text?.startsWith("@") === true;
}

export function payloadFiles(...texts: readonly (string | null)[]): PayloadFile[] {
  const files: PayloadFile[] = [];
  for (const text of texts) {
    if (isFile(text)) files.push(decodePayload(text) as PayloadFile);
  }
  return files;
}

/** What jobs are found by. */
export function labels(options: JobOptions): readonly (readonly [kind: string, value: string])[] {
  const { tags, name, project, batch, origin } = options;
  const all: [kind: string, value: string][] = [];
  if (tags.length > 0) for (const tag of new Set(tags)) all.push(["tag", tag]);
  if (name !== null) all.push(["name", name]);
  if (project !== null) all.push(["project", project]);
  if (batch !== null) all.push(["batch", batch]);
  if (origin?.schedule !== undefined) all.push(["schedule", origin.schedule]);
  return all;
}

/** An unfinished job. */
export interface OpenRow {
  readonly id: number;
  readonly lane: Lane;
  readonly priority: number;
  readonly createdAt: number;
  readonly options: JobOptions;
  readonly expireAt: number | null;
  /** Stored form. Dropped once the job is claimed. */
  data: string;
  phase: Phase;
  ord: number;
  runAt: number;
  attempts: number;
  crashes: number;
  /** JSON of a JobFailure. */
  error: string | null;
  over: number;
}

export interface Claim {
  readonly no: number;
  readonly lease: string;
  readonly worker: string | null;
  readonly inProcess: boolean;
  readonly timeoutFrom: ClaimParams["timeoutFrom"];
  leaseMs: number;
  readonly at: number;
  /** Runs that have not ended. */
  left: number;
}

/** A job being run. */
export interface Run {
  readonly row: OpenRow;
  readonly claim: Claim;
  /** The job's own time limit ends it then. */
  timeoutAt: number;
  /** Without a sign of life it is lost then. */
  leaseUntil: number;
  /** Where `Deadlines` keeps it. */
  slot: number;
  progress: number;
  message: string | null;
  stats: ProcessingStats | null;
  /** Why it was told to stop. */
  stop: string | null;
}

/** The letter in front: jobs may come from an engine whose leases are plain numbers, and none of those may fit again. */
export function leaseOf(claimNo: number): string {
  return `s${claimNo.toString(36)}`;
}

export interface FinishedRow {
  readonly phase: FinishedPhase;
  readonly startedAt: number | null;
  readonly finishedAt: number;
  readonly attempts: number;
  readonly crashes: number;
  readonly worker: string | null;
  readonly result: string | null;
  readonly error: string | null;
  readonly report: string | null;
}

export interface LastReport {
  readonly progress: number;
  readonly message: string | null;
  readonly stats: ProcessingStats | null;
}

const noReport: LastReport = { progress: 0, message: null, stats: null };

export function encodeReport(run: LastReport): string | null {
  if (run.progress === 0 && run.message === null && run.stats === null) return null;
  const { progress, message, stats } = run;
  return JSON.stringify({ progress, message, stats } satisfies LastReport);
}

/** A job as the port shows it: an open row, perhaps being run, or one that is finished. */
export function toJob(row: OpenRow, data: string, run?: Run, finished?: FinishedRow): Job {
  const { options } = row;
  const report =
    run ?? (finished?.report == null ? noReport : (JSON.parse(finished.report) as LastReport));
  const error = finished === undefined ? row.error : finished.error;
  return {
    id: row.id,
    tenant: row.lane.tenant,
    queue: row.lane.queue,
    name: options.name,
    state: run !== undefined ? "active" : stateOf(finished?.phase ?? row.phase),
    data: decodePayload(data),
    result: finished?.result == null ? null : decodePayload(finished.result),
    priority: row.priority,
    lifo: options.lifo,
    delayMs: options.delayMs,
    createdAt: row.createdAt,
    runAt: row.runAt,
    startedAt: run?.claim.at ?? finished?.startedAt ?? null,
    finishedAt: finished?.finishedAt ?? null,
    attemptsMade: finished?.attempts ?? row.attempts,
    maxAttempts: options.maxAttempts,
    backoffMs: options.backoffMs,
    ttlMs: options.ttlMs,
    timeoutMs: options.timeoutMs,
    uniqueKey: options.uniqueKey,
    dependsOn: options.dependsOn,
    tags: options.tags,
    project: options.project,
    batch: options.batch,
    origin: options.origin,
    progress: finished?.phase === Phase.completed ? 100 : report.progress,
    progressMessage: report.message,
    stats: report.stats,
    error: error === null ? null : (JSON.parse(error) as JobFailure),
    crashes: finished?.crashes ?? row.crashes,
    worker: run?.claim.worker ?? finished?.worker ?? null,
  };
}
