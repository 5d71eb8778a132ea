import { existsSync } from "node:fs";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { SqliteAdapter } from "../src/adapters/sqlite/index.ts";
import type { QueueGroup } from "../src/queue-groups.ts";
import type { Engine } from "../src/testing/index.ts";
import { describeAdapter, VirtualClock } from "../src/testing/index.ts";

async function engineAt(
  file: string,
  groups: readonly QueueGroup[] | undefined,
  cleanUp: () => Promise<void>,
): Promise<Engine> {
  const clock = new VirtualClock();
  let path = file;
  const open = async (): Promise<SqliteAdapter> => {
    const opened = new SqliteAdapter({ path, clock, ...(groups === undefined ? {} : { groups }) });
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
    /** What is on disk at this moment goes on without the process: nothing that it held in memory follows. */
    async crash() {
      const dead = adapter;
      const from = path;
      path = `${path}-after`;
      for (const suffix of ["", "-wal"]) {
        if (existsSync(from + suffix)) await copyFile(from + suffix, path + suffix);
      }
      adapter = await open();
      await dead.close();
    },
    async dispose() {
      await adapter.close();
      await cleanUp();
    },
  };
}

describeAdapter("SQLite on disk", {
  durable: true,
  async make(groups) {
    const folder = await mkdtemp(join(tmpdir(), "jobyard-"));
    const cleanUp = (): Promise<void> => rm(folder, { recursive: true, force: true });
    return engineAt(join(folder, "jobyard.db"), groups, cleanUp);
  },
});

describeAdapter("SQLite in memory", {
  durable: false,
  make: (groups) => engineAt(":memory:", groups, async () => {}),
});
