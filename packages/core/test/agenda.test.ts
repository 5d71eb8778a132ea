import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Agenda, Due, due } from "../src/adapters/sqlite/agenda.ts";
import { Deadlines } from "../src/adapters/sqlite/deadlines.ts";
import type { Run } from "../src/adapters/sqlite/rows.ts";
import { VirtualClock } from "../src/testing/virtual-clock.ts";

interface Entry {
  readonly at: number;
  readonly kind: number;
  readonly key: number;
}

function takeAll(agenda: Agenda, now: number): Entry[] {
  const taken: Entry[] = [];
  while (agenda.take(now)) taken.push({ ...due });
  return taken;
}

const byMoment = (a: Entry, b: Entry): number => a.at - b.at || a.key - b.key;

describe("order", () => {
  test("takes what is due by moment, then by key, as sorting would", () => {
    const entry = fc.record({
      at: fc.integer({ min: 0, max: 50 }),
      kind: fc.constantFrom(...Object.values(Due)),
      key: fc.integer({ min: 0, max: 1_000_000 }),
    });
    const step = fc.record({
      add: fc.array(entry, { maxLength: 90 }),
      advance: fc.integer({ min: 0, max: 20 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const agenda = new Agenda(new VirtualClock(0), () => undefined);
        let pending: Entry[] = [];
        let now = 0;
        const check = (): void => {
          const expected = pending.filter(({ at }) => at <= now).toSorted(byMoment);
          pending = pending.filter(({ at }) => at > now);
          const taken = takeAll(agenda, now);
          expect(taken.map(({ at, key }) => [at, key])).toEqual(
            expected.map(({ at, key }) => [at, key]),
          );
          // Kinds among equals come in any order.
          const whole = ({ at, key, kind }: Entry): string => `${at} ${key} ${kind}`;
          expect(taken.map(whole).sort()).toEqual(expected.map(whole).sort());
          expect(agenda.size).toBe(pending.length);
          expect(agenda.next).toBe(Math.min(...pending.map(({ at }) => at)));
        };
        for (const { add, advance } of steps) {
          for (const entry of add) {
            agenda.add(entry.at, entry.kind, entry.key);
            pending.push(entry);
          }
          now += advance;
          check();
        }
        now = 1000;
        check();
      }),
      { numRuns: 150 },
    );
  });
});

describe("the timer", () => {
  /** An agenda whose owner takes everything that is due when it is told. */
  function watched(): { clock: VirtualClock; agenda: Agenda; calls: number[]; taken: Entry[] } {
    const clock = new VirtualClock(0);
    const calls: number[] = [];
    const taken: Entry[] = [];
    const agenda = new Agenda(clock, () => {
      calls.push(clock.now());
      taken.push(...takeAll(agenda, clock.now()));
    });
    return { clock, agenda, calls, taken };
  }

  test("tells each moment once, also one that was added before an earlier one", () => {
    const { clock, agenda, calls, taken } = watched();
    for (const at of [500, 100, 300, 100]) agenda.add(at, Due.job, at);
    clock.advance(1000);
    expect(calls).toEqual([100, 300, 500]);
    expect(taken.map(({ at }) => at)).toEqual([100, 100, 300, 500]);
  });

  test("is set again by entries that come while others are taken", () => {
    const clock = new VirtualClock(0);
    const seen: number[] = [];
    const agenda = new Agenda(clock, () => {
      while (agenda.take(clock.now())) {
        seen.push(due.at);
        if (seen.length < 5) agenda.add(clock.now() + 10, Due.job, 1);
      }
    });
    agenda.add(10, Due.job, 1);
    clock.advance(1000);
    expect(seen).toEqual([10, 20, 30, 40, 50]);
  });

  test("comes again for what was left", () => {
    const clock = new VirtualClock(0);
    const seen: number[] = [];
    const agenda = new Agenda(clock, () => {
      // As the owner does that has had enough for one transaction, and comes back by itself.
      if (agenda.take(clock.now())) seen.push(due.key);
      if (agenda.take(clock.now())) seen.push(due.key);
    });
    agenda.add(10, Due.job, 1);
    agenda.add(20, Due.job, 2);
    clock.advance(100);
    expect(seen).toEqual([1, 2]);
  });

  test("says nothing after it was stopped", () => {
    const { clock, agenda, calls } = watched();
    agenda.add(10, Due.job, 1);
    agenda.stop();
    agenda.add(5, Due.job, 2);
    clock.advance(100);
    expect(calls).toEqual([]);
  });

  test("after a failure comes round at the time asked for, due or not, and no sooner", () => {
    const { clock, agenda, calls } = watched();
    agenda.add(10, Due.job, 1);
    clock.advance(10);
    agenda.retryAt(1010);
    agenda.add(20, Due.job, 2);
    clock.advance(999);
    expect(calls).toEqual([10]);
    clock.advance(1);
    expect(calls).toEqual([10, 1010]);
    agenda.retryAt(2010);
    clock.advance(1000);
    expect(calls).toEqual([10, 1010, 2010]);
    agenda.add(2500, Due.job, 3);
    clock.advance(1000);
    expect(calls).toEqual([10, 1010, 2010, 2500]);
  });

  test("does not come round after it was stopped, failure or not", () => {
    const { clock, agenda, calls } = watched();
    agenda.stop();
    agenda.retryAt(10);
    clock.advance(100);
    expect(calls).toEqual([]);
  });
});

describe("run deadlines", () => {
  function runUntil(leaseUntil: number): Run {
    return { timeoutAt: Infinity, leaseUntil, slot: 0 } as Run;
  }

  test("cost the agenda one entry a slot, however many runs come and go", () => {
    const agenda = new Agenda(new VirtualClock(0), () => undefined);
    const deadlines = new Deadlines(agenda);
    for (let i = 0; i < 1000; i++) {
      const run = runUntil(5000 + (i % 100));
      deadlines.add(run);
      deadlines.remove(run);
    }
    expect(agenda.size).toBe(1);
    const run = runUntil(5050);
    deadlines.add(run);
    expect(deadlines.past(5049, 9)).toEqual([]);
    expect(deadlines.past(5050, 9)).toEqual([run]);
  });

  test("are found by moment, whatever joins, moves and leaves", () => {
    const at = fc.integer({ min: 0, max: 2000 });
    const step = fc.oneof(
      fc.record({ kind: fc.constant("add"), at }),
      fc.record({ kind: fc.constant("move"), which: fc.nat(), at }),
      fc.record({ kind: fc.constant("remove"), which: fc.nat() }),
      fc.record({ kind: fc.constant("look"), at, limit: fc.integer({ min: 1, max: 20 }) }),
    ) as fc.Arbitrary<{ kind: string; at: number; which: number; limit: number }>;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const agenda = new Agenda(new VirtualClock(0), () => undefined);
        const deadlines = new Deadlines(agenda);
        let runs: Run[] = [];
        for (const { kind, at, which, limit } of steps) {
          const run = runs[which % Math.max(1, runs.length)];
          if (kind === "add") {
            const added = runUntil(at);
            deadlines.add(added);
            runs.push(added);
          } else if (kind === "move" && run !== undefined) {
            run.leaseUntil = at;
            deadlines.move(run);
          } else if (kind === "remove" && run !== undefined) {
            deadlines.remove(run);
            runs = runs.filter((other) => other !== run);
          } else if (kind === "look") {
            const due = runs.filter((run) => run.leaseUntil <= at);
            const past = deadlines.past(at, limit);
            expect(past).toHaveLength(Math.min(limit, due.length));
            expect(past.every((run) => due.includes(run))).toBe(true);
            expect(new Set(past).size).toBe(past.length);
          }
          // Whatever time comes for a run, the agenda tells of it in time.
          for (const { leaseUntil } of runs)
            expect(agenda.next).toBeLessThanOrEqual(leaseUntil + 100);
        }
      }),
      { numRuns: 200 },
    );
  });
});
