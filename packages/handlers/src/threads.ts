import { availableParallelism } from "node:os";
import { Piscina } from "piscina";

/** A worker thread ended (it ran out of memory, or exited) before it could answer; `cause` says how. */
export class ThreadDied extends Error {
  override readonly name = "ThreadDied";
  readonly code = "THREAD_DIED";
  constructor(cause: unknown) {
    super(`A worker thread died: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

export interface ThreadsOptions {
  /** How many threads at most; default one for each core. */
  size?: number;
  /** Heap of one thread in MB; one that needs more dies. Default 256. */
  memoryMb?: number;
}

/** Idle threads end after this long. */
const IDLE_MS = 30_000;

/**
 * Worker threads for computation. They start when there is work, and do not keep the process alive. What a
 * thread's file exports as default must answer and never throw: then a failed run is a dead thread.
 */
export class Threads {
  readonly size: number;
  readonly #options: ThreadsOptions;
  #pool: Piscina | undefined;

  constructor(options: ThreadsOptions = {}) {
    this.#options = options;
    this.size = options.size ?? availableParallelism();
  }

  /**
   * Runs the thread file's default export on a copy of `task`. An abort ends the thread it runs on at once.
   *
   * @throws {ThreadDied}, or the signal's reason
   */
  async run<Answer>(file: URL, task: object, signal?: AbortSignal): Promise<Answer> {
    signal?.throwIfAborted();
    this.#pool ??= this.#start();
    try {
      return (await this.#pool.run(task, {
        filename: file.href,
        ...(signal && { signal }),
      })) as Answer;
    } catch (error) {
      signal?.throwIfAborted();
      throw new ThreadDied(error);
    }
  }

  /** Ends the threads, after what they are running. The next run starts new ones. */
  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = undefined;
    await pool?.close();
  }

  #start(): Piscina {
    const pool = new Piscina({
      minThreads: 0,
      maxThreads: this.size,
      idleTimeout: IDLE_MS,
      recordTiming: false,
      resourceLimits: { maxOldGenerationSizeMb: this.#options.memoryMb ?? 256 },
    });
    // A thread that dies idle fails no task; the next task gets a new one.
    pool.on("error", () => {});
    return pool;
  }
}
