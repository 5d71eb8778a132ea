/** Runs the built service. Part of the check of the package, since tests run the source. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, startBuilt } from "./built-process.ts";

const DATA_DIR = mkdtempSync(join(tmpdir(), "jobyard-built-"));
const ports = { HTTP_PORTS: "0", TCP_PORT: "0", GRPC_PORT: "0" };
try {
  const service = await startBuilt("apps/api/dist/main.js", { ...ports, DATA_DIR });
  assert.equal((await ask(`${service.url}/health`))["status"], "healthy");
  // Its handler works on a thread.
  const { jobId } = await ask(`${service.url}/api/v1/jobs`, {
    type: "sentiment_analysis_batch",
    data: { texts: ["Lovely.", "Dreadful."] },
  });
  const ended = await ask(`${service.url}/api/v1/jobs/${String(jobId)}/wait`, { timeout: 60_000 });
  assert.equal(ended["status"], "completed", JSON.stringify(ended));
  await service.stop();
} finally {
  rmSync(DATA_DIR, { recursive: true });
}
