/**
 * Runs jobs with the built package, as ESM and as CommonJS: their threads and processes are found, their fonts and shapes
 * too. Part of the check of the package, since tests run the source.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Handler } from "@jobyard/core";
import type * as Handlers from "@jobyard/handlers";

const DATASET = "6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b";
const TENANT = "acme";

const jobs: readonly (readonly [string, object, (result: never) => unknown])[] = [
  [
    "sentiment_analysis_batch",
    { texts: ["Lovely."] },
    ({ totalProcessed }: { totalProcessed: number }) => totalProcessed === 1,
  ],
  [
    "file_processing",
    { filePath: "a.csv", datasetId: DATASET },
    ({ rowCount }: { rowCount: number }) => rowCount === 2,
  ],
  [
    "security_scan",
    { filePath: "a.csv", datasetId: "x" },
    ({ riskScore }: { riskScore: number }) => riskScore > 0,
  ],
  [
    "data_export",
    { datasetId: DATASET, format: "xlsx" },
    ({ rowsWritten }: { rowsWritten: number }) => rowsWritten === 2,
  ],
  [
    "report-generation",
    { reportType: "analytics", format: "pdf", datasetId: DATASET, includeCharts: true },
    ({ file }: { file: { size: number } }) => file.size > 1000,
  ],
  [
    "file-analysis",
    { fileId: "t", fileUrl: "t.obj", fileName: "t.obj", fileType: "obj" },
    ({ geometry }: { geometry: { volume: number } }) => Math.abs(geometry.volume - 1 / 6) < 1e-6,
  ],
  [
    "data-validation",
    {
      wellId: "W",
      validationType: "integrity",
      location: { latitude: 32.3, longitude: -101.43, county: "Howard", state: "TX" },
    },
    ({ passed }: { passed: boolean }) => passed,
  ],
];

async function runAll({ createHandlers, Storage }: typeof Handlers): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "jobyard-built-"));
  const files = new Storage({ root });
  try {
    mkdirSync(join(root, TENANT));
    writeFileSync(join(root, TENANT, "a.csv"), "n,mail\n1,a@example.com\n2,b@example.com\n");
    writeFileSync(
      join(root, TENANT, "t.obj"),
      "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n",
    );
    const handlers = new Map(createHandlers({ files }).map((one) => [one.type.name, one]));
    for (const [queue, data, isRight] of jobs) {
      const handler = handlers.get(queue) as Handler;
      const result = await handler.run({
        data: handler.type.data.parse(data) as never,
        signal: new AbortController().signal,
        attempt: 1,
        job: { id: 1, tenant: TENANT, queue, name: null },
        progress: () => undefined,
        log: () => undefined,
        spend: () => undefined,
      });
      assert.ok(isRight(result as never), `${queue}: ${JSON.stringify(result)}`);
    }
  } finally {
    await files.close();
    rmSync(root, { recursive: true });
  }
}

await runAll(await import("@jobyard/handlers"));
await runAll(createRequire(import.meta.url)("@jobyard/handlers") as typeof Handlers);
