import { extname } from "node:path";

/** By extension: what handlers write, and what they read. */
const types: Readonly<Record<string, string>> = {
  ".csv": "text/csv; charset=utf-8; header=present",
  ".eml": "message/rfc822",
  ".gz": "application/gzip",
  ".jpeg": "image/jpeg",
  ".jpg": "image/jpeg",
  ".json": "application/json",
  ".3mf": "model/3mf",
  ".ndjson": "application/x-ndjson",
  ".obj": "model/obj",
  ".parquet": "application/vnd.apache.parquet",
  ".pdf": "application/pdf",
  ".png": "image/png",
  ".step": "model/step",
  ".stl": "model/stl",
  ".stp": "model/step",
  ".tsv": "text/tab-separated-values; charset=utf-8",
  ".txt": "text/plain; charset=utf-8",
  ".webp": "image/webp",
  ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  ".zip": "application/zip",
  ".zst": "application/zstd",
};

/** Nothing that a browser would run. */
export function contentTypeOf(name: string): string {
  return types[extname(name).toLowerCase()] ?? "application/octet-stream";
}
