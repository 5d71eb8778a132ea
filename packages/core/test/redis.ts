import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { Redis } from "ioredis";
import { ensureSystemTools } from "../../../scripts/system-tools.ts";

/** A redis-server of the tests' own. */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** Sends one command, over a connection of its own. */
  command(name: string, ...args: string[]): Promise<unknown>;
  /** How many commands each client sends in this time, by its address; what scripts call is not counted. */
  commandsSent(ms: number): Promise<ReadonlyMap<string, number>>;
  /** kill -9, as far as Redis is concerned. */
  kill(): Promise<void>;
  /** On the same files and port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** The one at REDIS_URL, of which only keys of our own are touched, or one of our own. */
export async function someRedis(): Promise<Pick<TestRedis, "url" | "stop">> {
  const url = process.env["REDIS_URL"];
  return url === undefined ? startRedis() : { url, stop: async () => undefined };
}

/** On a free port, with its files in a folder of its own that goes with it. */
export async function startRedis(...settings: string[]): Promise<TestRedis> {
  ensureSystemTools("redis-server");
  const folder = await mkdtemp(join(tmpdir(), "jobyard-redis-"));
  let port = await freePort();
  let server = await launch(folder, port, settings);
  // Somebody else may have taken the port meanwhile.
  for (let tries = 0; server === undefined && tries < 5; tries++) {
    port = await freePort();
    server = await launch(folder, port, settings);
  }
  if (server === undefined) throw new Error("redis-server does not start");
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const running = server;
    server = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const gone = once(running, "exit");
    running.kill(signal);
    await gone;
  };
  const url = `redis://127.0.0.1:${port}`;
  return {
    port,
    url,
    async command(name, ...args) {
      const client = new Redis(url);
      try {
        return await client.call(name, ...args);
      } finally {
        client.disconnect();
      }
    },
    async commandsSent(ms) {
      const socket = connect(port, "127.0.0.1");
      const sent = new Map<string, number>();
      createInterface(socket).on("line", (line) => {
        const [, source = "lua"] = /^\+[\d.]+ \[\d+ (\S+)\]/.exec(line) ?? [];
        if (source !== "lua") sent.set(source, (sent.get(source) ?? 0) + 1);
      });
      socket.write("MONITOR\r\n");
      await setTimeout(ms);
      socket.destroy();
      return sent;
    },
    kill: () => end("SIGKILL"),
    async restart() {
      await end("SIGKILL");
      server = await launch(folder, port, settings);
      // Whoever has taken the port meanwhile, for a connection, gives it back.
      for (let tries = 0; server === undefined && tries < 50; tries++) {
        await setTimeout(100);
        server = await launch(folder, port, settings);
      }
      if (server === undefined) throw new Error("redis-server does not start again");
    },
    async stop() {
      await end("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function launch(
  folder: string,
  port: number,
  settings: readonly string[],
): Promise<ChildProcess | undefined> {
  const fixed = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""];
  const server = spawn("redis-server", [...fixed, "--appendonly", "yes", ...settings], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  // A test that is killed leaves no server behind.
  const end = (): void => void server.kill("SIGKILL");
  process.once("exit", end);
  server.once("exit", () => process.off("exit", end));
  for await (const line of server.stdout.setEncoding("utf8")) {
    if (String(line).includes("Ready to accept connections")) {
      server.stdout.resume();
      return server;
    }
  }
  return undefined;
}
