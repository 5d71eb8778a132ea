import { constants, existsSync } from "node:fs";
import { copyFile, link, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { QueueError } from "../../errors.ts";
import type { StateCounts } from "../../queue-adapter.ts";
import { refuseMoved } from "../../store-at-rest.ts";
import { isServed, keptMark, openDatabase, storeError } from "./database.ts";
import { noCounts } from "./lanes.ts";
import { type Phase, stateOf } from "./rows.ts";

export interface RestoreReport {
  readonly path: string;
  /** When the backup was made, epoch ms, as far as its file tells. */
  readonly madeAt: number;
  /** Its jobs; those that were being run then count as waiting. */
  readonly states: StateCounts;
  /** Large payloads that its jobs name and that are not there any more. */
  readonly missingFiles: number;
  /** Where the store is kept that was there before; null: there was none. */
  readonly replaced: string | null;
}

/**
 * Puts a backup in the place of a store that nobody serves. The store that was there stays whole until the backup, checked
 * and copied, takes its place in one step, and is kept beside it. Ids that it had given out are not given out again.
 * @throws QueueError UNAVAILABLE while a process serves the store, or where the disk fails; INVALID_STATE where the file is
 * no backup, is damaged, or was written by a newer version. Then nothing was changed.
 */
export async function restoreBackup(params: {
  readonly file: string;
  /** Of the store. */
  readonly path: string;
  readonly payloadFolder: string;
}): Promise<RestoreReport> {
  const { file, path, payloadFolder } = params;
  checkBackup(file);
  const { mtimeMs } = await stat(file);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // Refused before anything is copied.
  firstNewNumber(path);
  const copy = `${path}.restoring`;
  try {
    await removeStore(copy);
    await copyFile(file, copy, constants.COPYFILE_FICLONE);
    const states = prepare(copy, file, firstNewNumber(path));
    const missingFiles = countMissing(copy, payloadFolder);
    await sync(copy);
    const replaced = await keep(path);
    await rename(copy, path);
    await sync(dirname(path));
    return { path, madeAt: Math.floor(mtimeMs), states, missingFiles, replaced };
  } catch (error) {
    throw storeError(error, path) ?? error;
  } finally {
    await removeStore(copy);
  }
}

function checkBackup(file: string): void {
  const refuse = (why: string): never => {
    throw new QueueError(
      "INVALID_STATE",
      `${file} cannot be restored: ${why}. Nothing was changed.`,
    );
  };
  if (!existsSync(file)) refuse("there is no such file");
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { readOnly: true });
    const found = db.prepare("PRAGMA integrity_check(1)").get()?.["integrity_check"];
    if (found !== "ok") refuse(`it is damaged (${String(found)})`);
    const tables = db.prepare(
      "SELECT count(*) n FROM sqlite_schema WHERE name IN ('meta', 'job', 'open_job')",
    );
    if (tables.get()?.["n"] !== 3) refuse("it is not a backup of Jobyard");
  } catch (error) {
    if (error instanceof QueueError) throw error;
    refuse(`it is damaged or not a backup of Jobyard (${(error as Error).message})`);
  } finally {
    db?.close();
  }
}

/** The first id that the store there has not given out; 0 where there is none, or it cannot be read. */
function firstNewNumber(path: string): number {
  if (!existsSync(path)) return 0;
  try {
    const db = openDatabase(path, "left");
    try {
      return nextId(db);
    } finally {
      db.close();
    }
  } catch (error) {
    // What is damaged is what backups are for.
    if (isServed(error)) throw error;
    return 0;
  }
}

function nextId(db: DatabaseSync): number {
  return Number(db.prepare("SELECT value FROM meta WHERE key = 'next_id'").get()?.["value"] ?? 1);
}

/** Brings the copy up to date; answers with its jobs. */
function prepare(copy: string, file: string, firstNew: number): StateCounts {
  const db = openDatabase(copy);
  try {
    const kept = keptMark(db);
    if (kept !== null) refuseMoved(kept.mark, file);
    const next = Math.max(firstNew, nextId(db));
    db.prepare("INSERT OR REPLACE INTO meta VALUES ('next_id', ?)").run(next);
    const states = noCounts();
    const counted = db.prepare(
      `SELECT phase, count(*) n FROM open_job GROUP BY phase
       UNION ALL SELECT phase, count(*) n FROM finished_job GROUP BY phase`,
    );
    for (const { phase, n } of counted.all()) states[stateOf(phase as Phase)] = Number(n);
    return states;
  } finally {
    db.close();
  }
}

function countMissing(copy: string, payloadFolder: string): number {
  const db = new DatabaseSync(copy, { readOnly: true });
  try {
    let missing = 0;
    for (const { file } of db.prepare("SELECT file FROM payload_file").iterate()) {
      if (!existsSync(join(payloadFolder, String(file)))) missing++;
    }
    return missing;
  } finally {
    db.close();
  }
}

/** Gives the store another name beside its own. */
async function keep(path: string): Promise<string | null> {
  if (!existsSync(path)) return null;
  const replaced = `${path}.replaced-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
  await link(path, replaced);
  // A log that could not be read into its store, which is damaged, is never to be read into another one.
  for (const suffix of ["-wal", "-shm"]) {
    if (existsSync(path + suffix)) await rename(path + suffix, replaced + suffix);
  }
  return replaced;
}

async function removeStore(path: string): Promise<void> {
  for (const suffix of ["", "-wal", "-shm"]) await rm(path + suffix, { force: true });
}

async function sync(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
