import { z } from "zod";
import {
  anyData,
  emailAddresses,
  inOrder,
  isObject,
  isoMoment,
  oneOf,
  reference,
  resultFile,
  uuid,
} from "./fields.ts";
import { defineJobType } from "./job-type.ts";

/** Reports about an organization's wells and leases; the others are about a business document. */
const organizationReports = [
  "compliance_weekly",
  "monthly_compliance",
  "quarterly_compliance",
  "annual_compliance",
  "production_summary",
  "form_pr",
  "jib_statement",
] as const;

const period = z
  .looseObject({ startDate: isoMoment, endDate: isoMoment })
  .check(inOrder("startDate", "endDate"));

const data = z
  .looseObject({
    ...anyData,
    reportType: oneOf([...organizationReports, "quote", "order", "invoice", "analytics"]),
    format: oneOf(["pdf", "excel", "csv"]),
    organizationId: reference.optional(),
    includeCharts: z.boolean().optional(),
    recipients: emailAddresses.optional(),
    dateRange: period.optional(),
    reportPeriod: period.optional(),
    wellIds: z.array(reference).optional(),
    leaseIds: z.array(reference).optional(),
    entityId: reference.optional(),
    options: z
      .looseObject({
        includeItemDetails: z.boolean().optional(),
        includeTerms: z.boolean().optional(),
        includeTechnicalSpecs: z.boolean().optional(),
        language: oneOf(["en", "es"]).optional(),
      })
      .optional(),
    /** What to report on; without `rows` and `datasetId`, the tenant's own results of that kind. */
    rows: z.array(z.looseObject({})).optional(),
    datasetId: uuid.optional(),
  })
  .superRefine(
    ({ reportType, organizationId }, context) => {
      const organizational = organizationReports.some((type) => type === reportType);
      if (!organizational || organizationId !== undefined) return;
      context.addIssue({
        code: "custom",
        path: ["organizationId"],
        message: `Required field missing: a ${reportType} report is about an organization`,
      });
    },
    { when: isObject },
  );

const result = z.looseObject({
  reportId: z.string(),
  file: resultFile,
  /** Of a PDF. */
  pages: z.number().int().optional(),
  /** Of all tables. */
  rows: z.number().int(),
  /** Whom the queued e-mail goes to; its own result says who got it. */
  sentTo: z.array(z.string()),
  emailJobId: z.number().int().optional(),
});

export const reportGeneration = defineJobType({
  name: "report-generation",
  title: "Report generation",
  data,
  result,
  defaults: { attempts: 3, backoffMs: 5_000, timeoutMs: 180_000 },
});
