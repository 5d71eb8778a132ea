import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { BullmqAdapter } from "../src/adapters/bullmq/index.ts";
import type { QueueGroup } from "../src/queue-groups.ts";
import { type Engine, VirtualClock } from "../src/testing/index.ts";

async function removeKeys(url: string, prefix: string): Promise<void> {
  const redis = new Redis(url);
  for await (const keys of redis.scanStream({ match: `{${prefix}}:*`, count: 1000 })) {
    if ((keys as string[]).length > 0) await redis.unlink(keys as string[]);
  }
  redis.disconnect();
}

/** An engine on keys of its own. */
export async function bullmqEngine(
  url: string | readonly string[],
  groups: readonly QueueGroup[] = [],
): Promise<Engine> {
  const clock = new VirtualClock();
  const prefix = `t-${randomUUID()}`;
  const open = async (): Promise<BullmqAdapter> => {
    const opened = new BullmqAdapter({ url, prefix, clock, groups });
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
    async crash() {
      adapter.kill();
      adapter = await open();
    },
    async dispose() {
      await adapter.close();
      // A server of ours goes with all its keys.
      if (url === process.env["REDIS_URL"]) await removeKeys(url, prefix);
    },
  };
}
