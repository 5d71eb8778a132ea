import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { type MoveMark, refuseMoved } from "../../store-at-rest.ts";
import type { Connection, Reply } from "./connection.ts";
import { crashArguments } from "./crash.ts";

/** An instance of another machine that is silent for so long, and has no connection left, is dead. */
const SILENT_MS = 15_000;
const RUNS_AT_ONCE = 500;

export type Known = readonly [id: string, place: string, silenceMs: number];

export interface SignOfLife {
  /** Redis' time. */
  readonly now: number;
  readonly leads: boolean;
  /** Until whoever leads has to show up again. */
  readonly leaderMs: number;
  readonly dueInMs: number | null;
  /** Sums waiting to be merged into the roll-ups. */
  readonly tallies: number;
  readonly known: readonly Known[];
}

/** Whose process ids mean the same as here: containers often share a host name, and are all process 1. */
const machine = processIds();

function processIds(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    return `${boot}/${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
}

/** Instances opened in this process and not closed or killed. */
const living = new Set<string>();

/**
 * Which instances (opened adapters) there are. Runs of one whose process died have crashed: told at once where the
 * process was on this machine, else once it is silent and Redis has no connection of it any more. A process that
 * merely blocks keeps its connections, and with them its runs until their leases end.
 */
export class Instances {
  readonly id: string;
  readonly #connection: Connection;
  readonly #place = `${machine} ${process.pid}`;

  constructor(id: string, connection: Connection) {
    this.id = id;
    this.#connection = connection;
  }

  static connectionName(id: string): string {
    return `jobyard-${id}`;
  }

  /** A sign of life, which also stands for leadership for so long. */
  async showUp(leadMs: number): Promise<SignOfLife> {
    living.add(this.id);
    const answer = (await this.#connection.script(
      "alive",
      this.id,
      this.#place,
      leadMs,
    )) as Reply[];
    if (answer[0] === "moved") refuseMoved(JSON.parse(String(answer[1])) as MoveMark, "this Redis");
    const [now, leads, leaderMs, dueIn, tallies, ...known] = answer;
    return {
      now: Number(now),
      leads: leads === "1",
      leaderMs: Number(leaderMs),
      dueInMs: dueIn === "" ? null : Number(dueIn),
      tallies: Number(tallies),
      known: known as unknown as readonly Known[],
    };
  }

  /** The runs of dead instances have crashed. */
  async buryDead(known: readonly Known[]): Promise<void> {
    for (const id of await this.dead(known)) await this.#bury(id);
  }

  /** Those of the instances whose processes are gone. */
  async dead(known: readonly Known[]): Promise<string[]> {
    const dead: string[] = [];
    const silent: string[] = [];
    for (const [id, place, silence] of known) {
      if (id === this.id) continue;
      if (this.#diedHere(id, place)) dead.push(id);
      else if (silence >= SILENT_MS) silent.push(id);
    }
    if (silent.length === 0) return dead;
    const lists = await this.#connection.everywhere("CLIENT", "LIST");
    for (const id of silent) {
      const name = `name=${Instances.connectionName(id)} `;
      if (!lists.some((list) => String(list).includes(name))) dead.push(id);
    }
    return dead;
  }

  async signOff(): Promise<void> {
    living.delete(this.id);
    await this.#connection.command("HDEL", "instances", this.id);
  }

  kill(): void {
    living.delete(this.id);
  }

  #diedHere(id: string, place: string): boolean {
    const [where, pid] = place.split(" ");
    if (where !== machine) return false;
    if (Number(pid) === process.pid) return !living.has(id);
    try {
      process.kill(Number(pid), 0);
      return false;
    } catch (error) {
      // EPERM: there is one, of another user.
      return (error as NodeJS.ErrnoException).code === "ESRCH";
    }
  }

  async #bury(id: string): Promise<void> {
    const runs = (await this.#connection.command("SMEMBERS", `runs:i:${id}`)) as string[];
    // The last to be started go first, so that each finds its place in front of them.
    const ids = runs.map(Number).sort((a, b) => b - a);
    const crash = crashArguments("The process that ran the job died");
    for (let from = 0; from < ids.length; from += RUNS_AT_ONCE) {
      const some = ids.slice(from, from + RUNS_AT_ONCE).flatMap((run) => [run, ""]);
      await this.#connection.script("release", "*", "gone", ...crash, ...some);
    }
    await this.#connection.command("HDEL", "instances", id);
    // Nobody need wait for the end of what it led.
    const leader = await this.#connection.command("HGET", "leader", "instance");
    if (leader === id) await this.#connection.command("HDEL", "leader", "until");
  }
}
