import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmdirSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate } from "node:timers/promises";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { SqliteAdapter } from "../../src/adapters/sqlite/index.ts";
import { QueueError } from "../../src/errors.ts";
import type { JobEvent } from "../../src/events.ts";
import type { ClaimParams, StopRequest } from "../../src/queue-adapter.ts";
import { jobSpec, jobSpecs } from "../../src/testing/index.ts";
import { FailingDisk, resultCodes } from "./failing-disk.ts";
import { runOrder, StoreOnDisk, visible } from "./store-on-disk.ts";
import type { SmallDiskReport } from "./small-disk.ts";

async function codeOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => "done",
    (error: unknown) => (error instanceof QueueError ? error.code : error),
  );
}

function claimOf(queue: string, rest: Partial<ClaimParams> = {}): ClaimParams {
  return {
    tenant: "*",
    queues: [{ queue, limit: 1 }],
    limit: 1,
    worker: "w",
    leaseMs: 1000,
    inProcess: false,
    timeoutFrom: "progress",
    waitMs: 0,
    ...rest,
  };
}

const tenant = "default";

// ---- a disk that is really full

const program = new URL("small-disk.ts", import.meta.url).pathname;

/** Runs the program on a disk that is full before long; `makeRoom` is called when it says so. */
async function onSmallDisk(
  child: ChildProcess,
  makeRoom: () => Promise<void> | void,
): Promise<SmallDiskReport> {
  const lines = createInterface({ input: child.stdout! });
  let report: SmallDiskReport | undefined;
  for await (const line of lines) {
    if (line === "full") {
      await makeRoom();
      child.stdin!.write("room\n");
    } else {
      report = JSON.parse(line) as SmallDiskReport;
    }
  }
  if (child.exitCode === null) await once(child, "exit");
  if (report === undefined) throw new Error(`no report; exit code ${child.exitCode}`);
  return report;
}

function expectSound(report: SmallDiskReport): void {
  expect(report.acknowledged).toBeGreaterThan(0);
  expect(report.refused).toBeGreaterThan(0);
  expect(report.codes).toEqual(["UNAVAILABLE"]);
  expect(report.countedWhileFull).toBe(report.acknowledged);
  expect(report.drained).toEqual(report.expected);
  expect(report.afterReopen).toEqual({ waiting: 0, completed: report.expected.length });
  expect(report.integrity).toBe("ok");
}

const options = ["--conditions=@jobyard/source", program];
const stdio = ["pipe", "pipe", "inherit"] as const;

const mountable = ((): boolean => {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  // A container may be root and yet not be allowed to mount.
  const at = mkdtempSync(join(tmpdir(), "jobyard-mount-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", at]).status === 0;
  if (mounted) spawnSync("umount", [at]);
  rmdirSync(at);
  return mounted;
})();

async function expectSoundOnSmallFileSystem(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "jobyard-full-"));
  expect(spawnSync("mount", ["-t", "tmpfs", "-o", "size=10m", "tmpfs", folder]).status).toBe(0);
  onTestFinished(async () => {
    spawnSync("umount", ["-l", folder]);
    await rm(folder, { recursive: true, force: true });
  });
  const filler = join(folder, "filler");
  await writeFile(filler, Buffer.alloc(8_000_000));
  const child = spawn(process.execPath, [...options, folder], { stdio: [...stdio] });
  expectSound(await onSmallDisk(child, () => rm(filler)));
}

async function expectSoundUnderSizeLimit(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "jobyard-full-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  // The soft limit alone, so that it can be raised again.
  const limited = ["--fsize=1500000:", process.execPath, ...options, folder];
  const child = spawn("prlimit", limited, { stdio: [...stdio] });
  const report = await onSmallDisk(child, () => {
    const raised = spawnSync("prlimit", ["--pid", String(child.pid), "--fsize=unlimited:"]);
    expect(raised.status).toBe(0);
  });
  expectSound(report);
}

// A limit works wherever there is prlimit, a file system of one's own only where one may mount it.
test.each([
  ...(mountable
    ? [{ name: "a small file system", expectSound: expectSoundOnSmallFileSystem }]
    : []),
  { name: "a file size limit", expectSound: expectSoundUnderSizeLimit },
])(
  "a full disk ($name) refuses what does not fit, and goes on when there is room",
  async ({ expectSound }) => {
    await expectSound();
  },
);

// ---- a disk that fails on demand

describe("a failing commit", () => {
  let disk: FailingDisk;
  let store: StoreOnDisk;
  let adapter: SqliteAdapter;

  beforeEach(async () => {
    disk = FailingDisk.install();
    store = await StoreOnDisk.open();
    adapter = store.adapter;
    onTestFinished(async () => {
      disk.mend();
      await store.dispose();
    });
  });

  async function add(...overrides: Parameters<typeof jobSpec>): Promise<number> {
    const [id] = await adapter.enqueue({ jobs: [jobSpec(...overrides)], atomic: false });
    if (typeof id !== "number") throw new Error("refused", { cause: id });
    return id;
  }

  const claim = (rest: Partial<ClaimParams> & { queue?: string } = {}) => {
    const { queue = "work", ...params } = rest;
    return adapter.claim(claimOf(queue, params));
  };

  async function take(rest: Parameters<typeof claim>[0] = {}) {
    const [job] = await claim(rest);
    if (job === undefined) throw new Error("nothing to claim");
    return job;
  }

  async function breakDuring(calls: () => readonly Promise<unknown>[]): Promise<unknown[]> {
    disk.breakDown();
    const asked = calls().map(codeOf);
    const codes = await Promise.all(asked);
    disk.mend();
    return codes;
  }

  test.each(Object.keys(resultCodes).filter((kind) => kind !== "odd statement"))(
    "(%s) is told to every caller of the group, and nothing of it is kept or told",
    async (kind) => {
      const [a, b, c, d] = [await add(), await add(), await add(), await add({ delayMs: 500 })];
      const [first, second] = [await take(), await take({ inProcess: true, timeoutFrom: "start" })];
      const failed = await take();
      await adapter.fail({
        tenant,
        runs: [
          {
            id: failed.id,
            lease: failed.lease,
            attempt: 1,
            error: { message: "x" },
            retryAt: null,
          },
        ],
      });
      const schedule = {
        tenant,
        name: "s",
        cron: "* * * * *",
        timezone: "UTC",
        enabled: true,
        description: null,
        queue: "work",
        template: "{}",
        via: "t",
        createdAt: 0,
        nextRun: 1,
        lastRun: null,
      };
      await adapter.putSchedule({ schedule, replaces: null });
      const events: JobEvent[] = [];
      await adapter.subscribe({ tenant: "*", onEvents: (some) => events.push(...some) });
      const stops: StopRequest[] = [];
      adapter.onStopRequest((request) => stops.push(request));
      const before = await visible(adapter);
      expect([a, b, c, d]).toEqual([first.id, second.id, failed.id, d]);
      const calls = () => [
        adapter.enqueue({ jobs: jobSpecs(3, () => ({ uniqueKey: "k" })), atomic: false }),
        adapter.enqueue({
          jobs: [jobSpec({ tenant: "new", queue: "data_export", typed: true })],
          atomic: true,
        }),
        adapter.enqueueOnce({ jobs: jobSpecs(2), atomic: false, tenant, key: "once", note: "" }),
        adapter.claim(claimOf("work")),
        adapter.complete({ tenant, runs: [{ id: first.id, lease: first.lease, result: "1" }] }),
        adapter.cancel({ tenant, ids: [second.id, d], running: true, reason: "no" }),
        adapter.progress({ tenant, reports: [{ id: second.id, progress: 50 }], leaseMs: 9000 }),
        adapter.log({ tenant, run: { id: second.id }, lines: ["line"] }),
        adapter.retry({ tenant, ids: [failed.id] }),
        adapter.promote({ tenant, ids: [d] }),
        adapter.applyToMany({ filter: { tenant }, action: "remove", reason: "r", limit: 9 }),
        adapter.configureQueue({ tenant, queue: "work", typed: false, settings: { paused: true } }),
        adapter.configureQueue({ tenant, queue: "brand-new", typed: false, settings: {} }),
        adapter.putSchedule({ schedule: { ...schedule, name: "t" }, replaces: null }),
        adapter.fireSchedule({ tenant, name: "s", due: 1, nextRun: 2, job: jobSpec() }),
        adapter.deleteSchedule({ tenant, name: "s" }),
        adapter.putWebhook({
          tenant,
          url: "https://x.example/",
          events: [],
          queue: null,
          secret: null,
          shape: "native",
          enabled: true,
        }),
        adapter.prune({ completedBefore: 2 ** 50, failedBefore: 2 ** 50, limit: 9 }),
      ];
      disk.breakDown(kind as keyof typeof resultCodes);
      const asked = calls();
      const codes = await Promise.all(asked.map(codeOf));
      disk.mend();
      expect(codes).toEqual(asked.map(() => "UNAVAILABLE"));
      expect(await visible(adapter)).toEqual(before);
      expect(events).toEqual([]);
      expect(stops).toEqual([]);
      // The same once more, on a disk that works.
      expect(await Promise.all(calls().map(codeOf))).toEqual(asked.map(() => "done"));
      expect(events.length).toBeGreaterThan(5);
      await adapter.configureQueue({
        tenant,
        queue: "work",
        typed: false,
        settings: { paused: false },
      });
      const copy = await store.reopened();
      const crashed = await copy.adapter.list({
        filter: { tenant },
        page: { limit: 9, order: "asc" },
      });
      expect(crashed.jobs.filter(({ crashes }) => crashes > 0)).toEqual([]);
      expect(await runOrder(copy)).toEqual(await runOrder(store));
      await copy.adapter.close();
    },
  );

  test("does not lose the one job that a cancelled group would have called off", async () => {
    const id = await add();
    expect(
      await breakDuring(() => [adapter.cancel({ tenant, ids: [id], running: true, reason: "no" })]),
    ).toEqual(["UNAVAILABLE"]);
    expect((await take()).id).toBe(id);
  });

  test("does not lose a job whose cancellation and the next claim failed together", async () => {
    const [a, b] = [await add(), await add()];
    await breakDuring(() => [
      adapter.cancel({ tenant, ids: [a], running: true, reason: "no" }),
      claim(),
    ]);
    expect([(await take()).id, (await take()).id]).toEqual([a, b]);
  });

  test("does not lose jobs when the row of a claimed one cannot be read", async () => {
    const ids = [await add(), await add(), await add()];
    // Takes the rows out of memory.
    await breakDuring(() => [add()]);
    for (let after = 0; after < 4; after++) {
      disk.failAt("I/O error", after);
      expect(await codeOf(claim({ limit: 3, queues: [{ queue: "work", limit: 3 }] }))).toBe(
        "UNAVAILABLE",
      );
      disk.mend();
    }
    const jobs = await claim({ limit: 3, queues: [{ queue: "work", limit: 3 }] });
    expect(jobs.map(({ id }) => id)).toEqual(ids);
  });

  test("leaves no ghost of a new queue in the way of other tenants", async () => {
    await breakDuring(() => [add({ tenant: "ghost" })]);
    const id = await add();
    // The ghost would have its turn first.
    await breakDuring(() => [add({ tenant: "ghost-2" }), add({ tenant: "ghost-3" })]);
    expect((await take()).id).toBe(id);
    const lanes = await adapter.listQueues({ tenant: "*" });
    expect(lanes.map((lane) => lane.tenant)).toEqual(["default"]);
  });

  test("leaves a waiting claim waiting, and it is served later", async () => {
    const waiting = claim({ waitMs: 10_000 });
    await setImmediate();
    expect(await breakDuring(() => [add(), add()])).toEqual(["UNAVAILABLE", "UNAVAILABLE"]);
    const id = await add();
    expect((await waiting).map((job) => job.id)).toEqual([id]);
  });

  test("rejects a claim that would have begun to wait, and it takes nothing later", async () => {
    expect(await breakDuring(() => [claim({ waitMs: 10_000 })])).toEqual(["UNAVAILABLE"]);
    const id = await add();
    expect((await take()).id).toBe(id);
  });

  test("puts a pulled job's time limit back where it was", async () => {
    const id = await add({ timeoutMs: 1000 });
    const run = await take();
    store.clock.advance(900);
    const ref = { id, lease: run.lease };
    await breakDuring(() => [
      adapter.progress({ tenant, reports: [{ ...ref, progress: 1 }], leaseMs: 1000 }),
    ]);
    store.clock.advance(200);
    await adapter.upkeep();
    const [job] = await adapter.get({ tenant, ids: [id] });
    expect(job).toMatchObject({ state: "failed", error: { code: "timeout" } });
  });

  test("does not stop a run whose cancellation it lost", async () => {
    const id = await add();
    const run = await take({ inProcess: true, timeoutFrom: "start" });
    await breakDuring(() => [adapter.cancel({ tenant, ids: [id], running: true, reason: "no" })]);
    await adapter.complete({ tenant, runs: [{ id, lease: run.lease, result: null }] });
    expect((await adapter.get({ tenant, ids: [id] }))[0]?.state).toBe("completed");
  });

  test("of upkeep is tried again after a while, not as fast as the machine can", async () => {
    const id = await add({ delayMs: 100 });
    const run = await take({ queue: "none" }).catch(() => undefined);
    expect(run).toBeUndefined();
    disk.breakDown();
    store.clock.advance(100);
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    expect(disk.failures).toBeLessThan(3);
    disk.mend();
    store.clock.advance(1000);
    for (let turn = 0; turn < 5; turn++) await setImmediate();
    expect((await adapter.get({ tenant, ids: [id] }))[0]?.state).toBe("waiting");
  });

  test("of upkeep does not forget runs whose lease is over, many as they are", async () => {
    await adapter.enqueue({ jobs: jobSpecs(1000), atomic: false });
    const wish = { queues: [{ queue: "work", limit: 1000 }], limit: 1000 };
    expect(await claim(wish)).toHaveLength(1000);
    // The first step of several is kept, the others are not.
    disk.breakDown("disk full", 1);
    store.clock.advance(1200);
    await expect(adapter.upkeep()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    disk.mend();
    const { active } = await adapter.count({ tenant });
    expect(active).toBeGreaterThan(0);
    expect(active).toBeLessThan(1000);
    store.clock.advance(1000);
    for (let turn = 0; turn < 10; turn++) await setImmediate();
    expect(await adapter.count({ tenant })).toMatchObject({ active: 0, waiting: 1000 });
  });

  test("when the store closes is told, and the next start finds everything", async () => {
    const [a, b] = [await add(), await add()];
    await take({ inProcess: true, timeoutFrom: "start" });
    disk.breakDown();
    await expect(adapter.close()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    disk.mend();
    const next = new SqliteAdapter({ path: store.path, clock: store.clock });
    await next.open();
    const jobs = await next.get({ tenant, ids: [a, b] });
    expect(jobs.map((job) => [job?.state, job?.crashes])).toEqual([
      ["waiting", 1],
      ["waiting", 0],
    ]);
    await next.close();
  });

  test("by a full database as SQLite itself finds it, amid a statement", async () => {
    const acknowledged: number[] = [];
    const { connection } = disk;
    const pages = Number(connection.prepare("PRAGMA page_count").get()?.["page_count"]);
    connection.exec(`PRAGMA max_page_count = ${pages + 20}`);
    const data = JSON.stringify("x".repeat(2000));
    const refused: unknown[] = [];
    for (let round = 0; round < 60; round++) {
      const calls = [1, 2, 3].map((size) =>
        adapter.enqueue({ jobs: jobSpecs(size, () => ({ data })), atomic: false }).then(
          (ids) => void acknowledged.push(...(ids as number[])),
          (error: QueueError) => void refused.push(error.code),
        ),
      );
      await Promise.all(calls);
    }
    expect(new Set(refused)).toEqual(new Set(["UNAVAILABLE"]));
    expect(acknowledged.length).toBeGreaterThan(5);
    const copy = await store.reopened();
    expect(await visible(adapter)).toEqual(await visible(copy.adapter));
    await copy.adapter.close();
    connection.exec("PRAGMA max_page_count = 100000");
    const order = await runOrder(store);
    expect(order.map((line) => Number(line.split(" ")[2]))).toEqual(
      acknowledged.toSorted((a, b) => a - b),
    );
  });

  test("on a disk that became read-only: reads go on, writes are refused until it is mended", async () => {
    const id = await add();
    const { connection } = disk;
    connection.exec("PRAGMA query_only = 1");
    const error = await add().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(QueueError);
    expect(error).toMatchObject({ code: "UNAVAILABLE", details: { retryAfterMs: 1000 } });
    expect((error as QueueError).message).toMatch(/read-only/);
    expect(await codeOf(claim())).toBe("UNAVAILABLE");
    expect((await adapter.get({ tenant, ids: [id] }))[0]?.state).toBe("waiting");
    expect(await adapter.health()).toMatchObject({ reachable: true });
    connection.exec("PRAGMA query_only = 0");
    expect((await take()).id).toBe(id);
  });
});

describe("a place where no database can be", () => {
  test.each([
    ["a folder", async (path: string) => mkdir(path)],
    [
      "something else",
      async (path: string) => writeFile(path, "These are not the bytes of a database.".repeat(99)),
    ],
  ])("is refused with what is wrong: %s", async (_, make) => {
    const folder = await mkdtemp(join(tmpdir(), "jobyard-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, "jobyard.db");
    await make(path);
    const error = await new SqliteAdapter({ path }).open().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "UNAVAILABLE" });
    expect((error as QueueError).message).toContain(path);
  });

  test("is refused when nothing can be written to it", async () => {
    const store = await StoreOnDisk.open();
    await store.adapter.close();
    const disk = FailingDisk.install();
    onTestFinished(() => store.dispose());
    for (let after = 0; after < 20; after++) {
      disk.failAt("disk full", after, "anywhere");
      const error = await store.adapter.open().catch((caught: unknown) => caught);
      if (disk.waits) break;
      expect(error).toMatchObject({ code: "UNAVAILABLE" });
    }
    disk.mend();
    await store.adapter.open();
    await store.adapter.enqueue({ jobs: [jobSpec()], atomic: false });
    expect(disk.failures).toBeGreaterThan(3);
  });

  test("is refused when its folder is missing", async () => {
    const adapter = new SqliteAdapter({ path: "/nonexistent/folder/jobyard.db" });
    await expect(adapter.open()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(adapter.enqueue({ jobs: [jobSpec()], atomic: false })).rejects.toMatchObject({
      code: "UNAVAILABLE",
    });
  });
});
