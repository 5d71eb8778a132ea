import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";
import { jobTypes } from "../job-types/index.ts";
import { ALL_TENANTS } from "../queue-adapter.ts";
import type { JobQueue } from "../queue.ts";
import type { QueueFigures, Worker } from "../worker.ts";

/** A page for Prometheus. */
export interface Metrics {
  readonly contentType: string;
  metrics(): Promise<string>;
}

const endings = [
  "completed",
  "failed",
  "crashed",
] as const satisfies readonly (keyof QueueFigures)[];

/** Those that somebody may have to do something about. */
const states = ["waiting", "delayed", "blocked", "active", "failed"] as const;

const queues = Object.values(jobTypes).map(({ name }) => name);

/**
 * The figures of a process. They concern every tenant: what is in the store for any worker, what this process' own
 * worker does, and the process' memory, event-loop lag and garbage collection.
 */
export function createMetrics(queue: JobQueue, worker: Worker | undefined): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const reachable = new Gauge({
    name: "jobyard_store_reachable",
    help: "Whether this process can use its store: 1 or 0",
    registers,
  });
  const jobs = new Gauge({
    name: "jobyard_queue_jobs",
    help: "Jobs of typed queues in the store, of all tenants, by queue and state; every process tells the same",
    labelNames: ["queue", "state"],
    registers,
  });
  const outbox = new Gauge({
    name: "jobyard_webhook_outbox_events",
    help: "Events in the store that wait for an API process to make webhook deliveries of them",
    registers,
  });
  const dropped = new Gauge({
    name: "jobyard_webhook_dropped_events",
    help: "Events that webhooks were not told of, since too many deliveries or events waited",
    registers,
  });
  const leader = new Gauge({
    name: "jobyard_leader",
    help: "Whether this process does the store's upkeep: 1 or 0",
    registers,
  });
  const runs = new Counter({
    name: "jobyard_worker_runs_total",
    help: "Runs that have ended, by queue and by how; those handed back are not counted",
    labelNames: ["queue", "ending"],
    registers,
  });
  const active = new Gauge({
    name: "jobyard_worker_active_jobs",
    help: "Jobs that run now, by queue",
    labelNames: ["queue"],
    registers,
  });

  return {
    contentType: registry.contentType,
    async metrics() {
      // Of a store that cannot be reached, what was true before is not told again.
      const [lanes, events, webhooks] = await Promise.all([
        queue.adapter.listQueues({ tenant: ALL_TENANTS, queues }).catch(() => undefined),
        queue.adapter.outbox().catch(() => undefined),
        queue.adapter.listWebhooks({ tenant: ALL_TENANTS }).catch(() => undefined),
      ]);
      for (const metric of [jobs, runs, active]) metric.reset();
      outbox.remove();
      dropped.remove();
      if (events !== undefined && webhooks !== undefined) {
        outbox.set(events.waiting);
        dropped.set(webhooks.reduce((sum, { health }) => sum + health.dropped, events.dropped));
      }
      reachable.set(lanes === undefined ? 0 : 1);
      leader.set(queue.isLeader ? 1 : 0);
      if (lanes !== undefined) {
        for (const name of queues) {
          for (const state of states) jobs.set({ queue: name, state }, 0);
        }
        for (const lane of lanes) {
          for (const state of states) jobs.inc({ queue: lane.queue, state }, lane.counts[state]);
        }
      }
      for (const [name, figures] of worker?.figures ?? []) {
        active.set({ queue: name }, figures.active);
        for (const ending of endings) runs.inc({ queue: name, ending }, figures[ending]);
      }
      return registry.metrics();
    },
  };
}
