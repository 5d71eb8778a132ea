/** What the fault tests share: a Redis of each test's own, processes on it, and how they are watched. */
import { type ChildProcess, fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, onTestFinished, vi } from "vitest";
import { childEnv } from "../../../scripts/child-env.ts";
import { BullmqAdapter } from "../src/adapters/bullmq/index.ts";
import { QueueError } from "../src/errors.ts";
import type { ClaimedJob, Job } from "../src/job.ts";
import type { ClaimParams } from "../src/queue-adapter.ts";
import { JobQueue, type NewJob, type TenantQueue } from "../src/queue.ts";
import { jobSpec } from "../src/testing/index.ts";
import type { WorkerNews } from "./bullmq-worker.ts";
import { startRedis, type TestRedis } from "./redis.ts";

export const long = process.env["JOBYARD_LONG"] === "1";
/** How much of it. */
export const full = long
  ? {
      kills: 50,
      jobs: 10_000,
      restarts: 20,
      cutForMs: 60_000,
      dueAtOnce: 10_000,
      ticksForMs: 30_000,
    }
  : { kills: 2, jobs: 200, restarts: 2, cutForMs: 2000, dueAtOnce: 500, ticksForMs: 2000 };
export const WAIT_MS = 60_000;
export const SLOTS = 10;

// Each starts processes, which takes seconds where others are at work too.
vi.setConfig({ testTimeout: long ? 600_000 : 180_000 });

/** Each test has its own. */
export let redis: TestRedis;
let prefix: string;

beforeEach(async () => {
  // So that a killed Redis, too, has on disk all that it has acknowledged.
  redis = await startRedis("--appendfsync", "always");
  prefix = `f-${randomUUID()}`;
});

afterEach(() => redis.stop());

/** One line of figures of a test in full. */
export function tell(figures: string): void {
  if (long) process.stdout.write(`${expect.getState().currentTestName}: ${figures}\n`);
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export const workOf = (ms: number): NewJob => ({ queue: "work", data: { ms } });

/** One more process, as far as Redis can tell. */
export async function join(url = redis.url): Promise<BullmqAdapter> {
  const adapter = new BullmqAdapter({ url, prefix });
  await adapter.open();
  onTestFinished(() => adapter.close().catch(() => undefined));
  return adapter;
}

export function queueOn(adapter: BullmqAdapter): TenantQueue {
  const queue = new JobQueue({ adapter, payloadFolder: tmpdir(), clock: adapter.clock });
  return queue.of("default");
}

export interface FaultWorker {
  readonly id: string;
  readonly child: ChildProcess;
  /** Jobs whose handlers were started, and when it was heard. */
  readonly started: { readonly id: number; readonly at: number }[];
  readonly refused: string[];
  kill(): Promise<void>;
}

export async function startWorker(
  how: {
    readonly url?: string;
    readonly leaseMs?: number;
    readonly slots?: number;
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<FaultWorker> {
  const { url = redis.url, leaseMs = 300_000, slots = SLOTS, env = {} } = how;
  const child = fork(
    new URL("bullmq-worker.ts", import.meta.url),
    [url, prefix, String(slots), String(leaseMs)],
    {
      execArgv: ["--conditions=@jobyard/source"],
      env: { ...childEnv, ...env },
    },
  );
  onTestFinished(() => void child.kill("SIGKILL"));
  const started: FaultWorker["started"] = [];
  const refused: string[] = [];
  const id = await new Promise<string>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`The worker ended with ${code}`)));
    child.on("message", (news: WorkerNews) => {
      if ("ready" in news) resolve(news.ready);
      else if ("started" in news) started.push({ id: news.started, at: performance.now() });
      else refused.push(news.refused);
    });
  });
  const kill = async (): Promise<void> => {
    const gone = once(child, "close");
    child.kill("SIGKILL");
    await gone;
  };
  return { id, child, started, refused, kill };
}

export function claim(
  adapter: BullmqAdapter,
  wish: Partial<ClaimParams> = {},
): Promise<readonly ClaimedJob[]> {
  return adapter.claim({
    tenant: "default",
    queues: [{ queue: "work", limit: 1000 }],
    limit: 1000,
    worker: "w",
    leaseMs: WAIT_MS,
    inProcess: false,
    timeoutFrom: "progress",
    waitMs: 0,
    ...wish,
  });
}

export async function add(adapter: BullmqAdapter, data = "{}"): Promise<number> {
  const [id] = await adapter.enqueue({ jobs: [jobSpec({ data })], atomic: true });
  return id as number;
}

/** Answers with how long it took, ms. */
export async function eventually(
  check: () => Promise<boolean> | boolean,
  withinMs: number,
): Promise<number> {
  const began = performance.now();
  while (!(await check())) {
    if (performance.now() - began > withinMs) throw new Error(`not within ${withinMs} ms`);
    await sleep(20);
  }
  return performance.now() - began;
}

export async function stateOf(adapter: BullmqAdapter, id: number): Promise<string | undefined> {
  const [job] = await adapter.get({ tenant: "*", ids: [id] });
  return job?.state;
}

export async function jobsOf(
  adapter: BullmqAdapter,
  ids: readonly number[],
): Promise<(Job | null)[]> {
  const jobs: (Job | null)[] = [];
  for (let from = 0; from < ids.length; from += 1000) {
    jobs.push(...(await adapter.get({ tenant: "*", ids: ids.slice(from, from + 1000) })));
  }
  return jobs;
}

/** Resolves once nothing waits or runs any more. */
export function allOver(adapter: BullmqAdapter, withinMs: number): Promise<number> {
  return eventually(async () => {
    const counts = await unlessAway(() => adapter.count({ tenant: "*" }));
    return counts !== undefined && counts.waiting + counts.active + counts.delayed === 0;
  }, withinMs);
}

/** How a call fails, and after how many ms. */
export async function failure(call: () => Promise<unknown>): Promise<{ code: string; ms: number }> {
  const began = performance.now();
  const error: unknown = await call().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  const code = error instanceof QueueError ? error.code : `no refusal: ${String(error)}`;
  return { code, ms: performance.now() - began };
}

/** A call's answer, or nothing while the store is away. */
export async function unlessAway<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof QueueError && error.code === "UNAVAILABLE") return undefined;
    throw error;
  }
}
