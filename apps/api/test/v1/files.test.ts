import { once } from "node:events";
import { readdir, readlink, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { defineHandler, jobTypes } from "@jobyard/core";
import { Storage } from "@jobyard/handlers";
import { SignJWT } from "jose";
import { expect, onTestFinished, test } from "vitest";
import { exportData, serve, temporaryFolder } from "../running-server.ts";

const secret = "a-secret-of-the-tests-that-is-long-enough";
const content = Buffer.from("id,grüße\r\n".repeat(300_000));

async function bearer(tenantId: string, role: string): Promise<Record<string, string>> {
  const jwt = new SignJWT({ sub: "ana", tenantId, role }).setProtectedHeader({ alg: "HS256" });
  const signed = await jwt.setExpirationTime("5m").sign(new TextEncoder().encode(secret));
  return { Authorization: `Bearer ${signed}` };
}

/** A server with one finished export of Acme's; answers where its file is. */
async function exported() {
  const folder = await temporaryFolder();
  const files = new Storage({ root: join(folder, "files") });
  onTestFinished(() => files.close());
  const handler = defineHandler(jobTypes.data_export, async ({ job }) => {
    const write = (path: string) => writeFile(path, content);
    const file = await files.of(job.tenant).writeResult(job.id, "export.csv", write);
    return { file: { ...file }, rowsWritten: 300_000 };
  });
  const env = { DATA_DIR: folder, JWT_SECRET: secret };
  const { call, url } = await serve({ handlers: [handler], env });
  const headers = await bearer("acme", "OPERATOR");
  const data = { type: "data_export", data: exportData };
  const { jobId } = (await call("POST", "/api/v1/jobs", data, headers)).body.data;
  const ended = await call("POST", `/api/v1/jobs/${jobId}/wait`, {}, headers);
  expect(ended.body.data).toMatchObject({
    status: "completed",
    result: { file: { name: "export.csv", size: content.length } },
  });
  const path = `/api/v1/jobs/${jobId}/files/export.csv`;
  return { call, url, path, address: `${url}${path}`, headers, folder };
}

test("a result's file is streamed to be saved, whoever of the tenant may read", async () => {
  const { address } = await exported();
  const response = await fetch(address, { headers: await bearer("acme", "MANAGER") });
  expect(response.status).toBe(200);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "content-type": "text/csv; charset=utf-8; header=present",
    "content-length": String(content.length),
    "content-disposition": 'attachment; filename="export.csv"',
    "x-content-type-options": "nosniff",
    "accept-ranges": "bytes",
  });
  expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
});

test("HEAD tells the same and sends nothing", async () => {
  const { address, headers } = await exported();
  const response = await fetch(address, { method: "HEAD", headers });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-length")).toBe(String(content.length));
  expect(await response.text()).toBe("");
});

test.each([
  ["bytes=0-9", 0, 10],
  ["bytes=100-", 100, content.length],
  ["bytes=-7", content.length - 7, content.length],
  ["bytes=5-999999999", 5, content.length],
])("the range %s", async (range, start, end) => {
  const { address, headers } = await exported();
  const response = await fetch(address, { headers: { ...headers, Range: range } });
  expect(response.status).toBe(206);
  expect(response.headers.get("content-range")).toBe(`bytes ${start}-${end - 1}/${content.length}`);
  const got = Buffer.from(await response.arrayBuffer());
  expect(got.equals(content.subarray(start, end))).toBe(true);
});

test("ranges that it does not have, and those that are none", async () => {
  const { address, headers } = await exported();
  const get = (Range: string) => fetch(address, { headers: { ...headers, Range } });
  for (const range of ["bytes=99999999-", "bytes=-0"]) {
    const response = await get(range);
    expect(response.status).toBe(416);
    expect(response.headers.get("content-range")).toBe(`bytes */${content.length}`);
    expect(await response.text()).toBe("");
  }
  for (const range of ["bytes=9-3", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=x-9"]) {
    const response = await get(range);
    expect(response.status).toBe(200);
    expect((await response.arrayBuffer()).byteLength).toBe(content.length);
  }
});

test("a file that is known already is not sent again", async () => {
  const { address, headers } = await exported();
  const tag = (await fetch(address, { method: "HEAD", headers })).headers.get("etag") ?? "";
  const again = await fetch(address, { headers: { ...headers, "If-None-Match": `"x", ${tag}` } });
  expect([again.status, await again.text()]).toEqual([304, ""]);
  const ifRange = (etag: string) =>
    fetch(address, { headers: { ...headers, Range: "bytes=0-3", "If-Range": etag } });
  expect((await ifRange(tag)).status).toBe(206);
  expect((await ifRange('"other"')).status).toBe(200);
});

test("no file, no job, another tenant's job", async () => {
  const { call, path, headers, folder } = await exported();
  const get = (of: string, as = headers) => call("GET", of, undefined, as);
  const missing = { status: 404, body: { success: false, details: { code: "FILE_NOT_FOUND" } } };
  const unknown = { status: 404, body: { success: false, details: { code: "JOB_NOT_FOUND" } } };
  await writeFile(join(folder, "files/acme/secret.csv"), "x");
  const base = path.slice(0, path.lastIndexOf("/"));
  for (const name of ["none.csv", "..%2f..%2f..%2fsecret.csv", "a%00b", "export.csv%20"]) {
    expect(await get(`${base}/${name}`)).toMatchObject(missing);
  }
  expect(await get(path, await bearer("other", "ADMIN"))).toMatchObject(unknown);
  expect(await get("/api/v1/jobs/12345/files/export.csv")).toMatchObject(unknown);
  expect(await get("/api/v1/jobs/nonsense/files/export.csv")).toMatchObject(unknown);
  expect((await call("GET", path)).status).toBe(401);
  expect((await call("POST", path, {}, headers)).status).toBe(405);
});

test("every tenant's ADMIN reads any tenant's file", async () => {
  const { address } = await exported();
  const response = await fetch(address, { headers: await bearer("*", "ADMIN") });
  expect((await response.arrayBuffer()).byteLength).toBe(content.length);
});

test.runIf(process.platform === "linux")(
  "a caller that goes away leaves no file open",
  async () => {
    const { address, headers } = await exported();
    const asked = request(address, { headers }).end();
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    await once(response, "data");
    response.pause();
    expect(await openExports()).toBe(1);
    asked.destroy();
    await expect.poll(openExports).toBe(0);
  },
);

async function openExports(): Promise<number> {
  const links = await Promise.all(
    (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")),
  );
  return links.filter((link) => link.endsWith("export.csv")).length;
}
