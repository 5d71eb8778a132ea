import { randomUUID } from "node:crypto";
import { mkdir, open, opendir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { QueueError } from "./errors.ts";
import type { Payload, PayloadFile } from "./job.ts";

/** Data and results above this are kept in files, bytes. */
export const INLINE_BYTES = 1_000_000;

/** A file is written before the job that names it is stored: younger ones may still be on their way, ms. */
const ORPHAN_AGE_MS = 3_600_000;
const SWEEP_STEP = 500;

/** Whether a text is short enough without counting its bytes: a character has at most three. */
export function isShort(text: string): boolean {
  return text.length * 3 <= INLINE_BYTES;
}

/** Keeps the JSON that is too long for the job store, one file each, in one folder. */
export class PayloadFiles {
  readonly #folder: string;

  /** `folder` is created with the first file. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The text itself if it is short, else where it lies from now on, synced to disk. */
  async keep(text: string): Promise<Payload> {
    if (isShort(text)) return text;
    const bytes = Buffer.byteLength(text);
    return bytes <= INLINE_BYTES ? text : this.#write(text, bytes);
  }

  async #write(text: string, bytes: number): Promise<PayloadFile> {
    const file = `${randomUUID()}.json`;
    try {
      await mkdir(this.#folder, { recursive: true });
      const handle = await open(join(this.#folder, file), "wx", 0o600);
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      // The folder's entry has to survive as well before the job that names it is acknowledged.
      const folder = await open(this.#folder);
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    } catch (error) {
      await rm(join(this.#folder, file), { force: true }).catch(() => undefined);
      throw new QueueError(
        "UNAVAILABLE",
        `A large payload cannot be stored (${(error as NodeJS.ErrnoException).code ?? "error"}); nothing was kept, try again`,
        { retryAfterMs: 1000 },
        error,
      );
    }
    return { file, bytes };
  }

  async read(payload: Payload): Promise<string> {
    if (typeof payload === "string") return payload;
    try {
      return await readFile(join(this.#folder, payload.file), "utf8");
    } catch (error) {
      throw new QueueError("UNAVAILABLE", "A job's large payload cannot be read", {}, error);
    }
  }

  async delete(files: readonly PayloadFile[]): Promise<void> {
    for (const { file } of files) {
      // What cannot be deleted now stays: no caller could do anything about it.
      await rm(join(this.#folder, file), { force: true }).catch(() => undefined);
    }
  }

  /** Deletes the old files that `inUse` does not know: their process died before it could name them. */
  async sweep(inUse: (files: readonly string[]) => Promise<readonly string[]>): Promise<number> {
    // By the real clock, as the file system's times are.
    const before = Date.now() - ORPHAN_AGE_MS;
    let old: string[] = [];
    let swept = 0;
    const look = async (): Promise<void> => {
      const known = new Set(await inUse(old));
      const orphans = old.filter((file) => !known.has(file));
      await this.delete(orphans.map((file) => ({ file, bytes: 0 })));
      swept += orphans.length;
      old = [];
    };
    for await (const file of this.#names()) {
      const found = await stat(join(this.#folder, file)).catch(() => undefined);
      if (found?.isFile() === true && found.mtimeMs < before) old.push(file);
      if (old.length === SWEEP_STEP) await look();
    }
    if (old.length > 0) await look();
    return swept;
  }

  async *#names(): AsyncGenerator<string> {
    try {
      for await (const { name } of await opendir(this.#folder)) yield name;
    } catch (error) {
      // It comes with the first file.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }

  /** Deletes the file of what was kept for nothing. */
  async discard(payload: Payload): Promise<void> {
    if (typeof payload !== "string") await this.delete([payload]);
  }
}
