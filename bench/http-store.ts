/**
 * The same as over HTTP, in process, and a store for the lists to look through.
 * Usage: node http-store.ts bulk|fill <folder>
 */
import { join } from "node:path";
import { JobQueue, type NewJob } from "@jobyard/core";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { expectEqual, payload, perSecond, report } from "./measure.ts";

const [scenario, folder = ""] = process.argv.slice(2);
/** Calls under way at once. */
const AT_ONCE = 4;

const queue = new JobQueue({
  adapter: new SqliteAdapter({ path: join(folder, "jobyard.db") }),
  payloadFolder: join(folder, "files", ".payloads"),
});
await queue.open();
const tenant = queue.of("default");

async function add(job: NewJob, jobs: number): Promise<number> {
  const batch = Array.from({ length: 1000 }, () => job);
  const start = performance.now();
  let left = jobs / 1000;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left-- > 0) await tenant.addMany(batch, { atomic: false });
    }),
  );
  return performance.now() - start;
}

if (scenario === "bulk") {
  const job = { queue: "bench", data: payload };
  await add(job, 20_000);
  report({ inProcess: perSecond(200_000, await add(job, 200_000)) });
} else {
  const data = { filePath: "uploads/rows.csv", datasetId: "4d0b0c1e-5f0a-4c83-9a4e-6f1b2c3d4e5f" };
  await add({ queue: "security_scan", data }, 1_000_000);
  expectEqual((await tenant.count({})).waiting, 1_000_000, "waiting jobs");
}
await queue.close();
