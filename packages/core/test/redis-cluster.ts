import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { startRedis, type TestRedis } from "./redis.ts";

const run = promisify(execFile);
const SLOTS = 16_384;

export interface TestCluster {
  readonly urls: readonly string[];
  stop(): Promise<void>;
}

/** Three masters with a third of the slots each. */
export async function startCluster(): Promise<TestCluster> {
  const masters: TestRedis[] = [];
  for (let i = 0; i < 3; i++) {
    // The second port that a cluster needs is the first one's by custom, 10,000 above it, which may be too high.
    // None of them fails: who is slow to answer is not to be taken for dead.
    masters.push(await startRedis("--cluster-enabled", "yes", "--cluster-node-timeout", "60000"));
  }
  const cli = async ({ port }: TestRedis, ...args: string[]): Promise<string> =>
    (await run("redis-cli", ["-p", String(port), ...args])).stdout.trim();
  const first = masters[0] as TestRedis;
  for (const [i, master] of masters.entries()) {
    const from = Math.floor((i * SLOTS) / 3);
    const to = Math.floor(((i + 1) * SLOTS) / 3) - 1;
    await cli(master, "CLUSTER", "ADDSLOTSRANGE", String(from), String(to));
    await cli(master, "CLUSTER", "SET-CONFIG-EPOCH", String(i + 1));
    if (i > 0) await cli(master, "CLUSTER", "MEET", "127.0.0.1", String(first.port));
  }
  for (;;) {
    const states = await Promise.all(masters.map((master) => cli(master, "CLUSTER", "INFO")));
    if (
      states.every(
        (info) => info.includes("cluster_state:ok") && info.includes("cluster_known_nodes:3"),
      )
    )
      break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    urls: masters.map(({ url }) => url),
    async stop() {
      for (const master of masters) await master.stop();
    },
  };
}
