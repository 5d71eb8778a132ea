import type { Readable } from "node:stream";
import * as yauzl from "yauzl";
import { badFile, EngineFailure } from "./failure.ts";
import { limits } from "./limits.ts";

/** A zip archive whose parts are looked up by name; none is inflated before its size is known to be bearable. */
export class Archive {
  readonly #zip: yauzl.ZipFile;
  readonly #entries: ReadonlyMap<string, yauzl.Entry>;
  readonly #name: string;

  private constructor(zip: yauzl.ZipFile, entries: ReadonlyMap<string, yauzl.Entry>, name: string) {
    this.#zip = zip;
    this.#entries = entries;
    this.#name = name;
  }

  /** @throws HandlerError when it is broken, encrypted or would inflate beyond the limits */
  static async open(path: string, name: string, size: number): Promise<Archive> {
    const zip = await yauzl
      .openPromise(path, { lazyEntries: true, autoClose: false })
      .catch((error: unknown) => {
        throw broken(name, error);
      });
    try {
      if (zip.entryCount > limits.archiveEntries) {
        throw badFile(`${name}: has ${zip.entryCount} parts, at most ${limits.archiveEntries}`);
      }
      const entries = await entriesOf(zip).catch((error: unknown) => {
        throw broken(name, error);
      });
      checkSizes(entries, name, size);
      return new Archive(zip, new Map(entries.map((entry) => [entry.fileName, entry])), name);
    } catch (error) {
      zip.close();
      throw error;
    }
  }

  has(part: string): boolean {
    return this.#entries.has(part);
  }

  get parts(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /** Inflated bytes, as the directory tells and `read` holds it to. */
  sizeOf(part: string): number {
    return this.#entries.get(part)?.uncompressedSize ?? 0;
  }

  /** Its content; a stream that gives more than was announced fails. */
  async *read(part: string): AsyncGenerator<Buffer> {
    const entry = this.#entries.get(part);
    if (entry === undefined) throw badFile(`${this.#name}: lacks its part ${part}`);
    if (entry.isEncrypted()) throw badFile(`${this.#name}: is encrypted`);
    let content: Readable | undefined;
    try {
      content = await this.#zip.openReadStreamPromise(entry);
      yield* content as AsyncIterable<Buffer>;
    } catch (error) {
      throw broken(this.#name, error);
    } finally {
      content?.destroy();
    }
  }

  async text(part: string, mostBytes: number): Promise<string> {
    if (this.sizeOf(part) > mostBytes)
      throw badFile(`${this.#name}: its part ${part} is too large`);
    const chunks: Buffer[] = [];
    for await (const chunk of this.read(part)) chunks.push(chunk);
    return Buffer.concat(chunks).toString("utf8");
  }

  close(): void {
    this.#zip.close();
  }
}

function entriesOf(zip: yauzl.ZipFile): Promise<yauzl.Entry[]> {
  return new Promise((resolve, reject) => {
    const entries: yauzl.Entry[] = [];
    zip.on("entry", (entry: yauzl.Entry) => {
      entries.push(entry);
      zip.readEntry();
    });
    zip.on("end", () => resolve(entries));
    zip.on("error", reject);
    zip.readEntry();
  });
}

function checkSizes(entries: readonly yauzl.Entry[], name: string, size: number): void {
  const most = Math.min(
    limits.inflatedBytes,
    Math.max(limits.inflatedFree, size * limits.inflationRatio),
  );
  let inflated = 0;
  for (const entry of entries) inflated += entry.uncompressedSize;
  if (inflated > most) {
    const message = `${name}: ${size} bytes inflate to ${inflated}, at most ${most} are taken`;
    throw badFile(message, "DECOMPRESSION_LIMIT");
  }
}

function broken(name: string, error: unknown): Error {
  if (error instanceof EngineFailure) return error;
  const message = error instanceof Error ? error.message : String(error);
  const bomb = message.includes("too many bytes in the stream");
  return badFile(
    `${name}: is no valid archive: ${message}`,
    bomb ? "DECOMPRESSION_LIMIT" : undefined,
  );
}
