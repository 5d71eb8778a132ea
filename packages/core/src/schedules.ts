import { CronExpression, CronExpressionParser, type CronFieldCollection } from "cron-parser";
import { type FieldError, validationError } from "./errors.ts";

/*
 * cron-parser reads expressions and finds their matches on a calendar without clock changes. What
 * those wall-clock times are in a time zone is decided here:
 *
 * - Where the hour is fixed (a number or a list of numbers), each wall-clock time runs once: one
 *   that a spring change skips runs at the moment of the change, one that an autumn change
 *   doubles runs the first time.
 * - Other schedules follow elapsed time: they run at every moment whose wall clock matches, in
 *   both of two doubled hours. A time that is skipped runs when it would have come without the
 *   change; where every hour matches, the hour after the change stands for it.
 */

interface CronSchedule {
  readonly kind: "cron";
  readonly cron: string;
  /** IANA name. */
  readonly timezone: string;
  readonly fields: CronFieldCollection;
  readonly hours: "fixed" | "some" | "every";
}

/** Every N seconds, counted from the epoch so that all processes agree. */
interface IntervalSchedule {
  readonly kind: "interval";
  readonly cron: string;
  readonly timezone: string;
  readonly everyMs: number;
}

export type ParsedSchedule = CronSchedule | IntervalSchedule;

const MAX_CRON_CHARACTERS = 256;
const MAX_INTERVAL_SECONDS = 366 * 86_400;
const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;
/** 9999-12-31: no due time is looked for beyond. */
const LAST_MOMENT = 253_402_214_400_000;

/**
 * Reads a cron expression of 5 or 6 fields (with 6, the first is the second), or one step field
 * alone (star, slash, N), which means every N seconds. `timezone` is an IANA name; absent or null:
 * UTC.
 * @throws QueueError VALIDATION about `cron` and `timezone`, also for a date that never comes.
 */
export function parseSchedule(input: { cron: string; timezone?: string | null }): ParsedSchedule {
  const { cron } = input;
  const timezone = input.timezone ?? "UTC";
  const errors: FieldError[] = [];
  const parsed = parseCron(cron);
  if (typeof parsed === "string") errors.push({ field: "cron", message: parsed });
  if (!isTimeZone(timezone)) {
    errors.push({
      field: "timezone",
      message: `"${timezone.slice(0, 64)}" is not an IANA time zone such as America/Chicago`,
    });
  }
  if (typeof parsed === "string" || errors.length > 0) throw validationError(errors);
  return Object.freeze({ ...parsed, cron, timezone });
}

type ParsedCron =
  | Omit<CronSchedule, "cron" | "timezone">
  | Omit<IntervalSchedule, "cron" | "timezone">;

const FIELDS: readonly { name: string; characters: RegExp }[] = [
  { name: "second", characters: /^[\d*?,/-]+$/ },
  { name: "minute", characters: /^[\d*?,/-]+$/ },
  { name: "hour", characters: /^[\d*?,/-]+$/ },
  { name: "day of month", characters: /^[\d*?,/L-]+$/ },
  { name: "month", characters: /^[\d*?,/a-z-]+$/i },
  { name: "day of week", characters: /^[\d*?,/#a-z-]+$/i },
];

/** The schedule, or what is wrong with it. */
function parseCron(cron: string): ParsedCron | string {
  if (cron.length > MAX_CRON_CHARACTERS) {
    return `Must have at most ${MAX_CRON_CHARACTERS} characters`;
  }
  const interval = /^\s*\*\/(\d+)\s*$/.exec(cron)?.[1];
  if (interval !== undefined) {
    const seconds = Number(interval);
    if (seconds < 1 || seconds > MAX_INTERVAL_SECONDS) {
      return `Seconds in */N must be 1 to ${MAX_INTERVAL_SECONDS}`;
    }
    return { kind: "interval", everyMs: seconds * SECOND_MS };
  }
  const parts = cron.trim().split(/\s+/);
  if (parts.length !== 5 && parts.length !== 6) {
    return "Must have 5 fields (minute hour day month weekday) or 6 (second first), such as 0 2 * * *";
  }
  const [second, minute, hour, ...days] = parts.length === 6 ? parts : ["0", ...parts];
  const atoms = [second, minute, hour, ...days];
  for (const [index, { name, characters }] of FIELDS.entries()) {
    const atom = atoms[index] ?? "";
    // cron-parser's H draws a random value, another one in each process.
    const withoutNames = atom.replaceAll(/[a-z]{3}/gi, "");
    if (!characters.test(atom) || withoutNames.includes("H")) {
      return `"${atom}" is not a valid ${name} of a cron expression`;
    }
  }
  let fields: CronFieldCollection;
  try {
    ({ fields } = CronExpressionParser.parse(atoms.join(" "), { tz: "UTC" }));
  } catch (error) {
    return `Is not a valid cron expression: ${error instanceof Error ? error.message : "unreadable"}`;
  }
  if (nextMatch(fields, 0) === null) return "Names a date that never comes";
  const hours = /^\d+(?:,\d+)*$/.test(hour ?? "")
    ? "fixed"
    : fields.hour.values.length === 24
      ? "every"
      : "some";
  return { kind: "cron", fields, hours };
}

/**
 * The first due time after `after`, both in epoch ms; null when there is none before the year
 * 10000.
 */
export function nextRun(schedule: ParsedSchedule, after: number): number | null {
  if (!(after < LAST_MOMENT)) return null;
  if (schedule.kind === "interval") {
    const { everyMs } = schedule;
    return (Math.floor(after / everyMs) + 1) * everyMs;
  }
  const offsetAt = zoneOffset(schedule.timezone);
  const match = memoized(schedule.fields);
  let from = Math.floor(after) + 1;
  let change = lastChange(offsetAt, from - DAY_MS, from);
  // Each round covers a stretch of time in which the zone's offset stays the same.
  for (;;) {
    const run = earliest(schedule, match, from, offsetAt(from), change);
    if (run === null || run > LAST_MOMENT) return null;
    const next = firstChange(offsetAt, from, run);
    if (next === null) return run;
    from = next.at;
    change = next;
  }
}

/** The next `count` due times after `after`, in epoch ms. */
export function previewRuns(schedule: ParsedSchedule, after: number, count: number): number[] {
  const runs: number[] = [];
  for (let last = after; runs.length < count;) {
    const run = nextRun(schedule, last);
    if (run === null) break;
    runs.push(run);
    last = run;
  }
  return runs;
}

/**
 * Whether a schedule is due, and when next. Due times missed since then are one run, not many:
 * `next` lies after `now`. Null when it is not due yet.
 */
export function dueRun(params: {
  schedule: ParsedSchedule;
  /** The due time that was computed last; null: never. */
  nextRun: number | null;
  now: number;
}): { due: number; next: number | null } | null {
  const { schedule, nextRun: due, now } = params;
  if (due === null || due > now) return null;
  return { due, next: nextRun(schedule, now) };
}

/** A moment at which the clocks change; offsets are ms east of UTC. */
interface ClockChange {
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

/** Finds the first matching wall-clock time from `wall` on; wall-clock times are ms as if in UTC. */
type Matcher = (wall: number) => number | null;

/**
 * The first due time from `from` on, as if the clocks never changed again after it. `change` is
 * the last change before, or at, `from`.
 */
function earliest(
  { hours }: CronSchedule,
  match: Matcher,
  from: number,
  offset: number,
  change: ClockChange | null,
): number | null {
  let wall = from + offset;
  let skipped: number | null = null;
  if (change && change.after > change.before && hours !== "every") {
    const gapEnd = change.at + change.after;
    if (hours === "some") {
      const time = match(from + change.before);
      if (time !== null && time < gapEnd) skipped = time - change.before;
    } else if (from <= change.at) {
      const time = match(change.at + change.before);
      if (time !== null && time < gapEnd) skipped = change.at;
    }
  }
  // Up to there, the wall clock has shown its times once already.
  if (change && hours === "fixed") wall = Math.max(wall, change.at + change.before);
  const time = match(wall);
  if (time === null) return skipped;
  return skipped === null ? time - offset : Math.min(skipped, time - offset);
}

/** The walk over clock changes asks for the same far match again and again. */
function memoized(fields: CronFieldCollection): Matcher {
  let asked = Number.POSITIVE_INFINITY;
  let answer: number | null = null;
  return (wall) => {
    if (wall < asked || (answer !== null && wall > answer)) {
      asked = wall;
      answer = nextMatch(fields, wall);
    }
    return answer;
  };
}

/** The first wall-clock time from `wall` on that matches; null: none within cron-parser's bounds. */
function nextMatch(fields: CronFieldCollection, wall: number): number | null {
  const currentDate = new Date(wall - 1);
  try {
    return new CronExpression(fields, { currentDate, tz: "UTC" }).next().getTime();
  } catch {
    // Its only error here: more than 10,000 steps.
    return null;
  }
}

type OffsetAt = (moment: number) => number;

/** Changes less than this apart are told as one: no zone has had such. */
const PROBE_MS = 7 * DAY_MS;

function firstChange(offsetAt: OffsetAt, from: number, until: number): ClockChange | null {
  let start = from;
  const before = offsetAt(from);
  while (start < until) {
    const end = Math.min(start + PROBE_MS, until);
    if (offsetAt(end) !== before) return changeBetween(offsetAt, start, end);
    start = end;
  }
  return null;
}

function lastChange(offsetAt: OffsetAt, from: number, until: number): ClockChange | null {
  return offsetAt(from) === offsetAt(until) ? null : changeBetween(offsetAt, from, until);
}

/** The change between two moments whose offsets differ. */
function changeBetween(offsetAt: OffsetAt, from: number, until: number): ClockChange {
  const before = offsetAt(from);
  let low = from;
  let high = until;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle) === before) low = middle;
    else high = middle;
  }
  return { at: high, before, after: offsetAt(high) };
}

const zoneOffsets = new Map<string, OffsetAt>([["UTC", () => 0]]);
/** Zone names come from outside, in any mix of cases. */
const MAX_ZONES_KEPT = 1_000;

function zoneOffset(timezone: string): OffsetAt {
  const known = zoneOffsets.get(timezone);
  if (known) return known;
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: timezone,
    timeZoneName: "longOffset",
    year: "numeric",
  });
  const offsetAt: OffsetAt = (moment) => {
    // "2026, GMT-05:00", and "2026, GMT" for no offset.
    const [, sign, hours = "0", minutes = "0", seconds = "0"] =
      /GMT(?:([+-])(\d+):(\d+)(?::(\d+))?)?$/.exec(format.format(moment)) ?? [];
    const size = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds);
    return (sign === "-" ? -size : size) * SECOND_MS;
  };
  if (zoneOffsets.size >= MAX_ZONES_KEPT) zoneOffsets.clear();
  zoneOffsets.set(timezone, offsetAt);
  return offsetAt;
}

function isTimeZone(name: string): boolean {
  // Intl takes offsets such as +02:00 as well.
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
