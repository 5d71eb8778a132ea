import { expect, onTestFinished, test } from "vitest";
import type { ClaimedJob } from "../../src/job.ts";
import { jobSpecs } from "../../src/testing/index.ts";
import { FailingDisk, type Fault } from "./failing-disk.ts";
import { claimOf, runOrder, StoreOnDisk } from "./store-on-disk.ts";

/** Rows of jobs that wait are put off for 8,192 to 16,384 ids: enough for them to be written twice. */
const JOBS = 26_000;
const STEP = 1000;

const tenant = "default";
const priorities = [0, 0, 0, 2, -3, 15, -400];

/** Adds jobs and lets all kinds of things happen to some of them; answers with their ids. */
async function fill({ adapter, clock }: StoreOnDisk, added: number): Promise<readonly number[]> {
  const jobs = jobSpecs(STEP, (i) => ({
    priority: priorities[i % priorities.length] ?? 0,
    lifo: i % 41 === 0,
    delayMs: i % 37 === 0 ? 5_000_000 : 0,
    tenant,
  }));
  const ids = await adapter.enqueue({ jobs, atomic: false });
  const runs = await adapter.claim(claimOf(60));
  const [done, failed, released] = [runs.slice(0, 20), runs.slice(20, 40), runs.slice(40, 50)];
  await adapter.complete({
    tenant,
    runs: done.map(({ id, lease }) => ({ id, lease, result: null })),
  });
  const error = { message: "x" };
  const retryAt = added % 2000 === 0 ? clock.now() : clock.now() + 5_000_000;
  await adapter.fail({
    tenant,
    runs: failed.map(({ id, lease }) => ({ id, lease, attempt: 1, error, retryAt })),
  });
  await adapter.release({ tenant, runs: released.map(({ id, lease }) => ({ id, lease })) });
  for (const { id, lease } of runs.slice(50, 55)) {
    await adapter.progress({ tenant, reports: [{ id, lease, progress: 30 }], leaseMs: 60_000 });
  }
  const [cancelled, removed] = ids.slice(-2) as number[];
  await adapter.cancel({ tenant, ids: [cancelled!], running: false, reason: "r" });
  await adapter.remove({ tenant, ids: [removed!] });
  return ids.filter((id) => typeof id === "number");
}

async function all({ adapter }: StoreOnDisk, ids: readonly number[]): Promise<unknown> {
  const jobs = [];
  for (let i = 0; i < ids.length; i += STEP) {
    jobs.push(...(await adapter.get({ tenant, ids: ids.slice(i, i + STEP) })));
  }
  return { jobs, count: await adapter.count({ tenant }) };
}

test("a row that did not reach the disk with the first report is written with the next one", async () => {
  const disk = FailingDisk.install();
  const store = await StoreOnDisk.open();
  onTestFinished(() => store.dispose());
  const { adapter } = store;
  await adapter.enqueue({ jobs: jobSpecs(1), atomic: true });
  const [{ id, lease }] = (await adapter.claim(claimOf(1))) as [ClaimedJob];
  const report = (progress: number): Promise<unknown> =>
    adapter.progress({ tenant, reports: [{ id, lease, progress }], leaseMs: 60_000 });
  disk.breakDown("disk full");
  await expect(report(30)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  disk.mend();
  await report(40);
  const copy = await store.reopened();
  expect((await copy.adapter.get({ tenant, ids: [id] }))[0]).toMatchObject({ progress: 40 });
  await copy.adapter.close();
});

test("a retry of a cancelled job that did not reach the disk leaves its row known", async () => {
  const disk = FailingDisk.install();
  const store = await StoreOnDisk.open();
  onTestFinished(() => store.dispose());
  const { adapter } = store;
  const [id] = (await adapter.enqueue({ jobs: jobSpecs(1), atomic: true })) as [number];
  const [run] = (await adapter.claim(claimOf(1))) as [ClaimedJob];
  await adapter.release({ tenant, runs: [{ id, lease: run.lease }] });
  disk.breakDown("disk full");
  const lost = await Promise.allSettled([
    adapter.cancel({ tenant, ids: [id], running: false, reason: "r" }),
    adapter.retry({ tenant, ids: [id] }),
  ]);
  expect(lost.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  disk.mend();
  const [again] = (await adapter.claim(claimOf(1))) as [ClaimedJob];
  await adapter.complete({ tenant, runs: [{ id, lease: again.lease, result: null }] });
  const copy = await store.reopened();
  expect(await copy.adapter.claim(claimOf(1))).toEqual([]);
  expect(await copy.adapter.count({ tenant })).toMatchObject({ waiting: 0, completed: 1 });
  await copy.adapter.close();
});

test("jobs are not lost where ids were given out that did not reach the disk", async () => {
  const disk = FailingDisk.install();
  const store = await StoreOnDisk.open();
  onTestFinished(() => store.dispose());
  disk.breakDown("disk full");
  for (let i = 0; i < 20; i++) {
    const jobs = jobSpecs(STEP);
    await expect(store.adapter.enqueue({ jobs, atomic: true })).rejects.toMatchObject({
      code: "UNAVAILABLE",
    });
  }
  disk.mend();
  // Needs no id, and so reserves none.
  await store.adapter.renew({ tenant, runs: [], leaseMs: 1000 });
  const second = await store.reopened();
  const ids = await second.adapter.enqueue({ jobs: jobSpecs(3), atomic: true });
  await second.adapter.close();
  await second.adapter.open();
  const found = await second.adapter.claim(claimOf(5));
  expect(found.map(({ id }) => id)).toEqual(ids);
  await second.adapter.close();
});

test.each<Fault | "none">(["none", "disk full"])(
  "the jobs are all there after a crash, whether their rows were written or put off (fault: %s)",
  async (fault) => {
    const disk = FailingDisk.install();
    const store = await StoreOnDisk.open();
    onTestFinished(() => store.dispose());
    const ids: number[] = [];
    let refused = 0;
    for (let added = 0; added < JOBS; added += STEP) {
      if (fault !== "none") {
        // Each group in which rows may be written comes to nothing once.
        disk.breakDown(fault);
        const lost = await store.adapter
          .enqueue({ jobs: jobSpecs(STEP), atomic: true })
          .catch((error: unknown) => error);
        expect(lost).toMatchObject({ code: "UNAVAILABLE" });
        refused++;
        disk.mend();
      }
      ids.push(...(await fill(store, added)));
      if (added % 9000 !== 0) continue;
      const copy = await store.reopened();
      expect(await all(copy, ids)).toEqual(await all(store, ids));
      await copy.adapter.close();
    }
    expect(disk.failures).toBeGreaterThanOrEqual(refused);
    const copy = await store.reopened();
    expect(await all(copy, ids)).toEqual(await all(store, ids));
    const again = await copy.reopened();
    await copy.adapter.close();
    expect(await runOrder(again)).toEqual(await runOrder(store));
    await again.adapter.close();
  },
);
