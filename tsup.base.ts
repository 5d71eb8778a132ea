import { extname } from "node:path";
import type { Options } from "tsup";

type Plugin = NonNullable<Options["esbuildPlugins"]>[number];

/**
 * Every source file becomes one file at the same place in dist/, as ESM (.js) and CommonJS (.cjs); only
 * the declarations of the public entries are bundled. So what lies beside a source file lies beside the
 * built one, and a class exists once however many entries lead to it:
 * - `new URL("./migrations/", import.meta.url)` holds in both (the package copies the folder);
 * - a worker thread's entry is a file of its own, `x.thread.ts`, found from its neighbours through
 *   new URL(`./x.thread${extname(import.meta.url)}`, import.meta.url)
 *   which is `.ts` in source, `.js` and `.cjs` in dist.
 * Of import.meta only `url` exists in CommonJS.
 */
export function packageConfig(entries: string[], onSuccess?: Options["onSuccess"]): Options {
  return {
    entry: ["src/**/*.ts", "!src/**/*.{test,d}.ts"],
    format: ["esm", "cjs"],
    target: "node24",
    platform: "node",
    dts: { entry: entries },
    clean: true,
    sourcemap: true,
    splitting: false,
    shims: true,
    // `sqlite` without its prefix is not a module.
    removeNodeProtocol: false,
    skipNodeModulesBundle: true,
    esbuildPlugins: [keepModules],
    silent: true,
    ...(onSuccess && { onSuccess }),
  };
}

/**
 * A program, `node dist/main.js`: its files as above, as ES modules alone and without declarations, since nobody imports them.
 * `without`: files that are of no use where it is installed, relative to src/.
 */
export function programConfig(...without: string[]): Options {
  const config = packageConfig([]);
  return {
    ...config,
    entry: [...(config.entry as string[]), ...without.map((file) => `!src/${file}`)],
    format: "esm",
    dts: false,
  };
}

const keepModules: Plugin = {
  name: "keep-modules",
  setup(build) {
    const extension = build.initialOptions.format === "cjs" ? ".cjs" : ".js";
    build.onResolve({ filter: /^\.\.?\/.*\.ts$/ }, ({ path, kind }) =>
      kind === "entry-point"
        ? undefined
        : { path: path.slice(0, -extname(path).length) + extension, external: true },
    );
  },
};
