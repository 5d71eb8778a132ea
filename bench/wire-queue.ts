import { tmpdir } from "node:os";
import { join } from "node:path";
import { JobQueue } from "@jobyard/core";
import { BullmqAdapter } from "@jobyard/core/bullmq";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { emptyRedis } from "./measure.ts";

/** `place`: a folder, or the port of a Redis, which is emptied. */
export async function openQueue(engine: string, place: string): Promise<JobQueue> {
  if (engine === "redis") emptyRedis(place);
  const adapter =
    engine === "redis"
      ? new BullmqAdapter({ url: `redis://127.0.0.1:${place}` })
      : new SqliteAdapter({ path: join(place, "bench.db") });
  // Never made: nothing here is so large.
  const payloadFolder = join(tmpdir(), `jobyard-bench-payloads-${process.pid}`);
  const queue = new JobQueue({ adapter, payloadFolder });
  await queue.open();
  return queue;
}
