import { createHash, createHmac } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { crc32 } from "node:zlib";

export interface S3Object {
  readonly body: Buffer;
  /** Sent instead of the body's own checksum. */
  readonly checksum?: string;
  /** The connection breaks after so many bytes. */
  readonly cutAt?: number;
}

interface S3Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

const REGION = "eu-west-3";
const MOST_SKEW_MS = 15 * 60_000;

/**
 * As much of S3 as reading takes: buckets by path, signatures of version 4 that it computes itself, checksums, ranges,
 * and errors as S3 words them.
 */
export class S3Server {
  readonly objects = new Map<string, S3Object>();
  /** Method and path of what was asked. */
  readonly asked: string[] = [];
  /** Answers before it answers properly again, as S3 does when it is asked too much. */
  busy = 0;
  readonly bucket: string;
  readonly keys: S3Keys;
  #server: Server | undefined;

  constructor(bucket: string, keys: S3Keys) {
    this.bucket = bucket;
    this.keys = keys;
  }

  /** @returns where it is */
  async start(): Promise<string> {
    this.#server = createServer((request, response) => this.#answer(request, response));
    await new Promise<void>((resolve) => this.#server?.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  get region(): string {
    return REGION;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { method = "", url = "" } = request;
    const [path = ""] = url.split("?");
    this.asked.push(`${method} ${decodeURIComponent(path)}`);
    if (this.busy > 0) {
      this.busy--;
      return refuse(response, 503, "SlowDown");
    }
    const fault = this.#fault(request);
    if (fault !== undefined) return refuse(response, 403, fault);
    const [, bucket, ...key] = decodeURIComponent(path).split("/");
    if (bucket !== this.bucket) return refuse(response, 404, "NoSuchBucket");
    const object = this.objects.get(key.join("/"));
    if (method !== "GET") return refuse(response, 405, "MethodNotAllowed");
    if (object === undefined) return refuse(response, 404, "NoSuchKey");
    const { body, checksum = crcOf(body), cutAt } = object;
    response.writeHead(200, {
      "content-length": body.length,
      etag: `"${createHash("md5").update(body).digest("hex")}"`,
      "x-amz-checksum-crc32": checksum,
      "x-amz-checksum-type": "FULL_OBJECT",
    });
    if (cutAt === undefined) {
      Readable.from(piecesOf(body)).pipe(response);
      return;
    }
    response.write(body.subarray(0, cutAt), () => response.destroy());
  }

  /** S3's code for a request that it would not serve. */
  #fault({ method = "", url = "", headers }: IncomingMessage): string | undefined {
    const { accessKeyId, sessionToken } = this.keys;
    const given =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
        headers.authorization ?? "",
      );
    if (given === null) return "AccessDenied";
    const [, key = "", day = "", region = "", signed = "", signature = ""] = given;
    if (key !== accessKeyId) return "InvalidAccessKeyId";
    if (headers["x-amz-security-token"] !== sessionToken) return "InvalidToken";
    const date = String(headers["x-amz-date"]);
    const at = Date.parse(date.replace(/^(....)(..)(..T..)(..)(..)Z$/, "$1-$2-$3:$4:$5Z"));
    if (!(Math.abs(at - Date.now()) < MOST_SKEW_MS)) return "RequestTimeTooSkewed";
    const names = signed.split(";");
    const unsigned = Object.keys(headers).filter((name) => name.startsWith("x-amz-"));
    if (region !== REGION || ![...unsigned, "host"].every((name) => names.includes(name))) {
      return "SignatureDoesNotMatch";
    }
    const [path = "", query = ""] = url.split("?");
    const canonical = [
      method,
      path,
      query.split("&").sort().join("&"),
      ...names.map((name) => `${name}:${String(headers[name]).trim().replaceAll(/ +/g, " ")}`),
      "",
      signed,
      headers["x-amz-content-sha256"],
    ].join("\n");
    const scope = `${day}/${region}/s3/aws4_request`;
    const hash = createHash("sha256").update(canonical).digest("hex");
    return this.#sign(scope, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${hash}`) === signature
      ? undefined
      : "SignatureDoesNotMatch";
  }

  #sign(scope: string, text: string): string {
    let key: Buffer | string = `AWS4${this.keys.secretAccessKey}`;
    for (const part of scope.split("/")) key = createHmac("sha256", key).update(part).digest();
    return createHmac("sha256", key).update(text).digest("hex");
  }
}

function* piecesOf(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536);
}

function crcOf(body: Buffer): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString("base64");
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response
    .writeHead(status, { "content-type": "application/xml" })
    .end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);
}
