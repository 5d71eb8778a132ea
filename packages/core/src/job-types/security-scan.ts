import { z } from "zod";
import { anyData, filePath, oneOf, reference } from "./fields.ts";
import { defineJobType } from "./job-type.ts";

const frameworks = ["GDPR", "HIPAA", "PCI-DSS", "CCPA", "SOX"] as const;

const data = z.looseObject({
  ...anyData,
  filePath,
  /** A label here: the scan reads the file, not a dataset. */
  datasetId: reference,
  scanType: oneOf(["quick", "full"]).default("full"),
  complianceFramework: z.array(oneOf(frameworks)).max(100).optional(),
});

const result = z.looseObject({
  findings: z.array(
    z.looseObject({
      kind: z.string(),
      severity: z.string(),
      /** Where in the file. */
      place: z.unknown(),
      /** Masked. */
      sample: z.string().optional(),
    }),
  ),
  riskScore: z.number().min(0).max(100),
  /** By framework. */
  compliance: z.record(z.string(), z.looseObject({ compliant: z.boolean() })),
});

export const securityScan = defineJobType({
  name: "security_scan",
  title: "Security scan",
  data,
  result,
  defaults: {
    attempts: 4,
    backoffMs: 2_000,
    timeoutMs: 1_800_000,
    retryableErrors: ["NETWORK_ERROR", "TEMPORARY_FAILURE"],
  },
});
