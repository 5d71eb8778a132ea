import type { QueueAdapter } from "../../queue-adapter.ts";
import type { QueueGroup } from "../../queue-groups.ts";

/** An engine under test, alone on a store of its own. Its time stands still between calls of `advance`. */
export interface Engine {
  readonly adapter: QueueAdapter;
  now(): number;
  /** Moves the engine's time and has it do what became due. */
  advance(ms: number): Promise<void>;
  /** Closes gracefully and opens again on the same store, as another `adapter`. */
  reopen(): Promise<void>;
  /** The process dies without any graceful step; then opens again on the same store. */
  crash(): Promise<void>;
  dispose(): Promise<void>;
}

export interface EngineFactory {
  /** Whether the store outlives its adapter; only then can an engine be reopened. */
  readonly durable: boolean;
  /** Opened, and empty. */
  make(groups?: readonly QueueGroup[]): Promise<Engine>;
}
