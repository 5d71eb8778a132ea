import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { temporaryFolder } from "../running-server.ts";
import { guarded, native, refusal, token } from "./client.ts";

describe.each(engines)("the server on %s", (engine) => {
  const name = engine === "redis" ? "bullmq" : "sqlite";

  test("health, nodes and who calls", async () => {
    const { data } = await native({ engine });
    expect(await data("GET", "/health")).toMatchObject({
      status: "healthy",
      engine: name,
      reachable: true,
    });
    const { items } = await data("GET", "/nodes");
    const { server, ...me } = await data("GET", "/whoami");
    expect(me).toEqual({
      subject: null,
      tenant: "default",
      roles: ["ADMIN"],
      may: ["read", "operate", "administer", "system"],
      open: true,
      expiresAt: null,
    });
    expect(server).toMatchObject({ engine: name, version: expect.stringMatching(/^\d+\.\d+/) });
    expect(items).toMatchObject([{ id: server.node, isLeader: true }]);
  });

  test("a manager is told what it may do", async () => {
    const { as, url } = await guarded({ engine });
    const { data } = await as({ sub: "mo", roles: ["MANAGER"], tenantId: "acme" });
    expect(await data("GET", "/whoami")).toMatchObject({
      subject: "mo",
      tenant: "acme",
      roles: ["MANAGER"],
      may: ["read"],
      open: false,
      expiresAt: expect.stringMatching(/Z$/),
    });
    // No date says when.
    for (const exp of [1e300, 1e14, Date.UTC(10_000, 0) / 1000]) {
      const headers = { Authorization: `Bearer ${await token({}, exp)}` };
      const response = await fetch(`${url}/whoami`, { headers });
      const body = (await response.json()) as { readonly data: { readonly expiresAt: unknown } };
      expect([exp, response.status, body.data.expiresAt]).toEqual([exp, 200, null]);
    }
  });
});

test("settings are told without secrets", async () => {
  const { data, call } = await native({
    env: {
      API_TOKENS: "t0ken-of-mine",
      SMTP_HOST: "mail.example.com",
      SMTP_USER: "ana",
      SMTP_PASS: "pa55word",
      WORKER_SERVICE_URL: "https://ana:pa55word@worker.example.com/?key=k3y",
    },
  });
  expect(await call("GET", "/settings")).toMatchObject(refusal(401, "AUTHENTICATION_ERROR"));
  const { as } = await guarded({ env: { API_TOKENS: "t0ken-of-mine" } });
  const admin = await as({ tenantId: "*" });
  const text = JSON.stringify(await admin.data("GET", "/settings"));
  expect(text).toContain('"apiTokens":"***"');
  expect(text).toContain('"jwtSecret":"***"');
  for (const secret of ["t0ken", "native-to", "pa55word", "k3y"]) {
    expect(text).not.toContain(secret);
  }
  void data;
});

test("the job types with their schemas", async () => {
  const { data } = await native();
  const { items } = await data("GET", "/job-types");
  expect(items).toHaveLength(12);
  const exports = items.find(({ queue }: { queue: string }) => queue === "data_export");
  expect(exports.data).toMatchObject({
    type: "object",
    properties: { datasetId: { type: "string" } },
    required: expect.arrayContaining(["datasetId"]),
  });
});

test("a backup of the embedded engine opens as a store of its own, with every job", async () => {
  const { url, data } = await native();
  const jobs = Array.from({ length: 1000 }, (_, n) => ({ queue: "kept", data: { n } }));
  for (let n = 0; n < 5; n++) await data("POST", "/jobs/bulk", { jobs });
  // Others go on while it is made.
  const [response] = await Promise.all([
    fetch(`${url}/backup`),
    ...Array.from({ length: 20 }, () => data("POST", "/jobs/bulk", { jobs: jobs.slice(0, 50) })),
  ]);
  expect(response.headers.get("content-disposition")).toContain("jobyard.db");
  const DATA_DIR = await temporaryFolder();
  const file = new Uint8Array(await response.arrayBuffer());
  await writeFile(join(DATA_DIR, "jobyard.db"), file);
  const restored = await native({ env: { DATA_DIR } });
  const { total, items } = await restored.data("GET", "/jobs?order=asc&include=data&limit=1000");
  expect(total).toBeGreaterThanOrEqual(5000);
  expect(items.map((job: { data: unknown }) => job.data)).toEqual(jobs.map((job) => job.data));
  // It lives.
  await restored.add({ queue: "kept" });
  const head = await fetch(`${url}/backup`, { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
});

test("Redis makes its own backups", async () => {
  const { call } = await native({ engine: "redis" });
  const { status, body } = await call("GET", "/backup");
  expect([status, body.details.code]).toEqual([409, "INVALID_STATE"]);
  expect(body.error).toContain("redis-cli --rdb");
});
