export type { Admission } from "./admission.ts";
export { type Clock, systemClock } from "./clock.ts";
export * from "./config.ts";
export {
  type ErrorCode,
  type ErrorDetails,
  errorCodes,
  type FieldError,
  QueueError,
} from "./errors.ts";
export { commonMessage } from "./error-groups.ts";
export { type EventType, eventTypes, type JobEvent } from "./events.ts";
export {
  defineHandler,
  type Handler,
  type HandlerContext,
  HandlerCrash,
  HandlerError,
  type ProgressReport,
} from "./handler.ts";
export { formatUuid, type JobId, parseJobId } from "./ids.ts";
export { isName, isTenant, LONGEST_MS } from "./input-checks.ts";
export * from "./job-types/index.ts";
export {
  defineJobType,
  type JobData,
  type JobInput,
  type JobResult,
  type JobType,
  type JobTypeDefaults,
  validationIssues,
} from "./job-types/job-type.ts";
export {
  attemptsStarted,
  type ClaimedJob,
  type FinishedState,
  isFinished,
  type Job,
  type JobFailure,
  type JobOrigin,
  type JobOutline,
  type JobRun,
  type JobState,
  jobStates,
  type Payload,
  type ProcessingStats,
  type RunOutcome,
  transitions,
} from "./job.ts";
export { type NodeAddress, processId } from "./node.ts";
export { isPayloadPath, MAX_INDEXED_PATHS, type PayloadValue } from "./payload-paths.ts";
export * from "./priority.ts";
export {
  ALL_TENANTS,
  goodHealth,
  goodVerdict,
  isHeard,
  type JobSpec,
  type LogLine,
  type ErrorGroup,
  type JobFilter,
  type JobList,
  type NodeRecord,
  noFigures,
  type Outcome,
  type Page,
  type QueueAdapter,
  type QueueInfo,
  type QueueSettings,
  type RemovedJob,
  type ScheduleRecord,
  type StateCounts,
  type StatsParams,
  type StatsRow,
  type StoreWarning,
  storeWarnings,
  type TenantScope,
  type WebhookVerdict,
  type WebhookRecord,
  type WorkerRecord,
} from "./queue-adapter.ts";
export {
  type Ack,
  type AddOptions,
  DEFAULT_TENANT,
  type Fail,
  JobQueue,
  MAX_BATCH,
  MAX_QUEUE_LIMIT,
  type NewJob,
  type PullParams,
  type QueueOptions,
  type Requeue,
  TenantQueue,
} from "./queue.ts";
export type { JsonFault } from "./json-bytes.ts";
export { checkBody } from "./json.ts";
export { parseJson } from "./long-json.ts";
export type { Allowance, PointsTaken, RateLimit, RateLimiter, RateTaken } from "./rate-limiter.ts";
export { CRASH_LIMIT } from "./retry-policy.ts";
export { scheduledJob, type ScheduleInput } from "./scheduler.ts";
export { nextRun, parseSchedule, previewRuns } from "./schedules.ts";
export { type QueueFigures, STOP_GRACE_MS, Worker, type WorkerOptions } from "./worker.ts";
