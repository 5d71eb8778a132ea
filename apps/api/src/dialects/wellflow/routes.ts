import {
  checkBody,
  CRASH_LIMIT,
  type Config,
  isJobTypeName,
  isName,
  type Job,
  jobTypeOf,
  type NewJob,
  parseJobId,
  QueueError,
  type QueueInfo,
  type TenantQueue,
} from "@jobyard/core";
import { refuseIfAway } from "../../bulk-refusal.ts";
import type { ApiContext, Dialect, DialectDeps } from "../../dialect.ts";
import { readJson } from "../../json-body.ts";
import { type Handle, idempotencyKey, jobIdIn, mount, parseInput } from "../../operations.ts";
import { cpuMeter, memoryUse } from "../../process-load.ts";
import { type RateClass, RequestLimits } from "../../rate-limits.ts";
import { refuse, refusedJob } from "./errors.ts";
import {
  jobText,
  metricsOf,
  newJob,
  PayloadBudget,
  queueFor,
  queuesByName,
  queueView,
  rounded,
  rescheduledJob,
  scheduledJob,
  scheduleView,
  statesOf,
  statusCounts,
  statusText,
  timeframeMs,
  unknownStatusText,
  WEBHOOK_SHAPE,
  webhookView,
} from "./mapping.ts";
import { operations } from "./operations.ts";
import {
  type AddedJob,
  bulkBody,
  bulkJob,
  type BulkResult,
  type Health,
  jobsQuery,
  metricsQuery,
  newJob as newJobBody,
  newSchedule,
  newWebhook,
  type QueueDetail,
  schedulePatch,
  type Stats,
  statusBody,
  webhookEvents,
} from "./schemas.ts";

/** Beside a job's data, what surrounds it. */
const SURROUNDINGS_BYTES = 100_000;
const MAX_UNTYPED_BYTES = 1_000_000;
const MAX_SMALL_BYTES = 100_000;
const JOB = { maxValues: 50_000, judged: ["data"] };
/** Up to a thousand, each judged by itself. */
const JOBS = { maxValues: 1_000_000, judged: ["jobs"] };
type QueueHealth = [queue: string, Health["queues"][string]];

/** Stands for a job that was refused before core saw it; core refuses it as well, in its place. */
const NO_JOB: NewJob = { queue: "", data: null };

export const wellflow: Dialect = {
  name: "wellflow",
  title: "WellFlow",
  summary: "Queues, jobs, schedules, health and metrics for operators",
  prefix: "/api/jobs",
  operations,
  asksForToken: "always",
  admission(deps) {
    const limits = new RequestLimits(deps);
    return (c, identify) => limits.admit(c, rateClassOf(c.req.path), identify);
  },
  routes: (deps) => mount(operations, handlersOf(deps), deps.log),
  refuse,
};

const rateClasses: ReadonlyMap<string, RateClass> = new Map(
  Object.values(operations).map((operation) => [operation.path, operation["x-rate-limit"]]),
);

/** By the address alone, so that what is no operation counts too. */
function rateClassOf(path: string): RateClass {
  return rateClasses.get(path) ?? "standard";
}

function handlersOf({ config, queue }: DialectDeps): Record<keyof typeof operations, Handle> {
  const tenantOf = (c: ApiContext): TenantQueue => queue.of(c.get("caller").tenant);
  const { maxBatchBytes } = config.limits;
  const cpuShare = cpuMeter();

  return {
    async listQueues(c) {
      const queues = queuesByName(await tenantOf(c).queues());
      return c.json(success([...queues].map(([name, infos]) => queueView(name, infos))));
    },

    async getQueue(c) {
      const name = c.req.param("queueName") ?? "";
      const infos = await queueInfos(tenantOf(c), name);
      const answer: QueueDetail = {
        ...queueView(name, infos),
        opts: {
          maxConcurrency: maxConcurrency(name, infos, config),
          stalledInterval: config.engine.leaseMs,
          maxStalledCount: CRASH_LIMIT,
        },
      };
      return c.json(success(answer));
    },

    async listJobs(c) {
      const jobs = tenantOf(c);
      const name = c.req.param("queueName") ?? "";
      await queueInfos(jobs, name);
      const { status, limit, offset, order } = parseInput(jobsQuery, c.req.query(), "query");
      const found = await jobs.list(
        { queues: [name], ...(status === undefined ? {} : { states: statesOf(status) }) },
        { limit, offset, order },
      );
      const budget = new PayloadBudget(maxBatchBytes);
      const texts = found.jobs.map((job) => jobText(job, budget));
      const { total } = found;
      const hasMore = offset + limit < total;
      return jsonText(
        c,
        `{"success":true,"data":{"jobs":[${texts.join(",")}],"total":${total},"hasMore":${hasMore}}}`,
      );
    },

    async addJob(c) {
      const jobs = tenantOf(c);
      const name = c.req.param("queueName") ?? "";
      await queueInfos(jobs, name);
      const maxBytes = (jobTypeOf(name)?.maxDataBytes ?? MAX_UNTYPED_BYTES) + SURROUNDINGS_BYTES;
      const asked = parseInput(newJobBody, await readJson(c, maxBytes, JOB));
      const id = await jobs.add(newJob(name, asked), idempotencyKey(c));
      const answer: AddedJob = { jobId: String(id), message: "Job added successfully" };
      return c.json(success(answer), 201);
    },

    async removeJob(c) {
      const jobs = tenantOf(c);
      await jobs.remove((await jobIn(c, jobs)).id);
      return c.json(done("Job removed successfully"));
    },

    async retryJob(c) {
      const jobs = tenantOf(c);
      await jobs.retry((await jobIn(c, jobs)).id);
      return c.json(done("Job queued for retry"));
    },

    async listSchedules(c) {
      return c.json(success((await tenantOf(c).schedules()).map(scheduleView)));
    },

    async createSchedule(c) {
      const jobs = tenantOf(c);
      const body = await readJson(c, MAX_UNTYPED_BYTES + SURROUNDINGS_BYTES);
      const { name, cron, enabled, timezone, description, jobData } = parseInput(newSchedule, body);
      const to = queueFor(jobData);
      await queueInfos(jobs, to);
      const schedule = {
        cron,
        ...(enabled === undefined ? {} : { enabled }),
        ...(timezone === undefined ? {} : { timezone }),
        ...(description === undefined ? {} : { description }),
        job: scheduledJob(name, to, jobData),
        via: "wellflow",
      };
      await jobs.putSchedule(name, schedule, "new");
      return c.json(success({ name, message: "Scheduled job created successfully" }), 201);
    },

    async updateSchedule(c) {
      const jobs = tenantOf(c);
      const name = c.req.param("scheduleName") ?? "";
      const known = (await jobs.schedules()).find(
        (schedule) => schedule.name === name && schedule.tenant === jobs.home,
      );
      // A name that none can have is as unknown as any other.
      if (known === undefined) throw scheduleNotFound(name);
      const body = await readJson(c, MAX_UNTYPED_BYTES + SURROUNDINGS_BYTES);
      const { cron, enabled, timezone, description, jobData } = parseInput(schedulePatch, body);
      const named = jobData?.["queue"];
      if (typeof named === "string" && named !== known.queue) await queueInfos(jobs, named);
      const changes = {
        ...(cron === undefined ? {} : { cron }),
        ...(enabled === undefined ? {} : { enabled }),
        ...(timezone === undefined ? {} : { timezone }),
        ...(description === undefined ? {} : { description }),
        ...(jobData !== undefined && {
          job: (soFar: NewJob) => rescheduledJob(name, soFar, jobData),
        }),
      };
      await jobs.putSchedule(name, changes, "existing");
      return c.json(done("Scheduled job updated successfully"));
    },

    async deleteSchedule(c) {
      await tenantOf(c).deleteSchedule(c.req.param("scheduleName") ?? "");
      return c.json(done("Scheduled job deleted successfully"));
    },

    async health(c) {
      const { reachable, latencyMs } = await queue.health();
      if (!reachable) {
        throw new QueueError("UNAVAILABLE", "The store cannot be reached", { retryAfterMs: 5000 });
      }
      const jobs = tenantOf(c);
      const [infos, workers] = await Promise.all([jobs.queues(), jobs.workers()]);
      const attended = new Set(workers.flatMap(({ queues }) => queues));
      const queues = [...queuesByName(infos)].map(([name, own]): QueueHealth => {
        const { waiting, paused } = queueView(name, own);
        // Who pulls from other queues need not say so.
        const unattended = waiting > 0 && isJobTypeName(name) && !attended.has(name);
        return [name, paused ? "paused" : unattended ? "unattended" : "healthy"];
      });
      const active = statusCounts(infos.map(({ counts }) => counts)).active;
      const slots = workers.reduce((sum, { concurrency }) => sum + concurrency, 0);
      const answer: Health = {
        status: queues.some(([, own]) => own === "unattended") ? "degraded" : "healthy",
        timestamp: new Date().toISOString(),
        redis: { status: "connected", latency: rounded(latencyMs, 2) },
        queues: Object.fromEntries(queues),
        // Whoever pulls without telling of itself runs jobs, too.
        workers: { active, total: Math.max(active, slots) },
      };
      return c.json(success(answer));
    },

    async metrics(c) {
      const jobs = tenantOf(c);
      const { queue: name, timeframe } = parseInput(metricsQuery, c.req.query(), "query");
      const names =
        name === undefined
          ? [...queuesByName(await jobs.queues()).keys()]
          : [(await queueInfos(jobs, name), name)];
      const rows = await jobs.stats({
        ...(name === undefined ? {} : { queues: names }),
        from: queue.clock.now() - timeframeMs[timeframe],
        groupBy: "queue",
      });
      const byQueue = new Map(rows.map((row) => [row.key, row]));
      const metrics = names.map((one) => [one, metricsOf(byQueue.get(one), timeframe)] as const);
      return c.json(success({ timeframe, metrics: Object.fromEntries(metrics) }));
    },

    async stats(c) {
      const jobs = tenantOf(c);
      const [infos, [everything]] = await Promise.all([jobs.queues(), jobs.stats()]);
      const counts = statusCounts(infos.map(({ counts }) => counts));
      const { used, total } = memoryUse();
      const answer: Stats = {
        uptime: Math.floor(process.uptime()),
        totalJobs: everything?.added ?? 0,
        completedJobs: counts.completed,
        failedJobs: counts.failed,
        activeJobs: counts.active,
        waitingJobs: counts.waiting,
        delayedJobs: counts.delayed,
        memoryUsage: { used, total, percentage: rounded((used / total) * 100, 1) },
        cpuUsage: rounded(cpuShare(), 1),
      };
      return c.json(success(answer));
    },

    async addJobs(c) {
      const jobs = tenantOf(c);
      const body = await readJson(c, maxBatchBytes, JOBS);
      const { jobs: asked } = parseInput(bulkBody, body);
      const refused = new Map<number, QueueError>();
      const parsed = asked.map((one, index) => {
        try {
          checkBody(one, JOB.judged);
          return parseInput(bulkJob, one, "job");
        } catch (error) {
          if (!(error instanceof QueueError)) throw error;
          refused.set(index, error);
          return undefined;
        }
      });
      const known = await knownQueues(
        jobs,
        parsed.map((job) => job?.queue ?? ""),
      );
      const wanted = parsed.map((job, index): NewJob => {
        if (job === undefined) return NO_JOB;
        if (known.has(job.queue)) return newJob(job.queue, job);
        refused.set(index, queueNotFound(job.queue));
        return NO_JOB;
      });
      const outcomes = await jobs.addMany(wanted, { atomic: false, ...idempotencyKey(c) });
      const jobIds: string[] = [];
      const errors: NonNullable<BulkResult["errors"]> = [];
      for (const [index, outcome] of outcomes.entries()) {
        if (!(outcome instanceof QueueError)) jobIds.push(String(outcome));
        else errors.push({ index, ...refusedJob(refused.get(index) ?? outcome) });
      }
      const answer: BulkResult = {
        created: jobIds.length,
        failed: errors.length,
        jobIds,
        ...(errors.length === 0 ? {} : { errors }),
      };
      refuseIfAway(outcomes, answer);
      return c.json(success(answer), 201);
    },

    async jobStatuses(c) {
      const jobs = tenantOf(c);
      const { jobIds } = parseInput(statusBody, await readJson(c, MAX_SMALL_BYTES));
      // 0 is no job's id.
      const found = await jobs.getMany(jobIds.map((spelt) => parseJobId(spelt) ?? 0));
      const budget = new PayloadBudget(maxBatchBytes);
      const texts = found.map((job, i) =>
        job === null ? unknownStatusText(jobIds[i] ?? "") : statusText(job, budget),
      );
      return jsonText(c, `{"success":true,"data":[${texts.join(",")}]}`);
    },

    async listWebhooks(c) {
      return c.json(success((await tenantOf(c).webhooks()).map(webhookView)));
    },

    async createWebhook(c) {
      const body = await readJson(c, MAX_SMALL_BYTES);
      const { url, events = webhookEvents, queue: to, secret } = parseInput(newWebhook, body);
      const made = await tenantOf(c).putWebhook({
        url,
        events,
        queue: to ?? null,
        secret: secret ?? null,
        shape: WEBHOOK_SHAPE,
        enabled: true,
      });
      return c.json(success(webhookView(made)), 201);
    },

    async deleteWebhook(c) {
      const spelt = c.req.param("webhookId") ?? "";
      // Not in a job's other spellings.
      const id = /^\d+$/.test(spelt) ? parseJobId(spelt) : null;
      await tenantOf(c).deleteWebhook(id ?? 0);
      return c.json(done("Webhook deleted successfully"));
    },
  };
}

function success<Data>(data: Data) {
  return { success: true, data };
}

function done(message: string) {
  return { success: true, message };
}

function jsonText(c: ApiContext, text: string): Response {
  return c.body(text, 200, { "Content-Type": "application/json" });
}

/** @throws QueueError QUEUE_NOT_FOUND for a queue that has no job type and was never pushed to. */
async function queueInfos(jobs: TenantQueue, name: string): Promise<readonly QueueInfo[]> {
  const infos = await knownInfos(jobs, [name]);
  if (infos.length === 0 && !isJobTypeName(name)) throw queueNotFound(name);
  return infos;
}

async function knownQueues(jobs: TenantQueue, names: readonly string[]): Promise<Set<string>> {
  const asked = [...new Set(names)];
  const untyped = asked.filter((name) => !isJobTypeName(name));
  const infos = untyped.length === 0 ? [] : await knownInfos(jobs, untyped);
  return new Set([...asked.filter(isJobTypeName), ...infos.map(({ queue }) => queue)]);
}

/** A name that no queue can have is the name of none. */
function knownInfos(jobs: TenantQueue, names: readonly string[]): Promise<readonly QueueInfo[]> {
  return jobs.queues(names.filter(isName));
}

/** The job that the path names, if it is in the queue that the path names. */
async function jobIn(c: ApiContext, jobs: TenantQueue): Promise<Job> {
  const name = c.req.param("queueName") ?? "";
  await queueInfos(jobs, name);
  const id = jobIdIn(c, "jobId");
  const [job] = await jobs.getMany([id]);
  if (job?.queue !== name) throw new QueueError("JOB_NOT_FOUND", `Job ${id} not found`);
  return job;
}

function maxConcurrency(
  name: string,
  infos: readonly QueueInfo[],
  { worker }: Config,
): number | null {
  const [limit] = infos.flatMap(({ concurrency }) => concurrency ?? []);
  return limit ?? (isJobTypeName(name) ? worker.concurrency[name] : null);
}

function queueNotFound(name: string): QueueError {
  return new QueueError("QUEUE_NOT_FOUND", `Queue ${shown(name)} not found`);
}

function scheduleNotFound(name: string): QueueError {
  return new QueueError("SCHEDULE_NOT_FOUND", `Schedule ${shown(name)} not found`);
}

function shown(name: string): string {
  return name.slice(0, 64).toWellFormed();
}
