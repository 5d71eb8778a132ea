import {
  type JobState,
  jobTypeOf,
  QueueError,
  type QueueInfo,
  type QueueSettings,
  type StateCounts,
  type TenantQueue,
} from "@jobyard/core";
import type { z } from "zod";
import type { ApiContext, DialectDeps } from "../../../dialect.ts";
import { type Handle, parseInput } from "../../../operations.ts";
import { dense, figuresOf, fine, intervalMs, MAX_POINTS } from "../figures.ts";
import { defined, epochOf, errorGroupView, iso, queueView } from "../mapping.ts";
import type { queueOperations } from "../operations/queues.ts";
import { applyToMany } from "../progress-lines.ts";
import { answer, bodyOf, queryOf, scopeOf } from "../requests.ts";
import * as schemas from "../schemas/queues.ts";

export function queueRoutes(deps: DialectDeps): Record<keyof typeof queueOperations, Handle> {
  const { queue, recent, ending } = deps;

  const configure = async (c: ApiContext, settings: Partial<QueueSettings>): Promise<Response> => {
    const jobs = scopeOf(c, queue);
    const { queue: name } = parseInput(schemas.queueParams, c.req.param());
    const now = await jobs.configure(name, settings);
    const [info] = await queue.of(jobs.home).queues([name]);
    return answer(c, queueView({ ...(info ?? unseen(jobs.home, name)), ...now }));
  };

  return {
    async listQueues(c) {
      const queues = await scopeOf(c, queue).queues();
      return answer(c, { items: queues.map(queueView) });
    },

    async getQueue(c) {
      return answer(c, queueView(await found(scopeOf(c, queue), c)));
    },

    async configureQueue(c) {
      return configure(c, defined(await bodyOf(c, schemas.queueSettings)));
    },

    pauseQueue: (c) => configure(c, { paused: true }),

    resumeQueue: (c) => configure(c, { paused: false }),

    async setIncomingSecret(c) {
      const { queue: name } = parseInput(schemas.queueParams, c.req.param());
      const { secret } = await bodyOf(c, schemas.incomingSecret);
      await scopeOf(c, queue).setIncomingSecret(name, secret);
      return answer(c, { queue: name, signed: secret !== null });
    },

    async drainQueue(c) {
      const jobs = scopeOf(c, queue);
      const { states } = await bodyOf(c, schemas.drainBody);
      const { queue: name } = await found(jobs, c);
      const filter = { queues: [name], states };
      return applyToMany(c, { jobs, filter, action: "remove", reason: "drained", ending });
    },

    async getStats(c) {
      const query = queryOf(c, schemas.statsQuery);
      const { queue: queues, project, by, to } = query;
      const from = startOf(query, queue.clock.now());
      const jobs = scopeOf(c, queue, query);
      const wanted = {
        ...defined({ queues, project }),
        ...(from !== undefined && { from }),
        ...(to !== undefined && { to: epochOf(to) }),
      };
      const [counts, [total], groups] = await Promise.all([
        jobs.count(defined({ queues, project })),
        jobs.stats(wanted),
        by === undefined ? [] : jobs.stats({ ...wanted, groupBy: by }),
      ]);
      return answer(c, {
        counts,
        total: figuresOf(total),
        groups: groups.map((row) => ({ key: row.key, ...figuresOf(row) })),
      });
    },

    async listErrors(c) {
      const query = queryOf(c, schemas.errorsQuery);
      const { queue: queues, from, to, limit } = query;
      const groups = await scopeOf(c, queue, query).errorGroups({
        limit,
        ...(queues !== undefined && { queues }),
        ...(from !== undefined && { from: epochOf(from) }),
        ...(to !== undefined && { to: epochOf(to) }),
      });
      return answer(c, { items: groups.map(errorGroupView) });
    },

    async getMetrics(c) {
      const query = queryOf(c, schemas.metricsQuery);
      const { queue: queues, project, interval, perQueue = false } = query;
      const jobs = scopeOf(c, queue, query);
      const step = intervalMs[interval];
      const now = queue.clock.now();
      if (interval === "5s") {
        refuseNarrower(query);
        const since = startOf(query, now) ?? 0;
        const spans = (await recent.of(jobs.tenant)).filter(({ start }) => start >= since);
        const [first, last] = [spans[0]?.start ?? now, spans.at(-1)?.end ?? now];
        const series = [{ queue: null, points: fine(spans) }];
        return answer(c, { interval, from: iso(first), to: iso(last), series });
      }
      const end = query.to === undefined ? now : Math.min(now, epochOf(query.to));
      const last = Math.ceil(end / step) * step;
      const from = startOf(query, now) ?? last - 60 * step;
      const first = Math.floor(from / step) * step;
      const names = perQueue ? (queues ?? (await namesOf(jobs))) : [null];
      refuseTooMany(names.length, (last - first) / step);
      const series = names.map(async (name) => {
        const only = name === null ? queues : [name];
        const wanted = defined({ queues: only, project });
        // Up to now: the backlog is reckoned back from there.
        const [rows, counts] = await Promise.all([
          jobs.stats({ ...wanted, from: first, groupBy: interval }),
          jobs.count(wanted),
        ]);
        return { queue: name, points: dense({ rows, first, last, step, backlog: open(counts) }) };
      });
      return answer(c, {
        interval,
        from: iso(first),
        to: iso(last),
        series: await Promise.all(series),
      });
    },
  };
}

/** @throws QueueError QUEUE_NOT_FOUND */
async function found(jobs: TenantQueue, c: ApiContext): Promise<QueueInfo> {
  const name = c.req.param("queue") ?? "";
  const known = schemas.queueParams.safeParse({ queue: name }).success;
  const [info] = known ? await jobs.queues([name]) : [];
  if (info !== undefined) return info;
  // Queues with a job type are there before their first job.
  if (jobTypeOf(name) !== undefined) return unseen(jobs.home, name);
  throw new QueueError("QUEUE_NOT_FOUND", `Queue ${name.slice(0, 64)} not found`);
}

const none: StateCounts = {
  waiting: 0,
  delayed: 0,
  blocked: 0,
  active: 0,
  completed: 0,
  failed: 0,
  cancelled: 0,
};

function unseen(tenant: string, queue: string): QueueInfo {
  const typed = jobTypeOf(queue) !== undefined;
  const settings = { paused: false, rateLimit: null, concurrency: null, indexedPaths: [] };
  return { tenant, queue, typed, ...settings, counts: none };
}

/** Epoch ms; undefined: since ever. */
function startOf(
  { from, lastMs }: { readonly from?: string | undefined; readonly lastMs?: number | undefined },
  now: number,
): number | undefined {
  if (from !== undefined) return epochOf(from);
  return lastMs === undefined ? undefined : Math.max(0, now - lastMs);
}

async function namesOf(jobs: TenantQueue): Promise<readonly string[]> {
  return [...new Set((await jobs.queues()).map(({ queue }) => queue))];
}

/** @throws QueueError VALIDATION */
function refuseNarrower(query: z.output<typeof schemas.metricsQuery>): void {
  const narrower = ["queue", "project", "perQueue", "to"] as const;
  const field = narrower.find((name) => query[name] !== undefined);
  if (field === undefined) return;
  const message = "5s is of all queues together and ends now: ask for minutes";
  throw new QueueError("VALIDATION", `${field}: ${message}`, { errors: [{ field, message }] });
}

function refuseTooMany(series: number, points: number): void {
  if (series * Math.max(0, points) <= MAX_POINTS) return;
  const message = `Asks for ${series} series of ${points} points, at most ${MAX_POINTS} points are told: ask for hours, fewer queues or a shorter period`;
  throw new QueueError("VALIDATION", message, { errors: [{ field: "from", message }] });
}

const openStates: readonly JobState[] = ["waiting", "delayed", "blocked", "active"];

function open(counts: StateCounts): number {
  return openStates.reduce((sum, state) => sum + counts[state], 0);
}
