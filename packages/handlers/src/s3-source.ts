import { Readable } from "node:stream";
import { GetObjectCommand, S3Client, S3ServiceException } from "@aws-sdk/client-s3";
import { HandlerError } from "@jobyard/core";

export interface S3Settings {
  readonly bucket: string;
  readonly region?: string;
  /** Of a service other than Amazon's; its buckets are then addressed by path. */
  readonly endpoint?: string;
  /** Absent: found as the AWS SDK does. */
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
}

/** Reads objects of the one bucket that is configured. */
export class S3Source {
  readonly bucket: string;
  readonly #client: S3Client;

  constructor({ bucket, region, endpoint, credentials }: S3Settings) {
    this.bucket = bucket;
    this.#client = new S3Client({
      region: region ?? "us-east-1",
      ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
      ...(credentials && { credentials }),
    });
  }

  /** @throws HandlerError: `FILE_NOT_FOUND`, `FILE_REFUSED` (no access), else `NETWORK_ERROR` */
  async read(
    key: string,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly body: Readable; readonly size: number | undefined }> {
    const named = `s3://${this.bucket}/${key}`;
    try {
      const { Body, ContentLength } = await this.#client.send(
        new GetObjectCommand({ Bucket: this.bucket, Key: key }),
        signal ? { abortSignal: signal } : {},
      );
      if (!(Body instanceof Readable)) throw new TypeError(`${named}: answered without a body`);
      return { body: Body, size: ContentLength };
    } catch (error) {
      signal?.throwIfAborted();
      throw s3Error(error, named);
    }
  }

  close(): void {
    this.#client.destroy();
  }
}

function s3Error(error: unknown, named: string): HandlerError {
  const fault = { dataFault: true, stage: "files", cause: error };
  const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
  if (status === 404) return new HandlerError("FILE_NOT_FOUND", `${named}: no such file`, fault);
  if (status === 403 || status === 401 || status === 301 || status === 400) {
    return new HandlerError("FILE_REFUSED", `${named}: the bucket answered ${status}`, fault);
  }
  const message = error instanceof Error ? error.message : String(error);
  return new HandlerError("NETWORK_ERROR", `${named}: ${message}`, {
    stage: "files",
    cause: error,
  });
}
