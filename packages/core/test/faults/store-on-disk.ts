import { existsSync } from "node:fs";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteAdapter } from "../../src/adapters/sqlite/index.ts";
import { isFinished, jobStates } from "../../src/job.ts";
import type { ClaimParams, QueueAdapter } from "../../src/queue-adapter.ts";
import type { QueueGroup } from "../../src/queue-groups.ts";
import { VirtualClock } from "../../src/testing/index.ts";

/** Where syncing costs nothing, if there is such a place. */
const fast = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** A store in a file of its own, and what another process would find in that file. */
export class StoreOnDisk {
  readonly clock: VirtualClock;
  readonly path: string;
  readonly adapter: SqliteAdapter;
  readonly #folder: string;
  #copies = 0;

  readonly #groups: readonly QueueGroup[];

  private constructor(
    folder: string,
    path: string,
    clock: VirtualClock,
    groups: readonly QueueGroup[],
  ) {
    this.#folder = folder;
    this.path = path;
    this.clock = clock;
    this.#groups = groups;
    this.adapter = new SqliteAdapter({ path, clock, groups });
  }

  static async open(groups: readonly QueueGroup[] = []): Promise<StoreOnDisk> {
    const folder = await mkdtemp(join(fast, "jobyard-"));
    const store = new StoreOnDisk(folder, join(folder, "jobyard.db"), new VirtualClock(), groups);
    await store.adapter.open();
    return store;
  }

  /** Opens the bytes that are on disk now as a process would that starts after this one died. */
  async reopened(): Promise<StoreOnDisk> {
    const path = join(this.#folder, `copy-${++this.#copies}.db`);
    for (const suffix of ["", "-wal"]) {
      if (existsSync(this.path + suffix)) await copyFile(this.path + suffix, path + suffix);
    }
    const clock = new VirtualClock(this.clock.now());
    const copy = new StoreOnDisk(this.#folder, path, clock, this.#groups);
    await copy.adapter.open();
    return copy;
  }

  async dispose(): Promise<void> {
    await this.adapter.close().catch(() => undefined);
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** A worker outside asks for jobs of the queue `work`, and takes what is there. */
export function claimOf(limit: number, rest: Partial<ClaimParams> = {}): ClaimParams {
  return {
    tenant: "*",
    queues: [{ queue: "work", limit }],
    limit,
    worker: "w",
    leaseMs: 60_000,
    inProcess: false,
    timeoutFrom: "progress",
    waitMs: 0,
    ...rest,
  };
}

/** Those whose answers are looked at. */
export const idempotencyKeys = ["first", "second"] as const;

/** Everything that the port shows of a store. */
export async function visible(adapter: QueueAdapter): Promise<unknown> {
  const tenant = "*";
  const page = { limit: 1000, order: "asc" } as const;
  const all = await adapter.list({ filter: { tenant }, page });
  const byState = await Promise.all(
    jobStates.map(async (state) => {
      const { jobs, total } = await adapter.list({ filter: { tenant, states: [state] }, page });
      return { state, total, ids: jobs.map(({ id }) => id) };
    }),
  );
  const logs = await Promise.all(
    all.jobs.map(({ id }) => adapter.logs({ tenant, id, offset: 0, limit: 1000 })),
  );
  return {
    jobs: await adapter.get({ tenant, ids: all.jobs.map(({ id }) => id) }),
    total: all.total,
    byState,
    logs,
    count: await adapter.count({ tenant }),
    // Goes through the rows instead of the counters.
    countedRows: await adapter.count({ tenant, created: { from: 0 } }),
    queues: await adapter.listQueues({ tenant }),
    stats: await adapter.stats({ tenant, groupBy: "queue" }),
    projects: await adapter.stats({ tenant, groupBy: "project" }),
    answers: await Promise.all(
      idempotencyKeys.map((key) => adapter.recall({ tenant: "default", key })),
    ),
    schedules: await adapter.listSchedules({ tenant }),
    webhooks: await adapter.listWebhooks({ tenant }),
  };
}

/** The order in which everything that is left would run, whatever it waits for, tenant by tenant, queue by queue. */
export async function runOrder({
  adapter,
  clock,
}: {
  readonly adapter: QueueAdapter;
  readonly clock: VirtualClock;
}): Promise<string[]> {
  const order: string[] = [];
  const page = { limit: 1000, order: "asc" } as const;
  const active = await adapter.list({ filter: { tenant: "*", states: ["active"] }, page });
  for (const { id } of active.jobs) await adapter.release({ tenant: "*", runs: [{ id }] });
  const lanes = await adapter.listQueues({ tenant: "*" });
  for (const { tenant, queue, typed } of lanes) {
    const settings = { paused: false, rateLimit: null, concurrency: null };
    await adapter.configureQueue({ tenant, queue, typed, settings });
  }
  for (let idle = 0; idle < 2;) {
    idle++;
    for (const { tenant, queue } of lanes) {
      const queues = [{ queue, limit: 1000 }];
      const jobs = await adapter.claim(claimOf(1000, { tenant, queues, leaseMs: 1000 }));
      if (jobs.length > 0) idle = 0;
      order.push(...jobs.map(({ id }) => `${tenant} ${queue} ${id}`));
      await adapter.complete({
        tenant,
        runs: jobs.map(({ id, lease }) => ({ id, lease, result: null })),
      });
    }
    clock.advance(100_000);
    await adapter.upkeep();
  }
  const left = await adapter.list({ filter: { tenant: "*" }, page });
  for (const job of left.jobs)
    if (!isFinished(job.state)) order.push(`left ${job.state} ${job.id}`);
  return order;
}
