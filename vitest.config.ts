import { defineConfig } from "vitest/config";

const source = "@jobyard/source";
const long = process.env["JOBYARD_LONG"] === "1";

export default defineConfig({
  resolve: { conditions: [source] },
  ssr: {
    resolve: { conditions: [source], externalConditions: [source] },
  },
  test: {
    include: ["{packages,apps}/*/{src,test}/**/*.test.ts", "deploy/test/*.test.ts"],
    pool: "forks",
    // One for each core (the default leaves one free): many tests wait for other processes rather than compute.
    maxWorkers: "100%",
    // For threads and child processes that tests start: those load our packages without Vite.
    execArgv: ["--conditions=@jobyard/source"],
    // These end what hangs; none of them measures. A busy machine may take many times as long as a quiet one.
    expect: { poll: { timeout: 30_000 } },
    testTimeout: long ? 600_000 : 60_000,
    hookTimeout: 60_000,
  },
});
