import { expect, test } from "vitest";
import { run } from "./running-process.ts";
import { serve, temporaryFolder } from "./running-server.ts";

const file = "apps/api/src/dev-token.ts";

test("a development token is taken by the open server of its folder, and by no other", async () => {
  const DATA_DIR = await temporaryFolder();
  const { code, out } = await run(file, { DATA_DIR }).ended;
  expect(code).toBe(0);
  const headers = { Authorization: `Bearer ${out.trim()}` };
  const own = await serve({ handlers: [], env: { DATA_DIR } });
  expect((await own.call("GET", "/api/jobs/queues", undefined, headers)).status).toBe(200);
  const other = await serve({ handlers: [] });
  expect((await other.call("GET", "/api/jobs/queues", undefined, headers)).status).toBe(401);
  const schedule = { name: "x", cron: "* * * * *", jobData: {} };
  const { out: reader } = await run(file, { DATA_DIR }, ["MANAGER", "acme"]).ended;
  const refused = await own.call("POST", "/api/jobs/schedules", schedule, {
    Authorization: `Bearer ${reader.trim()}`,
  });
  expect(refused.status).toBe(403);
});

test("where tokens are configured there are no development tokens", async () => {
  const env = { DATA_DIR: await temporaryFolder(), API_TOKENS: "abc" };
  const { code, out, err } = await run(file, env).ended;
  expect(code).toBe(1);
  expect(out).toBe("");
  expect(err).toContain("API_TOKENS");
});
