import type { Server } from "node:net";
import type { Duplex } from "node:stream";

/** For somebody who is turned away to take the reason, ms. */
const LAST_WORDS_MS = 1000;
/** Turned away and not gone yet; beyond, nobody is told anything. */
const MAX_TURNED_AWAY = 1000;

export interface ConnectionCapOptions {
  readonly max: number;
  /** What one beyond is told, in its protocol. */
  readonly refusal: string | Uint8Array;
  /** The first is refused since there was room. */
  readonly onFull: () => void;
}

/** So many connections at once, over all listeners that it guards; those beyond are told why and closed. */
export class ConnectionCap {
  readonly #options: ConnectionCapOptions;
  readonly #admitted = new Set<Duplex>();
  #turnedAway = 0;
  #full = false;

  constructor(options: ConnectionCapOptions) {
    this.#options = options;
  }

  /** Before what the server itself does with its connections. */
  guard<S extends Server>(server: S): S {
    const serve = server.listeners("connection");
    server.removeAllListeners("connection");
    return server.on("connection", (socket) => {
      if (this.#admitted.size >= this.#options.max) return this.#refuse(socket);
      this.#full = false;
      this.#admitted.add(socket);
      socket.on("close", () => this.release(socket));
      for (const listener of serve) Reflect.apply(listener, server, [socket]);
    });
  }

  /** It speaks another protocol from now on, and counts there. */
  release(socket: Duplex): void {
    this.#admitted.delete(socket);
  }

  /** Once those that are open now are not any more. */
  async gone(): Promise<void> {
    const gone = (socket: Duplex): Promise<void> =>
      new Promise((resolve) => socket.on("close", resolve));
    await Promise.all([...this.#admitted].map(gone));
  }

  #refuse(socket: Duplex): void {
    if (!this.#full) this.#options.onFull();
    this.#full = true;
    if (this.#turnedAway >= MAX_TURNED_AWAY) return void socket.destroy();
    this.#turnedAway++;
    socket.on("close", () => this.#turnedAway--);
    turnAway(socket, this.#options.refusal);
  }
}

/** Ends a connection with these words, whatever the other side does. */
export function turnAway(socket: Duplex, words: string | Uint8Array): void {
  socket.on("error", () => undefined);
  // What lies unread when it is closed would take the words with it.
  socket.resume();
  socket.end(words);
  const cut = setTimeout(() => socket.destroy(), LAST_WORDS_MS);
  socket.on("close", () => clearTimeout(cut));
}

/** An answer to somebody whose request has not been, or is not, read. */
export function httpRefusal(status: string, body: object, headers: readonly string[] = []): string {
  const text = JSON.stringify(body);
  const lines = [
    `HTTP/1.1 ${status}`,
    "Connection: close",
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(text)}`,
    ...headers,
  ];
  return `${lines.join("\r\n")}\r\n\r\n${text}`;
}
