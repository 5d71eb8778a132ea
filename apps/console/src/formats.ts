const units = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1000],
] as const;

const FULL: Intl.DateTimeFormatOptions = {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
};

/** Numbers and times as the viewer's country writes them, hours from 0 to 23. */
export class Formats {
  readonly #number: Intl.NumberFormat;
  readonly #compact: Intl.NumberFormat;
  readonly #fraction: Intl.NumberFormat;
  readonly #percent: Intl.NumberFormat;
  readonly #moment: Intl.DateTimeFormat;
  readonly #clock: Intl.DateTimeFormat;
  readonly #time: Intl.DateTimeFormat;
  readonly #day: Intl.DateTimeFormat;
  readonly #relative: Intl.RelativeTimeFormat;
  readonly #locale: string;

  /** @param locale `en-GB` */
  constructor(locale: string) {
    this.#locale = locale;
    this.#number = new Intl.NumberFormat(locale);
    this.#compact = new Intl.NumberFormat(locale, {
      notation: "compact",
      maximumFractionDigits: 1,
    });
    this.#fraction = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
    this.#percent = new Intl.NumberFormat(locale, {
      style: "percent",
      maximumFractionDigits: 1,
    });
    this.#moment = new Intl.DateTimeFormat(locale, FULL);
    this.#clock = new Intl.DateTimeFormat(locale, { timeStyle: "short", hourCycle: "h23" });
    this.#time = new Intl.DateTimeFormat(locale, { timeStyle: "medium", hourCycle: "h23" });
    this.#day = new Intl.DateTimeFormat(locale, { weekday: "short", day: "numeric" });
    this.#relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
  }

  number(value: number): string {
    return this.#number.format(value);
  }

  /** Short where it is large: 1.2M. */
  short(value: number): string {
    return Math.abs(value) < 10_000 ? this.number(Math.round(value)) : this.#compact.format(value);
  }

  /** With one decimal where it is small. */
  rate(value: number): string {
    return Math.abs(value) < 100 ? this.#fraction.format(value) : this.short(value);
  }

  /** @param share of 1 */
  percent(share: number): string {
    return this.#percent.format(share);
  }

  moment(iso: string | number): string {
    return this.#moment.format(new Date(iso));
  }

  /** In a time zone other than the viewer's. */
  momentIn(iso: string, timeZone: string): string {
    return new Intl.DateTimeFormat(this.#locale, {
      ...FULL,
      timeZone,
      timeZoneName: "short",
    }).format(new Date(iso));
  }

  time(iso: string): string {
    return this.#time.format(new Date(iso));
  }

  clock(epochMs: number): string {
    return this.#clock.format(epochMs);
  }

  day(epochMs: number): string {
    return this.#day.format(epochMs);
  }

  /** "3 min. ago" */
  ago(iso: string, now = Date.now()): string {
    const ms = new Date(iso).getTime() - now;
    for (const [unit, size] of units) {
      if (Math.abs(ms) >= size || unit === "second") {
        return this.#relative.format(Math.round(ms / size), unit);
      }
    }
    return "";
  }

  duration(ms: number | null): string {
    if (ms === null) return "–";
    if (ms < 1000) return `${Math.round(ms)} ms`;
    if (ms < 60_000) return `${this.#fraction.format(ms / 1000)} s`;
    const minutes = Math.floor(ms / 60_000);
    if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s`;
    const hours = Math.floor(minutes / 60);
    return hours < 48
      ? `${hours} h ${minutes % 60} min`
      : `${this.number(Math.floor(hours / 24))} d`;
  }

  bytes(count: number): string {
    const names = ["B", "kB", "MB", "GB"];
    let n = 0;
    for (; count >= 1000 && n < names.length - 1; n++) count /= 1000;
    return `${n === 0 ? count : this.#fraction.format(count)} ${names[n]}`;
  }
}
