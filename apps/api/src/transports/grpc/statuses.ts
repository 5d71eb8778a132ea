import { Metadata, status, type StatusObject } from "@grpc/grpc-js";
import type { ErrorCode } from "@jobyard/core";
import type { Logger } from "@jobyard/core/process";
import { refuse } from "../../dialects/flashq/errors.ts";
import type { RequestFault } from "../../request-error.ts";

const codes: Readonly<Record<ErrorCode | RequestFault, status>> = {
  VALIDATION: status.INVALID_ARGUMENT,
  UNKNOWN_JOB_TYPE: status.INVALID_ARGUMENT,
  JOB_NOT_FOUND: status.NOT_FOUND,
  QUEUE_NOT_FOUND: status.NOT_FOUND,
  SCHEDULE_NOT_FOUND: status.NOT_FOUND,
  WEBHOOK_NOT_FOUND: status.NOT_FOUND,
  INVALID_STATE: status.FAILED_PRECONDITION,
  DUPLICATE_JOB: status.ALREADY_EXISTS,
  DUPLICATE_SCHEDULE: status.ALREADY_EXISTS,
  DEPENDENCY_NOT_FOUND: status.INVALID_ARGUMENT,
  DEPENDENCY_CYCLE: status.INVALID_ARGUMENT,
  STALE_LEASE: status.FAILED_PRECONDITION,
  PAYLOAD_TOO_LARGE: status.RESOURCE_EXHAUSTED,
  LIMIT_REACHED: status.RESOURCE_EXHAUSTED,
  RATE_LIMITED: status.RESOURCE_EXHAUSTED,
  WAIT_TIMEOUT: status.DEADLINE_EXCEEDED,
  UNAVAILABLE: status.UNAVAILABLE,
  INTERNAL: status.INTERNAL,
  UNAUTHENTICATED: status.UNAUTHENTICATED,
  FORBIDDEN: status.PERMISSION_DENIED,
  ROUTE_NOT_FOUND: status.UNIMPLEMENTED,
  FILE_NOT_FOUND: status.NOT_FOUND,
  METHOD_NOT_ALLOWED: status.UNIMPLEMENTED,
};

/** Whatever was thrown, as the status that ends its call. */
export function statusOf(error: unknown, log: Logger): StatusObject {
  const { fault, error: details, existing_id } = refuse(error, log);
  const metadata = new Metadata();
  if (existing_id !== undefined) metadata.set("existing-id", String(existing_id));
  return { code: codes[fault], details, metadata };
}
