import type { HandlerError, JobData, jobTypes } from "@jobyard/core";
import type { GeometryRecord } from "../geometry-record.ts";
import { type Catalogue, exchangeRate, type Finish, named } from "./catalogue.ts";
import { type Costs, costsOf, type ItemCosts, itemFault } from "./costs.ts";
import { type Amount, Decimal, placesOf, share, sumOf, zero } from "./money.ts";

type QuoteData = JobData<(typeof jobTypes)["quote-calculation"]>;
type ItemData = QuoteData["items"][number];

/** A total that a number still tells to the cent. */
const LARGEST_TOTAL = new Decimal(10).pow(13);
const DAY_MS = 86_400_000;

/**
 * Prices a quote. Every amount is exact until it is rounded, half away from zero, to the places of the
 * currency: each item's total, each item's total after its discount, the rush fee, and each tax, once.
 *
 * @param geometryOf - of each item's file
 * @param now - epoch ms
 * @throws HandlerError that names the item and field
 */
export function quoteOf(
  data: QuoteData,
  catalogue: Catalogue,
  geometryOf: ReadonlyMap<string, GeometryRecord>,
  now: number,
) {
  const currency = (data.currency ?? catalogue.currency).toUpperCase();
  const rate = exchangeRate(catalogue, currency);
  if (rate === undefined) {
    throw itemFault(
      "currency",
      `prices are in ${catalogue.currency}, and the catalogue has no exchange rate for ${currency}`,
    );
  }
  const places = placesOf(currency);
  const rounded = (amount: Amount): Amount => amount.round(places, Decimal.roundHalfUp);
  const rush = data.rushOrder ?? false;
  const notes: string[] = [];
  const items = data.items.map((item, index) =>
    priced({ item, index, geometryOf, catalogue, rate, rounded, places, rush, notes }),
  );

  const subtotal = sumOf(items.map(({ total }) => total));
  const volumeDiscount = sumOf(items.map(({ discount }) => discount));
  const discounted = subtotal.minus(volumeDiscount);
  const rushFee = rush ? rounded(share(discounted, catalogue.rush.feePercent)) : zero;
  const taxed = discounted.plus(rushFee);
  const taxes = catalogue.taxes.map(({ name, percent }) => ({
    code: "TAX",
    name,
    percent: Number(percent),
    base: Number(taxed),
    amount: rounded(share(taxed, percent)),
  }));
  const tax = sumOf(taxes.map(({ amount }) => amount));
  const total = taxed.plus(tax);
  if (total.gte(LARGEST_TOTAL))
    throw itemFault("items", "the total is too large to be told exactly");

  const discounts = items.flatMap(({ discount, total }, item) =>
    discount.eq(0)
      ? []
      : [
          {
            code: "VOLUME_DISCOUNT",
            name: "Volume discount",
            item,
            base: Number(total),
            amount: Number(discount.neg()),
          },
        ],
  );
  const rushed = {
    code: "RUSH_FEE",
    name: "Rush fee",
    percent: Number(catalogue.rush.feePercent),
    base: Number(discounted),
    amount: Number(rushFee),
  };
  return {
    quoteId: data.quoteId,
    items: items.map(({ told }) => told),
    summary: {
      subtotal: Number(subtotal),
      rushFee: Number(rushFee),
      volumeDiscount: Number(volumeDiscount),
      tax: Number(tax),
      total: Number(total),
      currency,
      validUntil: new Date(now + catalogue.validityDays * DAY_MS).toISOString(),
      /** Working days until the last item is made; items are made side by side. */
      leadTime: Math.max(...items.map(({ told }) => told.leadTime)),
    },
    pricing: {
      adjustments: [
        ...discounts,
        ...(rush ? [rushed] : []),
        ...taxes.map((line) => ({ ...line, amount: Number(line.amount) })),
      ],
      notes,
    },
  };
}

interface Pricing {
  readonly item: ItemData;
  readonly index: number;
  readonly geometryOf: ReadonlyMap<string, GeometryRecord>;
  readonly catalogue: Catalogue;
  readonly rate: Amount;
  readonly rounded: (amount: Amount) => Amount;
  readonly places: number;
  readonly rush: boolean;
  readonly notes: string[];
}

function priced(pricing: Pricing) {
  const { item, index, geometryOf, catalogue, rate, rounded, places, rush, notes } = pricing;
  const place = `items.${index}`;
  const { fileId, quantity, process } = item;
  const geometry = geometryOf.get(fileId);
  if (geometry === undefined) throw unknownFile(place, fileId);
  const material = named(catalogue.materials, item.material);
  if (material === undefined) {
    const known = Object.keys(catalogue.materials).join(", ");
    throw itemFault(`${place}.material`, `${item.material} is not in the catalogue: ${known}`);
  }
  if (!material.entry.processes.includes(process)) {
    throw itemFault(
      `${place}.process`,
      `${material.name} is not worked by ${process}, but by ${material.entry.processes.join(", ")}`,
    );
  }
  const finishes = finishesOf(item, place, catalogue, notes);
  const costs = costsOf(
    {
      place,
      geometry,
      material: material.entry,
      process,
      finishes: finishes.map(({ entry }) => entry),
    },
    catalogue.processes,
  );

  const piecePrice = withMargin(costs.piece, costs).times(rate);
  const exact = withMargin(costs.setup, costs).times(rate).plus(piecePrice.times(quantity));
  const total = rounded(exact);
  const saved = piecePrice.times(discountedPieces(quantity, catalogue));
  const discount = total.minus(rounded(exact.minus(saved)));
  const line = (of: (costs: Costs) => Amount): Amount =>
    rounded(of(costs.setup).plus(of(costs.piece).times(quantity)).times(rate));
  const materialCost = line((costs) => costs.material);
  const laborCost = line((costs) => costs.labor);
  const overheadCost = line((costs) => costs.overhead);
  const days = costs.leadDays(quantity);
  return {
    total,
    discount,
    told: {
      fileId,
      fileName: geometry.fileName,
      quantity,
      material: material.name,
      process,
      finishes: finishes.map(({ name }) => name),
      /** To two places more than the total, so that it fits it. */
      unitPrice: Number(exact.div(quantity).round(places + 2, Decimal.roundHalfUp)),
      totalPrice: Number(total),
      materialCost: Number(materialCost),
      laborCost: Number(laborCost),
      overheadCost: Number(overheadCost),
      margin: Number(total.minus(materialCost).minus(laborCost).minus(overheadCost)),
      marginPercent: Number(costs.marginPercent),
      volumeDiscount: Number(discount),
      leadTime: rush ? rushed(days, catalogue) : days,
      machineHours: Number(costs.machineHours.times(quantity).round(2)),
      /** kg */
      mass: Number(costs.mass.times(quantity).round(4)),
    },
  };
}

function withMargin({ material, labor, overhead }: Costs, { marginPercent }: ItemCosts): Amount {
  const cost = material.plus(labor).plus(overhead);
  return cost.plus(share(cost, marginPercent));
}

/** Each tier's percent is for the pieces from its quantity up to the next tier's, as whole pieces' worth. */
function discountedPieces(quantity: number, { volumeDiscounts }: Catalogue): Amount {
  return sumOf(
    volumeDiscounts.map(({ fromQuantity, percent }, i) => {
      const end = volumeDiscounts[i + 1]?.fromQuantity ?? Infinity;
      const pieces = Math.max(0, Math.min(quantity + 1, end) - fromQuantity);
      return share(new Decimal(pieces), percent);
    }),
  );
}

/** At least one day. */
function rushed(days: number, { rush }: Catalogue): number {
  const left = new Decimal(days).minus(share(new Decimal(days), rush.timeSavedPercent));
  return Math.max(1, Number(left.round(0, Decimal.roundUp)));
}

interface NamedFinish {
  readonly name: string;
  readonly entry: Finish;
}

/**
 * A list of names; or an object whose fields are finishes (`{"painted": true}`) or name them (`{"surface":
 * "painted"}`). Other fields with a text or number, such as a colour, have no price, which a note says.
 */
function finishesOf(
  { finishOptions, process }: ItemData,
  place: string,
  { finishes }: Catalogue,
  notes: string[],
): NamedFinish[] {
  const found = new Map<string, NamedFinish>();
  const take = (wanted: string, field: string): boolean => {
    const finish = named(finishes, wanted);
    if (finish === undefined) return false;
    if (!finish.entry.processes.includes(process)) {
      throw itemFault(field, `${finish.name} is not done on parts made by ${process}`);
    }
    found.set(finish.name, finish);
    return true;
  };
  const unknown = (wanted: string, field: string): HandlerError =>
    itemFault(
      field,
      `${wanted} is not in the catalogue's finishes: ${Object.keys(finishes).join(", ")}`,
    );
  if (Array.isArray(finishOptions)) {
    finishOptions.forEach((wanted: string, i) => {
      const field = `${place}.finishOptions.${i}`;
      if (!take(wanted, field)) throw unknown(wanted, field);
    });
  } else {
    for (const [key, value] of Object.entries(finishOptions ?? {})) {
      const field = `${place}.finishOptions.${key}`;
      if (value === false || value === null || value === undefined) continue;
      if (typeof value === "string" && take(value, field)) continue;
      if (take(key, field)) continue;
      if (value === true) throw unknown(key, field);
      notes.push(`${field} is in no finish's price`);
    }
  }
  return [...found.values()];
}

export function unknownFile(place: string, fileId: string): HandlerError {
  return itemFault(
    `${place}.fileId`,
    `${fileId} has not been analysed: a file-analysis of it must complete first`,
  );
}
