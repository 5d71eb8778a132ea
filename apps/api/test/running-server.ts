import { mkdtemp, rm } from "node:fs/promises";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  defineHandler,
  type Handler,
  type HandlerContext,
  type JobData,
  type JobInput,
  type JobResult,
  jobTypes,
  parseConfig,
} from "@jobyard/core";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import type { CreatedJob, JobDetail, JobPage, QueueSummary } from "../src/dialects/v1/schemas.ts";
import { emptyEngine, type EngineName } from "./engines.ts";
import { assertDocumented } from "./documented.ts";
import { createLogger, type Logger } from "@jobyard/core/process";
import { type RunningServer, startServer } from "../src/server.ts";

/** Whatever an answer can hold; which of it, the test knows. */
export interface Body {
  readonly success: boolean;
  readonly data: JobDetail & CreatedJob & JobPage & QueueSummary;
  readonly error: string;
  readonly details: Readonly<Record<string, unknown>> & { readonly code: string };
  readonly timestamp: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

export interface Api {
  readonly url: string;
  readonly server: RunningServer;
  /** For another server on the same store. */
  readonly env: Readonly<Record<string, string>>;
  readonly call: (
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<Answer>;
  /** Adds a job, which has to succeed; answers its id. */
  readonly add: (job: object) => Promise<string>;
  /** The job once it has ended. */
  readonly ended: (id: string) => Promise<JobDetail>;
}

export interface Setup {
  /** Default: the embedded one. */
  readonly engine?: EngineName;
  readonly env?: Record<string, string>;
  readonly handlers?: readonly Handler[];
  readonly log?: Logger;
  readonly webhookRetry?: { readonly attempts: number; readonly backoffMs: number };
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "jobyard-api-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A server of its own on free ports, gone after the test. */
export async function serve(setup: Setup = {}): Promise<Api> {
  const { engine = "embedded", env: given = {}, handlers, log, webhookRetry } = setup;
  const env = {
    HTTP_PORTS: "0",
    TCP_PORT: "0",
    GRPC_PORT: "0",
    SHUTDOWN_GRACE_MS: "0",
    ...(given["REDIS_URL"] === undefined ? await emptyEngine(engine) : {}),
    ...given,
    DATA_DIR: given["DATA_DIR"] ?? (await temporaryFolder()),
  };
  const config = parseConfig(env);
  const server = await startServer({
    config,
    ...(handlers === undefined ? {} : { handlers }),
    ...(webhookRetry === undefined ? {} : { webhookRetry }),
    log: log ?? createLogger("silent", false),
  });
  onTestFinished(() => server.close());
  return apiOf(server.urls[0] as string, server, env);
}

function apiOf(url: string, server: RunningServer, env: Record<string, string>): Api {
  const call: Api["call"] = async (method, path, body, headers = {}) => {
    const raw =
      typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream;
    const init: RequestInit = {
      method,
      headers: {
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
    };
    if (body !== undefined) init.body = raw ? body : JSON.stringify(body);
    if (body instanceof ReadableStream) init.duplex = "half";
    const response = await fetch(`${url}${path}`, init);
    const { status } = response;
    const answered: unknown = JSON.parse(await response.text());
    assertDocumented({ method, path, sent: raw ? undefined : body, status, answered });
    return { status, headers: response.headers, body: answered as Body };
  };
  return {
    url,
    server,
    env,
    call,
    async add(job) {
      const { status, body } = await call("POST", "/api/v1/jobs", job);
      if (status !== 201) throw new Error(`The job was refused: ${JSON.stringify(body)}`);
      return body.data.jobId;
    },
    async ended(id) {
      const { status, body } = await call("POST", `/api/v1/jobs/${id}/wait`, {});
      if (status !== 200) throw new Error(`The job did not end: ${JSON.stringify(body)}`);
      return (await call("GET", `/api/v1/jobs/${id}`)).body.data;
    },
  };
}

/** As fetch cannot: with any headers, `Host` among them. */
export function rawCall(
  url: string,
  headers: Record<string, string>,
  path = "/api/v1/jobs",
  method = "GET",
): Promise<{
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Body;
}> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${url}${path}`, { method, headers }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: JSON.parse(text) as Body,
        }),
      );
    });
    request.on("error", reject);
    request.end();
  });
}

type Export = typeof jobTypes.data_export;

export const exportData: JobInput<Export> = {
  datasetId: "3f9a1c52-7d0e-4b6a-9c1f-2a8e5d4b7c60",
  format: "csv",
};

export const exportResult: JobResult<Export> = {
  file: { name: "rows.csv", size: 12, contentType: "text/csv" },
  rowsWritten: 3,
};

type ExportRun = HandlerContext<JobData<Export>>;

/** A handler for exports whose every run the test ends itself. */
export class Gate {
  readonly #begun: (ExportRun & { finish(): void; fail(error: Error): void })[] = [];
  #told: () => void = () => undefined;

  readonly handler = defineHandler(jobTypes.data_export, (context) => {
    const { promise, resolve, reject } = Promise.withResolvers<JobResult<Export>>();
    this.#begun.push({ ...context, finish: () => resolve(exportResult), fail: reject });
    context.signal.addEventListener("abort", () => reject(context.signal.reason as Error));
    this.#told();
    return promise;
  });

  /** The run that began as number `n`, once it has. */
  async run(n = 0): Promise<ExportRun & { finish(): void; fail(error: Error): void }> {
    for (;;) {
      const run = this.#begun[n];
      if (run !== undefined) return run;
      await new Promise<void>((resolve) => (this.#told = resolve));
    }
  }
}

/** A log that tells when a request has come in. */
export class Begun {
  readonly #paths: string[] = [];
  #told: () => void = () => undefined;

  readonly log: Logger = pino(
    { level: "trace" },
    {
      write: (line: string) => {
        const { msg, path } = JSON.parse(line) as { readonly msg: string; readonly path: string };
        if (msg !== "request begins") return;
        this.#paths.push(path);
        this.#told();
      },
    },
  );

  /** Once `count` requests have come in whose paths end so. */
  async request(end: string, count = 1): Promise<void> {
    while (this.#paths.filter((path) => path.endsWith(end)).length < count) {
      await new Promise<void>((resolve) => (this.#told = resolve));
    }
  }
}
