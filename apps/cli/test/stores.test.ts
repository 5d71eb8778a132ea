import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { jobSpecs } from "@jobyard/core/testing";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { startRedis } from "../../../packages/core/test/redis.ts";
import { type Ended, start } from "./running-cli.ts";

let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "jobyard-cli-"));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
});

function jobs(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return start(args, { env: { DATA_DIR: dataDir, ...env } }).ended;
}

/** A store of five jobs, and a backup of its first three. */
async function prepare(): Promise<string> {
  const backup = join(dataDir, "backup.db");
  const adapter = new SqliteAdapter({ path: join(dataDir, "jobyard.db") });
  await adapter.open();
  await adapter.enqueue({ jobs: jobSpecs(3), atomic: true });
  await adapter.backup({ file: backup });
  await adapter.enqueue({ jobs: jobSpecs(2), atomic: true });
  await adapter.close();
  return backup;
}

test("migrate moves all jobs to Redis and back, and says why not where it cannot", async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const env = { REDIS_URL: redis.url };
  await prepare();
  expect(await jobs(["migrate", "--to", "redis"])).toMatchObject({
    code: 1,
    err: expect.stringContaining("REDIS_URL") as string,
  });
  const out = await jobs(["migrate", "--to", "redis", "--json"], env);
  expect(out).toMatchObject({ code: 0, err: "" });
  expect(JSON.parse(out.out)).toMatchObject({ jobs: 5, states: { waiting: 5 }, resumed: false });
  const again = await jobs(["migrate", "--to", "redis"], env);
  expect(again).toMatchObject({ code: 1, err: expect.stringContaining("already") as string });
  expect((await jobs(["migrate", "--to", "embedded", "--abandon"], env)).err).toContain("nothing");
  await rm(join(dataDir, "jobyard.db"));
  const back = await jobs(["migrate", "--to", "embedded"], env);
  expect(back).toMatchObject({ code: 0, out: expect.stringMatching(/jobs\s+5/) as string });
});

test("restore puts a backup in its place, and refuses what is none", async () => {
  const backup = await prepare();
  const restored = await jobs(["restore", backup, "--yes", "--json"]);
  expect(restored).toMatchObject({ code: 0, err: "" });
  const report = JSON.parse(restored.out) as { madeAt: number };
  expect(report).toMatchObject({ states: { waiting: 3 } });
  expect(report.madeAt).toBe(Math.floor((await stat(backup)).mtimeMs));
  const broken = join(dataDir, "broken.db");
  await writeFile(broken, "no database");
  const refused = await jobs(["restore", broken, "--yes"]);
  expect(refused).toMatchObject({ code: 1, out: "" });
  expect(refused.err).toContain("Nothing was changed");
});
