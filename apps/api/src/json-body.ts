import { QueueError } from "@jobyard/core";
import type { ApiContext } from "./dialect.ts";

/**
 * The request's body as a JSON value, undefined when it is empty. Its bytes are counted as they come, whatever length
 * was announced, and never more than `maxBytes` are kept. A long body may hold `maxValues` values: parsing many small ones
 * would take minutes and gigabytes.
 * @throws QueueError VALIDATION, PAYLOAD_TOO_LARGE
 */
export async function readJson(
  c: ApiContext,
  maxBytes: number,
  maxValues = Infinity,
): Promise<unknown> {
  const bytes = await readBody(c, maxBytes);
  if (bytes.length === 0) return undefined;
  if (bytes.length > LONG_BODY && countsMoreThan(bytes, maxValues)) {
    throw new QueueError("PAYLOAD_TOO_LARGE", `The body holds more than ${maxValues} values`, {
      limitValues: maxValues,
    });
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw malformed("Must be UTF-8");
  }
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the body.
    throw malformed("Must be JSON");
  }
}

async function readBody(c: ApiContext, maxBytes: number): Promise<Buffer> {
  const { incoming } = c.env;
  if (Number(incoming.headers["content-length"] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > maxBytes) return settle(() => reject(tooLarge(maxBytes)));
      chunks.push(chunk);
    };
    const onEnd = (): void => settle(() => resolve(Buffer.concat(chunks, length)));
    // Nobody is left to read the answer.
    const onCut = (): void => settle(() => reject(malformed("Ends before its time")));
    const settle = (then: () => void): void => {
      incoming.off("data", onData).off("end", onEnd).off("error", onCut).off("close", onCut);
      incoming.pause();
      then();
    };
    incoming.on("data", onData).on("end", onEnd).on("error", onCut).on("close", onCut);
    if (incoming.readableEnded) onEnd();
    else if (incoming.destroyed) onCut();
  });
}

/** Bytes from which on the number of values is looked at. */
const LONG_BODY = 2_000_000;

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
/** Each value but the first follows one of these: , : [ { */
const STARTERS = new Set([0x2c, 0x3a, 0x5b, 0x7b]);

function countsMoreThan(json: Buffer, most: number): boolean {
  let count = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at] as number;
    if (byte === QUOTE) {
      at = endOfString(json, at + 1);
    } else if (STARTERS.has(byte) && ++count > most) {
      return true;
    }
  }
  return false;
}

/** The place of the quote that ends the string that begins at `from`. */
function endOfString(json: Buffer, from: number): number {
  let end = from;
  for (;;) {
    end = json.indexOf(QUOTE, end);
    if (end === -1) return json.length;
    let escapes = 0;
    while (json[end - 1 - escapes] === BACKSLASH) escapes++;
    // An even number of them escapes itself.
    if (escapes % 2 === 0) return end;
    end++;
  }
}

function malformed(message: string): QueueError {
  return new QueueError("VALIDATION", `The body is malformed: ${message}`, {
    errors: [{ field: "body", message }],
  });
}

function tooLarge(maxBytes: number): QueueError {
  return new QueueError("PAYLOAD_TOO_LARGE", `The body is larger than ${maxBytes} bytes`, {
    limitBytes: maxBytes,
  });
}
