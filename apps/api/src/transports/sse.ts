import type { JobEvent } from "@jobyard/core";

/** One message of a server-sent event stream. */
export interface SseMessage {
  readonly id?: string;
  readonly event?: string;
  /** In one line. */
  readonly data: string;
}

export interface EventStreamOptions {
  /** Tells events from now on, or from where the reader left off; resolves with how to stop. */
  readonly subscribe: (listener: {
    onEvents(events: readonly JobEvent[]): void;
    onGap(): void;
  }) => Promise<() => void>;
  /** As the dialect spells an event; null: it is not for this reader. */
  readonly encode: (event: JobEvent) => SseMessage | null;
  /** Some events are lost to the reader. */
  readonly gap: SseMessage;
  /** The reader was too slow; the stream ends with this. */
  readonly dropped: SseMessage;
  /** When the reader's token expires, epoch ms, or Infinity. */
  readonly expiresAt: number;
  /** Ends the stream: the reader is gone, or the server is. */
  readonly signal: AbortSignal;
}

/** What may lie unread in memory for one reader before more comes. */
const MAX_UNREAD_BYTES = 1_000_000;
/** So that nobody between takes the connection for dead. */
const HEARTBEAT_MS = 15_000;
/** How long a reader waits before it connects again. */
const RECONNECT_MS = 1000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const encoder = new TextEncoder();

/** The body of a `text/event-stream` answer. */
export function eventStream(options: EventStreamOptions): ReadableStream<Uint8Array> {
  const { subscribe, encode, gap, dropped, expiresAt, signal } = options;
  let end = (): void => undefined;
  return new ReadableStream<Uint8Array>(
    {
      async start(controller) {
        let open = true;
        let unsubscribe = (): void => undefined;
        const send = (text: string): void => controller.enqueue(encoder.encode(text));
        const readsAlong = (): boolean => (controller.desiredSize ?? 0) > 0;
        const heartbeat = setInterval(() => {
          if (readsAlong()) send(":\n\n");
        }, HEARTBEAT_MS);
        const expiry = setTimeout(() => end(), Math.min(expiresAt - Date.now(), LONGEST_TIMER_MS));
        end = (): void => {
          if (!open) return;
          open = false;
          clearInterval(heartbeat);
          clearTimeout(expiry);
          signal.removeEventListener("abort", end);
          unsubscribe();
          try {
            controller.close();
          } catch {
            // The reader has cancelled it already.
          }
        };
        signal.addEventListener("abort", end);
        send(`retry: ${RECONNECT_MS}\n\n`);
        unsubscribe = await subscribe({
          onEvents(events) {
            if (!open) return;
            let text = "";
            for (const event of events) {
              const message = encode(event);
              if (message !== null) text += textOf(message);
            }
            if (text === "") return;
            // What a reader has missed may come at once and be long: it is slow if it has not read what came before.
            if (readsAlong()) return send(text);
            send(textOf(dropped));
            end();
          },
          onGap() {
            if (open) send(textOf(gap));
          },
        });
        // It may have ended meanwhile.
        if (!open || signal.aborted) {
          unsubscribe();
          end();
        }
      },
      cancel: () => end(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: MAX_UNREAD_BYTES }),
  );
}

function textOf({ id, event, data }: SseMessage): string {
  return `${id === undefined ? "" : `id: ${id}\n`}${event === undefined ? "" : `event: ${event}\n`}data: ${data}\n\n`;
}
