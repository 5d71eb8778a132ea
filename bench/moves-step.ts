/** One step of moving a store. Usage: node moves-step.ts fill|out|back <folder> <redis port> <jobs> */
import { join } from "node:path";
import { BullmqAtRest } from "@jobyard/core/bullmq";
import { moveStore } from "@jobyard/core/process";
import { SqliteAdapter, SqliteAtRest } from "@jobyard/core/sqlite";
import { expectEqual, payload, report } from "./measure.ts";

const [step, folder = "", port, count = "0"] = process.argv.slice(2);
const jobs = Number(count);
const BATCH = 1000;
const tenant = "default";

/** Half of them wait, in the order in which they came or by priority; the others are completed. */
async function fill(): Promise<void> {
  const adapter = new SqliteAdapter({ path: join(folder, "first.db") });
  await adapter.open();
  const spec = {
    tenant,
    typed: false,
    name: null,
    data: JSON.stringify(payload),
    lifo: false,
    delayMs: 0,
    ttlMs: null,
    timeoutMs: null,
    maxAttempts: 3,
    backoffMs: 1000,
    uniqueKey: null,
    dependsOn: [],
    dependsOnSiblings: [],
    project: null,
    batch: null,
    origin: null,
  };
  for (let done = 0; done < jobs; done += BATCH) {
    const queue = done % (2 * BATCH) === 0 ? "waiting" : "done";
    const some = Array.from({ length: BATCH }, (_, i) => ({
      ...spec,
      queue,
      priority: i % 4 === 0 ? 5 : 0,
      tags: i % 10 === 0 ? ["tenth"] : [],
    }));
    await adapter.enqueue({ jobs: some, atomic: true });
    if (queue === "waiting") continue;
    const runs = await adapter.claim({
      tenant,
      queues: [{ queue, limit: BATCH }],
      limit: BATCH,
      worker: "w",
      leaseMs: 60_000,
      inProcess: true,
      timeoutFrom: "start",
      waitMs: 0,
    });
    await adapter.complete({
      tenant,
      runs: runs.map(({ id, lease }) => ({ id, lease, result: `{"ok":true}` })),
    });
  }
  await adapter.close();
  report({});
}

async function move(from: string, to: string): Promise<void> {
  const place = (name: string) => ({
    store:
      name === "redis"
        ? new BullmqAtRest({ url: `redis://127.0.0.1:${port}` })
        : new SqliteAtRest({ path: join(folder, name) }),
    payloadFolder: join(folder, `${name}-files`),
  });
  const began = performance.now();
  const moved = await moveStore({ from: place(from), to: place(to) });
  const seconds = (performance.now() - began) / 1000;
  expectEqual(moved.jobs, jobs, "jobs moved");
  expectEqual(moved.states.waiting, jobs / 2, "of them waiting");
  report({ seconds, peakMegabytes: process.resourceUsage().maxRSS / 1024 });
}

if (step === "fill") await fill();
else if (step === "out") await move("first.db", "redis");
else await move("redis", "second.db");
