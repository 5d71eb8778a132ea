import { type JobState, parseJobId, QueueError, type TenantQueue } from "@jobyard/core";
import type { ApiContext, DialectDeps } from "../../../dialect.ts";
import type { Handle } from "../../../operations.ts";
import { problemOf } from "../errors.ts";
import { defined, epochOf, jobText, workerView } from "../mapping.ts";
import type { workOperations } from "../operations/work.ts";
import { answer, answerText, bodyOf, outcomeOf, refuseIfAway, scopeOf } from "../requests.ts";
import * as schemas from "../schemas/work.ts";

interface Item {
  readonly id: string;
}

export function workRoutes(deps: DialectDeps): Record<keyof typeof workOperations, Handle> {
  const { config, queue, ending } = deps;

  /** One outcome for each item; those that name no job never reach the queue. */
  const each = async <One extends Item>(
    c: ApiContext,
    items: readonly One[],
    act: (
      jobs: TenantQueue,
      known: readonly (Omit<One, "id"> & { id: number })[],
    ) => Promise<readonly (JobState | null | true | QueueError)[]>,
  ): Promise<Response> => {
    const jobs = scopeOf(c, queue);
    const known = items.flatMap((item) => {
      const id = parseJobId(item.id);
      return id === null ? [] : [{ ...item, id }];
    });
    const outcomes = known.length === 0 ? [] : await act(jobs, known);
    if (known.length > 0) refuseIfAway(outcomes);
    let next = 0;
    return answer(c, {
      outcomes: items.map(({ id }) => {
        const outcome =
          parseJobId(id) === null
            ? new QueueError("JOB_NOT_FOUND", `Job ${id.slice(0, 64)} not found`)
            : outcomes[next++];
        if (outcome instanceof QueueError) return { id, state: null, error: problemOf(outcome) };
        return { id, state: typeof outcome === "string" ? outcome : "active", error: null };
      }),
    });
  };

  return {
    async pullJobs(c) {
      const jobs = scopeOf(c, queue);
      const { queues, limit, waitMs, worker } = await bodyOf(c, schemas.pullBody);
      const signal = AbortSignal.any([c.req.raw.signal, ending]);
      const claimed = await jobs.pull({
        limit,
        waitMs,
        worker: worker ?? null,
        signal,
        ...(queues !== undefined && { queue: queues }),
      });
      const giveBack = (): void => {
        for (const { id, lease } of claimed.toReversed()) {
          // What cannot be given back returns when its lease is over.
          jobs.release(id, lease).catch(() => undefined);
        }
      };
      const { outgoing } = c.env;
      if (outgoing.destroyed) giveBack();
      else outgoing.once("close", () => outgoing.writableFinished || giveBack());
      const items = claimed.map((job) => {
        const own = { lease: job.lease, leaseMs: job.timeoutMs ?? queue.leaseMs };
        return jobText(job, ["data"], own);
      });
      return answerText(c, `{"items":[${items.join(",")}]}`);
    },

    async ackJobs(c) {
      const { maxBatchBytes } = config.limits;
      const { items } = await bodyOf(c, schemas.ackBody, maxBatchBytes, ["items", "result"]);
      return each(c, items, async (jobs, acks) => {
        const outcomes = await jobs.ack(acks);
        return outcomes.map((outcome) => (outcome === true ? "completed" : outcome));
      });
    },

    async failJobs(c) {
      const { items } = await bodyOf(c, schemas.failBody, config.limits.maxBatchBytes);
      return each(c, items, (jobs, fails) =>
        Promise.all(
          fails.map(({ id, lease, error, code, final }) =>
            outcomeOf(
              jobs.fail({
                id,
                lease,
                error,
                final,
                ...(code !== undefined && { code }),
              }),
            ),
          ),
        ),
      );
    },

    async reportProgress(c) {
      const { items } = await bodyOf(c, schemas.progressBody, config.limits.maxBatchBytes);
      return each(c, items, (jobs, reports) =>
        Promise.all(
          reports.map(({ id, lease, progress, message, stats }) => {
            const end = stats?.estimatedEnd;
            const report = {
              id,
              lease,
              ...(progress !== undefined && { progress }),
              ...(message !== undefined && { message }),
              ...(stats !== undefined && {
                stats: { ...stats, estimatedEnd: end == null ? null : epochOf(end) },
              }),
            };
            return outcomeOf(jobs.progress(report).then(() => true as const));
          }),
        ),
      );
    },

    async writeLogs(c) {
      const { items } = await bodyOf(c, schemas.logBody, config.limits.maxBatchBytes);
      return each(c, items, (jobs, logs) =>
        Promise.all(
          logs.map(({ id, lease, lines }) =>
            outcomeOf(jobs.log(id, lines, lease).then(() => true as const)),
          ),
        ),
      );
    },

    async renewJobs(c) {
      const { items } = await bodyOf(c, schemas.runsBody, config.limits.maxBatchBytes);
      return each(c, items, (jobs, runs) => jobs.renew(runs));
    },

    async releaseJobs(c) {
      const { items } = await bodyOf(c, schemas.runsBody, config.limits.maxBatchBytes);
      return each(c, items, (jobs, runs) =>
        Promise.all(runs.map(({ id, lease }) => outcomeOf(jobs.release(id, lease)))),
      );
    },

    async listWorkers(c) {
      const workers = await scopeOf(c, queue).workers();
      return answer(c, { items: workers.map(workerView) });
    },

    async heartbeatWorker(c) {
      const body = await bodyOf(c, schemas.heartbeatBody);
      await scopeOf(c, queue).heartbeat({ id: workerIn(c), ...defined(body) });
      return answer(c, { leaseMs: queue.leaseMs });
    },

    async forgetWorker(c) {
      await scopeOf(c, queue).forgetWorker(workerIn(c));
      return answer(c, { worker: workerIn(c) });
    },
  };
}

function workerIn(c: ApiContext): string {
  return c.req.param("worker") ?? "";
}
