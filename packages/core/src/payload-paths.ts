import { createHash } from "node:crypto";

/** Paths that one queue's payloads can be searched by. */
export const MAX_INDEXED_PATHS = 16;

/** `data` or `result`, then names of fields or places in lists, e.g. `data.wellId`, `result.rows.0.total`. */
const PATH = /^(?:data|result)(?:\.[^.\p{Cc}]{1,64}){1,8}$/u;
const PLACE = /^(?:0|[1-9][0-9]{0,8})$/;
/** Longer texts are told apart by their digest. */
const LONGEST_KEY = 200;

/** What a field can be searched for. */
export type PayloadValue = string | number | boolean | null;

export function isPayloadPath(path: unknown): path is string {
  return typeof path === "string" && path.length <= 256 && PATH.test(path);
}

export function isOfResult(path: string): boolean {
  return path.startsWith("result.");
}

/**
 * The key that an index keeps for a value: the same exactly for equal ones, in every engine (`payload-paths.lua` makes
 * the same). Texts and numbers that read alike differ.
 */
export function valueKey(value: PayloadValue): string {
  if (value === null) return "z";
  if (typeof value === "boolean") return value ? "t" : "f";
  if (typeof value === "number") {
    const bytes = Buffer.alloc(8);
    // Minus zero is zero.
    bytes.writeDoubleBE(value === 0 ? 0 : value);
    return `n${bytes.toString("hex")}`;
  }
  const short = Buffer.byteLength(value) <= LONGEST_KEY && !value.includes("\0");
  return short ? `s${value}` : `h${createHash("sha1").update(value).digest("hex")}`;
}

/** The value at a path of a payload; undefined where there is none that can be searched for. */
export function valueAt(payload: unknown, path: string): PayloadValue | undefined {
  let value = payload;
  for (const name of path.split(".").slice(1)) {
    if (typeof value !== "object" || value === null) return undefined;
    if (Array.isArray(value) ? !PLACE.test(name) : !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return typeof value === "object" && value !== null ? undefined : (value as PayloadValue);
}
