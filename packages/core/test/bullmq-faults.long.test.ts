import { type ChildProcess, fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BullmqAdapter } from "../src/adapters/bullmq/index.ts";
import { QueueError } from "../src/errors.ts";
import type { JobEvent } from "../src/events.ts";
import type { ClaimedJob } from "../src/job.ts";
import type { ClaimParams, StopRequest } from "../src/queue-adapter.ts";
import { jobSpec, jobSpecs } from "../src/testing/index.ts";
import { startRedis, type TestRedis } from "./redis.ts";

const WAIT_MS = 30_000;

let redis: TestRedis;
let control: Redis;
let prefix: string;
let adapters: BullmqAdapter[];
let children: ChildProcess[];

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.stop());

beforeEach(() => {
  prefix = `f-${randomUUID()}`;
  adapters = [];
  children = [];
  control = new Redis(redis.url);
  control.on("error", () => undefined);
});

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  for (const adapter of adapters) await adapter.close().catch(() => undefined);
  control.disconnect();
});

/** One more process, as far as Redis can tell. */
async function join(url = redis.url): Promise<BullmqAdapter> {
  const adapter = new BullmqAdapter({ url, prefix });
  await adapter.open();
  adapters.push(adapter);
  return adapter;
}

async function startWorker(): Promise<ChildProcess> {
  const file = new URL("bullmq-worker.ts", import.meta.url);
  const child = fork(file, [redis.url, prefix], { execArgv: ["--conditions=@jobyard/source"] });
  children.push(child);
  await once(child, "message");
  return child;
}

function claim(
  adapter: BullmqAdapter,
  wish: Partial<ClaimParams> = {},
): Promise<readonly ClaimedJob[]> {
  return adapter.claim({
    tenant: "default",
    queues: [{ queue: "work", limit: 1000 }],
    limit: 1000,
    worker: "w",
    leaseMs: WAIT_MS,
    inProcess: false,
    timeoutFrom: "progress",
    waitMs: 0,
    ...wish,
  });
}

async function add(adapter: BullmqAdapter, data = "{}"): Promise<number> {
  const [id] = await adapter.enqueue({ jobs: [jobSpec({ data })], atomic: true });
  return id as number;
}

async function eventually(
  check: () => Promise<boolean> | boolean,
  withinMs: number,
): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function stateOf(adapter: BullmqAdapter, id: number): Promise<string | undefined> {
  const [job] = await adapter.get({ tenant: "*", ids: [id] });
  return job?.state;
}

/** How a call fails, and after how many ms. */
async function failure(call: () => Promise<unknown>): Promise<{ code: string; ms: number }> {
  const began = performance.now();
  const error: unknown = await call().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  const code = error instanceof QueueError ? error.code : `no refusal: ${String(error)}`;
  return { code, ms: performance.now() - began };
}

describe("several processes", () => {
  it("serve each other's waiting claims at once", async () => {
    const [a, b] = [await join(), await join()];
    const waiting = claim(b, { waitMs: WAIT_MS });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const began = performance.now();
    const id = await add(a);
    expect((await waiting).map((job) => job.id)).toEqual([id]);
    expect(performance.now() - began).toBeLessThan(1000);
  });

  it("hear all events, in one order", async () => {
    const all = [await join(), await join(), await join()];
    const heard: JobEvent[][] = [];
    for (const [i, adapter] of all.entries()) {
      const events: JobEvent[] = (heard[i] = []);
      await adapter.subscribe({ tenant: "*", onEvents: (some) => events.push(...some) });
    }
    await Promise.all(all.map((adapter) => adapter.enqueue({ jobs: jobSpecs(50), atomic: true })));
    await eventually(() => heard.every((events) => events.length === 150), 5000);
    expect(heard[1]).toEqual(heard[0]);
    expect(heard[2]).toEqual(heard[0]);
  });

  it("can cancel each other's running jobs within a second", async () => {
    const [a, b] = [await join(), await join()];
    const requests: StopRequest[] = [];
    b.onStopRequest((request) => requests.push(request));
    const id = await add(a);
    const [run] = await claim(b, { inProcess: true });
    const began = performance.now();
    await a.cancel({ tenant: "default", ids: [id], running: true, reason: "enough" });
    await eventually(() => requests.length > 0, 1000);
    expect(performance.now() - began).toBeLessThan(1000);
    expect(requests).toEqual([{ id, lease: run?.lease, reason: "cancelled" }]);
  });

  it("keep to a queue's limits together", async () => {
    const all = [await join(), await join(), await join()];
    const at = { tenant: "default", queue: "work", typed: false };
    await all[0]?.configureQueue({ ...at, settings: { concurrency: 5 } });
    await all[0]?.enqueue({ jobs: jobSpecs(30), atomic: true });
    const claimed = await Promise.all(
      Array.from({ length: 12 }, (_, i) => claim(all[i % 3] as BullmqAdapter, { limit: 2 })),
    );
    expect(claimed.flat()).toHaveLength(5);
  });

  it("make one job of one tick of a schedule", async () => {
    const all = [await join(), await join(), await join()];
    const due = all[0]?.clock.now() ?? 0;
    const schedule = {
      tenant: "default",
      name: "tick",
      cron: "* * * * *",
      timezone: "UTC",
      enabled: true,
      description: null,
      queue: "work",
      template: "{}",
      via: "v1",
      createdAt: due,
      nextRun: due,
      lastRun: null,
    };
    await all[0]?.putSchedule({ schedule, replaces: null });
    const fired = await Promise.all(
      Array.from({ length: 15 }, (_, i) =>
        (all[i % 3] as BullmqAdapter).fireSchedule({
          tenant: "default",
          name: "tick",
          due,
          nextRun: due + 60_000,
          job: jobSpec(),
        }),
      ),
    );
    expect(fired.filter((outcome) => outcome !== null)).toHaveLength(1);
  });

  it("have one of them do the upkeep, and another within 15 s of its death", async () => {
    const [a, b] = [await join(), await join()];
    const node = { host: "here", port: 1 };
    expect(await a.heartbeatNode({ ...node, id: "a" })).toEqual({ isLeader: true });
    expect(await b.heartbeatNode({ ...node, id: "b" })).toEqual({ isLeader: false });
    const nodes = await b.listNodes({ withinMs: WAIT_MS });
    expect(nodes.filter(({ isLeader }) => isLeader).map(({ id }) => id)).toEqual(["a"]);
    const [id] = (await b.enqueue({ jobs: [jobSpec({ delayMs: 500 })], atomic: true })) as number[];
    await eventually(async () => (await stateOf(b, id!)) === "waiting", 2000);
    a.kill();
    const [later] = (await b.enqueue({
      jobs: [jobSpec({ delayMs: 500 })],
      atomic: true,
    })) as number[];
    await eventually(async () => (await stateOf(b, later!)) === "waiting", 15_000);
  });

  it("take back what a killed worker ran", async () => {
    const a = await join();
    const worker = await startWorker();
    const id = await add(a, '{"ms":60000}');
    await eventually(async () => (await stateOf(a, id)) === "active", 5000);
    worker.kill("SIGKILL");
    await eventually(async () => (await stateOf(a, id)) === "waiting", 15_000);
    const [job] = await a.get({ tenant: "default", ids: [id] });
    expect(job).toMatchObject({ crashes: 1, attemptsMade: 0 });
  });

  it("need the same few connections and hardly any commands, whatever there is", async () => {
    const a = await join();
    const jobs = jobSpecs(1000, (i) => ({ queue: `q${i}`, tenant: `t${i}`, delayMs: 600_000 }));
    await a.enqueue({ jobs, atomic: true });
    await a.enqueue({
      jobs: jobSpecs(1000, (i) => ({ queue: `q${i}`, tenant: "t0" })),
      atomic: true,
    });
    const waiting = claim(a, { queues: [{ queue: "none", limit: 1 }], waitMs: 60_000 });
    const connections = async (): Promise<number> => {
      const list = String(await control.client("LIST"));
      return list.split("\n").filter((line) => line.includes("name=jobyard-")).length;
    };
    expect(await connections()).toBe(2);
    const commands = async (): Promise<number> =>
      Number(/total_commands_processed:(\d+)/.exec(await control.info("stats"))?.[1]);
    await a.subscribe({ tenant: "*", onEvents: () => undefined });
    // What was added is tallied with the next sign of life.
    await new Promise((resolve) => setTimeout(resolve, 5500));
    const before = await commands();
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    // Commands inside of scripts are counted too.
    expect(((await commands()) - before) / 10).toBeLessThan(5);
    await a.close();
    expect(await waiting).toEqual([]);
  }, 40_000);
});

describe("faults", () => {
  it("Redis killed and restarted: nothing accepted is lost, calls fail soon and work again", async () => {
    const a = await join();
    await a.subscribe({ tenant: "*", onEvents: () => undefined });
    const ids = (await a.enqueue({ jobs: jobSpecs(100), atomic: true })) as number[];
    const [run] = await claim(a, { limit: 1 });
    // By default Redis writes to disk each second.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await redis.kill();
    const { code, ms } = await failure(() => add(a));
    expect(code).toBe("UNAVAILABLE");
    expect(ms).toBeLessThan(1500);
    expect((await a.health()).reachable).toBe(false);
    await redis.restart();
    await eventually(async () => (await a.health()).reachable, 5000);
    expect(await a.complete({ tenant: "default", runs: [{ ...run!, result: null }] })).toEqual([
      true,
    ]);
    const claimed = await claim(a);
    expect(claimed.map(({ id }) => id)).toEqual(ids.slice(1));
    // Messages come through again too.
    const waiting = claim(a, { waitMs: WAIT_MS });
    const id = await add(a);
    expect((await waiting).map((job) => job.id)).toEqual([id]);
  });

  it("connections cut: the next calls work, waiting claims are served", async () => {
    const a = await join();
    const waiting = claim(a, { waitMs: WAIT_MS });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await control.call("CLIENT", "KILL", "TYPE", "pubsub");
    await control.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await eventually(async () => (await failure(() => a.cursor())).code.startsWith("no"), 5000);
    const id = await add(a);
    expect((await waiting).map((job) => job.id)).toEqual([id]);
  });

  it("memory full: adds are refused at once and whole, and taken when there is room again", async () => {
    const a = await join();
    await add(a);
    await add(a);
    await control.config("SET", "maxmemory", "1mb");
    try {
      // What is there can still be worked off.
      const [run] = await claim(a, { limit: 1 });
      expect(await a.complete({ tenant: "default", runs: [{ ...run!, result: "1" }] })).toEqual([
        true,
      ]);
      const { code, ms } = await failure(() => a.enqueue({ jobs: jobSpecs(50), atomic: false }));
      expect(code).toBe("UNAVAILABLE");
      expect(ms).toBeLessThan(1000);
    } finally {
      await control.config("SET", "maxmemory", "0");
    }
    expect(await a.count({ tenant: "default" })).toMatchObject({ waiting: 1 });
    expect(await a.enqueue({ jobs: jobSpecs(50), atomic: false })).toHaveLength(50);
    expect(await a.count({ tenant: "default" })).toMatchObject({ waiting: 51 });
  });

  it("a connection that hangs is given up and made anew", async () => {
    const proxy = await hangingProxy(redis.port);
    try {
      const a = await join(proxy.url);
      const id = await add(a);
      proxy.hang();
      const began = performance.now();
      expect((await failure(() => a.cursor())).code).toBe("UNAVAILABLE");
      proxy.resume();
      await eventually(async () => (await failure(() => a.cursor())).code.startsWith("no"), 8000);
      expect(performance.now() - began).toBeLessThan(8000);
      expect((await claim(a)).map((job) => job.id)).toEqual([id]);
    } finally {
      proxy.close();
    }
  });

  it("jobs whose claim was done but not answered come back", async () => {
    const proxy = await hangingProxy(redis.port);
    try {
      const a = await join(proxy.url);
      const b = await join();
      const id = await add(b);
      proxy.deafen();
      expect((await failure(() => claim(a, { inProcess: true, leaseMs: 600_000 }))).code).toBe(
        "UNAVAILABLE",
      );
      expect(await stateOf(b, id)).toBe("active");
      proxy.resume();
      await eventually(async () => (await stateOf(b, id)) === "waiting", 15_000);
      const [job] = await b.get({ tenant: "default", ids: [id] });
      expect(job).toMatchObject({ crashes: 0 });
    } finally {
      proxy.close();
    }
  });

  it("a process that blocks longer than its leases loses its runs, once", async () => {
    const [a, b] = [await join(), await join()];
    const id = await add(a);
    const [stale] = await claim(a, { leaseMs: 300, inProcess: true });
    // Both live in this process: what counts is that nobody renews.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 800);
    await eventually(async () => (await stateOf(b, id)) === "waiting", 5000);
    const [fresh] = await claim(b);
    const [refused] = await a.complete({ tenant: "default", runs: [{ ...stale!, result: null }] });
    expect(refused).toBeInstanceOf(QueueError);
    expect((refused as QueueError).code).toBe("STALE_LEASE");
    expect(await b.complete({ tenant: "default", runs: [{ ...fresh!, result: null }] })).toEqual([
      true,
    ]);
  });

  it("a clock that is wrong changes nothing: time is Redis'", async () => {
    const a = await join();
    const now = Date.now;
    Date.now = () => now() + 3_600_000;
    try {
      const [id] = (await a.enqueue({
        jobs: [jobSpec({ delayMs: 1000 })],
        atomic: true,
      })) as number[];
      const [job] = await a.get({ tenant: "default", ids: [id!] });
      expect(Math.abs((job?.createdAt ?? 0) - now())).toBeLessThan(5000);
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(await stateOf(a, id!)).toBe("delayed");
    } finally {
      Date.now = now;
    }
  });
});

/** Passes bytes on until it is told to hang: connections then stay open, and say nothing. */
async function hangingProxy(
  port: number,
): Promise<{ url: string; hang(): void; deafen(): void; resume(): void; close(): void }> {
  const sockets = new Set<Socket>();
  const answers = new Set<Socket>();
  let hangs = false;
  const server: Server = createServer((client) => {
    if (hangs) return void sockets.add(client);
    const upstream = connect(port, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
    }
    answers.add(upstream);
    client.pipe(upstream);
    upstream.pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address() as AddressInfo;
  return {
    url: `redis://127.0.0.1:${address.port}`,
    hang() {
      hangs = true;
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
    // What is asked still arrives; no answer comes back.
    deafen() {
      for (const socket of answers) {
        socket.unpipe();
        socket.pause();
      }
    },
    resume: () => void (hangs = false),
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
