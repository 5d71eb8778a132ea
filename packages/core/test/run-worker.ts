import { onTestFinished } from "vitest";
import { z } from "zod";
import type { EventType, JobEvent } from "../src/events.ts";
import { defineHandler, type Handler, type HandlerContext } from "../src/handler.ts";
import { defineJobType, type JobType } from "../src/job-types/job-type.ts";
import type { Job } from "../src/job.ts";
import { Worker, type WorkerOptions } from "../src/worker.ts";
import type { Desk } from "./desk.ts";

/** A type of job that takes and gives anything; to the facade its queue is an untyped one. */
export function anything(queue: string): JobType<string, z.ZodAny, z.ZodAny> {
  return defineJobType({
    name: queue,
    title: queue,
    data: z.any(),
    result: z.any(),
    defaults: { attempts: 1, backoffMs: 1000, timeoutMs: 60_000 },
  });
}

/** Its result may be nothing, which is null then. */
export type Run = (context: HandlerContext<unknown>) => Promise<unknown>;

export function handlerOf(
  queue: string,
  run: Run,
  options: { readonly concurrency?: number } = {},
): Handler {
  return defineHandler(
    anything(queue),
    async (context): Promise<unknown> => (await run(context)) ?? null,
    options,
  );
}

export interface RunningWorker {
  readonly worker: Worker;
  readonly errors: { readonly error: unknown; readonly doing: string }[];
}

/** A worker that stops with the test. A function alone is the handler of the queue `work`. */
export function startWorker(
  desk: Desk,
  handlers: Run | readonly Handler[],
  options: Partial<Omit<WorkerOptions, "queue" | "handlers" | "onError">> = {},
): RunningWorker {
  const errors: RunningWorker["errors"] = [];
  const worker = new Worker({
    queue: desk.queue,
    handlers: typeof handlers === "function" ? [handlerOf("work", handlers)] : handlers,
    concurrency: 5,
    onError: (error, doing) => void errors.push({ error, doing }),
    ...options,
  });
  worker.start();
  onTestFinished(() => worker.drain(0));
  return { worker, errors };
}

/** The job once it is finished, however long that takes on the desk's clock. */
export function ended(desk: Desk, id: number): Promise<Job> {
  return desk.ours.wait(id, { timeoutMs: Infinity });
}

/** The next event of this kind from now on. */
export function told(desk: Desk, type: EventType, id?: number): Promise<JobEvent> {
  return new Promise((resolve, reject) => {
    // This engine listens from this call on, not only once it is answered: nothing is missed.
    const listening = desk.queue.adapter.subscribe({
      tenant: "*",
      types: [type],
      onEvents: (events) => {
        const event = events.find(({ jobId }) => id === undefined || jobId === id);
        if (event === undefined) return;
        resolve(event);
        void listening.then((stop) => stop());
      },
    });
    listening.catch(reject);
  });
}

/** What handlers wait for until the test lets them go, at its end at the latest. */
export class Gate {
  readonly #opened = Promise.withResolvers<void>();
  readonly #waiting: { readonly count: number; readonly go: () => void }[] = [];
  #arrived = 0;

  constructor() {
    onTestFinished(() => this.open());
  }

  open(): void {
    this.#opened.resolve();
  }

  /** For the handler. */
  pass(): Promise<void> {
    this.#arrived++;
    for (const { count, go } of this.#waiting) if (this.#arrived >= count) go();
    return this.#opened.promise;
  }

  /** Resolves when so many have come. */
  reached(count = 1): Promise<void> {
    if (this.#arrived >= count) return Promise.resolve();
    return new Promise((go) => this.#waiting.push({ count, go }));
  }
}
