import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import { BullmqAdapter } from "../src/adapters/bullmq/index.ts";
import { SqliteAdapter } from "../src/adapters/sqlite/index.ts";
import { OUTBOX_LIMIT, type QueueAdapter } from "../src/queue-adapter.ts";
import { jobSpecs } from "../src/testing/index.ts";
import { startRedis } from "./redis.ts";

/** Fills an outbox up to one place less than it has. */
interface Store {
  open(): QueueAdapter;
  fill(): Promise<void>;
}

async function onDisk(): Promise<Store> {
  const folder = await mkdtemp(join(tmpdir(), "jobyard-outbox-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "jobyard.db");
  return {
    open: () => new SqliteAdapter({ path }),
    async fill() {
      const db = new DatabaseSync(path);
      // The length is told by the first and the last number.
      const row = db.prepare(
        "INSERT INTO outbox (no, event) SELECT no + ?, event FROM outbox LIMIT 1",
      );
      row.run(OUTBOX_LIMIT - 2);
      db.close();
    },
  };
}

async function onRedis(): Promise<Store> {
  const redis = await startRedis("--appendonly", "no");
  onTestFinished(() => redis.stop());
  const fill = `for _ = 1, tonumber(ARGV[1]) do redis.call("XADD", KEYS[1], "*", "e", "x") end`;
  return {
    open: () => new BullmqAdapter({ url: redis.url, prefix: "limit" }),
    async fill() {
      await redis.command("EVAL", fill, "1", "{limit}:outbox", String(OUTBOX_LIMIT - 2));
    },
  };
}

test.each([
  ["embedded", onDisk],
  ["redis", onRedis],
] as const)(
  "events beyond what an outbox holds are counted, and the changes are made, %s",
  async (_, make) => {
    const store = await make();
    const first = store.open();
    await first.open();
    await first.putWebhook({
      tenant: "default",
      url: "https://example.com/",
      events: ["job.pushed"],
      queue: null,
      secret: null,
      shape: "flashq",
      enabled: true,
    });
    await first.enqueue({ jobs: jobSpecs(1), atomic: true });
    await first.close();
    await store.fill();

    const adapter = store.open();
    await adapter.open();
    onTestFinished(() => adapter.close());
    expect(await adapter.outbox()).toEqual({ waiting: OUTBOX_LIMIT - 1, dropped: 0 });
    expect(await adapter.enqueue({ jobs: jobSpecs(3), atomic: true })).toHaveLength(3);
    expect(await adapter.outbox()).toEqual({ waiting: OUTBOX_LIMIT, dropped: 2 });
    await adapter.enqueue({ jobs: jobSpecs(40), atomic: true });
    expect(await adapter.outbox()).toEqual({ waiting: OUTBOX_LIMIT, dropped: 42 });
    const { waiting } = await adapter.count({ tenant: "default" });
    expect(waiting).toBe(44);

    const [oldest] = await adapter.takeOutbox({ limit: 1 });
    const cursor = oldest?.cursor ?? "";
    expect(await adapter.settleOutbox({ first: cursor, last: cursor, jobs: [] })).toBe(true);
    const { waiting: left } = await adapter.outbox();
    expect(left).toBeLessThan(OUTBOX_LIMIT);
    await adapter.enqueue({ jobs: jobSpecs(1), atomic: true });
    expect(await adapter.outbox()).toEqual({ waiting: left + 1, dropped: 42 });
  },
);
