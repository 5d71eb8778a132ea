import type { Found } from "./secrets.ts";
import type { FindingKind } from "./kinds.ts";

/** Texts that belong into no data file, lower case. */
const markers: readonly (readonly [string, FindingKind])[] = [
  ["x5o!p%@ap[4\\pzx54(p^)7cc)7}$eicar", "MALWARE_MARKER"],
  ["powershell -e", "MALWARE_MARKER"],
  ["powershell.exe -e", "MALWARE_MARKER"],
  ["powershell -nop", "MALWARE_MARKER"],
  ["-windowstyle hidden", "MALWARE_MARKER"],
  ["invoke-expression", "MALWARE_MARKER"],
  ["downloadstring(", "MALWARE_MARKER"],
  ["certutil -urlcache", "MALWARE_MARKER"],
  ["mshta http", "MALWARE_MARKER"],
  ["cmd.exe /c", "MALWARE_MARKER"],
  ["/dev/tcp/", "MALWARE_MARKER"],
  ["eval(base64_decode(", "MALWARE_MARKER"],
  ["eval(atob(", "MALWARE_MARKER"],
  ["${jndi:", "MALWARE_MARKER"],
  ["() { :;};", "MALWARE_MARKER"],
  ["<!entity", "MALWARE_MARKER"],
  ["<script", "MALWARE_MARKER"],
  ["javascript:", "MALWARE_MARKER"],
  ["vbscript:", "MALWARE_MARKER"],
  ["wscript.shell", "MACRO"],
  ["auto_open", "MACRO"],
  ["autoopen()", "MACRO"],
  ["workbook_open", "MACRO"],
  ["document_open", "MACRO"],
  ["shell.application", "MACRO"],
];
const kindOf = new Map(markers);

/** Only literals: one pass. */
const anyMarker = new RegExp(
  markers
    .map(([marker]) =>
      marker
        .split("")
        .map((c) =>
          /[a-z]/.test(c)
            ? `[${c}${c.toUpperCase()}]`
            : c.replace(/[^\w\s<!:;,%@#&=/"'~`-]/, String.raw`\$&`),
        )
        .join(""),
    )
    .join("|"),
  "g",
);

/** Signs of macros and malware in a text. */
export function findMarkers(text: string): Found[] {
  return [...text.matchAll(anyMarker)].flatMap((match) => {
    const kind = kindOf.get(match[0].toLowerCase());
    return kind ? [{ kind, start: match.index, end: match.index + match[0].length }] : [];
  });
}

const DANGEROUS =
  /\b(?:cmd|powershell|mshta|rundll32|regsvr32)\s*\||\b(?:HYPERLINK|WEBSERVICE|IMPORTXML|IMPORTDATA|IMPORTHTML|IMPORTFEED|IMPORTRANGE|IMAGE|DDE|EXEC|CALL|REGISTER|FILTERXML)\s{0,3}\(/i;

/** Whether a formula fetches, sends or starts something. */
export function isDangerousFormula(text: string): boolean {
  return DANGEROUS.test(text.slice(0, 2000));
}
