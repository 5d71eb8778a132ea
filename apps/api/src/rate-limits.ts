import { type Config, type JobQueue, QueueError, type RateLimiter } from "@jobyard/core";
import type { Caller } from "./auth/caller.ts";
import { type ClientAddress, clientAddress } from "./client-address.ts";
import type { ApiContext, DialectDeps } from "./dialect.ts";

/** What a call counts as. */
export type RateClass = keyof Config["limits"]["requestsPerMinute"];

const WINDOW_SECONDS = 60;

/**
 * Requests a minute, by class, for each token; for each client address where the server is open or the token is
 * refused.
 */
export class RequestLimits {
  readonly #limits: Config["limits"]["requestsPerMinute"];
  readonly #queue: JobQueue;
  readonly #limiters = new Map<RateClass, RateLimiter>();
  readonly #open: boolean;
  readonly #addressOf: ClientAddress;

  constructor({ config, queue }: Pick<DialectDeps, "config" | "queue">) {
    this.#limits = config.limits.requestsPerMinute;
    this.#queue = queue;
    this.#open = config.auth.open;
    this.#addressOf = clientAddress(config.http.trustProxy);
  }

  /**
   * Lets a request in, and writes how its caller's limit stands into the answer's headers.
   * @throws QueueError RATE_LIMITED
   */
  async admit(
    c: ApiContext,
    kind: RateClass,
    identify: () => Caller | Promise<Caller>,
  ): Promise<Caller> {
    const address = `address:${this.#addressOf(c.env.incoming)}`;
    try {
      const caller = await identify();
      const { credential } = caller;
      const byToken = !this.#open && credential !== undefined;
      await this.#take(c, kind, byToken ? `token:${credential}` : address);
      return caller;
    } catch (error) {
      // Whoever tries tokens is slowed down as well.
      if (!(error instanceof QueueError)) await this.#take(c, kind, address);
      throw error;
    }
  }

  #limiter(kind: RateClass): RateLimiter {
    let limiter = this.#limiters.get(kind);
    if (limiter === undefined) {
      const points = this.#limits[kind];
      const limit = { name: `requests-${kind}`, points, seconds: WINDOW_SECONDS };
      this.#limiters.set(kind, (limiter = this.#queue.adapter.rateLimiter(limit)));
    }
    return limiter;
  }

  async #take(c: ApiContext, kind: RateClass, key: string): Promise<void> {
    const limit = this.#limits[kind];
    if (limit === 0) return;
    const { allowed, remaining, resetMs } = await this.#limiter(kind)(key);
    c.header("X-RateLimit-Limit", String(limit));
    c.header("X-RateLimit-Remaining", String(remaining));
    c.header("X-RateLimit-Reset", String(Math.ceil((Date.now() + resetMs) / 1000)));
    if (allowed) return;
    const message = `More than ${limit} requests a minute: try again in ${Math.ceil(resetMs / 1000)} s`;
    throw new QueueError("RATE_LIMITED", message, { retryAfterMs: resetMs });
  }
}
