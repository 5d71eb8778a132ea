/**
 * The order in which one lane's waiting jobs run: by priority, then by place (`ord`, smaller sooner).
 *
 * Entries are hints, not truth: a job that left the order early stays in it until it is popped, and whoever pops checks
 * it against the job's row. Ordinary jobs (priority 0, in order of their ids) cost 8 bytes each, all others 20.
 */
export class ReadyOrder {
  readonly #ordinary = new IdQueue();
  readonly #rest = new PriorityHeap();

  get size(): number {
    return this.#ordinary.size + this.#rest.size;
  }

  push(priority: number, ord: number, id: number): void {
    // The queue holds rising ids whose place is their id; a job that comes back goes to the heap.
    if (priority === 0 && ord === id && id > this.#ordinary.last) this.#ordinary.push(id);
    else this.#rest.push(priority, ord, id);
  }

  /** Takes the first entry; false when there is none. The entry is then in `popped`. */
  pop(): boolean {
    const ordinary = this.#ordinary.size > 0;
    if (this.#rest.size === 0 && !ordinary) return false;
    const rest = this.#rest;
    if (
      rest.size > 0 &&
      (!ordinary ||
        rest.topPriority < 0 ||
        (rest.topPriority === 0 && rest.topOrd < this.#ordinary.first))
    ) {
      popped.priority = rest.topPriority;
      popped.ord = rest.topOrd;
      popped.id = rest.pop();
    } else {
      popped.priority = 0;
      popped.ord = popped.id = this.#ordinary.shift();
    }
    return true;
  }

  clear(): void {
    this.#ordinary.clear();
    this.#rest.clear();
  }
}

/** Out parameter of `ReadyOrder.pop`, so that popping allocates nothing. */
export const popped = { priority: 0, ord: 0, id: 0 };

const SMALLEST = 16;

/** Ring buffer of ids. */
class IdQueue {
  #ids = new Float64Array(SMALLEST);
  #head = 0;
  size = 0;
  last = 0;

  get first(): number {
    return this.#ids[this.#head] ?? 0;
  }

  push(id: number): void {
    if (this.size === this.#ids.length) this.#grow();
    this.#ids[(this.#head + this.size) & (this.#ids.length - 1)] = id;
    this.size++;
    this.last = id;
  }

  shift(): number {
    const id = this.first;
    this.#head = (this.#head + 1) & (this.#ids.length - 1);
    this.size--;
    if (this.size === 0) this.clear();
    return id;
  }

  clear(): void {
    if (this.#ids.length > 1024) this.#ids = new Float64Array(SMALLEST);
    this.#head = 0;
    this.size = 0;
  }

  #grow(): void {
    const bigger = new Float64Array(this.#ids.length * 2);
    bigger.set(this.#ids.subarray(this.#head));
    bigger.set(this.#ids.subarray(0, this.#head), this.#ids.length - this.#head);
    this.#ids = bigger;
    this.#head = 0;
  }
}

/** Binary min-heap over parallel arrays. */
class PriorityHeap {
  #priority = new Int32Array(0);
  #ord = new Float64Array(0);
  #id = new Float64Array(0);
  size = 0;

  get topPriority(): number {
    return this.#priority[0] as number;
  }

  get topOrd(): number {
    return this.#ord[0] as number;
  }

  push(priority: number, ord: number, id: number): void {
    if (this.size === this.#id.length) this.#resize(Math.max(SMALLEST, this.size * 2));
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(priority, ord, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#set(at, priority, ord, id);
  }

  /** Only when `size > 0`. */
  pop(): number {
    const top = this.#id[0] as number;
    const last = --this.size;
    const priority = this.#priority[last] as number;
    const ord = this.#ord[last] as number;
    const id = this.#id[last] as number;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= last) break;
      if (
        child + 1 < last &&
        this.#before(this.#priority[child + 1] as number, this.#ord[child + 1] as number, child)
      ) {
        child++;
      }
      if (this.#before(priority, ord, child)) break;
      this.#move(child, at);
      at = child;
    }
    this.#set(at, priority, ord, id);
    if (last === 0) this.clear();
    return top;
  }

  clear(): void {
    this.size = 0;
    if (this.#id.length > 1024) this.#resize(0);
  }

  #before(priority: number, ord: number, other: number): boolean {
    const p = this.#priority[other] as number;
    return priority < p || (priority === p && ord < (this.#ord[other] as number));
  }

  #set(at: number, priority: number, ord: number, id: number): void {
    this.#priority[at] = priority;
    this.#ord[at] = ord;
    this.#id[at] = id;
  }

  #move(from: number, to: number): void {
    this.#set(
      to,
      this.#priority[from] as number,
      this.#ord[from] as number,
      this.#id[from] as number,
    );
  }

  #resize(length: number): void {
    const priority = new Int32Array(length);
    const ord = new Float64Array(length);
    const id = new Float64Array(length);
    priority.set(this.#priority.subarray(0, this.size));
    ord.set(this.#ord.subarray(0, this.size));
    id.set(this.#id.subarray(0, this.size));
    this.#priority = priority;
    this.#ord = ord;
    this.#id = id;
  }
}
