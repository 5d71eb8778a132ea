import { type FindingKind, findingKinds, type Topic } from "./kinds.ts";

export type Framework = "GDPR" | "HIPAA" | "PCI-DSS" | "CCPA" | "SOX";

interface Rule {
  readonly rule: string;
  readonly why: string;
  /** Any of these breaks it, */
  readonly topics: readonly Topic[];
  /** if any of these is there too. */
  readonly with?: readonly Topic[];
}

const personal: readonly Topic[] = [
  "contact",
  "identity",
  "government-id",
  "bank-account",
  "card",
  "online-id",
];
const secretsRule = (rule: string) =>
  ({ rule, why: "keys or passwords lie open in the file", topics: ["secret"] }) as const;

const rules: Readonly<Record<Framework, readonly Rule[]>> = {
  GDPR: [
    {
      rule: "Art. 5(1)(f), Art. 32(1)(a)",
      why: "personal data lies in the file unencrypted and without pseudonyms",
      topics: personal,
    },
    {
      rule: "Art. 9(1)",
      why: "the file holds special categories of personal data",
      topics: ["health", "special"],
    },
    secretsRule("Art. 32(1)(b)"),
    { rule: "Art. 32(1)(b)", why: "the file carries code", topics: ["malware"] },
  ],
  HIPAA: [
    {
      rule: "45 CFR 164.514(b)(2)",
      why: "health data stands beside what identifies a person: it is not de-identified",
      topics: ["health"],
      with: personal,
    },
    secretsRule("45 CFR 164.312(d)"),
    { rule: "45 CFR 164.308(a)(5)(ii)(B)", why: "the file carries code", topics: ["malware"] },
  ],
  "PCI-DSS": [
    { rule: "3.5.1", why: "card numbers are readable", topics: ["card"] },
    {
      rule: "3.3.1",
      why: "verification codes, PINs or tracks may not be stored after authorization",
      topics: ["card-secret"],
    },
    secretsRule("8.6.2"),
    { rule: "5.2.1", why: "the file carries code", topics: ["malware"] },
  ],
  CCPA: [
    {
      rule: "1798.150(a)(1)",
      why: "data whose theft a consumer can sue for is neither encrypted nor redacted",
      topics: ["government-id", "bank-account", "card", "card-secret", "health", "special"],
    },
    {
      rule: "1798.100(e)",
      why: "personal information lies open in the file",
      topics: ["contact", "identity", "online-id"],
    },
    secretsRule("1798.150(a)(1)"),
  ],
  SOX: [
    {
      rule: "Sec. 404",
      why: "formulas in the file can change figures when it is opened",
      topics: ["formula"],
    },
    { rule: "Sec. 404", why: "the file carries code", topics: ["malware"] },
    secretsRule("Sec. 404"),
    {
      rule: "Sec. 302",
      why: "figures of pay or balance stand beside open keys or passwords",
      topics: ["financial"],
      with: ["secret"],
    },
  ],
};

export const frameworks = Object.keys(rules) as Framework[];

/** A type, not an interface: results are open records. */
export type Verdict = {
  readonly compliant: boolean;
  readonly violations: readonly {
    readonly rule: string;
    readonly why: string;
    /** How many findings of which kinds. */
    readonly findings: Readonly<Record<string, number>>;
  }[];
  readonly rulesChecked: number;
};

/** What the findings mean for a framework: of the rules that a file's content can break, those that it breaks. */
export function verdictOf(framework: Framework, counts: ReadonlyMap<FindingKind, number>): Verdict {
  const of = (topics: readonly Topic[]) =>
    [...counts].filter(([kind, count]) => count > 0 && topics.includes(findingKinds[kind].topic));
  const violations = rules[framework].flatMap((rule) => {
    const findings = of(rule.topics);
    const beside = rule.with === undefined ? undefined : of(rule.with);
    if (findings.length === 0 || beside?.length === 0) return [];
    const all = Object.fromEntries([...findings, ...(beside ?? [])]);
    return [{ rule: rule.rule, why: rule.why, findings: all }];
  });
  return { compliant: violations.length === 0, violations, rulesChecked: rules[framework].length };
}
