import { ALL_TENANTS, ANSWERS_KEPT_MS } from "../../queue-adapter.ts";
import {
  BATCH_BYTES,
  BATCH_RECORDS,
  batched,
  type Section,
  type StoreBatch,
  type StoredAnswer,
  type StoredEvent,
  type StoredJob,
  type StoredPlace,
  type StoredQueue,
  type StoredRollup,
  type StoredSecret,
} from "../../store-at-rest.ts";
import { keptAnswer } from "./answers.ts";
import type { Connection, Reply } from "./connection.ts";
import { eventOf } from "./event-reader.ts";
import { decodeStored, laneName, parseLane } from "./job-hash.ts";
import type { LaneCounts, Listing } from "./listing.ts";
import { pairs, Records } from "./records.ts";

/** Buckets of ids looked at in one step, which may all be empty. */
const BUCKETS_AT_ONCE = 1000;

/** Reads a store that nobody serves. */
export class Reader {
  readonly #connection: Connection;
  readonly #listing: Listing;
  readonly #records: Records;
  readonly #newest: number;

  /** `newest`: the newest id there is. */
  constructor(connection: Connection, listing: Listing, newest: number) {
    this.#connection = connection;
    this.#listing = listing;
    this.#records = new Records(connection, () => 0);
    this.#newest = newest;
  }

  async *read<S extends Section>(section: S, after: string): AsyncGenerator<StoreBatch<S>> {
    const batches: { readonly [K in Section]: () => AsyncIterable<StoreBatch<K>> } = {
      queues: () => this.#whole("queues", this.#queues()),
      jobs: () => this.#jobs(Number(after)),
      order: () => this.#order(Number(after)),
      rollups: () => this.#rollups(),
      schedules: () => this.#whole("schedules", this.#records.schedules(ALL_TENANTS)),
      webhooks: () => this.#whole("webhooks", this.#records.webhooks(ALL_TENANTS)),
      secrets: () => this.#whole("secrets", this.#secrets()),
      answers: () => this.#answers(),
      outbox: () => this.#outbox(after),
    };
    yield* batches[section]();
  }

  async *#whole<S extends Section>(
    section: S,
    records: Promise<StoreBatch<S>["records"]>,
  ): AsyncGenerator<StoreBatch<S>> {
    yield* batched(section, await records);
  }

  async #lanes(): Promise<LaneCounts[]> {
    const lanes = await this.#listing.lanes({ tenant: ALL_TENANTS });
    return lanes.sort((a, b) => (a.lane < b.lane ? -1 : 1));
  }

  async #queues(): Promise<StoredQueue[]> {
    return (await this.#lanes()).map(
      ({ lane, typed, paused, rateLimit, concurrency, indexes }) => ({
        ...parseLane(lane),
        typed,
        paused,
        rateLimit,
        concurrency,
        indexedPaths: indexes.map(({ path }) => path),
      }),
    );
  }

  async *#jobs(first: number): AsyncGenerator<StoreBatch<"jobs">> {
    const ask = (after: number): Promise<Reply> => {
      const most = [BATCH_RECORDS, BATCH_BYTES, BUCKETS_AT_ONCE];
      return this.#connection.script("whole-jobs", after, this.#newest, ...most);
    };
    let next = ask(first);
    try {
      for (let after = first; after < this.#newest;) {
        const [reached, ...rows] = (await next) as readonly Reply[];
        after = Number(reached);
        // Redis reads the next ones meanwhile.
        if (after < this.#newest) next = ask(after);
        const records: StoredJob[] = [];
        for (let i = 0; i < rows.length; i += 6) records.push(storedJob(rows.slice(i, i + 6)));
        const last = records.at(-1);
        if (last !== undefined) yield { section: "jobs", records, next: String(last.job.id) };
      }
    } finally {
      await next.catch(() => undefined);
    }
  }

  /** `after`: so many places were read before. */
  async *#order(after: number): AsyncGenerator<StoreBatch<"order">> {
    let skip = after;
    let read = after;
    for (const { lane, counts } of await this.#lanes()) {
      const from = Math.min(skip, counts.waiting);
      skip -= from;
      for await (const records of this.#places(lane, from)) {
        read += records.length;
        yield { section: "order", records, next: String(read) };
      }
    }
  }

  /** As a claim takes them: urgent jobs, then ordinary ones, then the others. */
  async *#places(lane: string, skipped: number): AsyncGenerator<StoredPlace[]> {
    const prioritized = `${lane}:prioritized`;
    const connection = this.#connection;
    const urgent = Number(await connection.command("ZCOUNT", prioritized, "-inf", "(0"));
    const ordinary = Number(await connection.command("LLEN", `${lane}:wait`));
    const all = Number(await connection.command("ZCARD", prioritized));
    const scored = async (from: number, to: number): Promise<StoredPlace[]> => {
      const found = await connection.command("ZRANGE", prioritized, from, to, "WITHSCORES");
      // Flat or in pairs, by the version of the protocol.
      const flat: Reply[] = (found as Reply[]).flat();
      return pairs(flat).map(([member, score]) =>
        placeOf(lane, member, Math.floor(Number(score) / 2 ** 32)),
      );
    };
    let at = skipped;
    while (at < urgent) {
      const places = await scored(at, Math.min(at + BATCH_RECORDS, urgent) - 1);
      at += places.length;
      yield places;
    }
    while (at < urgent + ordinary) {
      const passed = at - urgent;
      const to = Math.min(passed + BATCH_RECORDS, ordinary);
      const found = await connection.command("LRANGE", `${lane}:wait`, -to, -passed - 1);
      const places = (found as readonly string[]).toReversed().map((id) => placeOf(lane, id, 0));
      at += places.length;
      yield places;
    }
    while (at < all + ordinary) {
      const from = at - ordinary;
      const places = await scored(from, from + BATCH_RECORDS - 1);
      at += places.length;
      yield places;
    }
  }

  async *#rollups(): AsyncGenerator<StoreBatch<"rollups">> {
    const lanes = (await this.#lanes()).map(({ lane }) => lane);
    const typedTogether = new Set(lanes.map((lane) => laneName(parseLane(lane).tenant, "")));
    for (const lane of [...lanes, ...typedTogether]) {
      const hash = pairs(await this.#connection.command("HGETALL", `${lane}:rollup`));
      yield* batched("rollups", rollupsOf(lane, hash));
    }
  }

  async #secrets(): Promise<StoredSecret[]> {
    const all = pairs(await this.#connection.command("HGETALL", "incomingSecrets"));
    return all.map(([field, secret]) => {
      const [tenant = "", queue = ""] = field.split(" ");
      return { tenant, queue, secret };
    });
  }

  async *#answers(): AsyncGenerator<StoreBatch<"answers">> {
    for await (const keys of this.#connection.keys("answer:")) {
      if (keys.length === 0) continue;
      const texts = (await this.#connection.commandOnKeys("MGET", keys)) as (string | null)[];
      const records = keys.flatMap((key, i) => storedAnswer(key, texts[i] ?? null));
      yield* batched("answers", records);
    }
  }

  async *#outbox(first: string): AsyncGenerator<StoreBatch<"outbox">> {
    for (let after = first; ;) {
      const from = after === "" ? "-" : `(${after}`;
      const range = ["outbox", from, "+", "COUNT", BATCH_RECORDS] as const;
      const found = await this.#connection.command("XRANGE", ...range);
      const entries = found as unknown as readonly (readonly [string, string[]])[];
      const last = entries.at(-1);
      if (last === undefined) return;
      [after] = last;
      const records = entries.flatMap(([cursor, fields]): StoredEvent[] => {
        const event = eventOf(cursor, fields);
        if (event === undefined) return [];
        const { cursor: _cursor, ...told } = event;
        return [told];
      });
      yield { section: "outbox", records, next: after };
    }
  }
}

/** Of the rows of the script `whole-jobs`. */
function storedJob([lane, id, hash, logs, runs, parents]: readonly Reply[]): StoredJob {
  const dependencies = parents as readonly string[];
  const stored = decodeStored(
    Number(id),
    String(lane),
    hash as readonly Reply[],
    runs as readonly string[],
  );
  return {
    ...stored,
    logs: (logs as readonly string[]).map((text) => {
      const space = text.indexOf(" ");
      return { at: Number(text.slice(0, space)), line: text.slice(space + 1) };
    }),
    dependencies: Array.from({ length: dependencies.length / 3 }, (_, i) => ({
      queue: dependencies[3 * i] ?? "",
      id: Number(dependencies[3 * i + 1]),
      done: dependencies[3 * i + 2] === "1",
    })),
  };
}

function placeOf(lane: string, member: string, priority: number): StoredPlace {
  return { ...parseLane(lane), id: Number(member.slice(1)), priority };
}

function storedAnswer(name: string, text: string | null): StoredAnswer[] {
  if (text === null) return [];
  const [, tenant = "", ...key] = name.split(":");
  const until = Number(text.slice(0, text.indexOf("\n")));
  const { outcome, note } = keptAnswer(text);
  return [{ tenant, key: key.join(":"), at: until - ANSWERS_KEPT_MS, outcome, note }];
}

const spanOfLetter = { m: "minute", h: "hour", t: "total" } as const;

function* rollupsOf(
  lane: string,
  hash: readonly (readonly [field: string, sums: string])[],
): Generator<StoredRollup> {
  for (const [field, sums] of hash) {
    const [span = "", level = "", ...project] = field.split("|");
    const words = sums.split(" ");
    yield {
      ...parseLane(lane),
      span: spanOfLetter[span.slice(0, 1) as keyof typeof spanOfLetter],
      at: Number(span.slice(1)),
      level: Number(level),
      project: project.join("|"),
      sums: words.map((word) => (word === "-" ? null : Number(word))),
    };
  }
}
