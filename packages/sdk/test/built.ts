/** Holds the types of what was built against programs that use it. Part of the check of the package. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** WellFlow's own example, with another package name. */
const wellflow = `
const WellFlowAPI = require('@jobyard/sdk');

const client = new WellFlowAPI({
  baseURL: 'https://api.wellflow.com',
  token: 'your-jwt-token',
});

async function main() {
// Add a job
const job = await client.jobs.add('data-validation', {
  name: 'validate-well-data',
  data: {
    wellId: 'WELL-123',
    validationType: 'production_data',
  },
});

// Get queue status
const status = await client.jobs.getQueue('data-validation');
return [job.id.length, status.counts.waiting.toFixed()];
}
main;
`;

const names = `
type Queues = { mill: { data: { sacks: number }; result: { kg: number } } };
const client = new Jobyard<Queues>({ baseURL: "http://localhost:3001" });
export async function use(): Promise<number | undefined> {
  const added = await client.jobs.add("mill", { data: { sacks: 4 } });
  // @ts-expect-error -- no such field
  await client.jobs.add("mill", { data: { bags: 4 } });
  const job = await client.jobs.wait(added);
  new Worker<Queues, "mill">("mill", ({ data }) => ({ kg: data.sacks }), { baseURL: "tcp://localhost" });
  const error: JobyardError = new JobyardError("no", { code: "X" });
  return error.status + (job.result?.kg ?? 0);
}
`;

const programs = {
  "example.cjs": wellflow,
  "class.cts": `
    import Jobyard = require("@jobyard/sdk");
    import { Worker } from "@jobyard/sdk/worker";
    import JobyardError = Jobyard.JobyardError;
    export const same: Jobyard = new Jobyard.Jobyard({ baseURL: "http://localhost:3001" });
    ${names}`,
  "named.cts": `
    import { Jobyard, JobyardError, type Job } from "@jobyard/sdk";
    import { Worker } from "@jobyard/sdk/worker";
    export type Mine = Job;
    ${names}`,
  "named.mts": `
    import { Jobyard, JobyardError, type Job } from "@jobyard/sdk";
    import { Worker } from "@jobyard/sdk/worker";
    export type Mine = Job;
    ${names}`,
};

const sdk = join(import.meta.dirname, "..");
const project = mkdtempSync(join(tmpdir(), "jobyard-sdk-types-"));
try {
  mkdirSync(join(project, "node_modules/@jobyard"), { recursive: true });
  symlinkSync(sdk, join(project, "node_modules/@jobyard/sdk"));
  symlinkSync(join(sdk, "../../node_modules/@types"), join(project, "node_modules/@types"));
  for (const [name, text] of Object.entries(programs)) writeFileSync(join(project, name), text);
  const compilerOptions = {
    strict: true,
    noEmit: true,
    allowJs: true,
    checkJs: true,
    module: "nodenext",
    target: "es2022",
    lib: ["es2022", "dom", "dom.iterable"],
    types: ["node"],
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const tsc = join(sdk, "../../node_modules/.bin/tsc");
  const { status } = spawnSync(tsc, ["--project", project], { stdio: "inherit" });
  process.exitCode = status ?? 1;
} finally {
  rmSync(project, { recursive: true });
}
