import type { Caller } from "./auth/caller.ts";
import type { Logger } from "@jobyard/core/process";

/** A call that changes something, without what it carried. */
export interface AuditedCall {
  readonly requestId: string;
  /** Its `operationId`. */
  readonly operation: string;
  /** The job, queue or other thing that it names. */
  readonly target?: string;
  /** `done`, or why not. */
  readonly outcome: string;
}

/** Leaves a line of who did what. */
export function audit(log: Logger, { subject, tenant, roles }: Caller, call: AuditedCall): void {
  log.info({ audit: true, subject, tenant, roles, ...call }, "audit");
}
