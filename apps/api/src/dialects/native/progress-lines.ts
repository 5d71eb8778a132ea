import { type JobFilter, QueueError, type TenantQueue } from "@jobyard/core";
import type { ApiContext } from "../../dialect.ts";
import { problemOf } from "./errors.ts";
import type { ActionProgress } from "./schemas/jobs.ts";

interface ManyJobs {
  readonly jobs: TenantQueue;
  readonly filter: Omit<JobFilter, "tenant">;
  readonly action: "cancel" | "retry" | "remove" | "promote";
  readonly reason: string;
  /** The server goes down. */
  readonly ending: AbortSignal;
}

/**
 * Acts on every job that a filter finds and answers with a line of progress after each step. It goes on only as long as
 * somebody listens.
 */
export function applyToMany(c: ApiContext, { ending, ...work }: ManyJobs): Response {
  const gone = new AbortController();
  const signal = AbortSignal.any([c.req.raw.signal, gone.signal, ending]);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      let last: ActionProgress = { total: 0, applied: 0, refused: 0, done: false, error: null };
      const tell = (news: Partial<ActionProgress>): void => {
        last = { ...last, ...news };
        controller.enqueue(encoder.encode(`${JSON.stringify(last)}\n`));
      };
      try {
        await apply(work, signal, tell);
        tell({ done: true });
      } catch (error) {
        const stopped = new QueueError("UNAVAILABLE", "The server is stopping");
        const told = ending.aborted ? stopped : error instanceof QueueError ? error : undefined;
        // Nobody is left to be told.
        if (told === undefined && signal.aborted) return;
        if (told === undefined) return controller.error(error);
        tell({ error: problemOf(told) });
      }
      controller.close();
    },
    cancel: () => gone.abort(),
  });
  return c.body(body, 200, { "Content-Type": "application/x-ndjson" });
}

type Work = Omit<ManyJobs, "ending">;
type Tell = (news: Partial<ActionProgress>) => void;

async function apply(work: Work, signal: AbortSignal, tell: Tell): Promise<void> {
  const { jobs, filter, action, reason } = work;
  const counts = await jobs.count(filter);
  tell({ total: Object.values(counts).reduce((sum, count) => sum + count, 0) });
  const onProgress = (applied: number, refused: number): void => tell({ applied, refused });
  await jobs.applyToMany(filter, action, { reason, signal, onProgress });
}
