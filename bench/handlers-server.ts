/** The server that the benchmark of the handlers asks: the real one, and figures of its process over IPC. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseConfig } from "@jobyard/core";
import { createLogger } from "@jobyard/core/process";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { startServer } from "../apps/api/src/server.ts";

/** What the server's process saw since it was asked last. */
export interface ServerFigures {
  readonly longestStallMs: number;
  /** The longest time that a job ran without its lease being renewed. */
  readonly longestUnrenewedMs: number;
}

const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
/** When the store gave the lease, renewed it, and took the end. */
let renewed: number[] = [];

for (const method of ["claim", "renew", "complete"] as const) {
  const inner = SqliteAdapter.prototype[method] as (params: never) => Promise<readonly unknown[]>;
  const noted = async function (this: SqliteAdapter, params: never): Promise<readonly unknown[]> {
    const outcomes = await inner.call(this, params);
    if (outcomes.length > 0) renewed.push(performance.now());
    return outcomes;
  };
  Object.assign(SqliteAdapter.prototype, { [method]: noted });
}

const server = await startServer({
  config: parseConfig(process.env),
  log: createLogger("error", false),
});

process.on("message", (question: "figures" | "close") => {
  if (question === "close") {
    void server.close(0).then(() => process.disconnect());
    return;
  }
  const gaps = renewed.slice(1).map((at, i) => at - (renewed[i] as number));
  process.send?.({
    longestStallMs: delay.max / 1e6,
    longestUnrenewedMs: Math.max(0, ...gaps),
  } satisfies ServerFigures);
  renewed = [];
  delay.reset();
});
process.send?.({ url: server.urls[0] });
