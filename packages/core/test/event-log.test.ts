import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { EventLog } from "../src/adapters/sqlite/event-log.ts";
import { type Lane, Lanes } from "../src/adapters/sqlite/lanes.ts";
import type { JobEvent } from "../src/events.ts";
import type { EventSubscription } from "../src/queue-adapter.ts";

/** Events that the log keeps. */
const KEPT = 65_536;

interface Heard {
  readonly ids: number[];
  readonly events: JobEvent[];
  gaps: number;
  stop: () => void;
}

interface Bench {
  readonly log: EventLog;
  readonly lane: Lane;
  readonly other: Lane;
  /** Adds `count` events with the next ids. */
  readonly add: (count: number, lane?: Lane) => void;
  readonly listen: (subscription?: Partial<EventSubscription>) => Heard;
}

function bench(): Bench {
  const lanes = new Lanes([], () => 0);
  const settings = { typed: false, paused: false, rateLimit: null, concurrency: null };
  const lane = lanes.add({ no: 1, tenant: "default", queue: "work", ...settings });
  const other = lanes.add({ no: 2, tenant: "acme", queue: "mail", ...settings });
  const log = new EventLog(
    "e",
    (no) => lanes.get(no),
    () => undefined,
  );
  let id = 0;
  return {
    log,
    lane,
    other,
    add(count, of = lane) {
      for (let i = 0; i < count; i++) log.add("job.pushed", of, ++id, id);
    },
    listen(subscription = {}) {
      const heard: Heard = { ids: [], events: [], gaps: 0, stop: () => undefined };
      heard.stop = log.subscribe({
        tenant: "*",
        onEvents: (events) => {
          heard.events.push(...events);
          heard.ids.push(...events.map(({ jobId }) => jobId ?? 0));
        },
        onGap: () => void heard.gaps++,
        ...subscription,
      });
      return heard;
    },
  };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("transactions", () => {
  test("nothing is told before it settled, and nothing of what was taken back", () => {
    const { log, add, listen } = bench();
    const heard = listen();
    add(3);
    expect(heard.ids).toEqual([]);
    log.discard();
    log.settle();
    expect(heard.ids).toEqual([]);
    add(2);
    log.settle();
    expect(heard.ids).toEqual([4, 5]);
    expect(heard.gaps).toBe(0);
  });

  test("what was taken back leaves nothing of itself in what comes after", () => {
    const { log, lane, listen } = bench();
    const heard = listen();
    log.add("job.failed", lane, 1, 10, { error: "gone", final: true });
    log.discard();
    log.add("job.pushed", lane, 2, 20);
    log.settle();
    expect(heard.events).toEqual([
      { cursor: "e-1", type: "job.pushed", tenant: "default", queue: "work", jobId: 2, at: 20 },
    ]);
  });

  test("the cursor stands still until it settles", () => {
    const { log, add } = bench();
    const before = log.cursor;
    add(1);
    expect(log.cursor).toBe(before);
    log.settle();
    expect(log.cursor).not.toBe(before);
  });
});

describe("the ring", () => {
  test("goes on after any cursor it still has, and tells a gap behind the others", async () => {
    const { log, add, listen } = bench();
    const cursors: string[] = [log.cursor];
    for (let i = 0; i < 10; i++) {
      add(KEPT / 8);
      log.settle();
      cursors.push(log.cursor);
    }
    const end = (10 * KEPT) / 8;
    for (const [i, after] of cursors.entries()) {
      const heard = listen({ after });
      await setImmediate();
      const reached = i * (KEPT / 8) >= end - KEPT;
      expect([after, heard.gaps]).toEqual([after, reached ? 0 : 1]);
      expect(heard.ids).toHaveLength(reached ? end - (i * KEPT) / 8 : 0);
      expect(heard.ids[0]).toBe(reached && i < 10 ? (i * KEPT) / 8 + 1 : undefined);
      heard.stop();
    }
  });

  test("counts as lost what a discarded event has overwritten", async () => {
    const { log, add, listen } = bench();
    add(KEPT);
    log.settle();
    add(10);
    log.discard();
    const early = listen({ after: "e-9" });
    const late = listen({ after: "e-10" });
    await setImmediate();
    expect([early.gaps, early.ids.length]).toEqual([1, 0]);
    expect(late.gaps).toBe(0);
    expect(late.ids).toEqual(range(11, KEPT));
  });

  test("one transaction larger than the ring is a gap for those who listen, and then the newest", () => {
    const { log, add, listen } = bench();
    add(5);
    log.settle();
    const heard = listen();
    add(KEPT + 100);
    log.settle();
    expect(heard.gaps).toBe(1);
    expect(heard.ids).toEqual(range(106, KEPT + 105));
    add(1);
    log.settle();
    expect(heard.gaps).toBe(1);
    expect(heard.ids.at(-1)).toBe(KEPT + 106);
  });

  test("tells every reader what a plain list would, whatever is taken back", async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          kind: fc.constantFrom("settle", "discard"),
          count: fc.integer({ min: 0, max: 30_000 }),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant("subscribe"),
          back: fc.integer({ min: 0, max: 90_000 }),
        }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { log, add, listen } = bench();
        const settled: number[] = [];
        const readers: { heard: ReturnType<Bench["listen"]>; from: number; gap: boolean }[] = [];
        let id = 0;
        let written = 0;
        for (const step of steps) {
          if (step.kind === "subscribe") {
            const from = Math.max(0, settled.length - (step as { back: number }).back);
            const gap = from < written - KEPT;
            readers.push({
              heard: listen({ after: `e-${from}` }),
              from: gap ? settled.length : from,
              gap,
            });
          } else {
            const { count } = step as { count: number };
            add(count);
            if (step.kind === "settle") settled.push(...range(id + 1, id + count));
            id += count;
            written = Math.max(written, settled.length + (step.kind === "settle" ? 0 : count));
            if (step.kind === "settle") log.settle();
            else log.discard();
          }
          await setImmediate();
        }
        for (const { heard, from, gap } of readers) {
          expect(heard.gaps).toBe(gap ? 1 : 0);
          expect(heard.ids).toEqual(settled.slice(from));
        }
      }),
      { numRuns: 25 },
    );
  });

  test.each([
    "",
    "e",
    "e-",
    "e-x",
    "e-1.5",
    "e--1",
    "f-0",
    "e-99",
    "-",
    "e-1-2",
    "e-0x1",
    "e-1e0",
    "e- 1",
  ])("a cursor that is none (%j) is a gap, never the whole log", async (after) => {
    const { log, add, listen } = bench();
    add(3);
    log.settle();
    const heard = listen({ after });
    await setImmediate();
    expect(heard.gaps).toBe(1);
    add(1);
    log.settle();
    expect(heard.ids).toEqual([4]);
  });
});

describe("readers", () => {
  test("hear what concerns them alone", () => {
    const { log, lane, other, listen } = bench();
    const tenant = listen({ tenant: "acme" });
    const queue = listen({ queue: "work" });
    const types = listen({ types: ["job.failed", "queue.paused"] });
    log.add("job.pushed", lane, 1, 1);
    log.add("job.failed", other, 2, 2, { error: "x", final: false });
    log.add("queue.paused", lane, 0, 3);
    log.settle();
    expect(tenant.ids).toEqual([2]);
    expect(queue.events.map(({ jobId }) => jobId)).toEqual([1, null]);
    expect(types.events.map(({ type }) => type)).toEqual(["job.failed", "queue.paused"]);
    expect(tenant.events[0]).toEqual({
      cursor: "e-2",
      type: "job.failed",
      tenant: "acme",
      queue: "mail",
      jobId: 2,
      at: 2,
      error: "x",
      final: false,
    });
  });

  test("may stop themselves and others while they are told", () => {
    const { log, add, listen } = bench();
    const stops: (() => void)[] = [];
    const first = listen({ onEvents: () => stops.forEach((stop) => stop()) });
    const second = listen();
    stops.push(first.stop, second.stop);
    add(1);
    log.settle();
    add(1);
    log.settle();
    expect(second.ids).toEqual([]);
  });

  test("may come while others are told, and hear what comes after that", () => {
    const { log, add, listen } = bench();
    const late: ReturnType<Bench["listen"]>[] = [];
    listen({ onEvents: () => void late.push(listen()) });
    add(2);
    log.settle();
    expect(late.map(({ ids }) => ids)).toEqual([[]]);
    add(1);
    log.settle();
    expect(late[0]?.ids).toEqual([3]);
  });

  test("that stop before their old events came hear none of them", async () => {
    const { log, add, listen } = bench();
    add(3);
    log.settle();
    const heard = listen({ after: "e-0" });
    heard.stop();
    await setImmediate();
    expect(heard.ids).toEqual([]);
  });

  test("hear an event once when it settles before their old ones came", async () => {
    const { log, add, listen } = bench();
    add(2);
    log.settle();
    const heard = listen({ after: "e-1" });
    add(1);
    log.settle();
    await setImmediate();
    expect(heard.ids).toEqual([2, 3]);
  });

  test.each(["onEvents", "onGap"] as const)("that throw in %s harm nobody", async (where) => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
    const { log, add, listen } = bench();
    add(5);
    log.settle();
    const fail = (): never => {
      throw new Error("careless");
    };
    expect(() => listen({ [where]: fail, after: "nonsense" })).not.toThrow();
    const careless = listen({ [where]: fail });
    const heard = listen();
    add(KEPT + 1);
    expect(() => log.settle()).not.toThrow();
    expect(heard.gaps).toBe(1);
    expect(heard.ids).toHaveLength(KEPT);
    expect(warned).toHaveBeenCalled();
    careless.stop();
    await setImmediate();
  });
});
