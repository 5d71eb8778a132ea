import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, opendir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { QueueError } from "./errors.ts";
import type { Payload, PayloadFile } from "./job.ts";
import { checkJson, stringifyJson } from "./json.ts";
import { isLong, parseJson, piecesOf } from "./long-json.ts";

/** Data and results above this are kept in files, bytes. */
export const INLINE_BYTES = 1_000_000;

/** A file is written before the job that names it is stored: younger ones may still be on their way, ms. */
const ORPHAN_AGE_MS = 3_600_000;
const SWEEP_STEP = 500;
/** As `randomUUID` makes them. */
const OWN_NAME = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.json$/;

/** Whether a text is short enough without counting its bytes: a character has at most three. */
export function isShort(text: string | Uint8Array): text is string {
  return typeof text === "string" && text.length * 3 <= INLINE_BYTES;
}

/** Keeps the JSON that is too long for the job store, one file each, in one folder. */
export class PayloadFiles {
  readonly #folder: string;

  /** `folder` is created with the first file. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The text itself if it is short, else where it lies from now on, synced to disk. */
  async keep(text: string | Uint8Array): Promise<Payload> {
    if (isShort(text)) return text;
    const bytes = Buffer.byteLength(text);
    if (bytes > INLINE_BYTES) return this.#write([text]);
    return typeof text === "string" ? text : Buffer.from(text).toString();
  }

  /** As `keep`, of a value's text. @throws QueueError VALIDATION as `encodeJson` */
  async keepValue(value: unknown, field: string): Promise<Payload> {
    checkJson(value, field);
    return isLong(value) ? this.#write(piecesOf(value)) : this.keep(stringifyJson(value, field));
  }

  async #write(pieces: Iterable<string | Uint8Array>): Promise<PayloadFile> {
    const file = `${randomUUID()}.json`;
    let bytes = 0;
    try {
      await mkdir(this.#folder, { recursive: true });
      const handle = await open(join(this.#folder, file), "wx", 0o600);
      try {
        for (const piece of pieces) bytes += await writePiece(handle, piece);
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
    return readFile(join(this.#folder, payload.file), "utf8").catch(unreadable);
  }

  /** Its value, parsed where that holds nobody up. */
  async readValue(payload: Payload): Promise<unknown> {
    if (typeof payload === "string") return JSON.parse(payload);
    const parsed = await parseJson(await this.#bytes(payload));
    if ("value" in parsed) return parsed.value;
    throw new QueueError("INTERNAL", `A job's large payload is ${parsed.fault}`);
  }

  /** Its text as bytes. */
  async readBytes(payload: Payload): Promise<Uint8Array> {
    return typeof payload === "string" ? Buffer.from(payload) : this.#bytes(payload);
  }

  /** The bytes of its text, read as they are asked for. */
  async stream({ file }: PayloadFile): Promise<AsyncIterable<Uint8Array>> {
    const path = join(this.#folder, file);
    await stat(path).catch(unreadable);
    // Opened with the first piece: who asks for none leaves nothing open.
    return (async function* () {
      yield* createReadStream(path) as AsyncIterable<Uint8Array>;
    })();
  }

  #bytes({ file }: PayloadFile): Promise<Uint8Array> {
    return readFile(join(this.#folder, file)).catch(unreadable);
  }

  async delete(files: readonly PayloadFile[]): Promise<void> {
    for (const { file } of files) {
      // What cannot be deleted now stays: no caller could do anything about it.
      await rm(join(this.#folder, file), { force: true }).catch(() => undefined);
    }
  }

  /**
   * Deletes our old files that `inUse` does not know: their process died before it could name them. What else may lie in
   * the folder is not ours to judge.
   */
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
      if (!OWN_NAME.test(file)) continue;
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

async function writePiece(handle: FileHandle, piece: string | Uint8Array): Promise<number> {
  const bytes = typeof piece === "string" ? Buffer.from(piece) : piece;
  await handle.writeFile(bytes);
  return bytes.length;
}

function unreadable(error: unknown): never {
  throw new QueueError("UNAVAILABLE", "A job's large payload cannot be read", {}, error);
}
