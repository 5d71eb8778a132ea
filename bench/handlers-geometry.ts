/**
 * How long file-analysis takes on a binary STL of a torus, on one worker thread, and what memory it needs.
 *
 *   pnpm --filter @jobyard/bench geometry [triangles, default 1000000]
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import type { Handler, HandlerContext } from "@jobyard/core";
import { fileAnalysisHandler } from "../packages/handlers/src/file-analysis/handler.ts";
import { Storage } from "../packages/handlers/src/storage.ts";
import { median } from "./measure.ts";

const ROUNDS = 3;
const TENANT = "bench";
const major = 20;
const minor = 5;

/** As many quads one way round as the other, two triangles each. */
function torus(triangles: number): Buffer {
  const n = Math.round(Math.sqrt(triangles / 2));
  const file = Buffer.alloc(84 + 100 * n * n);
  file.writeUInt32LE(2 * n * n, 80);
  const write = (at: number, i: number, j: number): void => {
    const u = (2 * Math.PI * (i % n)) / n;
    const v = (2 * Math.PI * (j % n)) / n;
    const r = major + minor * Math.cos(v);
    file.writeFloatLE(r * Math.cos(u), at);
    file.writeFloatLE(r * Math.sin(u), at + 4);
    file.writeFloatLE(minor * Math.sin(v), at + 8);
  };
  for (let quad = 0; quad < n * n; quad++) {
    const i = Math.floor(quad / n);
    const j = quad % n;
    const at = 84 + 100 * quad + 12;
    write(at, i, j);
    write(at + 12, i + 1, j);
    write(at + 24, i + 1, j + 1);
    write(at + 50, i, j);
    write(at + 62, i + 1, j + 1);
    write(at + 74, i, j + 1);
  }
  return file;
}

interface Measured {
  readonly geometry: { readonly volume: number; readonly triangles: number };
}

async function run(handler: Handler, performDfm: boolean): Promise<Measured> {
  const context: HandlerContext<unknown> = {
    data: {
      fileId: "torus",
      fileUrl: "torus.stl",
      fileName: "torus.stl",
      fileType: "stl",
      analysisOptions: { performDfm },
    },
    signal: new AbortController().signal,
    attempt: 1,
    job: { id: 1, tenant: TENANT, queue: "file-analysis", name: null },
    progress: () => undefined,
    log: () => undefined,
    spend: () => undefined,
  };
  return (await handler.run(context as never)) as Measured;
}

const seconds = (times: readonly number[]): string => `${(median(times) / 1000).toFixed(2)} s`;
const triangles = Number(process.argv[2] ?? 1_000_000);
const root = mkdtempSync(join(tmpdir(), "jobyard-bench-"));
const files = new Storage({ root });
try {
  await mkdir(join(root, TENANT));
  writeFileSync(join(root, TENANT, "torus.stl"), torus(triangles));
  const handler = fileAnalysisHandler({ files });
  const before = process.memoryUsage.rss();
  let peak = 0;
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 20);
  for (const performDfm of [false, true]) {
    const times: number[] = [];
    const computed: number[] = [];
    let off = 0;
    let count = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now();
      const cpu = process.cpuUsage();
      const { geometry } = await run(handler, performDfm);
      times.push(performance.now() - start);
      const { user, system } = process.cpuUsage(cpu);
      computed.push((user + system) / 1000);
      off = Math.abs(geometry.volume / (2 * Math.PI ** 2 * major * minor ** 2) - 1);
      count = geometry.triangles;
    }
    console.log(
      `${performDfm ? "with DFM" : "geometry"}: ${seconds(times)} (${seconds(computed)} of processor time) for ${count.toLocaleString("en")} triangles, volume off by ${(100 * off).toFixed(4)} %`,
    );
  }
  clearInterval(watch);
  console.log(
    `memory: ${Math.round((peak - before) / 1e6)} MB more at the peak; ${availableParallelism()} cores, Node ${process.version}`,
  );
} finally {
  await files.close();
  rmSync(root, { recursive: true });
}
