import { readFile } from "node:fs/promises";
import { DuckDBInstance } from "@duckdb/node-api";
import fc from "fast-check";
import readExcelFile from "read-excel-file/node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { dataValidationHandler } from "../../src/data-validation/handler.ts";
import { scale } from "../../src/report-generation/chart.ts";
import { neutral } from "../../src/report-generation/csv.ts";
import { reportGenerationHandler } from "../../src/report-generation/handler.ts";
import { reportKinds } from "../../src/report-generation/kinds.ts";
import { chartOf, tabulate, withTotals } from "../../src/report-generation/tabulate.ts";
import type { FollowUp } from "../../src/handler-deps.ts";
import type { Storage } from "../../src/storage.ts";
import { expectFailure, newStorage, type Run, runHandler, TENANT } from "../run-handler.ts";

let files: Storage;

beforeEach(async () => {
  files = await newStorage();
});
afterEach(() => files.close());

async function make(data: object, jobId = 7): Promise<Run & { bytes: Buffer }> {
  const run = await runHandler(reportGenerationHandler({ files }), data, { jobId });
  const { name } = run.result["file"] as { name: string };
  const bytes = await readFile(files.of(TENANT).resultPath(jobId, name));
  return { ...run, bytes };
}

const rows = [
  { date: "2026-01-01", wellId: "W-1", oil: 10, gas: 5.5, passed: true, note: "=1+1" },
  { date: "2026-01-02", wellId: "W-2", oil: 20, gas: null, passed: false, note: 'a "b", c\r\nd' },
];
const wellflow = { organizationId: "org", reportType: "production_summary", includeCharts: true };
const pagesIn = (pdf: Buffer) =>
  Number(/\/Type \/Pages\n?[^>]*\/Count (\d+)/.exec(pdf.toString("latin1"))?.[1]);

describe.each(Object.keys(reportKinds))("%s", (reportType) => {
  it.each([
    ["pdf", "en"],
    ["excel", "es"],
    ["csv", "en"],
  ])("as %s in %s", async (format, language) => {
    const data = { organizationId: "org", reportType, format, rows, includeCharts: true };
    const { result, bytes } = await make({ ...data, options: { language, includeTerms: true } });
    expect(result).toMatchObject({ reportId: "report-7", rows: 2, sentTo: [] });
    const magic = { pdf: "%PDF-", excel: "PK\x03\x04", csv: "" }[format]!;
    expect(bytes.toString("latin1", 0, magic.length)).toBe(magic);
    expect((result["file"] as { size: number }).size).toBe(bytes.length);
  });
});

describe("CSV", () => {
  it("is RFC 4180, with formulas neutralised and figures left alone", async () => {
    const { bytes } = await make({ ...wellflow, format: "csv", rows });
    expect(bytes.toString()).toBe(
      [
        "wellId,date,oil,gas,passed,note",
        "W-1,2026-01-01,10,5.5,true,'=1+1",
        'W-2,2026-01-02,20,,false,"a ""b"", c\r\nd"',
        "",
      ].join("\r\n"),
    );
  });

  it.each([
    ["=1+1", "'=1+1"],
    ["+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"],
    ["-2+3", "'-2+3"],
    ["@SUM(1)", "'@SUM(1)"],
    ["\t=1", "'\t=1"],
    [" \u200b=1", "' \u200b=1"],
    ["＝1", "'＝1"],
    ["-5", "-5"],
    ["+1.5e3", "+1.5e3"],
    ["a=b", "a=b"],
    ["", ""],
  ])("%j becomes %j", (text, expected) => {
    expect(neutral(text)).toBe(expected);
  });

  it("neutralises the header too", async () => {
    const { bytes } = await make({ ...wellflow, format: "csv", rows: [{ "=1+1": "x" }] });
    expect(bytes.toString()).toBe("'=1+1\r\nx\r\n");
  });
});

describe("XLSX", () => {
  it("has typed cells, widths, a frozen header and the charts", async () => {
    const { bytes } = await make({ ...wellflow, format: "excel", rows });
    const [data, summary] = await readExcelFile(bytes);
    expect(data!.data).toEqual([
      ["Well", "Date", "Oil (bbl)", "Gas (Mcf)", "Passed", "Note"],
      ["W-1", new Date("2026-01-01"), 10, 5.5, true, "=1+1"],
      ["W-2", new Date("2026-01-02"), 20, null, false, 'a "b", c\r\nd'],
      ["Total", null, 30, 5.5, null, null],
    ]);
    expect(summary!.data[0]![0]).toBe("Production summary");
    const names = bytes.toString("latin1");
    expect(names).toContain("xl/media/");
    expect(names).toContain("xl/drawings/");
  });

  it("leaves out what XML cannot hold", async () => {
    const { bytes } = await make({
      ...wellflow,
      format: "excel",
      rows: [{ a: "x\u0000\u0008\uFFFEy\uD800<&>" }],
    });
    const [data] = await readExcelFile(bytes);
    expect(data!.data[1]).toEqual(["xy<&>"]);
  });
});

describe("PDF", () => {
  it("goes on over pages, and numbers them", async () => {
    const many = Array.from({ length: 300 }, (_, i) => ({ item: `Item ${i}`, total: i }));
    const { result, bytes } = await make({ reportType: "invoice", format: "pdf", rows: many });
    expect(result["pages"]).toBe(pagesIn(bytes));
    expect(result["pages"]).toBeGreaterThan(5);
  });

  it("has fewer pages where the items are not wanted", async () => {
    const many = Array.from({ length: 300 }, (_, i) => ({ item: `Item ${i}`, total: i }));
    const data = { reportType: "invoice", format: "pdf", rows: many };
    const { result } = await make({ ...data, options: { includeItemDetails: false } });
    expect(result["pages"]).toBe(1);
  });

  it("survives long words, many columns, other scripts and empty rows", async () => {
    const wide = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`c${i}`, i * 1e9]));
    const odd = [
      { a: "x".repeat(100_000) },
      {},
      { a: "日本語 🎉\u0000\n\n", ...wide },
      { "": [{}] },
    ];
    const { result } = await make({
      reportType: "analytics",
      format: "pdf",
      rows: odd,
      includeCharts: true,
    });
    expect(result["pages"]).toBeGreaterThan(1);
  });

  it("of no rows says so", async () => {
    const { result } = await make({ reportType: "analytics", format: "pdf", rows: [] });
    expect(result).toMatchObject({ pages: 1, rows: 0 });
  });
});

describe("without rows", () => {
  async function validated(jobId: number, fields: object): Promise<void> {
    const data = {
      wellId: "W-1",
      leaseId: "L-1",
      validationType: "monthly_summary",
      production: { oil: 100, gas: 600, water: 50, daysOn: 30 },
      ...fields,
    };
    await runHandler(dataValidationHandler({ files }), data, { jobId });
  }
  const january = { startDate: "2026-01-01", endDate: "2026-01-31" };

  it("a compliance report is over the tenant's validations", async () => {
    await validated(1, {});
    await validated(2, { wellId: "W-2", production: { oil: -1, gas: 0, water: 0 } });
    await validated(3, { wellId: "W-3", organizationId: "somebody-else" });
    const data = { organizationId: "org", reportType: "compliance_weekly", format: "csv" };
    const { bytes, result } = await make(data);
    expect(result["rows"]).toBe(2);
    expect(bytes.toString()).toContain("oil of -1 bbl is negative");
    const { result: one } = await make({ ...data, wellIds: ["W-2"] });
    expect(one["rows"]).toBe(1);
    const { result: none } = await make({ ...data, dateRange: january });
    expect(none["rows"]).toBe(0);
  });

  it("production is summed by well, and counts in the month that it is of", async () => {
    await validated(1, { month: "2026-01" });
    await validated(2, { month: "2026-01", production: { oil: 110, gas: 600, water: 50 } });
    await validated(3, { month: "2026-02" });
    await validated(4, { month: "2026-01", wellId: "W-2" });
    const data = { organizationId: "org", reportType: "production_summary", format: "csv" };
    const { bytes } = await make({ ...data, reportPeriod: january });
    const [, first, second] = bytes.toString().split("\r\n");
    // The second validation of W-1's January takes the place of the first.
    expect(first).toMatch(/^W-1,L-1,1,0,110,600,50,210,/);
    expect(second).toMatch(/^W-2,L-1,1,30,100,600,50,200,/);
    const pr = await make({ ...data, reportType: "form_pr", reportPeriod: january });
    expect(pr.bytes.toString().split("\r\n")[1]).toBe("L-1,,2026-01,2,30,210,1200,100");
  });

  it("a quote is the calculated one", async () => {
    const tenant = files.of(TENANT);
    await tenant.putRecord("quotes", "Q-1", {
      quoteId: "Q-1",
      items: [
        { fileId: "f", quantity: 2, unitPrice: 5, totalPrice: 10, margin: 0.3, material: "PLA" },
      ],
      summary: { subtotal: 10, tax: 1.6, total: 11.6, currency: "MXN", validUntil: "2026-12-31" },
    });
    const data = { reportType: "quote", format: "csv", entityId: "Q-1" };
    expect((await make(data)).bytes.toString()).toBe(
      "fileId,material,quantity,unitPrice,totalPrice\r\nf,PLA,2,5,10\r\n",
    );
    const plain = { ...data, options: { includeTechnicalSpecs: false } };
    expect((await make(plain)).bytes.toString()).not.toContain("PLA");
    const list = await make({ reportType: "invoice", format: "csv" });
    expect(list.bytes.toString()).toContain(",Q-1,1,10,1.6,11.6,MXN,2026-12-31");
    const unknown = make({ ...data, entityId: "Q-2" });
    await expectFailure(unknown, { code: "ENTITY_NOT_FOUND", dataFault: true });
  });

  it("analytics counts what the tenant's jobs did", async () => {
    await validated(1, {});
    await make({ reportType: "quote", format: "csv" }, 8);
    const { bytes } = await make({ reportType: "analytics", format: "csv" }, 9);
    expect(bytes.toString()).toMatch(/^date,validations,quotes,reports\r\n[\d-]{10},1,0,1\r\n$/);
  });

  it("a joint interest billing has nothing to be about", async () => {
    const run = make({ organizationId: "org", reportType: "jib_statement", format: "pdf" });
    await expectFailure(run, { code: "NO_DATA", dataFault: true });
  });
});

describe("a dataset", () => {
  const datasetId = "6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b";

  it("is reported on with its types", async () => {
    const tenant = files.of(TENANT);
    await tenant.writeDataset(datasetId, async (path) => {
      const instance = await DuckDBInstance.create(":memory:");
      const connection = await instance.connect();
      const select =
        "SELECT 9007199254740991::BIGINT AS n, 1.25::DECIMAL(9,2) AS d, DATE '2026-01-02' AS day, TIMESTAMP '2026-01-02 03:04:05' AS at, true AS ok, 'x' AS t";
      await connection.run(`COPY (${select}) TO '${path}' (FORMAT parquet)`);
      connection.closeSync();
    });
    const { bytes } = await make({ reportType: "analytics", format: "csv", datasetId });
    expect(bytes.toString()).toBe(
      "n,d,day,at,ok,t\r\n9007199254740991,1.25,2026-01-02,2026-01-02T03:04:05.000Z,true,x\r\n",
    );
  });

  it("that is not there fails at once", async () => {
    const run = make({ reportType: "analytics", format: "csv", datasetId });
    await expectFailure(run, { code: "DATASET_NOT_FOUND", dataFault: true });
  });
});

describe("recipients", () => {
  it("get an e-mail job with the file attached", async () => {
    const queued: FollowUp[] = [];
    const enqueue = async (_tenant: string, job: FollowUp) => queued.push(job);
    const recipients = ["a@example.com", "b@example.com", "a@example.com"];
    const data = { ...wellflow, format: "csv", rows, recipients };
    const handler = reportGenerationHandler({ files, enqueue });
    const { result } = await runHandler(handler, data, { jobId: 7 });
    expect(result).toMatchObject({ sentTo: ["a@example.com", "b@example.com"], emailJobId: 1 });
    expect(queued).toMatchObject([
      {
        queue: "email-notifications",
        uniqueKey: "report-email-7",
        data: {
          recipientEmails: ["a@example.com", "b@example.com"],
          attachments: [{ resultOf: { jobId: 7, name: "production_summary.csv" } }],
        },
      },
    ]);
  });
});

it("stops when the job is cancelled", async () => {
  const many = Array.from({ length: 20_000 }, (_, i) => ({
    item: `Item ${i}`,
    note: `n ${i}`,
    total: i,
  }));
  const abort = new AbortController();
  const data = { reportType: "invoice", format: "pdf", rows: many };
  const run = runHandler(reportGenerationHandler({ files }), data, { signal: abort.signal });
  setTimeout(() => abort.abort(new Error("cancelled")), 300);
  await expect(run).rejects.toThrow("cancelled");
});

it("tables and charts of any rows can be made", () => {
  const json = fc.jsonValue({ maxDepth: 1 });
  fc.assert(
    fc.property(fc.array(fc.dictionary(fc.string(), json)), (rows) => {
      const table = withTotals(tabulate(rows, { language: "en" }), "en");
      chartOf(table, "x", "en");
      return table.rows.every((row) => row.length === table.columns.length);
    }),
  );
});

it("axes have few round figures around the values", () => {
  const figure = fc.integer({ min: -1e12, max: 1e12 }).map((cents) => cents / 100);
  fc.assert(
    fc.property(figure, figure, (a, b) => {
      const [least, greatest] = [Math.min(0, a, b), Math.max(0, a, b)];
      const { ticks, low, high } = scale(least, greatest);
      const around = greatest === least || (low <= least && high >= greatest);
      return around && ticks.length >= 2 && ticks.length <= 9;
    }),
  );
});
