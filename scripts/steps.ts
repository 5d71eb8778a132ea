import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { delimiter, join, relative } from "node:path";

export const root = join(import.meta.dirname, "..");

export interface Step {
  name: string;
  /** Resolves with what to print when the step has failed, else with nothing. */
  run: () => Promise<string | undefined>;
}

/** What `check` is made of. `generated` comes last: it writes files that the others read. */
export const checks: Step[] = [
  { name: "format", run: () => failureOf("oxfmt", "--check") },
  { name: "lint", run: () => failureOf("oxlint") },
  { name: "types", run: () => failureOf("tsc", "--project", ".") },
  { name: "console", run: () => failureOf("tsc", "--project", "apps/console/src") },
  { name: "packages", run: () => failureOf("turbo", "run", "check:package") },
  { name: "unused", run: () => failureOf("knip") },
  { name: "generated", run: generatedFilesAreCurrent },
];

export async function runSteps(steps: Step[]): Promise<{ passed: number; failed: number }> {
  const count = { passed: 0, failed: 0 };
  for (const { name, run } of steps) {
    const start = performance.now();
    const failure = await run();
    count[failure === undefined ? "passed" : "failed"]++;
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    const mark = failure === undefined ? "ok    " : "FAILED";
    console.log(`${mark} ${name.padEnd(10)} ${seconds.padStart(6)} s`);
    if (failure !== undefined) console.log(`${failure.trimEnd()}\n`);
  }
  return count;
}

function failureOf(command: string, ...args: string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const bin = join(root, "node_modules", ".bin");
    const child = spawn(command, args, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}`,
        TURBO_TELEMETRY_DISABLED: "1",
      },
    });
    let output = "";
    const keep = (chunk: Buffer) => (output += chunk.toString());
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (error) => resolve(`${command}: ${error.message}`));
    child.on("close", (code, signal) =>
      resolve(code === 0 ? undefined : `${output}${command} ended with ${signal ?? code}`),
    );
  });
}

async function generatedFilesAreCurrent(): Promise<string | undefined> {
  const before = hashes();
  const failure = await failureOf("node", "--run", "generate");
  if (failure !== undefined) return failure;
  const after = hashes();
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
    (file) => before.get(file) !== after.get(file),
  );
  if (changed.length === 0) return undefined;
  return `These were out of date and have been regenerated; look at them and commit them:\n${changed.join("\n")}`;
}

/** Of every file that could be a generated one. Not through git: a source archive has none. */
function hashes(): Map<string, string> {
  const files = globSync("{apps,packages,docs,deploy}/**/*", {
    cwd: root,
    withFileTypes: true,
    exclude: (entry) => /^(node_modules|dist|coverage|\..*)$/.test(entry.name),
  });
  return new Map(
    files
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [
        relative(root, file),
        createHash("sha256").update(readFileSync(file)).digest("hex"),
      ]),
  );
}
