import { Readable } from "node:stream";
import {
  checkBody,
  isFinished,
  type Job,
  jobTypes,
  type Outcome,
  parseJobId,
  QueueError,
  type TenantQueue,
} from "@jobyard/core";
import type { ApiContext, DialectDeps } from "../../../dialect.ts";
import { answerWithFile } from "../../../file-answer.ts";
import { readJson } from "../../../json-body.ts";
import { type Handle, idempotencyKey, jobIdIn, parseInput } from "../../../operations.ts";
import { RequestError } from "../../../request-error.ts";
import { problemOf } from "../errors.ts";
import {
  defined,
  iso,
  jobFileView,
  jobFilter,
  jobText,
  jobView,
  newJob,
  runView,
} from "../mapping.ts";
import type { jobOperations } from "../operations/jobs.ts";
import { applyToMany } from "../progress-lines.ts";
import { refuseIfAway } from "../../../bulk-refusal.ts";
import { answer, answerText, bodyOf, queryOf, scopeOf } from "../requests.ts";
import * as schemas from "../schemas/jobs.ts";

/** Beside the data of the largest type, what surrounds it. */
const MAX_ADD_BYTES = jobTypes.sentiment_analysis_batch.maxDataBytes + 1_000_000;
const MAX_VALUES = 1_000_000;
const JOB = { maxValues: MAX_VALUES, judged: ["data"] };
/** Each judged by itself. */
const JOBS = { maxValues: MAX_VALUES, judged: ["jobs"] };
/** Of those that wait for one job. */
const MAX_DEPENDENTS = 100;
const both = ["data", "result"] as const;

/** Its own; core judges it. */
function keyOf(job: unknown): unknown {
  return typeof job === "object" && job !== null && "idempotencyKey" in job
    ? job.idempotencyKey
    : undefined;
}

/** Those with what no JSON value should hold beside their data, by their place. */
function unsoundJobs(jobs: readonly unknown[]): ReadonlyMap<number, QueueError> {
  const refused = new Map<number, QueueError>();
  for (const [index, job] of jobs.entries()) {
    try {
      checkBody(job, JOB.judged);
    } catch (error) {
      if (!(error instanceof QueueError)) throw error;
      refused.set(index, new QueueError(error.code, error.message, { ...error.details, index }));
    }
  }
  return refused;
}

function keysNotAtomic(): QueueError {
  const message = "Must be false where jobs have idempotency keys of their own";
  return new QueueError("VALIDATION", message, { errors: [{ field: "atomic", message }] });
}

/** What became of each job. @throws BulkRefusal where the store was away */
function told(
  c: ApiContext,
  added: readonly { readonly outcome: Outcome<number>; readonly repeated?: boolean }[],
): Response {
  const outcomes = added.map(({ outcome }) => outcome);
  const refused = outcomes.filter((outcome) => outcome instanceof QueueError).length;
  const report = {
    added: outcomes.length - refused,
    refused,
    outcomes: added.map(({ outcome, ...repeated }) =>
      outcome instanceof QueueError
        ? { id: null, error: problemOf(outcome), ...repeated }
        : { id: String(outcome), error: null, ...repeated },
    ),
  };
  refuseIfAway(outcomes, report);
  return answer(c, report);
}

export function jobRoutes(deps: DialectDeps): Record<keyof typeof jobOperations, Handle> {
  const { config, queue, storage, ending } = deps;

  /** Does something to the job that the path names, and answers where it stands then. */
  const change = async (
    c: ApiContext,
    act: (jobs: TenantQueue, id: number) => Promise<void>,
  ): Promise<Response> => {
    const jobs = scopeOf(c, queue);
    const id = jobIdIn(c);
    await act(jobs, id);
    // It is done: whether it can be read back must not matter.
    const [job] = await jobs.getMany([id]).catch(() => []);
    return answer(c, { id: String(id), state: job?.state ?? null });
  };

  const raw = async (c: ApiContext, job: Job, part: "data" | "result"): Promise<Response> => {
    const payload = job[part] ?? "null";
    const headers = { "Content-Type": "application/json" };
    if (typeof payload === "string") return c.body(payload, 200, headers);
    const length = { "Content-Length": String(payload.bytes) };
    if (c.req.method === "HEAD") return c.body(null, 200, { ...headers, ...length });
    const bytes = Readable.from(await queue.payloads.stream(payload));
    const stream = Readable.toWeb(bytes) as ReadableStream;
    return c.body(stream, 200, { ...headers, ...length });
  };

  return {
    async addJob(c) {
      const body = await readJson(c, MAX_ADD_BYTES, JOB);
      const id = await scopeOf(c, queue).add(newJob(body), idempotencyKey(c));
      return answer(c, { id: String(id) }, 201);
    },

    async addJobs(c) {
      const body = await readJson(c, config.limits.maxBatchBytes, JOBS);
      const { jobs: asked, atomic } = parseInput(schemas.bulkBody, body);
      const refused = unsoundJobs(asked);
      if (atomic) for (const error of refused.values()) throw error;
      // Core refuses what is no job in its place, unless the call repeats one that added something there.
      const jobs = asked.map((job, i) => (refused.has(i) ? null : job));
      const sound = (outcome: Outcome<number>, i: number): Outcome<number> =>
        outcome instanceof QueueError ? (refused.get(i) ?? outcome) : outcome;
      if (jobs.some((job) => keyOf(job) !== undefined)) {
        if (atomic) throw keysNotAtomic();
        const keyed = jobs.map((job) => ({
          job: newJob(job),
          idempotencyKey: keyOf(job) as string,
        }));
        const added = await scopeOf(c, queue).addEachOnce(keyed);
        return told(
          c,
          added.map((one, i) => ({ ...one, outcome: sound(one.outcome, i) })),
        );
      }
      const outcomes = await scopeOf(c, queue).addMany(jobs.map(newJob), {
        atomic,
        ...idempotencyKey(c),
      });
      return told(
        c,
        outcomes.map((outcome, i) => ({ outcome: sound(outcome, i) })),
      );
    },

    async listJobs(c) {
      const query = queryOf(c, schemas.listQuery);
      const { include = [], limit, order, cursor, ...filter } = query;
      const jobs = scopeOf(c, queue, query);
      const after = cursor === undefined ? undefined : cursorId(cursor);
      const page = { limit, order, ...(after !== undefined && { after }) };
      const { jobs: found, total } = await jobs.list(jobFilter(filter), {
        ...page,
        payloads: false,
      });
      const last = limit > 0 && found.length === limit ? found.at(-1) : undefined;
      const whole = include.length === 0 ? found : await jobs.getMany(found.map(({ id }) => id));
      const items = whole.filter((job) => job !== null).map((job) => jobText(job, include));
      const next = last === undefined ? "null" : `"${last.id}"`;
      return answerText(c, `{"items":[${items.join(",")}],"total":${total},"next":${next}}`);
    },

    async actOnJobs(c) {
      const jobs = scopeOf(c, queue);
      const { action, filter, reason } = await bodyOf(c, schemas.actionBody);
      if (Object.values(filter).every((condition) => condition === undefined)) {
        const message = "Must have at least one condition; every state is one that meets all jobs";
        throw new QueueError("VALIDATION", message, { errors: [{ field: "filter", message }] });
      }
      return applyToMany(c, { jobs, filter: jobFilter(filter), action, reason, ending });
    },

    async getJob(c) {
      const query = queryOf(c, schemas.jobQuery);
      const job = await scopeOf(c, queue, query).get(jobIdIn(c));
      return answerText(c, jobText(job, query.include ?? both));
    },

    removeJob: (c) => change(c, (jobs, id) => jobs.remove(id)),

    async getJobData(c) {
      return raw(c, await scopeOf(c, queue).get(jobIdIn(c)), "data");
    },

    async getJobResult(c) {
      const job = await scopeOf(c, queue).get(jobIdIn(c));
      if (job.state !== "completed") {
        const { id, state } = job;
        throw new QueueError("INVALID_STATE", `Job ${id} has no result: it is ${state}`, { state });
      }
      return raw(c, job, "result");
    },

    async getJobLogs(c) {
      const query = queryOf(c, schemas.logQuery);
      const { lines, total } = await scopeOf(c, queue, query).logs(jobIdIn(c), query);
      return answer(c, { items: lines.map(({ at, line }) => ({ at: iso(at), line })), total });
    },

    async getJobAttempts(c) {
      const runs = await scopeOf(c, queue).runs(jobIdIn(c));
      return answer(c, { items: runs.map(runView) });
    },

    async getJobDependencies(c) {
      const jobs = scopeOf(c, queue);
      const job = await jobs.get(jobIdIn(c));
      const dependents = await jobs.dependents(job.id, { limit: MAX_DEPENDENTS });
      const [before, after] = await Promise.all([
        jobs.getMany(job.dependsOn),
        jobs.getMany(dependents.ids),
      ]);
      return answer(c, {
        dependsOn: before.filter((one) => one !== null).map(jobView),
        gone: job.dependsOn.filter((_, i) => before[i] === null).map(String),
        dependents: after.filter((one) => one !== null).map(jobView),
        totalDependents: dependents.total,
      });
    },

    async listJobFiles(c) {
      const { id, tenant } = await scopeOf(c, queue).get(jobIdIn(c));
      const files = await storage.of(tenant).listResults(id);
      return answer(c, { items: files.map((file) => jobFileView(id, file)) });
    },

    async getJobFile(c) {
      const job = await scopeOf(c, queue).get(jobIdIn(c));
      const file = await storage.of(job.tenant).openResult(job.id, c.req.param("name") ?? "");
      if (file === null) throw new RequestError("FILE_NOT_FOUND", "The job has no such file");
      return answerWithFile(c, file);
    },

    async waitForJob(c) {
      const query = queryOf(c, schemas.jobQuery);
      const jobs = scopeOf(c, queue, query);
      const id = jobIdIn(c);
      const { timeoutMs } = await bodyOf(c, schemas.waitBody);
      const signal = AbortSignal.any([c.req.raw.signal, ending]);
      const job = await jobs
        .wait(id, { timeoutMs, signal })
        .catch((error: unknown) => afterWait(jobs, id, error));
      return answerText(c, jobText(job, query.include ?? both));
    },

    async cancelJob(c) {
      const options = await bodyOf(c, schemas.cancelBody);
      return change(c, (jobs, id) => jobs.cancel(id, options));
    },

    async requeueJob(c) {
      const jobs = scopeOf(c, queue);
      const id = jobIdIn(c);
      const body = await readJson(c, MAX_ADD_BYTES, JOB);
      const changes = parseInput(schemas.requeueBody, body ?? {});
      return answer(c, { id: String(await jobs.requeue(id, defined(changes))) }, 201);
    },

    retryJob: (c) => change(c, (jobs, id) => jobs.retry(id)),

    promoteJob: (c) => change(c, (jobs, id) => jobs.promote(id)),
  };
}

function cursorId(cursor: string): number {
  const id = parseJobId(cursor);
  if (id !== null) return id;
  const errors = [{ field: "cursor", message: "Must be `next` of the page before" }];
  throw new QueueError("VALIDATION", "Invalid input", { errors });
}

/** A wait that was cut short is told like one that ran out: with where the job stands. */
async function afterWait(jobs: TenantQueue, id: number, error: unknown): Promise<Job> {
  if (!(error instanceof QueueError) || error.code !== "WAIT_TIMEOUT") throw error;
  if (error.details.state !== undefined) throw error;
  const job = await jobs.get(id);
  if (isFinished(job.state)) return job;
  const { state, progress } = job;
  throw new QueueError("WAIT_TIMEOUT", error.message, { state, progress });
}
