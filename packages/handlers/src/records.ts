import { createHash } from "node:crypto";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { ensureFolder, namesIn, readText, removeOlder, replaceFile } from "./whole-files.ts";

export interface StoredRecord {
  readonly id: string;
  /** When it was put, epoch ms. */
  readonly at: number;
  readonly value: unknown;
}

/** What later jobs need: a file for each record in a folder for each day, and by each id the day of its record. */
export class Records {
  readonly #folder: string;
  readonly #temporary: string;

  constructor(folder: string, temporary: string) {
    this.#folder = folder;
    this.#temporary = temporary;
  }

  /** In place of what was kept under that id. */
  async put(kind: string, id: string, value: unknown, at: number): Promise<void> {
    const name = nameOf(id);
    const day = dayOf(at);
    const path = join(await ensureFolder(join(this.#folder, checked(kind), day)), name);
    const text = JSON.stringify({ id, at, value } satisfies StoredRecord);
    await this.#write(path, text);
    const pointer = join(await ensureFolder(join(this.#folder, kind, "days-by-id")), name);
    const before = await readText(pointer);
    await this.#write(pointer, day);
    if (before !== null && before !== day) {
      await fs.rm(join(this.#folder, kind, before, name), { force: true });
    }
  }

  async get(kind: string, id: string): Promise<StoredRecord | null> {
    const name = nameOf(id);
    const folder = join(this.#folder, checked(kind));
    // The pointer may be replaced between the two reads.
    for (let tries = 0; tries < 3; tries++) {
      const day = await readText(join(folder, "days-by-id", name));
      if (day === null) return null;
      const text = await readText(join(folder, day, name));
      if (text !== null) return JSON.parse(text) as StoredRecord;
    }
    return null;
  }

  /** Those put in the period, oldest first; epoch ms, both ends included. */
  async *list(
    kind: string,
    { from = -Infinity, to = Infinity }: { readonly from?: number; readonly to?: number },
  ): AsyncGenerator<StoredRecord> {
    const folder = join(this.#folder, checked(kind));
    const first = from === -Infinity ? "" : dayOf(from);
    const last = to === Infinity ? "9" : dayOf(to);
    const days = (await namesIn(folder)).filter(isDay).sort();
    for (const day of days.filter((day) => day >= first && day <= last)) {
      const found: StoredRecord[] = [];
      for (const name of await namesIn(join(folder, day))) {
        const text = await readText(join(folder, day, name));
        if (text === null) continue;
        const record = JSON.parse(text) as StoredRecord;
        if (record.at >= from && record.at <= to) found.push(record);
      }
      yield* found.sort((one, other) => one.at - other.at);
    }
  }

  /** Removes those put before a moment, epoch ms, to the day. */
  async prune(before: number): Promise<void> {
    for (const kind of await namesIn(this.#folder)) {
      const folder = join(this.#folder, kind);
      await removeOlder(join(folder, "days-by-id"), before);
      const oldest = dayOf(before);
      for (const day of await namesIn(folder)) {
        if (isDay(day) && day < oldest) await fs.rm(join(folder, day), { recursive: true });
      }
    }
  }

  async #write(path: string, text: string): Promise<void> {
    await replaceFile(path, this.#temporary, (temporary) => fs.writeFile(temporary, text));
  }
}

function checked(kind: string): string {
  if (!/^[a-z-]{1,100}$/.test(kind)) throw new TypeError(`"${kind}" is no kind of record`);
  return kind;
}

/** Ids are the producers' own: any characters, and any case. */
function nameOf(id: string): string {
  return createHash("sha256").update(id).digest("hex");
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function isDay(name: string): boolean {
  return /^\d/.test(name);
}
