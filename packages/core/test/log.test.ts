import { execFile } from "node:child_process";
import { expect, test } from "vitest";

const log = new URL("../src/process/log.ts", import.meta.url).href;

/** What a process prints that runs this with a `log`, and how it ends. */
function printed(script: string): Promise<{ code: number; lines: string[] }> {
  const source = `import { createLogger } from ${JSON.stringify(log)};
    const log = createLogger("info", false);
    ${script}`;
  const args = ["--conditions=@jobyard/source", "--input-type=module", "--eval", source];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, (_, out) => {
      const lines = out
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { msg: string }).msg);
      resolve({ code: child.exitCode ?? -1, lines });
    });
  });
}

test("lines are in order and none is lost, however the process ends", async () => {
  const hundred = Array.from({ length: 100 }, (_, i) => `line ${i}`);
  const loop = "for (let i = 0; i < 100; i++) log.info(`line ${i}`);";
  expect(await printed(loop)).toEqual({ code: 0, lines: hundred });
  expect(await printed(`${loop} process.exit(3);`)).toEqual({ code: 3, lines: hundred });
  expect(await printed(`${loop} throw new Error("nobody catches it");`)).toEqual({
    code: 1,
    lines: hundred,
  });
  expect(
    await printed(`${loop} log.fatal("the last"); process.kill(process.pid, "SIGKILL");`),
  ).toEqual({
    code: -1,
    lines: [...hundred, "the last"],
  });
  const later = "await Promise.resolve(); log.info('later'); process.kill(process.pid, 'SIGKILL');";
  // What a killed process logged in its last go alone can be lost.
  const before = `${loop} setImmediate(async () => { ${later} });`;
  expect((await printed(before)).lines.slice(0, 100)).toEqual(hundred);
});
