import { mkdirSync, realpathSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { isTenant } from "@jobyard/core";
import { PublicHttp } from "./public-http.ts";
import { Records, type StoredRecord } from "./records.ts";
import { type S3Settings, S3Source } from "./s3-source.ts";
import { OWN_FOLDER, TenantFolder } from "./tenant-folder.ts";
import { FOLDER_MODE, namesIn, removeOlder } from "./whole-files.ts";

export interface StorageOptions {
  /** `FILES_DIR`; made if it is not there. */
  readonly root: string;
  /** Where in a tenant's part the files lie that jobs made: one for each store of jobs. Default `results`. */
  readonly resultsFolder?: string;
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

export interface FileInfo {
  /** Its last segment. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Epoch ms, with a fraction. */
  readonly modifiedAt: number;
  /** By its extension. */
  readonly contentType: string;
}

/** A file that is there to be read, as it was when it was opened, also once it is replaced. */
export interface OpenFile extends FileInfo {
  /** The bytes from `start` to before `end`; ends with the file closed. Call it once. */
  read(range?: { readonly start?: number; readonly end?: number }): Readable;
  /** Where it is not read. */
  close(): Promise<void>;
}

export interface FolderEntry {
  readonly name: string;
  readonly kind: "file" | "folder";
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
  stat(path: string): Promise<FileInfo>;
  open(path: string): Promise<OpenFile>;
  /** What is in a folder, by default the tenant's own; nothing where it is not there. In no order. */
  list(folder?: string): Promise<FolderEntry[]>;
  /** @returns whether there was one */
  remove(path: string): Promise<boolean>;
  /**
   * Keeps what `write` leaves at the path it is given as a job's result, in place of an earlier attempt's.
   * @param name - one segment of letters, digits and `_.-`; its extension says of what type it is
   */
  writeResult(
    jobId: number,
    name: string,
    write: (path: string) => Promise<void>,
  ): Promise<ResultFile>;
  /** Where a result is, whether or not there is one. */
  resultPath(jobId: number, name: string): string;
  /** null: the job has no such file. */
  openResult(jobId: number, name: string): Promise<OpenFile | null>;
  /** By name; none where the job has made none. */
  listResults(jobId: number): Promise<FileInfo[]>;
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
  readonly #resultsFolder: string;
  readonly #http: PublicHttp;
  readonly #s3: S3Source | undefined;

  constructor({ root, resultsFolder = "results", s3, allowPrivateHttp = false }: StorageOptions) {
    this.#resultsFolder = resultsFolder;
    mkdirSync(root, { recursive: true, mode: FOLDER_MODE });
    this.root = realpathSync.native(root);
    this.#http = new PublicHttp({ allowPrivate: allowPrivateHttp });
    this.#s3 = s3 && new S3Source(s3);
  }

  /** @throws TypeError when the name is no tenant's */
  of(tenant: string): TenantFiles {
    if (!isTenant(tenant)) throw new TypeError(`"${tenant}" is no tenant's name`);
    const root = join(this.root, tenant);
    return new TenantFolder(tenant, root, this.#resultsFolder, this.#http, this.#s3);
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
      if (!isTenant(tenant)) continue;
      const own = join(this.root, tenant, OWN_FOLDER);
      await removeOlder(join(own, "tmp"), now - SCRATCH_KEPT_MS);
      await removeOlder(join(own, "datasets"), now - DATASET_KEPT_MS);
      await this.#sweepResults(tenant, present);
      await new Records(join(own, "records"), join(own, "tmp")).prune(now - recordsMs);
    }
  }

  /** Whoever removed these jobs died before it came to their results. */
  async #sweepResults(
    tenant: string,
    present: (tenant: string, ids: readonly number[]) => Promise<readonly boolean[]>,
  ): Promise<void> {
    const names = await namesIn(join(this.root, tenant, OWN_FOLDER, this.#resultsFolder));
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
