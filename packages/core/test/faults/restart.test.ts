import { setImmediate } from "node:timers/promises";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { SqliteAdapter } from "../../src/adapters/sqlite/index.ts";
import type { ClaimParams } from "../../src/queue-adapter.ts";
import { jobSpec, jobSpecs } from "../../src/testing/index.ts";
import { claimOf, StoreOnDisk } from "./store-on-disk.ts";

const tenant = "default";
let store: StoreOnDisk;
let adapter: SqliteAdapter;

beforeEach(async () => {
  store = await StoreOnDisk.open();
  adapter = store.adapter;
  onTestFinished(() => store.dispose());
});

function claim(limit: number, rest: Partial<ClaimParams> = {}, of = adapter) {
  return of.claim(claimOf(limit, rest));
}

describe("a process that dies", () => {
  // One claim may cover many jobs, and is on disk as long as one of them runs.
  test.each([
    ["failed", false],
    ["failed", true],
    ["cancelled", false],
    ["cancelled", true],
  ] as const)(
    "does not take a job for running that %s and was retried (in process: %j)",
    async (end, inProcess) => {
      await adapter.enqueue({ jobs: jobSpecs(2), atomic: false });
      const [run, other] = await claim(2, {
        inProcess,
        timeoutFrom: inProcess ? "start" : "progress",
      });
      const { id, lease } = run!;
      if (end === "cancelled")
        await adapter.cancel({ tenant, ids: [id], running: true, reason: "r" });
      const error = { message: "x" };
      if (end === "failed" || inProcess) {
        await adapter.fail({ tenant, runs: [{ id, lease, attempt: 1, error, retryAt: null }] });
      }
      expect((await adapter.get({ tenant, ids: [id] }))[0]?.state).toBe(end);
      await adapter.retry({ tenant, ids: [id] });
      const copy = await store.reopened();
      const [job, running] = await copy.adapter.get({ tenant, ids: [id, other!.id] });
      expect(job).toMatchObject({ state: "waiting", crashes: 0, attemptsMade: 0 });
      expect(running).toMatchObject(
        inProcess ? { state: "waiting", crashes: 1 } : { state: "active", crashes: 0 },
      );
      const runs = [{ id, lease, result: null }];
      const [outcome] = await copy.adapter.complete({ tenant, runs });
      expect(outcome).toMatchObject({ code: "STALE_LEASE" });
      await copy.adapter.close();
    },
  );
});

describe("a second process", () => {
  test("is refused while the first one has the file, and told what to do", async () => {
    const second = new SqliteAdapter({ path: store.path });
    const error = await second.open().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "UNAVAILABLE" });
    expect((error as Error).message).toMatch(/Another process is using .*jobyard\.db.*REDIS_URL/);
    // The first one has taken no harm.
    await adapter.enqueue({ jobs: [jobSpec()], atomic: false });
    await adapter.close();
    await second.open();
    expect(await second.count({ tenant: "*" })).toMatchObject({ waiting: 1 });
    await second.close();
  });
});

describe("closing", () => {
  test("hands nothing out behind its back: what it gave back is not claimed again", async () => {
    const [id] = await adapter.enqueue({ jobs: [jobSpec()], atomic: false });
    const ours = { inProcess: true, timeoutFrom: "start", waitMs: 60_000 } as const;
    await claim(1, ours);
    // As a worker does that was not drained: it asks again as soon as its claim is answered.
    const again = claim(1, ours)
      .then(() => claim(1, ours))
      .catch((error: unknown) => error);
    await setImmediate();
    await setImmediate();
    await adapter.close();
    expect(await again).toMatchObject({ code: "UNAVAILABLE" });
    const next = new SqliteAdapter({ path: store.path, clock: store.clock });
    await next.open();
    expect((await next.get({ tenant, ids: [id as number] }))[0]).toMatchObject({
      state: "waiting",
      crashes: 0,
    });
    await next.close();
  });

  test("may be asked for twice, and again later", async () => {
    await Promise.all([adapter.close(), adapter.close()]);
    await adapter.close();
    await adapter.open();
    const [id] = await adapter.enqueue({ jobs: [jobSpec()], atomic: false });
    expect(id).toBeGreaterThan(0);
  });
});

describe("time that passes", () => {
  test("does not start a job whose time to live is over, though nobody has come round to say so", async () => {
    const [expired, sound] = await adapter.enqueue({
      jobs: [jobSpec({ ttlMs: 100 }), jobSpec({ tenant: "acme" })],
      atomic: false,
    });
    // Asked for before the timer fires, carried out after it.
    const claimed = claim(1);
    store.clock.advance(100);
    expect((await claimed).map(({ id }) => id)).toEqual([sound]);
    const [job] = await adapter.get({ tenant, ids: [expired as number] });
    expect(job).toMatchObject({ state: "failed", error: { code: "expired" } });
  });
});
