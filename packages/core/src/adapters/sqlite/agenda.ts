import type { Clock } from "../../clock.ts";

/** What becomes due, told apart by whom `key` names. */
export const Due = {
  /** A delayed job becomes ready. */
  job: 0,
  /** A job's time to live ends. */
  expiry: 1,
  /** A lane's rate window ends. */
  lane: 2,
  /** A slot of run deadlines ends. */
  deadlines: 3,
  /** Kept answers are old enough to be forgotten. */
  answers: 4,
  /** A lane has payload indexes to build or to drop. */
  indexes: 5,
} as const;

/**
 * All that happens at a later time, in one heap behind one timer; at the same moment, by key. Entries are hints: whoever takes one checks it
 * against the job's row, so nothing is ever removed early. 17 bytes an entry.
 */
export class Agenda {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  #at = new Float64Array(64);
  #key = new Float64Array(64);
  #kind = new Uint8Array(64);
  #armedFor = Infinity;
  /** Nothing is told before, and something then, whatever is due. */
  #retryAt: number | undefined;
  #disarm: (() => void) | undefined;
  size = 0;

  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get next(): number {
    return this.size === 0 ? Infinity : (this.#at[0] as number);
  }

  add(at: number, kind: number, key: number): void {
    if (this.size === this.#at.length) this.#grow();
    let slot = this.size++;
    while (slot > 0) {
      const parent = (slot - 1) >> 1;
      if (!this.#before(at, key, parent)) break;
      this.#move(parent, slot);
      slot = parent;
    }
    this.#set(slot, at, key, kind);
    this.#arm();
  }

  /** Takes the first entry due at `now` into `due`. */
  take(now: number): boolean {
    if (this.size === 0 || (this.#at[0] as number) > now) {
      this.#arm();
      return false;
    }
    due.at = this.#at[0] as number;
    due.key = this.#key[0] as number;
    due.kind = this.#kind[0] as number;
    const last = --this.size;
    const at = this.#at[last] as number;
    const key = this.#key[last] as number;
    const kind = this.#kind[last] as number;
    let slot = 0;
    for (;;) {
      let child = 2 * slot + 1;
      if (child >= last) break;
      if (
        child + 1 < last &&
        this.#before(this.#at[child + 1] as number, this.#key[child + 1] as number, child)
      ) {
        child++;
      }
      if (this.#before(at, key, child)) break;
      this.#move(child, slot);
      slot = child;
    }
    this.#set(slot, at, key, kind);
    return true;
  }

  /** What is due could not be done: comes round again at `at`, and not before. */
  retryAt(at: number): void {
    if (this.#armedFor === -Infinity) return;
    this.#disarm?.();
    this.#armedFor = Infinity;
    this.#retryAt = at;
    this.#arm();
  }

  stop(): void {
    this.#disarm?.();
    this.#disarm = undefined;
    this.#armedFor = -Infinity;
  }

  #arm(): void {
    const at = this.#retryAt ?? this.next;
    if (at >= this.#armedFor) return;
    this.#disarm?.();
    this.#armedFor = at;
    this.#disarm = this.#clock.at(at, () => {
      this.#disarm = undefined;
      this.#armedFor = Infinity;
      this.#retryAt = undefined;
      this.#onDue();
    });
  }

  #before(at: number, key: number, other: number): boolean {
    const otherAt = this.#at[other] as number;
    return at < otherAt || (at === otherAt && key < (this.#key[other] as number));
  }

  #set(slot: number, at: number, key: number, kind: number): void {
    this.#at[slot] = at;
    this.#key[slot] = key;
    this.#kind[slot] = kind;
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#at[from] as number, this.#key[from] as number, this.#kind[from] as number);
  }

  #grow(): void {
    const length = this.#at.length * 2;
    const at = new Float64Array(length);
    const key = new Float64Array(length);
    const kind = new Uint8Array(length);
    at.set(this.#at);
    key.set(this.#key);
    kind.set(this.#kind);
    this.#at = at;
    this.#key = key;
    this.#kind = kind;
  }
}

/** Out parameter of `Agenda.take`. */
export const due = { at: 0, key: 0, kind: 0 };
