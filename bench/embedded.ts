/** One round of the embedded engine. Usage: node --expose-gc embedded.ts <scenario> <folder> [ms added to a sync] */
import { closeSync, fdatasyncSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { defineHandler, defineJobType, JobQueue, Worker } from "@jobyard/core";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { z } from "zod";
import { expectEqual, median, payload, perSecond, report } from "./measure.ts";

const [scenario, folder = "", slowSync = "0"] = process.argv.slice(2);
const path = join(folder, "bench.db");

const commits = { longestMs: 0 };
watchCommits(Number(slowSync));

/** Times each commit, checkpoint included, and makes it last longer where a slow disk is asked for. */
function watchCommits(slowerMs: number): void {
  // oxlint-disable-next-line typescript/unbound-method -- it is called with the database it belongs to
  const exec = DatabaseSync.prototype.exec;
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  DatabaseSync.prototype.exec = function (sql: string): void {
    if (sql !== "COMMIT") return exec.call(this, sql);
    const start = performance.now();
    exec.call(this, sql);
    if (slowerMs > 0) Atomics.wait(nobody, 0, 0, slowerMs);
    commits.longestMs = Math.max(commits.longestMs, performance.now() - start);
  };
}

async function open(): Promise<JobQueue> {
  const queue = new JobQueue({
    adapter: new SqliteAdapter({ path }),
    payloadFolder: join(folder, "payloads"),
  });
  await queue.open();
  return queue;
}

const job = { queue: "bench", data: payload };
const result = { ok: true };

async function addAll(queue: JobQueue, jobs: number): Promise<void> {
  const tenant = queue.of("default");
  const batch = Array.from({ length: 1000 }, () => job);
  for (let i = 0; i < jobs; i += 1000) await tenant.addMany(batch, { atomic: false });
}

/** Enqueue, claim and complete, each in batches of `size`. */
async function batches(queue: JobQueue, size: number, jobs: number): Promise<number> {
  const tenant = queue.of("default");
  const batch = Array.from({ length: size }, () => job);
  const start = performance.now();
  for (let i = 0; i < jobs; i += size) {
    await tenant.addMany(batch, { atomic: false });
    const claimed = await tenant.pull({ queue: "bench", limit: size });
    expectEqual(claimed.length, size, "claimed jobs");
    await tenant.ack(claimed.map(({ id, lease }) => ({ id, lease, result })));
  }
  return performance.now() - start;
}

async function expectCompleted(queue: JobQueue, jobs: number): Promise<void> {
  const counts = await queue.of("default").count();
  expectEqual(counts.completed, jobs, "completed jobs");
  expectEqual(counts.failed + counts.active, 0, "failed or active jobs");
}

async function lifecycle(size: number): Promise<void> {
  const queue = await open();
  const warmUp = 20_000;
  const jobs = 50_000;
  await batches(queue, size, warmUp);
  const ms = await batches(queue, size, jobs);
  await expectCompleted(queue, warmUp + jobs);
  await queue.close();
  // What was acknowledged is on disk: count it there.
  const db = new DatabaseSync(path);
  const row = db
    .prepare("SELECT count(*) n FROM finished_job WHERE phase = 3 AND result IS NOT NULL")
    .get();
  expectEqual(Number(row?.["n"]), warmUp + jobs, "completed jobs on disk");
  db.close();
  report({ lifecycle: perSecond(jobs, ms), longestCommitMs: commits.longestMs });
}

const benchType = defineJobType({
  name: "bench",
  title: "Benchmark",
  data: z.looseObject({ p: z.string() }),
  result: z.looseObject({ ok: z.boolean() }),
  defaults: { attempts: 1, backoffMs: 1000, timeoutMs: 60_000 },
});

/** Single adds, 500 at a time, against a worker with 100 slots. */
async function singles(): Promise<void> {
  const queue = await open();
  const tenant = queue.of("default");
  let done = 0;
  let finished = (): void => undefined;
  let wanted = 0;
  const handler = defineHandler(benchType, async () => {
    if (++done === wanted) finished();
    return result;
  });
  const worker = new Worker({ queue, handlers: [handler], concurrency: 100 });
  worker.start();
  const run = async (jobs: number): Promise<number> => {
    done = 0;
    wanted = jobs;
    const all = new Promise<void>((resolve) => (finished = resolve));
    let left = jobs;
    const start = performance.now();
    await Promise.all(
      Array.from({ length: 500 }, async () => {
        while (left-- > 0) await tenant.add(job);
      }),
    );
    await all;
    // Done means acknowledged.
    while ((await tenant.count({ states: ["completed"] })).completed % 10_000 !== 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    return performance.now() - start;
  };
  await run(10_000);
  const jobs = 50_000;
  const ms = await run(jobs);
  await expectCompleted(queue, 60_000);
  await worker.drain(1000);
  await queue.close();
  report({ singles: perSecond(jobs, ms), longestCommitMs: commits.longestMs });
}

async function latency(): Promise<void> {
  const queue = await open();
  const tenant = queue.of("default");
  const times: number[] = [];
  let added = 0;
  let started = (): void => undefined;
  const handler = defineHandler(benchType, async () => {
    times.push(performance.now() - added);
    started();
    return result;
  });
  const worker = new Worker({ queue, handlers: [handler], concurrency: 100 });
  worker.start();
  for (let i = 0; i < 300; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const start = new Promise<void>((resolve) => (started = resolve));
    added = performance.now();
    await tenant.add(job);
    await start;
  }
  await worker.drain(1000);
  // Into another queue, so that nothing else happens.
  const pushes: number[] = [];
  for (let i = 0; i < 300; i++) {
    const start = performance.now();
    await tenant.add({ queue: "idle", data: payload });
    pushes.push(performance.now() - start);
  }
  await queue.close();
  report({
    latencyMs: median(times.slice(50)),
    pushMs: median(pushes.slice(50)),
    fdatasyncMs: median(syncs()),
  });
}

/** What the disk takes for one write of 8 KiB and its sync, ms. */
function syncs(): number[] {
  const file = join(folder, "sync");
  const fd = openSync(file, "w");
  const page = Buffer.alloc(8192, 1);
  const times = Array.from({ length: 300 }, () => {
    const start = performance.now();
    writeSync(fd, page);
    fdatasyncSync(fd);
    return performance.now() - start;
  });
  closeSync(fd);
  rmSync(file);
  return times.slice(50);
}

async function backlog(): Promise<void> {
  const waiting = 1_000_000;
  const small = 1000;
  const jobs = 50_000;
  let queue = await open();
  await addAll(queue, small);
  await batches(queue, 1000, 20_000);
  const shallow = await batches(queue, 1000, jobs);
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  const bytes = statSync(path).size;
  await addAll(queue, waiting);
  globalThis.gc?.();
  const memory = (process.memoryUsage.rss() - before) / waiting;
  const deep = await batches(queue, 1000, jobs);
  const counts = await queue.of("default").count();
  expectEqual(counts.waiting, waiting + small, "waiting jobs");
  await queue.close();
  const grown = (statSync(path).size - bytes) / waiting;
  const start = performance.now();
  queue = await open();
  const claimed = await queue.of("default").pull({ queue: "bench", limit: 1 });
  const restart = performance.now() - start;
  expectEqual(claimed.length, 1, "claimed jobs");
  await queue.close();
  report({
    deepCost: deep / shallow,
    bytesOfMemory: memory,
    // The jobs completed meanwhile lie in the same file: an upper bound.
    bytesOfFile: grown,
    restartMs: restart,
    longestCommitMs: commits.longestMs,
  });
}

const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  "batches-1000": () => lifecycle(1000),
  "batches-100": () => lifecycle(100),
  singles,
  latency,
  backlog,
};
await scenarios[scenario ?? ""]?.();
