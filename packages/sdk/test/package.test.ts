import { execFile } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile, mkdir, copyFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import vm from "node:vm";
import { build } from "esbuild";
import { expect, onTestFinished, test } from "vitest";
import { build as tsup } from "tsup";
import { serve } from "../../../apps/api/test/running-server.ts";
import config from "../tsup.config.ts";

const folder = join(import.meta.dirname, "..");
const run = promisify(execFile);

async function bundle(entry: string) {
  const { outputFiles } = await build({
    entryPoints: [join(folder, "src", entry)],
    bundle: true,
    minify: true,
    write: false,
    // Where nothing of Node can be found.
    platform: "browser",
    format: "iife",
    globalName: "sdk",
  });
  return outputFiles[0]?.text as string;
}

test("the client is under 15 kB, and runs where there is only what browsers have", async () => {
  const text = await bundle("index.ts");
  expect(text.length).toBeLessThan(15_000);
  const { url } = await serve({ handlers: [] });
  const web = { fetch, AbortController, AbortSignal, URLSearchParams, TextDecoder, crypto };
  const context = vm.createContext({ ...web, setTimeout, clearTimeout, ReadableStream });
  const script = `${text}; new sdk.Jobyard({ baseURL: ${JSON.stringify(url)} })
    .jobs.add("bakery", { data: 1 })`;
  expect(await vm.runInContext(script, context)).toMatchObject({ queue: "bakery" });
});

test("built: require is the class itself, import has it by its name, one error class for all entries", async () => {
  const { url } = await serve({ handlers: [] });
  const project = await mkdtemp(join(tmpdir(), "jobyard-sdk-test-"));
  onTestFinished(() => rm(project, { recursive: true, force: true }));
  const installed = join(project, "node_modules/@jobyard/sdk");
  await mkdir(installed, { recursive: true });
  await copyFile(join(folder, "package.json"), join(installed, "package.json"));
  await tsup({
    ...config,
    entry: [`${folder}/src/**/*.ts`],
    outDir: join(installed, "dist"),
    dts: false,
    config: false,
  });
  await symlink(join(folder, "node_modules"), join(installed, "node_modules"));
  const cjs = `
    const WellFlowAPI = require("@jobyard/sdk");
    const client = new WellFlowAPI({ baseURL: process.argv[2], token: undefined });
    (async () => {
      const job = await client.jobs.add("data-validation", {
        name: "check-south", data: { wellId: "SOUTH-3", validationType: "integrity" },
      });
      const status = await client.jobs.getQueue("data-validation");
      const { Worker, JobyardError } = require("@jobyard/sdk/worker");
      const same = WellFlowAPI.JobyardError === JobyardError && WellFlowAPI.Jobyard === WellFlowAPI;
      console.log(JSON.stringify([typeof job.id, status.counts.waiting, same, typeof Worker]));
    })();`;
  const esm = `
    import { Jobyard, JobyardError } from "@jobyard/sdk";
    import { FlashqClient, JobyardError as Same } from "@jobyard/sdk/flashq";
    const { status } = await new Jobyard({ baseURL: process.argv[2] }).health();
    const { ok } = await new FlashqClient({ baseURL: process.argv[2] }).call("getStats", {});
    console.log(JSON.stringify([status, ok, JobyardError === Same]));`;
  await writeFile(join(project, "try.cjs"), cjs);
  await writeFile(join(project, "try.mjs"), esm);
  const outcome = async (file: string): Promise<unknown> =>
    JSON.parse((await run(process.execPath, [join(project, file), url])).stdout);
  expect(await outcome("try.cjs")).toEqual(["string", 1, true, "function"]);
  expect(await outcome("try.mjs")).toEqual(["healthy", true, true]);
}, 60_000);
