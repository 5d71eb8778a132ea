import { randomUUID } from "node:crypto";
import { constants, copyFile, link, mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { QueueError } from "./errors.ts";
import { jobStates, type JobState, type Payload } from "./job.ts";
import {
  type Census,
  type Filled,
  type MoveMark,
  RECORDS_VERSION,
  type Section,
  sections,
  type StoreAtRest,
  type StoreBatch,
} from "./store-at-rest.ts";

export interface MovedStore {
  readonly store: StoreAtRest;
  /** Where the large payloads of its jobs lie. */
  readonly payloadFolder: string;
}

export interface MoveProgress {
  readonly doing: "copying" | "checking";
  /** Jobs. */
  readonly done: number;
  readonly total: number;
}

export interface MoveOptions {
  readonly from: MovedStore;
  readonly to: MovedStore;
  readonly onProgress?: (progress: MoveProgress) => void;
  /** Stops between two steps; what is done so far is kept for the next time. */
  readonly signal?: AbortSignal;
}

export interface MoveReport {
  readonly from: string;
  readonly to: string;
  /** It went on where an earlier one had stopped. */
  readonly resumed: boolean;
  readonly jobs: number;
  readonly states: Readonly<Record<JobState, number>>;
  readonly queues: number;
  /** Runs that were under way when the source stopped; their jobs run again. */
  readonly crashedRuns: number;
  /** What is at risk with the target as it is set up. */
  readonly warnings: readonly string[];
}

/**
 * Moves all that one store holds into another, empty one, and leaves the source marked as moved. May be stopped or killed
 * at any point: called again with the same stores, it goes on.
 * @throws QueueError INVALID_STATE where a store is served, the target is not empty, or a store is part of another move
 */
export async function moveStore(options: MoveOptions): Promise<MoveReport> {
  return withBoth(options, (from, to) => new Move(options, from, to).run());
}

/**
 * Gives an unfinished move up: the source can be served again, and what the target has got of it is erased. A target that
 * cannot be reached is left as it is, and refuses to be served.
 * @throws QueueError INVALID_STATE where there is no unfinished move between the two
 */
export async function abandonMove({ from, to }: Pick<MoveOptions, "from" | "to">): Promise<void> {
  const source = from.store;
  const target = to.store;
  await source.open({ create: false });
  try {
    const mark = await source.mark();
    if (mark?.role === "source" && mark.done) {
      throw refused(
        `All jobs of ${source.name} are in ${mark.other} already; abandoning the move would bring them back a second time`,
      );
    }
    const erased = await eraseHalf(target, mark);
    if (mark?.role === "source") await source.setMark(null);
    else if (!erased)
      throw refused(`${source.name} is not being moved: there is nothing to abandon`);
  } finally {
    await source.close();
  }
}

async function eraseHalf(target: StoreAtRest, mark: MoveMark | null): Promise<boolean> {
  try {
    await target.open({ create: false });
  } catch (error) {
    if (mark === null) throw error;
    return false;
  }
  try {
    const there = await target.mark();
    if (there?.role !== "target" || (mark !== null && there.id !== mark.id)) return false;
    await target.erase();
    return true;
  } finally {
    await target.close();
  }
}

async function withBoth<T>(
  { from, to }: Pick<MoveOptions, "from" | "to">,
  run: (from: StoreAtRest, to: StoreAtRest) => Promise<T>,
): Promise<T> {
  await from.store.open({ create: false });
  try {
    await to.store.open({ create: true });
    try {
      return await run(from.store, to.store);
    } finally {
      await to.store.close();
    }
  } finally {
    await from.store.close();
  }
}

/** Steps sent while the one before is still on its way. */
const AHEAD = 2;

class Move {
  readonly #options: MoveOptions;
  readonly #from: StoreAtRest;
  readonly #to: StoreAtRest;

  constructor(options: MoveOptions, from: StoreAtRest, to: StoreAtRest) {
    this.#options = options;
    this.#from = from;
    this.#to = to;
  }

  async run(): Promise<MoveReport> {
    const from = this.#from;
    const to = this.#to;
    const [mark, there] = await Promise.all([from.mark(), to.mark()]);
    const resumed = mark !== null;
    const source = mark ?? newMark(to.name);
    if (source.role === "target") {
      throw refused(
        `${from.name} is itself being filled with the jobs of ${source.other}: finish that first`,
      );
    }
    if (source.done && there?.id !== source.id) {
      throw refused(
        `The jobs of ${from.name} were moved to ${source.other} already (${new Date(source.since).toISOString()})`,
      );
    }
    if (source.version !== RECORDS_VERSION) {
      throw refused(
        "This move was begun by another version of Jobyard: go on with that one, or --abandon it",
      );
    }
    await this.#refuseUnfit(source, there);
    if (mark === null) await from.setMark(source);
    let crashedRuns = 0;
    if (!source.done) {
      crashedRuns = await from.endRuns();
      if (there === null) {
        await to.begin({ ...source, role: "target", other: from.name }, await from.nextNumber());
      }
      await this.#copy();
    }
    const warnings = await to.settle();
    const census = await this.#compare();
    // In this order: at no time can both be served.
    await from.setMark({ ...source, done: true });
    await to.setMark(null);
    const states = statesOf(census);
    return {
      from: from.name,
      to: to.name,
      resumed,
      jobs: jobStates.reduce((all, state) => all + states[state], 0),
      states,
      queues: census.size,
      crashedRuns,
      warnings,
    };
  }

  async #refuseUnfit(source: MoveMark, there: MoveMark | null): Promise<void> {
    const to = this.#to;
    if (there !== null && there.id !== source.id) {
      throw refused(
        there.done
          ? `${to.name} still holds the jobs that were moved from it to ${there.other}: ${mend(to)}`
          : `${to.name} is part of another move, ${there.role === "source" ? "to" : "from"} ${there.other}: finish or --abandon that one first`,
      );
    }
    if (there === null && !(await to.isEmpty())) {
      throw refused(`${to.name} is not empty, and two stores cannot be mixed: ${mend(to)}`);
    }
  }

  async #copy(): Promise<void> {
    const { signal, onProgress } = this.#options;
    const from = this.#from;
    const to = this.#to;
    const total = await from.countJobs();
    let filled = await to.filled();
    if (filled.section === "all") return;
    let done = filled.section === "queues" ? 0 : await to.countJobs();
    const sent: Promise<void>[] = [];
    const send = async (batch: StoreBatch, then: Filled): Promise<void> => {
      const step = to.write(batch, filled, then);
      // Awaited a little later; until then nobody listens.
      step.catch(() => undefined);
      sent.push(step);
      filled = then;
      if (sent.length > AHEAD) await sent.shift();
    };
    try {
      for (const section of sections.slice(sections.indexOf(filled.section))) {
        const after = filled.section === section ? filled.after : "";
        for await (const batch of from.read(section, after)) {
          signal?.throwIfAborted();
          if (section === "jobs") await this.#copyFiles(batch as StoreBatch<"jobs">);
          await send(batch, { section, after: batch.next });
          if (section === "jobs") {
            done += batch.records.length;
            onProgress?.({ doing: "copying", done, total });
          }
        }
        await send({ section, records: [], next: "" }, { section: following(section), after: "" });
      }
    } finally {
      await Promise.allSettled(sent);
    }
    await Promise.all(sent);
  }

  /** The files are there before the jobs that name them. */
  async #copyFiles({ records }: StoreBatch<"jobs">): Promise<void> {
    const { from, to } = this.#options;
    const names = records.flatMap(({ job }) => [job.data, job.result].flatMap(fileOf));
    if (names.length === 0) return;
    await mkdir(to.payloadFolder, { recursive: true, mode: 0o700 });
    for (const name of names) {
      await copy(join(from.payloadFolder, name), join(to.payloadFolder, name));
    }
  }

  async #compare(): Promise<Census> {
    const { onProgress } = this.#options;
    const total = 2 * (await this.#from.countJobs());
    let done = 0;
    const count = (jobs: number): void => {
      done += jobs;
      onProgress?.({ doing: "checking", done, total });
    };
    const [before, after] = await Promise.all([this.#from.census(count), this.#to.census(count)]);
    const different = [...new Set([...before.keys(), ...after.keys()])].filter(
      (queue) => JSON.stringify(before.get(queue)) !== JSON.stringify(after.get(queue)),
    );
    if (different.length > 0) {
      throw new QueueError(
        "INTERNAL",
        `The jobs in ${this.#to.name} are not those of ${this.#from.name} (${different.slice(0, 5).join(", ")}). The source is untouched: give the move up with --abandon`,
        { queues: different.slice(0, 100) },
      );
    }
    return before;
  }
}

function following(section: Section): Filled["section"] {
  return sections[sections.indexOf(section) + 1] ?? "all";
}

function newMark(other: string): MoveMark {
  return {
    version: RECORDS_VERSION,
    id: randomUUID(),
    role: "source",
    other,
    since: Date.now(),
    done: false,
  };
}

function statesOf(census: Census): Record<JobState, number> {
  const states = Object.fromEntries(jobStates.map((state) => [state, 0]));
  for (const { counts } of census.values()) {
    for (const state of jobStates) states[state] = (states[state] ?? 0) + counts[state];
  }
  return states as Record<JobState, number>;
}

function fileOf(payload: Payload | null): string[] {
  return payload === null || typeof payload === "string" ? [] : [payload.file];
}

/** Shares the bytes where the file system can; what is there already came with an earlier try, or is the same file. */
async function copy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    // Deleted by hand: its job is as unreadable there as it was here.
    if (code === "ENOENT") return;
    // Under its own name only once it is whole.
    await copyFile(from, `${to}.part`, constants.COPYFILE_FICLONE);
    await rename(`${to}.part`, to);
  }
}

function mend(store: StoreAtRest): string {
  return store.engine === "sqlite"
    ? "move that file (with its -wal and -shm) away, or use another DATA_DIR"
    : "use another Redis (or database), or delete its keys that begin with {jobyard}";
}

function refused(message: string): QueueError {
  return new QueueError("INVALID_STATE", message);
}
