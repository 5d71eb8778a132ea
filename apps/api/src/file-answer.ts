import { Readable } from "node:stream";
import type { OpenFile } from "@jobyard/handlers";
import type { ApiContext } from "./dialect.ts";

/** The file, or the one range of it that was asked for, to be saved and never shown. It is closed in any case. */
export async function answerWithFile(c: ApiContext, file: OpenFile): Promise<Response> {
  const { name, size, modifiedAt, contentType } = file;
  const tag = `"${Math.round(modifiedAt * 1000).toString(36)}-${size.toString(36)}"`;
  const about = {
    ETag: tag,
    "Last-Modified": new Date(modifiedAt).toUTCString(),
    "Accept-Ranges": "bytes",
    // To be asked for again each time: a later attempt of the job may replace it.
    "Cache-Control": "private, no-cache",
  };
  if (namesTag(c.req.header("if-none-match"), tag)) {
    await file.close();
    return c.body(null, 304, about);
  }
  const since = c.req.header("if-range");
  const asked = since === undefined || since === tag ? c.req.header("range") : undefined;
  const range = rangeOf(asked, size);
  if (range === "none") {
    await file.close();
    return c.body(null, 416, { ...about, "Content-Range": `bytes */${size}` });
  }
  const { start, end } = range ?? { start: 0, end: size };
  const headers = {
    ...about,
    "Content-Type": contentType,
    "Content-Length": String(end - start),
    // The names of files consist of characters that need no quoting.
    "Content-Disposition": `attachment; filename="${name}"`,
    ...(range !== null && { "Content-Range": `bytes ${start}-${end - 1}/${size}` }),
  };
  const status = range === null ? 200 : 206;
  if (c.req.method === "HEAD") {
    await file.close();
    return c.body(null, status, headers);
  }
  return c.body(Readable.toWeb(file.read({ start, end })) as ReadableStream, status, headers);
}

function namesTag(list: string | undefined, tag: string): boolean {
  return (list ?? "").split(",").some((one) => ["*", tag, `W/${tag}`].includes(one.trim()));
}

/** From `start` to before `end`; null: the whole file, also where several ranges are asked for; "none": not in it. */
function rangeOf(
  header: string | undefined,
  size: number,
): { readonly start: number; readonly end: number } | "none" | null {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return null;
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? "none" : { start: size - length, end: size };
  }
  const start = Number(first);
  const end = last === "" ? size : Math.min(Number(last) + 1, size);
  if (last !== "" && Number(last) < start) return null;
  return start >= size ? "none" : { start, end };
}
