import { MAX_BATCH, QueueError } from "@jobyard/core";
import { giveBack, pull, type Session } from "../../dialects/flashq/commands.ts";
import type { LoadedJob } from "../../dialects/flashq/mapping.ts";
import type { Answers, Run, Slot } from "./answers.ts";
import { jobsText, pulledText } from "./wire-commands.ts";

interface Wanting {
  readonly slot: Slot;
  /** At most so many jobs. */
  readonly count: number;
  /** Whether the answer is a list. */
  readonly list: boolean;
}

/** The pulls of one connection from one queue by one worker. */
interface Demand {
  readonly key: string;
  readonly session: Session;
  readonly queue: string;
  readonly worker: string | null;
  wanting: Wanting[];
  /** What those want together, and what the engine is being asked for. */
  wanted: number;
  asked: number;
  /** Ends the waits of what is asked for. */
  ending: AbortController;
}

export interface ClaimsOptions {
  readonly answers: Answers;
  /** Of data in one answer. */
  readonly maxBytes: number;
  /** Characters that may wait to be sent before no more is claimed. */
  readonly maxUnsent: number;
  readonly refusalOf: (error: unknown) => string;
  /** A look at what is there begins, and is over. */
  readonly onLook: () => void;
  readonly onLooked: () => void;
}

/**
 * The pulls of one connection. What the engine hands out goes to the earliest pull that it fits, so that no job waits in
 * an answer behind a pull of the same queue that is still waiting.
 */
export class Claims {
  readonly #options: ClaimsOptions;
  readonly #demands = new Map<string, Demand>();
  readonly #fresh = new Set<Demand>();
  /** The latest, and which one it is: pulls of different callers have nothing in common. */
  #session: Session | undefined;
  #sessions = 0;
  #ended: string | undefined;
  #closed = false;

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  add(session: Session, slot: Slot, asked: AskedPull): void {
    if (this.#ended !== undefined) return this.#options.answers.settle(slot, this.#ended);
    const { queue, worker, count, list } = asked;
    if (session !== this.#session) {
      this.#session = session;
      this.#sessions++;
    }
    // Names have no line breaks.
    const key = `${this.#sessions}\n${queue}\n${worker ?? ""}`;
    let demand = this.#demands.get(key);
    if (demand === undefined) {
      const ending = new AbortController();
      demand = { key, session, queue, worker, wanting: [], wanted: 0, asked: 0, ending };
      this.#demands.set(key, demand);
    }
    demand.wanting.push({ slot, count, list });
    demand.wanted += count;
    this.#fresh.add(demand);
  }

  /** Asks for what has been added, and for what had to wait until answers were sent. */
  flush(): void {
    for (const demand of this.#fresh) {
      if (!this.#mayClaim(demand)) continue;
      this.#fresh.delete(demand);
      this.#ask(demand);
    }
  }

  /** Answers whoever waits with this, now and later; what can be had at once is still taken by those who asked. */
  end(text: string): void {
    this.#ended ??= text;
    for (const demand of this.#demands.values()) demand.ending.abort();
    for (const demand of this.#fresh) if (demand.asked === 0) this.#refuse(demand, this.#ended);
    this.#fresh.clear();
  }

  /** Answers whoever waits with this. */
  refuseAll(text: string): void {
    for (const demand of this.#demands.values()) {
      this.#refuse(demand, text);
      this.#settle(demand);
    }
  }

  /** Nobody is left to be answered. */
  close(): void {
    this.#closed = true;
    for (const demand of this.#demands.values()) demand.ending.abort();
    this.#demands.clear();
    this.#fresh.clear();
  }

  /** Not while much waits to be sent, unless it all waits for this one. */
  #mayClaim({ wanting: [first] }: Demand): boolean {
    const { answers, maxUnsent } = this.#options;
    return answers.unsent < maxUnsent || answers.first === first?.slot;
  }

  #ask(demand: Demand): void {
    while (demand.wanted > demand.asked) {
      const limit = Math.min(demand.wanted - demand.asked, MAX_BATCH);
      demand.asked += limit;
      void this.#claim(demand, limit, demand.ending);
    }
  }

  async #claim(demand: Demand, limit: number, ending: AbortController): Promise<void> {
    const { session, queue, worker } = demand;
    const { maxBytes, refusalOf } = this.#options;
    const asked = { queue, worker, count: limit, maxBytes };
    let refusal: string | undefined;
    let got: readonly LoadedJob[] = [];
    try {
      // What is there is taken by who asked for it, even if he will say no more.
      got = await this.#look(pull(session, { ...asked, waitMs: 0 }));
      if (got.length === 0) {
        const { signal } = ending;
        got = await pull(session, { ...asked, waitMs: Infinity, signal });
        // Unasked: the engine goes down.
        if (got.length === 0 && !signal.aborted) throw new QueueError("UNAVAILABLE", "Closing");
      }
    } catch (error) {
      refusal = refusalOf(error);
    }
    // Otherwise it was called off, and counts no more.
    if (demand.ending === ending) demand.asked -= limit;
    const left = this.#closed ? got : this.#handOut(demand, got);
    if (left.length > 0) await giveBack(session, left.map(runOf));
    if (this.#closed) return;
    if (refusal !== undefined) this.#refuse(demand, refusal);
    else if (this.#ended !== undefined && demand.asked === 0) this.#refuse(demand, this.#ended);
    this.#settle(demand);
  }

  async #look(found: Promise<readonly LoadedJob[]>): Promise<readonly LoadedJob[]> {
    const { onLook, onLooked } = this.#options;
    onLook();
    try {
      return await found;
    } finally {
      onLooked();
    }
  }

  /** To the earliest first; answers with what nobody wants any more. */
  #handOut(demand: Demand, got: readonly LoadedJob[]): readonly LoadedJob[] {
    const { answers } = this.#options;
    let from = 0;
    let served = 0;
    for (const { slot, count, list } of demand.wanting) {
      if (from === got.length) break;
      const own = count === got.length ? got : got.slice(from, from + count);
      from += own.length;
      served++;
      demand.wanted -= count;
      const text = list ? jobsText(own) : pulledText(own[0] as LoadedJob);
      answers.settle(slot, text, { session: demand.session, runs: own.map(runOf) });
    }
    demand.wanting.splice(0, served);
    return got.slice(from);
  }

  #refuse(demand: Demand, text: string): void {
    for (const { slot } of demand.wanting) this.#options.answers.settle(slot, text);
    demand.wanting = [];
    demand.wanted = 0;
  }

  /** Asks for what is still wanted, no more and no less. */
  #settle(demand: Demand): void {
    if (demand.asked > demand.wanted) {
      const over = demand.ending;
      demand.ending = new AbortController();
      demand.asked = 0;
      over.abort();
    }
    if (demand.wanted > demand.asked && this.#ended === undefined) {
      this.#fresh.add(demand);
      this.flush();
    } else if (demand.wanted === 0) {
      this.#demands.delete(demand.key);
    }
  }
}

export interface AskedPull {
  readonly queue: string;
  readonly worker: string | null;
  readonly count: number;
  readonly list: boolean;
}

function runOf({ job }: LoadedJob): Run {
  // Pulled jobs have one.
  return { id: job.id, lease: job.lease as string };
}
