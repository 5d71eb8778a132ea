import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { BullmqAdapter } from "../src/adapters/bullmq/index.ts";
import type { ClaimedJob } from "../src/job.ts";
import type { JobFilter, Page } from "../src/queue-adapter.ts";
import { jobSpecs } from "../src/testing/index.ts";
import { startRedis, type TestRedis } from "./redis.ts";

/** More than are read whole. */
const MANY = 24_000;

let redis: TestRedis;
let adapter: BullmqAdapter;
const mine: number[] = [];

beforeAll(async () => {
  redis = await startRedis();
  adapter = new BullmqAdapter({ url: redis.url });
  await adapter.open();
  // Every fourth job is somebody else's.
  for (let done = 0; done < MANY * (4 / 3); done += 1000) {
    const jobs = jobSpecs(1000, (i) => ({ tenant: i % 4 === 0 ? "acme" : "default" }));
    const ids = (await adapter.enqueue({ jobs, atomic: true })) as number[];
    mine.push(...ids.filter((_, i) => i % 4 !== 0));
  }
});

afterAll(async () => {
  await adapter.close();
  await redis.stop();
});

function claim(tenant: string, limit = 10): Promise<readonly ClaimedJob[]> {
  return adapter.claim({
    tenant,
    queues: [{ queue: "work", limit }],
    limit,
    worker: null,
    leaseMs: 60_000,
    inProcess: false,
    timeoutFrom: "progress",
    waitMs: 0,
  });
}

async function page(page: Page, filter: Partial<JobFilter> = {}): Promise<[number[], number]> {
  const { jobs, total } = await adapter.list({ filter: { tenant: "default", ...filter }, page });
  return [jobs.map(({ id }) => id), total];
}

describe("pages of a long queue", () => {
  it("are in order, from either end, with the exact total", async () => {
    expect(await page({ limit: 5, order: "asc" })).toEqual([mine.slice(0, 5), MANY]);
    expect(await page({ limit: 5, order: "desc" })).toEqual([mine.slice(-5).toReversed(), MANY]);
  });

  it("go on behind an id, and at an offset", async () => {
    const after = mine[11_999] as number;
    expect(await page({ limit: 7, order: "asc", after })).toEqual([
      mine.slice(12_000, 12_007),
      MANY,
    ]);
    const before = mine.slice(11_992, 11_999).toReversed();
    expect(await page({ limit: 7, order: "desc", after })).toEqual([before, MANY]);
    const offset = { limit: 7, offset: 20_000 };
    expect(await page({ ...offset, order: "asc" })).toEqual([mine.slice(20_000, 20_007), MANY]);
    expect(await page({ limit: 10, offset: MANY - 3, order: "asc" })).toEqual([
      mine.slice(-3),
      MANY,
    ]);
    expect(await page({ limit: 10, offset: MANY, order: "asc" })).toEqual([[], MANY]);
  });

  it("know states", async () => {
    expect(await claim("default")).toHaveLength(10);
    const waiting = { states: ["waiting"] as const };
    expect(await page({ limit: 3, order: "asc" }, waiting)).toEqual([
      mine.slice(10, 13),
      MANY - 10,
    ]);
    expect((await page({ limit: 3, order: "asc" }, { states: ["active"] }))[1]).toBe(10);
  });
});

test("nothing is kept of an error once its job is over otherwise, or gone", async () => {
  const tenant = "brief";
  const added = await adapter.enqueue({ jobs: jobSpecs(8, () => ({ tenant })), atomic: true });
  const ids = added.map(Number);
  const failAll = async (retryAt: number | null): Promise<void> => {
    const runs = (await claim(tenant)).map(({ id, lease, attemptsMade }) => ({
      id,
      ...(lease !== undefined && { lease }),
      error: { message: `Row ${id} is bad, attempt ${attemptsMade + 1}` },
      retryAt,
      attempt: attemptsMade + 1,
    }));
    await adapter.fail({ tenant, runs });
  };
  const kept = async (): Promise<number> => {
    const keys = (await redis.command("KEYS", "*:error:*")) as string[];
    const sizes = await Promise.all(keys.map((key) => redis.command("HLEN", key)));
    return sizes.reduce<number>((sum, size) => sum + Number(size), 0);
  };

  await failAll(adapter.clock.now());
  await failAll(adapter.clock.now());
  expect(await kept()).toBe(8);
  for (const { id, lease } of await claim(tenant, 2)) {
    const run = { id, ...(lease !== undefined && { lease }), result: null };
    await adapter.complete({ tenant, runs: [run] });
  }
  await adapter.cancel({ tenant, ids: ids.slice(2, 3), running: true, reason: "no more" });
  await adapter.remove({ tenant, ids: ids.slice(3, 4) });
  expect(await kept()).toBe(4);
  await failAll(null);
  expect(await kept()).toBe(4);
  await adapter.retry({ tenant, ids: ids.slice(4, 5) });
  await adapter.remove({ tenant, ids: ids.slice(5, 6) });
  expect(await kept()).toBe(2);
  const later = adapter.clock.now() + 1000;
  await adapter.prune({ completedBefore: later, failedBefore: later, limit: 10 });
  expect(await kept()).toBe(0);
});
