import { randomUUID } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { QueueError } from "../../errors.ts";
import { jobStates } from "../../job.ts";
import { ALL_TENANTS } from "../../queue-adapter.ts";
import {
  type Census,
  Checksum,
  type Filled,
  type MoveMark,
  type Section,
  type StoreAtRest,
  type StoreBatch,
  tallyKey,
} from "../../store-at-rest.ts";
import { Connection, type Reply } from "./connection.ts";
import { crashArguments } from "./crash.ts";
import { warningsOf } from "./durability.ts";
import { Instances, type Known } from "./instances.ts";
import { parseLane, stateOfLetter } from "./job-hash.ts";
import { Listing } from "./listing.ts";
import { Reader } from "./reading.ts";
import { pairs } from "./records.ts";
import { encodeBatch } from "./writing.ts";

/** Runs ended, and buckets of ids counted, in one step. */
const RUNS_AT_ONCE = 500;
const BUCKETS_AT_ONCE = 4;
const TALLIES_AT_ONCE = 1000;
/** How long Redis may take to sync what was written, ms. */
const SYNC_MS = "4000";

interface Options {
  /** As of `BullmqOptions`. */
  readonly url: string | readonly string[];
  readonly prefix?: string;
  readonly clock?: Clock;
}

interface Open {
  readonly connection: Connection;
  readonly listing: Listing;
}

/** The distributed engine's keys. That nobody serves them is looked up, and from the mark on made sure of. */
export class BullmqAtRest implements StoreAtRest {
  readonly engine = "bullmq";
  readonly name: string;
  readonly #options: Options;
  #state: Open | undefined;
  /** As a target: the newest id there will be. */
  #newest = 0;

  constructor(options: Options) {
    this.#options = options;
    const urls = typeof options.url === "string" ? [options.url] : options.url;
    this.name = urls.map(withoutPassword).join(",");
  }

  async open(): Promise<void> {
    const { url, prefix = "jobyard", clock } = this.#options;
    const connection = new Connection({
      url,
      prefix,
      name: "jobyard-at-rest",
      now: () => (clock === undefined ? "" : String(clock.now())),
      onNews: () => undefined,
    });
    await connection.open();
    this.#state = { connection, listing: new Listing(connection) };
    try {
      await this.#refuseIfServed();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #refuseIfServed(): Promise<void> {
    const { connection } = this.#open;
    const now = this.#now();
    const all = pairs(await connection.command("HGETALL", "instances"));
    const known = all.map(([id, text]): Known => {
      const [heard, ...place] = text.split(" ");
      return [id, place.join(" "), now - Number(heard)];
    });
    const dead = await new Instances(randomUUID(), connection).dead(known);
    const served = known.length - dead.length;
    if (served > 0) {
      throw new QueueError(
        "INVALID_STATE",
        `${this.name} is being served by ${served} ${served === 1 ? "process" : "processes"}: stop every server and worker on it first (one that was killed is forgotten after 15 s)`,
      );
    }
  }

  #now(): number {
    return this.#options.clock?.now() ?? Date.now();
  }

  async close(): Promise<void> {
    await this.#state?.connection.close();
    this.#state = undefined;
  }

  get #open(): Open {
    if (this.#state === undefined) throw new QueueError("UNAVAILABLE", `${this.name} is not open`);
    return this.#state;
  }

  async mark(): Promise<MoveMark | null> {
    const text = await this.#open.connection.command("HGET", "move", "mark");
    return text === null ? null : (JSON.parse(String(text)) as MoveMark);
  }

  async setMark(mark: MoveMark | null): Promise<void> {
    const { connection } = this.#open;
    if (mark === null) {
      await connection.script("mark-move", "none");
      return;
    }
    await connection.script("mark-move", mark.role, JSON.stringify(mark));
    try {
      // Who came in between is known by now; from here on nobody does.
      await this.#refuseIfServed();
    } catch (error) {
      await connection.script("mark-move", "none");
      throw error;
    }
  }

  async isEmpty(): Promise<boolean> {
    const keys = ["tenants", "schedules", "webhooks", "incomingSecrets"];
    return (await this.#open.connection.commandOnKeys("EXISTS", keys)) === 0;
  }

  async erase(): Promise<void> {
    const { connection } = this.#open;
    for await (const keys of connection.keys("")) {
      // The mark goes last: half erased, it is still no store to be served.
      const others = keys.filter((key) => key !== "move");
      if (others.length > 0) await connection.commandOnKeys("UNLINK", others);
    }
    await connection.command("UNLINK", "move");
  }

  async endRuns(): Promise<number> {
    const { connection, listing } = this.#open;
    let ended = 0;
    for (const { lane } of await listing.lanes({ tenant: ALL_TENANTS })) {
      const [active] = (await connection.script("members", lane, "active")) as string[][];
      // The last to be started go first, so that each finds its place in front of them.
      const ids = (active ?? []).map((member) => Number(member.slice(1))).sort((a, b) => b - a);
      ended += ids.length;
      const crash = crashArguments("The process that ran the job ended before its store was moved");
      for (let from = 0; from < ids.length; from += RUNS_AT_ONCE) {
        const some = ids.slice(from, from + RUNS_AT_ONCE).flatMap((id) => [id, ""]);
        await connection.script("release", ALL_TENANTS, "gone", ...crash, ...some);
      }
    }
    while (Number(await connection.script("tally", TALLIES_AT_ONCE)) > 0);
    return ended;
  }

  /** As a source: the newest id and the newest claim. */
  async #counters(): Promise<readonly [id: number, claim: number]> {
    const kept = (await this.#open.connection.command("HMGET", "move", "id", "claims")) as Reply[];
    if (kept[0] !== null) return [Number(kept[0]), Number(kept[1])];
    const found = await this.#open.connection.commandOnKeys("MGET", ["id", "claims"]);
    const [id, claim] = found as Reply[];
    return [Number(id ?? 0), Number(claim ?? 0)];
  }

  async nextNumber(): Promise<number> {
    return Math.max(...(await this.#counters())) + 1;
  }

  async countJobs(): Promise<number> {
    const lanes = await this.#open.listing.lanes({ tenant: ALL_TENANTS });
    return lanes.reduce(
      (all, { counts }) => jobStates.reduce((sum, state) => sum + counts[state], all),
      0,
    );
  }

  async *read<S extends Section>(section: S, after: string): AsyncGenerator<StoreBatch<S>> {
    const [newest] = await this.#counters();
    const { connection, listing } = this.#open;
    yield* new Reader(connection, listing, newest).read(section, after);
  }

  async census(onCounted: (jobs: number) => void): Promise<Census> {
    const { connection, listing } = this.#open;
    const [newest] = await this.#counters();
    const names = pairs(await connection.command("HGETALL", "laneNames"));
    const sums = new Map(names.map(([no, lane]) => [Number(no), { lane, sum: new Checksum() }]));
    let next = connection.script("states", 0, newest, BUCKETS_AT_ONCE);
    for (let after = 0; after < newest;) {
      const [reached, ...states] = (await next) as readonly Reply[];
      after = Number(reached);
      // While these are added up, Redis reads the next ones.
      if (after < newest) next = connection.script("states", after, newest, BUCKETS_AT_ONCE);
      for (let i = 0; i < states.length; i += 3) {
        const letter = states[i + 2];
        const state = stateOfLetter[letter === "w" ? "" : String(letter)];
        const place = state === undefined ? -1 : jobStates.indexOf(state);
        sums.get(Number(states[i + 1]))?.sum.add(Number(states[i]), place);
      }
      onCounted(states.length / 3);
    }
    await next;
    const lanes = await listing.lanes({ tenant: ALL_TENANTS });
    const byLane = new Map([...sums.values()].map(({ lane, sum }) => [lane, String(sum)]));
    return new Map(
      lanes
        .map(({ lane, counts }) => {
          const { tenant, queue } = parseLane(lane);
          const { waiting, delayed, blocked, active, completed, failed, cancelled } = counts;
          const ordered = { waiting, delayed, blocked, active, completed, failed, cancelled };
          const tally = { counts: ordered, checksum: byLane.get(lane) ?? "" };
          return [tallyKey(tenant, queue), tally] as const;
        })
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  }

  async begin(mark: MoveMark, nextNumber: number): Promise<void> {
    await this.#open.connection.script("mark-move", "target", JSON.stringify(mark), nextNumber);
    await this.#refuseIfServed();
  }

  async filled(): Promise<Filled> {
    const answer = await this.#open.connection.command("HMGET", "move", "section", "after");
    const [section, after] = answer as readonly string[];
    this.#newest = Number(await this.#open.connection.command("GET", "id"));
    return { section: section as Filled["section"], after: after ?? "" };
  }

  /** Sent at once, so that steps are done in the order of the calls. */
  async write(batch: StoreBatch, from: Filled, then: Filled): Promise<void> {
    const { connection } = this.#open;
    const step = [from.section, from.after, then.section, then.after];
    const newest = batch.section === "jobs" && batch.records.length === 0 ? this.#newest : 0;
    const place = { after: Number(from.after), newest, now: this.#now() };
    const { script, args } = encodeBatch(batch, place);
    await connection.script(script, ...step, ...args);
  }

  async settle(): Promise<readonly string[]> {
    const { connection } = this.#open;
    // Without an append-only file there is nothing to sync, and Redis says so; the warnings do as well.
    await connection.everywhere("WAITAOF", "1", "0", SYNC_MS).catch(() => undefined);
    const infos = await connection.everywhere("INFO");
    return warningsOf(infos.map(String)).map(({ message }) => message);
  }
}

function withoutPassword(url: string): string {
  const { protocol, username, password, host, pathname } = new URL(url);
  return `${protocol}//${username === "" && password === "" ? "" : "***@"}${host}${pathname}`;
}
