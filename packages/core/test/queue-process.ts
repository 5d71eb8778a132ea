/** One of several processes on one Redis. Usage: node queue-process.ts <url> <folder>, with an IPC channel. */
import { z } from "zod";
import { parseConfig } from "../src/config.ts";
import { defineHandler } from "../src/handler.ts";
import { defineJobType } from "../src/job-types/job-type.ts";
import { processId } from "../src/node.ts";
import { openQueue } from "../src/process/index.ts";
import { Worker } from "../src/worker.ts";

const [url = "", folder = ""] = process.argv.slice(2);
const queue = await openQueue(parseConfig({ REDIS_URL: url, DATA_DIR: folder }), {
  onError: (error, doing) => process.stderr.write(`${doing}: ${String(error)}\n`),
  onWarning: (warning) => process.stderr.write(`${warning}\n`),
});

/** Works so long, or until it is told to stop. */
const handlers = ["work", "narrow", "slow"].map((name) =>
  defineHandler(
    defineJobType({
      name,
      title: name,
      data: z.looseObject({ ms: z.number() }),
      result: z.looseObject({}),
      defaults: { attempts: 1, backoffMs: 1000, timeoutMs: 600_000 },
    }),
    async ({ data, signal }) => {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, data.ms);
        signal.addEventListener("abort", () => {
          clearTimeout(timer);
          resolve();
        });
      });
      return {};
    },
  ),
);

await queue.of("default").subscribe({ onEvents: (events) => process.send?.({ events }) });
await queue.join({ id: processId, host: "localhost", port: 1 });
new Worker({ queue, handlers, concurrency: 10 }).start();
process.send?.({ ready: processId });
process.on("disconnect", () => process.exit());
