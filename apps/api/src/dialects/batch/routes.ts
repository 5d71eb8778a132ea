import {
  type JobFilter,
  type JobTypeName,
  type NewJob,
  parseJobId,
  QueueError,
  type TenantQueue,
} from "@jobyard/core";
import { hasBatchRows } from "@jobyard/handlers";
import type { ApiContext, Dialect, DialectDeps } from "../../dialect.ts";
import { readJson } from "../../json-body.ts";
import { type Handle, idempotencyKey, jobIdIn, mount, parseInput } from "../../operations.ts";
import { refuse } from "./errors.ts";
import {
  batchQueues,
  HOURS_KEPT_MS,
  jobView,
  metricsOf,
  newJob,
  queueCounts,
  queuedStates,
  timeRangeMs,
  unfinishedStates,
  wholeBatches,
} from "./mapping.ts";
import { operations } from "./operations.ts";
import {
  cancelBody,
  type Cancelled,
  enqueueBody,
  type Enqueued,
  metricsQuery,
  redoBody,
  retryBody,
  type Stats,
  statsQuery,
} from "./schemas.ts";

const MAX_BODY_BYTES = 1_100_000;
/** Jobs looked at in one step. */
const STEP = 200;
/** Batches of one request that are looked at together. */
const BATCHES_AT_ONCE = 32;

export const batch: Dialect = {
  name: "batch",
  title: "Batches",
  summary: "Batches of images, extracted into rows",
  prefix: "/api/queue",
  operations,
  asksForToken: "unless open",
  routes: (deps) => mount(operations, handlersOf(deps), deps.log),
  refuse,
};

function handlersOf(deps: DialectDeps): Record<keyof typeof operations, Handle> {
  const { config, queue, storage } = deps;
  const tenantOf = (c: ApiContext): TenantQueue => queue.of(c.get("caller").tenant);

  /** Completed before, as far back as its job or what came out of it is kept. */
  const queueFor = async (
    jobs: TenantQueue,
    project: string,
    batch: string,
  ): Promise<JobTypeName> => {
    const { total } = await jobs.list(
      { queues: wholeBatches, project, batch, states: ["completed"] },
      { limit: 1, order: "desc", payloads: false },
    );
    const known = total > 0 || (await hasBatchRows(storage.of(jobs.home), project, batch));
    return known ? "reprocess_batch" : "process_batch";
  };

  return {
    async enqueue(c) {
      // Whoever sees every tenant adds to its own, and replaces nothing in others'.
      const jobs = queue.of(tenantOf(c).home);
      const body = await readJson(c, MAX_BODY_BYTES);
      const { batchId, batchIds = [], priority, projectId } = parseInput(enqueueBody, body);
      const rest = without(body, "batchId", "batchIds", "priority");
      const batches = [...new Set(batchId === undefined ? batchIds : [batchId, ...batchIds])];
      const added = await someAtOnce(batches, async (batch): Promise<NewJob> => {
        const to = await queueFor(jobs, projectId, batch);
        return newJob(to, { ...rest, batchId: batch }, priority);
      });
      const repeatable = idempotencyKey(c);
      const outcomes = await jobs.addMany(added, { atomic: true, ...repeatable });
      const ids = outcomes.map((outcome) => {
        if (outcome instanceof QueueError) throw outcome;
        return outcome;
      });
      // Those that wait are cancelled only now: a batch whose enqueueing failed halfway is queued still.
      const mayRepeat = repeatable.idempotencyKey !== undefined;
      const replaced = await someAtOnce(ids, async (id, i) => {
        const batch = batches[i];
        return batch === undefined ? 0 : supersede(jobs, projectId, batch, id, mayRepeat);
      });
      const canceledCount = replaced.reduce((sum, one) => sum + one, 0);
      const answer: Enqueued = {
        success: true,
        jobId: String(ids[0]),
        jobIds: ids.map(String),
        canceledCount,
        message: `${counted(ids.length, "batch", "batches")} queued${
          canceledCount === 0 ? "" : `, ${counted(canceledCount, "job", "jobs")} replaced`
        }`,
      };
      return c.json(answer);
    },

    async status(c) {
      const job = await tenantOf(c).get(jobIdIn(c, "jobId"));
      const view = JSON.stringify(jobView(job)).slice(0, -1);
      const data = await queue.payloads.read(job.data);
      return c.body(`{"success":true,"job":${view},"data":${data}}}`, 200, {
        "Content-Type": "application/json",
      });
    },

    async retry(c) {
      const jobs = tenantOf(c);
      const body = parseInput(retryBody, await readJson(c, MAX_BODY_BYTES));
      const { projectId: project, jobId, retryAll } = body;
      if (retryAll) {
        const failed = { queues: batchQueues, project, states: ["failed"] } as const;
        const retried = await jobs.applyToMany(failed, "retry");
        return c.json(done(`${counted(retried, "failed job", "failed jobs")} queued for retry`));
      }
      const id = parseJobId(jobId);
      const [job] = id === null ? [] : await jobs.getMany([id]);
      // Another project's job is as unknown as one that never was.
      if (id === null || job?.project !== project) throw jobNotFound(jobId);
      await jobs.retry(id);
      return c.json(done(`Job ${id} queued for retry`));
    },

    async redo(c) {
      const jobs = tenantOf(c);
      const body = await readJson(c, MAX_BODY_BYTES);
      const { priority, rowIndex, batchId } = parseInput(redoBody, body);
      const data = without(body, "priority");
      const id = await jobs.add(newJob("process_redo", data, priority), idempotencyKey(c));
      const message = `Row ${rowIndex} of batch ${batchId} queued for redo`;
      return c.json({ ...done(message), jobId: String(id) });
    },

    async cancel(c) {
      const jobs = tenantOf(c);
      const body = parseInput(cancelBody, await readJson(c, MAX_BODY_BYTES));
      const { projectId: project, batchIds } = body;
      const filter = { queues: batchQueues, project, states: unfinishedStates };
      const filters =
        batchIds === undefined
          ? [filter]
          : [...new Set(batchIds)].map((batch) => ({ ...filter, batch }));
      let canceledCount = 0;
      const reset = new Set<string>();
      for (const each of filters) {
        for await (const job of cancelAll(jobs, each)) {
          canceledCount++;
          if (job.queue !== "process_redo" && job.batch !== null) reset.add(job.batch);
        }
      }
      const answer: Cancelled = {
        success: true,
        canceledCount,
        batchesReset: reset.size,
        message: `${counted(canceledCount, "job", "jobs")} cancelled, ${counted(reset.size, "batch", "batches")} reset`,
      };
      return c.json(answer);
    },

    async stats(c) {
      const jobs = tenantOf(c);
      const { projectId } = parseInput(statsQuery, c.req.query(), "query");
      const all = { queues: batchQueues };
      const filter = { ...all, ...(projectId === undefined ? {} : { project: projectId }) };
      const [counts, [everything], { active }, workers] = await Promise.all([
        jobs.count(filter),
        jobs.stats(filter),
        jobs.count(all),
        jobs.workers(),
      ]);
      const { requestsPerMinute, maxRunning } = config.limits.batches;
      const answer: Stats = {
        success: true,
        queue: { ...queueCounts(counts), totalJobs: everything?.added ?? 0 },
        worker: {
          isRunning: workers.some(({ queues }) =>
            queues.some((name) => batchQueues.some((own) => own === name)),
          ),
          activeJobs: active,
          requestsPerMinute,
          maxConcurrency: maxRunning,
        },
      };
      return c.json(answer);
    },

    async metrics(c) {
      const jobs = tenantOf(c);
      const { projectId, timeRange } = parseInput(metricsQuery, c.req.query(), "query");
      const span = timeRangeMs[timeRange];
      const now = queue.clock.now();
      const whose = {
        queues: batchQueues,
        ...(projectId === undefined ? {} : { project: projectId }),
      };
      const [[everything], hours] = await Promise.all([
        jobs.stats({ ...whose, ...(span === null ? {} : { from: now - span }) }),
        jobs.stats({ ...whose, from: now - (span ?? HOURS_KEPT_MS), groupBy: "hour" }),
      ]);
      return c.json({ success: true, stats: metricsOf(everything, hours) });
    },
  };
}

/** What `look` answers for each, in their order; a thousand one after the other would take seconds. */
async function someAtOnce<Item, Answer>(
  items: readonly Item[],
  look: (item: Item, index: number) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let start = 0; start < items.length; start += BATCHES_AT_ONCE) {
    const some = items.slice(start, start + BATCHES_AT_ONCE);
    answers.push(...(await Promise.all(some.map((item, i) => look(item, start + i)))));
  }
  return answers;
}

/**
 * Cancels the batch's jobs that wait and are older than `by`; answers with how many were replaced by it, now or, if this
 * call may repeat one, in the earlier call with the same answer.
 */
async function supersede(
  jobs: TenantQueue,
  project: string,
  batch: string,
  by: number,
  mayRepeat: boolean,
): Promise<number> {
  const reason = `Superseded by job ${by}`;
  const filter = { queues: wholeBatches, project, batch };
  let replaced = 0;
  for await (const _ of cancelAll(jobs, { ...filter, states: queuedStates }, { by, reason })) {
    replaced++;
  }
  if (replaced > 0 || !mayRepeat) return replaced;
  const cancelled = await jobs.list(
    { ...filter, states: ["cancelled"] },
    { limit: STEP, order: "desc", payloads: false },
  );
  return cancelled.jobs.filter(({ error }) => error?.message === reason).length;
}

/** Cancels what matches, the oldest first; tells each job that was cancelled. */
async function* cancelAll(
  jobs: TenantQueue,
  filter: Omit<JobFilter, "tenant">,
  superseded?: { readonly by: number; readonly reason: string },
) {
  const options = superseded ? { running: false, reason: superseded.reason } : { running: true };
  let after: number | undefined;
  for (;;) {
    const page = await jobs.list(filter, {
      limit: STEP,
      order: "asc",
      payloads: false,
      ...(after === undefined ? {} : { after }),
    });
    const wanted = page.jobs.filter(({ id }) => superseded === undefined || id < superseded.by);
    const outcomes = await Promise.allSettled(wanted.map(({ id }) => jobs.cancel(id, options)));
    for (const [i, outcome] of outcomes.entries()) {
      const job = wanted[i];
      if (outcome.status === "fulfilled" && job !== undefined) yield job;
      else if (outcome.status === "rejected" && !isOver(outcome.reason)) throw outcome.reason;
    }
    if (page.jobs.length < STEP) return;
    after = page.jobs.at(-1)?.id;
  }
}

/** A request's object as it came, keys that no schema would let through included: core judges them. */
function without(body: unknown, ...fields: string[]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(body as object).filter(([field]) => !fields.includes(field)),
  );
}

/** Began or ended meanwhile. */
function isOver(error: unknown): boolean {
  return (
    error instanceof QueueError &&
    (error.code === "INVALID_STATE" || error.code === "JOB_NOT_FOUND")
  );
}

function jobNotFound(spelt: unknown): QueueError {
  const shown = String(spelt).slice(0, 64).toWellFormed();
  return new QueueError("JOB_NOT_FOUND", `Job ${shown} not found`);
}

function done(message: string) {
  return { success: true, message };
}

function counted(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}
