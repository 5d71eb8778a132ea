import { Cluster, Redis, ReplyError } from "ioredis";
import { QueueError } from "../../errors.ts";
import { loadScripts } from "./scripts.ts";

export type Reply = string | number | null | readonly Reply[];

/** How long a call waits for a connection that is being made anew before it gives up, ms. */
const PATIENCE_MS = 1000;
/** Silence of a connection that owes an answer, after which it counts as dead, ms. */
const SOCKET_TIMEOUT_MS = 5000;
const LONGEST_RECONNECT_MS = 500;

interface ConnectionOptions {
  /** One URL, or those of some nodes of a cluster. */
  readonly url: string | readonly string[];
  /** In front of every key. */
  readonly prefix: string;
  /** Shown by Redis for each connection. */
  readonly name: string;
  /** What scripts are told for the time; "" leaves it to Redis. */
  readonly now: () => string;
  /** A message of another process, or "" when some may have been missed. */
  readonly onNews: (message: string) => void;
}

/**
 * All that is sent to Redis by one process: one connection for commands and one that hears news (in a cluster, one for
 * commands to each node), however many queues and tenants there are.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #scripts = loadScripts();
  readonly #redis: Redis | Cluster;
  readonly #listener: Redis | Cluster;
  readonly #pending = new Set<Promise<unknown>>();
  readonly #tag: string;
  #closed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#tag = `{${options.prefix}}`;
    const common = {
      connectionName: options.name,
      lazyConnect: true,
      // What was sent may have been done: only its caller can say whether to send it again.
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      socketTimeout: SOCKET_TIMEOUT_MS,
      connectTimeout: SOCKET_TIMEOUT_MS,
    } as const;
    if (typeof options.url === "string") {
      const single = { ...common, retryStrategy: reconnectAfter };
      this.#redis = new Redis(options.url, { ...single, enableOfflineQueue: false });
      // Of its own accord it would subscribe anew without hearing of a failure, which would end the process.
      this.#listener = new Redis(options.url, { ...single, autoResubscribe: false });
    } else {
      const nodes = options.url.map((url) => {
        const { hostname, port } = new URL(url);
        return { host: hostname, port: Number(port === "" ? 6379 : port) };
      });
      // Nodes that are found later are signed in to as the first one is.
      const { protocol, username, password } = new URL(options.url[0] ?? "redis://localhost");
      this.#redis = new Cluster(nodes, {
        lazyConnect: true,
        enableOfflineQueue: false,
        redisOptions: {
          ...common,
          ...(username === "" ? {} : { username: decodeURIComponent(username) }),
          ...(password === "" ? {} : { password: decodeURIComponent(password) }),
          ...(protocol === "rediss:" ? { tls: {} } : {}),
        },
        clusterRetryStrategy: reconnectAfter,
        slotsRefreshTimeout: PATIENCE_MS,
        // News comes from the node that has our slot, and so before its later answers.
        shardedSubscribers: true,
      });
      // It keeps connections of its own for messages.
      this.#listener = this.#redis;
    }
  }

  /** For BullMQ's own classes. */
  get redis(): Redis | Cluster {
    return this.#redis;
  }

  /** Prefix of BullMQ's keys, hash tag included: all of the store lies in one slot. */
  get tag(): string {
    return this.#tag;
  }

  async open(): Promise<void> {
    const { onNews } = this.#options;
    // Failures reach those whose calls fail; the connections mend themselves. Only here the cause is told by event alone.
    let cause: unknown;
    const quiet = (error: unknown): void => void (cause = error);
    this.#redis.on("error", quiet);
    // Any number of calls may wait for the connection.
    this.#redis.setMaxListeners(0);
    try {
      await this.#redis.connect();
      await this.#refuseUnfit();
      await this.#teachScripts();
      // A server that was started anew has forgotten them.
      this.#redis.on("ready", () => void this.#teachScripts());
      this.#listener.on("smessage", (_channel: string, message: string) => onNews(message));
      if (this.#listener !== this.#redis) {
        this.#listener.on("error", quiet);
        await this.#listener.connect();
        this.#listener.on("ready", () => {
          this.#subscribe().then(
            () => onNews(""),
            // Cut again: there will be another.
            () => undefined,
          );
        });
      }
      await this.#subscribe();
    } catch (error) {
      this.kill();
      throw error instanceof QueueError ? error : unavailable(cause ?? error);
    }
  }

  async #subscribe(): Promise<void> {
    await this.#listener.ssubscribe(`${this.#tag}:news`);
  }

  /** Who only listens does not notice that nobody speaks any more: what owes an answer is cut when there is none. */
  probeListener(): void {
    this.#subscribe().catch(() => undefined);
  }

  /** The scripts speak to Redis 7; a node of a cluster refuses what belongs to another one. */
  async #refuseUnfit(): Promise<void> {
    for (const info of await this.everywhere("INFO", "server")) {
      const version = /redis_version:(\S+)/.exec(String(info))?.[1] ?? "unknown";
      if (!(Number.parseInt(version, 10) >= 7)) {
        throw new QueueError("UNAVAILABLE", `Redis 7 or newer is needed; this one is ${version}`);
      }
      if (this.#redis instanceof Redis && String(info).includes("redis_mode:cluster")) {
        throw new QueueError(
          "UNAVAILABLE",
          "This Redis is a node of a cluster, of which several nodes have to be named",
        );
      }
    }
  }

  /**
   * A call whose script the server does not know is sent twice, and so is done after calls that were made later: a job's
   * last lines after its end. Where this fails, calls still work.
   */
  async #teachScripts(): Promise<void> {
    const scripts = [...this.#scripts.values()];
    await Promise.allSettled(scripts.map(({ lua }) => this.everywhere("SCRIPT", "LOAD", lua)));
  }

  /** Lets what was sent be answered, then hangs up. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending);
    this.kill();
  }

  kill(): void {
    this.#closed = true;
    this.#redis.disconnect();
    this.#listener.disconnect();
  }

  /** Runs one script, which is one atomic step. */
  script(name: string, ...args: readonly (string | number)[]): Promise<Reply> {
    const script = this.#scripts.get(name);
    if (script === undefined) throw new QueueError("INTERNAL", `There is no script ${name}`);
    const now = this.#options.now();
    return this.#track(async () => {
      await this.#ready();
      const rest = [1, this.#tag, now, ...args] as const;
      try {
        return (await this.#redis.evalsha(script.sha, ...rest).catch((error: unknown) => {
          // A server that does not know it yet has done nothing.
          if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
          return this.#redis.eval(script.lua, ...rest);
        })) as Reply;
      } catch (error) {
        throw unavailable(error, !(error instanceof ReplyError));
      }
    });
  }

  /** Runs one command whose arguments are all keys of ours, without prefix. */
  commandOnKeys(name: string, keys: readonly string[]): Promise<Reply> {
    const [first = "", ...others] = keys;
    return this.command(name, first, ...others.map((key) => `${this.#tag}:${key}`));
  }

  /** Runs one command on one of our keys (its first argument, without prefix). */
  command(name: string, key: string, ...args: readonly (string | number)[]): Promise<Reply> {
    return this.#track(async () => {
      await this.#ready();
      return (await this.#redis.call(name, `${this.#tag}:${key}`, ...args)) as Reply;
    });
  }

  /** What lies at some keys of ours, without prefix, byte by byte. */
  buffers(keys: readonly string[]): Promise<readonly (Buffer | null)[]> {
    const prefixed = keys.map((key) => `${this.#tag}:${key}`);
    return this.#track(async () => {
      await this.#ready();
      return (await this.#redis.callBuffer("MGET", ...prefixed)) as (Buffer | null)[];
    });
  }

  /** Runs one command on every server there is. */
  everywhere(name: string, ...args: readonly string[]): Promise<readonly Reply[]> {
    return this.#track(async () => {
      await this.#ready();
      const servers = this.#redis instanceof Redis ? [this.#redis] : this.#redis.nodes("master");
      return Promise.all(
        servers.map(async (server) => (await server.call(name, ...args)) as Reply),
      );
    });
  }

  /** Keys that begin so, without the prefix, in no order; some may come twice. */
  async *keys(start: string): AsyncGenerator<readonly string[]> {
    await this.#ready();
    const servers = this.#redis instanceof Redis ? [this.#redis] : this.#redis.nodes("master");
    const match = `${this.#tag.replaceAll(/[\\*?[\]]/g, "\\$&")}:${start}*`;
    for (const server of servers) {
      for await (const keys of server.scanStream({ match, count: 1000 })) {
        yield (keys as string[]).map((key) => key.slice(this.#tag.length + 1));
      }
    }
  }

  async #track<T>(run: () => Promise<T>): Promise<T> {
    if (this.#closed) throw unavailable(new Error("it is closed: the server is stopping"));
    const running = run().catch((error: unknown) => {
      throw unavailable(error);
    });
    this.#pending.add(running);
    try {
      return await running;
    } finally {
      this.#pending.delete(running);
    }
  }

  /** Nothing while the connection stands, so that calls are sent in the order in which they were made. */
  #ready(): Promise<void> | undefined {
    const redis = this.#redis;
    if (redis.status === "ready") return undefined;
    return new Promise((resolve, reject) => {
      const over = (): void => {
        clearTimeout(timer);
        redis.off("ready", ready);
      };
      const ready = (): void => {
        over();
        resolve();
      };
      const timer = setTimeout(() => {
        over();
        reject(new Error("there is no connection"));
      }, PATIENCE_MS);
      redis.on("ready", ready);
    });
  }
}

function reconnectAfter(tries: number): number {
  return Math.min(LONGEST_RECONNECT_MS, 20 * 2 ** Math.min(tries, 10));
}

/**
 * A failure of Redis, or of the way to it, as callers should hear it. `uncertain`: what was sent may have been done, as
 * there was no answer to it.
 */
function unavailable(error: unknown, uncertain = false): QueueError {
  if (error instanceof QueueError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  // A script that breaks is our own bug, not a store that is down.
  if (reason.startsWith("ERR ") && reason.includes("script")) {
    return new QueueError("INTERNAL", "The job store failed unexpectedly", {}, error);
  }
  return new QueueError(
    "UNAVAILABLE",
    `Redis cannot be used: ${reason.slice(0, 300)}`,
    { retryAfterMs: 1000, ...(uncertain ? { uncertain } : {}) },
    error,
  );
}
