import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { SqliteAdapter } from "../../src/adapters/sqlite/index.ts";
import { randomFrom } from "./random.ts";

const KEYS = 600;
const KILLS = 6;
const program = new URL("repeater.ts", import.meta.url).pathname;

test(
  "a client that asks again after each kill adds each job once, and is told the same ids",
  {
    timeout: 120_000,
  },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "jobyard-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, "jobyard.db");
    const random = randomFrom(7);
    const answered = new Map<number, readonly number[]>();
    let told = 0;

    /** Dies after so many answers. */
    const run = async (answers: number): Promise<NodeJS.Signals | null> => {
      const flags = ["--conditions=@jobyard/source"];
      const child = spawn(process.execPath, [...flags, program, path, String(KEYS)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const gone = once(child, "close");
      let left = answers;
      for await (const line of createInterface({ input: child.stdout })) {
        if (line === "ready") continue;
        const [key, ids] = JSON.parse(line) as [number, number[]];
        told++;
        expect(ids).toEqual(answered.get(key) ?? ids);
        answered.set(key, ids);
        if (--left === 0) child.kill("SIGKILL");
      }
      const [, signal] = (await gone) as [number | null, NodeJS.Signals | null];
      return signal;
    };

    for (let kill = 1; kill <= KILLS; kill++) {
      expect(await run(1 + Math.floor(random() * 40) + 60 * (kill - 1))).toBe("SIGKILL");
    }
    expect(await run(Infinity)).toBeNull();
    expect(answered.size).toBe(KEYS);
    expect(told).toBeGreaterThan(KEYS);

    const adapter = new SqliteAdapter({ path });
    await adapter.open();
    const page = { limit: 10_000, order: "asc" } as const;
    const { jobs } = await adapter.list({ filter: { tenant: "default" }, page });
    await adapter.close();
    expect(jobs.map(({ id }) => id)).toEqual(
      [...answered.values()].flat().toSorted((a, b) => a - b),
    );
    expect(jobs.every(({ id, name }) => answered.get(Number(name?.slice(1)))?.includes(id))).toBe(
      true,
    );
  },
);
