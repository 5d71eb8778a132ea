import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import vm from "node:vm";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { serve } from "../../../apps/api/test/running-server.ts";
import { projectWithSdk } from "./installed.ts";

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
  const project = await projectWithSdk();
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
});

// Hundreds of megabytes of runtimes are fetched for it.
const long = process.env["JOBYARD_LONG"] === "1";

/** As npm packages, with what each is told to run a file. */
const runtimes = {
  "node@20": ["node"],
  "bun@1.4.4": ["bun"],
  "deno@2.9.6": ["deno", "run", "--allow-net", "--allow-env", "--allow-read", "--allow-sys"],
} as const;

const body = `
  const done = [];
  for (const [n, baseURL] of process.argv.slice(2).entries()) {
    const client = new Jobyard({ baseURL: process.argv[2] });
    const job = await client.jobs.add("mill" + n, { data: { sacks: 4 } });
    const worker = new Worker("mill" + n, ({ data }) => ({ kg: data.sacks * 25 }), {
      baseURL,
      onError: (error) => done.push(String(error)),
    });
    const { state, result } = await client.jobs.wait(job);
    await worker.close();
    done.push([state, result]);
  }
  const missing = await new Jobyard({ baseURL: process.argv[2] }).jobs.get("900719925474").catch((error) => error);
  done.push([missing instanceof JobyardError, missing.status]);
  console.log(JSON.stringify(done));`;

const esm = `
  import process from "node:process";
  import { Jobyard, JobyardError } from "@jobyard/sdk";
  import { Worker } from "@jobyard/sdk/worker";
  ${body}`;

const cjs = `
  const Jobyard = require("@jobyard/sdk");
  const { JobyardError } = Jobyard;
  const { Worker } = require("@jobyard/sdk/worker");
  (async () => {${body}})();`;

test.each(long ? (Object.keys(runtimes) as (keyof typeof runtimes)[]) : [])(
  "client and worker, over HTTP and TCP, in %s",
  async (name) => {
    const project = await projectWithSdk();
    const tools = join(project, "runtime");
    await run("npm", ["install", "--no-audit", "--no-fund", "--prefix", tools, name]);
    await writeFile(join(project, "package.json"), `{"private":true}`);
    await writeFile(join(project, "try.mjs"), esm);
    await writeFile(join(project, "try.cjs"), cjs);
    const { url, server } = await serve({ handlers: [] });
    const tcp = `tcp://${server.tcp[0]?.replace(/^tcp:\/\//, "")}`;
    const [program, ...flags] = runtimes[name];
    const done = ["completed", { kg: 100 }];
    for (const file of ["try.mjs", "try.cjs"]) {
      const args = [...flags, join(project, file), url, tcp];
      const { stdout } = await run(join(tools, "node_modules/.bin", program), args, {
        cwd: project,
      });
      expect(JSON.parse(stdout), file).toEqual([done, done, [true, 404]]);
    }
  },
);
