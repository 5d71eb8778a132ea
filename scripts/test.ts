import { startVitest } from "vitest/node";
import { checks, root, runSteps } from "./steps.ts";
import { ensureSystemTools } from "./system-tools.ts";

const steps = await runSteps(checks);
// Once, before test files that need it run side by side.
ensureSystemTools(
  "chromium",
  "curl",
  "faketime",
  "fish",
  "nc",
  "promtool",
  "python3",
  "redis-server",
  "zsh",
);
const tests = await runTests();
const passed = steps.passed + tests.passed;
const failed = steps.failed + tests.failed;
// Ends the process whatever a test has left open, but not before the line is out.
process.stdout.write(`${passed} passed, ${failed} failed\n`, () =>
  process.exit(failed === 0 ? 0 : 1),
);

async function runTests(): Promise<{ passed: number; failed: number }> {
  const start = performance.now();
  const count = { passed: 0, failed: 0 };
  try {
    const vitest = await startVitest([], { root, run: true, watch: false });
    for (const module of vitest.state.getTestModules()) {
      for (const suite of [module, ...module.children.allSuites()]) {
        if (suite.errors().length > 0) count.failed++;
      }
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "passed") count.passed++;
        // Still pending now: whoever ran it has died.
        else if (state !== "skipped") count.failed++;
      }
    }
    count.failed += vitest.state.getUnhandledErrors().length;
    await vitest.close();
  } catch (error) {
    console.error(error);
    count.failed++;
  }
  if (count.passed + count.failed === 0) {
    console.error("No test ran.");
    count.failed++;
  }
  // Vitest's own verdict covers what is not counted above.
  if (process.exitCode && count.failed === 0) count.failed++;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(
    `${count.failed === 0 ? "ok    " : "FAILED"} ${"tests".padEnd(10)} ${seconds.padStart(6)} s`,
  );
  return count;
}
