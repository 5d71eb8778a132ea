/** What a process of ours is made of besides its own work: settings, signals and exit codes, log, ports, the queue. */
export {
  abandonMove,
  type MovedStore,
  type MoveOptions,
  type MoveProgress,
  type MoveReport,
  moveStore,
} from "../move.ts";
export { type EngineOptions, movedStores, openQueue, restore } from "./engine.ts";
export { ConnectionCap, httpRefusal, turnAway } from "./connection-cap.ts";
export { bind, closeAll, listen, type Listener, nodeAt } from "./listeners.ts";
export { createLogger, type Logger } from "./log.ts";
export { createMetrics, type Metrics } from "./metrics.ts";
export { type ProcessControl, runProcess } from "./run.ts";
