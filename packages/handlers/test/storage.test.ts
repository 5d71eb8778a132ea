import { execFileSync } from "node:child_process";
import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isPublicAddress } from "../src/public-http.ts";
import { S3Server } from "./s3-server.ts";
import { Storage, type TenantFiles } from "../src/storage.ts";

const DATASET = "6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b";
const small = { maxBytes: 1000 };
const present = async (_: string, ids: readonly number[]) => ids.map(() => true);

let root: string;
let storage: Storage;
let files: TenantFiles;
let servers: Server[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "storage-"));
  storage = new Storage({ root });
  files = storage.of("acme");
  servers = [];
  await mkdir(join(root, "acme/in"), { recursive: true });
  await writeFile(join(root, "acme/in/a.csv"), "x\n1\n");
  await mkdir(join(root, "other"));
  await writeFile(join(root, "other/secret.csv"), "secret\n");
});

afterEach(async () => {
  for (const server of servers) server.close();
  await storage.close();
  await rm(root, { recursive: true });
});

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("a tenant's own files", () => {
  it.each(["in/a.csv", "/in/a.csv", "./in//a.csv"])("finds %s", async (filePath) => {
    const file = await files.local({ filePath }, small);
    expect(file).toMatchObject({ size: 4, name: "a.csv" });
    expect(await readFile(file.path, "utf8")).toBe("x\n1\n");
    await file.release();
    expect(await readdir(join(root, "acme/in"))).toEqual(["a.csv"]);
  });

  it.each(["in/a.csv", "/in/a.csv", "file:in/a.csv", "file:///in/a.csv"])(
    "finds the address %s",
    async (fileUrl) => {
      await expect(files.local({ fileUrl }, small)).resolves.toMatchObject({ size: 4 });
    },
  );

  it.each([
    "../other/secret.csv",
    "in/../../other/secret.csv",
    "in/..",
    "in/%2e%2e/a.csv",
    "in\\a.csv",
    "in/a.csv\0",
    "in/a b.csv",
    "in/",
    "/",
    ".",
    ".jobyard/records/x",
    "/.Jobyard/records/x",
    "",
  ])("refuses %j", async (filePath) => {
    await expect(files.local({ filePath }, small)).rejects.toMatchObject({
      code: "FILE_REFUSED",
      dataFault: true,
    });
  });

  it.each(["in/none.csv", "none/a.csv", "in/a.csv/b", `in/${"x".repeat(200)}`])(
    "says that %s is not there",
    async (filePath) => {
      await expect(files.local({ filePath }, small)).rejects.toMatchObject({
        code: "FILE_NOT_FOUND",
        dataFault: true,
      });
    },
  );

  it("refuses links, pipes, folders and devices", async () => {
    const folder = join(root, "acme/in");
    await symlink(join(root, "other/secret.csv"), join(folder, "link.csv"));
    await symlink(join(folder, "a.csv"), join(folder, "inner.csv"));
    await symlink(join(root, "other"), join(root, "acme/elsewhere"));
    await link(join(root, "other/secret.csv"), join(folder, "hard.csv"));
    execFileSync("mkfifo", [join(folder, "pipe.csv")]);
    await symlink("/dev/zero", join(folder, "zero.csv"));
    const names = ["link", "inner", "hard", "pipe", "zero"].map((name) => `in/${name}.csv`);
    for (const filePath of [...names, "elsewhere/secret.csv", "in"]) {
      await expect(files.local({ filePath }, small)).rejects.toMatchObject({
        code: "FILE_REFUSED",
      });
    }
  });

  it("refuses files over the limit and names them", async () => {
    await expect(files.local({ filePath: "in/a.csv" }, { maxBytes: 3 })).rejects.toMatchObject({
      code: "FILE_TOO_LARGE",
      message: "in/a.csv: 4 bytes or more, at most 3 are taken",
    });
  });

  it("takes files in whole or not at all, and removes them", async () => {
    const put = (text: string, maxBytes: number) =>
      files.put("new/deep/b.csv", Readable.from([Buffer.from(text)]), { maxBytes });
    await expect(put("12345", 5)).resolves.toEqual({ size: 5 });
    await expect(put("123456", 5)).rejects.toMatchObject({ code: "FILE_TOO_LARGE" });
    expect(await readFile(join(root, "acme/new/deep/b.csv"), "utf8")).toBe("12345");
    expect(await readdir(join(root, "acme/.jobyard/tmp"))).toEqual([]);
    expect(await files.remove("new/deep/b.csv")).toBe(true);
    expect(await files.remove("new/deep/b.csv")).toBe(false);
  });

  it("opens files to be read, in whole or in part", async () => {
    const read = async (path: string, range?: { start: number; end?: number }) => {
      const file = await files.open(path);
      return Buffer.concat(await file.read(range).toArray()).toString();
    };
    expect(await read("in/a.csv")).toBe("x\n1\n");
    expect(await read("in/a.csv", { start: 2, end: 3 })).toBe("1");
    expect(await read("in/a.csv", { start: 4 })).toBe("");
    const file = await files.open("in/a.csv");
    expect(file).toMatchObject({
      name: "a.csv",
      size: 4,
      contentType: expect.stringContaining("csv"),
    });
    await files.put("in/a.csv", Readable.from([Buffer.from("new")]), small);
    expect(Buffer.concat(await file.read().toArray()).toString()).toBe("x\n1\n");
    expect(await files.stat("in/a.csv")).toMatchObject({ name: "a.csv", size: 3 });
    for (const call of [() => files.open("in/none.csv"), () => files.stat("in/none.csv")]) {
      await expect(call()).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    }
    for (const path of ["../other/secret.csv", "in"]) {
      await expect(files.open(path)).rejects.toMatchObject({ code: "FILE_REFUSED" });
    }
    await expect(files.stat("in")).rejects.toMatchObject({ code: "FILE_REFUSED" });
  });

  it("lists folders, without what it keeps itself or a link", async () => {
    await mkdir(join(root, "acme/in/deep"));
    await symlink(join(root, "other"), join(root, "acme/in/elsewhere"));
    await files.putRecord("geometry", "x", 1);
    const listed = async (folder?: string) =>
      (await files.list(folder)).sort((a, b) => a.name.localeCompare(b.name));
    expect(await listed()).toEqual([{ name: "in", kind: "folder" }]);
    expect(await listed("/")).toEqual([{ name: "in", kind: "folder" }]);
    for (const folder of ["in", "/in/"]) {
      expect(await listed(folder)).toEqual([
        { name: "a.csv", kind: "file" },
        { name: "deep", kind: "folder" },
      ]);
    }
    expect(await listed("none")).toEqual([]);
    expect(await storage.of("nobody").list()).toEqual([]);
    for (const folder of ["in/elsewhere", "..", "in/../..", ".jobyard", "in/a.csv"]) {
      await expect(files.list(folder)).rejects.toMatchObject({ code: "FILE_REFUSED" });
    }
  });

  it("writes nothing through a link", async () => {
    await symlink(join(root, "other"), join(root, "acme/elsewhere"));
    const put = files.put("elsewhere/b.csv", Readable.from([Buffer.from("x")]), small);
    await expect(put).rejects.toMatchObject({ code: "FILE_REFUSED" });
    expect(await readdir(join(root, "other"))).toEqual(["secret.csv"]);
  });

  it("knows tenants by name only", () => {
    for (const tenant of ["", "..", "a/b", "*", "a.b", "x".repeat(129)]) {
      expect(() => storage.of(tenant)).toThrow(TypeError);
    }
  });
});

describe("files at addresses", () => {
  it.each([
    "s3://bucket/acme/a.csv",
    "ftp://example.com/a.csv",
    "http://127.0.0.1:1/a.csv",
    "http://localhost:1/a.csv",
    "http://[::1]:1/a.csv",
    "http://[::ffff:10.0.0.1]/a.csv",
    "http://169.254.169.254/latest/meta-data",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://user:pass@example.com/",
    "file:../other/secret.csv",
  ])("refuses %s", async (fileUrl) => {
    await expect(files.local({ fileUrl }, small)).rejects.toMatchObject({
      code: "FILE_REFUSED",
      dataFault: true,
    });
  });

  it("fetches to a temporary file and removes it", async () => {
    await storage.close();
    storage = new Storage({ root, allowPrivateHttp: true });
    const base = await serve((request, response) => {
      if (request.url === "/from.csv") response.writeHead(302, { location: "/to.csv" }).end();
      else response.end("fetched");
    });
    const file = await storage.of("acme").local({ fileUrl: `${base}/from.csv` }, small);
    expect(await readFile(file.path, "utf8")).toBe("fetched");
    expect(file).toMatchObject({ size: 7, name: "from.csv" });
    await file.release();
    expect(await readdir(join(root, "acme/.jobyard/tmp"))).toEqual([]);
  });

  it.each([
    [404, "FILE_NOT_FOUND", true],
    [403, "FILE_REFUSED", true],
    [503, "TEMPORARY_FAILURE", false],
    [429, "TEMPORARY_FAILURE", false],
  ])("tells a %d for what it is", async (status, code, dataFault) => {
    await storage.close();
    storage = new Storage({ root, allowPrivateHttp: true });
    const base = await serve((_, response) => response.writeHead(status).end());
    const local = storage.of("acme").local({ fileUrl: `${base}/a.csv` }, small);
    await expect(local).rejects.toMatchObject({ code, dataFault });
  });

  it("bounds what it fetches, told or not, and redirects", async () => {
    await storage.close();
    storage = new Storage({ root, allowPrivateHttp: true });
    const base = await serve((request, response) => {
      if (request.url === "/loop") response.writeHead(302, { location: "/loop" }).end();
      else if (request.url === "/told") response.end("x".repeat(2000));
      else Readable.from(Array.from({ length: 9 }, () => "x".repeat(200))).pipe(response);
    });
    for (const [name, code] of [
      ["told", "FILE_TOO_LARGE"],
      ["untold", "FILE_TOO_LARGE"],
      ["loop", "FILE_REFUSED"],
    ]) {
      const local = storage.of("acme").local({ fileUrl: `${base}/${name}` }, small);
      await expect(local).rejects.toMatchObject({ code });
    }
    expect(await readdir(join(root, "acme/.jobyard/tmp"))).toEqual([]);
  });

  it("tells an unreachable server as the network's fault", async () => {
    await storage.close();
    storage = new Storage({ root, allowPrivateHttp: true });
    const local = storage.of("acme").local({ fileUrl: "http://127.0.0.1:1/a" }, small);
    await expect(local).rejects.toMatchObject({ code: "NETWORK_ERROR", dataFault: false });
  });

  it("knows public addresses", () => {
    expect(isPublicAddress("93.184.216.34")).toBe(true);
    expect(isPublicAddress("2606:4700::1111")).toBe(true);
    const inner = [
      ..."10.1.2.3 172.16.0.1 192.168.0.1 127.0.0.1 0.0.0.0 169.254.1.1 100.64.0.1".split(" "),
      ..."224.0.0.1 255.255.255.255 :: ::1 fe80::1 fc00::1 ::ffff:127.0.0.1".split(" "),
      ..."64:ff9b::7f00:1 2002:7f00:1:: 2001:0:1::1 ff02::1 name".split(" "),
    ];
    expect(inner.filter(isPublicAddress)).toEqual([]);
  });
});

describe("objects in S3", () => {
  const keys = { accessKeyId: "AKIATEST", secretAccessKey: "s3cr3t/+key", sessionToken: "token==" };
  let s3: S3Server;

  beforeEach(async () => {
    await storage.close();
    s3 = new S3Server("bucket", keys);
    const endpoint = await s3.start();
    s3.objects.set("acme/in/a.csv", { body: Buffer.from("x\n1\n") });
    connect(endpoint);
  });

  afterEach(() => s3.stop());

  function connect(endpoint: string, credentials = keys): void {
    const { region } = s3;
    storage = new Storage({ root, s3: { bucket: "bucket", region, endpoint, credentials } });
    files = storage.of("acme");
  }

  const left = () => readdir(join(root, "acme/.jobyard/tmp"));
  const local = (key: string, maxBytes = 1000) =>
    files.local({ fileUrl: `s3://bucket/acme/${key}` }, { maxBytes });

  it("are fetched from under the tenant's prefix", async () => {
    const file = await local("in/a.csv");
    expect(await readFile(file.path, "utf8")).toBe("x\n1\n");
    expect(file).toMatchObject({ size: 4, name: "a.csv" });
    expect(s3.asked).toEqual(["GET /bucket/acme/in/a.csv"]);
    await file.release();
    expect(await left()).toEqual([]);
  });

  it("are found whatever their names", async () => {
    const key = "in/März & more+(1)/ü=?#%20.csv";
    s3.objects.set(`acme/${key}`, { body: Buffer.from("found") });
    expect((await local(key)).size).toBe(5);
  });

  it("are streamed to the disk, however large", async () => {
    const body = Buffer.alloc(50_000_000, "0123456789\n");
    s3.objects.set("acme/large", { body });
    const file = await local("large", 50_000_000);
    expect((await readFile(file.path)).equals(body)).toBe(true);
    await file.release();
    await expect(local("large", 49_999_999)).rejects.toMatchObject({ code: "FILE_TOO_LARGE" });
    expect(await left()).toEqual([]);
  });

  it("that are not there are the data's fault", async () => {
    await expect(local("none")).rejects.toMatchObject({ code: "FILE_NOT_FOUND", dataFault: true });
  });

  it("are asked for again while S3 is busy", async () => {
    s3.busy = 2;
    expect((await local("in/a.csv")).size).toBe(4);
    expect(s3.asked).toHaveLength(3);
    s3.busy = 99;
    await expect(local("in/a.csv")).rejects.toMatchObject({
      code: "NETWORK_ERROR",
      dataFault: false,
    });
  });

  it("that come cut or changed are the network's fault, and nothing is left of them", async () => {
    const body = Buffer.alloc(200_000, "x");
    s3.objects.set("acme/cut", { body, cutAt: 100_000 });
    s3.objects.set("acme/changed", { body, checksum: "AAAAAA==" });
    for (const key of ["cut", "changed"]) {
      await expect(local(key, 1e6), key).rejects.toMatchObject({
        code: "NETWORK_ERROR",
        dataFault: false,
      });
    }
    expect(await left()).toEqual([]);
  });

  it("are refused to whoever has no key for them", async () => {
    const endpoint = await s3.start();
    for (const wrong of [
      { ...keys, secretAccessKey: "other" },
      { ...keys, accessKeyId: "OTHER" },
      { ...keys, sessionToken: "old" },
    ]) {
      await storage.close();
      connect(endpoint, wrong);
      await expect(local("in/a.csv")).rejects.toMatchObject({ code: "FILE_REFUSED" });
    }
  });

  it("a fetch that is called off leaves nothing", async () => {
    s3.objects.set("acme/large", { body: Buffer.alloc(80_000_000) });
    const abort = new AbortController();
    const options = { maxBytes: 1e9, signal: abort.signal };
    const fetching = files.local({ fileUrl: "s3://bucket/acme/large" }, options);
    await expect.poll(() => s3.asked.length).toBe(1);
    abort.abort(new Error("cancelled"));
    await expect(fetching).rejects.toThrow(/^cancelled$/);
    expect(await left()).toEqual([]);
  });

  it.each([
    "s3://elsewhere/acme/a.csv",
    "s3://bucket/other/a.csv",
    "s3://bucket/acme2/a.csv",
    "s3://bucket/acme",
    "s3://bucket/acme/",
    "s3://bucket/acme/../other/a.csv",
    "s3://bucket//acme/a.csv",
    "s3://bucket/./acme/a.csv",
    "s3://bucket/acme/..\\other",
    "s3://bucket/acme/a\n.csv",
    "s3://bucket@elsewhere/acme/a.csv",
  ])("are refused as %j", async (fileUrl) => {
    await expect(files.local({ fileUrl }, small)).rejects.toMatchObject({ code: "FILE_REFUSED" });
    expect(s3.asked).toEqual([]);
  });
});

describe("results, datasets and records", () => {
  const text = (content: string) => (path: string) => writeFile(path, content);

  it("replaces an earlier attempt's result", async () => {
    await files.writeResult(7, "out.csv", text("first"));
    const result = await files.writeResult(7, "out.csv", text("second!"));
    expect(result).toEqual({
      name: "out.csv",
      size: 7,
      contentType: "text/csv; charset=utf-8; header=present",
    });
    expect(await readFile(files.resultPath(7, "out.csv"), "utf8")).toBe("second!");
    expect(await readdir(join(files.resultPath(7, "out.csv"), ".."))).toEqual(["out.csv"]);
    await files.removeResults(7);
    await expect(readFile(files.resultPath(7, "out.csv"))).rejects.toThrow("ENOENT");
  });

  it("opens results, and knows those it does not have", async () => {
    await files.writeResult(7, "out.json", text("[1]"));
    const file = await files.openResult(7, "out.json");
    expect(file).toMatchObject({ name: "out.json", size: 3, contentType: "application/json" });
    expect(Buffer.concat(await file!.read().toArray()).toString()).toBe("[1]");
    for (const name of ["none.json", "../7/out.json", "..", ""]) {
      expect(await files.openResult(7, name)).toBeNull();
    }
    expect(await files.openResult(8, "out.json")).toBeNull();
    expect(await storage.of("other").openResult(7, "out.json")).toBeNull();
  });

  it("leaves nothing of a result that failed", async () => {
    const write = async (path: string) => {
      await writeFile(path, "half");
      throw new Error("no more");
    };
    await expect(files.writeResult(7, "out.csv", write)).rejects.toThrow("no more");
    expect(await readdir(join(root, "acme/.jobyard/tmp"))).toEqual([]);
    expect(() => files.resultPath(7, "../x")).toThrow("no result's name");
  });

  it("removes the results of jobs that are gone, whoever left them", async () => {
    const theirs = storage.of("zeta");
    for (const id of [7, 8, 9]) await files.writeResult(id, "out.csv", text("a,b"));
    await theirs.writeResult(8, "out.csv", text("c"));
    await mkdir(join(root, "acme/.jobyard/results/notes"));
    const results = (tenant: string) => readdir(join(root, tenant, ".jobyard/results"));
    await storage.removeResults([
      { tenant: "acme", id: 7 },
      { tenant: "acme", id: 12_345 },
    ]);
    expect((await results("acme")).toSorted()).toEqual(["8", "9", "notes"]);
    const asked: string[] = [];
    await storage.prune({
      now: Date.now(),
      recordsMs: 1,
      present: async (tenant, ids) => {
        asked.push(tenant);
        return ids.map((id) => tenant === "acme" && id === 9);
      },
    });
    expect((await results("acme")).toSorted()).toEqual(["9", "notes"]);
    expect(await results("zeta")).toEqual([]);
    expect(asked.toSorted()).toEqual(["acme", "zeta"]);
  });

  it("keeps datasets for 30 days after their last use", async () => {
    expect(await files.useDataset(DATASET)).toBeNull();
    await files.writeDataset(DATASET.toUpperCase(), text("data"));
    const path = files.datasetPath(DATASET);
    const now = Date.now();
    const day = 86_400_000;
    const used = new Date(now - 29 * day);
    await utimes(path, used, used);
    await storage.prune({ now, recordsMs: day, present });
    expect(await readFile(path, "utf8")).toBe("data");
    await storage.prune({ now: now + 2 * day, recordsMs: day, present });
    expect(await files.useDataset(DATASET)).toBeNull();
    expect(() => files.datasetPath("../x")).toThrow("no dataset's id");
  });

  it("keeps the latest record of an id, and forgets in time", async () => {
    const day = 86_400_000;
    const now = Date.now();
    await files.putRecord("geometry", "../Part 1", { volume: 1 }, now - 2 * day);
    await files.putRecord("geometry", "other", { volume: 3 }, now - 3 * day);
    await files.putRecord("geometry", "../Part 1", { volume: 2 }, now);
    expect(await files.getRecord("geometry", "../Part 1")).toEqual({
      id: "../Part 1",
      at: now,
      value: { volume: 2 },
    });
    expect(await files.getRecord("geometry", "none")).toBeNull();
    expect(await storage.of("other").getRecord("geometry", "other")).toBeNull();
    const ids = async (from?: number) => {
      const found: string[] = [];
      const period = from === undefined ? {} : { from };
      for await (const { id } of files.listRecords("geometry", period)) found.push(id);
      return found;
    };
    expect(await ids()).toEqual(["other", "../Part 1"]);
    expect(await ids(now - day)).toEqual(["../Part 1"]);
    await storage.prune({ now, recordsMs: 2 * day, present });
    expect(await ids()).toEqual(["../Part 1"]);
  });
});
