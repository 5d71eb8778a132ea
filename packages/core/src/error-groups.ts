import { createHash } from "node:crypto";

/** Of a message, characters looked at: what tells errors apart stands in front. */
const LOOKED_AT = 1000;
const SHOWN = 300;

/** In this order; each leaves what an earlier one put in alone. */
const replacements: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/gi, "<id>"],
  // A quotation mark within a word is an apostrophe.
  [/(?<![\p{L}\p{N}])(["'`])(?:(?!\1).)*\1(?![\p{L}\p{N}])/gu, "<text>"],
  [/“[^”]*”|«[^»]*»|„[^“”]*[“”]/gu, "<text>"],
  [/\b0x[0-9a-f]+\b/gi, "<hex>"],
  // Words of eight or more letters and digits, some of each.
  [/\b(?=[a-z]*[0-9])(?=[0-9]*[a-z])[0-9a-z]{8,}\b/gi, "<id>"],
  [/\d+(?:[.,:]\d+)*/g, "<n>"],
  [/\s+/g, " "],
];

/** What messages of like errors have in common: numbers, ids, hexadecimal and quoted text are replaced by their kind. */
export function commonMessage(message: string): string {
  let common = message.slice(0, LOOKED_AT);
  for (const [pattern, kind] of replacements) common = common.replace(pattern, kind);
  return common.trim().slice(0, SHOWN).toWellFormed();
}

const known = new Map<string, string>();

/** The group of a message: 16 hexadecimal digits, the same for like messages. */
export function errorGroupOf(message: string): string {
  let group = known.get(message);
  if (group === undefined) {
    group = createHash("sha1").update(commonMessage(message)).digest("hex").slice(0, 16);
    // Failures come in floods of the same.
    if (known.size >= 1000) known.clear();
    if (message.length <= LOOKED_AT) known.set(message, group);
  }
  return group;
}

/** Names a group of failed jobs: like errors of one queue. */
export function fingerprintOf(group: string, queue: string): string {
  return `${group}.${queue}`;
}

/** null for what is no fingerprint. */
export function parseFingerprint(
  fingerprint: string,
): { readonly group: string; readonly queue: string } | null {
  const [, group, queue] = /^([0-9a-f]{16})\.([A-Za-z0-9_.-]{1,256})$/.exec(fingerprint) ?? [];
  return group === undefined || queue === undefined ? null : { group, queue };
}

/** Whether a message contains a text, whatever the case of the letters. */
export function containsText(message: string, text: string): boolean {
  return message.toLowerCase().includes(text.toLowerCase());
}
