/** What the benchmark's programs share: the payload, medians, and how a figure travels to the parent. */

import { execFileSync } from "node:child_process";

/** 100 bytes as JSON. */
export const payload = { p: "x".repeat(92) };

export type Figures = Readonly<Record<string, number>>;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function perSecond(jobs: number, ms: number): number {
  return (jobs / ms) * 1000;
}

export function report(figures: Figures): void {
  console.log(JSON.stringify(figures));
}

export function expectEqual(got: number, wanted: number, what: string): void {
  if (got !== wanted) throw new Error(`${what}: ${got}, not ${wanted}`);
}

function redisCli(port: string | undefined, ...args: string[]): string {
  return execFileSync("redis-cli", ["-p", port ?? "", ...args], { encoding: "utf8" });
}

/** What a Redis on this machine holds, bytes. */
export function usedMemory(port: string | undefined): number {
  return Number(/used_memory:(\d+)/.exec(redisCli(port, "info", "memory"))?.[1]);
}

/** Leaves nothing for the next round. */
export function emptyRedis(port: string | undefined): void {
  redisCli(port, "flushall");
}
