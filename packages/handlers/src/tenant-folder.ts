import { randomUUID } from "node:crypto";
import { constants, type Stats } from "node:fs";
import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { HandlerError } from "@jobyard/core";
import { contentTypeOf } from "./content-types.ts";
import {
  codeOf,
  fileError,
  httpError,
  transferError,
  notFound,
  refused,
  tooLarge,
} from "./file-errors.ts";
import type { PublicHttp } from "./public-http.ts";
import { Records } from "./records.ts";
import type { S3Source } from "./s3-source.ts";
import type {
  FetchOptions,
  FileInfo,
  FileSource,
  FolderEntry,
  LocalFile,
  OpenFile,
  ResultFile,
  TenantFiles,
} from "./storage.ts";
import { ensureFolder, FOLDER_MODE, namesIn, replaceFile } from "./whole-files.ts";

/** Holds what Jobyard itself keeps for the tenant: no name that a producer gives leads into it. */
export const OWN_FOLDER = ".jobyard";
const SAFE_PATH = /^[A-Za-z0-9/_.-]{1,1024}$/;
const SAFE_NAME = /^[A-Za-z0-9_.-]{1,200}$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** `root/{tenant}`: the tenant's files, and in `.jobyard` what is kept for it. */
export class TenantFolder implements TenantFiles {
  readonly #tenant: string;
  readonly #root: string;
  readonly #own: string;
  readonly #results: string;
  readonly #temporary: string;
  readonly #http: PublicHttp;
  readonly #s3: S3Source | undefined;
  readonly putRecord: TenantFiles["putRecord"];
  readonly getRecord: TenantFiles["getRecord"];
  readonly listRecords: TenantFiles["listRecords"];

  constructor(
    tenant: string,
    root: string,
    resultsFolder: string,
    http: PublicHttp,
    s3: S3Source | undefined,
  ) {
    this.#tenant = tenant;
    this.#root = root;
    this.#own = join(root, OWN_FOLDER);
    this.#results = join(this.#own, resultsFolder);
    this.#http = http;
    this.#s3 = s3;
    this.#temporary = join(this.#own, "tmp");
    const records = new Records(join(this.#own, "records"), this.#temporary);
    this.putRecord = (kind, id, value, at = Date.now()) => records.put(kind, id, value, at);
    this.getRecord = (kind, id) => records.get(kind, id);
    this.listRecords = (kind, period = {}) => records.list(kind, period);
  }

  async local({ filePath, fileUrl }: FileSource, options: FetchOptions): Promise<LocalFile> {
    options.signal?.throwIfAborted();
    if (filePath !== undefined) return this.#ownFile(filePath, options);
    if (fileUrl === undefined) throw refused("filePath or fileUrl is needed");
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(fileUrl)?.[1]?.toLowerCase();
    if (scheme === undefined || scheme === "file") {
      return this.#ownFile(fileUrl.replace(/^file:(?:\/\/)?/i, ""), options);
    }
    if (scheme === "s3") return this.#fromS3(fileUrl, options);
    if (scheme === "http" || scheme === "https") return this.#fromHttp(fileUrl, options);
    throw refused(`Files at ${scheme}: addresses are not read`);
  }

  async #ownFile(named: string, { maxBytes }: FetchOptions): Promise<LocalFile> {
    const { path, size } = await this.#look(named);
    if (size > maxBytes) throw tooLarge(named, size, maxBytes);
    return { path, size, name: basename(path), release: async () => undefined };
  }

  async stat(named: string): Promise<FileInfo> {
    return infoOf(named, (await this.#look(named)).stats);
  }

  async open(named: string): Promise<OpenFile> {
    const { file, stats } = await this.#opened(named);
    return openFile(named, file, stats);
  }

  async #look(named: string) {
    const { file, ...found } = await this.#opened(named);
    await file.close();
    return found;
  }

  /** What the name leads to, if that is, without any link, a regular file of the tenant. */
  async #opened(named: string) {
    const segments = segmentsOf(named);
    let at = this.#root;
    for (const segment of segments.slice(0, -1)) {
      at = join(at, segment);
      const folder = await lstatOf(at, named);
      if (folder.isSymbolicLink()) throw refused(`${named}: leads through a link`);
      if (!folder.isDirectory()) throw notFound(named);
    }
    const path = join(this.#root, ...segments);
    // Opening a FIFO would wait, and opening a device may do anything.
    const seen = await lstatOf(path, named);
    if (!seen.isFile()) throw refused(`${named}: is ${kindOf(seen)}, not a regular file`);
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const file = await fs.open(path, flags).catch((error: unknown) => {
      throw fileError(error, named);
    });
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw refused(`${named}: is ${kindOf(stats)}, not a regular file`);
      if (stats.nlink !== 1) throw refused(`${named}: is a hard link`);
      // Also on a file system where Acme and acme are one folder: they are two tenants.
      if ((await fs.realpath(path)) !== path) throw refused(`${named}: leads through a link`);
      return { path, file, stats, size: stats.size };
    } catch (error) {
      await file.close();
      throw fileError(error, named);
    }
  }

  async #fromS3(url: string, { signal, maxBytes }: FetchOptions): Promise<LocalFile> {
    const [, bucket = "", key = ""] = /^s3:\/\/([^/]+)\/(.*)$/is.exec(url) ?? [];
    if (this.#s3 === undefined) throw refused(`${url}: no S3 bucket is configured`);
    if (bucket !== this.#s3.bucket) throw refused(`${url}: is not in the configured bucket`);
    const segments = key.split("/");
    const odd = segments.some((segment) => segment === "" || segment === "." || segment === "..");
    if (odd || /[\p{Cc}\\]/u.test(key) || segments.length < 2 || segments[0] !== this.#tenant) {
      throw refused(`${url}: must be s3://${bucket}/${this.#tenant}/ and a name`);
    }
    const source = this.#s3;
    return this.#fetched(url, segments.at(-1) ?? "", signal, async (path) => {
      const { body, size } = await source.read(key, signal);
      await save(body, path, { name: url, size, maxBytes, signal });
    });
  }

  async #fromHttp(url: string, { signal, maxBytes }: FetchOptions): Promise<LocalFile> {
    const last = URL.canParse(url) ? new URL(url).pathname.split("/").at(-1) : undefined;
    return this.#fetched(url, last ?? "", signal, async (path) => {
      const { statusCode, headers, body } = await this.#http.get(url, signal);
      if (statusCode !== 200) {
        body.on("error", () => undefined).destroy();
        throw httpError(url, statusCode);
      }
      const told = Number(headers["content-length"]);
      const size = Number.isSafeInteger(told) ? told : undefined;
      await save(body, path, { name: url, size, maxBytes, signal });
    });
  }

  async #fetched(
    url: string,
    name: string,
    signal: AbortSignal | undefined,
    fetch: (path: string) => Promise<void>,
  ): Promise<LocalFile> {
    const path = join(await ensureFolder(this.#temporary), randomUUID());
    const release = () => fs.rm(path, { force: true }).catch(() => undefined);
    try {
      await fetch(path);
      const { size } = await fs.stat(path);
      return { path, size, name: name === "" ? "file" : name, release };
    } catch (error) {
      await release();
      signal?.throwIfAborted();
      throw transferError(error, url);
    }
  }

  async put(named: string, content: Readable, { signal, maxBytes }: FetchOptions) {
    const segments = segmentsOf(named);
    let at = this.#root;
    await ensureFolder(this.#temporary);
    for (const segment of segments.slice(0, -1)) {
      at = join(at, segment);
      await fs.mkdir(at, { mode: FOLDER_MODE }).catch((error: unknown) => {
        if (codeOf(error) !== "EEXIST") throw fileError(error, named);
      });
      const folder = await lstatOf(at, named);
      if (!folder.isDirectory()) throw refused(`${named}: ${segment} is not a folder`);
    }
    const path = join(this.#root, ...segments);
    const there = await fs.lstat(path).catch((error: unknown) => {
      if (codeOf(error) === "ENOENT") return undefined;
      throw fileError(error, named);
    });
    if (there !== undefined && !there.isFile()) {
      throw refused(`${named}: is ${kindOf(there)}, not a regular file`);
    }
    const { size, path: temporary } = await this.#fetched(named, "", signal, (temporary) =>
      save(content, temporary, { name: named, size: undefined, maxBytes, signal }),
    );
    await fs.rename(temporary, path);
    return { size };
  }

  async list(folder = ""): Promise<FolderEntry[]> {
    let at = this.#root;
    const segments = /^\.?\/*$/.test(folder) ? [] : segmentsOf(folder.replace(/\/+$/, ""));
    for (const segment of segments) {
      at = join(at, segment);
      const found = await fs.lstat(at).catch((error: unknown) => {
        if (codeOf(error) === "ENOENT") return undefined;
        throw fileError(error, folder);
      });
      if (found === undefined) return [];
      if (found.isSymbolicLink()) throw refused(`${folder}: leads through a link`);
      if (!found.isDirectory()) throw refused(`${folder}: is not a folder`);
    }
    const found = await fs.readdir(at, { withFileTypes: true }).catch((error: unknown) => {
      if (codeOf(error) === "ENOENT") return [];
      throw fileError(error, folder);
    });
    return found
      .filter(({ name }) => segments.length > 0 || name !== OWN_FOLDER)
      .filter((entry) => entry.isFile() || entry.isDirectory())
      .map((entry) => ({ name: entry.name, kind: entry.isFile() ? "file" : "folder" }));
  }

  async remove(named: string): Promise<boolean> {
    try {
      await fs.rm((await this.#look(named)).path);
      return true;
    } catch (error) {
      const told = fileError(error, named);
      if (told instanceof HandlerError && told.code === "FILE_NOT_FOUND") return false;
      throw told;
    }
  }

  async writeResult(
    jobId: number,
    name: string,
    write: (path: string) => Promise<void>,
  ): Promise<ResultFile> {
    const path = this.resultPath(jobId, name);
    await ensureFolder(dirname(path));
    const size = await replaceFile(path, this.#temporary, write);
    return { name, size, contentType: contentTypeOf(name) };
  }

  resultPath(jobId: number, name: string): string {
    if (!Number.isSafeInteger(jobId) || jobId < 1) throw new TypeError(`${jobId} is no job's id`);
    if (!isSafeName(name)) throw refused(`${name}: is no result's name`);
    return join(this.#results, String(jobId), name);
  }

  async openResult(jobId: number, name: string): Promise<OpenFile | null> {
    if (!isSafeName(name)) return null;
    try {
      const file = await fs.open(this.resultPath(jobId, name), constants.O_RDONLY);
      return openFile(name, file, await file.stat());
    } catch (error) {
      if (codeOf(error) === "ENOENT") return null;
      throw fileError(error, name);
    }
  }

  async listResults(jobId: number): Promise<FileInfo[]> {
    const folder = dirname(this.resultPath(jobId, "x"));
    const found: FileInfo[] = [];
    for (const name of (await namesIn(folder)).sort()) {
      // One may be replaced or removed meanwhile.
      const stats = await fs.stat(join(folder, name)).catch(() => undefined);
      if (stats?.isFile() === true) found.push(infoOf(name, stats));
    }
    return found;
  }

  async removeResults(jobId: number): Promise<void> {
    await fs.rm(dirname(this.resultPath(jobId, "x")), { recursive: true, force: true });
  }

  datasetPath(datasetId: string): string {
    if (!UUID.test(datasetId)) throw refused(`${datasetId}: is no dataset's id`);
    return join(this.#own, "datasets", `${datasetId.toLowerCase()}.parquet`);
  }

  async writeDataset(datasetId: string, write: (path: string) => Promise<void>): Promise<void> {
    const path = this.datasetPath(datasetId);
    await ensureFolder(dirname(path));
    await replaceFile(path, this.#temporary, write);
  }

  async useDataset(datasetId: string): Promise<string | null> {
    const path = this.datasetPath(datasetId);
    const now = new Date();
    try {
      await fs.utimes(path, now, now);
      return path;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return null;
      throw fileError(error, datasetId);
    }
  }

  async withScratch<T>(use: (folder: string) => Promise<T>): Promise<T> {
    const folder = await ensureFolder(join(this.#temporary, randomUUID()));
    try {
      return await use(folder);
    } finally {
      await fs.rm(folder, { recursive: true, force: true }).catch(() => undefined);
    }
  }
}

/** @throws HandlerError unless the name can only be that of a file in the tenant's folder */
function segmentsOf(named: string): string[] {
  if (!SAFE_PATH.test(named)) {
    throw refused(`${named.slice(0, 100)}: must consist of letters, digits and / _ . - only`);
  }
  const segments = named.split("/").filter((segment) => segment !== "" && segment !== ".");
  if (segments.includes("..")) throw refused(`${named}: must not contain a .. segment`);
  const [first] = segments;
  if (first === undefined || named.endsWith("/")) throw refused(`${named}: names a folder`);
  // Whatever the case: some file systems do not tell them apart.
  if (first.toLowerCase() === OWN_FOLDER) throw refused(`${named}: ${OWN_FOLDER} is not for files`);
  return segments;
}

function isSafeName(name: string): boolean {
  return SAFE_NAME.test(name) && name !== "." && name !== "..";
}

async function lstatOf(path: string, named: string): Promise<Stats> {
  return fs.lstat(path).catch((error: unknown) => {
    throw fileError(error, named);
  });
}

function kindOf(found: Stats): string {
  if (found.isSymbolicLink()) return "a link";
  if (found.isDirectory()) return "a folder";
  if (found.isFIFO()) return "a pipe";
  if (found.isSocket()) return "a socket";
  return "a device";
}

function infoOf(named: string, { size, mtimeMs }: Stats): FileInfo {
  const name = basename(named);
  return { name, size, modifiedAt: mtimeMs, contentType: contentTypeOf(name) };
}

function openFile(named: string, file: fs.FileHandle, stats: Stats): OpenFile {
  return {
    ...infoOf(named, stats),
    read({ start = 0, end = stats.size } = {}) {
      if (end > start) return file.createReadStream({ start, end: end - 1 });
      // To Node, an end before the beginning is no range.
      void file.close();
      return Readable.from([]);
    },
    close: () => file.close(),
  };
}

interface SaveOptions {
  readonly name: string;
  /** As announced, bytes. */
  readonly size: number | undefined;
  readonly maxBytes: number;
  readonly signal: AbortSignal | undefined;
}

async function save(body: Readable, path: string, options: SaveOptions): Promise<void> {
  const { name, size, maxBytes, signal } = options;
  // It can break before it is read: the pipeline tells of that, and nobody else is there to hear it.
  body.on("error", () => undefined);
  if (size !== undefined && size > maxBytes) {
    body.destroy();
    throw tooLarge(name, size, maxBytes);
  }
  const file = await fs.open(path, "wx", 0o600);
  const bounded = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let bytes = 0;
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooLarge(name, bytes, maxBytes);
      yield chunk;
    }
  };
  await pipeline(body, bounded, file.createWriteStream(), signal ? { signal } : {});
}
