#!/usr/bin/env node
import { run } from "./program.ts";

// `jobs list | head`: whoever reads has read enough.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
}

const exitCode = await run(process.argv.slice(2), process.env);
// Connections that are kept for a next call must not hold up the end. Undefined: a server was started, which ends by itself.
if (exitCode !== undefined) process.exit(exitCode);
