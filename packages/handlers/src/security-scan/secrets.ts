import type { FindingKind } from "./kinds.ts";

export interface Found {
  readonly kind: FindingKind;
  readonly start: number;
  readonly end: number;
}

/** Tokens by what they begin with; then how many characters of which set follow. */
interface TokenShape {
  readonly prefix: string;
  readonly rest: RegExp;
  readonly least: number;
  readonly most: number;
  readonly kind?: FindingKind;
}

const word = /[A-Za-z0-9_]/;
const dashed = /[A-Za-z0-9_-]/;
const upper = /[A-Z0-9]/;
const shapes: readonly TokenShape[] = [
  ...["AKIA", "ASIA"].map((prefix) => ({ prefix, rest: upper, least: 16, most: 16 })),
  ...["ghp_", "gho_", "ghu_", "ghs_", "ghr_"].map((prefix) => ({
    prefix,
    rest: word,
    least: 36,
    most: 255,
  })),
  { prefix: "github_pat_", rest: word, least: 40, most: 255 },
  { prefix: "glpat-", rest: dashed, least: 20, most: 64 },
  ...["xoxb-", "xoxa-", "xoxp-", "xoxr-", "xoxs-"].map((prefix) => ({
    prefix,
    rest: dashed,
    least: 20,
    most: 255,
  })),
  ...["sk_live_", "rk_live_", "sk_test_", "whsec_"].map((prefix) => ({
    prefix,
    rest: word,
    least: 20,
    most: 255,
  })),
  { prefix: "AIza", rest: dashed, least: 35, most: 35 },
  { prefix: "sk-", rest: dashed, least: 32, most: 255 },
  { prefix: "npm_", rest: word, least: 36, most: 36 },
  { prefix: "pypi-", rest: dashed, least: 50, most: 255 },
  { prefix: "SG.", rest: /[A-Za-z0-9_.-]/, least: 60, most: 70 },
  { prefix: "dop_v1_", rest: word, least: 64, most: 64 },
  { prefix: "hf_", rest: word, least: 34, most: 40 },
];

/** Words that a secret is assigned to, lower case. */
const labels: readonly (readonly [string, FindingKind])[] = [
  ["password", "PASSWORD"],
  ["passwd", "PASSWORD"],
  ["passphrase", "PASSWORD"],
  ["pwd", "PASSWORD"],
  ["api_key", "API_KEY"],
  ["apikey", "API_KEY"],
  ["api-key", "API_KEY"],
  ["secret_key", "API_KEY"],
  ["secret_access_key", "API_KEY"],
  ["client_secret", "API_KEY"],
  ["access_token", "API_KEY"],
  ["auth_token", "API_KEY"],
  ["accountkey", "API_KEY"],
  ["private_key", "API_KEY"],
  ["secret", "API_KEY"],
  ["token", "API_KEY"],
];
const kindOfLabel = new Map(labels);

/** Only literals, so that it is one pass: where a secret may be. Longer literals before those they begin with. */
const anchors = new RegExp(
  [
    ...shapes.map(({ prefix }) => prefix.replaceAll(/[.-]/g, String.raw`\$&`)),
    "-----BEGIN ",
    "eyJ",
    ...labels.map(
      ([label]) =>
        `(?:${label
          .split("")
          .map((c) => (/[a-z]/.test(c) ? `[${c}${c.toUpperCase()}]` : c))
          .join("")})`,
    ),
  ].join("|"),
  "g",
);

/** Keys, tokens, passwords and private keys in a text. Every character is looked at a bounded number of times. */
export function findSecrets(text: string): Found[] {
  const found: Found[] = [];
  let after = 0;
  for (const match of text.matchAll(anchors)) {
    const start = match.index;
    if (start < after) continue;
    const secret = secretAt(text, start, match[0]);
    if (secret === undefined) continue;
    found.push(secret);
    after = secret.end;
  }
  return found;
}

function secretAt(text: string, start: number, anchor: string): Found | undefined {
  if (anchor === "-----BEGIN ") return privateKeyAt(text, start);
  if (anchor === "eyJ") return jwtAt(text, start);
  const label = kindOfLabel.get(anchor.toLowerCase());
  if (label !== undefined) return assignedTo(text, start + anchor.length, label);
  if (isWord(text.charCodeAt(start - 1))) return undefined;
  for (const { prefix, rest, least, most, kind = "API_KEY" } of shapes) {
    if (prefix !== anchor) continue;
    const from = start + prefix.length;
    const end = runEnd(text, from, rest, most + 1);
    const length = end - from;
    if (length < least || length > most) return undefined;
    return isRandom(text.slice(from, end)) ? { kind, start, end } : undefined;
  }
  return undefined;
}

const PRIVATE = "PRIVATE KEY-----";
const LONGEST_KEY_NAME = 40;

function privateKeyAt(text: string, start: number): Found | undefined {
  const at = text.slice(start, start + 11 + LONGEST_KEY_NAME).indexOf(PRIVATE);
  return at < 0 ? undefined : { kind: "PRIVATE_KEY", start, end: start + at + PRIVATE.length };
}

/** Three parts of base64url, the first two of JSON objects. */
function jwtAt(text: string, start: number): Found | undefined {
  if (isWord(text.charCodeAt(start - 1))) return undefined;
  const header = runEnd(text, start, dashed, 2000);
  if (text.charAt(header) !== "." || !text.startsWith("eyJ", header + 1)) return undefined;
  const body = runEnd(text, header + 1, dashed, 8000);
  if (text.charAt(body) !== ".") return undefined;
  const end = runEnd(text, body + 1, dashed, 2000);
  return header - start >= 15 && end - body > 20 ? { kind: "JWT", start, end } : undefined;
}

const GAP = 4;
const LONGEST_SECRET = 200;
const PLACEHOLDER =
  /^(?:x+|\*+|\.+|changeme|change_me|example|placeholder|your|todo|none|null|true|false|undefined|test|dummy|redacted|masked|hidden|required|string|value|process|env|os|self|this|config|\$|<|\{|%)/i;

/** `password = "…"`, `"api_key": "…"`, `SECRET=…`: what is assigned, if it can be a secret. */
function assignedTo(text: string, from: number, kind: FindingKind): Found | undefined {
  let at = from;
  // The end of a longer name: AUTH_TOKEN_VALUE=
  at = runEnd(text, at, word, 20);
  if (text.charAt(at) === '"' || text.charAt(at) === "'") at++;
  const gapEnd = at + GAP;
  while (at < gapEnd && text.charAt(at) === " ") at++;
  const sign = text.charAt(at);
  if (sign !== "=" && sign !== ":") return undefined;
  at++;
  if (text.charAt(at) === "=" || text.charAt(at) === ">") return undefined;
  while (at < gapEnd + GAP && text.charAt(at) === " ") at++;
  const quote = text.charAt(at);
  const quoted = quote === '"' || quote === "'" || quote === "`";
  if (quoted) at++;
  const start = at;
  while (at - start < LONGEST_SECRET) {
    const unit = text.charCodeAt(at);
    if (Number.isNaN(unit) || unit <= 0x20) break;
    const character = text.charAt(at);
    if (quoted ? character === quote : /["',;&<>)]/.test(character)) break;
    at++;
  }
  const value = text.slice(start, at);
  const least = kind === "PASSWORD" ? 6 : 12;
  if (value.length < least || PLACEHOLDER.test(value)) return undefined;
  if (kind === "PASSWORD" ? isWordOnly(value) && !quoted : !isRandom(value)) return undefined;
  return { kind, start, end: at };
}

/** "password: required" says nothing secret. */
function isWordOnly(value: string): boolean {
  return /^[a-z]+$/i.test(value);
}

/** Characters of chance rather than a word: mixed kinds of them and enough different ones. */
function isRandom(value: string): boolean {
  const kinds = [/[a-z]/, /[A-Z]/, /\d/].filter((kind) => kind.test(value)).length;
  return kinds >= 2 && entropy(value) >= 3;
}

/** Bits per character. */
function entropy(value: string): number {
  const counts = new Map<string, number>();
  for (const character of value) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values())
    bits -= (count / value.length) * Math.log2(count / value.length);
  return bits;
}

function runEnd(text: string, from: number, set: RegExp, most: number): number {
  let at = from;
  while (at < text.length && at - from < most && set.test(text.charAt(at))) at++;
  return at;
}

function isWord(unit: number): boolean {
  return (
    (unit >= 0x30 && unit <= 0x39) ||
    unit === 0x5f ||
    ((unit | 0x20) >= 0x61 && (unit | 0x20) <= 0x7a)
  );
}
