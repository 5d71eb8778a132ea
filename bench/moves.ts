import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureSystemTools } from "../scripts/system-tools.ts";
import { freePort, run, startRedis } from "./processes.ts";

const JOBS = 1_000_000;
const LIMIT_SECONDS = 180;

/** Moves a million jobs from the embedded engine to Redis and back; false where that takes too long. */
export async function benchMoves(): Promise<boolean> {
  ensureSystemTools("redis-server");
  const folder = mkdtempSync(join(tmpdir(), "jobyard-moves-"));
  const port = await freePort();
  const redis = await startRedis(folder, port);
  let fast = true;
  try {
    const args = [folder, String(port), String(JOBS)];
    await run("moves-step.ts", ["fill", ...args]);
    for (const [step, what] of [
      ["out", "SQLite to Redis"],
      ["back", "Redis to SQLite"],
    ] as const) {
      const { seconds = Infinity, peakMegabytes = 0 } = await run("moves-step.ts", [step, ...args]);
      fast &&= seconds < LIMIT_SECONDS;
      const rate = Math.round(JOBS / seconds).toLocaleString("en");
      console.log(
        `${what}: ${JOBS.toLocaleString("en")} jobs in ${seconds.toFixed(1)} s (${rate}/s), peak ${Math.round(peakMegabytes)} MB`,
      );
    }
  } finally {
    redis.kill();
    rmSync(folder, { recursive: true, force: true });
  }
  return fast;
}
