import type { Options } from "tsup";
import { packageConfig } from "../../tsup.base.ts";

const entries = ["index", "worker", "wellflow", "v1", "batch", "flashq"];

// `require("@jobyard/sdk")` is the class itself, and its names beside it.
const classItself = "module.exports = Object.assign(module.exports.Jobyard, module.exports);\n";

const config: Options = {
  ...packageConfig(entries.map((entry) => `src/${entry}.ts`)),
  // Browsers, Bun and Deno too.
  platform: "neutral",
  target: "es2022",
  shims: false,
  plugins: [
    {
      name: "class-itself",
      renderChunk(code, { path }) {
        return /[/\\]index\.cjs$/.test(path) ? { code: code + classItself } : undefined;
      },
    },
  ],
};

export default config;
