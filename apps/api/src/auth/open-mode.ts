import { randomBytes } from "node:crypto";
import { chmod, mkdir, open, readFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { join } from "node:path";
import { isLoopbackHost } from "@jobyard/core";
import { RequestError } from "../request-error.ts";

const SECRET_FILE = "development-secret";
const SECRET_BYTES = 32;

/** Signs development tokens; made with the first start and kept, for its owner alone to read. */
export async function developmentSecret(dataDir: string): Promise<string> {
  const file = join(dataDir, SECRET_FILE);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  try {
    const handle = await open(file, "wx", 0o600);
    const secret = randomBytes(SECRET_BYTES).toString("base64url");
    try {
      await handle.writeFile(secret);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return secret;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const secret = (await readFile(file, "utf8")).trim();
  if (Buffer.byteLength(secret) < SECRET_BYTES) {
    throw new Error(`${file} is too short to be a secret. Delete it, and a new one is made.`);
  }
  await chmod(file, 0o600);
  return secret;
}

const HOST = /^(\[[0-9a-f:.]+\]|[^:[\]@/\\?#\s]+)(?::\d{1,5})?$/i;

/** The last one seen that was this machine's: most requests have the same. */
let lastOwn: string | undefined;

function isOwn(host: string): boolean {
  const [, name] = HOST.exec(host) ?? [];
  if (name === undefined || !isLoopbackHost(name)) return false;
  lastOwn = host;
  return true;
}

/**
 * Keeps web pages out of a server that asks for no token: a page whose name was pointed at this machine has a foreign
 * `Host`, any other foreign page is told by the browser.
 * @throws RequestError FORBIDDEN
 */
export function refuseForeign(headers: IncomingHttpHeaders, host = headers.host ?? ""): void {
  const { origin, "sec-fetch-site": fetchSite } = headers;
  if (host !== lastOwn && !isOwn(host)) {
    throw new RequestError(
      "FORBIDDEN",
      "Without configured tokens this server is for this machine only: call it as localhost",
    );
  }
  const foreignOrigin =
    origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`;
  const foreignSite =
    fetchSite !== undefined && fetchSite !== "same-origin" && fetchSite !== "none";
  if (foreignOrigin || foreignSite) {
    throw new RequestError(
      "FORBIDDEN",
      "Without configured tokens this server does not answer pages of another origin",
    );
  }
}
