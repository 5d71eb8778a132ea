import { readFile } from "node:fs/promises";
import { extname, parse } from "node:path";
import { HandlerError } from "@jobyard/core";
import type { TenantFiles } from "../storage.ts";

export interface Image {
  /** As its producer named it. */
  readonly name: string;
  readonly bytes: Buffer;
  readonly contentType: "image/png" | "image/jpeg" | "image/webp";
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

const extensions = new Set([".png", ".jpg", ".jpeg", ".webp"]);
const MOST_IMAGE_BYTES = 20_000_000;
/** Decoded, each pixel takes four bytes. */
const MOST_PIXELS = 50_000_000;
const MOST_IMAGES = 1000;
/** page2 before page10. */
const byName = new Intl.Collator("en", { numeric: true });

/**
 * The paths of a batch's images, in name order.
 * @throws HandlerError `NO_IMAGES` or `TOO_MANY_IMAGES`, faults of the data
 */
export async function batchImages(
  projectId: string,
  batchId: string,
  files: TenantFiles,
): Promise<string[]> {
  const folder = `projects/${projectId}/batches/${batchId}`;
  const names = await imagesIn(folder, files);
  if (names.length === 0) throw fault("NO_IMAGES", `${folder}: holds no images`);
  if (names.length > MOST_IMAGES) {
    throw fault(
      "TOO_MANY_IMAGES",
      `${folder}: holds ${names.length} images, at most ${MOST_IMAGES}`,
    );
  }
  return names.sort(byName.compare).map((name) => `${folder}/${name}`);
}

/**
 * The path of an image named by its id, with or without its extension.
 * @throws HandlerError `IMAGE_NOT_FOUND`, a fault of the data
 */
export async function imageById(
  projectId: string,
  imageId: string,
  files: TenantFiles,
): Promise<string> {
  const folder = `projects/${projectId}/images`;
  const names = (await imagesIn(folder, files)).sort(byName.compare);
  const name = names.find((name) => name === imageId || parse(name).name === imageId);
  if (name === undefined) throw fault("IMAGE_NOT_FOUND", `${folder}: there is no image ${imageId}`);
  return `${folder}/${name}`;
}

/** Bytes. @throws HandlerError as the tenant's files do, also where it is too large to be read */
export async function imageBytes(
  filePath: string,
  files: TenantFiles,
  signal: AbortSignal,
): Promise<number> {
  return (await files.local({ filePath }, { signal, maxBytes: MOST_IMAGE_BYTES })).size;
}

async function imagesIn(folder: string, files: TenantFiles): Promise<string[]> {
  const entries = await files.list(folder);
  return entries
    .filter(({ name, kind }) => kind === "file" && extensions.has(extname(name).toLowerCase()))
    .map(({ name }) => name);
}

/** @throws HandlerError `INVALID_IMAGE`, a fault of the data, or as the tenant's files do */
export async function readImage(
  filePath: string,
  files: TenantFiles,
  signal: AbortSignal,
): Promise<Image> {
  const { path, name } = await files.local({ filePath }, { signal, maxBytes: MOST_IMAGE_BYTES });
  const bytes = await readFile(path);
  const found = sizeOf(bytes);
  if (found === null) throw fault("INVALID_IMAGE", `${filePath}: is no PNG, JPEG or WebP image`);
  if (found.width < 1 || found.height < 1 || found.width * found.height > MOST_PIXELS) {
    const message = `${filePath}: has ${found.width} x ${found.height} pixels, at most ${MOST_PIXELS} in all`;
    throw fault("INVALID_IMAGE", message);
  }
  return { name, bytes, ...found };
}

/** Kind and pixels by the file's own header; null: none of the three kinds. */
function sizeOf(bytes: Buffer): Pick<Image, "contentType" | "width" | "height"> | null {
  if (bytes.length < 30) return null;
  if (bytes.toString("latin1", 0, 8) === "\x89PNG\r\n\x1a\n") {
    return {
      contentType: "image/png",
      width: bytes.readUInt32BE(16),
      height: bytes.readUInt32BE(20),
    };
  }
  if (bytes.toString("latin1", 0, 4) === "RIFF" && bytes.toString("latin1", 8, 12) === "WEBP") {
    return webpSize(bytes);
  }
  return bytes.readUInt16BE(0) === 0xffd8 ? jpegSize(bytes) : null;
}

function webpSize(bytes: Buffer): ReturnType<typeof sizeOf> {
  const contentType = "image/webp";
  switch (bytes.toString("latin1", 12, 16)) {
    case "VP8 ":
      return {
        contentType,
        width: bytes.readUInt16LE(26) & 0x3fff,
        height: bytes.readUInt16LE(28) & 0x3fff,
      };
    case "VP8L": {
      const bits = bytes.readUInt32LE(21);
      return { contentType, width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    case "VP8X":
      return {
        contentType,
        width: bytes.readUIntLE(24, 3) + 1,
        height: bytes.readUIntLE(27, 3) + 1,
      };
    default:
      return null;
  }
}

function jpegSize(bytes: Buffer): ReturnType<typeof sizeOf> {
  let at = 2;
  while (at + 9 < bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1] ?? 0;
    // The frame headers, without DHT, JPG and DAC that lie among them.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return {
        contentType: "image/jpeg",
        height: bytes.readUInt16BE(at + 5),
        width: bytes.readUInt16BE(at + 7),
      };
    }
    at += marker === 0xff ? 1 : 2 + bytes.readUInt16BE(at + 2);
  }
  return null;
}

function fault(code: string, message: string): HandlerError {
  return new HandlerError(code, message, { dataFault: true, stage: "images" });
}
