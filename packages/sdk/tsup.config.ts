import { appendFileSync } from "node:fs";
import { packageConfig } from "../../tsup.base.ts";

const entries = ["index", "worker", "wellflow", "v1", "batch", "flashq"];

// `require("@jobyard/sdk")` is the class itself, and its names beside it.
const classItself = "module.exports = Object.assign(module.exports.Jobyard, module.exports);\n";

export default {
  ...packageConfig(
    entries.map((entry) => `src/${entry}.ts`),
    () => Promise.resolve(appendFileSync(new URL("dist/index.cjs", import.meta.url), classItself)),
  ),
  // Browsers, Bun and Deno too.
  platform: "neutral" as const,
  target: "es2022",
  shims: false,
};
