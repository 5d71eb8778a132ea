/**
 * The order in which one connection's commands are carried out: what reads waits for the changes asked for before it, and
 * some changes shut out all that comes later.
 */
export class Turns<Item> {
  readonly #begin: (item: Item) => boolean;
  readonly #onBegun: () => void;
  #changes = 0;
  #shut = false;
  #held: Item[] = [];

  /** `begin`: false where it has to wait. `onBegun`: some of those that had to wait have begun. */
  constructor(begin: (item: Item) => boolean, onBegun: () => void) {
    this.#begin = begin;
    this.#onBegun = onBegun;
  }

  /** Whether some change is under way. */
  get changing(): boolean {
    return this.#changes > 0;
  }

  add(item: Item): void {
    if (this.#held.length > 0 || !this.#try(item)) this.#held.push(item);
  }

  /** Puts another item, or none, in the place of the first one that waits. */
  replaceFirst(...items: readonly Item[]): void {
    this.#held.splice(0, 1, ...items);
  }

  /** So many changes are under way. */
  began(changes = 1): void {
    this.#changes += changes;
  }

  /** Until what is under way is over, nothing else begins. */
  shutOut(): void {
    this.#shut = true;
  }

  ended(changes = 1): void {
    this.#changes -= changes;
    if (this.#changes > 0) return;
    this.#shut = false;
    this.tryAgain();
  }

  /** Begins what waits, as far as it may. */
  tryAgain(): void {
    let begun = 0;
    while (begun < this.#held.length && this.#try(this.#held[begun] as Item)) begun++;
    this.#held.splice(0, begun);
    if (begun > 0) this.#onBegun();
  }

  /** Forgets what waits. */
  clear(): void {
    this.#held = [];
  }

  #try(item: Item): boolean {
    return !this.#shut && this.#begin(item);
  }
}
