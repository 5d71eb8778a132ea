export { Jobyard } from "./client.ts";
export { type ErrorCode, JobyardError } from "./errors.ts";
export type { TypedQueues } from "./generated/job-types.ts";
export type { components, operations } from "./generated/native.ts";
export type { CallOptions, Content } from "./http.ts";
export type {
  ActionOptions,
  AddedJob,
  DataOf,
  Filter,
  Job,
  JobId,
  JobOptions,
  JobPage,
  Jobs,
  ListOptions,
  NewJob,
  QueueName,
  ResultOf,
  WaitOptions,
} from "./jobs.ts";
export type {
  Body,
  Data,
  Native,
  NativeCallOptions,
  NativeOptions as JobyardOptions,
  OperationId,
  Query,
  Schemas,
} from "./native.ts";
export type { ParamsOf } from "./operations.ts";
export type { Queue } from "./queue.ts";
export type { Activity, ActivityOptions, JobEvent, Progress, WatchOptions } from "./streams.ts";
