/** What workers must stand: what was acknowledged is counted against what ran. */
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { ensureSystemTools } from "../../../scripts/system-tools.ts";
import type { Job } from "../src/job.ts";
import { CRASH_LIMIT } from "../src/retry-policy.ts";
import {
  add,
  allOver,
  eventually,
  type FaultWorker,
  full,
  join,
  jobsOf,
  long,
  queueOn,
  redis,
  seconds,
  SLOTS,
  startWorker,
  tell,
  WAIT_MS,
  workOf,
} from "./bullmq-faults.ts";

it("killed with -9, one of three again and again: their jobs run again, and no others", async () => {
  const adapter = await join();
  const queue = queueOn(adapter);
  const all = await Promise.all([startWorker(), startWorker(), startWorker()]);
  const alive = [...all];
  const killed = new Set<string>();
  const ids: number[] = [];
  for (let kill = 0; kill < full.kills; kill++) {
    // Less than a minute's work for all slots, however soon the last kill comes.
    const jobs = Array.from({ length: full.jobs / full.kills }, (_, i) =>
      workOf(20 + ((i * 37) % 180)),
    );
    ids.push(...((await queue.addMany(jobs, { atomic: true })) as number[]));
    const victim = alive.shift() as FaultWorker;
    await eventually(async () => {
      const [node] = (await adapter.listWorkers({ tenant: "*", withinMs: WAIT_MS })).filter(
        ({ id }) => id === victim.id,
      );
      return node !== undefined && victim.started.length > 0;
    }, WAIT_MS);
    await victim.kill();
    killed.add(victim.id);
    const next = await startWorker();
    all.push(next);
    alive.push(next);
  }
  const took = await allOver(adapter, 60_000);

  const jobs = await jobsOf(adapter, ids);
  expect(new Set(ids).size).toBe(full.jobs);
  expect(jobs.filter((job) => job?.state !== "completed")).toEqual([]);
  const starts = new Map<number, number>();
  for (const { started } of all) {
    for (const { id } of started) starts.set(id, (starts.get(id) ?? 0) + 1);
  }
  const crashed = jobs.filter((job) => (job?.crashes ?? 0) > 0) as Job[];
  expect(crashed.length).toBeGreaterThan(0);
  expect(Math.max(...crashed.map(({ crashes }) => crashes))).toBeLessThan(CRASH_LIMIT);
  let reruns = 0;
  for (const job of jobs as Job[]) {
    // Who crashed before its handler was called is not heard of.
    expect(starts.get(job.id)).toBeLessThanOrEqual(1 + job.crashes);
    reruns += job.crashes;
    if (job.crashes === 0) continue;
    const runs = (await adapter.runs({ tenant: "default", id: job.id })).slice(0, -1);
    expect(runs.map(({ outcome }) => outcome)).toEqual(runs.map(() => "crashed"));
    expect(runs).toHaveLength(job.crashes);
    for (const { worker } of runs) expect(killed).toContain(worker);
  }
  // What a worker runs, and what it had not yet told the end of.
  expect(reruns).toBeLessThanOrEqual(full.kills * SLOTS * 2);
  tell(
    `${full.kills} kills, ${ids.length} jobs acknowledged, ${jobs.length} completed, 0 lost, 0 failed, ` +
      `${reruns} reruns, all of jobs in flight; done ${seconds(took)} after the last kill`,
  );
});

it("one blocked for three leases: its job runs once more, its late acknowledgement is refused", async () => {
  const adapter = await join();
  const leaseMs = 2000;
  const blocked = await startWorker({ leaseMs });
  const data = JSON.stringify({ ms: 3 * leaseMs, blocks: blocked.child.pid });
  const id = await add(adapter, data);
  await eventually(() => blocked.started.length > 0, WAIT_MS);
  // It runs the job again; on a slow machine the first one may be back sooner.
  const other = await startWorker({ leaseMs });
  await eventually(() => blocked.refused.includes("STALE_LEASE"), WAIT_MS);
  await allOver(adapter, WAIT_MS);
  const [job] = await jobsOf(adapter, [id]);
  expect(job).toMatchObject({ state: "completed", crashes: 1 });
  expect([...blocked.started, ...other.started].map((start) => start.id)).toEqual([id, id]);
  // It may take its connection for dead after so long, and try again over a new one.
  expect(blocked.refused.filter((code) => code !== "UNAVAILABLE")).toEqual(["STALE_LEASE"]);
  expect(other.refused).toEqual([]);
  tell("1 rerun, 1 late acknowledgement refused");
});

it("with clocks an hour off, either way: nothing runs early, no tick makes two jobs", async () => {
  const adapter = await join();
  const queue = queueOn(adapter);
  const second = async (): Promise<number> => {
    const [time] = (await redis.command("TIME")) as [string];
    return Number(time);
  };
  // Before there are workers, so that they know it from their start.
  const from = await second();
  await queue.putSchedule("tick", { cron: "* * * * * *", job: workOf(0) });
  const workers = await Promise.all(
    ["+1h", "-1h"].map((shift) => startWorker({ env: clockShifted(shift) })),
  );
  const asked = performance.now();
  const delays = Array.from({ length: full.dueAtOnce / 10 }, (_, i) => 1000 + i * 10);
  const ids = (await queue.addMany(
    delays.map((delayMs) => ({ ...workOf(0), delayMs })),
    { atomic: true },
  )) as number[];
  await sleep(full.ticksForMs);
  const completed = async () => (await adapter.count({ tenant: "*" })).completed;
  await eventually(async () => (await completed()) > ids.length, WAIT_MS);
  await queue.deleteSchedule("tick");
  const ticks = (await second()) - from;
  await allOver(adapter, WAIT_MS);

  const starts = workers.flatMap(({ started }) => started);
  expect(new Set(starts.map(({ id }) => id)).size).toBe(starts.length);
  for (const [i, id] of ids.entries()) {
    const start = starts.find((each) => each.id === id);
    expect((start?.at ?? 0) - asked).toBeGreaterThanOrEqual(delays[i] as number);
  }
  const ticked = (await completed()) - ids.length;
  expect(ticked).toBeGreaterThan(0);
  expect(ticked).toBeLessThanOrEqual(ticks);
  const at = (await jobsOf(adapter, ids)).map((job) => job?.createdAt ?? 0);
  expect(Math.abs((at[0] ?? 0) - Date.now())).toBeLessThan(600_000);
  tell(`${ids.length} delayed jobs, 0 early; ${ticks} ticks made ${ticked} jobs`);
});

it("with many jobs due at once: none starts early, 99 of 100 start within 3 s", async () => {
  const adapter = await join();
  const queue = queueOn(adapter);
  await Promise.all([startWorker({ slots: 100 }), startWorker({ slots: 100 })]);
  const due = adapter.clock.now() + (long ? 10_000 : 3000);
  const ids: number[] = [];
  while (ids.length < full.dueAtOnce) {
    const jobs = Array.from({ length: 500 }, () => ({
      ...workOf(0),
      delayMs: Math.max(1, due - adapter.clock.now()),
    }));
    ids.push(...((await queue.addMany(jobs, { atomic: true })) as number[]));
  }
  expect(adapter.clock.now()).toBeLessThan(due);
  await allOver(adapter, 60_000);
  const late = (await jobsOf(adapter, ids)).map((job) => {
    expect(job?.state).toBe("completed");
    return (job?.startedAt ?? 0) - (job?.createdAt ?? 0) - (job?.delayMs ?? 0);
  });
  late.sort((a, b) => a - b);
  const p99 = late[Math.floor(late.length * 0.99)] ?? 0;
  expect(late[0]).toBeGreaterThanOrEqual(0);
  expect(p99).toBeLessThan(3000);
  tell(`${late.length} jobs, earliest ${late[0]} ms late, p99 ${p99} ms, last ${late.at(-1)} ms`);
});

/** For a process whose clock shows another time; its timers keep theirs. */
function clockShifted(shift: string): Record<string, string> {
  ensureSystemTools("faketime");
  const preload = execFileSync("faketime", ["-m", "-f", shift, "printenv", "LD_PRELOAD"]);
  return {
    LD_PRELOAD: preload.toString().trim(),
    FAKETIME: shift,
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
}
