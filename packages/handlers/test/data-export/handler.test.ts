import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatUuid } from "@jobyard/core";
import readExcelFile from "read-excel-file/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dataExportHandler } from "../../src/data-export/handler.ts";
import { isFormula } from "../../src/data-export/formula.ts";
import { fileProcessingHandler } from "../../src/file-processing/handler.ts";
import { Bench, DATASET } from "../tabular/job-run.ts";

let bench: Bench;

beforeAll(async () => {
  bench = await Bench.open();
});

afterAll(() => bench.close());

async function dataset(content: string, name = "source.csv"): Promise<void> {
  await bench.write(name, content);
  await bench.run(fileProcessingHandler, { filePath: name, datasetId: DATASET });
}

async function exported(data: object, deps: object = {}) {
  const job = { datasetId: DATASET, format: "csv", ...data };
  const result = await bench.run(dataExportHandler, job, { deps });
  const { name } = result["file"] as { name: string };
  const path = bench.files.of("acme").resultPath(7, name);
  return { result, path, text: name.endsWith("xlsx") ? "" : await readFile(path, "utf8") };
}

const people =
  "id,name,day,at,active,sentiment,score\n" +
  '1,"Ann ""A"", Jr",2024-01-01,2024-01-01T10:00:00Z,true,positive,0.5\n' +
  "2,=1+1,2024-01-02,2024-01-02T10:00:00.250Z,false,negative,-0.5\n" +
  "3,,2024-01-03,,true,positive,1e10\n";

describe("a dataset", () => {
  it("is written as RFC 4180, formulas made inert", async () => {
    await dataset(people);
    const { result, text } = await exported({});
    expect(text).toBe(
      "id,name,day,at,active,sentiment,score\r\n" +
        '1,"Ann ""A"", Jr",2024-01-01,2024-01-01T10:00:00.000Z,true,positive,0.5\r\n' +
        "2,'=1+1,2024-01-02,2024-01-02T10:00:00.250Z,false,negative,-0.5\r\n" +
        "3,,2024-01-03,,true,positive,10000000000.0\r\n",
    );
    expect(result).toMatchObject({
      rowsWritten: 3,
      file: { name: "export.csv", size: Buffer.byteLength(text) },
    });
    expect(result["metadata"]).toBeUndefined();
  });

  it("is written as JSON with types, and metadata when asked", async () => {
    await dataset(people);
    const plain = await exported({ format: "json" });
    expect(JSON.parse(plain.text)).toHaveLength(3);
    const { result, text } = await exported({ format: "json", includeMetadata: true });
    const { records, metadata } = JSON.parse(text) as { records: object[]; metadata: object };
    expect(records[1]).toEqual({
      id: 2,
      name: "=1+1",
      day: "2024-01-02",
      at: "2024-01-02T10:00:00.250Z",
      active: false,
      sentiment: "negative",
      score: -0.5,
    });
    expect(metadata).toEqual(result["metadata"]);
    expect(metadata).toMatchObject({ source: "source.csv", totalRows: 3, rowsWritten: 3 });
  });

  it("is written as a workbook with typed cells", async () => {
    await dataset(people);
    const { path } = await exported({ format: "xlsx", includeMetadata: true });
    const sheets = await readExcelFile(path);
    expect(sheets.map(({ sheet }) => sheet)).toEqual(["Data", "Metadata"]);
    const rows = sheets[0]?.data;
    expect(rows?.[0]).toEqual(["id", "name", "day", "at", "active", "sentiment", "score"]);
    expect(rows?.[2]).toEqual([
      2,
      "=1+1",
      new Date("2024-01-02"),
      // Days as fractions: a millisecond may be lost.
      expect.any(Date),
      false,
      "negative",
      -0.5,
    ]);
  });

  it("is filtered by sentiment, dates and number", async () => {
    await dataset(people);
    const rows = async (filters: object) => (await exported({ filters })).result["rowsWritten"];
    expect(await rows({ sentiment: "positive" })).toBe(2);
    expect(await rows({ limit: 1 })).toBe(1);
    await dataset(
      "when,n\n2024-01-01T10:00:00Z,1\n2024-01-02T23:59:59Z,2\n2024-01-03T00:00:00Z,3\n",
    );
    const range = (start: string, end: string) => rows({ dateRange: { start, end } });
    expect(await range("2024-01-01", "2024-01-02")).toBe(2);
    expect(await range("2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z")).toBe(1);
    expect(await range("2024-01-03T01:00:00+02:00", "2024-01-03")).toBe(2);
  });

  it("says which filter does not fit", async () => {
    await dataset("a,b\n1,2\n");
    const failing = (filters: object) => exported({ filters }).catch((error: unknown) => error);
    expect(await failing({ sentiment: "positive" })).toMatchObject({
      code: "INVALID_DATA",
      dataFault: true,
      message: "filters.sentiment: the dataset has no column named sentiment",
    });
    expect(await failing({ dateRange: { start: "2024-01-01", end: "2024-01-01" } })).toMatchObject({
      message: "filters.dateRange: the dataset has no column of dates",
    });
    await dataset("x,y\n2024-01-01,2024-01-01\n");
    expect(await failing({ dateRange: { start: "2024-01-01", end: "2024-01-01" } })).toMatchObject({
      message: "filters.dateRange: which column is meant? There are x, y; none is named date",
    });
  });

  it("must be there, and the tenant's own", async () => {
    const other = "00000000-0000-4000-8000-000000000000";
    await bench.files.of("other").writeDataset(other, (path) => writeFile(path, "PAR1"));
    await expect(exported({ datasetId: other })).rejects.toMatchObject({
      code: "DATASET_NOT_FOUND",
      dataFault: true,
    });
  });

  it("leaves one file however often it is tried", async () => {
    await dataset(people);
    await exported({});
    await exported({});
    const results = join(bench.files.of("acme").resultPath(7, "export.csv"), "..");
    expect((await readdir(results)).filter((name) => name.endsWith("csv"))).toEqual(["export.csv"]);
    expect(await readdir(bench.path(".jobyard/tmp"))).toEqual([]);
  });

  it("refuses a text that no cell holds, by its place", async () => {
    await dataset(`a,b\n1,${"x".repeat(40_000)}\n`);
    await expect(exported({ format: "xlsx" })).rejects.toMatchObject({
      code: "CELL_TOO_LONG",
      dataFault: true,
      message: expect.stringContaining("row 2 of the sheet, b: 40000 characters"),
    });
  });

  it("keeps control characters and markup in a workbook", async () => {
    await dataset(`${JSON.stringify({ a: "<b>&\u0007 _x0041_", n: 12_345_678 })}\n`, "c.ndjson");
    const { path } = await exported({ format: "xlsx" });
    const [sheet] = await readExcelFile(path);
    expect(sheet?.data[1]?.[1]).toBe(12_345_678);
    expect(String(sheet?.data[1]?.[0])).toContain("<b>&");
  });
});

describe("a sentiment job's results", () => {
  it("are exported by the job's UUID", async () => {
    const result = JSON.stringify({
      totalProcessed: 2,
      results: [
        { text: 'good, "very" ["results":[', sentiment: "positive", score: 0.8, keywords: ["a"] },
        { text: "bad", sentiment: "negative", score: -0.8, error: null },
      ],
      summary: { successful: 2, results: [{ text: "not this" }] },
    });
    const asked: unknown[] = [];
    const deps = {
      jobResult: async (tenant: string, id: number) => {
        asked.push(tenant, id);
        return Buffer.from(result);
      },
    };
    const { text } = await exported({ datasetId: formatUuid(42) }, deps);
    expect(asked).toEqual(["acme", 42]);
    expect(text).toBe(
      "text,sentiment,score,keywords\r\n" +
        '"good, ""very"" [""results"":[",positive,0.8,"[""a""]"\r\n' +
        "bad,negative,-0.8,\r\n",
    );
    const filters = { sentiment: "negative" };
    const some = await exported({ datasetId: formatUuid(42), filters }, deps);
    expect(some.result["rowsWritten"]).toBe(1);
  });

  it("must be there and be results", async () => {
    const failing = (answer: string | null) =>
      exported(
        { datasetId: formatUuid(42) },
        {
          jobResult: async () => (answer === null ? null : Buffer.from(answer)),
        },
      ).catch((error: unknown) => error);
    expect(await failing(null)).toMatchObject({ code: "DATASET_NOT_FOUND", dataFault: true });
    expect(await failing('{"passed":true}')).toMatchObject({
      code: "DATASET_NOT_FOUND",
      dataFault: true,
    });
  });
});

describe("formulas", () => {
  it.each([
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    " =1",
    "＝1+1",
    "+1 555-0100",
  ])("%j is one", (text) => expect(isFormula(text)).toBe(true));
  it.each(["-5", "+3.5", "-1e10", "a=b", "", "name@example.com", "5-3", "-12,5%"])(
    "%j is none",
    (text) => expect(isFormula(text)).toBe(false),
  );
});
