import { readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileProcessingHandler } from "../../src/file-processing/handler.ts";
import { Bench, DATASET } from "../tabular/job-run.ts";
import { writeWorkbook } from "../tabular/workbook.ts";

let bench: Bench;

beforeAll(async () => {
  bench = await Bench.open();
});

afterAll(() => bench.close());

async function parse(name: string, content?: string | Buffer, more: object = {}) {
  if (content !== undefined) await bench.write(name, content);
  return bench.run(fileProcessingHandler, { filePath: name, datasetId: DATASET, ...more });
}

/** `name: TYPE` of each column. */
function columnsOf(result: Record<string, unknown>): string[] {
  const columns = result["columns"] as { name: string; type: string }[];
  return columns.map(({ name, type }) => `${name}: ${type}`);
}

describe("tables of all kinds", () => {
  it("types a CSV's columns without changing a value", async () => {
    const result = await parse(
      "types.csv",
      "id,price,day,moment,code,flag,us,text\n" +
        "1,1.50,2024-01-31,2024-01-31 10:00:00,007,true,01/31/2024,-\n" +
        "-2,2,2024-02-01,2024-01-31T10:00:00+02:00,12,FALSE,02/01/2024,\n",
    );
    expect(columnsOf(result)).toEqual([
      "id: BIGINT",
      "price: DOUBLE",
      "day: DATE",
      "moment: TIMESTAMP",
      "code: VARCHAR",
      "flag: BOOLEAN",
      "us: DATE",
      "text: VARCHAR",
    ]);
    expect(result).toMatchObject({ rowCount: 2, rejectedRows: 0, datasetId: DATASET });
    const dataset = await readFile(bench.files.of("acme").datasetPath(DATASET));
    expect(dataset.toString("latin1", 0, 4)).toBe("PAR1");
  });

  it.each([
    ["semicolons.csv", "a;b\n1,5;x\n2,5;y\n", ["a: VARCHAR", "b: VARCHAR"]],
    ["tabs.tsv", 'a\tb\n1\t"x\ty"\n', ["a: BIGINT", "b: VARCHAR"]],
    ["pipes.txt", "a|b\n1|x\n", ["a: BIGINT", "b: VARCHAR"]],
    ["backslash.csv", 'id,note\n1,"say \\"hi\\""\n2,"x,y"\n', ["id: BIGINT", "note: VARCHAR"]],
    ["apostrophes.csv", "id,note\n1,'a,b'\n2,'c,d'\n", ["id: BIGINT", "note: VARCHAR"]],
    ["no-header.csv", "1,x\n2,y\n", ["column1: BIGINT", "column2: VARCHAR"]],
    ["twice.csv", "a,A,\nx,y,z\n", ["a: VARCHAR", "A_2: VARCHAR", "column3: VARCHAR"]],
    ["windows.csv", 'a,b\r\n1,"x\r\ny"\r\n2,z', ["a: BIGINT", "b: VARCHAR"]],
    ["mac.csv", "a,b\r1,x\r2,y\r", ["a: BIGINT", "b: VARCHAR"]],
    ["mixed.csv", "a,b\r\n1,x\n2,y\r\n", ["a: BIGINT", "b: VARCHAR"]],
  ])("reads %s", async (name, content, columns) => {
    const result = await parse(name, content);
    expect(columnsOf(result)).toEqual(columns);
    expect(result["rejectedRows"]).toBe(0);
  });

  it.each([
    ["UTF-8 with a mark", Buffer.from("\uFEFFname,n\nKöln,1\n"), "utf-8"],
    ["Windows-1252", Buffer.from("name,n\nK\xf6ln,1\n\x80uro,2\n", "latin1"), "windows-1252"],
    [
      "Windows-1252 after much ASCII",
      Buffer.from(`name,n\n${"x,1\n".repeat(80_000)}K\xf6ln,1\n`, "latin1"),
      "windows-1252",
    ],
    ["UTF-16", Buffer.from("\uFEFFname,n\nKöln,1\n", "utf16le"), "utf-16le"],
  ])("reads %s", async (name, content, encoding) => {
    const result = await parse(`${name.replaceAll(" ", "-")}.csv`, content, {
      processingType: "analyze",
    });
    expect(result).toMatchObject({ encoding, rejectedRows: 0 });
    expect(columnsOf(result)).toEqual(["name: VARCHAR", "n: BIGINT"]);
    const { name: statistics } = result["statistics"] as Record<
      string,
      { min: string; max: string }
    >;
    expect([statistics?.min, statistics?.max].join()).toMatch(/Köln|€uro/);
  });

  it.each([
    ["gzip", "a.csv.gz", gzipSync("a,b\n1,x\n")],
    ["zstd", "a.csv.zst", zstdCompressSync("a,b\n1,x\n")],
    ["gzip without its name", "packed.csv", gzipSync("a,b\n1,x\n")],
  ])("reads %s", async (_, name, content) => {
    expect(await parse(name, content)).toMatchObject({ rowCount: 1 });
  });

  it("reads JSON lines, nested values and long numbers as they are", async () => {
    const result = await parse(
      "a.ndjson",
      '{"a":1,"b":"x"}\n{"a":2.5,"c":{"d":[1]}}\n{bad}\n[1]\n\n{"a":3,"n":12345678901234567890}\n',
    );
    expect(columnsOf(result)).toEqual(["a: DOUBLE", "b: VARCHAR", "c: JSON", "n: VARCHAR"]);
    expect(result).toMatchObject({ rowCount: 3, rejectedRows: 2 });
    expect(result["rejected"]).toMatchObject([
      { line: 3 },
      { line: 4, reason: "is no JSON object" },
    ]);
  });

  it("reads a JSON document of records", async () => {
    const result = await parse(
      "a.json",
      '[\n {"id":1,"when":"2024-01-31T10:00:00Z","zip":"00123"},\n 5,\n {"id":2,,}\n]',
    );
    expect(columnsOf(result)).toEqual(["id: BIGINT", "when: TIMESTAMP", "zip: VARCHAR"]);
    expect(result).toMatchObject({ rowCount: 1, rejectedRows: 2 });
    expect(result["rejected"]).toMatchObject([{ line: 3 }, { line: 4 }]);
  });

  it("reads a workbook's shared texts, dates and formulas' values", async () => {
    await bench.write("x", "");
    await writeWorkbook(bench.path("a.xlsx"), {
      sheet:
        '<worksheet><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>when</t></is></c><c r="C1" t="str"><v>n</v></c></row>' +
        '<row r="3"><c r="A3" t="s"><v>1</v></c><c r="B3" s="1"><v>45322</v></c><c r="C3"><f>1+1</f><v>2.5</v></c></row><row r="4"><c r="C4"><v>3</v></c></row></sheetData></worksheet>',
      shared: "<si><t>name</t></si><si><r><t>A</t></r><r><t>nn &amp; B</t></r></si>",
    });
    const result = await parse("a.xlsx", undefined, { processingType: "analyze" });
    expect(columnsOf(result)).toEqual(["name: VARCHAR", "when: DATE", "n: DOUBLE"]);
    expect(result["statistics"]).toMatchObject({
      name: { min: "Ann & B", nulls: 1 },
      when: { min: "2024-01-31", max: "2024-01-31", count: 1 },
      n: { mean: 2.75, min: 2.5, max: 3 },
    });
  });

  it("reads Parquet", async () => {
    await parse("source.csv", "a,b\n1,x\n2,y\n");
    const dataset = await readFile(bench.files.of("acme").datasetPath(DATASET));
    const result = await parse("a.parquet", dataset);
    expect(columnsOf(result)).toEqual(["a: BIGINT", "b: VARCHAR"]);
    expect(result["rowCount"]).toBe(2);
  });
});

describe("analysis", () => {
  it("tells what each column holds", async () => {
    const rows = Array.from(
      { length: 1000 },
      (_, i) => `${i},${i % 3},${i % 4 === 0 ? "" : "word"}`,
    );
    const result = await parse("s.csv", `id,group,text\n${rows.join("\n")}\n`, {
      processingType: "analyze",
    });
    expect(result["statistics"]).toMatchObject({
      id: { type: "BIGINT", count: 1000, nulls: 0, distinct: 1000, min: 0, max: 999, mean: 499.5 },
      group: { distinct: 3, top: [{ value: "0", count: 334 }, { count: 333 }, { count: 333 }] },
      text: { count: 750, nulls: 250, distinct: 1, length: { min: 4, max: 4, mean: 4 } },
    });
    expect(Math.max(...bench.progress)).toBeLessThanOrEqual(100);
  });
});

describe("rows that cannot be taken", () => {
  it("are told with their lines, and nothing else is lost", async () => {
    const result = await parse(
      "ragged.csv",
      'a,b,c\n1,2,3\n4,5\n6,7,8,9\n\n10,"x\ny",12\n"z"q,1,2\n13,"never closed,15\n16,17,18\n',
    );
    expect(result["rejected"]).toEqual([
      { line: 3, reason: "has 2 columns, 3 are expected" },
      { line: 4, reason: "has 4 columns, 3 are expected" },
      { line: 8, reason: "text after a closing quote" },
      { line: 9, reason: "a quote is not closed" },
    ]);
    expect(result).toMatchObject({ rowCount: 3, rejectedRows: 4 });
    expect(columnsOf(result)).toEqual(["a: BIGINT", "b: VARCHAR", "c: BIGINT"]);
  });

  it("are all in a file where they are many", async () => {
    const result = await parse("many.csv", `a,b\n1,2\n${"x\n".repeat(500)}3,4\n`);
    expect(result).toMatchObject({ rowCount: 2, rejectedRows: 500 });
    expect(result["rejected"]).toHaveLength(100);
    expect(result["rejectedFile"]).toMatchObject({ name: "rejected-rows.ndjson" });
    const all = await readFile(
      bench.files.of("acme").resultPath(7, "rejected-rows.ndjson"),
      "utf8",
    );
    expect(all.trim().split("\n").at(-1)).toBe(
      '{"line":502,"reason":"has 1 columns, 2 are expected"}',
    );
  });

  it("are the broken ones of a UTF-8 text", async () => {
    const text = Buffer.concat([
      Buffer.from("name,n\nKöln,1\n"),
      Buffer.from("br\xffken,2\n", "latin1"),
      Buffer.from("Orléans,3\n"),
    ]);
    const result = await parse("broken-utf8.csv", text);
    expect(result).toMatchObject({ encoding: "utf-8", rowCount: 2 });
    expect(result["rejected"]).toEqual([{ line: 3, reason: "is not UTF-8" }]);
  });
});

describe("bad input", () => {
  it.each([
    ["an empty file", "empty.csv", "", "EMPTY_FILE", "empty.csv: is empty"],
    ["an empty archive", "e.csv.gz", gzipSync(""), "EMPTY_FILE", "holds nothing"],
    ["a binary", "b.csv", Buffer.alloc(9000, "\x00\x01\xfe"), "INVALID_FILE", "is binary data"],
    ["an image", "i.csv", Buffer.from("89504e470d0a1a0a00", "hex"), "INVALID_FILE", "PNG image"],
    [
      "an old workbook",
      "o.xlsx",
      Buffer.from("d0cf11e0a1b11ae100", "hex"),
      "INVALID_FILE",
      "old Office",
    ],
    [
      "a cut archive",
      "c.csv.gz",
      gzipSync("a,b\n".repeat(99)).subarray(0, 20),
      "INVALID_FILE",
      "gzip",
    ],
    ["a torn Parquet", "t.parquet", `PAR1${"x".repeat(99)}PAR1`, "INVALID_FILE", "t.parquet: "],
    ["brackets without end", "d.json", '[{"a":1},{"a":', "INVALID_FILE", "line 1: the file ends"],
    ["deep nesting", "n.json", "[".repeat(100_000), "INVALID_FILE", "nested over 100 deep"],
    [
      "a bare zip",
      "z.xlsx",
      Buffer.from(`504b0506${"00".repeat(18)}`, "hex"),
      "INVALID_FILE",
      "no .xlsx",
    ],
    [
      "a million columns",
      "m.csv",
      `${Array.from({ length: 1_000_000 }, (_, i) => `c${i}`).join(",")}\n`,
      "TOO_MANY_COLUMNS",
      "line 1 has",
    ],
    [
      "a record of a million fields",
      "m.ndjson",
      `{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":1`).join(",")}}\n`,
      "TOO_MANY_COLUMNS",
      "row 1",
    ],
    ["only bad rows", "r.csv", "a,b\n1\n2\n", "INVALID_FILE", "line 2 has 1 columns"],
  ])("refuses %s at once", async (_, name, content, code, message) => {
    await expect(parse(name, content)).rejects.toMatchObject({
      code,
      dataFault: true,
      message: expect.stringContaining(message),
    });
  });

  it("refuses a gzip bomb while it inflates", async () => {
    const bomb = gzipSync(Buffer.alloc(120_000_000, "1,2\n"), { level: 9 });
    await expect(parse("bomb.csv.gz", bomb)).rejects.toMatchObject({ code: "DECOMPRESSION_LIMIT" });
  });

  it("refuses a workbook that would inflate too far, and one that lies about it", async () => {
    await bench.write("x", "");
    await writeWorkbook(bench.path("bomb.xlsx"), { sheet: Buffer.alloc(150_000_000, "<row/>") });
    await expect(parse("bomb.xlsx")).rejects.toMatchObject({
      code: "DECOMPRESSION_LIMIT",
      dataFault: true,
    });
    const bytes = await readFile(bench.path("bomb.xlsx"));
    // The size in the directory's entry, 22 bytes before the name's end of its header.
    const header = bytes.lastIndexOf("xl/worksheets/sheet1.xml") - 46;
    bytes.writeUInt32LE(1000, header + 24);
    await writeFile(bench.path("liar.xlsx"), bytes);
    await expect(parse("liar.xlsx")).rejects.toMatchObject({
      code: "DECOMPRESSION_LIMIT",
      dataFault: true,
    });
  });

  it("expands no entities", async () => {
    await bench.write("x", "");
    const sheet =
      '<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet><sheetData><row><c t="str"><v>&a;</v></c></row></sheetData></worksheet>';
    await writeWorkbook(bench.path("entity.xlsx"), { sheet });
    await expect(parse("entity.xlsx")).rejects.toMatchObject({ code: "INVALID_FILE" });
  });

  it("loses one line to a quote that is never closed, however long the file", async () => {
    const result = await parse("endless.csv", `a,b,c\n1,2,3\n4,"${"x,y,z\n".repeat(1_500_000)}`);
    expect(result).toMatchObject({ rowCount: 1_500_000, rejectedRows: 1 });
    expect(result["rejected"]).toEqual([{ line: 3, reason: "a quote is not closed" }]);
  });

  it("bounds what quotes in every line cost", async () => {
    const parsing = parse("evil.csv", `a,b\n${'a","\n'.repeat(1_000_000)}`);
    await expect(parsing).rejects.toMatchObject({ code: "INVALID_FILE" });
  });

  it("rejects a line beyond all measure", async () => {
    const result = await parse("long.csv", `a,b\n1,${"x".repeat(20_000_000)}\n2,3\n`);
    expect(result).toMatchObject({ rowCount: 1, rejectedRows: 1 });
  });

  it("refuses paths out of the tenant's folder", async () => {
    await writeFile(join(bench.root, "secret.csv"), "a\n1\n");
    await symlink(join(bench.root, "secret.csv"), bench.path("link.csv"));
    await expect(parse("link.csv")).rejects.toMatchObject({ code: "FILE_REFUSED" });
    await expect(parse("none.csv")).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
  });

  it("stays within its memory or fails the job alone", async () => {
    await bench.write("memory.csv", "a,b\n1,2\n");
    const run = bench.run(
      fileProcessingHandler,
      { filePath: "memory.csv", datasetId: DATASET },
      { deps: { fileMemoryMb: 70 } },
    );
    await expect(run).rejects.toMatchObject({ code: "OUT_OF_MEMORY", dataFault: true });
  });

  it("stops within a moment of an abort and leaves nothing behind", async () => {
    await bench.write("slow.csv", `a,b\n${"1,x\n".repeat(3_000_000)}`);
    const abort = new AbortController();
    const reason = new Error("cancelled");
    const data = { filePath: "slow.csv", datasetId: DATASET };
    let aborted = Infinity;
    setTimeout(() => {
      aborted = performance.now();
      abort.abort(reason);
    }, 700);
    const run = bench.run(fileProcessingHandler, data, { signal: abort.signal });
    await expect(run).rejects.toBe(reason);
    expect(performance.now() - aborted).toBeLessThan(5000);
  });
});
