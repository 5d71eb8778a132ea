import { validationError } from "./errors.ts";

/** Deepest nesting accepted: arrays and objects within each other. */
const MAX_JSON_DEPTH = 100;
/** What is told of where a fault lies: characters of it all, and of one key. */
const MAX_FIELD = 256;
const MAX_KEY = 64;
const POISONED = "Must not have a key __proto__";

/**
 * A value from outside as JSON text, or what is wrong with it: nested too deep, numbers JSON cannot say, own keys that
 * poison prototypes, things that are no JSON at all.
 */
export function encodeJson(value: unknown, field = "data"): string {
  checkJson(value, field);
  return stringifyJson(value, field);
}

/** As `encodeJson`, of what was checked. */
export function stringifyJson(value: unknown, field: string): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    throw validationError([{ field, message: "Must be JSON" }]);
  }
  if (text === undefined) throw validationError([{ field, message: "Required field missing" }]);
  return text;
}

/** What is wrong with a value, as `encodeJson` says it, but where it is not JSON at all. */
export function checkJson(value: unknown, field = "data"): void {
  let fault: Fault | undefined;
  try {
    fault = faultOf(value, 1);
  } catch {
    fault = { path: "", message: "Must be JSON" };
  }
  if (fault === undefined) return;
  const { path, message } = fault;
  throw validationError([{ field: `${field}${path}`.slice(0, MAX_FIELD), message }]);
}

/**
 * As `checkJson`, of a request's body: all of it but what `judged` leads to (a field, or that field of each object in a list),
 * which is for whoever takes it to check.
 */
export function checkBody(body: unknown, judged: readonly string[] = [], at = ""): void {
  const here = at === "" ? "body" : at;
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    checkJson(body, here);
    return;
  }
  const [next, ...within] = judged;
  for (const key of Object.keys(body)) {
    if (key === "__proto__") throw validationError([{ field: here, message: POISONED }]);
    const value = (body as Record<string, unknown>)[key];
    if (typeof value === "string") continue;
    const field = at === "" ? key.slice(0, MAX_KEY) : `${at}.${key.slice(0, MAX_KEY)}`;
    if (key !== next || (within.length > 0 && !Array.isArray(value))) checkJson(value, field);
    else if (within.length > 0) {
      for (const [i, item] of (value as unknown[]).entries()) {
        checkBody(item, within, `${field}[${i}]`);
      }
    }
  }
}

interface Fault {
  /** From the value that was looked at down to what is wrong: spelt only where something is. */
  readonly path: string;
  readonly message: string;
}

function faultOf(value: unknown, depth: number): Fault | undefined {
  if (typeof value === "number" && !Number.isFinite(value)) {
    return { path: "", message: "Numbers must be finite" };
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (depth > MAX_JSON_DEPTH) {
    return { path: "", message: `Must not be nested deeper than ${MAX_JSON_DEPTH} levels` };
  }
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") {
    return { path: "", message: "Must be plain JSON, not an object that spells itself" };
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i];
      if (typeof item === "string") continue;
      const fault = faultOf(item, depth + 1);
      if (fault !== undefined) return within(fault, `[${i}]`);
    }
    return undefined;
  }
  for (const key of Object.keys(value)) {
    if (key === "__proto__") return { path: "", message: POISONED };
    const item = (value as Record<string, unknown>)[key];
    if (typeof item === "string") continue;
    const fault = faultOf(item, depth + 1);
    if (fault !== undefined) return within(fault, `.${key.slice(0, MAX_KEY)}`);
  }
  return undefined;
}

function within({ path, message }: Fault, part: string): Fault {
  return { path: part + path, message };
}
