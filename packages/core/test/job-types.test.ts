import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineJobType, validationIssues } from "../src/job-types/job-type.ts";
import {
  isJobTypeName,
  jobTypeOf,
  jobTypes,
  jobTypesTaking,
  type JobTypeName,
} from "../src/job-types/index.ts";

const DATASET = "3f2b8c1e-9d4a-4b7c-8e21-5a6f7b8c9d0e";

function issues(queue: JobTypeName, data: unknown) {
  const { error } = jobTypes[queue].data.safeParse(data);
  return error ? validationIssues(error) : [];
}

function fields(queue: JobTypeName, data: unknown): string[] {
  return issues(queue, data).map(({ field }) => field);
}

/** A valid payload of each kind that the documents show, with values of our own. */
const payloads: readonly [JobTypeName, Record<string, unknown>][] = [
  [
    "data-validation",
    {
      wellId: "WELL-77",
      leaseId: "LEASE-4",
      operatorId: "OP-3",
      location: { latitude: 31.8, longitude: -101.4, county: "Glasscock", state: "TX" },
      production: { oil: 310.5, gas: 900, water: 12, daysOn: 30 },
      validationType: "production_data",
      includeHistorical: false,
      notifyOnFailure: true,
    },
  ],
  ["data-validation", { wellId: "W-1", leaseId: "L-1", validationType: "production_data" }],
  ["data-validation", { leaseId: "L-1", validationType: "ownership", owners: [{ share: 1 }] }],
  [
    "report-generation",
    {
      organizationId: "org-1",
      reportType: "compliance_weekly",
      includeCharts: true,
      format: "pdf",
      recipients: ["compliance@example.com"],
      reportPeriod: { startDate: "2026-01-01", endDate: "2026-01-31T23:59:59.999Z" },
    },
  ],
  ["report-generation", { tenantId: "t-1", reportType: "analytics", format: "pdf" }],
  [
    "report-generation",
    {
      reportType: "invoice",
      entityId: "inv-9",
      format: "csv",
      options: { includeTerms: true, language: "es" },
      rows: [{ item: "bracket", price: 3 }],
      datasetId: DATASET,
    },
  ],
  [
    "email-notifications",
    {
      tenantId: "t-1",
      type: "quote-expired",
      recipientEmail: "customer@example.com",
      templateData: { quoteNumber: "Q-9" },
      attachments: [
        { filename: "quote.pdf", filePath: "quotes/9.pdf" },
        { filename: "a.txt", content: { type: "Buffer", data: [104, 105] } },
      ],
    },
  ],
  [
    "email-notifications",
    { recipientEmails: ["a@example.com", "b@example.com"], alertType: "leak", message: "Look" },
  ],
  [
    "email-notifications",
    { recipientEmail: "a@example.com", subject: "Reminder", templateData: {} },
  ],
  [
    "file-analysis",
    {
      tenantId: "t-1",
      fileId: "f-1",
      fileUrl: "s3://parts/f-1.stl",
      fileName: "bracket.stl",
      fileType: "stl",
      analysisOptions: { performDfm: true, extractGeometry: true },
    },
  ],
  [
    "quote-calculation",
    {
      quoteId: "q-1",
      items: [
        { fileId: "f-1", quantity: 3, material: "PLA", process: "FFF", finishOptions: ["sanded"] },
        { fileId: "f-2", quantity: 1, material: "steel", process: "LASER_2D", finishOptions: {} },
      ],
      rushOrder: true,
      currency: "MXN",
    },
  ],
  ["sentiment_analysis_batch", { texts: ["Lovely", "Awful"], enablePIIMasking: true }],
  [
    "file_processing",
    { filePath: "uploads/2026-01/sales.csv", datasetId: DATASET, processingType: "analyze" },
  ],
  [
    "security_scan",
    {
      filePath: "/uploads/people.csv",
      datasetId: DATASET,
      scanType: "quick",
      complianceFramework: ["GDPR", "PCI-DSS"],
    },
  ],
  [
    "data_export",
    {
      datasetId: DATASET,
      format: "xlsx",
      filters: {
        sentiment: "negative",
        dateRange: { start: "2026-01-01", end: "2026-01-01" },
        limit: 10,
      },
      includeMetadata: true,
    },
  ],
  ["process_batch", { batchId: "b1", projectId: "p1" }],
  ["process_batch", { batchIds: ["b1", "b2"], projectId: "p1" }],
  ["reprocess_batch", { batchId: "b1", projectId: "p1" }],
  [
    "process_redo",
    {
      batchId: "b1",
      projectId: "p1",
      rowIndex: 0,
      redoColumnIds: ["total"],
      croppedImageIds: { total: "img_1" },
      sourceImageIds: { total: "img_2" },
    },
  ],
];

describe("payloads", () => {
  test.each(payloads)("%s takes %j", (queue, data) => {
    expect(issues(queue, data)).toEqual([]);
  });

  test.each(payloads)("%s keeps unknown fields and the tenant in %j", (queue, data) => {
    const sent = { ...data, correlationId: "c-1", metadata: { deep: [1] }, tenantId: "t-9" };
    expect(jobTypes[queue].data.parse(sent)).toMatchObject(sent);
    expect(fields(queue, { ...data, tenantId: 7 })).toEqual(["tenantId"]);
  });

  test.each(payloads)(
    "%s: every required field of %j is told by name when it is missing",
    (queue, data) => {
      const required = Object.keys(data).filter((field) => {
        const { [field]: _, ...rest } = data;
        return issues(queue, rest).length > 0;
      });
      for (const field of required) {
        const { [field]: _, ...rest } = data;
        const [issue, ...others] = issues(queue, rest);
        expect(others).toEqual([]);
        expect(issue?.message).toMatch(/^Required field missing/);
        expect(issue?.message).not.toContain("undefined");
      }
    },
  );

  test.each(Object.keys(jobTypes) as JobTypeName[])("%s refuses what is no object", (queue) => {
    for (const data of [undefined, null, "text", 7, [], [{}]]) {
      expect(fields(queue, data)).toEqual(["data"]);
    }
  });

  test("data without a queue find their type", () => {
    for (const [queue, data] of payloads) {
      const first = queue === "reprocess_batch" ? "process_batch" : queue;
      expect(jobTypesTaking(data)[0]?.name).toBe(first);
    }
    expect(jobTypesTaking({ hello: "world" })).toEqual([]);
    expect(jobTypesTaking(null)).toEqual([]);
  });
});

describe("rules", () => {
  test("data-validation: a well or a lease, finite numbers, known types", () => {
    expect(issues("data-validation", { validationType: "integrity" })).toEqual([
      { field: "wellId", message: "Required field missing: wellId or leaseId" },
    ]);
    expect(
      issues("data-validation", {
        wellId: "",
        location: { latitude: Number.POSITIVE_INFINITY, longitude: "x", county: "A" },
        production: { oil: 1, gas: Number.NaN, water: 2 },
        validationType: "guess",
      }),
    ).toEqual([
      { field: "wellId", message: "String must contain at least 1 character" },
      { field: "location.latitude", message: "Expected number, received Infinity" },
      { field: "location.longitude", message: "Expected number, received string" },
      { field: "location.state", message: "Required field missing" },
      { field: "production.gas", message: "Expected number, received NaN" },
      {
        field: "validationType",
        message: expect.stringContaining("one of production_data, daily"),
      },
    ]);
  });

  test("report-generation: only the fault at hand is told", () => {
    expect(
      issues("report-generation", { reportType: "monthly_compliance", format: "pdf" }),
    ).toEqual([
      {
        field: "organizationId",
        message: "Required field missing: a monthly_compliance report is about an organization",
      },
    ]);
    expect(issues("report-generation", { reportType: "poem", format: "docx" })).toEqual([
      { field: "reportType", message: expect.stringContaining("compliance_weekly") },
      { field: "format", message: "Must be one of pdf, excel, csv" },
    ]);
    const quote = { reportType: "quote", format: "pdf" };
    const reportPeriod = { startDate: "2026-02-01", endDate: "2026-01-31" };
    expect(issues("report-generation", { ...quote, reportPeriod })).toEqual([
      { field: "reportPeriod.endDate", message: "Must not be before startDate" },
    ]);
    for (const startDate of ["2026-02-30", "yesterday", "2026-1-1", 20260101]) {
      const dateRange = { startDate, endDate: "2026-03-01" };
      expect(fields("report-generation", { ...quote, dateRange })).toEqual(["dateRange.startDate"]);
    }
    expect(fields("report-generation", { ...quote, recipients: ["a@b.c", "a@b.c,d@e.f"] })).toEqual(
      ["recipients[1]"],
    );
  });

  test("email-notifications: by what was meant", () => {
    const note = { recipientEmail: "a@example.com", type: "note", message: "Hello" };
    expect(issues("email-notifications", note)).toEqual([]);
    expect(issues("email-notifications", { type: "quote-ready" })).toEqual([
      { field: "recipientEmail", message: "Required field missing" },
      { field: "templateData", message: "Required field missing" },
    ]);
    expect(issues("email-notifications", {})).toEqual([
      {
        field: "recipientEmails",
        message: "Required field missing: recipientEmails or recipientEmail",
      },
    ]);
    const mistyped = { type: "quote-redy", recipientEmail: "a@example.com", templateData: {} };
    expect(issues("email-notifications", mistyped)).toEqual([
      {
        field: "type",
        message: "Must be one of quote-ready, quote-accepted, quote-expired, order-shipped",
      },
    ]);
    expect(fields("email-notifications", { recipientEmails: [] })).toEqual(["recipientEmails"]);
    for (const address of [
      "a@b.c\r\nBcc: x@y.z",
      "a@b.c, d@e.f",
      "a@b@c",
      "<a@b.c>",
      "",
      " a@b.c",
    ]) {
      expect(fields("email-notifications", { recipientEmail: address })).toEqual([
        "recipientEmail",
      ]);
    }
    expect(issues("email-notifications", { recipientEmail: "żółć@пример.рф" })).toEqual([]);
    const attachments = [{ filename: "x" }, { filename: "y", content: 5 }];
    expect(issues("email-notifications", { recipientEmail: "a@b.c", attachments })).toEqual([
      {
        field: "attachments[0].content",
        message: "Required field missing: content or path or filePath or fileUrl or resultOf",
      },
      { field: "attachments[1].content", message: "Must be a string" },
    ]);
  });

  test("files: no way out of the tenant's folder, no other schemes", () => {
    const part = { fileId: "f", fileName: "a.stl", fileType: "stl" };
    for (const fileUrl of [
      "s3://bucket/tenant/part one.stl",
      "parts/a.stl",
      "/parts/a.stl",
      "file:parts/a.stl",
      "file:///parts/a.stl",
      "https://example.com/a.stl?sig=1",
    ]) {
      expect(issues("file-analysis", { ...part, fileUrl })).toEqual([]);
    }
    for (const fileUrl of [
      "../a.stl",
      "file:../../etc/passwd",
      "file:///a/%2e%2e/b",
      "ftp://example.com/a",
      "javascript:alert(1)",
      "s3://bucket",
      "s3:///key",
      "http://",
      "a b.stl",
      "a\u0000.stl",
      "",
    ]) {
      expect(fields("file-analysis", { ...part, fileUrl })).toEqual(["fileUrl"]);
    }
    for (const filePath of [
      "../x",
      "a/../../x",
      "..",
      "a/..",
      "a b",
      "a\\b",
      "a\n",
      "~/x",
      "ä",
      "",
    ]) {
      expect(fields("file_processing", { filePath, datasetId: DATASET })).toEqual(["filePath"]);
      expect(fields("security_scan", { filePath, datasetId: DATASET })).toEqual(["filePath"]);
    }
    expect(issues("file_processing", { filePath: "a..b/.../c", datasetId: DATASET })).toEqual([]);
  });

  test("datasets are UUIDs of any version, our own too", () => {
    const ours = "6a6f6279-6172-8640-8000-000000000001";
    const odd = "11111111-1111-1111-1111-111111111111";
    for (const datasetId of [ours, odd, DATASET.toUpperCase()]) {
      expect(issues("data_export", { datasetId, format: "csv" })).toEqual([]);
    }
    expect(issues("file_processing", { filePath: "a.csv", datasetId: "dataset-1" })).toEqual([
      { field: "datasetId", message: expect.stringMatching(/^Must be a UUID/) },
    ]);
  });

  test("quotes: whole quantities of known processes", () => {
    const item = { fileId: "f", quantity: 1, material: "PLA", process: "FFF" };
    expect(issues("quote-calculation", { quoteId: "q", items: [] })).toEqual([
      { field: "items", message: "Array must contain at least 1 item" },
    ]);
    expect(
      issues("quote-calculation", {
        quoteId: "q",
        items: [item, { ...item, quantity: 0 }, { ...item, quantity: 1.5, process: "cnc" }],
        currency: "dollars",
      }),
    ).toEqual([
      { field: "items[1].quantity", message: "Must be at least 1" },
      { field: "items[2].quantity", message: "Expected whole number, received number" },
      { field: "items[2].process", message: expect.stringContaining("CNC_3AXIS") },
      { field: "currency", message: expect.stringContaining("USD") },
    ]);
  });

  test("sentiment: 1 to 10,000 texts of 1 to 10,000 characters, quickly", () => {
    expect(issues("sentiment_analysis_batch", { texts: [] })).toEqual([
      { field: "texts", message: "Array must contain at least 1 item" },
    ]);
    expect(issues("sentiment_analysis_batch", { texts: "one" })).toEqual([
      { field: "texts", message: "Expected array, received string" },
    ]);
    const texts = Array.from({ length: 10_000 }, (_, index) => `text ${index}`);
    expect(issues("sentiment_analysis_batch", { texts: [...texts, "x"] })).toEqual([
      { field: "texts", message: "Array must contain at most 10000 items" },
    ]);
    expect(
      issues("sentiment_analysis_batch", { texts: ["ok", "", "x".repeat(10_001), 5] }),
    ).toEqual([
      { field: "texts[1]", message: "String must contain at least 1 character" },
      { field: "texts[2]", message: "String must contain at most 10000 characters" },
      { field: "texts[3]", message: "Expected string, received number" },
    ]);
    expect(issues("sentiment_analysis_batch", { texts: ["x".repeat(10_000)] })).toEqual([]);
    const { data } = jobTypes.sentiment_analysis_batch;
    data.parse({ texts });
    const rounds = 20;
    const before = process.cpuUsage();
    for (let round = 0; round < rounds; round++) data.parse({ texts });
    // Of the processor's time: what else the machine does is not counted.
    expect(process.cpuUsage(before).user / 1000 / rounds).toBeLessThan(20);
    const empty = issues("sentiment_analysis_batch", { texts: texts.map(() => "") });
    expect(empty).toHaveLength(101);
    expect(empty.at(-1)).toEqual({ field: "data", message: "and 9900 more fields" });
  });

  test("defaults are the handler's, not the producer's", () => {
    expect(jobTypes.sentiment_analysis_batch.data.parse({ texts: ["x"] })).toEqual({
      texts: ["x"],
      enablePIIMasking: true,
      language: "en",
    });
    expect(
      jobTypes.file_processing.data.parse({ filePath: "a.csv", datasetId: DATASET }),
    ).toMatchObject({ processingType: "parse", chunkSize: 268_435_456 });
    expect(
      jobTypes.security_scan.data.parse({ filePath: "a.csv", datasetId: "any" }),
    ).toMatchObject({ scanType: "full" });
  });

  test("batches: names that are safe as folders", () => {
    expect(issues("process_batch", { projectId: "p" })).toEqual([
      { field: "batchId", message: "Required field missing: batchId or batchIds" },
    ]);
    for (const batchId of ["..", ".", "a/b", "", "a b", 5]) {
      expect(fields("process_batch", { batchId, projectId: "p" })).toEqual(["batchId"]);
      expect(fields("process_batch", { batchIds: ["b", batchId], projectId: "p" })).toEqual([
        "batchIds[1]",
      ]);
    }
    const redo = { batchId: "b", projectId: "p", rowIndex: 0, redoColumnIds: ["c"] };
    expect(fields("process_redo", { ...redo, croppedImageIds: { c: "../i" } })).toEqual([
      "croppedImageIds.c",
    ]);
    expect(
      fields("process_redo", {
        ...redo,
        rowIndex: -1,
        redoColumnIds: [],
        croppedImageIds: { "a b": "" },
      }),
    ).toEqual(["rowIndex", "redoColumnIds", 'croppedImageIds["a b"]']);
  });
});

describe("the catalogue", () => {
  test("names are queue names", () => {
    for (const [queue, jobType] of Object.entries(jobTypes)) expect(jobType.name).toBe(queue);
    expect(Object.keys(jobTypes)).toHaveLength(12);
    expect(jobTypeOf("data_export")).toBe(jobTypes.data_export);
    for (const queue of ["emails", "constructor", "__proto__", "toString", ""]) {
      expect(jobTypeOf(queue)).toBeUndefined();
      expect(isJobTypeName(queue)).toBe(false);
    }
  });

  test("attempts, first backoff, timeout", () => {
    const table = Object.values(jobTypes).map(({ name, defaults }) => [
      name,
      defaults.attempts,
      defaults.backoffMs,
      defaults.timeoutMs,
      defaults.retryableErrors?.join(),
    ]);
    const minutes = 60_000;
    const transient = "NETWORK_ERROR,TEMPORARY_FAILURE";
    expect(table).toEqual([
      ["data-validation", 3, 2_000, minutes, undefined],
      ["report-generation", 3, 5_000, 3 * minutes, undefined],
      ["email-notifications", 5, 10_000, 30_000, undefined],
      ["file-analysis", 3, 5_000, 5 * minutes, undefined],
      ["quote-calculation", 3, 3_000, 2 * minutes, undefined],
      ["sentiment_analysis_batch", 4, 2_000, 30 * minutes, transient],
      ["file_processing", 4, 2_000, 30 * minutes, transient],
      ["security_scan", 4, 2_000, 30 * minutes, transient],
      ["data_export", 4, 2_000, 30 * minutes, transient],
      ["process_batch", 3, 5_000, 10 * minutes, undefined],
      ["reprocess_batch", 3, 5_000, 10 * minutes, undefined],
      ["process_redo", 3, 5_000, 10 * minutes, undefined],
    ]);
  });

  test("sizes", () => {
    for (const { name, maxDataBytes } of Object.values(jobTypes)) {
      expect(maxDataBytes).toBe(name === "sentiment_analysis_batch" ? 100_000_000 : 1_000_000);
    }
  });

  test("every data schema can be told as JSON Schema", () => {
    for (const { data, result } of Object.values(jobTypes)) {
      expect(z.toJSONSchema(data, { io: "input" })).toMatchObject({ type: "object" });
      expect(z.toJSONSchema(result)).toMatchObject({ type: "object" });
    }
  });
});

describe("declaring a type", () => {
  const definition = {
    name: "greetings",
    title: "Greetings",
    data: z.looseObject({}),
    result: z.unknown(),
    defaults: { attempts: 1, backoffMs: 1, timeoutMs: 1 },
  };

  test("freezes it", () => {
    const greetings = defineJobType({
      ...definition,
      defaults: { ...definition.defaults, retryableErrors: ["A"] },
    });
    expect(greetings.maxDataBytes).toBe(1_000_000);
    for (const part of [greetings, greetings.defaults, greetings.defaults.retryableErrors]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  test.each([
    [{ name: "no spaces" }, "1 to 256"],
    [{ name: "" }, "1 to 256"],
    [{ maxDataBytes: 0 }, "maxDataBytes"],
    [{ defaults: { attempts: 0, backoffMs: 1, timeoutMs: 1 } }, "attempts"],
    [{ defaults: { attempts: 1, backoffMs: 1.5, timeoutMs: 1 } }, "backoffMs"],
    [{ defaults: { attempts: 1, backoffMs: 1, timeoutMs: Number.NaN } }, "timeoutMs"],
    [{ defaults: { ...definition.defaults, priority: 0.5 } }, "priority"],
    [{ defaults: { ...definition.defaults, retryableErrors: [""] } }, "error code"],
  ])("refuses %j", (change, hint) => {
    expect(() => defineJobType({ ...definition, ...change })).toThrow(hint);
  });
});

describe("wording of complaints", () => {
  test("a schema's own words stay, zod's are put plainly", () => {
    const schema = z.object({
      own: z.string().min(3, "Say more"),
      one: z.literal("yes"),
      union: z.union([z.string(), z.number()]),
      kind: z.discriminatedUnion("is", [
        z.object({ is: z.literal("a") }),
        z.object({ is: z.literal("b") }),
      ]),
      above: z.number().gt(3).lt(5),
      strict: z.strictObject({}),
    });
    const wrong = {
      own: "x",
      one: "no",
      union: true,
      kind: { is: "c" },
      above: 3,
      strict: { a: 1 },
    };
    expect(validationIssues(schema.safeParse(wrong).error!)).toEqual([
      { field: "own", message: "Say more" },
      { field: "one", message: "Must be yes" },
      { field: "union", message: "Has none of the accepted forms" },
      { field: "kind.is", message: "Must be one of a, b" },
      { field: "above", message: "Must be greater than 3" },
      { field: "strict", message: 'Unrecognized key: "a"' },
    ]);
    expect(validationIssues(schema.safeParse({ ...wrong, above: 9 }).error!)[4]).toEqual({
      field: "above",
      message: "Must be less than 5",
    });
    expect(validationIssues(schema.safeParse(5).error!, "body")).toEqual([
      { field: "body", message: "Expected object, received number" },
    ]);
  });
});
