import { isIPv6 } from "node:net";
import { countrySpecs } from "ibantools";

export type PersonalDataKind =
  | "CREDENTIALS"
  | "EMAIL"
  | "IBAN"
  | "IP_ADDRESS"
  | "CREDIT_CARD"
  | "SSN"
  | "PHONE";

/** A piece of personal data in a text; offsets in UTF-16 units, `end` exclusive. */
export interface PersonalData {
  readonly kind: PersonalDataKind;
  readonly start: number;
  readonly end: number;
}

/**
 * The personal data in a text, in order and without overlaps:
 * - `EMAIL`: addresses whose domain ends in a name of letters;
 * - `CREDENTIALS`: user and password in a URL, up to its `@`;
 * - `IBAN`: with the length of its country and a right checksum (ISO 13616, mod 97), grouped or not;
 * - `IP_ADDRESS`: four numbers to 255, IPv6;
 * - `CREDIT_CARD`: 13 to 19 digits with an issuer's prefix and a right checksum (Luhn), grouped or not;
 * - `SSN`: US social security numbers as 3-2-4 digits in ranges that are given out, or 9 digits called one;
 * - `PHONE`: with `+` and 8 to 15 digits (E.164), North American 3-3-4, national with a leading 0, or digits
 *   that a word such as "call" or "phone" stands before. Rather a number too many than one left in.
 *
 * Hand-written scanners: every character is looked at a bounded number of times, and a text without `@`,
 * colons and digits costs one pass.
 */
export function findPersonalData(text: string): PersonalData[] {
  const { ats, colons, digits } = countMarks(text);
  const found: PersonalData[] = [];
  if (ats > 0 && colons > 0) findCredentials(text, found);
  if (ats > 0) findEmails(text, found);
  if (digits >= FEWEST_IBAN_DIGITS) findIbans(text, found);
  if (colons > 1) findIpv6(text, found);
  if (digits >= FEWEST_NUMBER_DIGITS) findNumbers(text, found);
  return found.length > 1 ? merged(found) : found;
}

/**
 * The text with its personal data replaced by what kind it is: "Call [PHONE]".
 *
 * @param found - what `findPersonalData` found in this very text
 */
export function maskPersonalData(text: string, found = findPersonalData(text)): string {
  let masked = "";
  let from = 0;
  for (const { kind, start, end } of found) {
    masked += `${text.slice(from, start)}[${kind}]`;
    from = end;
  }
  return from === 0 ? text : masked + text.slice(from);
}

/** An IPv4 address has at least four digits; an IBAN its two check digits. */
const FEWEST_NUMBER_DIGITS = 4;
const FEWEST_IBAN_DIGITS = 2;

function countMarks(text: string): { ats: number; colons: number; digits: number } {
  let ats = 0;
  let colons = 0;
  let digits = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (isDigit(unit)) digits++;
    else if (unit === AT) ats++;
    else if (unit === COLON) colons++;
  }
  return { ats, colons, digits };
}

/** In order; of two that overlap, one that reaches over both, named as the one that was looked for first. */
function merged(found: readonly PersonalData[]): PersonalData[] {
  const kept: PersonalData[] = [];
  const rank = new Map(found.map((data, index) => [data, index]));
  for (const data of found.toSorted((one, other) => one.start - other.start)) {
    const last = kept.at(-1);
    if (last === undefined || data.start >= last.end) {
      kept.push(data);
      continue;
    }
    const first = (rank.get(data) ?? 0) < (rank.get(last) ?? 0) ? data : last;
    const both = { kind: first.kind, start: last.start, end: Math.max(last.end, data.end) };
    rank.set(both, rank.get(first) ?? 0);
    kept[kept.length - 1] = both;
  }
  return kept;
}

// --- Characters

const SPACE = 0x20;
const OPEN = 0x28;
const PLUS = 0x2b;
const HYPHEN = 0x2d;
const DOT = 0x2e;
const COLON = 0x3a;
const AT = 0x40;
const NO_BREAK_SPACE = 0xa0;
const NARROW_NO_BREAK_SPACE = 0x202f;

function isDigit(unit: number): boolean {
  return unit >= 0x30 && unit <= 0x39;
}

/** Of any script, as far as names in addresses are concerned. */
function isLetter(unit: number): boolean {
  const lower = unit | SPACE;
  return (lower >= 0x61 && lower <= 0x7a) || (unit >= 0xc0 && unit < 0x2000);
}

function isWordUnit(unit: number): boolean {
  return isLetter(unit) || isDigit(unit) || unit === 0x5f;
}

// --- Addresses

/** What `scheme://` is followed by up to its last `@`, within the authority. */
function findCredentials(text: string, found: PersonalData[]): void {
  for (let scheme = text.indexOf("://"); scheme >= 0; scheme = text.indexOf("://", scheme + 1)) {
    const start = scheme + 3;
    let end = -1;
    for (let at = start; at < text.length && !endsAuthority(text.charCodeAt(at)); at++) {
      if (text.charCodeAt(at) === AT) end = at;
    }
    if (end > start) found.push({ kind: "CREDENTIALS", start, end });
  }
}

function endsAuthority(unit: number): boolean {
  return (
    unit <= SPACE || unit === NO_BREAK_SPACE || "/?#\\<>\"'".includes(String.fromCharCode(unit))
  );
}

/** RFC 5322's atext, letters of any script, and points. */
function isLocalPart(unit: number): boolean {
  return isWordUnit(unit) || "!#$%&'*+-./=?^`{|}~".includes(String.fromCharCode(unit));
}

function isDomain(unit: number): boolean {
  return isLetter(unit) || isDigit(unit) || unit === HYPHEN || unit === DOT;
}

function findEmails(text: string, found: PersonalData[]): void {
  const credentialEnds = new Set(found.map(({ end }) => end));
  let from = 0;
  for (let sign = text.indexOf("@"); sign >= 0; sign = text.indexOf("@", sign + 1)) {
    if (credentialEnds.has(sign)) {
      from = sign + 1;
      continue;
    }
    let start = sign;
    while (start > from && isLocalPart(text.charCodeAt(start - 1))) start--;
    start = localPartStart(text, start, sign);
    let last = sign + 1;
    while (last < text.length && isDomain(text.charCodeAt(last))) last++;
    const end = domainEnd(text, sign + 1, last);
    from = sign + 1;
    if (start === sign || end === undefined) continue;
    found.push({ kind: "EMAIL", start, end });
    from = end;
  }
}

/**
 * Where the address starts in what could be one: signs before the first letter or digit belong to the
 * sentence ("(!bob@..."), and an address rarely has what parts a URL's query (`?to=bob@...`) in it.
 * If that leaves nothing, all of it is the address.
 */
function localPartStart(text: string, start: number, end: number): number {
  let first = end;
  for (let at = end - 1; at >= start && !"/?=".includes(text.charAt(at)); at--) {
    if (isWordUnit(text.charCodeAt(at))) first = at;
  }
  return first < end ? first : start;
}

/** Where the longest domain ends that has a dot and closes with two letters or more; undefined if none has. */
function domainEnd(text: string, start: number, last: number): number | undefined {
  let end: number | undefined;
  let labelStart = start;
  for (let at = start; at <= last; at++) {
    if (at < last && text.charCodeAt(at) !== DOT) continue;
    if (at === labelStart) break;
    if (labelStart > start) {
      const letters = lettersFrom(text, labelStart, at);
      if (letters >= 2) end = labelStart + letters;
    }
    labelStart = at + 1;
  }
  return end;
}

/** The length of a top-level name: letters, or all of a punycoded one. */
function lettersFrom(text: string, start: number, end: number): number {
  if (text.slice(start, start + 4).toLowerCase() === "xn--") return end - start;
  let at = start;
  while (at < end && isLetter(text.charCodeAt(at))) at++;
  return at - start;
}

function findIpv6(text: string, found: PersonalData[]): void {
  const LONGEST = 45;
  let start = -1;
  let colons = 0;
  for (let at = 0; at <= text.length; at++) {
    const unit = at < text.length ? text.charCodeAt(at) : 0;
    if (isHexDigit(unit) || unit === COLON || unit === DOT) {
      if (start < 0) {
        start = at;
        colons = 0;
      }
      if (unit === COLON) colons++;
      continue;
    }
    if (start >= 0 && colons > 1 && !isWordUnit(unit) && !isWordUnit(text.charCodeAt(start - 1))) {
      let end = at;
      while (end > start && isEnding(text, end)) end--;
      const candidate = end - start <= LONGEST ? text.slice(start, end) : "";
      if (isIPv6(candidate) && hasDigit(candidate)) {
        found.push({ kind: "IP_ADDRESS", start, end });
      }
    }
    start = -1;
  }
}

/** A point, or a colon that is not half of "::", before `end` belongs to the sentence. */
function isEnding(text: string, end: number): boolean {
  const unit = text.charCodeAt(end - 1);
  return unit === DOT || (unit === COLON && text.charCodeAt(end - 2) !== COLON);
}

function isHexDigit(unit: number): boolean {
  const lower = unit | SPACE;
  return isDigit(unit) || (lower >= 0x61 && lower <= 0x66);
}

function hasDigit(candidate: string): boolean {
  for (let at = 0; at < candidate.length; at++) if (isDigit(candidate.charCodeAt(at))) return true;
  return false;
}

// --- Bank accounts

/** Lengths by country code, from the SWIFT registry as ibantools keeps it. */
const ibanLengths: ReadonlyMap<string, number> = new Map(
  Object.entries(countrySpecs).flatMap(([country, { chars }]) =>
    typeof chars === "number" ? [[country, chars] as const] : [],
  ),
);

function findIbans(text: string, found: PersonalData[]): void {
  for (let at = 2; at < text.length - 1; at++) {
    if (!isDigit(text.charCodeAt(at)) || !isDigit(text.charCodeAt(at + 1))) continue;
    const start = at - 2;
    if (!isLetter(text.charCodeAt(start))) continue;
    const length = ibanLengths.get(text.slice(start, at).toUpperCase());
    if (length === undefined || isWordUnit(text.charCodeAt(start - 1))) continue;
    const end = ibanEnd(text, start, length);
    if (end === undefined) continue;
    found.push({ kind: "IBAN", start, end });
    at = end + 1;
  }
}

/** Where the IBAN of that many characters ends, single spaces and hyphens between them left out of account. */
function ibanEnd(text: string, start: number, length: number): number | undefined {
  let remainder = 0;
  let head = "";
  let count = 0;
  for (let at = start; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (isDigit(unit) || (unit < 0x80 && isLetter(unit))) {
      // The country and its check digits come last in the number that is divided.
      if (count < 4) head += text.charAt(at);
      else remainder = mod97(remainder, unit);
      count++;
      if (count < length) continue;
      for (let index = 0; index < head.length; index++) {
        remainder = mod97(remainder, head.charCodeAt(index));
      }
      return remainder === 1 && !isWordUnit(text.charCodeAt(at + 1)) ? at + 1 : undefined;
    }
    const separates = unit === SPACE || unit === HYPHEN || unit === NO_BREAK_SPACE;
    if (!separates || !isWordUnit(text.charCodeAt(at + 1))) return undefined;
  }
  return undefined;
}

/** Letters count as 10 to 35, two decimal places. */
function mod97(remainder: number, unit: number): number {
  return isDigit(unit)
    ? (remainder * 10 + unit - 0x30) % 97
    : (remainder * 100 + (unit | SPACE) - 0x61 + 10) % 97;
}

// --- Numbers

/** Digits without anything between them. */
interface Group {
  readonly start: number;
  readonly end: number;
  /** What stands between the group before and this one; undefined if that is no part of the same number. */
  readonly gap: string | undefined;
}

/** How many groups the number takes that starts at `groups[first]`; undefined if none does. */
type Matcher = (text: string, groups: readonly Group[], first: number) => number | undefined;

/** What is surest first: no part of a card's number is taken for a telephone's. */
const matchers: readonly (readonly [PersonalDataKind, Matcher])[] = [
  ["IP_ADDRESS", matchIpv4],
  ["CREDIT_CARD", matchCard],
  ["SSN", matchSsn],
  ["PHONE", matchPhone],
];

/** Of a number in one piece: a telephone's, where a word says that it is one. */
const FEWEST_LONE_DIGITS = 7;
/** E.164's limit. */
const MOST_PHONE_DIGITS = 15;
const LONGEST_GAP = 3;

function findNumbers(text: string, found: PersonalData[]): void {
  let groups = digitGroups(text);
  for (const [kind, matcher] of matchers) {
    const rest: Group[] = [];
    let matched = false;
    for (let first = 0; first < groups.length; first++) {
      const count = matcher(text, groups, first);
      const begin = groups[first];
      const end = groups[first + (count ?? 1) - 1];
      if (begin === undefined || end === undefined) break;
      if (count === undefined) {
        rest.push(matched ? { ...begin, gap: undefined } : begin);
      } else {
        const start = kind === "PHONE" ? phoneStart(text, begin.start) : begin.start;
        found.push({ kind, start, end: end.end });
        first += count - 1;
      }
      matched = count !== undefined;
    }
    groups = rest;
  }
}

function digitGroups(text: string): Group[] {
  const groups: Group[] = [];
  for (let at = 0; at < text.length; at++) {
    if (!isDigit(text.charCodeAt(at))) continue;
    const start = at;
    while (isDigit(text.charCodeAt(at + 1))) at++;
    const last = groups.at(-1);
    const gap = gapBetween(text, last, start);
    if (gap === undefined && last !== undefined && isTooShort(last)) groups.pop();
    groups.push({ start, end: at + 1, gap });
  }
  return groups;
}

/** Whether a group that nothing follows can be no number of any kind; most of a table's are such. */
function isTooShort({ start, end, gap }: Group): boolean {
  return gap === undefined && end - start < FEWEST_LONE_DIGITS;
}

function gapBetween(text: string, before: Group | undefined, start: number): string | undefined {
  if (before === undefined || start - before.end > LONGEST_GAP) return undefined;
  let gap = "";
  for (let at = before.end; at < start; at++) {
    const unit = text.charCodeAt(at);
    if (unit === NO_BREAK_SPACE || unit === NARROW_NO_BREAK_SPACE) gap += " ";
    else if (unit === 0x2011 || unit === 0x2013) gap += "-";
    else if (" -.()".includes(text.charAt(at))) gap += text.charAt(at);
    else return undefined;
  }
  return gap;
}

function lengthOf(group: Group | undefined): number {
  return group === undefined ? 0 : group.end - group.start;
}

/** Whether the group carries on the number before it: 555-0100-99. */
function isJoined(group: Group | undefined): boolean {
  return group?.gap === "-" || group?.gap === ".";
}

function matchIpv4(text: string, groups: readonly Group[], first: number): number | undefined {
  const begin = groups[first];
  if (begin === undefined || begin.gap === "." || isWordUnit(text.charCodeAt(begin.start - 1)))
    return undefined;
  for (let index = first; index < first + 4; index++) {
    const group = groups[index];
    if (group === undefined || (index > first && group.gap !== ".")) return undefined;
    if (lengthOf(group) > 3 || Number(text.slice(group.start, group.end)) > 255) return undefined;
  }
  if (groups[first + 4]?.gap === ".") return undefined;
  return labelBefore(text, begin.start, VERSION_LABELS) ? undefined : 4;
}

const FEWEST_CARD_DIGITS = 13;
const MOST_CARD_DIGITS = 19;

/** Cards are written in one piece or in groups of three digits and more, all parted alike. */
function matchCard(text: string, groups: readonly Group[], first: number): number | undefined {
  // The decimals of a number.
  if (groups[first]?.gap === ".") return undefined;
  let digits = "";
  let count: number | undefined;
  const separator = groups[first + 1]?.gap;
  for (let index = first; index < groups.length; index++) {
    const group = groups[index];
    if (group === undefined) break;
    if (index > first && (group.gap !== separator || group.gap?.length !== 1)) break;
    if (lengthOf(group) < 3 || digits.length + lengthOf(group) > MOST_CARD_DIGITS) break;
    digits += text.slice(group.start, group.end);
    if (digits.length >= FEWEST_CARD_DIGITS && hasIssuer(digits) && passesLuhn(digits)) {
      count = index - first + 1;
    }
  }
  return count;
}

/** The number ranges of the card networks, with the lengths that each issues. */
function hasIssuer(digits: string): boolean {
  const length = digits.length;
  const two = Number(digits.slice(0, 2));
  const four = Number(digits.slice(0, 4));
  if (digits.startsWith("4")) return length === 13 || length === 16 || length === 19; // Visa
  if (two === 34 || two === 37) return length === 15; // American Express
  if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720)) return length === 16; // Mastercard
  if (two === 30 || two === 36 || two === 38 || two === 39) return length >= 14; // Diners Club
  if (four >= 3528 && four <= 3589) return length >= 16; // JCB
  return two === 50 || (two >= 56 && two <= 69) || two === 81; // Maestro, Discover, UnionPay, RuPay
}

function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let index = 0; index < digits.length; index++) {
    const digit = digits.charCodeAt(digits.length - 1 - index) - 0x30;
    const doubled = index % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}

function matchSsn(text: string, groups: readonly Group[], first: number): number | undefined {
  const [one, two, three, after] = groups.slice(first, first + 4);
  if (one === undefined) return undefined;
  if (lengthOf(one) === 9) {
    const called = labelBefore(text, one.start, SSN_LABELS);
    const digits = text.slice(one.start, one.end);
    return called && isIssuedSsn(digits) ? 1 : undefined;
  }
  if (two === undefined || three === undefined) return undefined;
  if (lengthOf(one) !== 3 || lengthOf(two) !== 2 || lengthOf(three) !== 4) return undefined;
  if (two.gap !== three.gap || (two.gap !== "-" && two.gap !== " ")) return undefined;
  if (isJoined(one) || isJoined(after)) return undefined;
  const digits = [one, two, three].map(({ start, end }) => text.slice(start, end)).join("");
  return isIssuedSsn(digits) ? 3 : undefined;
}

/** Area 000, 666 and from 900, group 00 and serial 0000 are never given out. */
function isIssuedSsn(digits: string): boolean {
  const area = digits.slice(0, 3);
  return (
    area !== "000" &&
    area !== "666" &&
    area < "900" &&
    digits.slice(3, 5) !== "00" &&
    digits.slice(5) !== "0000"
  );
}

function matchPhone(text: string, groups: readonly Group[], first: number): number | undefined {
  const begin = groups[first];
  if (begin === undefined || isJoined(begin)) return undefined;
  const before = text.charCodeAt(begin.start - 1);
  if (isWordUnit(before)) return undefined;
  if (before === PLUS) return internationalPhone(text, groups, first);
  return (
    northAmericanPhone(text, groups, first) ??
    nationalPhone(text, groups, first) ??
    calledPhone(text, groups, first)
  );
}

function phoneStart(text: string, start: number): number {
  let at = start;
  if (text.charCodeAt(at - 1) === OPEN) at--;
  if (text.charCodeAt(at - 1) === PLUS) at--;
  return at;
}

/** The most groups from `first` on that have `fewest` to `most` digits in all; undefined if none have. */
function groupsWithDigits(
  groups: readonly Group[],
  first: number,
  fewest: number,
  most: number,
): number | undefined {
  let digits = 0;
  let count: number | undefined;
  for (let index = first; index < groups.length; index++) {
    const group = groups[index];
    if (group === undefined || (index > first && group.gap === undefined)) break;
    digits += lengthOf(group);
    if (digits > most) break;
    if (digits >= fewest) count = index - first + 1;
  }
  return count;
}

/** +44 20 7946 0958; with North America's 1, ten digits follow. */
function internationalPhone(
  text: string,
  groups: readonly Group[],
  first: number,
): number | undefined {
  const northAmerican = text.charAt(groups[first]?.start ?? 0) === "1";
  return groupsWithDigits(groups, first, 8, northAmerican ? 11 : MOST_PHONE_DIGITS);
}

/** (555) 123-4567, 1-555-123-4567, 555.123.4567, 5551234567, and the local 555-1234 where it cannot be else. */
function northAmericanPhone(
  text: string,
  groups: readonly Group[],
  first: number,
): number | undefined {
  const begin = groups[first];
  if (begin === undefined) return undefined;
  const country = lengthOf(begin) === 1 && text.charAt(begin.start) === "1" ? 1 : 0;
  const next = groups.slice(first, first + country + 4);
  // Groups after the first that belong to other numbers.
  const apart = next.findIndex((group, index) => index > 0 && group.gap === undefined);
  const [area, exchange, line, after] = (apart < 0 ? next : next.slice(0, apart)).slice(country);
  if (area === undefined) return undefined;
  const digits = text.slice(area.start, Math.min(area.end, area.start + 12));

  if (digits.length === 3 && digits >= "200") {
    if (lengthOf(exchange) === 3 && lengthOf(line) === 4) {
      return isJoined(after) ? undefined : country + 3;
    }
    if (lengthOf(exchange) === 7) return isJoined(line) ? undefined : country + 2;
    if (digits === "555" && lengthOf(exchange) === 4 && country === 0 && exchange?.gap === "-") {
      return isJoined(line) ? undefined : 2;
    }
    return undefined;
  }
  const national = digits.length === 11 && digits.startsWith("1") ? digits.slice(1) : digits;
  if (national.length !== 10 || national < "2") return undefined;
  if (isJoined(exchange) || labelBefore(text, area.start, REFERENCE_LABELS)) return undefined;
  return country + 1;
}

/** With a leading 0, as dialled in most of the world (020 7946 0958), or 00 before the country's code. */
function nationalPhone(text: string, groups: readonly Group[], first: number): number | undefined {
  const begin = groups[first];
  if (begin === undefined || text.charAt(begin.start) !== "0") return undefined;
  // 0.123 is a fraction.
  if (lengthOf(begin) === 1 && groups[first + 1]?.gap === ".") return undefined;
  if (isDate(groups, first)) return undefined;
  if (labelBefore(text, begin.start, REFERENCE_LABELS)) return undefined;
  const abroad = text.startsWith("00", begin.start);
  // Neither area nor country codes begin with 0.
  if (text.charAt(begin.start + (abroad ? 2 : 1)) === "0") return undefined;
  const count = abroad
    ? groupsWithDigits(groups, first, 11, MOST_PHONE_DIGITS + "00".length)
    : groupsWithDigits(groups, first, 9, 11);
  if (count === undefined || (count === 1 && lengthOf(begin) < 10)) return undefined;
  return isJoined(groups[first + count]) ? undefined : count;
}

/** 01.02.2024, 01-02-2024 */
function isDate(groups: readonly Group[], first: number): boolean {
  const [day, month, year] = groups.slice(first, first + 3);
  return (
    lengthOf(day) <= 2 && lengthOf(month) <= 2 && lengthOf(year) === 4 && month?.gap === year?.gap
  );
}

/** Any 7 digits and more that are said to be a telephone number. */
function calledPhone(text: string, groups: readonly Group[], first: number): number | undefined {
  const begin = groups[first];
  if (begin === undefined || !labelBefore(text, begin.start, PHONE_LABELS)) return undefined;
  return isDate(groups, first) ? undefined : groupsWithDigits(groups, first, 7, MOST_PHONE_DIGITS);
}

const SSN_LABELS: ReadonlySet<string> = new Set(["ssn", "security"]);
const PHONE_LABELS: ReadonlySet<string> = new Set(
  (
    "phone telephone tel mobile cell cellphone fax whatsapp sms call called calling dial ring text reach " +
    "contact"
  ).split(" "),
);
const REFERENCE_LABELS: ReadonlySet<string> = new Set(
  (
    "order orders ref reference tracking invoice sku serial model item case ticket id account booking " +
    "confirmation part isbn upc ean batch lot version"
  ).split(" "),
);
const VERSION_LABELS: ReadonlySet<string> = new Set(
  "version firmware software release build driver".split(" "),
);
/** How far before a number the word stands that says what it is, in characters. */
const LABEL_REACH = 24;

/** Whether one of the words stands shortly before `end`, in the same sentence. */
function labelBefore(text: string, end: number, labels: ReadonlySet<string>): boolean {
  const from = Math.max(0, end - LABEL_REACH);
  let wordEnd = end;
  for (let at = end; at >= from; at--) {
    const unit = text.charCodeAt(at - 1);
    if (at > from && isLetter(unit)) continue;
    if (wordEnd > at && labels.has(text.slice(at, wordEnd).toLowerCase())) return true;
    if (isDigit(unit) || unit === 0x21 || unit === 0x3f || unit === 0x3b) return false;
    wordEnd = at - 1;
  }
  return false;
}
