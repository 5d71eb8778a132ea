import type { JobQueue } from "@jobyard/core";
import type { Authenticate } from "../../auth/authenticate.ts";
import type { Caller } from "../../auth/caller.ts";
import type { Session } from "../../dialects/flashq/commands.ts";
import { RequestError } from "../../request-error.ts";

export interface LoginOptions {
  readonly queue: JobQueue;
  readonly authenticate: Authenticate;
  /** Who calls without a token; null where one is needed. */
  readonly anonymous: Caller | null;
  /** So many failures in a row are too many. */
  readonly failures: number;
  readonly onTooMany: () => void;
  /** A token has expired. */
  readonly onExpired: () => void;
}

export function authFirst(): RequestError {
  return new RequestError("UNAUTHENTICATED", "AUTH comes first");
}

/** Who calls on one connection: nobody before AUTH, where it is needed, nor once the token has expired. */
export class Login {
  readonly #options: LoginOptions;
  #session: Session | null;
  #failures = 0;

  constructor(options: LoginOptions) {
    const { queue, anonymous } = options;
    this.#options = options;
    this.#session = anonymous && { queue, caller: anonymous };
  }

  get isNeeded(): boolean {
    return this.#session === null;
  }

  /** @throws RequestError UNAUTHENTICATED */
  session(): Session {
    this.check(Date.now());
    if (this.#session === null) throw authFirst();
    return this.#session;
  }

  check(now: number): void {
    if (this.#session === null || this.#session.caller.expiresAt > now) return;
    this.#session = null;
    this.#options.onExpired();
  }

  /** @throws RequestError UNAUTHENTICATED */
  async authenticate(token: string): Promise<void> {
    const { authenticate, queue, failures, onTooMany } = this.#options;
    try {
      this.#session = { queue, caller: await authenticate(`Bearer ${token}`) };
      this.#failures = 0;
    } catch (error) {
      if (error instanceof RequestError && ++this.#failures >= failures) onTooMany();
      throw error;
    }
  }
}
