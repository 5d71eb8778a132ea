import { once } from "node:events";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { parseBytes, type Parsed, type ParseTask } from "./json-bytes.ts";

/** Longer JSON is parsed on a thread of its own, and written piece by piece: nobody has to wait for it. */
const LONG_BYTES = 1_000_000;
/** Threads at once; each may need some times the length of what it parses. */
const MOST_THREADS = 2;
const THREAD_MEMORY_MB = 2048;
/** Characters of one piece. */
const PIECE = 500_000;

const threadFile = new URL(`./long-json.thread${extname(import.meta.url)}`, import.meta.url);
let running = 0;
const waiting: (() => void)[] = [];
/** Of values that came out of long texts, and that nobody changes. */
const texts = new WeakMap<object, Uint8Array>();

export interface ParseOptions {
  /** Counted in long texts only; default: no limit. */
  readonly maxValues?: number;
  /** A field of the value that is going to be stored: it will not be made into text again. */
  readonly keepTextOf?: string;
}

/** At once, unless they are long. @param bytes - may be gone afterwards */
export function parseJson(
  bytes: Uint8Array,
  { maxValues = Infinity, keepTextOf }: ParseOptions = {},
): Parsed | Promise<Parsed> {
  if (bytes.length <= LONG_BYTES) return parseBytes(bytes, Infinity);
  return parseInTurn({ bytes, maxValues, keepTextOf });
}

async function parseInTurn(task: ParseTask): Promise<Parsed> {
  if (running >= MOST_THREADS) await new Promise<void>((resolve) => waiting.push(resolve));
  running++;
  try {
    return await parseOnThread(task);
  } finally {
    running--;
    waiting.shift()?.();
  }
}

async function parseOnThread(task: ParseTask): Promise<Parsed> {
  const { bytes, keepTextOf } = task;
  // A part of a larger buffer cannot be handed over without the rest.
  const whole = bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes);
  const thread = new Worker(threadFile, {
    workerData: { ...task, bytes: whole },
    transferList: [whole.buffer as ArrayBuffer],
    resourceLimits: { maxOldGenerationSizeMb: THREAD_MEMORY_MB },
  });
  const [{ parsed, text }] = (await once(thread, "message")) as [
    { readonly parsed: Parsed; readonly text: Uint8Array | undefined },
  ];
  if (text !== undefined && keepTextOf !== undefined && "value" in parsed) {
    texts.set((parsed.value as Record<string, object>)[keepTextOf] as object, text);
  }
  return parsed;
}

/** The JSON text of a value, where it is known. */
export function knownText(value: unknown): Uint8Array | undefined {
  return typeof value === "object" && value !== null ? texts.get(value) : undefined;
}

/** Whether the text of a JSON value is so long that it has to be made in pieces. */
export function isLong(value: unknown): boolean {
  return weightOf(value, LONG_BYTES) > LONG_BYTES;
}

/** The text of a JSON value in pieces of some 500 kB. */
export function* piecesOf(value: unknown): Generator<string> {
  if (typeof value !== "object" || value === null || weightOf(value, PIECE) <= PIECE) {
    yield JSON.stringify(value);
    return;
  }
  if (Array.isArray(value)) {
    yield "[";
    yield* itemsOf(value);
    yield "]";
    return;
  }
  let before = "{";
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    yield `${before}${JSON.stringify(key)}:`;
    yield* piecesOf(item);
    before = ",";
  }
  yield before === "{" ? "{}" : "}";
}

function* itemsOf(items: readonly unknown[]): Generator<string> {
  let group: unknown[] = [];
  let weight = 0;
  let before = "";
  for (const item of items) {
    const own = weightOf(item, PIECE);
    if (group.length > 0 && weight + own > PIECE) {
      yield before + JSON.stringify(group).slice(1, -1);
      [group, weight, before] = [[], 0, ","];
    }
    if (own > PIECE) {
      yield before;
      yield* piecesOf(item);
      before = ",";
    } else {
      group.push(item);
      weight += own;
    }
  }
  if (group.length > 0) yield before + JSON.stringify(group).slice(1, -1);
}

/** About how many characters its text has, counted until there are more than `enough`. */
function weightOf(value: unknown, enough: number): number {
  if (typeof value === "string") return value.length + 2;
  if (typeof value !== "object" || value === null) return 8;
  let weight = 2;
  const items = Array.isArray(value) ? value : Object.values(value);
  for (const item of items) {
    weight += weightOf(item, enough - weight) + (items === value ? 1 : 10);
    if (weight > enough) break;
  }
  return weight;
}
