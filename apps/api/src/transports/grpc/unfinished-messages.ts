import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { constants, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";

/** Before each message: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;
/** Told of each stream before anything of it is read. */
const CREATED = "http2.server.stream.created";

/** How far a call has come with the message that it sends. */
interface Progress {
  /** Of its prefix, so far. */
  prefix: number;
  length: number;
  /** Of the message, so far; its prefix left out. */
  held: number;
}

/**
 * What all calls hold of messages that have not ended. The library gathers each of them in memory up to the longest message, and
 * a connection has thousands of calls: where all together take too many bytes, the longest is given up.
 */
export class UnfinishedMessages {
  readonly #maxBytes: number;
  readonly #calls = new Map<ServerHttp2Stream, Progress>();
  /** On a socket, so that its streams are known for those of this server. */
  readonly #mark = Symbol("a gRPC server's own");
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    subscribe(CREATED, this.#onStream);
  }

  /** From now on the calls of this connection count. */
  watch(socket: Socket): void {
    Object.assign(socket, { [this.#mark]: true });
  }

  close(): void {
    unsubscribe(CREATED, this.#onStream);
  }

  readonly #onStream = (message: unknown): void => {
    const { stream } = message as { readonly stream: ServerHttp2Stream };
    const socket = stream.session?.socket as Record<symbol, unknown> | undefined;
    if (socket?.[this.#mark] !== true) return;
    const progress: Progress = { prefix: 0, length: 0, held: 0 };
    stream.on("data", (chunk: Buffer) => this.#onData(stream, progress, chunk));
    // The library decides when it flows.
    stream.pause();
    stream.on("close", () => this.#forget(stream, progress));
  };

  #onData(stream: ServerHttp2Stream, progress: Progress, chunk: Buffer): void {
    if (stream.closed) return;
    const before = progress.held;
    for (let at = 0; at < chunk.length;) {
      if (progress.prefix < PREFIX_BYTES) {
        const byte = chunk[at++] as number;
        // The first one is no part of the length.
        if (progress.prefix++ > 0) progress.length = progress.length * 256 + byte;
      } else {
        const taken = Math.min(chunk.length - at, progress.length - progress.held);
        progress.held += taken;
        at += taken;
      }
      if (progress.prefix === PREFIX_BYTES && progress.held === progress.length) {
        progress.prefix = progress.length = progress.held = 0;
      }
    }
    this.#bytes += progress.held - before;
    if (progress.held === 0) this.#calls.delete(stream);
    else this.#calls.set(stream, progress);
    while (this.#bytes > this.#maxBytes) this.#giveUpLongest();
  }

  #giveUpLongest(): void {
    let longest: [ServerHttp2Stream, Progress] | undefined;
    for (const call of this.#calls) {
      if (longest === undefined || call[1].held > longest[1].held) longest = call;
    }
    if (longest === undefined) return;
    const [stream, progress] = longest;
    this.#forget(stream, progress);
    // Clients read it as RESOURCE_EXHAUSTED.
    stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  #forget(stream: ServerHttp2Stream, progress: Progress): void {
    if (!this.#calls.delete(stream)) return;
    this.#bytes -= progress.held;
    progress.held = 0;
  }
}
