/**
 * What 100 readers of one queue's events cost the others: batches through a second queue of the same server, with the readers and
 * without them, while the first queue makes 5,000 events a second. The readers are a process of their own.
 *
 *   pnpm bench --streams [--rounds 5]
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { JobQueue, parseConfig } from "@jobyard/core";
import {
  closeAll,
  ConnectionCap,
  createLogger,
  createMetrics,
  listen,
} from "@jobyard/core/process";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { Storage } from "@jobyard/handlers";
import { createApp } from "../apps/api/src/app.ts";
import { authenticator } from "../apps/api/src/auth/authenticate.ts";
import { EventHub } from "../apps/api/src/transports/event-hub.ts";
import { WebSockets } from "../apps/api/src/transports/websocket.ts";
import { expectEqual, median, payload, perSecond } from "./measure.ts";

const READERS = 100;
const EVENTS_PER_SECOND = 5000;
/** Events are made so often, ms. */
const TICK_MS = 20;
/** A job that is added, claimed and completed. */
const EVENTS_PER_JOB = 3;
const JOBS = 100_000;
const BATCH = 1000;
const WANTED = 0.8;

/** Whether the ratio is reached by WebSocket and by SSE. */
export async function benchStreams(rounds: number): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "jobyard-streams-"));
  const server = await startServer(folder);
  let met = true;
  try {
    await lifecycles(server.queue, JOBS);
    for (const kind of ["ws", "events"] as const) {
      const samples: Record<"alone" | "read", number[]> = { alone: [], read: [] };
      for (let round = 1; round <= rounds; round++) {
        process.stderr.write(`round ${round} of ${rounds}: ${kind}          \r`);
        samples.alone.push((await measure(server.queue)).rate);
        const readers = await connect(`${server.url}/${kind}/watched`);
        const { rate, events } = await measure(server.queue);
        expectEqual(await eventsRead(readers, events * READERS), events * READERS, "events read");
        readers.kill();
        await once(readers, "close");
        samples.read.push(rate);
      }
      const [alone, read] = [median(samples.alone), median(samples.read)];
      const reached = read / alone >= WANTED;
      met &&= reached;
      console.log(
        `${reached ? "ok  " : "MISS"} ${kind === "ws" ? "WebSocket" : "server-sent events"}: ${READERS} readers at ` +
          `${EVENTS_PER_SECOND} events/s, against none: ${(read / alone).toFixed(2)}x ` +
          `(${Math.round(read)}/s against ${Math.round(alone)}/s)  >= ${WANTED}x`,
      );
    }
  } finally {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
  return met;
}

async function startServer(folder: string) {
  const queue = new JobQueue({
    adapter: new SqliteAdapter({ path: join(folder, "bench.db") }),
    payloadFolder: join(folder, "payloads"),
  });
  await queue.open();
  const config = parseConfig({ DATA_DIR: folder });
  const log = createLogger("error", false);
  const never = new AbortController().signal;
  const authenticate = authenticator(config.auth, null);
  const events = new EventHub(queue);
  const app = createApp({
    config,
    queue,
    events,
    authenticate,
    log,
    storage: new Storage({ root: config.files.dir }),
    metrics: createMetrics(queue, undefined),
    nodeId: "bench",
    control: { stop: () => undefined, restart: () => undefined },
    stopping: never,
    ending: never,
  });
  const onRequest = getRequestListener(app.fetch);
  const nothing = (): void => undefined;
  const max = config.limits.connections;
  const cap = new ConnectionCap({ max, refusal: "", onFull: nothing });
  const listeners = await listen({
    host: "127.0.0.1",
    ports: [0],
    cap,
    onRequest: (request, response) => void onRequest(request, response),
    onMissing: nothing,
  });
  const webSockets = new WebSockets({
    hub: events,
    authenticate,
    open: true,
    log,
    maxReaders: max,
    onUpgraded: nothing,
  });
  for (const { server } of listeners) webSockets.attach(server);
  return {
    queue,
    url: listeners[0]?.url ?? "",
    async close() {
      webSockets.close();
      await closeAll(listeners, cap);
      await queue.close();
    },
  };
}

/** Batches through one queue while the watched one makes events. */
async function measure(
  queue: JobQueue,
): Promise<{ readonly rate: number; readonly events: number }> {
  let events = 0;
  const over = new AbortController();
  const making = (async () => {
    const jobs = queue.of("default");
    const began = performance.now();
    while (!over.signal.aborted) {
      const due = ((performance.now() - began) / 1000) * EVENTS_PER_SECOND;
      const count = Math.min(BATCH, Math.floor((due - events) / EVENTS_PER_JOB));
      if (count > 0) {
        await cycle(jobs, "watched", count);
        events += count * EVENTS_PER_JOB;
      }
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  })();
  const ms = await lifecycles(queue, JOBS);
  over.abort();
  await making;
  return { rate: perSecond(JOBS, ms), events };
}

async function lifecycles(queue: JobQueue, jobs: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < jobs; i += BATCH) await cycle(queue.of("default"), "bench", BATCH);
  return performance.now() - start;
}

async function cycle(jobs: ReturnType<JobQueue["of"]>, queue: string, count: number) {
  const batch = Array.from({ length: count }, () => ({ queue, data: payload }));
  await jobs.addMany(batch, { atomic: false });
  const claimed = await jobs.pull({ queue, limit: count });
  expectEqual(claimed.length, count, "claimed jobs");
  await jobs.ack(claimed.map(({ id, lease }) => ({ id, lease })));
}

async function connect(url: string): Promise<ChildProcess> {
  const readers = fork(new URL("stream-readers.ts", import.meta.url), [url, String(READERS)]);
  await once(readers, "message");
  return readers;
}

/** Once so many have come, or no more do. */
async function eventsRead(readers: ChildProcess, wanted: number): Promise<number> {
  let last = -1;
  for (;;) {
    readers.send("count");
    const [count] = (await once(readers, "message")) as [number];
    if (count >= wanted || count === last) return count;
    last = count;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
