import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { build } from "vite";

/** `dist` as a whole, so that a server that reads it meanwhile finds the old one or the new one. */
const root = import.meta.dirname;
const dist = join(root, "dist");
const made = join(root, `dist.${process.pid}`);
try {
  await build({ root, logLevel: "error", build: { outDir: made, emptyOutDir: true } });
  await rm(dist, { recursive: true, force: true });
  await rename(made, dist);
} finally {
  await rm(made, { recursive: true, force: true });
}
