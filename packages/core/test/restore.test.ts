import { cpSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { restoreBackup, type RestoreReport, SqliteAdapter } from "../src/adapters/sqlite/index.ts";
import type { QueueAdapter } from "../src/queue-adapter.ts";
import { jobSpec, jobSpecs } from "../src/testing/index.ts";

let folder: string;
let path: string;
let backup: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "jobyard-restore-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  path = join(folder, "jobyard.db");
  backup = join(folder, "backup.db");
});

async function using<T>(work: (adapter: QueueAdapter) => Promise<T>): Promise<T> {
  const adapter = new SqliteAdapter({ path });
  await adapter.open();
  try {
    return await work(adapter);
  } finally {
    await adapter.close();
  }
}

async function idsOf(adapter: QueueAdapter): Promise<number[]> {
  const page = { limit: 100, order: "asc" } as const;
  return (await adapter.list({ filter: { tenant: "*" }, page })).jobs.map(({ id }) => id);
}

function restore(): Promise<RestoreReport> {
  return restoreBackup({ file: backup, path, payloadFolder: join(folder, "payloads") });
}

async function refusal(tried: Promise<unknown>): Promise<string> {
  return tried.then(
    () => "none",
    (error: unknown) => (error as Error).message,
  );
}

/** A store of three jobs, backed up, then one more. */
async function prepare(): Promise<void> {
  await using(async (adapter) => {
    const large = { file: "00000000-0000-4000-8000-000000000000.json", bytes: 7 };
    await adapter.enqueue({ jobs: [...jobSpecs(2), jobSpec({ data: large })], atomic: true });
    await adapter.backup({ file: backup });
    await adapter.enqueue({ jobs: jobSpecs(1), atomic: true });
  });
}

test("a backup takes the place of the store, which is kept; ids given out since are not given out again", async () => {
  await prepare();
  const report = await restore();
  expect(report).toMatchObject({ states: { waiting: 3, completed: 0 }, missingFiles: 1 });
  await using(async (adapter) => {
    expect(await idsOf(adapter)).toEqual([1, 2, 3]);
    const [id] = await adapter.enqueue({ jobs: [jobSpec()], atomic: true });
    expect(id).toBeGreaterThan(4);
  });
  cpSync(report.replaced ?? "", path);
  expect(await using(idsOf)).toEqual([1, 2, 3, 4]);
  expect(readdirSync(folder).filter((name) => name.includes("restoring"))).toEqual([]);
});

test("it is refused while a process serves the store", async () => {
  await prepare();
  await using(async (adapter) => {
    expect(await refusal(restore())).toContain("Another process is using");
    expect(await idsOf(adapter)).toEqual([1, 2, 3, 4]);
  });
});

test.each<[string, () => void, string]>([
  ["is not there", () => undefined, "there is no such file"],
  ["is no database", () => writeFileSync(backup, "x".repeat(9000)), "not a backup of Jobyard"],
  ["is cut off", () => truncateSync(backup, 3 * 8192), "damaged"],
  [
    "has bytes changed in the middle",
    () => {
      const bytes = readFileSync(backup);
      writeFileSync(backup, bytes.fill(0xa5, 8192, 2 * 8192));
    },
    "damaged",
  ],
  [
    "is of a newer version",
    () => {
      const bytes = readFileSync(backup);
      // The user version of a database file.
      bytes.writeUInt32BE(999, 60);
      writeFileSync(backup, bytes);
    },
    "newer Jobyard",
  ],
])("a file that %s is refused, and the store stays", async (name, spoil, why) => {
  await prepare();
  if (name === "is not there") await rm(backup);
  spoil();
  expect(await refusal(restore())).toContain(why);
  expect(await using(idsOf)).toEqual([1, 2, 3, 4]);
});

test("it stands in for a store that is damaged or gone", async () => {
  await prepare();
  writeFileSync(path, "not a database at all".repeat(1000));
  expect((await restore()).replaced).not.toBeNull();
  expect(await using(idsOf)).toEqual([1, 2, 3]);
  await rm(path);
  expect((await restore()).replaced).toBeNull();
  expect(await using(idsOf)).toEqual([1, 2, 3]);
});

test("ids are not given out again where the store's jobs are damaged, but not what tells of its ids", async () => {
  await prepare();
  // More than are reserved at once, in the backup as well.
  await using((adapter) => adapter.enqueue({ jobs: jobSpecs(10_000), atomic: true }));
  const db = new DatabaseSync(path);
  const page = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'job'").get();
  db.close();
  const at = (Number(page?.["rootpage"]) - 1) * 8192;
  writeFileSync(path, readFileSync(path).fill(0xff, at, at + 8192));
  await restore();
  await using(async (adapter) => {
    expect(await adapter.enqueue({ jobs: jobSpecs(1), atomic: true })).toEqual([10_005]);
  });
});
