export { Jobyard } from "./client.ts";
export { type ErrorCode, JobyardError } from "./errors.ts";
export type { TypedQueues } from "./generated/job-types.ts";
export type { CallOptions } from "./http.ts";
export type {
  ActionOptions,
  AddedJob,
  Filter,
  Job,
  JobId,
  JobOptions,
  JobPage,
  Jobs,
  ListOptions,
  NewJob,
  QueueName,
  WaitOptions,
} from "./jobs.ts";
export type {
  Data,
  NativeCallOptions,
  NativeOptions as JobyardOptions,
  OperationId,
  Query,
  Schemas,
} from "./native.ts";
export type { Queue } from "./queue.ts";
export type { JobEvent, Progress, WatchOptions } from "./streams.ts";
