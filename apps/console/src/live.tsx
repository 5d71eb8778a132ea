import { JobyardError } from "@jobyard/sdk";
import { type Query, type QueryClient, useQueryClient } from "@tanstack/preact-query";
import { useEffect, useState } from "preact/hooks";
import { useSession } from "./session.tsx";

/*
 * What is shown is read again when the server says that something happens, each query at most as often as it says itself
 * (`meta.everyMs`). While nothing happens little is asked (`alsoIdleMs`), and nothing while nobody looks at the page.
 */

declare module "@tanstack/preact-query" {
  interface Register {
    queryMeta: {
      /** At least so long between two readings. */
      readonly everyMs?: number;
    };
  }
}

export type Connection = "connecting" | "live" | "lost";

const TICK_MS = 1000;

/** Of the page to its server; `lost` mends itself. */
export function useActivity(): Connection {
  const { client, signOut } = useSession();
  const queries = useQueryClient();
  const [connection, setConnection] = useState<Connection>("connecting");
  const visible = useIsVisible();
  useEffect(() => {
    if (!visible) return undefined;
    const gone = new AbortController();
    const freshness = new Freshness(queries);
    const onConnection = (connected: boolean): void => {
      if (gone.signal.aborted) return;
      setConnection(connected ? "live" : "lost");
      if (connected) freshness.note();
    };
    const listen = async (): Promise<void> => {
      try {
        const stream = client.activity({ everyMs: TICK_MS, signal: gone.signal, onConnection });
        for await (const _ of stream) freshness.note();
      } catch (error) {
        if (error instanceof JobyardError && error.status === 401) signOut(true);
        else throw error;
      }
    };
    void listen();
    return () => {
      gone.abort();
      freshness.stop();
    };
  }, [client, queries, signOut, visible]);
  return connection;
}

/** Reads again what is older than it may be, now or once it is. */
class Freshness {
  readonly #queries: QueryClient;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(queries: QueryClient) {
    this.#queries = queries;
  }

  /** Something has happened: whatever was read before is old. */
  note(): void {
    const at = Date.now();
    clearTimeout(this.#timer);
    this.#read(at);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #read(noted: number): void {
    const now = Date.now();
    let nextMs = Infinity;
    const due = (query: Query): boolean => {
      const everyMs = query.meta?.everyMs;
      const readAt = Math.max(query.state.dataUpdatedAt, query.state.errorUpdatedAt);
      if (everyMs === undefined || readAt > noted || query.state.fetchStatus === "fetching") {
        return false;
      }
      const waitMs = readAt + everyMs - now;
      if (waitMs <= 0) return true;
      nextMs = Math.min(nextMs, waitMs);
      return false;
    };
    void this.#queries.invalidateQueries({ type: "active", predicate: due });
    if (nextMs < Infinity) this.#timer = setTimeout(() => this.#read(noted), nextMs);
  }
}

function useIsVisible(): boolean {
  const [visible, setVisible] = useState(document.visibilityState === "visible");
  useEffect(() => {
    const changed = (): void => setVisible(document.visibilityState === "visible");
    document.addEventListener("visibilitychange", changed);
    return () => document.removeEventListener("visibilitychange", changed);
  }, []);
  return visible;
}
