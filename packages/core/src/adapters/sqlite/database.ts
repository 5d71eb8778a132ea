import { readdirSync, readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { containsText, errorGroupOf } from "../../error-groups.ts";
import { QueueError } from "../../errors.ts";
import type { JobFailure } from "../../job.ts";
import { addTo, type Bits, encodeBits, noBits } from "../../job-facts.ts";
import type { Filled, MoveMark } from "../../store-at-rest.ts";
import { writeLate } from "./open-jobs.ts";

const migrations = new URL("./migrations/", import.meta.url);

/** SQLite's primary result codes that say the store, not the statement, is at fault. */
const storeFaults: Readonly<Record<number, string>> = {
  7: "out of memory",
  8: "the database file is read-only",
  10: "disk I/O error",
  11: "the database file is damaged",
  13: "the disk is full",
  14: "the database file cannot be opened",
  22: "the file system cannot hold a file so large",
  23: "access to the database file is denied",
  26: "the file is not a Jobyard database",
};

const SQLITE_BUSY = 5;

function resultCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  return typeof code === "number" ? code & 0xff : undefined;
}

/** The store's own failure, as a caller should hear it; undefined if `error` is something else. */
export function storeError(error: unknown, path: string): QueueError | undefined {
  const fault = storeFaults[resultCode(error) ?? -1];
  if (fault === undefined) return undefined;
  return new QueueError(
    "UNAVAILABLE",
    `The job store cannot be used: ${fault}. Nothing of this call was kept; mend ${path} and try again.`,
    { retryAfterMs: 1000 },
    error,
  );
}

/**
 * Opens the file for this process alone, brought up to the newest schema. `late`: rows that the last process put off are
 * written, or left as they are, for whom the jobs do not matter: they may be damaged.
 */
export function openDatabase(path: string, late: "written" | "left" = "written"): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { timeout: 0, allowExtension: false });
    // The page size has to come before anything is written. FULL: a commit returns once it is on disk.
    db.exec(`
      PRAGMA page_size = 8192;
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = 1000;
      PRAGMA cache_size = -32000;
      PRAGMA temp_store = MEMORY;
    `);
    // The lock is taken with the first write transaction and kept.
    db.exec("BEGIN IMMEDIATE; COMMIT");
    defineFunctions(db);
    migrate(db);
    if (late === "written") writeLate(db);
    return db;
  } catch (error) {
    db?.close();
    if (resultCode(error) === SQLITE_BUSY) {
      throw new QueueError(
        "UNAVAILABLE",
        `Another process is using ${path}. The embedded engine belongs to one process: stop the other one, use ` +
          "another DATA_DIR, or set REDIS_URL to share the work between processes.",
        {},
        error,
      );
    }
    throw storeError(error, path) ?? error;
  }
}

/** Whether it was refused because another process has the file. */
export function isServed(error: unknown): boolean {
  return error instanceof QueueError && resultCode(error.cause) === SQLITE_BUSY;
}

/** What statements ask of a JobFailure as JSON, and sets of ids as `encodeBits` has them. */
function defineFunctions(db: DatabaseSync): void {
  const messageOf = (error: unknown): string => (JSON.parse(String(error)) as JobFailure).message;
  const pure = { deterministic: true };
  db.function("error_group", pure, (error) =>
    error === null ? errorGroupOf("") : errorGroupOf(messageOf(error)),
  );
  db.aggregate("id_set", {
    start: noBits,
    step: (bits: Bits, place) => {
      addTo(bits, Number(place));
      return bits;
    },
    result: (bits: Bits) => encodeBits(bits),
  });
  db.function("error_has", pure, (error, text) =>
    error !== null && containsText(messageOf(error), String(text)) ? 1 : 0,
  );
}

/** What the file says of a move that it takes part in, and, if it is being filled, how far it is. */
export interface KeptMark {
  readonly mark: MoveMark;
  readonly filled: Filled;
}

export function keptMark(db: DatabaseSync): KeptMark | null {
  const text = db.prepare("SELECT value FROM meta WHERE key = 'move'").get()?.["value"];
  return text === undefined ? null : (JSON.parse(String(text)) as KeptMark);
}

function migrate(db: DatabaseSync): void {
  const files = readdirSync(migrations)
    .filter((name) => /^\d{4}_.*\.sql$/.test(name))
    .sort();
  const done = Number(db.prepare("PRAGMA user_version").get()?.["user_version"]);
  if (done > files.length) {
    throw new QueueError(
      "UNAVAILABLE",
      `The database was written by a newer Jobyard (schema ${done}, this one knows ${files.length}). Upgrade Jobyard.`,
    );
  }
  for (const [i, name] of files.entries()) {
    if (i < done) continue;
    db.exec("BEGIN");
    db.exec(readFileSync(new URL(name, migrations), "utf8"));
    db.exec(`PRAGMA user_version = ${i + 1}`);
    db.exec("COMMIT");
  }
}
