/**
 * A worker process for the fault tests.
 * Usage: node bullmq-worker.ts <url> <prefix> <slots> <lease ms>, with an IPC channel.
 */
import { tmpdir } from "node:os";
import { z } from "zod";
import { BullmqAdapter } from "../src/adapters/bullmq/index.ts";
import { QueueError } from "../src/errors.ts";
import { defineHandler } from "../src/handler.ts";
import { defineJobType } from "../src/job-types/job-type.ts";
import { processId } from "../src/node.ts";
import { JobQueue } from "../src/queue.ts";
import { Worker } from "../src/worker.ts";

/** What it tells its parent. */
export type WorkerNews =
  | { readonly ready: string }
  | { readonly started: number }
  /** What the store would not have. */
  | { readonly refused: string };

const tell = (news: WorkerNews): void => void process.send?.(news);
const [url = "", prefix = "", slots, leaseMs] = process.argv.slice(2);
const adapter = new BullmqAdapter({ url, prefix });
const queue = new JobQueue({
  adapter,
  payloadFolder: tmpdir(),
  clock: adapter.clock,
  leaseMs: Number(leaseMs),
});
await queue.open();

const type = defineJobType({
  name: "work",
  title: "Work",
  data: z.looseObject({ ms: z.number().default(0), blocks: z.number().optional() }),
  result: z.looseObject({ by: z.number() }),
  defaults: { attempts: 1, backoffMs: 1000, timeoutMs: 600_000 },
});

let stoodStill = false;

/**
 * Works so long, or until it is told to stop. Where the job names a process, all of that stands still so long, once; any
 * other run of it ends at once.
 */
const handler = defineHandler(type, async ({ data, signal, job }) => {
  tell({ started: job.id });
  if (data.blocks !== undefined) {
    if (data.blocks === process.pid && !stoodStill) {
      stoodStill = true;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, data.ms);
    }
  } else if (data.ms > 0) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, data.ms);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
  return { by: process.pid };
});

await queue.join({ id: processId, host: "localhost", port: 1 });
new Worker({
  queue,
  handlers: [handler],
  concurrency: Number(slots),
  onError: (error) => {
    if (error instanceof QueueError) tell({ refused: error.code });
  },
}).start();
tell({ ready: processId });
process.on("disconnect", () => process.exit());
