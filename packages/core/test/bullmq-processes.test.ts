import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { childEnv } from "../../../scripts/child-env.ts";
import { parseConfig } from "../src/config.ts";
import type { JobEvent } from "../src/events.ts";
import type { Job } from "../src/job.ts";
import { openQueue } from "../src/process/index.ts";
import type { JobQueue, TenantQueue } from "../src/queue.ts";
import { startRedis, type TestRedis } from "./redis.ts";

/** A process that runs jobs, fires schedules, and tells what events it hears. */
interface Peer {
  readonly id: string;
  readonly child: ChildProcess;
  readonly heard: JobEvent[];
}

let redis: TestRedis;
let folder: string;
const peers: Peer[] = [];
let queue: JobQueue;
let ours: TenantQueue;

async function startPeer(): Promise<Peer> {
  const child = fork(new URL("queue-process.ts", import.meta.url), [redis.url, folder], {
    execArgv: ["--conditions=@jobyard/source"],
    env: childEnv,
  });
  const heard: JobEvent[] = [];
  child.on("message", ({ events = [] }: { events?: JobEvent[] }) => heard.push(...events));
  const [{ ready }] = (await once(child, "message")) as [{ ready: string }];
  return { id: ready, child, heard };
}

beforeAll(async () => {
  redis = await startRedis();
  folder = await mkdtemp(join(tmpdir(), "jobyard-processes-"));
  // One after the other: the first of them leads.
  for (let i = 0; i < 3; i++) peers.push(await startPeer());
  queue = await openQueue(parseConfig({ REDIS_URL: redis.url, DATA_DIR: folder }), {
    onError: () => undefined,
    onWarning: () => undefined,
  });
  ours = queue.of("default");
  await queue.join({ id: "here", host: "localhost", port: 1 });
});

afterAll(async () => {
  await queue?.close();
  for (const { child } of peers) child.kill("SIGKILL");
  await redis?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function done(ids: readonly number[]): Promise<readonly Job[]> {
  return Promise.all(ids.map((id) => ours.wait(id, { timeoutMs: 40_000 })));
}

function outcomeIds(outcomes: readonly unknown[]): number[] {
  return outcomes.map((outcome) => {
    expect(outcome).toBeTypeOf("number");
    return outcome as number;
  });
}

const workIn = (name: string, ms: number) => ({ queue: name, data: { ms } });

/** One job more than a process runs at once, which last until they are cancelled: run by several processes for sure. */
async function holdPlaces(name: string): Promise<readonly number[]> {
  const jobs = Array.from({ length: 11 }, () => workIn(name, 600_000));
  const ids = outcomeIds(await ours.addMany(jobs, { atomic: true }));
  const states = async () => Promise.all(ids.map(async (id) => (await ours.get(id)).state));
  await expect.poll(states).toEqual(ids.map(() => "active"));
  const workers = await Promise.all(ids.map(async (id) => (await ours.get(id)).worker));
  expect(new Set(workers).size).toBeGreaterThan(1);
  return ids;
}

const cancel = async (ids: readonly number[]): Promise<void> => {
  await Promise.all(ids.map((id) => ours.cancel(id, { running: true })));
};

test("events of all processes reach every listener, in order", async () => {
  const here: JobEvent[] = [];
  const stop = await ours.subscribe({ onEvents: (events) => here.push(...events) });
  const held = await holdPlaces("slow");
  await cancel(held);
  const jobs = Array.from({ length: 30 }, () => workIn("work", 20));
  const ids = outcomeIds(await ours.addMany(jobs, { atomic: true }));
  await done(ids);
  for (const heard of [here, ...peers.map((peer) => peer.heard)]) {
    const lives = (of: readonly number[]) =>
      of.map((id) => heard.filter(({ jobId }) => jobId === id).map(({ type }) => type));
    const life = ["job.pushed", "job.started"];
    await expect.poll(() => lives(held)).toEqual(held.map(() => [...life, "job.cancelled"]));
    await expect.poll(() => lives(ids)).toEqual(ids.map(() => [...life, "job.completed"]));
  }
  stop();
});

test("a job that is cancelled here ends in its process within a second", async () => {
  const id = await ours.add(workIn("slow", 600_000));
  await expect.poll(async () => (await ours.get(id)).state).toBe("active");
  const began = performance.now();
  await ours.cancel(id, { running: true });
  const { state } = await ours.wait(id, { timeoutMs: 30_000 });
  expect(state).toBe("cancelled");
  expect(performance.now() - began).toBeLessThan(1000);
});

test("a queue's limits hold over all processes", async () => {
  await ours.configure("narrow", { concurrency: 11 });
  const held = await holdPlaces("narrow");
  const jobs = Array.from({ length: 66 }, () => workIn("narrow", 60));
  const ids = outcomeIds(await ours.addMany(jobs, { atomic: true }));
  await cancel(held);
  const ran = await done([...held, ...ids]);
  // At every start, how many of the others were running.
  const others = ran.map(
    ({ id, startedAt }) =>
      ran.filter(
        (other) =>
          other.id !== id &&
          (other.startedAt ?? 0) <= (startedAt ?? 0) &&
          (other.finishedAt ?? 0) > (startedAt ?? 0),
      ).length,
  );
  expect(Math.max(...others)).toBe(10);

  await ours.configure("work", { rateLimit: 4 });
  const fast = Array.from({ length: 12 }, () => workIn("work", 0));
  const rated = await done(outcomeIds(await ours.addMany(fast, { atomic: true })));
  const starts = rated.map(({ startedAt }) => startedAt ?? 0).sort((a, b) => a - b);
  for (const i of [4, 8])
    expect((starts[i] ?? 0) - (starts[i - 4] ?? 0)).toBeGreaterThanOrEqual(1000);
  await ours.configure("work", { rateLimit: null });
});

test("one tick of a schedule makes one job, with four processes that look at it", async () => {
  const second = async (): Promise<number> => {
    const [time] = (await redis.command("TIME")) as [string];
    return Number(time);
  };
  const pushed: JobEvent[] = [];
  const stop = await ours.subscribe({
    queue: "work",
    types: ["job.pushed"],
    onEvents: (events) => pushed.push(...events),
  });
  const from = await second();
  await ours.putSchedule("tick", { cron: "* * * * * *", job: workIn("work", 0) });
  await expect.poll(() => pushed.length).toBeGreaterThanOrEqual(6);
  await ours.deleteSchedule("tick");
  const ticks = (await second()) - from;
  stop();
  expect(pushed.length).toBeLessThanOrEqual(ticks);
});

test("when the leader is killed, another one leads within 15 s and does what has become due", async () => {
  const leader = async () => (await ours.nodes()).find(({ isLeader }) => isLeader)?.id;
  expect((await ours.nodes()).map(({ id }) => id).toSorted()).toEqual(
    ["here", ...peers.map(({ id }) => id)].toSorted(),
  );
  const first = await leader();
  const { child } = peers.find(({ id }) => id === first) as Peer;
  const gone = once(child, "exit");
  const due = await ours.add({ ...workIn("work", 0), delayMs: 1000 });
  child.kill("SIGKILL");
  await gone;
  const killedAt = performance.now();
  expect((await ours.wait(due, { timeoutMs: 15_000 })).state).toBe("completed");
  await expect
    .poll(leader, { timeout: 15_000, interval: 100 })
    .toSatisfy((id) => id !== undefined && id !== first);
  expect(performance.now() - killedAt).toBeLessThan(15_000);
  await expect.poll(async () => (await ours.nodes()).map(({ id }) => id)).not.toContain(first);
});
