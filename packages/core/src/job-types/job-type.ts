import type { z } from "zod";
import type { FieldError } from "../errors.ts";
import { isName } from "../input-checks.ts";

export interface JobTypeDefaults {
  /** How many runs a job gets in all, the first one included. */
  readonly attempts: number;
  /** Delay before the second run, in milliseconds; it doubles before each further one. */
  readonly backoffMs: number;
  /** Longest a single run may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Error codes worth another attempt; absent: every failure that is not a data fault. */
  readonly retryableErrors?: readonly string[];
  /** Inner priority (lower runs sooner) of a job added without one; absent: 0. */
  readonly priority?: number;
}

/**
 * What a typed queue takes and gives. The schemas only check: the data as it was received is what
 * is stored, and the schema's defaults are filled in when a handler parses it.
 */
export interface JobType<
  Name extends string = string,
  Data extends z.ZodType = z.ZodType,
  Result extends z.ZodType = z.ZodType,
> {
  /** The queue's name as well: a typed queue has exactly one job type. */
  readonly name: Name;
  /** For people: console, documentation, start-up lines. */
  readonly title: string;
  readonly data: Data;
  readonly result: Result;
  readonly defaults: JobTypeDefaults;
  /** Longest data accepted, in bytes of JSON as received. */
  readonly maxDataBytes: number;
  /** What a job is found by that says nothing else; absent: nothing. */
  labels?(data: z.output<Data>): JobLabels;
}

export interface JobLabels {
  readonly project?: string | undefined;
  readonly batch?: string | undefined;
}

/** Data as a handler sees it: checked, with the schema's defaults filled in. */
export type JobData<T extends JobType> = z.output<T["data"]>;
/** Data as a producer may send it. */
export type JobInput<T extends JobType> = z.input<T["data"]>;
export type JobResult<T extends JobType> = z.output<T["result"]>;

const DEFAULT_MAX_DATA_BYTES = 1_000_000;

/**
 * Declares the job type of a typed queue. `maxDataBytes` defaults to 1,000,000.
 * @throws TypeError when the name is no queue name or a default is no positive whole number.
 */
export function defineJobType<
  const Name extends string,
  Data extends z.ZodType,
  Result extends z.ZodType,
>(definition: {
  name: Name;
  title: string;
  data: Data;
  result: Result;
  defaults: JobTypeDefaults;
  maxDataBytes?: number;
  labels?: (data: z.output<Data>) => JobLabels;
}): JobType<Name, Data, Result> {
  const { name, title, data, result, defaults, maxDataBytes = DEFAULT_MAX_DATA_BYTES } = definition;
  const { labels } = definition;
  if (!isName(name)) {
    throw new TypeError(`Job type name "${name}" must be 1 to 256 of A-Z a-z 0-9 _ . -`);
  }
  const { attempts, backoffMs, timeoutMs, retryableErrors, priority } = defaults;
  for (const [setting, value] of Object.entries({ attempts, backoffMs, timeoutMs, maxDataBytes })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new TypeError(`Job type ${name}: ${setting} must be a positive whole number`);
    }
  }
  if (priority !== undefined && !Number.isSafeInteger(priority)) {
    throw new TypeError(`Job type ${name}: priority must be a whole number`);
  }
  if (retryableErrors?.some((code) => code === "")) {
    throw new TypeError(`Job type ${name}: a retryable error code must not be empty`);
  }
  return Object.freeze({
    name,
    title,
    data,
    result,
    defaults: Object.freeze({
      ...defaults,
      ...(retryableErrors && { retryableErrors: Object.freeze([...retryableErrors]) }),
    }),
    maxDataBytes,
    ...(labels && { labels }),
  });
}

/** More would only make the answer unreadable: a batch can hold 10,000 bad texts. */
const MAX_ISSUES = 100;

/**
 * A schema's complaints as one line per field, worded so that the sender can mend them. At most
 * 100 are told; a last entry counts the rest.
 * @param root name given to the data itself where the complaint is about the whole of it.
 */
export function validationIssues(error: z.ZodError, root = "data"): FieldError[] {
  const byField = new Map<string, string>();
  for (const issue of error.issues) {
    const field = fieldName(issue.path, root);
    // zod goes on checking lengths after a wrong type: the first complaint is the cause.
    if (!byField.has(field)) byField.set(field, issueMessage(issue));
  }
  const issues = Array.from(byField, ([field, message]) => ({ field, message }));
  if (issues.length <= MAX_ISSUES) return issues;
  const rest = issues.length - MAX_ISSUES;
  return [...issues.slice(0, MAX_ISSUES), { field: root, message: `and ${rest} more fields` }];
}

const PLAIN_KEY = /^[\w$-]{1,64}$/;
const MAX_KEY_CHARACTERS = 64;

function fieldName(path: readonly PropertyKey[], root: string): string {
  let field = "";
  for (const key of path) {
    const name = String(key);
    if (typeof key === "number") field += `[${name}]`;
    else if (PLAIN_KEY.test(name)) field += field === "" ? name : `.${name}`;
    else field += `[${JSON.stringify(name.slice(0, MAX_KEY_CHARACTERS))}]`;
  }
  return field === "" ? root : field;
}

/** Beginnings of zod's own wording; a schema that words its complaint itself keeps it. */
const ZOD_WORDING = /^(?:Invalid (?:input|option|number|discriminator)|Too (?:small|big)|Unrecog)/;

function issueMessage(issue: z.core.$ZodIssue): string {
  if (!ZOD_WORDING.test(issue.message)) return issue.message;
  switch (issue.code) {
    case "invalid_type": {
      // Only zod's wording tells what was received.
      const received = /, received (.+)$/.exec(issue.message)?.[1] ?? "something else";
      if (received === "undefined") return "Required field missing";
      return `Expected ${typeNames[issue.expected] ?? issue.expected}, received ${received}`;
    }
    case "invalid_value":
      return `Must be ${oneOfText(issue.values)}`;
    case "invalid_union":
      if ("options" in issue && issue.options) return `Must be ${oneOfText(issue.options)}`;
      return "Has none of the accepted forms";
    case "too_small":
      return sizeMessage(issue.origin, Number(issue.minimum), "least", issue.inclusive !== false);
    case "too_big":
      return sizeMessage(issue.origin, Number(issue.maximum), "most", issue.inclusive !== false);
    default:
      return issue.message;
  }
}

const typeNames: Readonly<Record<string, string>> = {
  int: "whole number",
  record: "object",
};

function oneOfText(values: readonly unknown[]): string {
  const names = values.map(String);
  return names.length === 1 ? `${names[0]}` : `one of ${names.join(", ")}`;
}

function sizeMessage(
  origin: string,
  bound: number,
  side: "least" | "most",
  inclusive: boolean,
): string {
  const counted = origin === "string" ? "character" : origin === "array" ? "item" : null;
  if (counted) {
    const subject = origin === "string" ? "String" : "Array";
    return `${subject} must contain at ${side} ${bound} ${counted}${bound === 1 ? "" : "s"}`;
  }
  if (inclusive) return `Must be at ${side} ${bound}`;
  return `Must be ${side === "least" ? "greater" : "less"} than ${bound}`;
}
