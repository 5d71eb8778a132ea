import { availableParallelism } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const source = "@jobyard/source";
const long = process.env["JOBYARD_LONG"] === "1";

// For the processes that run test files, and those that they start: most of a start is reading the same code again.
process.env["NODE_COMPILE_CACHE"] ??= join(
  import.meta.dirname,
  "node_modules/.cache/jobyard-compiled",
);

/** Short files of long tests: whatever began last would be waited for alone. */
const LONG = /\/(conformance-.*|console|process|bullmq-.*-faults)\.test\.ts$/;

/** Vitest begins with the files that took longest; where it has not seen them yet, with the largest. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification): boolean => LONG.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  resolve: { conditions: [source] },
  ssr: {
    resolve: { conditions: [source], externalConditions: [source] },
  },
  test: {
    include: ["{packages,apps}/*/{src,test}/**/*.test.ts", "deploy/test/*.test.ts"],
    pool: "forks",
    sequence: { sequencer: LongFirst },
    // One more than there are cores (the default leaves one free): many tests wait rather than compute.
    maxWorkers: availableParallelism() + 1,
    // For threads and child processes that tests start: those load our packages without Vite.
    execArgv: ["--conditions=@jobyard/source"],
    // These end what hangs; none of them measures. A busy machine may take many times as long as a quiet one.
    expect: { poll: { timeout: 30_000 } },
    testTimeout: long ? 600_000 : 120_000,
    hookTimeout: 120_000,
  },
});
