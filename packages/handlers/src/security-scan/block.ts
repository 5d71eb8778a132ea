import { findPersonalData } from "../personal-data/personal-data.ts";
import { isFormula } from "../data-export/formula.ts";
import { kindOfField } from "./field-names.ts";
import type { Findings, Place } from "./findings.ts";
import type { FindingKind } from "./kinds.ts";
import { findMarkers, isDangerousFormula } from "./markers.ts";
import { findSecrets } from "./secrets.ts";

/** How the fields of a text are found. */
export type Fields =
  | { readonly kind: "none" }
  | { readonly kind: "json" }
  | {
      readonly kind: "columns";
      readonly delimiter: string;
      readonly quote: string;
      readonly names: readonly string[];
    };

/** What is looked for; in binaries personal data would be found by chance. */
export type Depth = "all" | "code-and-secrets";

/** Lines of text, whole ones. */
export interface Block {
  readonly text: string;
  /** Of a line of the block, counted from 0. */
  readonly placeOf: (line: number, offset: number) => Place;
  readonly fields: Fields;
  readonly depth?: Depth;
}

/** Values by field and what its name says it holds. */
export type NamedFields = Map<string, { readonly kind: FindingKind; values: number }>;

const BARE_NUMBER = /^\d+$/;
const LONGEST_FORMULA = 4000;

/** Looks through a block; each finding goes to `findings`. */
export function scanBlock(block: Block, findings: Findings, named: NamedFields): void {
  const { text, fields, depth = "all" } = block;
  const lines = new Lines(text);
  const columns = fields.kind === "columns" ? new Columns(text, fields) : undefined;
  const fieldAt = (offset: number): string | undefined =>
    fields.kind === "json" ? keyBefore(text, offset) : columns?.nameAt(offset);
  const add = (kind: FindingKind, start: number, end: number): void => {
    const field = fieldAt(start);
    const place = block.placeOf(lines.at(start), start);
    findings.add(kind, field === undefined ? place : { ...place, field }, text.slice(start, end));
  };

  if (depth === "all") {
    for (const { kind, start, end } of findPersonalData(text)) {
      if (isDoubtful(kind, text, start, end, fieldAt)) continue;
      add(kind, start, end);
    }
    for (const { start, end } of birthDates(text)) add("DATE_OF_BIRTH", start, end);
  }
  for (const { kind, start, end } of findSecrets(text)) add(kind, start, end);
  for (const { kind, start, end } of findMarkers(text)) add(kind, start, end);
  if (fields.kind === "json") countKeys(text, named);
  columns?.each((start, end, name) => {
    const first = text.charCodeAt(start);
    if (mayBeginFormula(first)) {
      const cell = text.slice(start, Math.min(end, start + LONGEST_FORMULA));
      if (isFormula(cell))
        add(isDangerousFormula(cell) ? "DANGEROUS_FORMULA" : "FORMULA", start, end);
    }
    if (name === undefined || end === start || kindOfField(name) === undefined) return;
    // The header says its own name.
    if (text.slice(start, end) !== name) countField(name, named);
  });
}

/** Findings for the fields that are told by their names alone. */
export function reportNamedFields(named: NamedFields, findings: Findings): void {
  for (const [field, { kind, values }] of named) {
    if (values > 0 && findings.in(kind, field) === 0) findings.addField(kind, { field }, values);
  }
}

/** Ten digits in a row are as often an order's number as a telephone's: then the field's name decides. */
function isDoubtful(
  kind: FindingKind,
  text: string,
  start: number,
  end: number,
  fieldAt: (offset: number) => string | undefined,
): boolean {
  if (kind === "PHONE") {
    if (!BARE_NUMBER.test(text.slice(start, end))) return false;
    const field = fieldAt(start);
    if (field !== undefined && kindOfField(field) === "PHONE") return false;
    return !/(?:phone|tel|mobile|cell|call|fax)[^0-9\n]{0,12}$/i.test(
      text.slice(Math.max(0, start - 24), start),
    );
  }
  if (kind === "IP_ADDRESS") {
    const address = text.slice(start, end);
    // Nobody's: this machine, any, the mask of a network.
    return /^(?:0\.|127\.|255\.)/.test(address) || address === "::" || address === "::1";
  }
  if (kind === "CREDENTIALS") return !text.slice(start, end).includes(":");
  return false;
}

const BIRTH = /dob|born|birth/gi;
const BIRTH_REACH = 40;
const DATE =
  /(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])|(?:0?[1-9]|[12]\d|3[01])[-/. ](?:0?[1-9]|[12]\d|3[01]|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}[-/. ](?:19|20)\d\d|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6} \d{1,2},? (?:19|20)\d\d/i;

/** Dates shortly after a word of birth. */
function* birthDates(text: string): Generator<{ readonly start: number; readonly end: number }> {
  let after = 0;
  for (const match of text.matchAll(BIRTH)) {
    const from = match.index + match[0].length;
    if (from < after) continue;
    const near = text.slice(from, from + BIRTH_REACH).split("\n", 1)[0] ?? "";
    const date = DATE.exec(near);
    if (date === null) continue;
    after = from + date.index + date[0].length;
    yield { start: from + date.index, end: after };
  }
}

function mayBeginFormula(unit: number): boolean {
  // = + - @, blanks before them, and their full-width forms
  return (
    unit === 0x3d ||
    unit === 0x2b ||
    unit === 0x2d ||
    unit === 0x40 ||
    unit <= 0x20 ||
    unit >= 0xfeff
  );
}

function countField(name: string, named: NamedFields): void {
  const known = named.get(name);
  if (known !== undefined) known.values++;
  else {
    const kind = kindOfField(name);
    if (kind !== undefined) named.set(name, { kind, values: 1 });
  }
}

const KEY = /"([A-Za-z][\w .-]{0,40})" ?: ?(?!null|"")/g;

function countKeys(text: string, named: NamedFields): void {
  for (const [, name] of text.matchAll(KEY)) if (name !== undefined) countField(name, named);
}

const KEY_REACH = 300;

/** The JSON key that a value stands behind. */
function keyBefore(text: string, offset: number): string | undefined {
  const near = text.slice(Math.max(0, offset - KEY_REACH), offset);
  const end = near.lastIndexOf('":');
  const start = end < 0 ? -1 : near.lastIndexOf('"', end - 1);
  return start < 0 ? undefined : near.slice(start + 1, end);
}

/** Where lines begin. */
class Lines {
  readonly #starts: number[] = [0];

  constructor(text: string) {
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1))
      this.#starts.push(at + 1);
  }

  /** Counted from 0. */
  at(offset: number): number {
    return lastAtMost(this.#starts, offset);
  }
}

/** The fields of delimited rows. */
class Columns {
  readonly #fields: Fields & { readonly kind: "columns" };
  readonly #starts: number[] = [];
  readonly #columns: number[] = [];
  readonly #ends: number[] = [];

  constructor(text: string, fields: Fields & { readonly kind: "columns" }) {
    this.#fields = fields;
    const { delimiter, quote } = fields;
    const split = delimiter.charCodeAt(0);
    let at = 0;
    let column = 0;
    while (at < text.length) {
      let start = at;
      let end: number;
      if (quote !== "" && text.startsWith(quote, at)) {
        start = at + 1;
        end = closingQuote(text, quote, start);
        at = end + 1;
      } else {
        while (at < text.length) {
          const unit = text.charCodeAt(at);
          if (unit === split || unit === 0x0a) break;
          at++;
        }
        end = text.charCodeAt(at - 1) === 0x0d && at > start ? at - 1 : at;
      }
      this.#starts.push(start);
      this.#ends.push(end);
      this.#columns.push(column);
      // What stands behind a closing quote belongs to nothing.
      while (at < text.length && text.charCodeAt(at) !== split && text.charCodeAt(at) !== 0x0a)
        at++;
      column = text.charCodeAt(at) === split ? column + 1 : 0;
      at++;
    }
  }

  each(visit: (start: number, end: number, name: string | undefined) => void): void {
    for (const [index, start] of this.#starts.entries()) {
      visit(start, this.#ends[index] ?? start, this.#fields.names[this.#columns[index] ?? -1]);
    }
  }

  nameAt(offset: number): string | undefined {
    const index = lastAtMost(this.#starts, offset);
    return this.#fields.names[this.#columns[index] ?? -1];
  }
}

/** A quote that is not closed before long ends with its line. */
const LONGEST_QUOTED = 64 * 1024;

function closingQuote(text: string, quote: string, from: number): number {
  for (let at = text.indexOf(quote, from); at >= 0; at = text.indexOf(quote, at + 2)) {
    if (at - from > LONGEST_QUOTED) break;
    if (text.charAt(at + 1) !== quote) return at;
  }
  const lineEnd = text.indexOf("\n", from);
  return (lineEnd < 0 ? text.length : lineEnd) - 1;
}

/** The index of the last number that is not beyond `value`. */
function lastAtMost(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((sorted[middle] ?? 0) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
