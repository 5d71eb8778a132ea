import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { start } from "./running-cli.ts";

async function temporaryFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "jobyard-cli-service-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

const anyPorts = { HTTP_PORTS: "0", TCP_PORT: "0", GRPC_PORT: "0" };

test.for(["start", "api"])("%s serves until a signal ends it", async (command) => {
  const env = { ...anyPorts, DATA_DIR: await temporaryFolder() };
  const { child, ended } = start([command], { env });
  let url = "";
  for await (const line of createInterface(child.stdout!)) {
    url = (JSON.parse(line) as { urls?: string[] }).urls?.[0] ?? url;
    if (url !== "") break;
  }
  const health = await start(["health", "--json"], { env: { JOBS_URL: url } }).ended;
  expect(JSON.parse(health.out)).toMatchObject({ status: "healthy", engine: "sqlite" });
  child.kill("SIGTERM");
  expect((await ended).code).toBe(0);
});

test("a setting that cannot be read ends the start with 78 and its name", async () => {
  const { code, err } = await start(["start"], { env: { HTTP_PORTS: "many" } }).ended;
  expect(code).toBe(78);
  expect(err).toContain("HTTP_PORTS");
});

test("a worker without Redis says what it needs", async () => {
  const env = { ...anyPorts, DATA_DIR: await temporaryFolder() };
  const { code, err } = await start(["worker"], { env }).ended;
  expect(code).not.toBe(0);
  expect(err).toContain("REDIS_URL");
});

test("the demo runs from reviews to result, and cleans up", async () => {
  const TMPDIR = await temporaryFolder();
  const { code, out, err } = await start(["demo"], { env: { TMPDIR, NO_COLOR: "1" } }).ended;
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(/progress {2}█+ 100 %/);
  expect(out).toMatch(/[\d,]+ texts in [\d.]+ s, [\d,]+ texts\/second/);
  expect(out).toMatch(/positive {2}[█░]+ +[\d.]+ %/);
  expect(out).toMatch(/\[[A-Z_ ]+\]/);
  expect(out).not.toContain("\u001B");
  const file = /All of it: (\S+)/.exec(out)?.[1] ?? "";
  const result = JSON.parse(readFileSync(file, "utf8")) as { readonly totalProcessed: number };
  expect(result.totalProcessed).toBeGreaterThanOrEqual(1000);
  // The result alone is kept.
  expect(await readdir(TMPDIR)).toEqual([expect.stringMatching(/^jobyard-demo-(?!data)/)]);
  await rm(TMPDIR, { recursive: true });
});

test("the demo that fails says why and cleans up", async () => {
  const TMPDIR = await temporaryFolder();
  const { code, err } = await start(["demo", "/nowhere/reviews.csv"], { env: { TMPDIR } }).ended;
  expect(code).toBe(1);
  expect(err).toMatch(/^jobs: The demo failed: .*\/nowhere\/reviews\.csv[^\n]*\n$/);
  expect(await readdir(TMPDIR)).toEqual([]);
});
