import type { QueueFigures, Worker } from "@jobyard/core";
import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";

const endings = [
  "completed",
  "failed",
  "crashed",
] as const satisfies readonly (keyof QueueFigures)[];

/** What the worker does, beside the process' own figures: memory, event-loop lag, garbage collection. */
export function createMetrics(worker: Worker): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const runs = new Counter({
    name: "jobyard_worker_runs_total",
    help: "Runs that have ended, by queue and by how; those handed back are not counted",
    labelNames: ["queue", "ending"],
    registers: [],
    collect() {
      this.reset();
      for (const [queue, figures] of worker.figures) {
        for (const ending of endings) this.inc({ queue, ending }, figures[ending]);
      }
    },
  });
  const active = new Gauge({
    name: "jobyard_worker_active_jobs",
    help: "Jobs that run now, by queue",
    labelNames: ["queue"],
    registers: [],
    collect() {
      for (const [queue, figures] of worker.figures) this.set({ queue }, figures.active);
    },
  });
  registry.registerMetric(runs);
  registry.registerMetric(active);
  return registry;
}
