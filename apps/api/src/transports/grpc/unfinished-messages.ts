import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { constants, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { type Holder, Unfinished } from "../../unfinished.ts";

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
 * a connection has thousands of calls.
 */
export class UnfinishedMessages {
  readonly #all: Unfinished;
  /** On a socket, so that its streams are known for those of this server. */
  readonly #mark = Symbol("a gRPC server's own");

  constructor(maxBytes: number) {
    this.#all = new Unfinished(maxBytes);
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
    // Clients read it as RESOURCE_EXHAUSTED.
    const call = { giveUp: () => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM) };
    stream.on("data", (chunk: Buffer) => {
      if (!stream.closed) this.#onData(call, progress, chunk);
    });
    // The library decides when it flows.
    stream.pause();
    stream.on("close", () => this.#all.holds(call, 0));
  };

  #onData(call: Holder, progress: Progress, chunk: Buffer): void {
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
    if (progress.held !== before) this.#all.holds(call, progress.held);
  }
}
