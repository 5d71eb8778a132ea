import { existsSync, readFileSync } from "node:fs";
import { rename, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { build } from "vite";

/** `dist` as a whole, so that a server that reads it meanwhile finds the old one or the new one. */
const root = import.meta.dirname;
const dist = join(root, "dist");
const made = join(root, `dist.${process.pid}`);
const old = `${made}.old`;
const index = join(dist, "index.html");
// Whoever starts it: a test's own would put warnings for developers, and where the source lies, into it.
process.env["NODE_ENV"] = "production";
try {
  await build({ root, logLevel: "error", build: { outDir: made, emptyOutDir: true } });
  const had = existsSync(index);
  // It names all others by what is in them.
  if (had && readFileSync(index).equals(readFileSync(join(made, "index.html")))) {
    await utimes(index, new Date(), new Date());
  } else {
    if (had) await rename(dist, old);
    else await rm(dist, { recursive: true, force: true });
    await rename(made, dist);
  }
} finally {
  for (const folder of [made, old]) await rm(folder, { recursive: true, force: true });
}
