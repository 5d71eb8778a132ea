import { JobQueue } from "@jobyard/core";
import { BullmqAdapter } from "@jobyard/core/bullmq";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { onTestFinished } from "vitest";
import { emptyEngine, type EngineName } from "../engines.ts";
import { temporaryFolder } from "../running-server.ts";

/** A queue on an engine of its own, gone after the test. */
export async function queueOn(engine: EngineName): Promise<JobQueue> {
  const { REDIS_URL: url } = await emptyEngine(engine);
  const adapter =
    url === undefined ? new SqliteAdapter({ path: ":memory:" }) : new BullmqAdapter({ url });
  const queue = new JobQueue({ adapter, payloadFolder: await temporaryFolder() });
  await queue.open();
  onTestFinished(() => queue.close());
  return queue;
}
