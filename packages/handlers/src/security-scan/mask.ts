import type { FindingKind } from "./kinds.ts";

const SHOWN_FORMULA = 24;

/** As much of a finding as tells which one it is, and no more. */
export function masked(kind: FindingKind, text: string): string {
  switch (kind) {
    case "EMAIL": {
      const at = text.lastIndexOf("@");
      return `${text.slice(0, 1)}***@${text.slice(at + 1, at + 2)}***${text.slice(text.lastIndexOf("."))}`;
    }
    case "CREDIT_CARD":
    case "SSN":
    case "PHONE":
    case "IBAN":
    case "BANK_ACCOUNT":
    case "GOVERNMENT_ID":
      return hidden(text, 4);
    case "IP_ADDRESS": {
      const parts = text.split(/[.:]/);
      return text.includes(".") ? `${parts[0]}.***.***.***` : `${parts[0]}:***`;
    }
    case "API_KEY":
    case "JWT":
      return `${text.slice(0, 4)}***`;
    case "PRIVATE_KEY":
      return text.slice(0, 40);
    case "FORMULA":
    case "DANGEROUS_FORMULA":
    case "MALWARE_MARKER":
    case "MACRO":
    case "EXECUTABLE":
      return text.slice(0, SHOWN_FORMULA);
    default:
      return "***";
  }
}

/** All but the last few letters and digits. */
function hidden(text: string, shown: number): string {
  let left = shown;
  return Array.from(text)
    .reverse()
    .map((character) =>
      !/[\p{L}\p{N}]/u.test(character) ? character : left-- > 0 ? character : "*",
    )
    .reverse()
    .join("");
}
