import {
  createServer,
  type RequestListener,
  type Server as HttpServer,
  type ServerOptions,
} from "node:http";
import type { AddressInfo, Server } from "node:net";
import { hostname } from "node:os";
import { type NodeAddress, processId } from "../node.ts";
import type { ConnectionCap } from "./connection-cap.ts";

/** One address and port that is listened on. */
export interface Listener<S extends Server = HttpServer> {
  readonly url: string;
  readonly server: S;
}

export interface BindOptions<S extends Server> {
  readonly host: string;
  readonly ports: readonly number[];
  /** What the addresses begin with. */
  readonly scheme: string;
  readonly create: () => S;
  readonly cap: ConnectionCap;
  /** Told once when the machine has no IPv6 loopback address. */
  readonly onMissing: () => void;
}

const IPV4 = "127.0.0.1";
const IPV6 = "::1";
/** Tries to find a port that is free on both loopback addresses. */
const MAX_TRIES = 20;
/** For the answers that are under way when a listener closes, at least, ms. */
const LAST_ANSWERS_MS = 2000;

/** What clients are given who hold on to connections without using them, ms. */
const patience = {
  headersTimeout: 10_000,
  /** For the body as well: 100 MB over a slow line take their time. */
  requestTimeout: 300_000,
  connectionsCheckingInterval: 2000,
} as const;
/** How often connections are closed whose last answer has been sent, ms. */
const IDLE_CHECK_MS = 20;

/** HTTP on every port; otherwise as `bind`. */
export function listen({
  onRequest,
  ServerResponse,
  shouldUpgradeCallback,
  ...options
}: Omit<BindOptions<HttpServer>, "scheme" | "create"> &
  Pick<ServerOptions, "ServerResponse" | "shouldUpgradeCallback"> & {
    readonly onRequest: RequestListener;
  }): Promise<readonly Listener[]> {
  const create = (): HttpServer =>
    createServer(
      {
        ...(ServerResponse && { ServerResponse }),
        ...(shouldUpgradeCallback && { shouldUpgradeCallback }),
        ...patience,
      },
      onRequest,
    );
  return bind({ ...options, scheme: "http", create });
}

/** Listens on every port; `localhost` is both loopback addresses, port 0 any one that is free on both. */
export async function bind<S extends Server>(
  options: BindOptions<S>,
): Promise<readonly Listener<S>[]> {
  const { host, ports, onMissing } = options;
  const listeners: Listener<S>[] = [];
  const both = /^localhost\.?$/i.test(host);
  let missing = false;
  try {
    for (const port of ports) {
      if (!both) {
        listeners.push(await listenOn(options, host, port));
        continue;
      }
      const pair = await listenOnBoth(options, port, missing);
      listeners.push(...pair);
      if (pair.length === 1 && !missing) {
        missing = true;
        onMissing();
      }
    }
    return listeners;
  } catch (error) {
    await takeNoMore(listeners);
    throw error;
  }
}

async function listenOnBoth<S extends Server>(
  options: BindOptions<S>,
  port: number,
  ipv4Only: boolean,
): Promise<Listener<S>[]> {
  for (let tries = 1; ; tries++) {
    const first = await listenOn(options, IPV4, port);
    if (ipv4Only) return [first];
    try {
      return [first, await listenOn(options, IPV6, portOf(first.server))];
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      if (code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT") return [first];
      await takeNoMore([first]);
      if (port !== 0 || code !== "EADDRINUSE" || tries === MAX_TRIES) throw error;
    }
  }
}

async function listenOn<S extends Server>(
  { scheme, create, cap }: BindOptions<S>,
  host: string,
  port: number,
): Promise<Listener<S>> {
  const server = cap.guard(create());
  await new Promise<void>((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException): void =>
      reject(error.code === "EADDRINUSE" ? portTaken(host, port, error) : error);
    server.once("error", refuse);
    server.listen({ host, port }, () => {
      server.off("error", refuse);
      resolve();
    });
  });
  const name = host.includes(":") ? `[${host}]` : host;
  return { server, url: `${scheme}://${name}:${portOf(server)}` };
}

function portTaken(host: string, port: number, cause: Error): NodeJS.ErrnoException {
  const message = `Port ${port} of ${host} is taken, maybe by another Jobyard; HTTP_PORTS, TCP_PORT, GRPC_PORT and WORKER_PORT choose others`;
  return Object.assign(new Error(message, { cause }), { code: "EADDRINUSE" });
}

async function takeNoMore(listeners: readonly Listener<Server>[]): Promise<void> {
  await Promise.all(
    listeners.map(({ server }) => new Promise<void>((resolve) => server.close(() => resolve()))),
  );
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** This process as a node, at the first of its addresses; one that means all of the machine's is told by its name. */
export function nodeAt([first]: readonly Listener[]): NodeAddress {
  const { hostname: host = "", port = "0" } = first === undefined ? {} : new URL(first.url);
  const all = host === "0.0.0.0" || host === "[::]";
  return { id: processId, host: all ? hostname() : host, port: Number(port) };
}

/**
 * Lets requests under way be answered for so long, then ends what is left. Until then others are still taken, for whoever
 * asks how the server is; then no more.
 */
export async function closeAll(
  listeners: readonly Listener[],
  cap: ConnectionCap,
  graceMs = 0,
): Promise<void> {
  const until = performance.now() + Math.max(graceMs, LAST_ANSWERS_MS);
  const closeWhatCanBe = (): void => {
    for (const { server } of listeners) {
      if (performance.now() < until) server.closeIdleConnections();
      else server.closeAllConnections();
    }
  };
  const tidy = setInterval(closeWhatCanBe, IDLE_CHECK_MS);
  closeWhatCanBe();
  await cap.gone();
  await takeNoMore(listeners);
  clearInterval(tidy);
}
