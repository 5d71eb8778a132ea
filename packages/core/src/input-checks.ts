import { parseFingerprint } from "./error-groups.ts";
import { type FieldError, validationError } from "./errors.ts";
import { isJobId } from "./ids.ts";
import { jobStates } from "./job.ts";
import { isPayloadPath } from "./payload-paths.ts";
import { MAX_PRIORITY } from "./priority.ts";

/** Checks of what callers hand in, whatever its type: each adds its complaint to `errors`. */

export const MAX_LABEL = 256;
/** Ten years: longer is a unit mistaken. */
export const LONGEST_MS = 315_360_000_000;

/** Of queues, schedules, workers. */
const NAME = /^[A-Za-z0-9_.-]{1,256}$/;
const TENANT = /^[A-Za-z0-9_-]{1,128}$/;
const CONTROL = /\p{Cc}/u;

/** The last sound ones: of most calls, all jobs have the same. */
let lastTenant: string | undefined;
let lastName: string | undefined;

export function isTenant(value: unknown): boolean {
  if (value === lastTenant && value !== undefined) return true;
  if (typeof value !== "string" || !TENANT.test(value)) return false;
  lastTenant = value;
  return true;
}

export function refuseIfAny(errors: readonly FieldError[]): void {
  if (errors.length > 0) throw validationError(errors);
}

/** The fields of an options object; of anything else, none, and a complaint. `index`: its place in a list of that name. */
export function checkObject(
  value: unknown,
  field: string,
  errors: FieldError[],
  index?: number,
): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  const name = index === undefined ? field : `${field}[${index}]`;
  errors.push({ field: name, message: "Must be an object" });
  return {};
}

/** Of a queue, a schedule, a worker. */
export function isName(value: unknown): boolean {
  if (value === lastName && value !== undefined) return true;
  if (typeof value !== "string" || !NAME.test(value)) return false;
  lastName = value;
  return true;
}

export function checkName(value: unknown, field: string, errors: FieldError[]): void {
  if (isName(value)) return;
  errors.push({ field, message: "Must be 1 to 256 of A-Z a-z 0-9 _ . -" });
}

export function checkInteger(
  value: unknown,
  field: string,
  min: number,
  max: number,
  errors: FieldError[],
): void {
  const whole = typeof value === "number" && Number.isSafeInteger(value);
  if (whole && value >= min && value <= max) return;
  errors.push({ field, message: `Must be a whole number from ${min} to ${max}` });
}

export function checkText(
  value: unknown,
  field: string,
  min: number,
  max: number,
  errors: FieldError[],
): void {
  if (typeof value !== "string" || value.length < min || value.length > max) {
    errors.push({ field, message: `Must be a string of ${min} to ${max} characters` });
  } else if (!value.isWellFormed() || (max === MAX_LABEL && CONTROL.test(value))) {
    errors.push({ field, message: "Must be valid Unicode without control characters" });
  }
}

/** Of whom events are told to: user names would be sent to whoever answers there, and shown in lists. */
export function checkWebAddress(value: unknown, field: string, errors: FieldError[]): void {
  const url = typeof value === "string" && value.length <= 2048 ? URL.parse(value) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    errors.push({ field, message: "Must be an http or https address of at most 2048 characters" });
  } else if (url.username !== "" || url.password !== "") {
    errors.push({ field, message: "Must not contain a user name or password" });
  }
}

export function checkList(
  value: unknown,
  field: string,
  max: number,
  errors: FieldError[],
): value is readonly unknown[] {
  if (!Array.isArray(value)) errors.push({ field, message: "Must be a list" });
  else if (value.length > max) {
    errors.push({ field, message: `Array must contain at most ${max} items` });
  } else return true;
  return false;
}

export function checkBoolean(value: unknown, field: string, errors: FieldError[]): void {
  if (typeof value !== "boolean") errors.push({ field, message: "Must be true or false" });
}

export function checkOneOf(
  value: unknown,
  field: string,
  allowed: readonly unknown[],
  errors: FieldError[],
): void {
  if (allowed.includes(value)) return;
  errors.push({ field, message: `Must be one of ${allowed.join(", ")}` });
}

/** How long to wait; without end is long enough. */
export function checkWait(value: unknown, field: string, errors: FieldError[]): void {
  if (typeof value === "number" && value >= 0 && (value <= LONGEST_MS || value === Infinity))
    return;
  errors.push({ field, message: `Must be a number from 0 to ${LONGEST_MS}` });
}

export function checkSignal(value: unknown, errors: FieldError[]): void {
  if (value === undefined || value instanceof AbortSignal) return;
  errors.push({ field: "signal", message: "Must be an AbortSignal" });
}

/** What may stand in a header's value, without spaces. */
const IDEMPOTENCY_KEY = /^[!-~]{1,255}$/;

export function checkIdempotencyKey(value: unknown, errors: FieldError[]): void {
  if (typeof value === "string" && IDEMPOTENCY_KEY.test(value)) return;
  errors.push({ field: "idempotencyKey", message: "Must be 1 to 255 visible ASCII characters" });
}

export function checkLease(value: unknown, errors: FieldError[]): void {
  if (value !== undefined) checkText(value, "lease", 1, MAX_LABEL, errors);
}

export function checkFilter(filter: unknown, errors: FieldError[]): void {
  const fields = checkObject(filter, "filter", errors);
  const { queues, states, priority, created } = fields;
  if (queues !== undefined && checkList(queues, "queues", 10_000, errors)) {
    for (const [i, queue] of queues.entries()) checkName(queue, `queues[${i}]`, errors);
  }
  if (states !== undefined && checkList(states, "states", jobStates.length, errors)) {
    for (const [i, state] of states.entries()) checkOneOf(state, `states[${i}]`, jobStates, errors);
  }
  for (const field of ["name", "tag", "project", "batch"] as const) {
    if (fields[field] !== undefined) checkText(fields[field], field, 1, MAX_LABEL, errors);
  }
  if (priority !== undefined) {
    checkBounds(priority, "priority", ["min", "max"], MAX_PRIORITY, errors);
  }
  const { ids, error, errorGroup } = fields;
  if (ids !== undefined && checkList(ids, "ids", 1000, errors)) {
    for (const [i, id] of ids.entries()) {
      if (!isJobId(id)) errors.push({ field: `ids[${i}]`, message: "Must be a job's id" });
    }
  }
  if (error !== undefined) checkText(error, "error", 1, 1000, errors);
  if (errorGroup !== undefined && (typeof errorGroup !== "string" || !parseFingerprint(errorGroup)))
    errors.push({ field: "errorGroup", message: "Must be the fingerprint of an error group" });
  if (fields["payload"] !== undefined) {
    const { path, equals } = checkObject(fields["payload"], "payload", errors);
    checkPayloadPath(path, "payload.path", errors);
    if (typeof equals === "string") checkText(equals, "payload.equals", 0, 100_000, errors);
    else if (typeof equals !== "boolean" && equals !== null && !Number.isFinite(equals)) {
      const message = "Must be a string, a number, true, false or null";
      errors.push({ field: "payload.equals", message });
    }
    if (!Array.isArray(queues) || queues.length === 0) {
      errors.push({ field: "queues", message: "Must name the queues whose payloads are searched" });
    }
  }
  if (created !== undefined) checkBounds(created, "created", ["from", "to"], 2 ** 53 - 1, errors);
}

function checkBounds(
  value: unknown,
  field: string,
  ends: readonly string[],
  max: number,
  errors: FieldError[],
): void {
  const bounds = checkObject(value, field, errors);
  for (const end of ends) {
    if (bounds[end] !== undefined) checkInteger(bounds[end], `${field}.${end}`, -max, max, errors);
  }
}

export function checkPayloadPath(value: unknown, field: string, errors: FieldError[]): void {
  if (isPayloadPath(value)) return;
  const message = "Must be data or result and the names of fields, as in data.wellId";
  errors.push({ field, message });
}

export function checkPage(page: unknown, maxLimit: number, errors: FieldError[]): void {
  const { limit, offset, after, order } = checkObject(page, "page", errors);
  checkInteger(limit, "limit", 0, maxLimit, errors);
  if (offset !== undefined) checkInteger(offset, "offset", 0, 2 ** 53 - 1, errors);
  if (after !== undefined && !isJobId(after))
    errors.push({ field: "after", message: "Must be a job's id" });
  checkOneOf(order, "order", ["asc", "desc"], errors);
}
