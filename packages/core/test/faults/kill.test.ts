import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { SqliteAdapter } from "../../src/adapters/sqlite/index.ts";
import { CRASH_LIMIT } from "../../src/retry-policy.ts";
import { randomFrom } from "./random.ts";
import type { Line } from "./victim.ts";

const long = process.env["JOBYARD_LONG"] === "1";
const kills = long ? 200 : 10;
/** Ready again within so long after the start of the process. */
const READY_MS = 5000;

const program = new URL("victim.ts", import.meta.url).pathname;

/** What was acknowledged by any victim so far. */
class Acknowledged {
  readonly added = new Map<string, number>();
  readonly completed = new Set<number>();
  readonly cancelled = new Set<number>();
  /** Starts that were told, by id. */
  readonly starts = new Map<number, number>();
  readonly faults: string[] = [];

  hear(line: Line): void {
    switch (line[0]) {
      case "added":
        for (const [label, id] of line[1]) {
          if (this.added.has(label)) this.faults.push(`${label} acknowledged twice`);
          this.added.set(label, id);
        }
        return;
      case "started":
        for (const id of line[1]) {
          this.starts.set(id, (this.starts.get(id) ?? 0) + 1);
          if (this.completed.has(id)) this.faults.push(`${id} started after its completion`);
          if (this.cancelled.has(id)) this.faults.push(`${id} started after it was cancelled`);
        }
        return;
      case "completed":
        for (const id of line[1]) {
          if (this.completed.has(id)) this.faults.push(`${id} completed twice`);
          this.completed.add(id);
        }
        return;
      case "cancelled":
        for (const id of line[1]) this.cancelled.add(id);
        return;
      case "wrong":
        this.faults.push(line[1]);
        return;
      case "ready":
      case "finished":
    }
  }
}

interface Ready {
  /** From the start of its process. */
  readonly process: number;
  /** From the start of its program: without the loading of code, which depends on how busy the machine is. */
  readonly program: number;
}

interface Victim {
  readonly process: ChildProcess;
  /** ms to its first claim; undefined if it died before. */
  readonly ready: Promise<Ready | undefined>;
  /** Once it is gone, and all it said is heard; with its last counts if it finished. */
  readonly gone: Promise<Readonly<Record<string, number>> | undefined>;
}

function start(heard: Acknowledged, args: readonly string[]): Victim {
  const began = performance.now();
  const child = spawn(process.execPath, ["--conditions=@jobyard/source", program, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let isReady: (times: Ready | undefined) => void = () => undefined;
  const ready = new Promise<Ready | undefined>((resolve) => (isReady = resolve));
  child.stderr.on(
    "data",
    (text: Buffer) => void heard.faults.push(`stderr: ${text.toString().slice(0, 2000)}`),
  );
  const gone = (async () => {
    let finished: Readonly<Record<string, number>> | undefined;
    for await (const text of createInterface({ input: child.stdout })) {
      let line: Line;
      try {
        line = JSON.parse(text) as Line;
      } catch {
        // Cut off in the middle of the line: then nobody was told.
        continue;
      }
      heard.hear(line);
      if (line[0] === "ready") isReady({ process: performance.now() - began, program: line[1] });
      if (line[0] === "finished") finished = line[1];
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    isReady(undefined);
    return finished;
  })();
  return { process: child, ready, gone };
}

interface Row {
  readonly id: number;
  readonly label: string;
  readonly finished: number | null;
  readonly crashes: number | null;
  readonly over: number | null;
  readonly phase: number | null;
}

/** What the dead left on disk, read without Jobyard. */
function onDisk(path: string): { rows: Row[]; inProcess: Set<number>; pulled: Set<number> } {
  const db = new DatabaseSync(path);
  try {
    const integrity = db.prepare("PRAGMA integrity_check").all();
    expect(integrity).toEqual([{ integrity_check: "ok" }]);
    const rows = db
      .prepare(
        `SELECT j.id, j.options ->> 'name' label, f.phase finished, o.crashes, o.over,
           coalesce(o.phase, CASE WHEN f.id IS NULL THEN 0 END) phase
         FROM job j LEFT JOIN open_job o ON o.lane = j.lane AND o.id = j.id
         LEFT JOIN finished_job f ON f.lane = j.lane AND f.phase IN (3, 4, 5) AND f.id = j.id`,
      )
      .all() as unknown as Row[];
    const byId = new Map(rows.map((row) => [row.id, row]));
    const running = (claims: readonly Record<string, unknown>[]): Set<number> => {
      const ids = new Set<number>();
      for (const { no, ids: list } of claims) {
        for (const id of JSON.parse(String(list)) as number[]) {
          const row = byId.get(id);
          if (row?.phase === 0 && Number(row.over) < Number(no)) ids.add(id);
        }
      }
      return ids;
    };
    return {
      rows,
      inProcess: running(db.prepare("SELECT no, ids FROM claim WHERE in_process = 1").all()),
      pulled: running(db.prepare("SELECT no, ids FROM claim WHERE in_process = 0").all()),
    };
  } finally {
    db.close();
  }
}

/** Copies the file as it is, so that nothing but the next victim recovers the original. */
async function copyOf(folder: string): Promise<string> {
  for (const suffix of ["", "-wal"]) {
    const from = join(folder, `jobyard.db${suffix}`);
    const to = join(folder, `copy.db${suffix}`);
    if (existsSync(from)) await copyFile(from, to);
    else await rm(to, { force: true });
  }
  return join(folder, "copy.db");
}

async function inspect(
  folder: string,
  heard: Acknowledged,
): Promise<{ inProcess: number; pulled: number }> {
  const { rows, inProcess, pulled } = onDisk(await copyOf(folder));
  const labelled = rows.filter(({ label }) => label !== null);
  const byLabel = new Map(labelled.map((row) => [row.label, row]));
  const byId = new Map(rows.map((row) => [row.id, row]));
  expect(byLabel.size).toBe(labelled.length);
  const lost = [...heard.added].filter(([label, id]) => byLabel.get(label)?.id !== id);
  expect({ lost }).toEqual({ lost: [] });
  const undone = [...heard.completed].filter((id) => byId.get(id)?.finished !== 3);
  expect({ undone }).toEqual({ undone: [] });
  const uncancelled = [...heard.cancelled].filter((id) => byId.get(id)?.finished !== 5);
  expect({ uncancelled }).toEqual({ uncancelled: [] });

  // What Jobyard makes of it: what ran in the dead process comes back, counted, and nothing else changes.
  const path = await copyOf(folder);
  const adapter = new SqliteAdapter({ path });
  await adapter.open();
  try {
    const open = rows.filter(({ finished }) => finished === null);
    const jobs = await adapter.get({ tenant: "*", ids: open.map(({ id }) => id) });
    const wrong: string[] = [];
    for (const [i, row] of open.entries()) {
      const job = jobs[i];
      const crashes = Number(row.crashes) + (inProcess.has(row.id) ? 1 : 0);
      const state =
        crashes >= CRASH_LIMIT
          ? ["failed"]
          : pulled.has(row.id)
            ? ["active"]
            : ["waiting", "delayed"];
      if (job?.crashes !== crashes || !state.includes(job.state)) {
        wrong.push(
          `${row.id}: ${job?.state} with ${job?.crashes} crashes, was to be ${state.join(" or ")} with ${crashes}`,
        );
      }
      if (job != null && job.crashes > 0 && row.crashes === 0 && !inProcess.has(row.id)) {
        wrong.push(`${row.id} crashed without having run`);
      }
    }
    expect(wrong).toEqual([]);
  } finally {
    await adapter.close();
  }
  return { inProcess: inProcess.size, pulled: pulled.size };
}

test(
  `${kills} times killed at random moments, nothing acknowledged is lost or done twice`,
  { timeout: long ? 1_800_000 : 300_000 },
  async () => {
    const seed = Number(process.env["JOBYARD_SEED"] ?? Date.now() % 1_000_000);
    const random = randomFrom(seed);
    const folder = await mkdtemp(join(tmpdir(), "jobyard-kill-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const heard = new Acknowledged();
    const readyTimes: Ready[] = [];
    const moments: string[] = [];
    let earlyKills = 0;
    let backAtOnce = 0;
    let kept = 0;
    // A slow machine gets less done between two kills, and so dies more often.
    const isEnough = (): boolean =>
      heard.added.size > kills * 20 && heard.completed.size > kills * 10;
    for (let kill = 1; kill <= kills || !isEnough(); kill++) {
      const victim = start(heard, [folder, `v${kill}`, String(seed + kill)]);
      // Some die while they are still opening the store.
      const early = random() < 0.15;
      const moment = early ? 100 + random() * 300 : 20 + random() * 450;
      moments.push(`${early ? "start" : "ready"}+${moment.toFixed(0)}`);
      if (!early) await victim.ready;
      await sleep(moment);
      victim.process.kill("SIGKILL");
      await victim.gone;
      const ready = await victim.ready;
      if (ready === undefined) earlyKills++;
      else readyTimes.push(ready);
      const where = `seed ${seed}, kill ${kill} at ${moments.at(-1)}`;
      expect({ where, faults: heard.faults }).toEqual({ where, faults: [] });
      if (!existsSync(join(folder, "jobyard.db"))) continue;
      const found = await inspect(folder, heard).catch((error: unknown) => {
        throw new Error(where, { cause: error });
      });
      backAtOnce += found.inProcess;
      kept += found.pulled;
    }
    // Everything that is left runs, once the leases of dead pullers are over, and then all accounts are square.
    const last = start(heard, [folder, "last", String(seed), "finish"]);
    const counts = await last.gone;
    const where = `seed ${seed}, moments ${moments.join(" ")}`;
    expect({ where, faults: heard.faults }).toEqual({ where, faults: [] });
    expect(counts).toMatchObject({ waiting: 0, delayed: 0, blocked: 0, active: 0 });
    const path = await copyOf(folder);
    const rows = onDisk(path).rows.filter(({ label }) => label !== null);
    expect(rows.filter(({ finished }) => finished === null)).toEqual([]);
    expect(counts).toMatchObject({
      completed: rows.filter(({ finished }) => finished === 3).length,
      cancelled: rows.filter(({ finished }) => finished === 5).length,
    });
    const processes = readyTimes.map((times) => times.process).toSorted((a, b) => a - b);
    const programs = readyTimes.map((times) => times.program).toSorted((a, b) => a - b);
    const median = (values: readonly number[]): number =>
      values[Math.floor(values.length / 2)] ?? 0;
    expect(programs.at(-1)).toBeLessThan(READY_MS);
    expect(median(processes)).toBeLessThan(READY_MS);
    // oxlint-disable-next-line no-console
    console.log(
      `kill -9: seed ${seed}, ${moments.length} kills (${earlyKills} before the store was ready); jobs acknowledged ` +
        `${heard.added.size}, stored ${rows.length}, completions acknowledged ${heard.completed.size}, lost 0, ` +
        `twice 0; runs of dead processes that came back at once ${backAtOnce}, pulled runs that kept their lease ` +
        `${kept}; from the start of the process to its first claim ${median(processes).toFixed(0)} ms (median), ` +
        `${processes.at(-1)?.toFixed(0)} ms (longest), of it in our program ${median(programs).toFixed(0)} ms ` +
        `and ${programs.at(-1)?.toFixed(0)} ms`,
    );
  },
);
