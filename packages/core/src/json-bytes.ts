/** What is wrong with bytes that are not the JSON that was hoped for. */
export type JsonFault = "not UTF-8" | "not JSON" | "too many values";

export type Parsed = { readonly value: unknown } | { readonly fault: JsonFault };

export interface ParseTask {
  readonly bytes: Uint8Array;
  /** Parsing many small values would take minutes and gigabytes. */
  readonly maxValues: number;
  /** A field of the value whose text is wanted as well. */
  readonly keepTextOf: string | undefined;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

export function parseBytes(bytes: Uint8Array, maxValues: number): Parsed {
  if (maxValues < bytes.length && countsMoreThan(bytes, maxValues)) {
    return { fault: "too many values" };
  }
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return { fault: "not UTF-8" };
  }
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return { fault: "not JSON" };
  }
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
/** Each value but the first follows one of these: , : [ { */
const STARTERS = new Set([0x2c, 0x3a, 0x5b, 0x7b]);

function countsMoreThan(json: Uint8Array, most: number): boolean {
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
function endOfString(json: Uint8Array, from: number): number {
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
