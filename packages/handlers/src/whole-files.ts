import { randomUUID } from "node:crypto";
import * as fs from "node:fs/promises";
import { basename, join } from "node:path";
import { codeOf, fileError } from "./file-errors.ts";

/** Only the service itself reads what is in it. */
export const FOLDER_MODE = 0o700;

/** @returns the folder, made if it was not there */
export async function ensureFolder(folder: string): Promise<string> {
  await fs.mkdir(folder, { recursive: true, mode: FOLDER_MODE }).catch((error: unknown) => {
    throw fileError(error, basename(folder));
  });
  return folder;
}

/**
 * Nobody ever sees half a file: it is written in `temporary`, on the same disk, then renamed.
 * @returns bytes
 */
export async function replaceFile(
  path: string,
  temporary: string,
  write: (path: string) => Promise<void>,
): Promise<number> {
  const beside = join(await ensureFolder(temporary), randomUUID());
  try {
    await write(beside);
    const { size } = await fs.stat(beside);
    await fs.rename(beside, path);
    return size;
  } catch (error) {
    await fs.rm(beside, { recursive: true, force: true }).catch(() => undefined);
    throw fileError(error, basename(path));
  }
}

/** null: there is none. */
export async function readText(path: string): Promise<string | null> {
  try {
    return await fs.readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw fileError(error, basename(path));
  }
}

/** None where there is no such folder. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await fs.readdir(folder);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw fileError(error, basename(folder));
  }
}

/** `than`: epoch ms. */
export async function removeOlder(folder: string, than: number): Promise<void> {
  for (const name of await namesIn(folder)) {
    const path = join(folder, name);
    const found = await fs.lstat(path).catch(() => undefined);
    if (found !== undefined && found.mtimeMs < than) {
      await fs.rm(path, { recursive: true, force: true });
    }
  }
}
