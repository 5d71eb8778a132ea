import { stat, statfs } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import about from "../../package.json" with { type: "json" };
import type { Cli } from "../cli.ts";
import { CliError, failureOf } from "../errors.ts";
import { bytes, shown, span } from "../output.ts";

interface Check {
  readonly check: string;
  readonly state: "ok" | "warning" | "fault";
  readonly told: string;
  /** How to mend it. */
  readonly mend?: string;
}

const marks = {
  ok: ["ok     ", "green"],
  warning: ["warning", "yellow"],
  fault: ["FAULT  ", "red"],
} as const;

const OLDEST_NODE = 24;
const SKEW_MS = 5000;
const SLOW_MS = 1000;
/** Bytes. */
const LEAST_FREE = 500_000_000;

export function define(command: Command, cli: Cli): void {
  command
    .description("Look for what is wrong, here and with the server, and say how to mend it")
    .action(async () => {
      const checks: Check[] = [];
      for await (const check of examine(cli)) {
        checks.push(check);
        if (cli.out.json) continue;
        const [mark, colour] = marks[check.state];
        cli.out.line(`${cli.out.style(colour, mark)}  ${check.check}: ${shown(check.told)}`);
        if (check.mend !== undefined) cli.out.line(`         ${check.mend}`);
      }
      const faults = checks.filter(({ state }) => state === "fault").length;
      if (cli.out.json) cli.out.line(JSON.stringify({ ok: faults === 0, checks }));
      if (faults > 0)
        throw new CliError("failed", `${faults} of ${checks.length} checks found a fault`);
    });
}

async function* examine(cli: Cli): AsyncGenerator<Check, void, undefined> {
  const major = Number(process.versions.node.split(".")[0]);
  yield major >= OLDEST_NODE
    ? { check: "Node", state: "ok", told: process.version }
    : {
        check: "Node",
        state: "fault",
        told: process.version,
        mend: `Install Node ${OLDEST_NODE} or newer: the service needs it`,
      };

  let url: string;
  try {
    const connection = await cli.connection();
    ({ url } = connection);
    const token = connection.token === undefined ? "without a token" : "with a token";
    yield { check: "configuration", state: "ok", told: `${url} (${connection.from}), ${token}` };
  } catch (error) {
    yield faultOf("configuration", error);
    return;
  }

  const began = Date.now();
  let answered: Response;
  try {
    answered = await fetch(`${url}/health/live`, { signal: AbortSignal.timeout(10_000) });
    await answered.arrayBuffer();
  } catch (error) {
    const { cause, message } = error as Error;
    yield {
      check: "server",
      state: "fault",
      told: `${url} cannot be reached: ${cause instanceof Error ? cause.message : message}`,
      mend: "Start one with `jobs start`, or name another one with --url, JOBS_URL or a profile",
    };
    return;
  }
  const ms = Date.now() - began;
  yield ms < SLOW_MS
    ? { check: "server", state: "ok", told: `answers within ${span(ms)}` }
    : {
        check: "server",
        state: "warning",
        told: `took ${span(ms)} to answer`,
        mend: "Look at its load (`jobs stats`, `jobs workers`) and the way to it",
      };

  // Told to the second, and on its way for a while.
  const date = Date.parse(answered.headers.get("date") ?? "");
  if (!Number.isNaN(date)) {
    const skew = date > Date.now() ? date - Date.now() : Math.max(0, began - date - 1000);
    yield skew < SKEW_MS
      ? { check: "clocks", state: "ok", told: "the server's and this machine's agree" }
      : {
          check: "clocks",
          state: "warning",
          told: `the server's is ${span(skew)} ${date > began ? "ahead" : "behind"}`,
          mend: "Let both machines keep their time by NTP: delays and tokens go by it",
        };
  }

  const client = await cli.client();
  try {
    const { subject, tenant, roles, may, open, expiresAt, server } = await client.whoami();
    yield server.version === about.version
      ? { check: "version", state: "ok", told: `${about.version}, both` }
      : {
          check: "version",
          state: "warning",
          told: `the server is ${server.version}, this program ${about.version}`,
          mend: "Bring the older one up to the other",
        };
    const who = `${subject ?? (open ? "anyone on this machine" : "unnamed")}, tenant ${tenant}, ${roles.join(", ")}`;
    const left = expiresAt === null ? Infinity : Date.parse(expiresAt) - Date.now();
    if (left < 86_400_000) {
      const mend = "Get a new one soon; `jobs token create` makes one where you may";
      yield { check: "token", state: "warning", told: `${who}; it ends in ${span(left)}`, mend };
    } else yield { check: "token", state: "ok", told: `${who}; may ${may.join(", ")}` };
    const { status, engine, latencyMs, warnings } = await client.health();
    if (status !== "healthy") {
      const mend =
        engine === "bullmq"
          ? "Look at Redis, and REDIS_URL of the server"
          : "Look at the server's log, and its DATA_DIR";
      yield { check: "store", state: "fault", told: "cannot be reached", mend };
    } else yield { check: "store", state: "ok", told: `${engine}, ${span(latencyMs)} away` };
    for (const { message } of warnings) {
      yield { check: "store", state: "warning", told: message };
    }
    if (engine === "sqlite") yield* examineDisk(cli);
    const queues = await client.queues.list();
    const workers = await client.workers();
    const heard = new Set(workers.flatMap(({ queues }) => queues));
    for (const { name, paused, counts } of queues) {
      if (paused && counts.waiting > 0) {
        const told = `${name} is paused, and ${counts.waiting} jobs wait in it`;
        yield { check: "queues", state: "warning", told, mend: `jobs queues resume ${name}` };
      } else if (counts.waiting > 0 && counts.active === 0 && !heard.has(name)) {
        const told = `${counts.waiting} jobs wait in ${name}, and no worker takes them`;
        yield { check: "queues", state: "warning", told, mend: "Start a worker for it" };
      }
    }
  } catch (error) {
    yield faultOf("token", error);
  }
}

/** Of the store in DATA_DIR, where it is on this machine. */
async function* examineDisk(cli: Cli): AsyncGenerator<Check, void, undefined> {
  const { parseConfig } = await import("@jobyard/core");
  const { dataDir } = parseConfig(cli.env).engine;
  const size = await stat(join(dataDir, "jobyard.db")).catch(() => null);
  if (size === null) return;
  const { bavail, bsize } = await statfs(dataDir);
  yield diskCheck({ dataDir, free: bavail * bsize, used: size.size });
}

/** Bytes; a backup, and a restore, take as much again as the store has. */
export function diskCheck(disk: { dataDir: string; free: number; used: number }): Check {
  const { dataDir, free, used } = disk;
  const told = `${bytes(free)} are free in ${resolve(dataDir)}`;
  if (free >= Math.max(LEAST_FREE, used)) return { check: "disk", state: "ok", told };
  const mend =
    "Free some, move DATA_DIR to a larger disk, or keep ended jobs for less long (RETENTION_COMPLETED, RETENTION_FAILED): nothing is added once it is full";
  return { check: "disk", state: free < LEAST_FREE ? "fault" : "warning", told, mend };
}

function faultOf(check: string, error: unknown): Check {
  return { check, state: "fault", told: failureOf(error)?.message ?? String(error) };
}
