import type { ProcessingStats } from "./job.ts";
import type { JobData, JobType } from "./job-types/job-type.ts";
import type { z } from "zod";

export interface ProgressReport {
  /** Percent, 0 to 100; worked out from `items` when left out. */
  readonly progress?: number;
  readonly message?: string;
  /** Speed and estimated end are worked out from these. */
  readonly items?: { readonly total: number; readonly processed: number; readonly failed: number };
}

export interface HandlerContext<Data> {
  /** Checked against the job type's schema, its defaults filled in. */
  readonly data: Data;
  /**
   * Aborted when the job is cancelled, runs out of time, or the worker stops; a handler that has not settled
   * `STOP_GRACE_MS` later is abandoned.
   */
  readonly signal: AbortSignal;
  /** 1 for the first. */
  readonly attempt: number;
  readonly job: {
    readonly id: number;
    readonly tenant: string;
    readonly queue: string;
    readonly name: string | null;
  };
  /** Cheap; may be called for each item. Reports are gathered and sent several times a second. */
  readonly progress: (report: ProgressReport) => void;
  readonly log: (line: string) => void;
  /** Model tokens spent, for the statistics; adds up over calls. */
  readonly spend: (tokens: number) => void;
}

export interface Handler {
  readonly type: JobType;
  /** Jobs at once in one worker; absent: as many as the worker runs. */
  readonly concurrency?: number;
  run(context: HandlerContext<never>): Promise<unknown>;
}

/** Binds a function to a job type: data and result are typed by its schemas and checked at run time. */
export function defineHandler<Type extends JobType>(
  type: Type,
  run: (context: HandlerContext<JobData<Type>>) => Promise<z.input<Type["result"]>>,
  options: { readonly concurrency?: number } = {},
): Handler {
  return { type, run, ...options };
}

/** A failure that says what kind it is. Any other error a handler throws is retried as its job type says. */
export class HandlerError extends Error {
  /** e.g. `NETWORK_ERROR`; job types may retry some codes only. */
  readonly code: string;
  /** The data can never succeed: no retry. */
  readonly dataFault: boolean;
  /** Where in the work. */
  readonly stage: string | undefined;

  constructor(
    code: string,
    message: string,
    options: {
      readonly dataFault?: boolean;
      readonly stage?: string;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "HandlerError";
    this.code = code;
    this.dataFault = options.dataFault ?? false;
    this.stage = options.stage;
  }
}

/** The thread or process that ran the handler's work died: a crash, not an attempt. */
export class HandlerCrash extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "HandlerCrash";
  }
}

/** Items, speed and estimated end, from what a handler reported and when it began. */
export function processingStats(
  items: NonNullable<ProgressReport["items"]>,
  startedAt: number,
  now: number,
): ProcessingStats {
  const elapsed = Math.max(1, now - startedAt);
  const { total, processed, failed } = items;
  const averageItemMs = processed === 0 ? 0 : elapsed / processed;
  return {
    totalItems: total,
    processedItems: processed,
    failedItems: failed,
    averageItemMs,
    itemsPerSecond: (processed / elapsed) * 1000,
    estimatedEnd: processed === 0 ? null : Math.round(now + averageItemMs * (total - processed)),
  };
}
