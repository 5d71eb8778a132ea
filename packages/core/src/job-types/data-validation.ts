import { z } from "zod";
import { anyData, needsOneOf, oneOf, reference } from "./fields.ts";
import { defineJobType } from "./job-type.ts";

const data = z
  .looseObject({
    ...anyData,
    wellId: reference.optional(),
    leaseId: reference.optional(),
    operatorId: reference.optional(),
    organizationId: reference.optional(),
    productionRecordId: reference.optional(),
    /** Degrees, WGS 84. Values out of range are for the rules to find, not for the schema. */
    location: z
      .looseObject({
        latitude: z.number(),
        longitude: z.number(),
        county: z.string(),
        state: z.string(),
      })
      .optional(),
    /** Oil and water in barrels, gas in thousand cubic feet. */
    production: z
      .looseObject({
        oil: z.number(),
        gas: z.number(),
        water: z.number(),
        /** psi */
        pressure: z.number().optional(),
        /** °F */
        temperature: z.number().optional(),
        daysOn: z.number().optional(),
      })
      .optional(),
    validationType: oneOf([
      "production_data",
      "daily_production",
      "monthly_summary",
      "annual_report",
      "integrity",
      "compliance",
      "performance",
      "equipment_status",
      "ownership",
      "revenue",
    ]),
    validationRules: z.array(z.string()).optional(),
    includeHistorical: z.boolean().optional(),
    notifyOnFailure: z.boolean().optional(),
    history: z.array(z.looseObject({})).optional(),
  })
  .check(needsOneOf("wellId", "leaseId"));

const finding = z.looseObject({
  rule: z.string(),
  field: z.string(),
  value: z.unknown(),
  limit: z.unknown(),
  message: z.string(),
});

const result = z.looseObject({
  passed: z.boolean(),
  errors: z.array(finding),
  warnings: z.array(finding),
  validatedFields: z.array(z.string()),
  /** Left out or null where it cannot be computed. */
  derived: z
    .looseObject({
      /** Gas-oil ratio, cubic feet a barrel. */
      gor: z.number().nullish(),
      /** Water-oil ratio. */
      wor: z.number().nullish(),
      /** Percent of all liquid. */
      waterCut: z.number().nullish(),
      /** Barrels of oil equivalent. */
      boe: z.number().nullish(),
    })
    .optional(),
  /** The e-mail that was queued because the validation failed. */
  notification: z.looseObject({ jobId: z.number().int(), to: z.string() }).optional(),
});

export const dataValidation = defineJobType({
  name: "data-validation",
  title: "Data validation",
  data,
  result,
  defaults: { attempts: 3, backoffMs: 2_000, timeoutMs: 60_000 },
});
