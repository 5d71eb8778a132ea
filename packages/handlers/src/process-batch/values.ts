import type { Column } from "./project.ts";

/** One column of one row. An alias, since results take more fields than these. */
export type Extraction = {
  readonly value: string | number | boolean | null;
  /** 0 to 1. */
  readonly confidence?: number;
  /** x1, y1, x2, y2 in pixels. */
  readonly bbox_2d?: [number, number, number, number];
  readonly image_index: number;
  /** What was read but is no value of the column, and why. */
  readonly rejected?: { readonly value: string; readonly reason: string };
};

export type Checked =
  | { readonly value: string | number | boolean | null }
  | { readonly reason: string };

const MOST_CHARACTERS = 100_000;

/** A raw value as the column's type has it, if its pattern and allowed values take it. */
export function checkValue(raw: unknown, column: Column): Checked {
  if (raw === null || raw === undefined) return { value: null };
  if (typeof raw !== "string" && typeof raw !== "number" && typeof raw !== "boolean") {
    return { reason: "is no single value" };
  }
  const text = String(raw).trim().slice(0, MOST_CHARACTERS);
  if (text === "") return { value: null };
  const { allowedValues, pattern } = column;
  if (pattern !== null && !pattern.matcher(text).find()) {
    return { reason: `does not match ${pattern.pattern()}` };
  }
  if (allowedValues.length > 0) {
    const found = allowedValues.find((allowed) => allowed.toLowerCase() === text.toLowerCase());
    if (found === undefined) return { reason: `is none of ${allowedValues.join(", ")}` };
    return typed(found, column);
  }
  return typed(text, column);
}

function typed(text: string, { type }: Column): Checked {
  switch (type) {
    case "text":
      return { value: text };
    case "boolean": {
      if (/^(?:true|yes|y|1|x|sí|si)$/i.test(text)) return { value: true };
      if (/^(?:false|no|n|0)$/i.test(text)) return { value: false };
      return { reason: "is neither true nor false" };
    }
    case "date":
      return dateOf(text);
    case "number":
    case "currency":
    case "integer": {
      const value = numberOf(text);
      if (value === null) return { reason: "is no number" };
      if (type === "integer" && !Number.isSafeInteger(value))
        return { reason: "is no whole number" };
      return { value };
    }
  }
}

/** `1,234.50`, `$1,234.50`, `(12)` and `12 kg` are numbers; `1,5` is not: it may be either. */
function numberOf(text: string): number | null {
  const negative = /^\(.*\)$/.test(text) || /^[^\d]*-/.test(text);
  const [, digits] =
    /^[^\d.]{0,4}((?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?)\s*[^\d.,]{0,12}$/.exec(text) ?? [];
  if (digits === undefined || digits === "") return null;
  const value = Number(digits.replaceAll(",", ""));
  if (!Number.isFinite(value)) return null;
  return negative ? -value : value;
}

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/** As ISO 8601; 03/04/2026 is refused: it is a day in March or in April. */
function dateOf(text: string): Checked {
  const iso = /^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})/.exec(text);
  if (iso !== null) return dayOf(Number(iso[1]), Number(iso[2]), Number(iso[3]));
  const words =
    /^(?:(\d{1,2})\.?\s+([a-z]{3})[a-z]*\.?|([a-z]{3})[a-z]*\.?\s+(\d{1,2})),?\s+(\d{4})$/i.exec(
      text,
    );
  if (words !== null) {
    const month = months.indexOf((words[2] ?? words[3] ?? "").toLowerCase()) + 1;
    return dayOf(Number(words[5]), month, Number(words[1] ?? words[4]));
  }
  const figures = /^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})$/.exec(text);
  if (figures === null) return { reason: "is no date" };
  const [first, second, year] = [Number(figures[1]), Number(figures[2]), Number(figures[3])];
  if (first > 12) return dayOf(year, second, first);
  if (second > 12 || first === second) return dayOf(year, first, second);
  return { reason: "may be one of two dates" };
}

function dayOf(year: number, month: number, day: number): Checked {
  const at = new Date(Date.UTC(year, month - 1, day));
  const real = at.getUTCFullYear() === year && at.getUTCMonth() === month - 1;
  if (!real || at.getUTCDate() !== day) return { reason: "is no date" };
  return { value: at.toISOString().slice(0, 10) };
}
