import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface TcpProxy {
  readonly port: number;
  /** Connections that there are stay open, and no byte passes any more: half-open. New ones work. */
  hang(): void;
  /** What is asked still arrives over connections that there are; no answer comes back. */
  deafen(): void;
  /** Ends all connections; new ones work. */
  cut(): void;
  close(): void;
}

/** Passes on what it is sent to a port of this machine, and back. */
export async function tcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const answers = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target, "127.0.0.1");
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => other.destroy());
    }
    answers.add(upstream);
    client.pipe(upstream);
    upstream.pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const silence = (some: ReadonlySet<Socket>): void => {
    for (const socket of some) {
      socket.unpipe();
      socket.pause();
    }
  };
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    answers.clear();
  };
  return {
    port: (server.address() as AddressInfo).port,
    hang: () => silence(sockets),
    deafen: () => silence(answers),
    cut,
    close() {
      cut();
      server.close();
    },
  };
}
