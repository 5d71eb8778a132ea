import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { JobQueue, parseConfig } from "@jobyard/core";
import { BullmqAdapter } from "@jobyard/core/bullmq";
import { createLogger, createMetrics } from "@jobyard/core/process";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { VirtualClock } from "@jobyard/core/testing";
import { Storage } from "@jobyard/handlers";
import { onTestFinished } from "vitest";
import { createApp } from "../src/app.ts";
import { authenticator } from "../src/auth/authenticate.ts";
import { assertDocumented } from "./documented.ts";
import { emptyEngine, type EngineName } from "./engines.ts";
import { temporaryFolder } from "./running-server.ts";
import { EventHub } from "../src/transports/event-hub.ts";

export interface VirtualApi {
  readonly queue: JobQueue;
  readonly storage: Storage;
  readonly url: string;
  now(): number;
  /** Moves the engine's time and has it do what became due. */
  advance(ms: number): Promise<void>;
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
    // oxlint-disable-next-line typescript/no-explicit-any -- which of it, the test knows
  ): Promise<{ readonly status: number; readonly headers: Headers; readonly body: any }>;
}

/** The HTTP application over a queue whose time the test moves; it has no worker. */
export async function virtualApi(
  engine: EngineName,
  env: Record<string, string> = {},
): Promise<VirtualApi> {
  const folder = await temporaryFolder();
  const clock = new VirtualClock();
  const { REDIS_URL } = await emptyEngine(engine);
  const adapter =
    REDIS_URL === undefined
      ? new SqliteAdapter({ path: ":memory:", clock })
      : new BullmqAdapter({ url: REDIS_URL, clock });
  const queue = new JobQueue({ adapter, payloadFolder: join(folder, "payloads"), clock });
  await queue.open();
  onTestFinished(() => queue.close());
  const config = parseConfig({ DATA_DIR: folder, ...env });
  const storage = new Storage({ root: config.files.dir });
  const never = new AbortController().signal;
  const app = createApp({
    config,
    queue,
    events: new EventHub(queue),
    control: { stop: () => undefined, restart: () => undefined },
    storage,
    authenticate: authenticator(config.auth, null),
    metrics: createMetrics(queue, undefined),
    nodeId: "node",
    log: createLogger("silent", false),
    stopping: never,
    ending: never,
  });
  const listener = getRequestListener(app.fetch);
  const server = createServer((request, response) => void listener(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    queue,
    storage,
    url,
    now: () => clock.now(),
    async advance(ms) {
      clock.advance(ms);
      await adapter.upkeep();
    },
    async call(method, path, body, headers = {}) {
      const raw = typeof body === "string" || body instanceof Uint8Array;
      const sent = body === undefined || raw ? body : JSON.stringify(body);
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { "Content-Type": "application/json", ...headers },
        ...(sent === undefined ? {} : { body: sent }),
      });
      const { status } = response;
      const answered: unknown = await response.json();
      const json = raw ? undefined : body;
      assertDocumented({ method, path, sent: json, status, answered });
      return { status, headers: response.headers, body: answered };
    },
  };
}
