import type { Config, JobTypeName, RateLimiter } from "@jobyard/core";
import type { Storage } from "./storage.ts";

/** What the handlers are given by whoever composes the process. */
export interface HandlerDeps {
  readonly files: Storage;
  /** A finished job's result, the bytes of its JSON text; null: no such job of the tenant, or it has no result. */
  readonly jobResult?: (tenant: string, jobId: number) => Promise<Uint8Array | null>;
  /** Adds a job for the tenant; answers its id. With a `uniqueKey` that is taken: the id of the job that holds it. */
  readonly enqueue?: (tenant: string, job: FollowUp) => Promise<number>;
  /** Absent or null: messages are written to files. */
  readonly smtp?: Config["smtp"];
  /** Who hears of failed validations; absent or null: nobody. */
  readonly notifyEmail?: Config["notifyEmail"];
  /** The vision model; absent or null: text is read on this machine. */
  readonly extractor?: Config["extractor"];
  /** Asked before each request to the vision model; absent: no limit. */
  readonly modelRequests?: RateLimiter;
  /** A service that analyses model files; absent or null: they are analysed on this machine. */
  readonly workerServiceUrl?: Config["workerServiceUrl"];
  /** Most memory that one job's file processing may take, in MB; default 384. */
  readonly fileMemoryMb?: number;
}

/** A job that a handler asks for. */
export interface FollowUp {
  readonly queue: JobTypeName;
  readonly name?: string;
  readonly data: object;
  readonly uniqueKey?: string;
}
