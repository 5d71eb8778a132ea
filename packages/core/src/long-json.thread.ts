import { parentPort, workerData } from "node:worker_threads";
import { parseBytes, type ParseTask, type Parsed } from "./json-bytes.ts";

const { bytes, maxValues, keepTextOf } = workerData as ParseTask;
const parsed = parseBytes(bytes, maxValues);
const own = "value" in parsed ? fieldOf(parsed.value, keepTextOf) : undefined;
// Again as text, since the bytes hold more than this field.
const text = own === undefined ? undefined : new TextEncoder().encode(JSON.stringify(own));
const answer: { parsed: Parsed; text: Uint8Array | undefined } = { parsed, text };
parentPort?.postMessage(answer, text === undefined ? [] : [text.buffer]);

function fieldOf(value: unknown, name: string | undefined): object | undefined {
  if (name === undefined || typeof value !== "object" || value === null) return undefined;
  const field: unknown = Object.hasOwn(value, name) ? (value as never)[name] : undefined;
  return typeof field === "object" && field !== null ? field : undefined;
}
