import type { Clock } from "../../clock.ts";
import type { ClaimedJob } from "../../job.ts";
import { ALL_TENANTS, type ClaimParams } from "../../queue-adapter.ts";
import { parseLane } from "./job-hash.ts";

interface Waiter {
  readonly params: ClaimParams;
  readonly end: (jobs: readonly ClaimedJob[]) => void;
  readonly fail: (error: unknown) => void;
  /** What it asks for: those that ask for the same are served in the order in which they came. */
  readonly demand: string;
  /** Being served: it ends with what it gets. */
  busy: boolean;
  gaveUp: boolean;
}

interface WaitingClaimsOptions {
  readonly clock: Clock;
  /** One look, which does not wait. */
  readonly claim: (params: ClaimParams) => Promise<readonly ClaimedJob[]>;
  /** Takes back what came for a claim that was called off meanwhile. */
  readonly giveBack: (jobs: readonly ClaimedJob[]) => Promise<void>;
}

/**
 * Claims that found nothing and wait. They look again, in the order in which they came, when a lane they can take from
 * has become claimable; nobody looks without such news.
 */
export class WaitingClaims {
  readonly #options: WaitingClaimsOptions;
  readonly #waiters = new Set<Waiter>();
  #news: Map<string, boolean> | "anything" = new Map();
  #serving = false;

  constructor(options: WaitingClaimsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /** Waits from now on: what becomes claimable while the caller still looks is not missed. */
  wait(params: ClaimParams): Promise<readonly ClaimedJob[]> {
    const { signal, waitMs } = params;
    const { clock } = this.#options;
    return new Promise((resolve, reject) => {
      const over = (): void => {
        this.#waiters.delete(waiter);
        stopTimer?.();
        signal?.removeEventListener("abort", giveUp);
      };
      const waiter: Waiter = {
        params,
        demand: `${params.tenant} ${JSON.stringify(params.queues)}`,
        busy: false,
        gaveUp: false,
        end: (jobs) => {
          over();
          resolve(jobs);
        },
        fail: (error) => {
          over();
          // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- passed on as it is
          reject(error);
        },
      };
      const giveUp = (): void => endWait(waiter);
      const stopTimer = waitMs === Infinity ? undefined : clock.at(clock.now() + waitMs, giveUp);
      signal?.addEventListener("abort", giveUp, { once: true });
      this.#waiters.add(waiter);
      this.look();
    });
  }

  /** Ends all waits. */
  close(): void {
    for (const waiter of this.#waiters) endWait(waiter);
  }

  /** These lanes have become claimable; each name follows "t" if typed, else "u". */
  wake(lanes: readonly string[]): void {
    if (this.#waiters.size === 0) return;
    if (this.#news !== "anything") {
      for (const lane of lanes) this.#news.set(lane.slice(1), lane.startsWith("t"));
    }
    void this.#serve();
  }

  /** Any lane may have become claimable. */
  look(): void {
    if (this.#waiters.size === 0) return;
    this.#news = "anything";
    void this.#serve();
  }

  async #serve(): Promise<void> {
    if (this.#serving) return;
    this.#serving = true;
    try {
      while (this.#news === "anything" || this.#news.size > 0) {
        const news = this.#news;
        this.#news = new Map();
        // Where one found nothing, what comes meanwhile is still the first one's, in the next round.
        const vain = new Set<string>();
        for (const waiter of this.#waiters) {
          if (vain.has(waiter.demand) || !wants(waiter.params, news)) continue;
          const served = await this.#try(waiter);
          if (!served) vain.add(waiter.demand);
        }
      }
    } finally {
      this.#serving = false;
    }
  }

  /** False when there was nothing for it. */
  async #try(waiter: Waiter): Promise<boolean> {
    // It may have given up while others were served.
    if (!this.#waiters.has(waiter)) return true;
    const { signal } = waiter.params;
    waiter.busy = true;
    let served = true;
    try {
      const jobs = await this.#options.claim(waiter.params);
      if (jobs.length > 0 && signal?.aborted === true) {
        await this.#options.giveBack(jobs);
        waiter.end([]);
      } else {
        served = jobs.length > 0;
        if (served || waiter.gaveUp) waiter.end(jobs);
      }
    } catch (error) {
      waiter.fail(error);
    }
    waiter.busy = false;
    return served;
  }
}

function endWait(waiter: Waiter): void {
  if (waiter.busy) waiter.gaveUp = true;
  else waiter.end([]);
}

function wants(params: ClaimParams, news: ReadonlyMap<string, boolean> | "anything"): boolean {
  if (news === "anything") return true;
  const { tenant, queues } = params;
  for (const [name, typed] of news) {
    const lane = parseLane(name);
    if (tenant !== ALL_TENANTS && tenant !== lane.tenant) continue;
    if (queues === "untyped" ? !typed : queues.some(({ queue }) => queue === lane.queue)) {
      return true;
    }
  }
  return false;
}
