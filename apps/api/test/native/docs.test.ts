import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryFolder } from "../running-server.ts";
import { native } from "./client.ts";

const page = readFileSync(new URL("../../../../docs/native-api.md", import.meta.url), "utf8");

test("what the page shows runs from its beginning to its end", async () => {
  const { url, data } = await native();
  const blocks = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text = ""]) => text);
  expect(blocks.length).toBeGreaterThan(6);
  const script = blocks.join("\n").replace("http://localhost:3001/api/native", url);
  const cwd = await temporaryFolder();
  const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", script], { cwd });
  for (const text of [
    '"added":2',
    '"total":2',
    '"done":true',
    '"state":"completed"',
    '"local":"',
    "A-1,212",
    "retry: 1000",
    '"engine":"sqlite"',
  ]) {
    expect(stdout).toContain(text);
  }
  expect(stdout).not.toContain('"success":false');
  expect((await data("GET", "/jobs?state=completed")).total).toBe(1);
});
