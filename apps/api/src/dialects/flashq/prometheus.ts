import { Counter, Gauge, Registry } from "prom-client";
import type { MetricsView, StatsView } from "./mapping.ts";

/** The figures as a Prometheus page, with its content type. */
export async function prometheusPage(
  stats: StatsView,
  metrics: MetricsView,
): Promise<{ readonly text: string; readonly contentType: string }> {
  const registry = new Registry();
  const registers = [registry];
  const totals = {
    pushed: ["Jobs added", metrics.total_pushed],
    completed: ["Jobs that completed", metrics.total_completed],
    failed: ["Jobs that failed for good", metrics.total_failed],
  } as const;
  for (const [name, [help, value]] of Object.entries(totals)) {
    new Counter({ name: `flashq_jobs_${name}_total`, help, registers }).inc(value);
  }
  const current = new Gauge({
    name: "flashq_jobs_current",
    help: "Current number of jobs by state",
    labelNames: ["state"],
    registers,
  });
  for (const [state, value] of Object.entries(stats)) current.set({ state }, value as number);
  new Gauge({
    name: "flashq_throughput_per_second",
    help: "Jobs processed per second",
    registers,
  }).set(metrics.jobs_per_second);
  const queues = new Gauge({
    name: "flashq_queue_jobs",
    help: "Queue job counts",
    labelNames: ["queue", "state"],
    registers,
  });
  for (const { name: queue, pending, processing, dlq } of metrics.queues) {
    queues.set({ queue, state: "pending" }, pending);
    queues.set({ queue, state: "processing" }, processing);
    queues.set({ queue, state: "dlq" }, dlq);
  }
  return { text: await registry.metrics(), contentType: registry.contentType };
}
