import {
  type Ack,
  MAX_BATCH,
  type NewJob,
  type Outcome,
  QueueError,
  type TenantQueue,
} from "@jobyard/core";
import { requireAccess } from "../../auth/caller.ts";
import { ackOf, alone, commands, type Session } from "../../dialects/flashq/commands.ts";
import { newJob } from "../../dialects/flashq/mapping.ts";
import { parseInput } from "../../operations.ts";
import type { Slot } from "./answers.ts";
import type { Turns } from "./turns.ts";
import { DONE, idText } from "./wire-commands.ts";

interface Single<T> {
  readonly slot: Slot;
  readonly item: T;
}

export interface SinglesOptions {
  readonly turns: Pick<Turns<never>, "began" | "ended">;
  readonly settle: (slot: Slot, text: string) => void;
  readonly refusalOf: (error: unknown) => string;
}

/** The single PUSHes and ACKs of the chunk that is being read: added, and acknowledged, by one call each. */
export class Singles {
  readonly #options: SinglesOptions;
  /** Who asked for those that are gathered, whatever has become of his token since. */
  #session: Session | undefined;
  #pushes: Single<NewJob>[] = [];
  #acks: Single<Ack>[] = [];

  constructor(options: SinglesOptions) {
    this.#options = options;
  }

  /** @throws QueueError, RequestError FORBIDDEN */
  push(session: Session, slot: Slot, input: object): void {
    const { access, input: schema } = commands.push;
    requireAccess(session.caller, access);
    const asked = parseInput(schema, input);
    const job = newJob(asked.queue, asked);
    // Whether its key is free may depend on what was acknowledged before.
    if (this.#acks.length > 0 && job.uniqueKey !== undefined) this.flush();
    this.#of(session);
    this.#pushes.push({ slot, item: job });
    if (this.#pushes.length === MAX_BATCH) this.flush();
  }

  /** @throws QueueError, RequestError FORBIDDEN */
  ack(session: Session, slot: Slot, input: object): void {
    const { access, input: schema } = commands.ack;
    requireAccess(session.caller, access);
    const ack = ackOf(parseInput(schema, input));
    if (this.#pushes.some(({ item }) => item.uniqueKey !== undefined)) this.flush();
    this.#of(session);
    this.#acks.push({ slot, item: ack });
    if (this.#acks.length === MAX_BATCH) this.flush();
  }

  /** Carries out what has been gathered. */
  flush(): void {
    const [session, pushes, acks] = [this.#session, this.#pushes, this.#acks];
    if (session === undefined) return;
    this.clear();
    const jobs = session.queue.of(session.caller.tenant);
    if (pushes.length > 0) {
      const batch = pushes.map(({ item }) => item);
      this.#run(pushes, jobs.addMany(batch, { atomic: false }), idText);
    }
    if (acks.length > 0) this.#run(acks, acknowledge(jobs, acks), () => DONE);
  }

  /** Forgets what has been gathered. */
  clear(): void {
    this.#session = undefined;
    this.#pushes = [];
    this.#acks = [];
  }

  #of(session: Session): void {
    if (this.#session !== session) this.flush();
    this.#session = session;
  }

  #run<T, Done>(
    group: readonly Single<T>[],
    done: Promise<readonly Outcome<Done>[]>,
    textOf: (done: Done) => string,
  ): void {
    const { turns, settle, refusalOf } = this.#options;
    turns.began(group.length);
    void done
      .then(
        (outcomes) => {
          for (const [i, { slot }] of group.entries()) {
            const outcome = outcomes[i];
            if (outcome === undefined || outcome instanceof QueueError) {
              settle(slot, refusalOf(alone(outcome as QueueError | undefined)));
            } else {
              settle(slot, textOf(outcome));
            }
          }
        },
        (error: unknown) => {
          const text = refusalOf(error);
          for (const { slot } of group) settle(slot, text);
        },
      )
      .then(() => turns.ended(group.length));
  }
}

/** One acknowledgement that is malformed does not refuse the others. */
async function acknowledge(
  jobs: TenantQueue,
  acks: readonly Single<Ack>[],
): Promise<readonly Outcome<true>[]> {
  try {
    return await jobs.ack(acks.map(({ item }) => item));
  } catch (error) {
    const whole = !(error instanceof QueueError) || error.code === "UNAVAILABLE";
    if (acks.length === 1 || whole) throw error;
    return Promise.all(
      acks.map(({ item }) =>
        jobs.ack([item]).then(
          ([outcome]) => outcome ?? alone(undefined),
          (refused: unknown) => {
            if (refused instanceof QueueError) return refused;
            throw refused;
          },
        ),
      ),
    );
  }
}
