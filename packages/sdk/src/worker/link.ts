import type { JobyardError } from "../errors.ts";

/** A run of a job: the lease is the right to end it. */
export interface RunRef {
  readonly id: string;
  readonly lease: string;
}

export interface Claim extends RunRef {
  readonly name: string | null;
  readonly data: unknown;
  /** 1 for the first. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** Where the server has told. */
  readonly leaseMs: number | undefined;
}

export type Ending =
  | { readonly kind: "completed"; /** JSON */ readonly result: string | undefined }
  | {
      readonly kind: "failed";
      readonly error: string;
      readonly code: string | undefined;
      readonly final: boolean;
    };

export interface Ended {
  readonly run: RunRef;
  readonly ending: Ending;
}

export interface Report {
  readonly run: RunRef;
  readonly progress: { readonly percent: number; readonly message: string | undefined } | undefined;
  readonly lines: readonly string[];
}

/** What a worker tells of itself. */
export interface Load {
  readonly concurrency: number;
  readonly active: number;
  /** Runs that have ended since its start. */
  readonly jobsProcessed: number;
}

/** Why one item was refused; undefined: it was not. */
export type Refusals = readonly (JobyardError | undefined)[];

/** How a worker talks to the server. Where nothing can be told or asked, these reject. */
export interface Link {
  /** Waits for jobs; none when the wait ran out or was called off. */
  pull(limit: number, signal: AbortSignal): Promise<readonly Claim[]>;
  end(ended: readonly Ended[]): Promise<Refusals>;
  report(reports: readonly Report[]): Promise<void>;
  /** Keeps the runs; answers with those that are lost or cancelled. */
  renew(runs: readonly RunRef[]): Promise<readonly RunRef[]>;
  /** Keeps the worker in the server's list. */
  heartbeat(load: Load): Promise<void>;
  /** Gives runs back, and takes its leave. */
  close(runs: readonly RunRef[]): Promise<void>;
}
