import type { Options } from "tsup";

/**
 * One small file starts, and loads the file of the command that was asked for. The SDK and commander are built in; the service
 * itself (`@jobyard/api`, `@jobyard/worker`) is loaded by the commands that run it.
 */
const config: Options = {
  entry: ["src/main.ts"],
  format: ["esm"],
  target: "node24",
  platform: "node",
  clean: true,
  splitting: true,
  minify: true,
  removeNodeProtocol: false,
  silent: true,
  esbuildOptions(options) {
    options.conditions = ["@jobyard/source"];
  },
};

export default config;
