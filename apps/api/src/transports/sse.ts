import type { EventBatch, EventReading } from "./event-hub.ts";
import { atExpiry } from "./token-expiry.ts";

/** One message of a server-sent event stream. */
export interface SseMessage {
  readonly id?: string;
  readonly event?: string;
  /** In one line. */
  readonly data: string;
}

export interface EventStreamOptions<Batch = EventBatch> {
  readonly reading: EventReading<Batch>;
  /** As the dialect spells events; empty: there is none for this reader. */
  readonly encode: (batch: Batch) => Uint8Array;
  /** When the reader's token expires, epoch ms, or Infinity. */
  readonly expiresAt: number;
  /** Ends the stream: the reader is gone, or the server is. */
  readonly signal: AbortSignal;
  /** Cuts the connection of a reader that does not take why it was dropped. */
  readonly cut: () => void;
}

/** Some events are lost to the reader. */
const gap: SseMessage = { event: "gap", data: "{}" };

/** The last message of a stream that ends though its reader would go on. */
function dropped(error: string): SseMessage {
  return { event: "dropped", data: JSON.stringify({ error }) };
}

/** What may lie unread in memory for one reader before more comes. */
const MAX_UNREAD_BYTES = 1_000_000;
/** So that nobody between takes the connection for dead. */
const HEARTBEAT_MS = 15_000;
/** How long a reader waits before it connects again. */
const RECONNECT_MS = 1000;
/** For a reader that is dropped to take what it has not read, and the reason, ms. */
const LAST_WORDS_MS = 30_000;

const encoder = new TextEncoder();

/** The body of a `text/event-stream` answer. */
export function eventStream<Batch>(options: EventStreamOptions<Batch>): ReadableStream<Uint8Array> {
  const { reading, encode, expiresAt, signal, cut } = options;
  let end = (): void => undefined;
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        let open = true;
        const send = (text: string): void => controller.enqueue(encoder.encode(text));
        const readsAlong = (): boolean => (controller.desiredSize ?? 0) > 0;
        const heartbeat = setInterval(() => {
          if (readsAlong()) send(":\n\n");
        }, HEARTBEAT_MS);
        let callOff = (): void => undefined;
        const drop = (error: string): void => {
          if (!open) return;
          send(textOf(dropped(error)));
          end();
          setTimeout(cut, LAST_WORDS_MS).unref();
        };
        end = (): void => {
          if (!open) return;
          open = false;
          clearInterval(heartbeat);
          callOff();
          signal.removeEventListener("abort", end);
          reading.end();
          try {
            controller.close();
          } catch {
            // The reader has cancelled it already.
          }
        };
        signal.addEventListener("abort", end);
        send(`retry: ${RECONNECT_MS}\n\n`);
        callOff = atExpiry(expiresAt, () => drop("The token has expired"));
        reading.begin({
          onBatch(batch) {
            if (!open) return;
            const bytes = encode(batch);
            if (bytes.length === 0) return;
            // What a reader has missed may come at once and be long: it is slow if it has not read what came before.
            if (readsAlong()) return controller.enqueue(bytes);
            drop(`Too slow: ${MAX_UNREAD_BYTES} bytes lie unread`);
          },
          onGap() {
            if (open) send(textOf(gap));
          },
        });
        if (signal.aborted) end();
      },
      cancel: () => end(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: MAX_UNREAD_BYTES }),
  );
}

/** As it goes over the wire. */
export function textOf({ id, event, data }: SseMessage): string {
  return `${id === undefined ? "" : `id: ${id}\n`}${event === undefined ? "" : `event: ${event}\n`}data: ${data}\n\n`;
}
