import { readFile } from "node:fs/promises";
import { HandlerError } from "@jobyard/core";
import { z } from "zod";
import type { TenantFiles } from "../storage.ts";
import { type Amount, Decimal } from "./money.ts";
import { defaults } from "./default-catalogue.ts";

/** In the tenant's folder. */
const FILE = "catalogue.json";
const MAX_BYTES = 5_000_000;
/** No price or rate is as large. */
const LARGEST = 1_000_000_000;

/** A number, or text where more digits are wanted than a number has. */
const NO_AMOUNT = "Must be a number, or decimal digits as text";
const amount = z
  .union([z.number(), z.string().regex(/^-?\d{1,12}(?:\.\d{1,12})?$/, NO_AMOUNT)], NO_AMOUNT)
  .transform((value) => new Decimal(value))
  .refine((value) => value.gte(0), "Must not be negative")
  .refine((value) => value.lt(LARGEST), `Must be below ${LARGEST}`);
const positive = amount.refine((value) => value.gt(0), "Must be above 0");
const percent = amount.refine((value) => value.lte(1000), "Must be at most 1000 percent");
const discount = amount.refine((value) => value.lte(100), "Must be at most 100 percent");
const days = z.number().int().min(0).max(1000);
const name = z.string().min(1).max(256);

const processNames = ["FFF", "SLA", "CNC_3AXIS", "LASER_2D"] as const;
export type ProcessName = (typeof processNames)[number];
const processes = z.array(z.enum(processNames)).min(1);

const material = z.strictObject({
  aliases: z.array(name).default([]),
  /** g/cm³ */
  density: positive,
  pricePerKg: amount,
  processes,
  /** Speed of cutting it, as a multiple of aluminium's. */
  machinability: positive.default(new Decimal(1)),
});

const anyProcess = {
  laborRatePerHour: amount,
  machineRatePerHour: amount,
  /** Once an item, whatever its quantity. */
  setupHours: amount,
  /** For each piece. */
  handlingHours: amount,
  /** Of material, labor and machine time. */
  overheadPercent: percent,
  /** On all costs. */
  marginPercent: percent,
  /** Longer machine time of the most complex part; in proportion for others. */
  complexityPercent: percent,
  /** Working days before the first piece. */
  leadDays: days,
  machineHoursPerDay: positive,
  /** Longest, middle and shortest side, mm. */
  maxSize: z.tuple([positive, positive, positive]),
};

const additive = z.strictObject({
  ...anyProcess,
  /** mm³ an hour */
  depositionRate: positive,
  /** Material beyond the part's and its supports'. */
  wastePercent: percent,
  /** How much of the space under overhangs is filled. */
  supportPercent: discount,
});

const milling = z.strictObject({
  ...anyProcess,
  /** mm³ an hour, in aluminium */
  removalRate: positive,
  /** mm² an hour, in aluminium */
  finishingRate: positive,
  /** The block is larger than the part by so much at each side, mm. */
  stockAllowance: amount,
});

const cutting = z.strictObject({
  ...anyProcess,
  /** mm an hour in 1 mm of aluminium; in proportion slower in thicker sheets */
  cutRate: positive,
  /** The blank is larger than the part by so much at each edge, mm. */
  sheetMargin: amount,
});

const finish = z.strictObject({
  aliases: z.array(name).default([]),
  processes,
  pricePerPart: amount.default(new Decimal(0)),
  pricePerCm2: amount.default(new Decimal(0)),
  /** Working days more. */
  leadDays: days.default(0),
});

const tier = z.strictObject({
  /** The first piece of an item that gets it. */
  fromQuantity: z.number().int().min(2).max(1_000_000),
  percent: discount,
});

const catalogue = z.strictObject({
  currency: z.string().regex(/^[A-Z]{3}$/, "Must be a three-letter currency code such as USD"),
  /** Units of another currency for one of the catalogue's. */
  exchangeRates: z.record(z.string().regex(/^[A-Z]{3}$/), positive),
  materials: z.record(name, material),
  processes: z.strictObject({
    FFF: additive.optional(),
    SLA: additive.optional(),
    CNC_3AXIS: milling.optional(),
    LASER_2D: cutting.optional(),
  }),
  finishes: z.record(name, finish),
  volumeDiscounts: z
    .array(tier)
    .refine(
      (tiers) =>
        tiers.every(
          ({ fromQuantity }, i) =>
            i === 0 || fromQuantity > (tiers[i - 1]?.fromQuantity ?? Infinity),
        ),
      "Must be in order of fromQuantity, each once",
    ),
  rush: z.strictObject({
    /** On the discounted subtotal. */
    feePercent: percent,
    /** Off the working days. */
    timeSavedPercent: discount,
  }),
  taxes: z.array(z.strictObject({ name, percent })),
  validityDays: z.number().int().min(1).max(3650),
});

export type Catalogue = z.output<typeof catalogue>;
export type CatalogueFile = z.input<typeof catalogue>;
export type Material = z.output<typeof material>;
export type Finish = z.output<typeof finish>;

/**
 * The tenant's `catalogue.json` over the default: a section that is absent is the default's; of `materials`,
 * `processes` and `finishes`, single entries are replaced, or taken out by null.
 *
 * @throws HandlerError that names every wrong field
 */
export async function catalogueOf(files: TenantFiles, signal: AbortSignal): Promise<Catalogue> {
  const own = await readOwn(files, signal);
  if (own === null) return catalogue.parse(defaults);
  const merged: Record<string, unknown> = { ...defaults, ...own };
  for (const section of ["materials", "processes", "finishes"] as const) {
    const entries = own[section];
    if (entries === undefined || !isObject(entries)) continue;
    const both = Object.entries({ ...defaults[section], ...entries });
    merged[section] = Object.fromEntries(both.filter(([, entry]) => entry !== null));
  }
  const parsed = catalogue.safeParse(merged);
  if (parsed.success) return parsed.data;
  throw fault(
    parsed.error.issues
      .slice(0, 20)
      .map(({ path, message }) => `${path.join(".") || "the file"}: ${message}`)
      .join("; "),
  );
}

async function readOwn(
  files: TenantFiles,
  signal: AbortSignal,
): Promise<Record<string, unknown> | null> {
  let text: string;
  try {
    const file = await files.local({ filePath: FILE }, { signal, maxBytes: MAX_BYTES });
    text = await readFile(file.path, "utf8");
  } catch (error) {
    if (error instanceof HandlerError && error.code === "FILE_NOT_FOUND") return null;
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw fault(error instanceof Error ? error.message : "not JSON");
  }
  if (!isObject(value)) throw fault("Must be an object");
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fault(message: string): HandlerError {
  return new HandlerError("INVALID_CATALOGUE", `${FILE}: ${message}`, {
    dataFault: true,
    stage: "catalogue",
  });
}

/** The entry of that name or alias; case, spaces and punctuation do not matter. */
export function named<Entry extends { readonly aliases: readonly string[] }>(
  entries: Readonly<Record<string, Entry>>,
  wanted: string,
): { readonly name: string; readonly entry: Entry } | undefined {
  const plain = (text: string): string => text.toUpperCase().replace(/[^\p{L}\p{N}]/gu, "");
  const key = plain(wanted);
  for (const [name, entry] of Object.entries(entries)) {
    if ([name, ...entry.aliases].some((known) => plain(known) === key)) return { name, entry };
  }
  return undefined;
}

/** The factor from the catalogue's currency; undefined: the catalogue has no rate. */
export function exchangeRate(
  { currency, exchangeRates }: Catalogue,
  to: string,
): Amount | undefined {
  return to === currency ? new Decimal(1) : exchangeRates[to];
}
