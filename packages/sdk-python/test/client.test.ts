import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { wellflow, token } from "../../../apps/api/test/wellflow/client.ts";

test("the Python client against a server", async () => {
  const { url } = await wellflow({ handlers: [] });
  const script = join(import.meta.dirname, "client_test.py");
  const { stderr } = await promisify(execFile)("python3", ["-B", script, url, await token()], {
    env: { ...process.env, PYTHONPATH: join(import.meta.dirname, "../src") },
  });
  expect(stderr).toMatch(/Ran 4 tests[^]*OK/);
});
