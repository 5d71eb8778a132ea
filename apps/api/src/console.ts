import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { glob, readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { QueueError } from "@jobyard/core";
import type { Logger } from "@jobyard/core/process";
import type { ApiContext } from "./dialect.ts";
import type { Route } from "./operations.ts";
import { RequestError } from "./request-error.ts";

/*
 * The console: files that a browser is given without a token, since it holds nothing but the program. What it shows it asks the
 * native interface for, with the token of whoever looks.
 */

const PREFIX = "/console";
/** Beside this package in a clone, among its dependencies where it is installed. */
const root = dirname(createRequire(import.meta.url).resolve("@jobyard/console/package.json"));

/** Scripts and styles of our own files and nothing else: whatever slipped into the page could not run. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

interface Page {
  readonly type: string;
  readonly tag: string;
  readonly plain: Buffer;
  readonly br: Buffer;
  readonly gzip: Buffer;
}

/** `/console`, and every address under it that is no file: those are the application's own. */
export function consoleRoutes(log: Logger): readonly Route[] {
  let pages: Promise<ReadonlyMap<string, Page>> | undefined;

  const serve = async (c: ApiContext): Promise<Response> => {
    pages ??= open(log);
    // What could not be built may be built next time.
    pages.catch(() => (pages = undefined));
    const files = await pages;
    const path = c.req.path.slice(PREFIX.length + 1);
    const asset = path.startsWith("assets/");
    const page = files.get(asset || files.has(path) ? path : "index.html");
    if (page === undefined)
      throw new RequestError("ROUTE_NOT_FOUND", "The console has no such file");
    const headers = {
      "Cache-Control": asset ? "public, max-age=31536000, immutable" : "no-cache",
      "Content-Security-Policy": policy,
      ETag: page.tag,
      Vary: "Accept-Encoding",
    };
    if (c.req.header("if-none-match") === page.tag) return c.body(null, 304, headers);
    const accepted = (c.req.header("accept-encoding") ?? "").split(",").map((one) => one.trim());
    const encoding = (["br", "gzip"] as const).find((one) => accepted.includes(one));
    const body = page[encoding ?? "plain"];
    return c.body(new Uint8Array(body), 200, {
      ...headers,
      "Content-Type": page.type,
      "Content-Length": String(body.length),
      ...(encoding !== undefined && { "Content-Encoding": encoding }),
    });
  };

  return [PREFIX, `${PREFIX}/*`].map((path) => ({ method: "GET", path, handle: serve }));
}

/** Into memory, compressed once. */
async function open(log: Logger): Promise<ReadonlyMap<string, Page>> {
  const dist = join(root, "dist");
  if (await isStale()) {
    try {
      await build(log);
    } catch (error) {
      // The one before is better than none.
      if (!existsSync(join(dist, "index.html"))) throw error;
    }
  }
  const pages = new Map<string, Page>();
  for await (const path of glob("**/*.*", { cwd: dist })) {
    pages.set(path, await pageOf(path, await readFile(join(dist, path))));
  }
  return pages;
}

async function pageOf(path: string, plain: Buffer): Promise<Page> {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9 };
  const [br, gzipped] = await Promise.all([
    promisify(brotliCompress)(plain, { params }),
    promisify(gzip)(plain),
  ]);
  const type = contentTypes[extname(path)] ?? "application/octet-stream";
  const tag = `"${createHash("sha256").update(plain).digest("base64url").slice(0, 22)}"`;
  return { type, tag, plain, br, gzip: gzipped };
}

/** A clone builds the console when somebody first looks, and again when its source has changed. */
async function isStale(): Promise<boolean> {
  const built = await stat(join(root, "dist/index.html")).catch(() => null);
  if (built === null) return true;
  for await (const path of glob("{src/**,index.html,vite.config.ts}", { cwd: root })) {
    if ((await stat(join(root, path))).mtimeMs > built.mtimeMs) return true;
  }
  return false;
}

async function build(log: Logger): Promise<void> {
  const script = join(root, "build.ts");
  if (!existsSync(script)) {
    throw new QueueError("UNAVAILABLE", "This server came without the console's files");
  }
  const began = performance.now();
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "ignore", "pipe"] });
  let told = "";
  child.stderr.on("data", (chunk: Buffer) => (told += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code !== 0) {
    log.error({ code, told: told.slice(-4000) }, "The console could not be built");
    throw new QueueError(
      "UNAVAILABLE",
      "The console could not be built: the log says why, and so does `pnpm build`",
    );
  }
  log.info({ ms: Math.round(performance.now() - began) }, "The console is built");
}
