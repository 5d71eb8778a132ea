import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { badFile } from "./failure.ts";
import { limits } from "./limits.ts";

export type Compression = "none" | "gzip" | "zstd";
export type FileFormat = "csv" | "tsv" | "json" | "ndjson" | "xlsx" | "parquet" | "text" | "binary";
export type Encoding = "utf-8" | "utf-16le" | "utf-16be" | "windows-1252";

export interface SourceFile {
  readonly path: string;
  /** As its producer knows it. */
  readonly name: string;
}

export interface DetectedFile extends SourceFile {
  /** Bytes as it is stored. */
  readonly size: number;
  readonly format: FileFormat;
  readonly compression: Compression;
  readonly encoding: Encoding;
  /** The beginning of the content as UTF-8. */
  readonly sample: Buffer;
  /** The sample is all there is. */
  readonly complete: boolean;
  /** What a file is that is neither text nor a table, as far as its beginning tells. */
  readonly kind?: string;
  /** Lines end in a carriage return alone, as on old Macs. */
  readonly bareReturns: boolean;
  /** Where the content begins, bytes; default 0. */
  readonly start?: number;
}

const LF = 0x0a;
const CR = 0x0d;
const CHUNK_BYTES = 1024 * 1024;
/** Of the content, how much is judged. */
export const SAMPLE_BYTES = 256 * 1024;

const binaryKinds: readonly (readonly [string, string])[] = [
  ["d0cf11e0a1b11ae1", "an old Office document (.xls, .doc): save it in the newer format"],
  ["25504446", "a PDF"],
  ["7f454c46", "a program (ELF)"],
  ["4d5a", "a program (Windows)"],
  ["cafebabe", "a program (Java or macOS)"],
  ["cffaedfe", "a program (macOS)"],
  ["89504e47", "a PNG image"],
  ["ffd8ff", "a JPEG image"],
  ["377abcaf271c", "a 7z archive"],
  ["52617221", "a RAR archive"],
  ["425a68", "a bzip2 file"],
  ["fd377a585a00", "an xz file"],
  ["53514c69746520666f726d6174", "an SQLite database"],
];

/**
 * What a file is, by its beginning first and its name second.
 * @throws HandlerError when it is empty or cannot be decompressed
 */
export async function detectFile({ path, name }: SourceFile): Promise<DetectedFile> {
  const { size } = await stat(path);
  if (size === 0) throw badFile(`${name}: is empty`, "EMPTY_FILE");
  const head = await readHead(path, SAMPLE_BYTES);
  const file = { path, name, size };
  const start = head.toString("hex", 0, 16);
  if (start.startsWith("504b0304") || start.startsWith("504b0506")) {
    return { ...file, ...unread, format: "xlsx", sample: head };
  }
  if (start.startsWith("50415231")) return { ...file, ...unread, format: "parquet", sample: head };
  const compression: Compression = start.startsWith("1f8b")
    ? "gzip"
    : start.startsWith("28b52ffd")
      ? "zstd"
      : "none";
  const raw = compression === "none" ? head : await firstOf(path, name, compression);
  if (raw.length === 0) throw badFile(`${name}: holds nothing`, "EMPTY_FILE");
  const complete = compression === "none" ? size <= raw.length : raw.length < SAMPLE_BYTES;
  const inner = raw.toString("hex", 0, 16);
  const packed = ["504b0304", "50415231", "1f8b", "28b52ffd"].some((magic) =>
    inner.startsWith(magic),
  );
  const known = binaryKinds.find(([magic]) => inner.startsWith(magic));
  const encoding = encodingOf(raw, complete);
  const sample = encoding === "utf-8" ? withoutMark(raw) : decodeAll(raw, encoding);
  const isBinary = (known !== undefined && known[0] !== "4d5a") || packed || sample.includes(0);
  if (isBinary) {
    const kind = packed ? "packed more than once" : (known?.[1] ?? "binary data");
    return {
      ...file,
      compression,
      encoding,
      sample: raw,
      complete,
      format: "binary",
      kind,
      bareReturns: false,
    };
  }
  const bareReturns = sample.includes(CR) && !sample.includes(LF);
  if (bareReturns) endLines(sample);
  const format = textFormat(name, sample);
  return { ...file, compression, encoding, sample, complete, format, bareReturns };
}

const unread = {
  compression: "none",
  encoding: "utf-8",
  complete: false,
  bareReturns: false,
} as const;

function textFormat(name: string, sample: Buffer): FileFormat {
  const extension = /\.([a-z0-9]+)(?:\.(?:gz|gzip|zst|zstd))?$/i.exec(name)?.[1]?.toLowerCase();
  switch (extension) {
    case "csv":
      return "csv";
    case "tsv":
    case "tab":
      return "tsv";
    case "ndjson":
    case "jsonl":
      return "ndjson";
    case "json":
      return looksLikeLines(sample) ? "ndjson" : "json";
    default:
  }
  const text = sample.toString("latin1", 0, 4096).trimStart();
  if (text.startsWith("[")) return /^\[\s*[[{]/.test(text) ? "json" : "text";
  if (text.startsWith("{")) return looksLikeLines(sample) ? "ndjson" : "json";
  return "text";
}

/** The first line is a whole JSON object and the second begins one. */
function looksLikeLines(sample: Buffer): boolean {
  const [first = "", second] = sample.toString("utf8").split("\n", 2);
  if (!first.trimStart().startsWith("{") || second?.trimStart().startsWith("{") !== true)
    return false;
  try {
    JSON.parse(first);
    return true;
  } catch {
    return false;
  }
}

async function readHead(path: string, bytes: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const buffer = Buffer.alloc(bytes);
    const { bytesRead } = await file.read(buffer, 0, bytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function firstOf(path: string, name: string, compression: Compression): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  const size = (await stat(path)).size;
  for await (const chunk of bytesOf({ path, name, size, compression })) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= SAMPLE_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, SAMPLE_BYTES);
}

/** A file's content, decompressed and bounded; each chunk is the reader's own. */
export async function* bytesOf({
  path,
  name,
  size,
  compression,
  start = 0,
}: Pick<DetectedFile, "path" | "name" | "size" | "compression" | "start">): AsyncGenerator<Buffer> {
  const stored = createReadStream(path, { highWaterMark: CHUNK_BYTES, start });
  if (compression === "none") {
    yield* stored as AsyncIterable<Buffer>;
    return;
  }
  const chunkSize = 1024 * 1024;
  const inflate =
    compression === "gzip" ? createGunzip({ chunkSize }) : createZstdDecompress({ chunkSize });
  const most = Math.min(
    limits.inflatedBytes,
    Math.max(limits.inflatedFree, size * limits.inflationRatio),
  );
  let bytes = 0;
  try {
    stored.on("error", (error) => inflate.destroy(error));
    for await (const chunk of stored.pipe(inflate) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > most) {
        const message = `${name}: ${size} bytes inflate to more than ${most}`;
        throw badFile(message, "DECOMPRESSION_LIMIT");
      }
      yield chunk;
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (!code.startsWith("Z_") && !code.startsWith("ZSTD")) throw error;
    throw badFile(`${name}: is no valid ${compression} file: ${(error as Error).message}`);
  } finally {
    stored.destroy();
  }
}

/** A text's content as UTF-8, without a byte order mark, its lines ended by line feeds with or without returns. */
export async function* textOf(
  file: DetectedFile,
  encoding: Encoding = file.encoding,
): AsyncGenerator<Buffer> {
  for await (const chunk of decoded(file, encoding)) {
    yield file.bareReturns ? endLines(chunk) : chunk;
  }
}

async function* decoded(file: DetectedFile, encoding: Encoding): AsyncGenerator<Buffer> {
  if (encoding === "utf-8") {
    let first = true;
    for await (const chunk of bytesOf(file)) {
      yield first ? withoutMark(chunk) : chunk;
      first = false;
    }
    return;
  }
  const decoder = new TextDecoder(encoding);
  for await (const chunk of bytesOf(file))
    yield Buffer.from(decoder.decode(chunk, { stream: true }));
  yield Buffer.from(decoder.decode());
}

function endLines(bytes: Buffer): Buffer {
  for (let at = bytes.indexOf(CR); at >= 0; at = bytes.indexOf(CR, at + 1)) bytes[at] = LF;
  return bytes;
}

function withoutMark(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

function decodeAll(raw: Buffer, encoding: Encoding): Buffer {
  return Buffer.from(new TextDecoder(encoding).decode(raw, { stream: true }));
}

function encodingOf(raw: Buffer, complete: boolean): Encoding {
  if (raw[0] === 0xff && raw[1] === 0xfe) return "utf-16le";
  if (raw[0] === 0xfe && raw[1] === 0xff) return "utf-16be";
  const wide = utf16Without(raw);
  if (wide !== undefined) return wide;
  // The sample may end within a character.
  const whole = complete ? raw : raw.subarray(0, raw.lastIndexOf(0x0a) + 1);
  return isUtf8(whole) || mostlyUtf8(whole) ? "utf-8" : "windows-1252";
}

/** Text in UTF-16 that says so by nothing but the zero byte of each ASCII character. */
function utf16Without(raw: Buffer): Encoding | undefined {
  const zeros = [0, 0];
  const looked = Math.min(raw.length, 4096) & ~1;
  for (let at = 0; at < looked; at++) {
    if (raw[at] === 0) zeros[at & 1] = (zeros[at & 1] ?? 0) + 1;
  }
  const [even = 0, odd = 0] = zeros;
  if (looked < 4) return undefined;
  if (odd > looked * 0.4 && even === 0) return "utf-16le";
  if (even > looked * 0.4 && odd === 0) return "utf-16be";
  return undefined;
}

/** Some broken lines in a text whose other characters beyond ASCII are UTF-8. */
function mostlyUtf8(bytes: Buffer): boolean {
  let valid = 0;
  let broken = 0;
  let from = 0;
  while (from < bytes.length) {
    const found = bytes.indexOf(0x0a, from);
    const end = found < 0 ? bytes.length : found;
    const line = bytes.subarray(from, end);
    if (!isUtf8(line)) broken++;
    else if (line.some((byte) => byte >= 0x80)) valid++;
    from = end + 1;
  }
  return valid > broken;
}
