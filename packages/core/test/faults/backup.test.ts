import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { SqliteAdapter } from "../../src/adapters/sqlite/index.ts";
import { jobSpecs } from "../../src/testing/index.ts";
import { StoreOnDisk } from "./store-on-disk.ts";

/** Jobs of one atomic call. */
const BATCH = 7;

test("a backup made while jobs come in is a whole store: all from before, calls whole or not at all", async () => {
  const store = await StoreOnDisk.open();
  onTestFinished(() => store.dispose());
  const { adapter } = store;
  const add = (): Promise<readonly unknown[]> =>
    adapter.enqueue({
      jobs: jobSpecs(BATCH, () => ({ data: `"${"x".repeat(900)}"` })),
      atomic: true,
    });
  let before = 0;
  for (; before < 500; before++) await add();
  const over = new AbortController();
  let during = 0;
  const goOn = async (): Promise<void> => {
    for (; !over.signal.aborted; during++) await add();
  };
  const others = goOn();
  const file = join(store.path, "..", "backup.db");
  await adapter.backup({ file }).finally(() => over.abort());
  await others;
  // It was not made at a stop.
  expect(during).toBeGreaterThan(0);
  const copy = new SqliteAdapter({ path: file, clock: store.clock });
  await copy.open();
  onTestFinished(() => copy.close());
  const filter = { tenant: "default" };
  const page = { limit: 100_000, order: "asc" } as const;
  const { jobs, total } = await copy.list({ filter, page });
  expect(jobs).toHaveLength(total);
  expect(total % BATCH).toBe(0);
  expect(total).toBeGreaterThanOrEqual(before * BATCH);
  expect((await copy.count(filter)).waiting).toBe(total);
  // The next id is a new one.
  const [id] = await copy.enqueue({ jobs: jobSpecs(1), atomic: true });
  expect(jobs.map((job) => job.id)).not.toContain(id);
});
