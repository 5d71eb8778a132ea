/** The server that the benchmark of the handlers asks: the real one, and figures of its process over IPC. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseConfig } from "@jobyard/core";
import { createLogger } from "@jobyard/core/process";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { startServer } from "../apps/api/src/server.ts";

/** What the server's process saw since it was asked last. */
export interface ServerFigures {
  readonly longestStallMs: number;
  /** The longest time without a renewal of leases, begun and ended by the questions. */
  readonly longestUnrenewedMs: number;
}

const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
let renewed = [performance.now()];

// The store is where a renewal has come in time or has not.
const { renew } = SqliteAdapter.prototype;
SqliteAdapter.prototype.renew = async function (params) {
  const outcomes = await renew.call(this, params);
  renewed.push(performance.now());
  return outcomes;
};

const server = await startServer({
  config: parseConfig(process.env),
  log: createLogger("error", false),
});

process.on("message", (question: "figures" | "close") => {
  if (question === "close") {
    void server.close(0).then(() => process.disconnect());
    return;
  }
  renewed.push(performance.now());
  const gaps = renewed.slice(1).map((at, i) => at - (renewed[i] as number));
  process.send?.({
    longestStallMs: delay.max / 1e6,
    longestUnrenewedMs: Math.max(...gaps),
  } satisfies ServerFigures);
  renewed = [performance.now()];
  delay.reset();
});
process.send?.({ url: server.urls[0] });
