/**
 * The same as over HTTP, in process.
 * Usage: node http-store.ts <folder>
 */
import { join } from "node:path";
import { JobQueue, type NewJob } from "@jobyard/core";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { payload, perSecond, report } from "./measure.ts";

const [folder = ""] = process.argv.slice(2);
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

const job = { queue: "bench", data: payload };
await add(job, 20_000);
report({ inProcess: perSecond(200_000, await add(job, 200_000)) });
await queue.close();
