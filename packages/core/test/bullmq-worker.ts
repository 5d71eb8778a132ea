/** A worker process for the fault tests. Usage: node bullmq-worker.ts <url> <prefix> */
import { tmpdir } from "node:os";
import { z } from "zod";
import { BullmqAdapter } from "../src/adapters/bullmq/index.ts";
import { defineHandler } from "../src/handler.ts";
import { defineJobType } from "../src/job-types/job-type.ts";
import { JobQueue } from "../src/queue.ts";
import { Worker } from "../src/worker.ts";

const [url = "", prefix = ""] = process.argv.slice(2);
const adapter = new BullmqAdapter({ url, prefix });
const queue = new JobQueue({ adapter, payloadFolder: tmpdir(), clock: adapter.clock });
await queue.open();

const type = defineJobType({
  name: "work",
  title: "Work",
  data: z.looseObject({ ms: z.number() }),
  result: z.looseObject({ by: z.number() }),
  defaults: { attempts: 1, backoffMs: 1000, timeoutMs: 600_000 },
});

/** Works so long, or until it is told to stop. */
const handler = defineHandler(type, async ({ data, signal }) => {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, data.ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
  return { by: process.pid };
});

new Worker({ queue, handlers: [handler], concurrency: 10 }).start();
process.send?.("ready");
