import { chmod, rm, stat } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { JobQueue } from "@jobyard/core";
import type { Authenticate } from "../../auth/authenticate.ts";
import type { Caller } from "../../auth/caller.ts";
import { bind, ConnectionCap, type Listener, type Logger, turnAway } from "@jobyard/core/process";
import { Connection, type ConnectionLimits, type ConnectionOptions } from "./connection.ts";
import { UnfinishedLines } from "./line-reader.ts";
import { refusalText } from "./wire-commands.ts";

export interface TcpOptions {
  readonly queue: JobQueue;
  readonly authenticate: Authenticate;
  /** Who calls without a token; null where one is needed. */
  readonly anonymous: Caller | null;
  readonly log: Logger;
  readonly host: string;
  readonly port: number;
  /** Path of a Unix socket to listen on as well. */
  readonly socket: string | null;
  readonly maxLineBytes: number;
  readonly maxConnections: number;
  readonly limits?: Partial<TcpLimits>;
}

export interface TcpLimits extends ConnectionLimits {
  /** Between two looks at all connections, ms. */
  readonly checkMs: number;
}

const defaults: TcpLimits = {
  checkMs: 1000,
  idleMs: 3_600_000,
  loginMs: 30_000,
  lineMs: 60_000,
  readMs: 60_000,
  failedLogins: 5,
  inFlight: 10_000,
};

/** Of lines that have not ended, over all connections. */
const UNFINISHED_BYTES = 64_000_000;
/** For the answers that are under way when the server closes, ms. */
const LAST_ANSWERS_MS = 2000;

export interface TcpServer {
  /** One for each address and port, and the socket's. */
  readonly urls: readonly string[];
  /** No new connections, and no more jobs for those there are; what runs may be reported. */
  stop(): void;
  close(): Promise<void>;
}

/** flashQ's line protocol. */
export async function startTcp(options: TcpOptions): Promise<TcpServer> {
  const { host, port, socket: path, log, maxLineBytes, maxConnections } = options;
  const limits = { ...defaults, ...options.limits };
  const connections = new Set<Connection>();
  const shared: ConnectionOptions = {
    ...options,
    limits,
    unfinished: new UnfinishedLines(Math.max(UNFINISHED_BYTES, maxLineBytes)),
  };
  let stopped = false;
  let allGone = (): void => undefined;

  const onConnection = (socket: Socket): void => {
    if (stopped) return turnAway(socket, `${refusalText({ error: "The server is stopping" })}\n`);
    const connection = new Connection(socket, shared, () => {
      connections.delete(connection);
      if (connections.size === 0) allGone();
    });
    connections.add(connection);
  };
  const create = (): Server => createServer({ allowHalfOpen: true }, onConnection);
  const cap = new ConnectionCap({
    max: maxConnections,
    refusal: `${refusalText({ error: "Too many connections" })}\n`,
    onFull: () => log.warn("Too many TCP connections: further ones are refused"),
  });

  const listeners: Listener<Server>[] = [
    ...(await bind({
      host,
      ports: [port],
      scheme: "tcp",
      create,
      cap,
      onMissing: () => log.warn("This machine has no ::1; TCP is on 127.0.0.1 alone"),
    })),
  ];
  const closeListeners = (): void => {
    for (const { server } of listeners) server.close();
  };
  if (path !== null) {
    try {
      listeners.push({
        server: await listenOnSocket(path, cap.guard(create())),
        url: `unix:${path}`,
      });
    } catch (error) {
      closeListeners();
      throw error;
    }
  }

  const checking = setInterval(() => {
    const now = Date.now();
    for (const connection of connections) connection.check(now);
  }, limits.checkMs);

  const stop = (): void => {
    if (stopped) return;
    stopped = true;
    closeListeners();
    for (const connection of connections) connection.stop();
  };
  return {
    urls: listeners.map(({ url }) => url),
    stop,
    async close() {
      stop();
      const gone = new Promise<void>((resolve) => (allGone = resolve));
      for (const connection of connections) connection.finish();
      const cut = setTimeout(() => {
        for (const connection of connections) connection.destroy();
      }, LAST_ANSWERS_MS);
      if (connections.size > 0) await gone;
      clearTimeout(cut);
      clearInterval(checking);
    },
  };
}

/** For this user alone; a file that nobody listens on any more is taken over. */
async function listenOnSocket(path: string, server: Server): Promise<Server> {
  const tryToListen = (): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, () => {
        server.off("error", reject);
        resolve();
      });
    });
  try {
    await tryToListen();
  } catch (error) {
    const taken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    if (!taken || !(await isAbandoned(path))) throw error;
    await rm(path);
    await tryToListen();
  }
  await chmod(path, 0o600);
  return server;
}

async function isAbandoned(path: string): Promise<boolean> {
  if (!(await stat(path)).isSocket()) return false;
  return new Promise((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(false);
    });
    probe.on("error", ({ code }: NodeJS.ErrnoException) => resolve(code === "ECONNREFUSED"));
  });
}
