import {
  formatUuid,
  isFinished,
  type Job,
  jobTypes,
  priorityLevel,
  QueueError,
  type TenantQueue,
} from "@jobyard/core";
import type { ApiContext, Dialect, DialectDeps } from "../../dialect.ts";
import { success } from "../../envelope.ts";
import { answerWithFile } from "../../file-answer.ts";
import { readJson } from "../../json-body.ts";
import { type Handle, jobIdIn, mount, parseInput } from "../../operations.ts";
import { RequestError } from "../../request-error.ts";
import { refuse } from "./errors.ts";
import {
  detailOf,
  iso,
  isV1Type,
  jobFilter,
  newJob,
  queueSummary,
  summaryOf,
  THROUGHPUT_WINDOW_MS,
  v1Queues,
  waitedOf,
} from "./mapping.ts";
import { operations } from "./operations.ts";
import {
  type CreatedJob,
  createJob,
  type JobPage,
  listQuery,
  type QueueSummary,
  waitBody,
} from "./schemas.ts";

/** Beside the data of the largest type, what surrounds it. */
const MAX_CREATE_BYTES = jobTypes.sentiment_analysis_batch.maxDataBytes + 1_000_000;
/** Of a long body; texts need one each. */
const MAX_CREATE_VALUES = 50_000;
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

  /** A result can be 100 MB of JSON: the text goes through as it is. */
  const withResult = async (c: ApiContext, job: Job, view: object): Promise<Response> => {
    const fields = JSON.stringify(view);
    const result = job.result === null ? null : await queue.payloads.read(job.result);
    const data = result === null ? fields : `${fields.slice(0, -1)},"result":${result}}`;
    const text = `{"success":true,"data":${data},"timestamp":"${iso(Date.now())}"}`;
    return c.body(text, 200, { "Content-Type": "application/json" });
  };

  return {
    async create(c) {
      const jobs = tenantOf(c);
      const body = await readJson(c, MAX_CREATE_BYTES, MAX_CREATE_VALUES);
      checkType((body as { readonly type?: unknown } | null | undefined)?.type, body);
      const asked = parseInput(createJob, body);
      const added = newJob(asked);
      const id = await jobs.add(added);
      // It is durable by now: whether it can be read back must not matter.
      const job = await jobs.get(id).catch(() => undefined);
      // It may run or be done by now: this tells what it was when it was added.
      const created: CreatedJob = {
        jobId: formatUuid(id),
        type: asked.type,
        status: "pending",
        priority: priorityLevel(added.priority ?? 0),
        createdAt: iso(job?.createdAt ?? queue.clock.now()),
      };
      return c.json(success(created), 201);
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
        jobs.stats({ queues, from: now - THROUGHPUT_WINDOW_MS, groupBy: "minute" }),
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

    async get(c) {
      const jobs = tenantOf(c);
      const job = await jobs.get(jobIdIn(c));
      return withResult(c, job, detailOf(job));
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
      const message = "Job cancelled successfully";
      return c.json({ success: true, message, timestamp: iso(Date.now()) });
    },

    async wait(c) {
      const jobs = tenantOf(c);
      const id = jobIdIn(c);
      const { timeout } = parseInput(waitBody, (await readJson(c, MAX_WAIT_BYTES)) ?? {});
      const signal = AbortSignal.any([c.req.raw.signal, ending]);
      const job = await jobs
        .wait(id, { timeoutMs: timeout, signal })
        .catch((error: unknown) => afterWait(jobs, id, error));
      return withResult(c, job, waitedOf(job));
    },
  };
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
