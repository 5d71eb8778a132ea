import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, realpathSync, type Stats } from "node:fs";
import * as fs from "node:fs/promises";
import { constants } from "node:fs";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Config, HandlerError, type JobTypeName } from "@jobyard/core";
import { AddressRefused, PublicHttp } from "./public-http.ts";
import { type S3Settings, S3Source } from "./s3-source.ts";

/** What the handlers are given by whoever composes the process. */
export interface HandlerDeps {
  readonly files: Storage;
  /** A finished job's result as JSON text; null: no such job of the tenant, or it has no result. */
  readonly jobResult?: (tenant: string, jobId: number) => Promise<string | null>;
  /** Adds a job for the tenant; answers its id. With a `uniqueKey` that is taken: the id of the job that holds it. */
  readonly enqueue?: (tenant: string, job: FollowUp) => Promise<number>;
  /** Absent or null: messages are written to files. */
  readonly smtp?: Config["smtp"];
  /** Who hears of failed validations; absent or null: nobody. */
  readonly notifyEmail?: Config["notifyEmail"];
  /** The vision model; absent or null: text is read on this machine. */
  readonly extractor?: Config["extractor"];
  /** To the vision model, from this process; 0: no limit. Default 30. */
  readonly modelRequestsPerMinute?: number;
  /** A service that analyses model files; absent or null: they are analysed on this machine. */
  readonly workerServiceUrl?: Config["workerServiceUrl"];
  /** Most memory that one job's file processing may take, in MB; default 384. */
  readonly fileMemoryMb?: number;
}

/** A job that a handler asks for. */
export interface FollowUp {
  readonly queue: JobTypeName;
  readonly name?: string;
  readonly data: object;
  readonly uniqueKey?: string;
}

export interface StorageOptions {
  /** `FILES_DIR`; made if it is not there. */
  readonly root: string;
  /** Where `s3://` addresses are read from; absent: nowhere. */
  readonly s3?: S3Settings;
  /** Lets `http(s)` addresses lead into private networks. Default false. */
  readonly allowPrivateHttp?: boolean;
}

export interface FileSource {
  readonly filePath?: string | undefined;
  readonly fileUrl?: string | undefined;
}

/** A file on this machine's disk. */
export interface LocalFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Its last segment as the producer named it. */
  readonly name: string;
  /** Removes it if it was fetched for this job. Never throws. */
  release(): Promise<void>;
}

export interface ResultFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly contentType: string;
}

export interface StoredRecord {
  readonly id: string;
  /** When it was put, epoch ms. */
  readonly at: number;
  readonly value: unknown;
}

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes; a larger file is refused. */
  readonly maxBytes: number;
}

/**
 * One tenant's files. All throw `HandlerError`s: `FILE_NOT_FOUND`, `FILE_REFUSED` (no name of a file of the
 * tenant) and `FILE_TOO_LARGE` are faults of the data, `NETWORK_ERROR` and `TEMPORARY_FAILURE` are not.
 */
export interface TenantFiles {
  /** The tenant's own file, or a copy of the one at an address; release it when done. */
  local(source: FileSource, options: FetchOptions): Promise<LocalFile>;
  /** Takes a file in under its name, whole or not at all, in place of one that was there. */
  put(path: string, content: Readable, options: FetchOptions): Promise<{ readonly size: number }>;
  /** The names of the files in a folder, none where it is not there; those of its own folders are left out. */
  list(folder: string): Promise<string[]>;
  /** @returns whether there was one */
  remove(path: string): Promise<boolean>;
  /**
   * Keeps what `write` leaves at the path it is given as a job's result, in place of an earlier attempt's.
   * @param name - one segment of letters, digits and `_.-`
   */
  writeResult(
    jobId: number,
    name: string,
    contentType: string,
    write: (path: string) => Promise<void>,
  ): Promise<ResultFile>;
  /** Where a result is, whether or not there is one. */
  resultPath(jobId: number, name: string): string;
  removeResults(jobId: number): Promise<void>;
  /** Where a dataset is, whether or not there is one: a Parquet file. */
  datasetPath(datasetId: string): string;
  /** As `writeResult`. */
  writeDataset(datasetId: string, write: (path: string) => Promise<void>): Promise<void>;
  /** The path of a dataset that is there, which counts as its use; else null. */
  useDataset(datasetId: string): Promise<string | null>;
  /** A folder for one job's own temporary files, gone once `use` has settled. */
  withScratch<T>(use: (folder: string) => Promise<T>): Promise<T>;
  /** Keeps what later jobs need, in place of what was kept under that id. */
  putRecord(kind: string, id: string, value: unknown, at?: number): Promise<void>;
  getRecord(kind: string, id: string): Promise<StoredRecord | null>;
  /** Those put in the period, oldest first; epoch ms, both ends included. */
  listRecords(
    kind: string,
    period?: { readonly from?: number; readonly to?: number },
  ): AsyncGenerator<StoredRecord>;
}

const TENANT = /^[A-Za-z0-9_-]{1,128}$/;
const SAFE_PATH = /^[A-Za-z0-9/_.-]{1,1024}$/;
const SAFE_NAME = /^[A-Za-z0-9_.-]{1,200}$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Holds what Jobyard itself keeps for the tenant: no name that a producer gives leads into it. */
const OWN_FOLDER = ".jobyard";
const FOLDER_MODE = 0o700;
const DAY_MS = 86_400_000;
/** Left by a process that died. */
const SCRATCH_KEPT_MS = DAY_MS;
const DATASET_KEPT_MS = 30 * DAY_MS;
const JOB_ID = /^[1-9][0-9]{0,15}$/;
/** Jobs asked after at once. */
const SWEEP_STEP = 100;

/** The files of all tenants, each tenant's under `root/{tenant}` and nowhere else. */
export class Storage {
  readonly root: string;
  readonly #http: PublicHttp;
  readonly #s3: S3Source | undefined;

  constructor({ root, s3, allowPrivateHttp = false }: StorageOptions) {
    mkdirSync(root, { recursive: true, mode: FOLDER_MODE });
    this.root = realpathSync.native(root);
    this.#http = new PublicHttp({ allowPrivate: allowPrivateHttp });
    this.#s3 = s3 && new S3Source(s3);
  }

  /** @throws TypeError when the name is no tenant's */
  of(tenant: string): TenantFiles {
    if (!TENANT.test(tenant)) throw new TypeError(`"${tenant}" is no tenant's name`);
    return new TenantFolder(tenant, join(this.root, tenant), this.#http, this.#s3);
  }

  /** Removes the result files of jobs that are gone. */
  async removeResults(jobs: readonly { tenant: string; id: number }[]): Promise<void> {
    for (const { tenant, id } of jobs) await this.of(tenant).removeResults(id);
  }

  /**
   * Removes what has outlived its time: datasets 30 days after their last use, records older than
   * `recordsMs`, temporary files of processes that died, results of jobs that are gone.
   * @param present - which of a tenant's jobs are still there
   */
  async prune({
    now,
    recordsMs,
    present,
  }: {
    readonly now: number;
    readonly recordsMs: number;
    readonly present: (tenant: string, ids: readonly number[]) => Promise<readonly boolean[]>;
  }): Promise<void> {
    for (const tenant of await fs.readdir(this.root)) {
      if (!TENANT.test(tenant)) continue;
      const own = join(this.root, tenant, OWN_FOLDER);
      await removeOlder(join(own, "tmp"), now - SCRATCH_KEPT_MS);
      await removeOlder(join(own, "datasets"), now - DATASET_KEPT_MS);
      await this.#sweepResults(tenant, present);
      for (const kind of await entries(join(own, "records"))) {
        const folder = join(own, "records", kind);
        await removeOlder(join(folder, "days-by-id"), now - recordsMs);
        const oldest = dayOf(now - recordsMs);
        for (const day of await entries(folder)) {
          if (/^\d/.test(day) && day < oldest) await fs.rm(join(folder, day), { recursive: true });
        }
      }
    }
  }

  /** Whoever removed these jobs died before it came to their results. */
  async #sweepResults(
    tenant: string,
    present: (tenant: string, ids: readonly number[]) => Promise<readonly boolean[]>,
  ): Promise<void> {
    const names = await entries(join(this.root, tenant, OWN_FOLDER, "results"));
    const ids = names.filter((name) => JOB_ID.test(name)).map(Number);
    for (let from = 0; from < ids.length; from += SWEEP_STEP) {
      const some = ids.slice(from, from + SWEEP_STEP);
      const there = await present(tenant, some);
      const gone = some.filter((_, i) => there[i] === false);
      await this.removeResults(gone.map((id) => ({ tenant, id })));
    }
  }

  async close(): Promise<void> {
    this.#s3?.close();
    await this.#http.close();
  }
}

class TenantFolder implements TenantFiles {
  readonly #tenant: string;
  readonly #root: string;
  readonly #own: string;
  readonly #http: PublicHttp;
  readonly #s3: S3Source | undefined;

  constructor(tenant: string, root: string, http: PublicHttp, s3: S3Source | undefined) {
    this.#tenant = tenant;
    this.#root = root;
    this.#own = join(root, OWN_FOLDER);
    this.#http = http;
    this.#s3 = s3;
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
    const segments = segmentsOf(named);
    const path = join(this.#root, ...segments);
    const size = await this.#check(segments, named, maxBytes);
    return { path, size, name: basename(path), release: async () => undefined };
  }

  /** That the name leads, without any link, to a regular file of the tenant; its size. */
  async #check(segments: readonly string[], named: string, maxBytes: number): Promise<number> {
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
      const opened = await file.stat();
      if (!opened.isFile()) throw refused(`${named}: is ${kindOf(opened)}, not a regular file`);
      if (opened.nlink !== 1) throw refused(`${named}: is a hard link`);
      // Also on a file system where Acme and acme are one folder: they are two tenants.
      if ((await fs.realpath(path)) !== path) throw refused(`${named}: leads through a link`);
      if (opened.size > maxBytes) throw tooLarge(named, opened.size, maxBytes);
      return opened.size;
    } finally {
      await file.close();
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
    return this.#fetched(url, segments.at(-1) ?? "", async (path) => {
      const { body, size } = await source.read(key, signal);
      await save(body, path, { name: url, size, maxBytes, signal });
    });
  }

  async #fromHttp(url: string, { signal, maxBytes }: FetchOptions): Promise<LocalFile> {
    const last = URL.canParse(url) ? new URL(url).pathname.split("/").at(-1) : undefined;
    return this.#fetched(url, last ?? "", async (path) => {
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
    fetch: (path: string) => Promise<void>,
  ): Promise<LocalFile> {
    const path = join(await this.#folder("tmp"), randomUUID());
    const release = () => fs.rm(path, { force: true }).catch(() => undefined);
    try {
      await fetch(path);
      const { size } = await fs.stat(path);
      return { path, size, name: name === "" ? "file" : name, release };
    } catch (error) {
      await release();
      throw fileError(error, url);
    }
  }

  async put(named: string, content: Readable, { signal, maxBytes }: FetchOptions) {
    const segments = segmentsOf(named);
    let at = this.#root;
    await this.#folder("tmp");
    for (const segment of segments.slice(0, -1)) {
      at = join(at, segment);
      await fs.mkdir(at, { mode: FOLDER_MODE }).catch((error: unknown) => {
        if (codeOf(error) !== "EEXIST") throw fileError(error, named);
      });
      const folder = await lstatOf(at, named);
      if (!folder.isDirectory()) throw refused(`${named}: ${segment} is not a folder`);
    }
    const path = join(this.#root, ...segments);
    const there = await fs.lstat(path).catch(() => undefined);
    if (there !== undefined && !there.isFile()) {
      throw refused(`${named}: is ${kindOf(there)}, not a regular file`);
    }
    const { size, path: temporary } = await this.#fetched(named, "", (temporary) =>
      save(content, temporary, { name: named, size: undefined, maxBytes, signal }),
    );
    await fs.rename(temporary, path);
    return { size };
  }

  async list(folder: string): Promise<string[]> {
    let at = this.#root;
    for (const segment of segmentsOf(folder)) {
      at = join(at, segment);
      const found = await fs.lstat(at).catch((error: unknown) => {
        if (codeOf(error) === "ENOENT") return undefined;
        throw fileError(error, folder);
      });
      if (found === undefined) return [];
      if (found.isSymbolicLink()) throw refused(`${folder}: leads through a link`);
      if (!found.isDirectory()) throw refused(`${folder}: is not a folder`);
    }
    const found = await fs.readdir(at, { withFileTypes: true });
    return found.filter((entry) => entry.isFile()).map(({ name }) => name);
  }

  async remove(named: string): Promise<boolean> {
    const segments = segmentsOf(named);
    try {
      await this.#check(segments, named, Infinity);
    } catch (error) {
      if (error instanceof HandlerError && error.code === "FILE_NOT_FOUND") return false;
      throw error;
    }
    await fs.rm(join(this.#root, ...segments), { force: true });
    return true;
  }

  async writeResult(
    jobId: number,
    name: string,
    contentType: string,
    write: (path: string) => Promise<void>,
  ): Promise<ResultFile> {
    const path = this.resultPath(jobId, name);
    await this.#folder("results", String(jobId));
    const size = await this.#replace(path, write);
    return { name, size, contentType };
  }

  resultPath(jobId: number, name: string): string {
    if (!Number.isSafeInteger(jobId) || jobId < 1) throw new TypeError(`${jobId} is no job's id`);
    if (!isSafeName(name)) throw refused(`${name}: is no result's name`);
    return join(this.#own, "results", String(jobId), name);
  }

  async removeResults(jobId: number): Promise<void> {
    await fs.rm(join(this.resultPath(jobId, "x"), ".."), { recursive: true, force: true });
  }

  datasetPath(datasetId: string): string {
    if (!UUID.test(datasetId)) throw refused(`${datasetId}: is no dataset's id`);
    return join(this.#own, "datasets", `${datasetId.toLowerCase()}.parquet`);
  }

  async writeDataset(datasetId: string, write: (path: string) => Promise<void>): Promise<void> {
    const path = this.datasetPath(datasetId);
    await this.#folder("datasets");
    await this.#replace(path, write);
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

  /** So that nobody ever sees half a file: written beside, then renamed. */
  async #replace(path: string, write: (path: string) => Promise<void>): Promise<number> {
    const temporary = join(await this.#folder("tmp"), randomUUID());
    try {
      await write(temporary);
      const { size } = await fs.stat(temporary);
      await fs.rename(temporary, path);
      return size;
    } catch (error) {
      await fs.rm(temporary, { recursive: true, force: true }).catch(() => undefined);
      throw fileError(error, basename(path));
    }
  }

  async withScratch<T>(use: (folder: string) => Promise<T>): Promise<T> {
    const folder = await this.#folder("tmp", randomUUID());
    try {
      return await use(folder);
    } finally {
      await fs.rm(folder, { recursive: true, force: true }).catch(() => undefined);
    }
  }

  async putRecord(kind: string, id: string, value: unknown, at = Date.now()): Promise<void> {
    const name = recordName(id);
    const day = dayOf(at);
    const path = join(await this.#folder("records", recordKind(kind), day), name);
    const text = JSON.stringify({ id, at, value } satisfies StoredRecord);
    await this.#replace(path, (temporary) => fs.writeFile(temporary, text));
    const pointer = join(await this.#folder("records", kind, "days-by-id"), name);
    const before = await readText(pointer);
    await this.#replace(pointer, (temporary) => fs.writeFile(temporary, day));
    if (before !== null && before !== day) {
      await fs.rm(join(this.#own, "records", kind, before, name), { force: true });
    }
  }

  async getRecord(kind: string, id: string): Promise<StoredRecord | null> {
    const name = recordName(id);
    const folder = join(this.#own, "records", recordKind(kind));
    // The pointer may be replaced between the two reads.
    for (let tries = 0; tries < 3; tries++) {
      const day = await readText(join(folder, "days-by-id", name));
      if (day === null) return null;
      const text = await readText(join(folder, day, name));
      if (text !== null) return JSON.parse(text) as StoredRecord;
    }
    return null;
  }

  async *listRecords(
    kind: string,
    { from = -Infinity, to = Infinity }: { readonly from?: number; readonly to?: number } = {},
  ): AsyncGenerator<StoredRecord> {
    const folder = join(this.#own, "records", recordKind(kind));
    const first = from === -Infinity ? "" : dayOf(from);
    const last = to === Infinity ? "9" : dayOf(to);
    const days = (await entries(folder)).filter((day) => /^\d/.test(day)).sort();
    for (const day of days.filter((day) => day >= first && day <= last)) {
      const found: StoredRecord[] = [];
      for (const name of await entries(join(folder, day))) {
        const text = await readText(join(folder, day, name));
        if (text === null) continue;
        const record = JSON.parse(text) as StoredRecord;
        if (record.at >= from && record.at <= to) found.push(record);
      }
      yield* found.sort((one, other) => one.at - other.at);
    }
  }

  async #folder(...segments: string[]): Promise<string> {
    const folder = join(this.#own, ...segments);
    await fs.mkdir(folder, { recursive: true, mode: FOLDER_MODE }).catch((error: unknown) => {
      throw fileError(error, segments.join("/"));
    });
    return folder;
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

function recordKind(kind: string): string {
  if (!isSafeName(kind)) throw new TypeError(`"${kind}" is no kind of record`);
  return kind;
}

/** Ids are the producers' own: any characters, and any case. */
function recordName(id: string): string {
  return createHash("sha256").update(id).digest("hex");
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

async function readText(path: string): Promise<string | null> {
  try {
    return await fs.readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw fileError(error, basename(path));
  }
}

async function entries(folder: string): Promise<string[]> {
  try {
    return await fs.readdir(folder);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw fileError(error, basename(folder));
  }
}

async function removeOlder(folder: string, than: number): Promise<void> {
  for (const name of await entries(folder)) {
    const path = join(folder, name);
    const found = await fs.lstat(path).catch(() => undefined);
    if (found !== undefined && found.mtimeMs < than) {
      await fs.rm(path, { recursive: true, force: true });
    }
  }
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

interface SaveOptions {
  readonly name: string;
  /** As announced, bytes. */
  readonly size: number | undefined;
  readonly maxBytes: number;
  readonly signal: AbortSignal | undefined;
}

async function save(body: Readable, path: string, options: SaveOptions): Promise<void> {
  const { name, size, maxBytes, signal } = options;
  if (size !== undefined && size > maxBytes) {
    body.on("error", () => undefined).destroy();
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

function refused(message: string): HandlerError {
  return new HandlerError("FILE_REFUSED", message, { dataFault: true, stage: "files" });
}

function notFound(named: string): HandlerError {
  return new HandlerError("FILE_NOT_FOUND", `${named}: no such file`, {
    dataFault: true,
    stage: "files",
  });
}

function tooLarge(named: string, bytes: number, maxBytes: number): HandlerError {
  const message = `${named}: ${bytes} bytes or more, at most ${maxBytes} are taken`;
  return new HandlerError("FILE_TOO_LARGE", message, { dataFault: true, stage: "files" });
}

function httpError(url: string, status: number): HandlerError {
  const message = `${url}: answered ${status}`;
  const passing = status >= 500 || status === 408 || status === 425 || status === 429;
  if (passing) return new HandlerError("TEMPORARY_FAILURE", message, { stage: "files" });
  const missing = status === 404 || status === 410;
  return new HandlerError(missing ? "FILE_NOT_FOUND" : "FILE_REFUSED", message, {
    dataFault: true,
    stage: "files",
  });
}

function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" ? code : undefined;
}

const networkCodes: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
  "ENOTFOUND",
]);
const passingCodes: ReadonlySet<string> = new Set([
  "ENOSPC",
  "EDQUOT",
  "EMFILE",
  "ENFILE",
  "EIO",
  "EBUSY",
]);

/** What a failed file operation means for the job; the file is called as its producer called it. */
function fileError(error: unknown, named: string): unknown {
  if (error instanceof HandlerError) return error;
  if (error instanceof AddressRefused) return refused(`${named}: ${error.message}`);
  const code = codeOf(error);
  if (code === undefined || !(error instanceof Error)) return error;
  const options = { stage: "files", cause: error };
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return notFound(named);
    case "ELOOP":
      return refused(`${named}: is a link`);
    case "EACCES":
    case "EPERM":
    case "ENAMETOOLONG":
    case "EISDIR":
      return refused(`${named}: cannot be opened (${code})`);
    default:
  }
  if (networkCodes.has(code) || code.startsWith("UND_ERR") || code.includes("CERT")) {
    return new HandlerError("NETWORK_ERROR", `${named}: ${error.message}`, options);
  }
  if (passingCodes.has(code)) {
    return new HandlerError("TEMPORARY_FAILURE", `${named}: ${code}`, options);
  }
  return error;
}
