import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { securityScanHandler } from "../../src/security-scan/handler.ts";
import type { Finding } from "../../src/security-scan/findings.ts";
import type { Verdict } from "../../src/security-scan/frameworks.ts";
import { Bench } from "../tabular/job-run.ts";
import { writeWorkbook } from "../tabular/workbook.ts";

let bench: Bench;

beforeAll(async () => {
  bench = await Bench.open();
});

afterAll(() => bench.close());

interface Scanned {
  readonly findings: readonly Finding[];
  readonly summary: Readonly<Record<string, number>>;
  readonly compliance: Readonly<Record<string, Verdict>>;
  readonly riskScore: number;
  readonly scanned: { readonly complete: boolean; readonly bytes: number };
  readonly findingsFile?: { readonly name: string };
}

async function scan(name: string, content?: string | Buffer, more: object = {}): Promise<Scanned> {
  if (content !== undefined) await bench.write(name, content);
  const data = { filePath: name, datasetId: "d", ...more };
  return (await bench.run(securityScanHandler, data)) as unknown as Scanned;
}

const card = "4111 1111 1111 1111";

describe("a CSV", () => {
  it("is told what stands where, masked", async () => {
    const { findings, summary } = await scan(
      "people.csv",
      'id,email,note,dob,phone\n1,ann@example.com,"card 4111 1111 1111 1111\nsecond line",1984-05-17,5551234567\n2,,=HYPERLINK("http://x"),,\n3,,-5,,\n4,,5551234567,,\n',
    );
    expect(summary).toEqual({
      EMAIL: 1,
      CREDIT_CARD: 1,
      PHONE: 1,
      DANGEROUS_FORMULA: 1,
      DATE_OF_BIRTH: 1,
    });
    const of = (kind: string) => findings.find((finding) => finding.kind === kind);
    expect(of("EMAIL")).toMatchObject({
      place: { line: 2, field: "email" },
      sample: "a***@e***.com",
      severity: "medium",
    });
    expect(of("CREDIT_CARD")).toMatchObject({
      place: { line: 2, field: "note" },
      sample: "**** **** **** 1111",
    });
    expect(of("PHONE")).toMatchObject({ place: { field: "phone" } });
    expect(of("DANGEROUS_FORMULA")).toMatchObject({ place: { line: 4, field: "note" } });
    // By the name of the field alone.
    expect(of("DATE_OF_BIRTH")).toMatchObject({ place: { field: "dob" }, values: 1 });
    expect(JSON.stringify(findings)).not.toContain("4111 1111");
  });

  it("of ordinary figures is clean", async () => {
    const rows = Array.from(
      { length: 5000 },
      (_, i) => `${i},${(i * 7.31) % 100},2024-01-0${(i % 9) + 1},item ${i}`,
    );
    const { findings, riskScore, compliance } = await scan(
      "clean.csv",
      `id,amount,day,label\n${rows.join("\n")}\n`,
    );
    expect(findings).toEqual([]);
    expect(riskScore).toBe(0);
    expect(Object.values(compliance).every(({ compliant }) => compliant)).toBe(true);
  });
});

describe("frameworks", () => {
  it("say which rule is broken and by what", async () => {
    const { compliance, riskScore } = await scan("card.txt", `pay with ${card}\n`, {
      complianceFramework: ["PCI-DSS", "HIPAA"],
    });
    expect(Object.keys(compliance)).toEqual(["PCI-DSS", "HIPAA"]);
    expect(compliance["PCI-DSS"]).toMatchObject({
      compliant: false,
      violations: [
        { rule: "3.5.1", why: "card numbers are readable", findings: { CREDIT_CARD: 1 } },
      ],
    });
    expect(compliance["HIPAA"]).toMatchObject({ compliant: true, violations: [] });
    expect(riskScore).toBeGreaterThan(40);
  });

  it("see health data only beside a person", async () => {
    const alone = await scan("h1.csv", "code,diagnosis\nx,flu\n");
    expect(alone.compliance["HIPAA"]?.compliant).toBe(true);
    const beside = await scan("h2.csv", "email,diagnosis\na@example.com,flu\n");
    expect(beside.compliance["HIPAA"]?.violations).toMatchObject([
      { findings: { HEALTH_DATA: 1, EMAIL: 1 } },
    ]);
  });
});

describe("files of all kinds", () => {
  it("reads JSON with its keys", async () => {
    const { findings } = await scan(
      "a.ndjson",
      '{"user":{"mail":"ann@example.com"},"password":"Tr0ub4dor&3"}\n',
    );
    expect(findings).toMatchObject([
      { kind: "EMAIL", place: { line: 1, field: "mail" } },
      { kind: "PASSWORD", sample: "***" },
    ]);
  });

  it("reads compressed and other encodings", async () => {
    expect((await scan("a.txt.gz", gzipSync("mail ann@example.com\n"))).summary).toEqual({
      EMAIL: 1,
    });
    const wide = Buffer.from("\uFEFFmail ann@example.com\n", "utf16le");
    expect((await scan("wide.txt", wide)).summary).toEqual({ EMAIL: 1 });
  });

  it("reads all sheets' cells and finds macros", async () => {
    await mkdir(dirname(bench.path("x")), { recursive: true });
    const sheet =
      '<worksheet><sheetData><row r="1"><c t="str"><v>ssn</v></c></row><row r="5"><c t="str"><v>536-22-1234</v></c></row></sheetData></worksheet>';
    await writeWorkbook(bench.path("macro.xlsm"), { sheet, extra: { "xl/vbaProject.bin": "x" } });
    const { findings } = await scan("macro.xlsm");
    expect(findings).toMatchObject([
      { kind: "MACRO", place: { part: "xl/vbaProject.bin" } },
      { kind: "SSN", place: { sheet: "One", row: 5, field: "ssn" }, sample: "***-**-1234" },
    ]);
  });

  it("names programs, and the secrets in them", async () => {
    const program = Buffer.concat([
      Buffer.from("7f454c4600", "hex"),
      Buffer.from("\0\0password=Tr0ub4dor&3\0\n", "latin1"),
    ]);
    expect((await scan("run.bin", program)).summary).toMatchObject({ EXECUTABLE: 1, PASSWORD: 1 });
  });

  it("samples when it shall be quick, from the beginning to the end", async () => {
    const rows = `${"x".repeat(99)}\n`.repeat(100_000);
    const content = `ann@example.com\n${rows}bob@example.com\n`;
    const quick = await scan("large.txt", content, { scanType: "quick" });
    expect(quick.summary).toEqual({ EMAIL: 2 });
    expect(quick.scanned.complete).toBe(false);
    expect(quick.scanned.bytes).toBeLessThan(4_000_000);
    const full = await scan("large.txt", undefined, { scanType: "full" });
    expect(full.scanned).toEqual({ complete: true, bytes: Buffer.byteLength(content) });
    expect(full.findings.map(({ place }) => place.line)).toEqual([1, 100_002]);
  });

  it("counts all and shows some, the rest in a file", async () => {
    const { findings, summary, findingsFile } = await scan(
      "many.txt",
      "ann@example.com\n".repeat(2000),
    );
    expect(summary).toEqual({ EMAIL: 2000 });
    expect(findings).toHaveLength(20);
    expect(findingsFile).toMatchObject({ name: "findings.ndjson" });
  });
});

describe("bad input", () => {
  it.each([
    ["an endless line", "l.txt", "a@".repeat(3_000_000)],
    ["digits without end", "d.txt", "1".repeat(3_000_000)],
    ["digit groups without end", "g.txt", "123-".repeat(1_000_000)],
    ["quotes without end", "q.csv", `a,b\n"${"x".repeat(3_000_000)}`],
    ["keys without values", "k.txt", "password=".repeat(300_000)],
    ["tokens' beginnings", "t.txt", "eyJ".repeat(1_000_000)],
    ["schemes without end", "s.txt", "://".repeat(1_000_000)],
  ])("takes %s in its stride", async (_, name, content) => {
    const started = performance.now();
    await scan(name, content);
    expect(performance.now() - started).toBeLessThan(15_000);
  });

  it("refuses bombs and what is not there", async () => {
    const bomb = gzipSync(Buffer.alloc(120_000_000, "1,2\n"), { level: 9 });
    await expect(scan("bomb.gz", bomb)).rejects.toMatchObject({ code: "DECOMPRESSION_LIMIT" });
    await expect(scan("../etc/passwd")).rejects.toThrow("..");
    await expect(scan("none.csv")).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    await expect(scan("empty.csv", "")).rejects.toMatchObject({ code: "EMPTY_FILE" });
  });
});
