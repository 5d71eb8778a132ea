#!/usr/bin/env node
import { run } from "./program.ts";

const [major = ""] = process.versions.node.split(".");
if (Number(major) < 24) {
  process.stderr.write(`jobs: Node 24 or newer is needed; this is ${process.versions.node}\n`);
  process.exit(2);
}

const exitCode = await run(process.argv.slice(2), process.env);
// Connections that are kept for a next call must not hold up the end. Undefined: a server was started, which ends by itself.
if (exitCode !== undefined) {
  // What could not be written is told before.
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => stream.write("", () => resolve()));
  }
  process.exit(exitCode);
}
