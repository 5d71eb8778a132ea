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

const auditLogs = new WeakMap<Logger, Logger>();

/** Leaves a line of who did what. */
export function audit(log: Logger, { subject, tenant, roles }: Caller, call: AuditedCall): void {
  let lines = auditLogs.get(log);
  if (lines === undefined) {
    // Nothing of what they hold is secret; looking for secrets would take longer than all the rest of a line.
    lines = log.child({ audit: true }, { redact: [] });
    auditLogs.set(log, lines);
  }
  lines.info({ subject, tenant, roles, ...call }, "audit");
}
