import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { knownText, parseJson, piecesOf } from "../src/long-json.ts";
import { PayloadFiles } from "../src/payload-files.ts";

let folder: string;
let payloads: PayloadFiles;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "payloads-"));
  payloads = new PayloadFiles(folder);
});

afterEach(() => rm(folder, { recursive: true }));

const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));
const long = {
  type: "t",
  data: { texts: Array.from({ length: 300 }, (_, i) => `${i} ü😀"\\`.repeat(900)) },
};

test("long JSON is parsed off the event loop, and known by its text", async () => {
  const parsed = await parseJson(bytesOf(long), { keepTextOf: "data", maxValues: 1000 });
  expect(parsed).toEqual({ value: long });
  const { data } = (parsed as { value: typeof long }).value;
  expect(JSON.parse(Buffer.from(knownText(data)!).toString())).toEqual(long.data);
  expect(knownText(long.data)).toBeUndefined();
});

test("a part of a larger buffer stays the caller's", async () => {
  const bytes = bytesOf(long);
  const larger = Buffer.concat([Buffer.from("xx"), bytes]);
  expect(await parseJson(larger.subarray(2))).toEqual({ value: long });
  expect(larger.subarray(0, 2).toString()).toBe("xx");
});

test.each([
  ["short and cut off", "[1", "not JSON"],
  ["cut off", `["${"x".repeat(2_000_000)}"`, "not JSON"],
  ["in another encoding", `["${"x".repeat(2_000_000)}\xff"]`, "not UTF-8"],
  ["of many numbers", `[${"1,".repeat(1_000_000)}1]`, "too many values"],
  ["with many escaped quotes", `["${'\\"'.repeat(1e6)}"${",1".repeat(2000)}]`, "too many values"],
])("what is %s is refused", async (_, text, fault) => {
  expect(await parseJson(Buffer.from(text, "latin1"), { maxValues: 1000 })).toEqual({ fault });
});

test("several at once are all parsed", async () => {
  const all = await Promise.all(
    [1, 2, 3, 4, 5].map(async (n) => parseJson(bytesOf({ ...long, n }))),
  );
  expect(all.map((parsed) => (parsed as { value: { n: number } }).value.n)).toEqual([
    1, 2, 3, 4, 5,
  ]);
});

test("the event loop goes on meanwhile", async () => {
  const value = {
    data: { texts: Array.from({ length: 2000 }, () => "a word of some length ".repeat(450)) },
  };
  const bytes = bytesOf(value);
  let turns = 0;
  const count = setInterval(() => turns++, 1);
  await parseJson(bytes, { keepTextOf: "data" });
  clearInterval(count);
  expect(turns).toBeGreaterThan(5);
});

test("pieces make the text that JSON.stringify makes, whatever the value", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 3 }), (value, depth) => {
      // Long enough for pieces at any depth.
      let deep: unknown = {
        value,
        text: "é".repeat(600_000),
        none: undefined,
        more: [value, undefined],
      };
      for (let i = 0; i < depth; i++)
        deep = i % 2 === 0 ? [deep, value] : { [`k${i}`]: deep, value };
      expect([...piecesOf(deep)].join("")).toBe(JSON.stringify(deep));
    }),
    { numRuns: 50 },
  );
  for (const value of [[], {}, [[], {}], "x".repeat(700_000), { a: undefined }, null]) {
    expect([...piecesOf(value)].join("")).toBe(JSON.stringify(value));
  }
});

test("a long value is kept as a file, and read back", async () => {
  const kept = await payloads.keepValue(long, "result");
  const text = JSON.stringify(long);
  expect(kept).toEqual({ file: expect.any(String), bytes: Buffer.byteLength(text) });
  const [file] = await readdir(folder);
  expect(await readFile(join(folder, file!), "utf8")).toBe(text);
  expect(await payloads.readValue(kept)).toEqual(long);
  const pieces: Uint8Array[] = [];
  for await (const piece of await payloads.stream(kept as never)) pieces.push(piece);
  expect(Buffer.concat(pieces).toString()).toBe(text);
});

test("a short value is kept as text, and what is no JSON is refused", async () => {
  expect(await payloads.keepValue({ a: 1 }, "result")).toBe('{"a":1}');
  const refused = (value: unknown) =>
    expect(payloads.keepValue(value, "result")).rejects.toMatchObject({ code: "VALIDATION" });
  await refused({ texts: long.data.texts, n: Number.NaN });
  await refused({ n: Number.NaN });
  await refused(undefined);
  expect(await readdir(folder)).toEqual([]);
});
