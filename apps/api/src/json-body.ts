import { checkBody, parseJson, QueueError } from "@jobyard/core";
import type { ApiContext } from "./dialect.ts";
import type { Unfinished } from "./unfinished.ts";

/** What dialects call the field of a job's data. */
const DATA = "data";

interface Expected {
  /** A long body may hold so many values; default: any number. */
  readonly maxValues?: number;
  /** What core checks: a field, or that field of each object in a list. */
  readonly judged?: readonly string[];
}

/**
 * The request's body as a JSON value, undefined when it is empty. Its bytes are counted as they come, whatever length
 * was announced, and never more than `maxBytes` are kept. A long body is parsed where it holds nobody up. What no JSON value
 * should hold is refused wherever it stands, in fields that nobody asked for as well.
 * @throws QueueError VALIDATION, PAYLOAD_TOO_LARGE
 */
export async function readJson(
  c: ApiContext,
  maxBytes: number,
  { maxValues = Infinity, judged }: Expected = {},
): Promise<unknown> {
  const bytes = c.get("body") ?? (await readBody(c, maxBytes));
  if (bytes.length === 0) return undefined;
  const parsing = parseJson(bytes, { maxValues, keepTextOf: DATA });
  const parsed = parsing instanceof Promise ? await parsing : parsing;
  if ("value" in parsed) {
    checkBody(parsed.value, judged);
    return parsed.value;
  }
  if (parsed.fault === "too many values") {
    throw new QueueError("PAYLOAD_TOO_LARGE", `The body holds more than ${maxValues} values`, {
      limitValues: maxValues,
    });
  }
  // The parser's own message would quote the body.
  throw malformed(parsed.fault === "not UTF-8" ? "Must be UTF-8" : "Must be JSON");
}

/** As `readJson`, for what needs no body: an empty one is `{}`. */
export async function readJsonOrEmpty(
  c: ApiContext,
  maxBytes: number,
  expected?: Expected,
): Promise<unknown> {
  const body = await readJson(c, maxBytes, expected);
  return body === undefined ? {} : body;
}

/**
 * `all`: what others of its kind hold together with it.
 * @throws QueueError VALIDATION, PAYLOAD_TOO_LARGE, LIMIT_REACHED
 */
export async function readBody(c: ApiContext, maxBytes: number, all?: Unfinished): Promise<Buffer> {
  const { incoming } = c.env;
  const announced = Number(incoming.headers["content-length"] ?? 0);
  if (announced > maxBytes) throw tooLarge(maxBytes);
  // A short body comes in one packet with the headers, which are told first: it needs nobody to listen for it.
  await Promise.resolve();
  if (announced > 0 && announced === incoming.readableLength) {
    const bytes = incoming.read() as Buffer;
    incoming.resume();
    return bytes;
  }
  return await new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let length = 0;
    const refuse = (error: QueueError): void => {
      // What else comes is for nobody to keep.
      incoming.off("data", onData).pause();
      chunks = [];
      reject(error);
    };
    const holder = { giveUp: () => refuse(tooMany()) };
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      chunks.push(chunk);
      all?.holds(holder, length > maxBytes ? 0 : length);
      if (length > maxBytes) refuse(tooLarge(maxBytes));
    };
    const onEnd = (): void => {
      all?.holds(holder, 0);
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
    };
    // Nobody is left to read the answer.
    const onCut = (): void => {
      all?.holds(holder, 0);
      if (!incoming.readableEnded) reject(malformed("Ends before its time"));
    };
    incoming.on("data", onData).on("end", onEnd).on("error", onCut).on("close", onCut);
    if (incoming.readableEnded) onEnd();
    else if (incoming.destroyed) onCut();
  });
}

function malformed(message: string): QueueError {
  return new QueueError("VALIDATION", `The body is malformed: ${message}`, {
    errors: [{ field: "body", message }],
  });
}

function tooMany(): QueueError {
  return new QueueError("LIMIT_REACHED", "Too much is being sent at once: try again later");
}

function tooLarge(maxBytes: number): QueueError {
  return new QueueError("PAYLOAD_TOO_LARGE", `The body is larger than ${maxBytes} bytes`, {
    limitBytes: maxBytes,
  });
}
