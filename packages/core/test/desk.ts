import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { SqliteAdapter } from "../src/adapters/sqlite/index.ts";
import { JobQueue, type QueueOptions, type TenantQueue } from "../src/queue.ts";
import { VirtualClock } from "../src/testing/index.ts";

/** A queue on a store in memory, with time that stands still, and what went wrong unseen. */
export class Desk {
  readonly clock: VirtualClock;
  readonly adapter: SqliteAdapter;
  readonly queue: JobQueue;
  readonly errors: string[] = [];
  readonly folder: string;

  constructor(folder: string, options: Partial<QueueOptions> & { startAt?: number } = {}) {
    this.folder = folder;
    const { startAt, ...rest } = options;
    this.clock = new VirtualClock(startAt);
    this.adapter = new SqliteAdapter({ path: ":memory:", clock: this.clock });
    this.queue = new JobQueue({
      adapter: this.adapter,
      payloadFolder: folder,
      clock: this.clock,
      onError: (error, doing) => this.errors.push(`${doing}: ${String(error)}`),
      ...rest,
    });
  }

  static async open(options: Partial<QueueOptions> & { startAt?: number } = {}): Promise<Desk> {
    const folder = await mkdtemp(join(tmpdir(), "jobyard-"));
    const desk = new Desk(join(folder, "payloads"), options);
    await desk.queue.open();
    onTestFinished(async () => {
      await desk.queue.close();
      await rm(folder, { recursive: true, force: true });
    });
    return desk;
  }

  get ours(): TenantQueue {
    return this.queue.of("default");
  }

  /** Lets everything that is under way take its course, without moving time. */
  async settle(turns = 5): Promise<void> {
    for (let turn = 0; turn < turns; turn++) {
      await setImmediate();
      await this.adapter.upkeep();
    }
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await this.settle();
  }

  /** Moves on in steps, so that what sets itself a timer anew gets its turn. */
  async pass(ms: number, step = 250): Promise<void> {
    for (let left = ms; left > 0; left -= step) await this.advance(Math.min(step, left));
  }

  /** Files that large payloads lie in. */
  async files(): Promise<string[]> {
    return existsSync(this.folder) ? readdir(this.folder) : [];
  }
}
