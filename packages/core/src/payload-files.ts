import { randomUUID } from "node:crypto";
import { mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { QueueError } from "./errors.ts";
import type { Payload, PayloadFile } from "./job.ts";

/** Data and results above this are kept in files, bytes. */
export const INLINE_BYTES = 1_000_000;

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

  /** Deletes the file of what was kept for nothing. */
  async discard(payload: Payload): Promise<void> {
    if (typeof payload !== "string") await this.delete([payload]);
  }
}
