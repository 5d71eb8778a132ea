import { once } from "node:events";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { defineHandler, jobTypes } from "@jobyard/core";
import { expect, test } from "vitest";
import { exportData, exportResult, temporaryFolder } from "../running-server.ts";
import { guarded, native, refusal } from "./client.ts";

const bytes = new TextEncoder();

test("put, list, read, replace, remove", async () => {
  const { url, call, data } = await native();
  const path = "wells/2031/north-3.csv";
  const put = await data("PUT", `/files/${encodeURIComponent(path)}`, bytes.encode("a,b\n1,2\n"));
  expect(put).toMatchObject({ path, name: "north-3.csv", bytes: 8 });
  expect(put.contentType).toContain("text/csv");
  // With its slashes as they are, too.
  const file = await fetch(`${url}/files/${path}`);
  expect(await file.text()).toBe("a,b\n1,2\n");
  expect(file.headers.get("content-disposition")).toBe('attachment; filename="north-3.csv"');
  const part = await fetch(`${url}/files/${path}`, { headers: { Range: "bytes=4-6" } });
  expect([part.status, await part.text()]).toEqual([206, "1,2"]);
  const head = await fetch(`${url}/files/${path}`, { method: "HEAD" });
  expect([head.status, head.headers.get("content-length")]).toEqual([200, "8"]);

  await data("PUT", `/files/${encodeURIComponent(path)}`, bytes.encode("c\n"));
  expect(await (await fetch(`${url}/files/${path}`)).text()).toBe("c\n");
  expect(await data("GET", "/files")).toMatchObject({
    items: [{ name: "wells", path: "wells", kind: "folder", bytes: null }],
  });
  expect(await data("GET", "/files?folder=wells/2031")).toMatchObject({
    items: [{ name: "north-3.csv", path, kind: "file", bytes: 2 }],
  });
  expect(await data("GET", "/files?folder=nothing/there")).toEqual({ items: [] });
  expect(await data("DELETE", `/files/${encodeURIComponent(path)}`)).toEqual({ path });
  for (const method of ["GET", "DELETE"]) {
    expect(await call(method, `/files/${encodeURIComponent(path)}`)).toMatchObject(
      refusal(404, "FILE_NOT_FOUND"),
    );
  }
});

test("no name leads out of the tenant's folder, or into Jobyard's own", async () => {
  const DATA_DIR = await temporaryFolder();
  const { url } = await native({ env: { DATA_DIR } });
  const folder = join(DATA_DIR, "files", "default");
  await mkdir(folder, { recursive: true });
  await writeFile(join(DATA_DIR, "secret.txt"), "outside");
  await symlink(join(DATA_DIR, "secret.txt"), join(folder, "link.txt"));
  await symlink(DATA_DIR, join(folder, "away"));
  const names = [
    "../../secret.txt",
    "a/../../../secret.txt",
    ".jobyard/results/1/x.csv",
    ".JOBYARD/x",
    "link.txt",
    "away/secret.txt",
    "a\\b",
    "a%00b",
    "naïve.txt",
    "a\nb",
    "folder/",
    ".",
    "..",
    "x".repeat(256),
    "x".repeat(1025),
  ];
  for (const name of names) {
    for (const [method, body] of [["GET"], ["DELETE"], ["PUT", bytes.encode("in")]] as const) {
      const init = body === undefined ? { method } : { method, body };
      const response = await fetch(`${url}/files/${encodeURIComponent(name)}`, init);
      // Addresses lose their dots on the way; what is left names nothing.
      expect([name, method, response.status]).toEqual([
        name,
        method,
        expect.toBeOneOf([400, 404, 405]),
      ]);
      expect(await response.text()).not.toContain(DATA_DIR);
    }
  }
  expect(await readFile(join(DATA_DIR, "secret.txt"), "utf8")).toBe("outside");
  // `.jobyard` has what uploads are gathered in.
  expect(await readdir(folder)).toEqual([".jobyard", "away", "link.txt"]);
  expect(await readdir(join(folder, ".jobyard"))).toEqual(["tmp"]);
  expect(await readdir(join(folder, ".jobyard", "tmp"))).toEqual([]);
});

test("a file that is too long, or cut off, leaves nothing", async () => {
  const { url, call, data } = await native({ env: { MAX_FILE_BYTES: "1000" } });
  expect(await call("PUT", "/files/long.bin", new Uint8Array(1001))).toMatchObject(
    refusal(413, "INVALID_JOB_DATA"),
  );
  expect(await data("PUT", "/files/right.bin", new Uint8Array(1000))).toMatchObject({
    bytes: 1000,
  });
  const cut = request(`${url}/files/cut.bin`, {
    method: "PUT",
    headers: { "Content-Length": "900" },
  });
  cut.on("error", () => undefined);
  cut.write(new Uint8Array(400));
  await once(cut, "socket");
  await expect.poll(() => cut.writableLength).toBe(0);
  cut.destroy();
  await expect
    .poll(async () => (await data("GET", "/files")).items)
    .toMatchObject([{ name: "right.bin" }]);
});

test("each tenant has its own", async () => {
  const { as } = await guarded();
  const acme = await as({ tenantId: "acme" });
  const beta = await as({ tenantId: "beta" });
  await acme.data("PUT", "/files/plan.txt", bytes.encode("acme's"));
  expect(await beta.call("GET", "/files/plan.txt")).toMatchObject(refusal(404, "FILE_NOT_FOUND"));
  expect(await beta.data("GET", "/files")).toEqual({ items: [] });
  expect((await acme.data("GET", "/files")).items).toHaveLength(1);
});

test("the files that a job has made", async () => {
  const DATA_DIR = await temporaryFolder();
  const handler = defineHandler(jobTypes.data_export, async () => exportResult);
  const { url, call, add, data } = await native({ env: { DATA_DIR }, handlers: [handler] });
  const id = await add({ queue: "data_export", data: exportData });
  await data("POST", `/jobs/${id}/wait`);
  expect(await data("GET", `/jobs/${id}/files`)).toEqual({ items: [] });
  const folder = join(DATA_DIR, "files", "default", ".jobyard", "results", id);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "rows.csv"), "x\n1\n");
  const { items } = await data("GET", `/jobs/${id}/files`);
  expect(items).toMatchObject([{ name: "rows.csv", bytes: 4 }]);
  expect(await (await fetch(new URL(items[0].href, url))).text()).toBe("x\n1\n");
  expect(await call("GET", `/jobs/${id}/files/other.csv`)).toMatchObject(
    refusal(404, "FILE_NOT_FOUND"),
  );
});
