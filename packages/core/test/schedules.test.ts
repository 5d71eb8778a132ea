import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { QueueError } from "../src/errors.ts";
import { dueRun, nextRun, parseSchedule, previewRuns } from "../src/schedules.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Due times from `from` on (inclusive) and before `to`, as local readings with their offset. */
function runs(cron: string, timezone: string, from: string, to: string): string[] {
  const schedule = parseSchedule({ cron, timezone });
  const found: string[] = [];
  for (let after = Date.parse(from) - 1; ;) {
    const run = nextRun(schedule, after);
    if (run === null || run >= Date.parse(to)) return found;
    found.push(local(run, timezone));
    after = run;
  }
}

function local(moment: number, timezone: string): string {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat("en-US", {
      timeZone: timezone,
      timeZoneName: "longOffset",
      hourCycle: "h23",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    })
      .formatToParts(moment)
      .map(({ type, value }) => [type, value]),
  );
  const seconds = parts["second"] === "00" ? "" : `:${parts["second"]}`;
  const offset = parts["timeZoneName"]?.replace("GMT", "");
  return `${parts["month"]}-${parts["day"]} ${parts["hour"]}:${parts["minute"]}${seconds} ${offset}`;
}

describe("expressions", () => {
  test("five fields run at second 0, six name the second", () => {
    expect(runs("30 9 * * 1-5", "UTC", "2026-01-02T00:00Z", "2026-01-06T00:00Z")).toEqual([
      "01-02 09:30 +00:00",
      "01-05 09:30 +00:00",
    ]);
    expect(runs("15 0 3 * * *", "UTC", "2026-01-02T00:00Z", "2026-01-03T00:00Z")).toEqual([
      "01-02 03:00:15 +00:00",
    ]);
  });

  test("a step alone counts seconds from the epoch, across minutes", () => {
    const schedule = parseSchedule({ cron: "*/7", timezone: "America/Chicago" });
    const first = nextRun(schedule, 1_767_225_600_000);
    expect(first! % 7_000).toBe(0);
    expect(previewRuns(schedule, 1_767_225_600_000, 30).map((run) => run - first!)).toEqual(
      Array.from({ length: 30 }, (_, index) => index * 7_000),
    );
    expect(nextRun(parseSchedule({ cron: "*/90" }), 90_000)).toBe(180_000);
  });

  test("names, lists, steps, last days and nth weekdays", () => {
    expect(runs("0 8 * jan,MAR mon#1", "UTC", "2026-01-01T00:00Z", "2027-01-01T00:00Z")).toEqual([
      "01-05 08:00 +00:00",
      "03-02 08:00 +00:00",
    ]);
    expect(runs("0 0 L * *", "UTC", "2028-02-01T00:00Z", "2028-04-01T00:00Z")).toEqual([
      "02-29 00:00 +00:00",
      "03-31 00:00 +00:00",
    ]);
    expect(runs("0 12 * * THU", "UTC", "2026-01-01T00:00Z", "2026-01-08T00:00Z")).toEqual([
      "01-01 12:00 +00:00",
    ]);
  });

  test.each([
    ["", "5 fields"],
    ["* * *", "5 fields"],
    ["* * * * * * *", "5 fields"],
    ["@daily", "5 fields"],
    ["61 * * * *", "0-59"],
    ["* 24 * * *", "0-23"],
    ["* * * 13 *", "1-12"],
    ["* * * * 8", "0-7"],
    ["0 0 0 * *", "1-31"],
    ["x * * * *", '"x" is not a valid minute'],
    ["H * * * *", '"H" is not a valid minute'],
    ["0 0 * * H(1-2)", "not a valid day of week"],
    ["0 0 * * H", "not a valid day of week"],
    ["0 0 * foo *", "foo"],
    ["5-1 * * * *", "min"],
    ["*/0 * * * *", "repeat"],
    ["0 0 30 2 *", "day of month"],
    ["0 0 31 4,6,9,11 *", "never comes"],
    ["*/0", "1 to"],
    ["*/99999999999", "1 to"],
    [`${"0,".repeat(200)}0 * * * *`, "256 characters"],
  ])("refuses %s", (cron, hint) => {
    const { errors } = refusal(() => parseSchedule({ cron }));
    expect(errors).toEqual([{ field: "cron", message: expect.stringContaining(hint) }]);
  });

  test("refuses what is no IANA zone, and tells both faults at once", () => {
    for (const timezone of ["Mars/Olympus", "", "+02:00", "UTC+1", " UTC", "CST6"]) {
      const { errors } = refusal(() => parseSchedule({ cron: "* * * * *", timezone }));
      expect(errors).toEqual([{ field: "timezone", message: expect.stringContaining("IANA") }]);
    }
    const both = refusal(() => parseSchedule({ cron: "nonsense", timezone: "nowhere" }));
    expect(both.errors?.map(({ field }) => field)).toEqual(["cron", "timezone"]);
    expect(parseSchedule({ cron: "* * * * *", timezone: null }).timezone).toBe("UTC");
  });

  test("never hangs on rare or adversarial expressions", () => {
    const start = performance.now();
    expect(runs("0 0 29 2 *", "America/Chicago", "2096-03-01T00:00Z", "2104-03-01T00:00Z")).toEqual(
      ["02-29 00:00 -06:00"],
    );
    expect(runs("0 0 * 2 5#5", "Europe/London", "2009-01-01T00:00Z", "2037-01-01T00:00Z")).toEqual([
      "02-29 00:00 +00:00",
    ]);
    expect(runs("0 0 29 2 1", "UTC", "2028-02-27T00:00Z", "2028-03-07T00:00Z")).toEqual([
      "02-28 00:00 +00:00",
      "02-29 00:00 +00:00",
    ]);
    previewRuns(parseSchedule({ cron: "0 0 * 2 5#5", timezone: "Africa/Casablanca" }), 0, 5);
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  test("there is no run beyond the calendar's end", () => {
    const schedule = parseSchedule({ cron: "* * * * *" });
    expect(nextRun(schedule, 8.64e15)).toBeNull();
    expect(nextRun(schedule, Number.NaN)).toBeNull();
  });

  test("anything at all is either a schedule or a validation error", () => {
    const character = fc.constantFrom(..."0123456789*/,-?LH#W@ jansuJANSU()".split(""));
    fc.assert(
      fc.property(fc.string({ unit: character, maxLength: 40 }), (cron) => {
        try {
          const schedule = parseSchedule({ cron });
          expect(nextRun(schedule, 1.8e12)).toBeGreaterThan(1.8e12);
        } catch (error) {
          expect(error).toBeInstanceOf(QueueError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("a fixed hour", () => {
  test("a time skipped in spring runs once, at the change", () => {
    expect(runs("30 2 * * *", "America/Chicago", "2026-03-07T06:00Z", "2026-03-10T05:00Z")).toEqual(
      ["03-07 02:30 -06:00", "03-08 03:00 -05:00", "03-09 02:30 -05:00"],
    );
    expect(runs("0 1 * * *", "Europe/London", "2026-03-28T00:00Z", "2026-03-31T00:00Z")).toEqual([
      "03-28 01:00 +00:00",
      "03-29 02:00 +01:00",
      "03-30 01:00 +01:00",
    ]);
  });

  test("several skipped times are one run, and later ones of that day keep theirs", () => {
    expect(
      runs("*/20 2,3 * * *", "America/Chicago", "2026-03-08T06:00Z", "2026-03-09T05:00Z"),
    ).toEqual(["03-08 03:00 -05:00", "03-08 03:20 -05:00", "03-08 03:40 -05:00"]);
  });

  test("a time doubled in autumn runs the first time only", () => {
    expect(runs("30 1 * * *", "America/Chicago", "2026-10-31T05:00Z", "2026-11-03T06:00Z")).toEqual(
      ["10-31 01:30 -05:00", "11-01 01:30 -05:00", "11-02 01:30 -06:00"],
    );
    expect(
      runs("*/30 1,2 * * *", "America/Chicago", "2026-11-01T05:00Z", "2026-11-02T05:00Z"),
    ).toEqual([
      "11-01 01:00 -05:00",
      "11-01 01:30 -05:00",
      "11-01 02:00 -06:00",
      "11-01 02:30 -06:00",
    ]);
    expect(runs("30 1 * * *", "Europe/London", "2026-10-25T00:00Z", "2026-10-26T00:00Z")).toEqual([
      "10-25 01:30 +01:00",
    ]);
  });

  test("asking from within the doubled hour finds the next day", () => {
    const schedule = parseSchedule({ cron: "30 1 * * *", timezone: "America/Chicago" });
    for (const after of ["2026-11-01T06:30Z", "2026-11-01T07:00Z", "2026-11-01T07:29:59Z"]) {
      const run = nextRun(schedule, Date.parse(after));
      expect(local(run!, "America/Chicago")).toBe("11-02 01:30 -06:00");
    }
  });

  test("half-hour changes", () => {
    expect(
      runs("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z", "2026-10-05T00:00Z"),
    ).toEqual(["10-04 02:30 +11:00", "10-05 02:15 +11:00"]);
    expect(
      runs("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00Z", "2026-04-06T00:00Z"),
    ).toEqual(["04-05 01:45 +11:00", "04-06 01:45 +10:30"]);
  });

  test("a skipped midnight, and zones without changes", () => {
    expect(
      runs("0 0 * * *", "America/Sao_Paulo", "2018-11-03T00:00Z", "2018-11-06T00:00Z"),
    ).toEqual(["11-03 00:00 -03:00", "11-04 01:00 -02:00", "11-05 00:00 -02:00"]);
    expect(
      runs("59 23 * * *", "America/Sao_Paulo", "2019-02-16T12:00Z", "2019-02-18T12:00Z"),
    ).toEqual(["02-16 23:59 -02:00", "02-17 23:59 -03:00"]);
    expect(runs("30 2 * * *", "Asia/Kolkata", "2026-03-08T00:00Z", "2026-03-09T00:00Z")).toEqual([
      "03-09 02:30 +05:30",
    ]);
  });
});

describe("other schedules follow elapsed time", () => {
  test("every half hour stays every half hour", () => {
    for (const [timezone, from, to] of [
      ["America/Chicago", "2026-03-08T00:00Z", "2026-03-09T00:00Z"],
      ["America/Chicago", "2026-11-01T00:00Z", "2026-11-02T00:00Z"],
      ["Europe/London", "2026-10-25T00:00Z", "2026-10-26T00:00Z"],
      ["Australia/Lord_Howe", "2026-04-04T00:00Z", "2026-04-05T00:00Z"],
      ["Australia/Lord_Howe", "2026-10-03T00:00Z", "2026-10-04T00:00Z"],
    ] as const) {
      const schedule = parseSchedule({ cron: "*/30 * * * *", timezone });
      const found = previewRuns(schedule, Date.parse(from) - 1, 48);
      expect(found).toEqual(
        Array.from({ length: 48 }, (_, index) => Date.parse(from) + index * 30 * MINUTE),
      );
      expect(found.at(-1)).toBeLessThan(Date.parse(to));
    }
  });

  test("every hour past the hour: no extra run in spring, both doubled hours in autumn", () => {
    expect(runs("15 * * * *", "America/Chicago", "2026-03-08T07:00Z", "2026-03-08T10:00Z")).toEqual(
      ["03-08 01:15 -06:00", "03-08 03:15 -05:00", "03-08 04:15 -05:00"],
    );
    expect(runs("15 * * * *", "America/Chicago", "2026-11-01T06:00Z", "2026-11-01T09:00Z")).toEqual(
      ["11-01 01:15 -05:00", "11-01 01:15 -06:00", "11-01 02:15 -06:00"],
    );
  });

  test("stepped and ranged hours lose no run to a skipped hour", () => {
    expect(
      runs("0 */2 * * *", "America/Chicago", "2026-03-08T06:00Z", "2026-03-08T11:30Z"),
    ).toEqual([
      "03-08 00:00 -06:00",
      "03-08 03:00 -05:00",
      "03-08 04:00 -05:00",
      "03-08 06:00 -05:00",
    ]);
    expect(
      runs("0 */6 * * *", "America/Sao_Paulo", "2018-11-03T20:00Z", "2018-11-04T10:00Z"),
    ).toEqual(["11-03 18:00 -03:00", "11-04 01:00 -02:00", "11-04 06:00 -02:00"]);
    expect(
      runs("30 1-3 * * *", "America/Chicago", "2026-03-08T06:00Z", "2026-03-09T05:00Z"),
    ).toEqual(["03-08 01:30 -06:00", "03-08 03:30 -05:00"]);
    expect(
      runs("30 0-2 * * *", "America/Chicago", "2026-11-01T05:00Z", "2026-11-02T05:00Z"),
    ).toEqual([
      "11-01 00:30 -05:00",
      "11-01 01:30 -05:00",
      "11-01 01:30 -06:00",
      "11-01 02:30 -06:00",
    ]);
  });
});

describe("missed runs", () => {
  const schedule = parseSchedule({ cron: "0 * * * *" });
  const noon = Date.parse("2026-01-01T12:00Z");

  test("not due yet", () => {
    expect(dueRun({ schedule, nextRun: noon, now: noon - 1 })).toBeNull();
    expect(dueRun({ schedule, nextRun: null, now: noon })).toBeNull();
  });

  test("due now", () => {
    expect(dueRun({ schedule, nextRun: noon, now: noon })).toEqual({
      due: noon,
      next: noon + HOUR,
    });
  });

  test("after downtime one run stands for all that were missed", () => {
    const now = noon + 5 * HOUR + MINUTE;
    expect(dueRun({ schedule, nextRun: noon, now })).toEqual({ due: noon, next: noon + 6 * HOUR });
  });
});

describe("against a minute-by-minute reading of the clock", () => {
  const changes = [
    ["America/Chicago", "2026-03-08T08:00Z"],
    ["America/Chicago", "2026-11-01T07:00Z"],
    ["Europe/London", "2026-03-29T01:00Z"],
    ["Europe/London", "2026-10-25T01:00Z"],
    ["Australia/Lord_Howe", "2026-04-04T15:00Z"],
    ["Australia/Lord_Howe", "2026-10-03T15:30Z"],
    ["America/Sao_Paulo", "2018-11-04T03:00Z"],
    ["America/Sao_Paulo", "2019-02-17T02:00Z"],
    ["Asia/Kolkata", "2026-03-08T08:00Z"],
  ] as const;

  const numbers = (max: number) =>
    fc
      .uniqueArray(fc.integer({ min: 0, max }), { minLength: 1, maxLength: 4 })
      .map((values) => ({ cron: values.join(","), values }));
  const anything = (max: number) =>
    fc.integer({ min: 1, max: 12 }).map((step) => ({
      cron: step === 1 ? "*" : `*/${step}`,
      values: Array.from({ length: max + 1 }, (_, value) => value).filter(
        (value) => value % step === 0,
      ),
    }));
  const range = fc
    .tuple(fc.integer({ min: 0, max: 22 }), fc.integer({ min: 1, max: 6 }))
    .map(([first, length]) => {
      const last = Math.min(23, first + length);
      const values = Array.from({ length: last - first + 1 }, (_, index) => first + index);
      return { cron: `${first}-${last}`, values };
    });

  test.each(changes)("%s around %s", (timezone, moment) => {
    const change = Date.parse(moment);
    const from = change - 30 * HOUR;
    const clock = readClock(timezone, from, change + 30 * HOUR);
    fc.assert(
      fc.property(
        fc.oneof(numbers(59), anything(59)),
        fc.oneof(
          numbers(23).map((hours) => ({ ...hours, fixed: true })),
          anything(23).map((hours) => ({ ...hours, fixed: false })),
          range.map((hours) => ({ ...hours, fixed: false })),
        ),
        fc.integer({ min: 0, max: 59 * HOUR }),
        (minute, hour, start) => {
          const schedule = parseSchedule({ cron: `${minute.cron} ${hour.cron} * * *`, timezone });
          const matches = (wall: number) =>
            minute.values.includes(Math.floor(wall / MINUTE) % 60) &&
            hour.values.includes(Math.floor(wall / HOUR) % 24);
          const mode = hour.fixed ? "fixed" : hour.values.length === 24 ? "every" : "some";
          const expected = expectedRuns(clock, mode, matches).filter((run) => run > from + start);
          const found: number[] = [];
          for (let after = from + start; found.length < expected.length;) {
            after = nextRun(schedule, after)!;
            found.push(after);
          }
          expect(found).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  interface Tick {
    at: number;
    /** Milliseconds as if the local reading were UTC. */
    wall: number;
  }

  function readClock(timezone: string, from: number, to: number): Tick[] {
    const format = new Intl.DateTimeFormat("sv-SE", {
      timeZone: timezone,
      dateStyle: "short",
      timeStyle: "short",
    });
    const ticks: Tick[] = [];
    for (let at = from - (from % MINUTE); at < to; at += MINUTE) {
      ticks.push({ at, wall: Date.parse(`${format.format(at).replace(" ", "T")}Z`) });
    }
    return ticks;
  }

  function expectedRuns(
    ticks: Tick[],
    mode: "fixed" | "some" | "every",
    matches: (wall: number) => boolean,
  ): number[] {
    const due = new Set<number>();
    let highest = ticks[0]!.wall - MINUTE;
    for (const { at, wall } of ticks) {
      for (let skipped = highest + MINUTE; skipped < wall; skipped += MINUTE) {
        if (!matches(skipped) || mode === "every") continue;
        due.add(mode === "fixed" ? at : at + skipped - highest - MINUTE);
      }
      const shownBefore = wall <= highest;
      if (matches(wall) && !(mode === "fixed" && shownBefore)) due.add(at);
      highest = Math.max(highest, wall);
    }
    const last = ticks.at(-1)!.at;
    return [...due].filter((at) => at <= last).toSorted((a, b) => a - b);
  }
});

describe("always", () => {
  test("the calendar: days of month, months and weekdays", () => {
    const some = (min: number, max: number) =>
      fc.option(fc.uniqueArray(fc.integer({ min, max }), { minLength: 1, maxLength: 3 }), {
        freq: 2,
      });
    const field = (values: number[] | null) => values?.join(",") ?? "*";
    fc.assert(
      fc.property(
        some(1, 28),
        some(1, 12),
        some(0, 6),
        fc.integer({ min: 0, max: 10_000 }),
        (days, months, weekdays, startDay) => {
          const schedule = parseSchedule({
            cron: `30 4 ${field(days)} ${field(months)} ${field(weekdays)}`,
          });
          const matches = (date: Date) => {
            const byDay = days?.includes(date.getUTCDate());
            const byWeekday = weekdays?.includes(date.getUTCDay());
            // Both restricted: either will do.
            const day = days && weekdays ? byDay || byWeekday : (byDay ?? byWeekday ?? true);
            return day && (months?.includes(date.getUTCMonth() + 1) ?? true);
          };
          let expected = startDay * DAY + 4.5 * HOUR;
          while (!matches(new Date(expected))) expected += DAY;
          expect(nextRun(schedule, startDay * DAY)).toBe(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("strictly later than asked, at a whole second, and by the zone's own clock", () => {
    const zones = Intl.supportedValuesOf("timeZone");
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.constantFrom(
          "30 2 * * *",
          "*/10 * * * * *",
          "0 0 1 * *",
          "0 */3 * * 1",
          "59 23 31 12 *",
        ),
        fc.integer({ min: 0, max: 4_000_000_000_000 }),
        (timezone, cron, after) => {
          const schedule = parseSchedule({ cron, timezone });
          const [first, second] = previewRuns(schedule, after, 2);
          expect(first).toBeGreaterThan(after);
          expect(second).toBeGreaterThan(first!);
          expect(first! % 1_000).toBe(0);
          expect(first! - after).toBeLessThan(cron.includes("31 12") ? 367 * DAY : 32 * DAY);
          // The same answer from any moment in between.
          expect(nextRun(schedule, first! - 1)).toBe(first);
          expect(nextRun(schedule, Math.floor((after + first!) / 2))).toBe(first);
        },
      ),
      { numRuns: 300 },
    );
  });
});

function refusal(call: () => unknown): QueueError["details"] {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(QueueError);
    expect((error as QueueError).code).toBe("VALIDATION");
    return (error as QueueError).details;
  }
  throw new Error("was not refused");
}
