import {
  formatUuid,
  isFinished,
  type Job,
  jobTypes,
  type NewJob,
  priorityLevel,
  QueueError,
  type TenantQueue,
} from "@jobyard/core";
import { requireAccess } from "../../auth/caller.ts";
import type { ApiContext, Dialect, DialectDeps } from "../../dialect.ts";
import { success } from "../../envelope.ts";
import { answerWithFile } from "../../file-answer.ts";
import { readJson, readJsonOrEmpty } from "../../json-body.ts";
import { type Handle, idempotencyKey, jobIdIn, mount, parseInput } from "../../operations.ts";
import { RequestError } from "../../request-error.ts";
import { answerSpliced } from "../../spliced-json.ts";
import { refuse } from "./errors.ts";
import {
  createdOf,
  detailOf,
  iso,
  isV1Type,
  jobFilter,
  newJob,
  type Outlook,
  queueOfType,
  summaryOf,
  typeOfQueue,
  v1Queues,
  v1Types,
  waitedOf,
} from "./mapping.ts";
import { operations } from "./operations.ts";
import { recurring, scheduleViewOf } from "./schedules.ts";
import {
  type CreatedJob,
  createJob,
  type JobPage,
  listQuery,
  metricsQuery,
  type QueueHealth,
  type QueueSummary,
  scheduleJob,
  type SchedulePage,
  waitBody,
} from "./schemas.ts";
import { healthOf, metricsOf, queueSummary, WINDOW_MS } from "./statistics.ts";

/** Beside the data of the largest type, what surrounds it. */
const MAX_CREATE_BYTES = jobTypes.sentiment_analysis_batch.maxDataBytes + 1_000_000;
/** Texts need one value each. */
const JOB = { maxValues: 50_000, judged: ["data"] };
const MAX_WAIT_BYTES = 100_000;

export const v1: Dialect = {
  name: "v1",
  title: "v1",
  summary: "Jobs of eight types for applications, with status, progress, results and waiting",
  prefix: "/api/v1",
  operations,
  asksForToken: "unless open",
  routes: (deps) => mount(operations, handlersOf(deps), deps.log),
  refuse,
};

function handlersOf({
  queue,
  storage,
  ending,
}: DialectDeps): Record<keyof typeof operations, Handle> {
  const tenantOf = (c: ApiContext): TenantQueue => queue.of(c.get("caller").tenant);

  /** A result can be 100 MB of JSON: its text goes through as it is, piece by piece. */
  const withResult = async (c: ApiContext, job: Job, view: object): Promise<Response> => {
    const fields = JSON.stringify(view);
    const { result } = job;
    const [start, end] = ['{"success":true,"data":', `,"timestamp":"${iso(Date.now())}"}`];
    const parts =
      result === null
        ? [start, fields, end]
        : [`${start}${fields.slice(0, -1)},"result":`, result, `}${end}`];
    return answerSpliced(c, queue, parts);
  };

  const add = async (c: ApiContext, jobs: TenantQueue, job: NewJob): Promise<CreatedJob> => {
    const id = await jobs.add(job, idempotencyKey(c));
    // It is durable by now: whether it can be read back must not matter.
    const added = await jobs.get(id).catch(() => undefined);
    if (added !== undefined) return createdOf(added);
    return {
      jobId: formatUuid(id),
      type: typeOfQueue(job.queue),
      status: "pending",
      priority: priorityLevel(job.priority ?? 0),
      createdAt: iso(queue.clock.now()),
    };
  };

  const outlookOf = async (jobs: TenantQueue, job: Job): Promise<Outlook> => {
    const now = queue.clock.now();
    const tells = job.state !== "active" || job.progress > 0 || job.stats?.estimatedEnd != null;
    if (tells) return { now, typicalMs: null };
    const [ended] = await jobs.stats({ queues: [job.queue] });
    return { now, typicalMs: ended?.durationAvg ?? null };
  };

  return {
    async create(c) {
      const jobs = tenantOf(c);
      const body = await readJson(c, MAX_CREATE_BYTES, JOB);
      checkType((body as { readonly type?: unknown } | null | undefined)?.type, body);
      const job = newJob(parseInput(createJob, body));
      return c.json(success(await add(c, jobs, job)), 201);
    },

    async schedule(c) {
      const jobs = tenantOf(c);
      const body = await readJson(c, MAX_CREATE_BYTES, JOB);
      checkType((body as { readonly type?: unknown } | null | undefined)?.type, body);
      const asked = parseInput(scheduleJob, body);
      const { cron, delay } = asked;
      if (cron === undefined) {
        const job = newJob(asked);
        const delayed = delay === undefined ? job : { ...job, delayMs: delay };
        return c.json(success(await add(c, jobs, delayed)), 201);
      }
      requireAccess(c.get("caller"), "administer");
      const schedule = await recurring(jobs, { ...asked, cron });
      return c.json(success(scheduleViewOf(schedule)), 201);
    },

    async schedules(c) {
      const all = await tenantOf(c).schedules();
      const page: SchedulePage = { schedules: all.map(scheduleViewOf), total: all.length };
      return c.json(success(page));
    },

    async unschedule(c) {
      await tenantOf(c).deleteSchedule(c.req.param("name") ?? "");
      return c.json(done("Schedule deleted successfully"));
    },

    async list(c) {
      const jobs = tenantOf(c);
      const query = c.req.query();
      if (query["type"] !== undefined) checkType(query["type"], query);
      const { limit, page, ...wanted } = parseInput(listQuery, query);
      const found = await jobs.list(jobFilter(wanted), {
        limit,
        offset: (page - 1) * limit,
        order: "desc",
        payloads: false,
      });
      const answer: JobPage = { jobs: found.jobs.map(summaryOf), total: found.total };
      return c.json(success(answer));
    },

    async summary(c) {
      const jobs = tenantOf(c);
      const now = queue.clock.now();
      const queues = v1Queues;
      const [present, [everything], minutes, levels] = await Promise.all([
        jobs.queues(queues),
        jobs.stats({ queues }),
        jobs.stats({ queues, from: now - WINDOW_MS, groupBy: "minute" }),
        jobs.stats({ queues, groupBy: "level" }),
      ]);
      const answer: QueueSummary = queueSummary({
        queues: present,
        levels,
        everything,
        minutes,
        now,
      });
      return c.json(success(answer));
    },

    async metrics(c) {
      const jobs = tenantOf(c);
      const query = c.req.query();
      if (query["type"] !== undefined) checkType(query["type"], query);
      const { type } = parseInput(metricsQuery, query);
      const types = type === undefined ? v1Types : [type];
      const queues = types.map((one) => queueOfType[one]);
      const [present, ended] = await Promise.all([
        jobs.queues(queues),
        jobs.stats({ queues, groupBy: "queue" }),
      ]);
      return c.json(success(metricsOf(types, present, ended)));
    },

    async health(c) {
      const jobs = tenantOf(c);
      const queues = v1Queues;
      const [present, ended, lately] = await Promise.all([
        jobs.queues(queues),
        jobs.stats({ queues, groupBy: "queue" }),
        jobs.stats({ queues, from: queue.clock.now() - WINDOW_MS, groupBy: "queue" }),
      ]);
      const answer: QueueHealth = healthOf(metricsOf(v1Types, present, ended), present, lately);
      return c.json(answer);
    },

    async get(c) {
      const jobs = tenantOf(c);
      const job = await jobs.get(jobIdIn(c));
      return withResult(c, job, detailOf(job, await outlookOf(jobs, job)));
    },

    async retry(c) {
      const jobs = tenantOf(c);
      const id = jobIdIn(c);
      await jobs.retry(id);
      return c.json(done("Job retried successfully"));
    },

    async file(c) {
      const job = await tenantOf(c).get(jobIdIn(c));
      const name = c.req.param("name") ?? "";
      const file = await storage.of(job.tenant).openResult(job.id, name);
      if (file === null) throw new RequestError("FILE_NOT_FOUND", "The job has no such file");
      return answerWithFile(c, file);
    },

    async cancel(c) {
      const jobs = tenantOf(c);
      await jobs.cancel(jobIdIn(c), { running: true });
      return c.json(done("Job cancelled successfully"));
    },

    async wait(c) {
      const jobs = tenantOf(c);
      const id = jobIdIn(c);
      const { timeout } = parseInput(waitBody, await readJsonOrEmpty(c, MAX_WAIT_BYTES));
      const signal = AbortSignal.any([c.req.raw.signal, ending]);
      const job = await jobs
        .wait(id, { timeoutMs: timeout, signal })
        .catch((error: unknown) => afterWait(jobs, id, error));
      return withResult(c, job, waitedOf(job));
    },
  };
}

function done(message: string) {
  return { success: true, message, timestamp: iso(Date.now()) };
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

/** The type decides what else is asked of the input, so it is looked at first. */
function checkType(type: unknown, input: unknown): void {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return;
  if (!isV1Type(type)) throw new QueueError("UNKNOWN_JOB_TYPE", "Invalid job type");
}
