/** One round of the distributed engine. Usage: node distributed.ts <scenario> <redis port> */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineHandler, defineJobType, JobQueue, Worker } from "@jobyard/core";
import { BullmqAdapter } from "@jobyard/core/bullmq";
import { z } from "zod";
import {
  emptyRedis,
  expectEqual,
  median,
  payload,
  perSecond,
  report,
  usedMemory,
} from "./measure.ts";

const [scenario, port] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "jobyard-bench-files-"));
const adapter = new BullmqAdapter({
  url: `redis://127.0.0.1:${port}`,
  prefix: `bench-${process.pid}`,
});
const queue = new JobQueue({ adapter, payloadFolder: folder, clock: adapter.clock });
await queue.open();

const job = { queue: "bench", data: payload };
const result = { ok: true };
/** The same as core hands it to the engine. */
const plain = {
  queue: job.queue,
  data: JSON.stringify(job.data),
  typed: false,
  name: null,
  priority: 0,
  lifo: false,
  delayMs: 0,
  ttlMs: null,
  timeoutMs: null,
  maxAttempts: 1,
  backoffMs: 1000,
  uniqueKey: null,
  dependsOn: [],
  dependsOnSiblings: [],
  tags: [],
  project: null,
  batch: null,
  origin: null,
};

async function addAll(jobs: number): Promise<void> {
  const batch = Array.from({ length: 1000 }, () => job);
  for (let i = 0; i < jobs; i += 1000) {
    await queue.of("default").addMany(batch, { atomic: false });
  }
}

/** As the server of many tenants hands them to the engine: mixed in one call. */
async function addMixed(jobs: number, tenants: readonly string[]): Promise<void> {
  const specs = tenants.map((tenant) => ({ ...plain, tenant }));
  for (let i = 0; i < jobs; i += 1000) {
    const batch = Array.from(
      { length: 1000 },
      (_, n) => specs[(i + n) % specs.length] as (typeof specs)[number],
    );
    await adapter.enqueue({ jobs: batch, atomic: false });
  }
}

async function pullAll(jobs: number, tenant: string, size: number): Promise<void> {
  const all = queue.of(tenant);
  for (let done = 0; done < jobs;) {
    const claimed = await all.pull({ queue: "bench", limit: size });
    if (claimed.length === 0) throw new Error("nothing to pull");
    await all.ack(claimed.map(({ id, lease }) => ({ id, lease, result })));
    done += claimed.length;
  }
}

const benchType = defineJobType({
  name: "bench",
  title: "Benchmark",
  data: z.looseObject({ p: z.string() }),
  result: z.looseObject({ ok: z.boolean() }),
  defaults: { attempts: 1, backoffMs: 1000, timeoutMs: 60_000 },
});

function startWorker(slots: number, onRun: () => void): Worker {
  const handler = defineHandler(benchType, async () => {
    onRun();
    return result;
  });
  const worker = new Worker({ queue, handlers: [handler], concurrency: slots });
  worker.start();
  return worker;
}

async function drain(jobs: number, slots: number): Promise<void> {
  let left = jobs;
  let finished = (): void => undefined;
  const all = new Promise<void>((resolve) => (finished = resolve));
  const worker = startWorker(slots, () => {
    if (--left === 0) finished();
  });
  await all;
  // Done means acknowledged.
  await worker.drain(1000);
}

async function lifecycle(slots: number): Promise<void> {
  const jobs = 20_000;
  await addAll(2000);
  await drain(2000, slots);
  const start = performance.now();
  await addAll(jobs);
  const added = performance.now();
  await drain(jobs, slots);
  const drained = performance.now();
  const { completed } = await queue.of("default").count();
  expectEqual(completed, jobs + 2000, "completed jobs");
  report({
    add: perSecond(jobs, added - start),
    drain: perSecond(jobs, drained - added),
    lifecycle: perSecond(jobs, drained - start),
  });
}

async function pull(size: number): Promise<void> {
  const jobs = 20_000;
  await addAll(2000);
  await pullAll(2000, "default", size);
  await addAll(jobs);
  const start = performance.now();
  await pullAll(jobs, "default", size);
  const end = performance.now();
  const { completed } = await queue.of("default").count();
  expectEqual(completed, jobs + 2000, "completed jobs");
  report({ pull: perSecond(jobs, end - start) });
}

async function latency(): Promise<void> {
  const times: number[] = [];
  let added = 0;
  let started = (): void => undefined;
  const worker = startWorker(100, () => {
    times.push(performance.now() - added);
    started();
  });
  for (let i = 0; i < 300; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const start = new Promise<void>((resolve) => (started = resolve));
    added = performance.now();
    await queue.of("default").add(job);
    await start;
  }
  await worker.drain(1000);
  report({ latencyMs: median(times.slice(50)) });
}

async function memory(): Promise<void> {
  await addAll(1000);
  const before = usedMemory(port);
  await addAll(100_000);
  report({ bytes: (usedMemory(port) - before) / 100_000 });
}

/** ms for a job's adding, pulling and acknowledging, with so many waiting behind it. */
async function lives(jobs: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < jobs; i += 1000) {
    await addAll(1000);
    await pullAll(1000, "default", 1000);
  }
  return (performance.now() - start) / jobs;
}

async function backlog(): Promise<void> {
  await addAll(1000);
  await lives(5000);
  const shallow = await lives(20_000);
  await addAll(1_000_000);
  report({ deepCost: (await lives(20_000)) / shallow });
}

async function tenants(): Promise<void> {
  const jobs = 20_000;
  const run = async (names: readonly string[]): Promise<number> => {
    const start = performance.now();
    await addMixed(jobs, names);
    await pullAll(jobs, "*", 1000);
    return performance.now() - start;
  };
  const names = Array.from({ length: 1000 }, (_, i) => `tenant-${i}`);
  await run(["default"]);
  await run(names);
  // In pairs: what else the machine does meanwhile costs both sides alike.
  const costs: number[] = [];
  for (let round = 0; round < 5; round++) {
    const one = await run(["default"]);
    costs.push((await run(names)) / one);
  }
  report({ tenantCost: median(costs) });
}

const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  "slots-100": () => lifecycle(100),
  "slots-50": () => lifecycle(50),
  "pull-1000": () => pull(1000),
  "pull-100": () => pull(100),
  latency,
  memory,
  backlog,
  tenants,
};
await scenarios[scenario ?? ""]?.();
await queue.close();
emptyRedis(port);
rmSync(folder, { recursive: true });
