import { z } from "zod";
import { anyData, oneOf, reference } from "./fields.ts";
import { defineJobType } from "./job-type.ts";

const data = z.looseObject({
  ...anyData,
  quoteId: reference,
  items: z
    .array(
      z.looseObject({
        fileId: reference,
        quantity: z.number().int().min(1).max(1_000_000),
        material: z.string().min(1).max(256),
        process: oneOf(["FFF", "SLA", "CNC_3AXIS", "LASER_2D"]),
        finishOptions: z
          .union([z.array(z.string()), z.looseObject({})], {
            error: "Must be an object, or a list of names",
          })
          .optional(),
      }),
    )
    .min(1)
    .max(1000),
  rushOrder: z.boolean().optional(),
  currency: z
    .string()
    .regex(/^[A-Za-z]{3}$/, "Must be a three-letter currency code such as USD")
    .optional(),
});

/** Computed in exact decimals, told as a number of the currency's units. */
const money = z.number();

const result = z.looseObject({
  quoteId: z.string(),
  items: z.array(
    z.looseObject({
      fileId: z.string(),
      /** To two places more than other amounts. */
      unitPrice: money,
      /** Of all pieces, as the following; the four after it add up to it. */
      totalPrice: money,
      materialCost: money,
      laborCost: money,
      overheadCost: money,
      margin: money,
      /** Working days. */
      leadTime: z.number().int().nonnegative(),
    }),
  ),
  summary: z.looseObject({
    subtotal: money,
    rushFee: money,
    volumeDiscount: money,
    tax: money,
    total: money,
    currency: z.string(),
    validUntil: z.string(),
  }),
  pricing: z.looseObject({
    /** Added to the subtotal they make the total. */
    adjustments: z.array(z.looseObject({ code: z.string(), amount: money })),
  }),
});

export const quoteCalculation = defineJobType({
  name: "quote-calculation",
  title: "Quote calculation",
  data,
  result,
  defaults: { attempts: 3, backoffMs: 3_000, timeoutMs: 120_000 },
});
