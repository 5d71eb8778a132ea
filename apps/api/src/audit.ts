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

/** Of each log, by whose calls are told; what is known of a caller is spelt once. */
const auditLogs = new WeakMap<Logger, WeakMap<Caller, Logger>>();

/** Leaves a line of who did what. */
export function audit(log: Logger, caller: Caller, call: AuditedCall): void {
  let ofCallers = auditLogs.get(log);
  if (ofCallers === undefined) auditLogs.set(log, (ofCallers = new WeakMap()));
  let lines = ofCallers.get(caller);
  if (lines === undefined) {
    const { subject, tenant, roles } = caller;
    // Nothing of what they hold is secret; looking for secrets would take longer than all the rest of a line.
    lines = log.child({ audit: true, subject, tenant, roles }, { redact: [] });
    ofCallers.set(caller, lines);
  }
  lines.info(call, "audit");
}
