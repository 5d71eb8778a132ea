/** Is in everything that is sent as text; must never be in the log. */
export const MARKER = "payload-of-nobodys-business";

/** JSON text as it goes over the wire; what no JSON value can stand for is spliced in. */
const RAW = "raw-json-goes-here";

const deep = `${"[".repeat(150)}${"]".repeat(150)}`;

const wrongValues: readonly (readonly [label: string, json: string])[] = [
  ["null", "null"],
  ["true", "true"],
  ["0", "0"],
  ["-1", "-1"],
  ["a fraction", "1.5"],
  ["a huge number", "1e21"],
  ["beyond precision", "9007199254740993"],
  ["1e999", "1e999"],
  ["an empty text", '""'],
  ["a text", JSON.stringify(MARKER)],
  ["a long text", JSON.stringify(`${MARKER} `.repeat(50))],
  ["a NUL", JSON.stringify(`\u0000${MARKER}`)],
  ["half a surrogate", `"\\ud800${MARKER}"`],
  ["__proto__", '"__proto__"'],
  ["an empty list", "[]"],
  ["a list of null", "[null]"],
  ["an empty object", "{}"],
  ["a poisoned object", '{"__proto__":{"admin":true}}'],
  ["a constructor", '{"constructor":{"prototype":{"admin":true}}}'],
  ["depth", deep],
];

export interface Body {
  readonly label: string;
  readonly body: string | Uint8Array;
}

/** Whatever the call: no JSON, or none of an object's. */
export const malformed: readonly Body[] = [
  { label: "nothing", body: "" },
  { label: "half a body", body: `{"a": "${MARKER}` },
  { label: "two bodies", body: "{}{}" },
  { label: "a comma too much", body: '{"a":1,}' },
  { label: "NaN", body: '{"a":NaN}' },
  { label: "a comment", body: "/* */{}" },
  { label: "no JSON at all", body: `<a>${MARKER}</a>` },
  { label: "bad UTF-8", body: new Uint8Array([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]) },
  { label: "UTF-16", body: Buffer.from('{"a":1}', "utf16le") },
  { label: "depth without end", body: "[".repeat(200_000) },
];

/** Each part of a good body replaced by what is wrong there, or left out. */
export function* broken(example: unknown): Generator<Body> {
  for (const [label, json] of wrongValues) yield { label: `${label} as the body`, body: json };
  for (const path of pathsOf(example)) {
    const where = path.join(".");
    for (const [label, json] of wrongValues) {
      const text = JSON.stringify(changed(example, path, RAW));
      yield { label: `${label} as ${where}`, body: text.replace(`"${RAW}"`, () => json) };
    }
    yield { label: `no ${where}`, body: JSON.stringify(changed(example, path, undefined)) };
    const poisoned = JSON.stringify(changed(example, [...path.slice(0, -1), RAW], 1));
    yield { label: `__proto__ beside ${where}`, body: poisoned.replace(RAW, "__proto__") };
  }
}

/** What no JSON value should hold, in a field that nobody asked for: beside each part of a good body, at every level. */
export function* smuggled(example: unknown): Generator<Body> {
  for (const path of [[], ...pathsOf(example)]) {
    const beside = [...path, "nobodysField"];
    const whole = path.reduce<unknown>((value, key) => (value as never)[key], example);
    if (typeof whole !== "object" || whole === null || Array.isArray(whole)) continue;
    const text = JSON.stringify(changed(example, beside, RAW));
    for (const [label, json] of [
      ["1e999", "1e999"],
      ["-1e999 in a list", "[1,[-1e999]]"],
      ["a poisoned object", '{"__proto__":{"admin":true}}'],
      ["an escaped poison", '[{"_\\u005fproto__":null}]'],
      ["depth", deep],
    ] as const) {
      yield {
        label: `${label} in ${beside.join(".")}`,
        body: text.replace(`"${RAW}"`, () => json),
      };
    }
  }
}

type Path = readonly (string | number)[];

function* pathsOf(value: unknown, path: Path = []): Generator<Path> {
  if (path.length > 0) yield path;
  if (typeof value !== "object" || value === null) return;
  // One of a list stands for all.
  const parts = Array.isArray(value) ? value.slice(0, 1).entries() : Object.entries(value);
  for (const [key, part] of parts) yield* pathsOf(part, [...path, key]);
}

function changed(value: unknown, [key, ...rest]: Path, to: unknown): unknown {
  if (key === undefined) return to;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<
    string | number,
    unknown
  >;
  copy[key] = rest.length === 0 ? to : changed(copy[key], rest, to);
  return copy;
}
