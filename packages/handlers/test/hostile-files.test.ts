import { readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type Job, type JobData, JobQueue, type jobTypes, Worker } from "@jobyard/core";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createHandlers } from "../src/registry.ts";
import { Storage } from "../src/storage.ts";
import { writeWorkbook } from "./tabular/workbook.ts";

/** What each file's process may take, and what this one, which runs the worker, may grow by meanwhile. */
const FILE_MB = 384;
/** The process is looked at from time to time: it may be larger for a moment. */
const OVERSHOOT_MB = 200;
const WORKER_MB = 500;
const DATASET = "6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b";
const TENANT = "acme";

let root: string;
let files: Storage;
let queue: JobQueue;
let worker: Worker;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "hostile-"));
  files = new Storage({ root: join(root, "files") });
  queue = new JobQueue({
    adapter: new SqliteAdapter({ path: join(root, "jobs.db") }),
    payloadFolder: join(root, "payloads"),
  });
  await queue.open();
  worker = new Worker({
    queue,
    handlers: createHandlers({ files, fileMemoryMb: FILE_MB }),
    concurrency: 2,
  });
  worker.start();
  await writeHostileFiles(join(root, "files", TENANT));
});

afterAll(async () => {
  await worker.drain(0);
  await queue.close();
  await files.close();
  await rm(root, { recursive: true });
});

async function writeHostileFiles(folder: string): Promise<void> {
  await mkdir(folder);
  const at = (name: string) => join(folder, name);
  const write = (name: string, content: string | Buffer) => writeFile(at(name), content);
  await write("bomb.csv.gz", gzipSync(Buffer.alloc(120_000_000, "1,2\n"), { level: 1 }));
  await write("bomb.csv.zst", zstdCompressSync(Buffer.alloc(120_000_000, "1,2\n")));
  await writeWorkbook(at("bomb.xlsx"), { sheet: Buffer.alloc(120_000_000, "<row/>") });
  await write("quotes.csv", `a,b\n${'a","\n'.repeat(1_000_000)}`);
  await write("columns.csv", `${"c,".repeat(1_000_000)}\n`);
  await write("line.csv", Buffer.alloc(50_000_000, "x"));
  await write(
    "wide.csv",
    `${"c,".repeat(2000)}c\n${`${"x".repeat(1800)},`.repeat(2000)}x\n`.repeat(9),
  );
  await write("deep.json", "[".repeat(5_000_000));
  await write(
    "keys.json",
    `[{${Array.from({ length: 300_000 }, (_, i) => `"k${i}":1`).join(",")}}]`,
  );
  await write("binary.csv", Buffer.alloc(5_000_000, "\0\x01\xfe\xff"));
  await write("empty.csv", "");
  await symlink("/dev/zero", at("zero.csv"));
  execFileSync("mkfifo", [at("pipe.csv")]);
  const lying = Buffer.alloc(684);
  lying.writeUInt32LE(0xffffffff, 80);
  await write("lying.stl", lying);
  await write("nan.stl", binaryStl(200_000, Number.NaN));
  await write("flat.stl", binaryStl(200_000, 0));
  await write("endless.stl", `solid ${"x".repeat(50_000_000)}`);
  await write("endless.obj", `v 1 2 3\nf ${"1 ".repeat(10_000_000)}\n`);
}

/** Triangles with all corners at one place. */
function binaryStl(triangles: number, coordinate: number): Buffer {
  const file = Buffer.alloc(84 + 50 * triangles);
  file.writeUInt32LE(triangles, 80);
  for (let i = 0; i < triangles; i++) {
    for (let corner = 0; corner < 9; corner++)
      file.writeFloatLE(coordinate, 96 + 50 * i + 4 * corner);
  }
  return file;
}

/** Resident, of this process and of the largest of its children. */
function memory(): { readonly own: number; readonly child: number } {
  const pages = (pid: number | string) =>
    Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]);
  let child = 0;
  for (const task of readdirSync("/proc/self/task")) {
    try {
      const children = readFileSync(`/proc/self/task/${task}/children`, "utf8").trim();
      for (const pid of children.split(" ").filter(Boolean)) child = Math.max(child, pages(pid));
    } catch {
      // Gone between the two reads.
    }
  }
  return { own: process.memoryUsage.rss() / 1e6, child: (child * 4096) / 1e6 };
}

async function ended(queueName: string, data: object): Promise<Job> {
  const jobs = queue.of(TENANT);
  const id = await jobs.add({ queue: queueName, data });
  return jobs.wait(id, { timeoutMs: 290_000 });
}

const parse = (filePath: string) => ["file_processing", { filePath, datasetId: DATASET }] as const;
const scan = (filePath: string) => ["security_scan", { filePath, datasetId: "x" }] as const;
const analyse = (fileName: string) =>
  [
    "file-analysis",
    { fileId: "f", fileUrl: fileName, fileName, fileType: fileName.split(".").at(-1) },
  ] as const;

test.runIf(process.platform === "linux")(
  "no file takes the worker down, or past its memory, or is tried twice",
  { timeout: 300_000 },
  async () => {
    const before = memory().own;
    let [own, child] = [0, 0];
    const watch = setInterval(() => {
      const now = memory();
      [own, child] = [Math.max(own, now.own), Math.max(child, now.child)];
    }, 50);
    const names = [
      ..."bomb.csv.gz bomb.csv.zst bomb.xlsx quotes.csv columns.csv line.csv wide.csv".split(" "),
      ..."deep.json keys.json binary.csv empty.csv zero.csv pipe.csv".split(" "),
    ];
    const models = "lying.stl nan.stl flat.stl endless.stl endless.obj".split(" ");
    const jobs = [...names.map(parse), ...names.map(scan), ...models.map(analyse)];
    try {
      const outcomes = await Promise.all(
        jobs.map(async ([name, data]) => ({ name, data, job: await ended(name, data) })),
      );
      for (const { name, data, job } of outcomes) {
        const what = `${name} ${JSON.stringify(data)}: ${job.error?.code} ${job.error?.message}`;
        // Scanned, much of it is a finding or nothing; as a table or a model, it is the data's fault, told at once.
        expect(["completed", "failed"], what).toContain(job.state);
        expect(job.attemptsMade, what).toBe(1);
        if (job.state === "failed") {
          expect(job.error?.code, what).toMatch(
            /^(EMPTY_FILE|INVALID_FILE|FILE_REFUSED|TOO_MANY_COLUMNS|DECOMPRESSION_LIMIT|OUT_OF_MEMORY)$/,
          );
        }
      }
      const failed = outcomes.filter(({ job }) => job.state === "failed");
      expect(failed.length).toBeGreaterThanOrEqual(names.length + models.length - 2);
    } finally {
      clearInterval(watch);
    }
    expect(child).toBeGreaterThan(0);
    expect(child).toBeLessThan(FILE_MB + OVERSHOOT_MB);
    expect(own - before).toBeLessThan(WORKER_MB);
    const after = await ended("sentiment_analysis_batch", { texts: ["Fine."] } satisfies Partial<
      JobData<typeof jobTypes.sentiment_analysis_batch>
    >);
    expect(after.state).toBe("completed");
  },
);
