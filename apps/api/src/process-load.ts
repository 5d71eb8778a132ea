import { availableParallelism, totalmem } from "node:os";

/** A shorter stretch says little. */
const SHORTEST_MS = 1000;
const MB = 1_000_000;

export interface MemoryUse {
  /** MB */
  readonly used: number;
  /** MB that the process may use: the container's limit, or else what the machine has. */
  readonly total: number;
}

export function memoryUse(): MemoryUse {
  const machine = totalmem();
  const limit = process.constrainedMemory();
  const total = limit > 0 && limit < machine ? limit : machine;
  return { used: Math.round(process.memoryUsage.rss() / MB), total: Math.round(total / MB) };
}

/**
 * Tells the share of the machine's processors that this process used, in percent: since the reading before, or where
 * that is less than a second ago, what was told then. The first is about the time since the process began.
 */
export function cpuMeter(): () => number {
  let last = { at: performance.now() - process.uptime() * 1000, used: 0 };
  let share = 0;
  return () => {
    const at = performance.now();
    if (at - last.at < SHORTEST_MS) return share;
    const { user, system } = process.cpuUsage();
    const used = (user + system) / 1000;
    share = Math.min(100, ((used - last.used) / (at - last.at) / availableParallelism()) * 100);
    last = { at, used };
    return share;
  };
}
