/** What happens to jobs and queues, as told by the engine at the moment of the change. */
export const eventTypes = [
  "job.pushed",
  "job.started",
  "job.progress",
  "job.completed",
  "job.failed",
  "job.stalled",
  "job.cancelled",
  "queue.paused",
  "queue.resumed",
] as const;

export type EventType = (typeof eventTypes)[number];

/** Light on purpose: who needs the job's data or result reads the job. */
export interface JobEvent {
  /** Place in the log; opaque, ordered within one engine. */
  readonly cursor: string;
  readonly type: EventType;
  readonly tenant: string;
  readonly queue: string;
  /** null for `queue.*`. */
  readonly jobId: number | null;
  /** Epoch ms. */
  readonly at: number;
  /** `job.progress`: percent. */
  readonly progress?: number;
  readonly message?: string | null;
  /** `job.failed`, `job.stalled`, `job.cancelled`. */
  readonly error?: string;
  /** `job.failed`: whether this was the last attempt. */
  readonly final?: boolean;
}
