import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { Clock } from "./clock.ts";
import type { QueueAdapter } from "./queue-adapter.ts";

/** Two signs may be lost, and the death of a leader shows in the list within 15 s. */
const HEARTBEAT_MS = 3000;

/** Names this process among all that share a store; containers may have host name and process id in common. */
export const processId = [
  hostname().replaceAll(/[^A-Za-z0-9_.-]/g, "-"),
  process.pid,
  randomBytes(2).toString("hex"),
].join("-");

export interface NodeAddress {
  readonly id: string;
  readonly host: string;
  readonly port: number;
}

interface NodeOptions {
  readonly adapter: QueueAdapter;
  readonly clock: Clock;
  readonly address: NodeAddress;
  readonly onError: (error: unknown, doing: string) => void;
}

/** This process among those that share the store: makes itself known, and stands for leadership. */
export class Node {
  readonly #options: NodeOptions;
  #isLeader = false;
  #stopped = false;
  #callOff: () => void = () => undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  /** As of the last sign of life that the store has heard. */
  get isLeader(): boolean {
    return this.#isLeader;
  }

  /** Resolves after the first sign of life. */
  async start(): Promise<void> {
    const { adapter, clock, address, onError } = this.#options;
    try {
      this.#isLeader = (await adapter.heartbeatNode(address)).isLeader;
    } catch (error) {
      this.#isLeader = false;
      if (!this.#stopped) onError(error, "send this node's heartbeat");
    }
    if (this.#stopped) return;
    this.#callOff = clock.at(clock.now() + HEARTBEAT_MS, () => void this.start());
  }

  stop(): void {
    this.#stopped = true;
    this.#isLeader = false;
    this.#callOff();
  }
}
