export type Severity = "low" | "medium" | "high" | "critical";

/** What a kind of finding is about; the frameworks' rules ask for these. */
export type Topic =
  | "contact"
  | "identity"
  | "government-id"
  | "bank-account"
  | "card"
  | "card-secret"
  | "health"
  | "special"
  | "online-id"
  | "financial"
  | "secret"
  | "formula"
  | "malware";

export interface KindRule {
  readonly severity: Severity;
  readonly topic: Topic;
  readonly title: string;
}

/** Every kind of finding. */
export const findingKinds = {
  EMAIL: { severity: "medium", topic: "contact", title: "e-mail address" },
  PHONE: { severity: "medium", topic: "contact", title: "telephone number" },
  POSTAL_ADDRESS: { severity: "medium", topic: "contact", title: "postal address" },
  PERSON_NAME: { severity: "low", topic: "identity", title: "name of a person" },
  DATE_OF_BIRTH: { severity: "high", topic: "identity", title: "date of birth" },
  SSN: { severity: "critical", topic: "government-id", title: "US social security number" },
  GOVERNMENT_ID: {
    severity: "high",
    topic: "government-id",
    title: "passport, licence or tax number",
  },
  IBAN: { severity: "high", topic: "bank-account", title: "bank account (IBAN)" },
  BANK_ACCOUNT: { severity: "high", topic: "bank-account", title: "bank account" },
  CREDIT_CARD: { severity: "critical", topic: "card", title: "payment card number" },
  CARD_SECRET: {
    severity: "critical",
    topic: "card-secret",
    title: "card verification code, PIN or track",
  },
  IP_ADDRESS: { severity: "low", topic: "online-id", title: "IP address" },
  HEALTH_DATA: { severity: "high", topic: "health", title: "health data" },
  SPECIAL_CATEGORY: {
    severity: "high",
    topic: "special",
    title: "special category of personal data",
  },
  FINANCIAL_DATA: { severity: "low", topic: "financial", title: "pay or balance" },
  CREDENTIALS: { severity: "critical", topic: "secret", title: "user and password in an address" },
  PASSWORD: { severity: "critical", topic: "secret", title: "password" },
  API_KEY: { severity: "critical", topic: "secret", title: "key or token of a service" },
  PRIVATE_KEY: { severity: "critical", topic: "secret", title: "private key" },
  JWT: { severity: "high", topic: "secret", title: "signed token" },
  FORMULA: { severity: "medium", topic: "formula", title: "text that a spreadsheet runs" },
  DANGEROUS_FORMULA: { severity: "high", topic: "formula", title: "formula that reaches out" },
  MACRO: { severity: "high", topic: "malware", title: "macro" },
  MALWARE_MARKER: { severity: "critical", topic: "malware", title: "sign of malware" },
  EXECUTABLE: { severity: "high", topic: "malware", title: "program" },
} as const satisfies Readonly<Record<string, KindRule>>;

export type FindingKind = keyof typeof findingKinds;

const weights: Readonly<Record<Severity, number>> = { low: 3, medium: 10, high: 25, critical: 45 };
const STEEPNESS = 60;

/**
 * 0 (nothing found) to 100: each kind adds its severity's weight, and half as much again for each tenfold of its
 * findings; the sum runs towards 100 without reaching it.
 */
export function riskScore(counts: ReadonlyMap<FindingKind, number>): number {
  let sum = 0;
  for (const [kind, count] of counts) {
    if (count > 0) sum += weights[findingKinds[kind].severity] * (1 + Math.log10(count) / 2);
  }
  return Math.round(100 * (1 - Math.exp(-sum / STEEPNESS)));
}
