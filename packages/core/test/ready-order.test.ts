import fc from "fast-check";
import { expect, test } from "vitest";
import { popped, ReadyOrder } from "../src/adapters/sqlite/ready-order.ts";

interface Entry {
  readonly priority: number;
  readonly ord: number;
  readonly id: number;
}

/** What `ReadyOrder` promises, in the simplest way: look for the smallest each time. */
class NaiveOrder {
  entries: Entry[] = [];

  push(entry: Entry): void {
    this.entries.push(entry);
  }

  pop(): Entry | undefined {
    const first = this.entries.toSorted((a, b) => a.priority - b.priority || a.ord - b.ord)[0];
    this.entries = this.entries.filter((entry) => entry !== first);
    return first;
  }
}

function pop(order: ReadyOrder): Entry | undefined {
  return order.pop() ? { ...popped } : undefined;
}

function drain(order: ReadyOrder): number[] {
  const ids: number[] = [];
  while (order.pop()) ids.push(popped.id);
  return ids;
}

type Step =
  | { readonly kind: "add"; readonly priority: number; readonly lifo: boolean }
  /** A job that left the order comes back: at its old place, or behind everybody. */
  | { readonly kind: "back"; readonly which: number; readonly where: "same" | "end" }
  | { readonly kind: "pop"; readonly count: number }
  | { readonly kind: "clear" };

const priority = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.integer({ min: -2, max: 2 }) },
  { weight: 1, arbitrary: fc.constantFrom(-1_000_000, 1_000_000) },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constant("add"), priority, lifo: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("back"),
      which: fc.nat(),
      where: fc.constantFrom("same", "end"),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("pop"), count: fc.integer({ min: 1, max: 9 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("clear") }) },
);

test("pops what a search for the smallest (priority, place) would find", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const order = new ReadyOrder();
      const naive = new NaiveOrder();
      const gone: Entry[] = [];
      let last = 0;
      const push = (entry: Entry): void => {
        order.push(entry.priority, entry.ord, entry.id);
        naive.push(entry);
      };
      for (const step of steps) {
        if (step.kind === "add") {
          const id = ++last;
          push({ priority: step.priority, ord: step.lifo ? -id : id, id });
        } else if (step.kind === "back") {
          const [entry] = gone.splice(step.which % Math.max(1, gone.length), 1);
          if (entry !== undefined) push(step.where === "same" ? entry : { ...entry, ord: ++last });
        } else if (step.kind === "clear") {
          order.clear();
          gone.push(...naive.entries);
          naive.entries = [];
        } else {
          for (let i = 0; i < step.count; i++) {
            const expected = naive.pop();
            expect(pop(order)).toEqual(expected);
            if (expected !== undefined) gone.push(expected);
          }
        }
        expect(order.size).toBe(naive.entries.length);
      }
      for (;;) {
        const expected = naive.pop();
        expect(pop(order)).toEqual(expected);
        if (expected === undefined) break;
      }
    }),
    { numRuns: 300 },
  );
});

test("keeps ordinary jobs in order over many turns of the ring", () => {
  const order = new ReadyOrder();
  const popped: number[] = [];
  let id = 0;
  // The backlog swells and shrinks, so that head and tail wrap at every size of the ring.
  for (let round = 0; round < 300; round++) {
    for (let i = 0; i < (round * 7) % 41; i++) order.push(0, ++id, id);
    for (let i = 0; i < (round * 5) % 37; i++) {
      const entry = pop(order);
      if (entry !== undefined) popped.push(entry.id);
    }
  }
  popped.push(...drain(order));
  expect(popped).toEqual(Array.from({ length: id }, (_, i) => i + 1));
});

test("is empty after the last entry, and usable again", () => {
  const order = new ReadyOrder();
  expect(order.pop()).toBe(false);
  for (let round = 0; round < 3; round++) {
    const base = round * 5000;
    for (let i = 1; i <= 2000; i++) {
      order.push(0, base + i, base + i);
      order.push(1, base + 2000 + i, base + 2000 + i);
    }
    expect(drain(order)).toEqual(Array.from({ length: 4000 }, (_, i) => base + i + 1));
    expect(order.size).toBe(0);
    expect(order.pop()).toBe(false);
  }
});

test("takes an ordinary job that comes back with an id smaller than the last", () => {
  const order = new ReadyOrder();
  for (const id of [1, 2, 3]) order.push(0, id, id);
  order.pop();
  order.push(0, 1, 1);
  order.push(0, 4, 4);
  expect(drain(order)).toEqual([1, 2, 3, 4]);
});

test("holds places as large as ids can be", () => {
  const order = new ReadyOrder();
  const top = 2 ** 53 - 1;
  order.push(0, top, top);
  order.push(0, -top, top - 1);
  order.push(-1_000_000, top - 2, top - 2);
  expect(drain(order)).toEqual([top - 2, top - 1, top]);
});
