/**
 * Adds jobs under idempotency keys, from the first key on, a few calls at a time, until it is done or killed; says each
 * answer. Usage: repeater.ts <database> <keys>
 */
import { SqliteAdapter } from "../../src/adapters/sqlite/index.ts";
import { jobSpecs } from "../../src/testing/job-factory.ts";

const [path = "", keys = "0"] = process.argv.slice(2);
const adapter = new SqliteAdapter({ path });
await adapter.open();
process.stdout.write("ready\n");
let next = 0;
await Promise.all(
  Array.from({ length: 8 }, async () => {
    for (let i = next++; i < Number(keys); i = next++) {
      const { outcome } = await adapter.enqueueOnce({
        jobs: jobSpecs(1 + (i % 3), () => ({ name: `k${i}` })),
        atomic: false,
        tenant: "default",
        key: `k${i}`,
        note: "",
      });
      process.stdout.write(`${JSON.stringify([i, outcome])}\n`);
    }
  }),
);
await adapter.close();
