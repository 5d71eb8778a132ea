import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { SqliteAdapter } from "../src/adapters/sqlite/index.ts";
import type { Engine } from "../src/testing/index.ts";
import { describeAdapter, VirtualClock } from "../src/testing/index.ts";

async function engineAt(path: string, cleanUp: () => Promise<void>): Promise<Engine> {
  const clock = new VirtualClock();
  const open = async (): Promise<SqliteAdapter> => {
    const opened = new SqliteAdapter({ path, clock });
    await opened.open();
    return opened;
  };
  let adapter = await open();
  return {
    get adapter() {
      return adapter;
    },
    now: () => clock.now(),
    async advance(ms) {
      clock.advance(ms);
      await adapter.upkeep();
    },
    async reopen() {
      await adapter.close();
      adapter = await open();
    },
    async crash() {
      adapter.kill();
      adapter = await open();
    },
    async dispose() {
      await adapter.close();
      await cleanUp();
    },
  };
}

describeAdapter("SQLite on disk", {
  durable: true,
  async make() {
    const folder = await mkdtemp(join(tmpdir(), "jobyard-"));
    const cleanUp = (): Promise<void> => rm(folder, { recursive: true, force: true });
    return engineAt(join(folder, "jobyard.db"), cleanUp);
  },
});

describeAdapter("SQLite in memory", {
  durable: false,
  make: () => engineAt(":memory:", async () => {}),
});
