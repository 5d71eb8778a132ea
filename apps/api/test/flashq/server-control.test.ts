import { describe, expect, test } from "vitest";
import { emptyEngine, engines } from "../engines.ts";
import { call, startApi } from "../running-process.ts";
import { serve, temporaryFolder } from "../running-server.ts";

const token = "of-the-operators-0123456789";
const Authorization = `Bearer ${token}`;

describe.each(engines)("on the %s engine", (engine) => {
  test("shutdown answers, lets the process end in order, and keeps its jobs", async () => {
    const env = { ...(await emptyEngine(engine)), DATA_DIR: await temporaryFolder() };
    const api = await startApi(env);
    const [url = ""] = api.urls;
    await call(url, "POST", "/queues/paintings/jobs", { data: 1 });
    const { status, body } = await call(url, "POST", "/server/shutdown");
    expect([status, body]).toEqual([200, { ok: true, data: null, error: null }]);
    expect(await api.ended).toMatchObject({ code: 0, err: "" });
    const next = await startApi(env);
    const kept = await call(next.urls[0] ?? "", "GET", "/jobs/1");
    expect(kept.body.data).toMatchObject({ state: "waiting", data: 1 });
  });

  test("restart puts another process in its place, which ends with the first one's signal", async () => {
    const env = { ...(await emptyEngine(engine)), DATA_DIR: await temporaryFolder() };
    const api = await startApi(env);
    const [url = ""] = api.urls;
    await call(url, "POST", "/queues/paintings/jobs", { data: { colour: "blue" } });
    const pids = new Set([api.child.pid]);
    let current = url;
    for (let round = 1; round <= 2; round++) {
      const { status } = await call(current, "POST", "/server/restart");
      expect(status).toBe(200);
      const ready = (): readonly string[] =>
        api.lines.filter((line) => line.includes("is ready on"));
      await expect.poll(ready).toHaveLength(round + 1);
      const told = JSON.parse(ready().at(-1) ?? "") as { pid: number; urls: readonly string[] };
      expect(pids.has(told.pid)).toBe(false);
      pids.add(told.pid);
      current = told.urls[0] ?? "";
      const { body } = await call(current, "GET", "/jobs/1");
      expect(body.data).toMatchObject({ state: "waiting", data: { colour: "blue" } });
    }
    api.child.kill("SIGTERM");
    expect(await api.ended).toMatchObject({ code: 0 });
    await expect(fetch(`${current}/health`)).rejects.toThrow("fetch failed");
  });
});

test("a successor does not outlive its launcher", async () => {
  const api = await startApi({ DATA_DIR: await temporaryFolder() });
  await call(api.urls[0] ?? "", "POST", "/server/restart");
  const ready = (): readonly string[] => api.lines.filter((line) => line.includes("is ready on"));
  await expect.poll(ready).toHaveLength(2);
  api.child.kill("SIGKILL");
  await api.line(/The launcher is gone: stopping/);
  // Its output is closed once it has ended.
  await api.ended;
});

test.each(engines)("what concerns every tenant is for those who may, %s", async (engine) => {
  const secret = "a-secret-of-the-control-tests-0123456789";
  const api = await serve({ engine, env: { API_TOKENS: token, JWT_SECRET: secret }, handlers: [] });
  const { body } = await api.call("GET", "/settings", undefined, { Authorization });
  expect(body.data).toMatchObject({
    engine: engine === "embedded" ? "sqlite" : "bullmq",
    database_connected: true,
    auth_enabled: true,
    auth_token_count: 1,
    uptime_seconds: expect.any(Number),
  });
  expect(JSON.stringify(body)).not.toContain(secret);
  expect(JSON.stringify(body)).not.toContain(token);
  const nodes = await api.call("GET", "/cluster/nodes", undefined, { Authorization });
  expect(nodes.body.data).toEqual([
    {
      node_id: expect.any(String),
      host: "127.0.0.1",
      port: Number(new URL(api.url).port),
      is_leader: true,
      last_heartbeat: expect.any(Number),
      started_at: expect.any(Number),
    },
  ]);
  // Part of another program: only that can start it anew.
  const refused = await api.call("POST", "/server/restart", undefined, { Authorization });
  expect(refused.status).toBe(409);
});
