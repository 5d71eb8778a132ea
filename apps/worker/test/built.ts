/** Runs the built worker beside the built service, on Redis. Part of the check of the package, since tests run the source. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, startBuilt } from "../../api/test/built-process.ts";
import { startRedis } from "../../../packages/core/test/redis.ts";

const redis = await startRedis();
const DATA_DIR = mkdtempSync(join(tmpdir(), "jobyard-built-"));
const shared = { REDIS_URL: redis.url, DATA_DIR };
const ports = { HTTP_PORTS: "0", TCP_PORT: "0", GRPC_PORT: "0" };
try {
  const service = await startBuilt("apps/api/dist/main.js", {
    ...shared,
    ...ports,
    INLINE_WORKER: "false",
  });
  const worker = await startBuilt("apps/worker/dist/main.js", { ...shared, WORKER_PORT: "0" });
  assert.equal((await ask(`${worker.url}/health`))["status"], "healthy");
  const { jobId } = await ask(`${service.url}/api/v1/jobs`, {
    type: "sentiment_analysis_batch",
    data: { texts: ["Lovely.", "Dreadful."] },
  });
  const ended = await ask(`${service.url}/api/v1/jobs/${String(jobId)}/wait`, { timeout: 60_000 });
  assert.equal(ended["status"], "completed", JSON.stringify(ended));
  await worker.stop();
  await service.stop();
} finally {
  await redis.stop();
  rmSync(DATA_DIR, { recursive: true });
}
