import { Readable } from "node:stream";
import type { JobQueue, Payload } from "@jobyard/core";
import type { ApiContext } from "./dialect.ts";

/**
 * An answer of JSON text in parts. Payloads go through as the text that they are; those that lie in files, which can be
 * 100 MB each, piece by piece.
 *
 * @throws QueueError UNAVAILABLE where a file cannot be read
 */
export async function answerSpliced(
  c: ApiContext,
  { payloads }: JobQueue,
  parts: readonly Payload[],
): Promise<Response> {
  const type = { "Content-Type": "application/json" };
  if (parts.every((part) => typeof part === "string")) return c.body(parts.join(""), 200, type);
  const pieces: (Uint8Array | AsyncIterable<Uint8Array>)[] = [];
  let length = 0;
  for (const part of parts) {
    if (typeof part === "string") {
      const piece = Buffer.from(part);
      pieces.push(piece);
      length += piece.length;
    } else {
      pieces.push(await payloads.stream(part));
      length += part.bytes;
    }
  }
  const headers = { ...type, "Content-Length": String(length) };
  // Nobody would read, nor close, what was opened.
  if (c.req.method === "HEAD") return c.body(null, 200, headers);
  const body = Readable.from(
    (async function* () {
      for (const piece of pieces) {
        if (piece instanceof Uint8Array) yield piece;
        else yield* piece;
      }
    })(),
  );
  return c.body(Readable.toWeb(body) as ReadableStream, 200, headers);
}
