/**
 * The file handlers on this machine, one job at a time: how long, how much memory (this process and the file engine
 * together), and how long the event loop was kept waiting meanwhile.
 *
 *   node --conditions=@jobyard/source bench/handlers.ts [--megabytes 100] [--large]
 *
 * `--large`: a CSV of 1 GB as well.
 */
import { once } from "node:events";
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Handler } from "@jobyard/core";
import { dataExportHandler } from "../packages/handlers/src/data-export/handler.ts";
import { fileProcessingHandler } from "../packages/handlers/src/file-processing/handler.ts";
import { securityScanHandler } from "../packages/handlers/src/security-scan/handler.ts";
import { Storage } from "../packages/handlers/src/storage.ts";

const { values } = parseArgs({
  options: {
    megabytes: { type: "string", default: "100" },
    large: { type: "boolean", default: false },
  },
});

const DATASET = "00000000-0000-4000-8000-000000000001";
const SMALL_DATASET = "00000000-0000-4000-8000-000000000002";
const root = mkdtempSync(join(tmpdir(), "jobyard-handlers-"));
mkdirSync(join(root, "bench"));
const files = new Storage({ root });

/** Eight columns of the usual kinds, 125 bytes a row. */
async function writeCsv(
  name: string,
  isFull: (bytes: number, rows: number) => boolean,
): Promise<void> {
  const out = createWriteStream(join(root, "bench", name));
  out.write("id,name,email,amount,created,active,zip,comment\n");
  let rows = 0;
  let bytes = 0;
  while (!isFull(bytes, rows)) {
    let text = "";
    for (let i = 0; i < 5000; i++) {
      rows++;
      const two = String((rows % 28) + 1).padStart(2, "0");
      text +=
        `${rows},"Name ${rows % 1000}, Jr",user${rows}@example.com,${((rows * 1.37) % 1000).toFixed(2)},` +
        `2024-01-${two} 10:00:00,${rows % 2 === 0},0${(rows % 9000) + 1000},"some text ""quoted"" ${rows}"\n`;
    }
    bytes += text.length;
    if (!out.write(text)) await once(out, "drain");
  }
  out.end();
  await once(out, "finish");
}

interface Measured {
  readonly ms: number;
  /** Of the engine: what the job would take on a machine that does nothing else. NaN where it cannot be told. */
  readonly cpuMs: number;
  readonly rssMb: number;
  readonly loopP99Ms: number;
}

async function run(handler: Handler, data: object): Promise<Measured> {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  let rssMb = 0;
  const watch = setInterval(() => (rssMb = Math.max(rssMb, memoryMb())), 50);
  const started = performance.now();
  const cpuBefore = childrenCpuMs();
  try {
    await handler.run({
      data: handler.type.data.parse(data) as never,
      signal: new AbortController().signal,
      attempt: 1,
      job: { id: 1, tenant: "bench", queue: handler.type.name, name: null },
      progress: () => undefined,
      log: () => undefined,
      spend: () => undefined,
    });
  } finally {
    clearInterval(watch);
    delay.disable();
  }
  const ms = performance.now() - started;
  // The engine has to be gone to be counted.
  await setTimeout(500);
  const cpuMs = childrenCpuMs() - cpuBefore;
  return { ms, cpuMs, rssMb, loopP99Ms: delay.percentile(99) / 1e6 };
}

/** Of children that have ended; in ticks of 10 ms. */
function childrenCpuMs(): number {
  try {
    const fields = readFileSync("/proc/self/stat", "latin1").split(") ").at(-1)?.split(" ") ?? [];
    return (Number(fields[13]) + Number(fields[14])) * 10;
  } catch {
    return Number.NaN;
  }
}

/** Of this process and its children; of this one alone where there is no /proc. */
function memoryMb(): number {
  let bytes = process.memoryUsage.rss();
  try {
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8");
    for (const child of children.trim().split(" ").filter(Boolean)) {
      bytes += Number(readFileSync(`/proc/${child}/statm`, "latin1").split(" ")[1]) * 4096;
    }
  } catch {
    // Gone between the two reads, or no such system.
  }
  return bytes / 1e6;
}

const bytes = Number(values.megabytes) * 1e6;
const share = bytes / 100e6;
const processing = fileProcessingHandler({ files });
const scanning = securityScanHandler({ files });
const exporting = dataExportHandler({ files });
const filePath = "table.csv";

interface Step {
  readonly what: string;
  readonly handler: Handler;
  readonly data: object;
  /** Seconds. */
  readonly wanted: number;
}

const named = `${values.megabytes} MB`;
const steps: Step[] = [
  {
    what: `file_processing parse, CSV ${named}`,
    handler: processing,
    data: { filePath, datasetId: DATASET },
    wanted: 10 * share,
  },
  {
    what: `file_processing analyze, CSV ${named}`,
    handler: processing,
    data: { filePath, datasetId: DATASET, processingType: "analyze" },
    wanted: 10 * share,
  },
  {
    what: `security_scan full, ${named}`,
    handler: scanning,
    data: { filePath, datasetId: "x" },
    wanted: 20 * share,
  },
  {
    what: `security_scan quick, ${named}`,
    handler: scanning,
    data: { filePath, datasetId: "x", scanType: "quick" },
    wanted: 2,
  },
  ...(["csv", "json", "xlsx"] as const).map((format) => ({
    what: `data_export ${format}, 100,000 records`,
    handler: exporting,
    data: { datasetId: SMALL_DATASET, format },
    wanted: format === "xlsx" ? 10 : 2,
  })),
];

try {
  await writeCsv(filePath, (written) => written >= bytes);
  await writeCsv("records.csv", (_, rows) => rows >= 100_000);
  await run(processing, { filePath: "records.csv", datasetId: SMALL_DATASET });
  if (values.large) {
    await writeCsv("large.csv", (written) => written >= 1e9);
    const data = { filePath: "large.csv", datasetId: DATASET };
    steps.push({ what: "file_processing parse, CSV 1 GB", handler: processing, data, wanted: 100 });
  }
  console.log(
    "| job | took | CPU | wanted | memory (512 MB) | event loop p99 (200 ms) | |\n|---|---|---|---|---|---|---|",
  );
  for (const { what, handler, data, wanted } of steps) {
    const { ms, cpuMs, rssMb, loopP99Ms } = await run(handler, data);
    const met = ms <= wanted * 1000 && rssMb <= 512 && loopP99Ms <= 200;
    console.log(
      `| ${what} | ${(ms / 1000).toFixed(1)} s | ${(cpuMs / 1000).toFixed(1)} s | ${wanted} s | ${Math.round(rssMb)} MB | ${loopP99Ms.toFixed(0)} ms | ${met ? "met" : "MISSED"} |`,
    );
  }
} finally {
  await files.close();
  rmSync(root, { recursive: true });
}
