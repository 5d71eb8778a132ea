import { type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type JobEvent, QueueError } from "@jobyard/core";
import { httpRefusal, type Logger, turnAway } from "@jobyard/core/process";
import { WebSocket, WebSocketServer } from "ws";
import type { Authenticate } from "../auth/authenticate.ts";
import { type Caller, requireAccess } from "../auth/caller.ts";
import { refuseForeign } from "../auth/open-mode.ts";
import { refuse, statuses } from "../dialects/flashq/errors.ts";
import { eventText } from "../dialects/flashq/event-text.ts";
import { RequestError } from "../request-error.ts";
import type { EventHub, EventReading } from "./event-hub.ts";
import { atExpiry } from "./token-expiry.ts";

export interface WebSocketOptions {
  readonly hub: EventHub;
  readonly authenticate: Authenticate;
  /** Whether calls without a token are let in, from this machine's own pages alone. */
  readonly open: boolean;
  readonly log: Logger;
  readonly maxReaders: number;
  /** That connection speaks HTTP no more. */
  readonly onUpgraded: (stream: Duplex) => void;
}

const PATH = /^\/ws(?:\/([^/]+))?\/?$/;
/** Nothing is expected from a reader but answers to pings. */
const MAX_MESSAGE_BYTES = 4096;
/** What may lie unread for one reader. */
const MAX_UNREAD_BYTES = 4_000_000;
/** Between pings, ms. A reader that has not answered by the next is gone. */
const ROUND_MS = 15_000;

/** RFC 6455: going away, policy violation. */
const [GOING_AWAY, POLICY] = [1001, 1008];
/** For a reader that is dropped to take the reason, ms. */
const LAST_WORDS_MS = 2000;

interface Reader {
  readonly socket: WebSocket;
  answered: boolean;
}

/**
 * Whether a request is for here. Whatever else is offered, as HTTP/2 is by some clients with each request, is answered as if
 * it had not been.
 */
export function asksForWebSocket({ headers, url = "" }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === "websocket" && /^\/ws(?:[/?]|$)/.test(url);
}

/** Events over WebSocket: `/ws` for all of a tenant's queues, `/ws/{queue}` for one. */
export class WebSockets {
  readonly #options: WebSocketOptions;
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: MAX_MESSAGE_BYTES,
    // The same bytes go to many readers.
    perMessageDeflate: false,
  });
  readonly #readers = new Set<Reader>();
  /** Readers, and who is about to become one. */
  readonly #streams = new Set<Duplex>();
  #rounds: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: WebSocketOptions) {
    this.#options = options;
  }

  attach(server: Server): void {
    server.on("upgrade", (request: IncomingMessage, stream: Duplex, head: Buffer) => {
      const onError = (): void => void stream.destroy();
      stream.on("error", onError);
      this.#upgrade(request, stream, head).catch((error: unknown) => {
        refuseUpgrade(stream, error, this.#options.log);
      });
    });
  }

  /** Tells every reader that the server goes away. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#rounds);
    for (const { socket } of this.#readers) socket.close(GOING_AWAY, "The server is stopping");
    this.#server.close();
  }

  async #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const [matched, spelt] = PATH.exec(pathname) ?? [];
    if (matched === undefined) throw new RequestError("ROUTE_NOT_FOUND", "There is nothing here");
    const caller = await this.#callerOf(request, searchParams.get("token"));
    requireAccess(caller, "read");
    if (this.#closed) throw new QueueError("UNAVAILABLE", "The server is stopping");
    if (this.#streams.size >= this.#options.maxReaders) {
      throw new QueueError("LIMIT_REACHED", "Too many readers are connected");
    }
    this.#streams.add(stream);
    stream.once("close", () => this.#streams.delete(stream));
    if (stream.destroyed) return;
    const queue = spelt === undefined ? undefined : decoded(spelt);
    const scope = { tenant: caller.tenant, ...(queue === undefined ? {} : { queue }) };
    // Before the upgrade, so that what is wrong with it can be told in HTTP.
    const reading = await this.#options.hub.read(scope);
    // A handshake that `ws` refuses closes the stream as well.
    stream.once("close", () => reading.end());
    if (stream.destroyed) return reading.end();
    this.#server.handleUpgrade(request, stream, head, (socket) => {
      this.#options.onUpgraded(stream);
      this.#serve(socket, stream, caller, reading);
    });
  }

  /** The token may stand in the address: browsers cannot send it otherwise. */
  async #callerOf({ headers }: IncomingMessage, token: string | null): Promise<Caller> {
    const { open, authenticate } = this.#options;
    if (open) refuseForeign(headers);
    return authenticate(token === null ? headers.authorization : `Bearer ${token}`);
  }

  #serve(socket: WebSocket, stream: Duplex, caller: Caller, reading: EventReading): void {
    const reader: Reader = { socket, answered: true };
    const callOff = atExpiry(caller.expiresAt, () => socket.close(POLICY, "The token has expired"));
    this.#readers.add(reader);
    this.#rounds ??= setInterval(() => this.#round(), ROUND_MS);
    const leave = (): void => {
      callOff();
      this.#readers.delete(reader);
      if (this.#readers.size > 0) return;
      clearInterval(this.#rounds);
      this.#rounds = undefined;
    };
    socket.on("close", leave);
    socket.on("error", () => socket.terminate());
    socket.on("pong", () => (reader.answered = true));
    reading.begin({
      onBatch(batch) {
        if (socket.readyState !== WebSocket.OPEN) return;
        // Not what comes now, which may be long: what it has not read of what came before.
        if (stream.writableLength <= MAX_UNREAD_BYTES) stream.write(batch.bytes(frames));
        else drop(socket, stream, reading);
      },
      // Only who names a cursor can have missed what it knew of.
      onGap: () => undefined,
    });
    if (this.#closed) socket.close(GOING_AWAY, "The server is stopping");
  }

  #round(): void {
    for (const reader of this.#readers) {
      if (!reader.answered) reader.socket.terminate();
      reader.answered = false;
      reader.socket.ping();
    }
  }
}

/** What lies unread is not sent any more, but for the reason. */
function drop(socket: WebSocket, stream: Duplex, reading: EventReading): void {
  reading.end();
  socket.close(POLICY, `Too slow: ${MAX_UNREAD_BYTES} bytes lie unread`);
  // A reader that never reads never answers the close.
  setTimeout(() => stream.destroy(), LAST_WORDS_MS).unref();
}

/** One message for each event, framed once for all readers: a server's frames are not masked. */
function frames(events: readonly JobEvent[]): Buffer {
  return Buffer.concat(events.flatMap((event) => textFrame(Buffer.from(eventText(event)))));
}

/** RFC 6455, 5.2: a whole text message. */
function textFrame(text: Buffer): readonly Buffer[] {
  const { length } = text;
  if (length < 126) return [Buffer.of(0x81, length), text];
  const header = Buffer.alloc(length < 65_536 ? 4 : 10);
  header[0] = 0x81;
  if (length < 65_536) {
    header[1] = 126;
    header.writeUInt16BE(length, 2);
  } else {
    header[1] = 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  return [header, text];
}

/** In flashQ's envelope. */
function refuseUpgrade(stream: Duplex, error: unknown, log: Logger): void {
  const { fault, error: told } = refuse(error, log);
  const status = statuses[fault];
  const body = { ok: false, data: null, error: told };
  turnAway(stream, httpRefusal(`${status} ${STATUS_CODES[status] ?? ""}`, body));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
