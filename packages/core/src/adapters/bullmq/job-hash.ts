import { errorGroupOf } from "../../error-groups.ts";
import {
  type ClaimedJob,
  isFinished,
  type Job,
  type JobFailure,
  type JobOrigin,
  type JobOutline,
  type JobRun,
  type JobState,
  type Payload,
  type PayloadFile,
  type ProcessingStats,
} from "../../job.ts";
import type { JobSpec } from "../../queue-adapter.ts";
import type { StoredJob } from "../../store-at-rest.ts";
import type { Reply } from "./connection.ts";

/** A lane's name, which is also its BullMQ queue's: tenants have no dots, so the first one parts the two. */
export function laneName(tenant: string, queue: string): string {
  return `${tenant}.${queue}`;
}

export function parseLane(name: string): { readonly tenant: string; readonly queue: string } {
  const dot = name.indexOf(".");
  return { tenant: name.slice(0, dot), queue: name.slice(dot + 1) };
}

/** A job's options where BullMQ's tools look for them. */
interface BullOptions {
  readonly attempts: number;
  readonly backoff?: { readonly type: "exponential"; readonly delay: number };
  readonly delay?: number;
  readonly priority?: number;
  readonly lifo?: true;
}

/** What has no place of its own in BullMQ. */
interface MoreOptions {
  readonly ttlMs?: number;
  readonly origin?: JobOrigin;
}

const USUAL_BACKOFF_MS = 1000;
/** BullMQ jobs have names. */
const UNNAMED = "job";

function encodeOptions(spec: Kept): string {
  const { maxAttempts, backoffMs, delayMs, priority, lifo } = spec;
  if (backoffMs === USUAL_BACKOFF_MS && delayMs === 0 && priority === 0 && !lifo) {
    return `{"attempts":${maxAttempts}}`;
  }
  return JSON.stringify({
    attempts: maxAttempts,
    ...(backoffMs === USUAL_BACKOFF_MS
      ? {}
      : { backoff: { type: "exponential", delay: backoffMs } }),
    ...(delayMs === 0 ? {} : { delay: delayMs }),
    ...(priority === 0 ? {} : { priority }),
    ...(lifo ? { lifo } : {}),
  } satisfies BullOptions);
}

/** Arguments of the script `enqueue` for one job. */
export function encodeSpec(spec: JobSpec, args: (string | number)[]): void {
  const { data, ttlMs, uniqueKey, dependsOn, dependsOnSiblings, name } = spec;
  const siblings = dependsOnSiblings.map((place) => `s${place}`);
  const extra = furtherFields(spec);
  args.push(
    laneName(spec.tenant, spec.queue),
    spec.typed ? 1 : 0,
    spec.priority,
    spec.lifo ? 1 : 0,
    spec.delayMs,
    ttlMs ?? "",
    encodePayload(data),
    name ?? UNNAMED,
    encodeOptions(spec),
    uniqueKey ?? "",
    [...dependsOn, ...siblings].join(","),
    extra.length,
  );
  for (const each of extra) args.push(each);
}

/** What a job's hash holds of it as it was added. */
type Kept = Pick<
  Job,
  | "batch"
  | "backoffMs"
  | "data"
  | "delayMs"
  | "lifo"
  | "maxAttempts"
  | "name"
  | "origin"
  | "priority"
  | "project"
  | "tags"
  | "timeoutMs"
  | "ttlMs"
  | "uniqueKey"
>;

/** Fields and values that most jobs do not have. */
function furtherFields(spec: Kept): string[] {
  const { data, ttlMs, timeoutMs, uniqueKey, name, project } = spec;
  const extra: string[] = [];
  if (project !== null) extra.push("pj", project);
  const labels = labelsOf(spec);
  if (labels.length > 0) extra.push("lb", JSON.stringify(labels));
  if (name !== null) extra.push("nm", "1");
  if (spec.lifo) extra.push("lf", "1");
  if (timeoutMs !== null) extra.push("to", String(timeoutMs));
  if (uniqueKey !== null) extra.push("uk", uniqueKey);
  if (typeof data !== "string") extra.push("df", "1");
  if (ttlMs !== null || spec.origin !== null) {
    const more: MoreOptions = {
      ...(ttlMs === null ? {} : { ttlMs }),
      ...(spec.origin === null ? {} : { origin: spec.origin }),
    };
    extra.push("jy", JSON.stringify(more));
  }
  return extra;
}

const letterOfState: Readonly<Record<JobState, string>> = {
  waiting: "w",
  delayed: "d",
  blocked: "b",
  active: "a",
  completed: "c",
  failed: "f",
  cancelled: "x",
};

/** A whole job that is not being run, as arguments of the script `fill-jobs`. */
export function encodeStored(stored: StoredJob, args: (string | number)[]): void {
  const { job, started, expireAt, dependencies, logs, runs } = stored;
  const { id, tenant, queue, state, data, result, error, startedAt, finishedAt } = job;
  const letter = letterOfState[state];
  const group = state === "failed" ? errorGroupOf(error?.message ?? "") : "";
  const over = isFinished(state);
  const lastError = state === "failed" || !over ? (error?.message ?? "") : "";
  const due = { waiting: "", delayed: job.runAt, blocked: job.createdAt }[state as string];
  args.push(laneName(tenant, queue), id, letter, due ?? finishedAt ?? job.createdAt);
  args.push(over ? "" : (expireAt ?? ""), over ? "" : (job.uniqueKey ?? ""), group, lastError);
  args.push(job.priority, job.createdAt);
  const files = [data, result].filter((each) => each !== null && typeof each !== "string");
  pushMany(
    args,
    files.map(({ file }) => file),
  );
  pushMany(args, labelsOf(job));
  pushMany(
    args,
    dependencies.flatMap((parent) => [
      laneName(tenant, parent.queue),
      parent.id,
      parent.done ? 1 : 0,
    ]),
  );
  pushMany(
    args,
    logs.map(({ at, line }) => `${at} ${line}`),
  );
  pushMany(args, runs.map(encodeRun));

  const fields: (string | number)[] = ["name", job.name ?? UNNAMED, "data", encodePayload(data)];
  fields.push("opts", encodeOptions(job), "timestamp", job.createdAt, "delay", job.delayMs);
  fields.push("priority", job.priority);
  for (const each of furtherFields(job)) fields.push(each);
  if (state !== "waiting") fields.push("st", letter);
  if (job.runAt !== job.createdAt) fields.push("ra", job.runAt);
  if (job.attemptsMade > 0) fields.push("atm", job.attemptsMade);
  if (job.crashes > 0) fields.push("cr", job.crashes);
  if (started) fields.push("ats", Math.max(1, job.attemptsMade + job.crashes));
  if (expireAt !== null) fields.push("ex", expireAt);
  if (job.dependsOn.length > 0) fields.push("dp", job.dependsOn.join(","));
  if (group !== "") fields.push("eg", group);
  if (error !== null) {
    fields.push("er", JSON.stringify(error), "failedReason", error.message);
    if (error.stack !== undefined) fields.push("stacktrace", JSON.stringify([error.stack]));
  }
  if (result !== null) fields.push("returnvalue", encodePayload(result));
  if (result !== null && typeof result !== "string") fields.push("rf", 1);
  if (startedAt !== null) fields.push("processedOn", startedAt, "pb", job.worker ?? "");
  if (finishedAt !== null) fields.push("finishedOn", finishedAt);
  if (state !== "completed" && job.progress > 0) fields.push("progress", job.progress);
  if (job.progressMessage !== null) fields.push("pm", JSON.stringify(job.progressMessage));
  if (job.stats !== null) fields.push("ps", JSON.stringify(job.stats));
  pushMany(args, fields);
}

function pushMany(args: (string | number)[], values: readonly (string | number)[]): void {
  args.push(values.length);
  for (const value of values) args.push(value);
}

export function labelsOf(
  spec: Pick<JobSpec, "tags" | "name" | "project" | "batch" | "origin">,
): string[] {
  const labels = spec.tags.map((tag) => `tag:${tag}`);
  if (spec.name !== null) labels.push(`name:${spec.name}`);
  if (spec.project !== null) labels.push(`project:${spec.project}`);
  if (spec.batch !== null) labels.push(`batch:${spec.batch}`);
  const schedule = spec.origin?.schedule;
  if (schedule !== undefined) labels.push(`schedule:${schedule}`);
  return labels;
}

export function encodePayload(payload: Payload): string {
  return typeof payload === "string" ? payload : JSON.stringify(payload);
}

export function decodeFile(text: string): PayloadFile {
  return JSON.parse(text) as PayloadFile;
}

export const stateOfLetter: Readonly<Record<string, JobState>> = {
  "": "waiting",
  d: "delayed",
  b: "blocked",
  a: "active",
  c: "completed",
  f: "failed",
  x: "cancelled",
};

const plainOptions = new Map<string, BullOptions>();

function decodeOptions(text: string): BullOptions {
  let options = plainOptions.get(text);
  if (options === undefined) {
    options = JSON.parse(text) as BullOptions;
    // Most jobs have the same few.
    if (plainOptions.size < 1000) plainOptions.set(text, options);
  }
  return options;
}

const none: readonly never[] = [];

type Fields = Record<string, string | undefined>;

/** A job as the port shows it, from the fields and values of its hash. */
export function decodeJob(id: number, lane: string, hash: readonly Reply[]): Job {
  const f: Fields = {};
  for (let i = 0; i < hash.length; i += 2) f[hash[i] as string] = hash[i + 1] as string;
  const data = f["data"] ?? "null";
  const result = f["returnvalue"];
  return {
    ...decodeOutline(id, lane, f),
    data: f["df"] === undefined ? data : decodeFile(data),
    result: result === undefined ? null : f["rf"] === undefined ? result : decodeFile(result),
  };
}

/** The fields that outlines are made of. */
export const outlineFields =
  "st opts jy lb name nm timestamp ra processedOn finishedOn atm to uk dp pj progress pm ps er cr pb".split(
    " ",
  );

/** Of the rows that the script `outlines` answers for some ids. */
export function decodeOutlines(
  ids: readonly number[],
  rows: readonly (readonly Reply[])[],
): JobOutline[] {
  return rows.flatMap(([lane, ...values], i) => {
    if (lane === undefined) return [];
    const f: Fields = {};
    for (const [place, field] of outlineFields.entries()) {
      const value = values[place];
      if (value != null) f[field] = String(value);
    }
    return [decodeOutline(ids[i] as number, String(lane), f)];
  });
}

function decodeOutline(id: number, lane: string, f: Fields): JobOutline {
  const options = decodeOptions(f["opts"] ?? "{}");
  const more = f["jy"] === undefined ? {} : (JSON.parse(f["jy"]) as MoreOptions);
  const labels = f["lb"] === undefined ? none : (JSON.parse(f["lb"]) as string[]);
  const state = stateOfLetter[f["st"] ?? ""] ?? "waiting";
  const worker = f["pb"];
  const createdAt = Number(f["timestamp"]);
  const { tenant, queue } = parseLane(lane);
  return {
    id,
    tenant,
    queue,
    name: f["nm"] === undefined ? null : (f["name"] ?? null),
    state,
    priority: options.priority ?? 0,
    lifo: options.lifo ?? false,
    delayMs: options.delay ?? 0,
    createdAt,
    runAt: f["ra"] === undefined ? createdAt : Number(f["ra"]),
    startedAt: f["processedOn"] === undefined ? null : Number(f["processedOn"]),
    finishedAt: f["finishedOn"] === undefined ? null : Number(f["finishedOn"]),
    attemptsMade: Number(f["atm"] ?? 0),
    maxAttempts: options.attempts,
    backoffMs: options.backoff?.delay ?? USUAL_BACKOFF_MS,
    ttlMs: more.ttlMs ?? null,
    timeoutMs: f["to"] === undefined ? null : Number(f["to"]),
    uniqueKey: f["uk"] ?? null,
    dependsOn: f["dp"] === undefined ? none : f["dp"].split(",").map(Number),
    tags: labels.length === 0 ? none : valuesOf(labels, "tag:"),
    project: f["pj"] ?? null,
    batch: labels.length === 0 ? null : (valuesOf(labels, "batch:")[0] ?? null),
    origin: more.origin ?? null,
    progress: state === "completed" ? 100 : Number(f["progress"] ?? 0),
    progressMessage: f["pm"] === undefined ? null : (JSON.parse(f["pm"]) as string | null),
    stats: f["ps"] === undefined ? null : (JSON.parse(f["ps"]) as ProcessingStats),
    error:
      f["er"] === undefined || state === "completed" ? null : (JSON.parse(f["er"]) as JobFailure),
    crashes: Number(f["cr"] ?? 0),
    worker: worker === undefined || worker === "" ? null : worker,
  };
}

/** Of a job's list of runs; what is null there is left out. */
export function decodeRun(text: string): JobRun {
  const nothing = { worker: null, error: null, nextAt: null };
  return { ...nothing, ...(JSON.parse(text) as Omit<JobRun, keyof typeof nothing>) };
}

function valuesOf(labels: readonly string[], kind: string): string[] {
  return labels.filter((label) => label.startsWith(kind)).map((label) => label.slice(kind.length));
}

function encodeRun(run: JobRun): string {
  const known = Object.entries(run).filter(([, value]) => value !== null);
  return JSON.stringify(Object.fromEntries(known));
}

/** What `whole-jobs` tells of a job, but for what it depends on and its log. */
export function decodeStored(
  id: number,
  lane: string,
  hash: readonly Reply[],
  runs: readonly string[],
): Pick<StoredJob, "job" | "started" | "expireAt" | "runs"> {
  const valueOf = (field: string): Reply | undefined => {
    for (let i = 0; i < hash.length; i += 2) if (hash[i] === field) return hash[i + 1];
    return undefined;
  };
  const expireAt = valueOf("ex");
  return {
    job: decodeJob(id, lane, hash),
    started: Number(valueOf("ats") ?? 0) > 0,
    expireAt: expireAt === undefined ? null : Number(expireAt),
    runs: runs.map(decodeRun),
  };
}

/** The job as it is once the claim has begun; `hash` is from just before. */
export function decodeClaimed(
  id: number,
  lane: string,
  hash: readonly Reply[],
  claim: { readonly lease: string; readonly at: number; readonly worker: string | null },
): ClaimedJob {
  const { lease, at, worker } = claim;
  return { ...decodeJob(id, lane, hash), state: "active", startedAt: at, worker, lease };
}
