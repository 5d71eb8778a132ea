import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { fileAnalysisHandler } from "../../src/file-analysis/handler.ts";
import { type GeometryRecord, keepGeometry } from "../../src/geometry-record.ts";
import { defaults } from "../../src/quote-calculation/default-catalogue.ts";
import { quoteCalculationHandler } from "../../src/quote-calculation/handler.ts";
import { knownQuote } from "../../src/quote-record.ts";
import type { Storage } from "../../src/storage.ts";
import { binaryStl, cube } from "../file-analysis/shapes.ts";
import { expectFailure, newStorage, runHandler, TENANT } from "../run-handler.ts";

const NOW = Date.UTC(2025, 0, 1, 12);
let files: Storage;

function part(fileName: string, sides: readonly [number, number, number]): GeometryRecord {
  const [x, y, z] = sides;
  return {
    fileName,
    volume: x * y * z,
    surfaceArea: 2 * (x * y + y * z + z * x),
    boundingBox: { min: { x: 0, y: 0, z: 0 }, max: { x, y, z } },
    supportVolume: 0,
    complexity: 11,
  };
}

beforeAll(async () => {
  files = await newStorage();
  for (const tenant of [TENANT, "prices"]) {
    const own = files.of(tenant);
    await keepGeometry(own, "cube", part("cube.stl", [20, 20, 20]));
    await keepGeometry(own, "plate", part("plate.stl", [100, 50, 3]));
    await keepGeometry(own, "beam", part("beam.stl", [400, 20, 20]));
    await keepGeometry(own, "open", { ...part("open.stl", [20, 20, 20]), volume: null });
    await keepGeometry(own, "table", { ...part("table.stl", [20, 20, 20]), supportVolume: 4000 });
    await mkdir(join(files.root, tenant), { recursive: true });
  }
});
afterAll(() => files.close());

const money = z.number();
const told = z.looseObject({
  items: z.array(
    z.looseObject({
      unitPrice: money,
      totalPrice: money,
      materialCost: money,
      laborCost: money,
      overheadCost: money,
      margin: money,
      volumeDiscount: money,
      leadTime: money,
    }),
  ),
  summary: z.looseObject({
    subtotal: money,
    rushFee: money,
    volumeDiscount: money,
    tax: money,
    total: money,
    currency: z.string(),
    leadTime: money,
  }),
  pricing: z.looseObject({
    adjustments: z.array(z.looseObject({ code: z.string(), amount: money })),
    notes: z.array(z.string()),
  }),
});

const quoted = async (data: object, tenant = TENANT) => {
  const handler = quoteCalculationHandler({ files }, { now: () => NOW });
  return told.parse((await runHandler(handler, { quoteId: "Q-1", ...data }, { tenant })).result);
};
const faultOf = async (data: object, tenant = TENANT, code = "INVALID_DATA") =>
  (await expectFailure(quoted(data, tenant), { code, dataFault: true })).message;

const pla = { fileId: "cube", quantity: 10, material: "PLA", process: "FFF" };
const milled = { fileId: "cube", quantity: 1, material: "aluminum 6061", process: "CNC_3AXIS" };

// As docs/job-types/quote-calculation.md works them out.
describe("the documented examples", () => {
  test("ten printed cubes", async () => {
    expect(await quoted({ items: [pla] })).toEqual({
      quoteId: "Q-1",
      items: [
        {
          fileId: "cube",
          fileName: "cube.stl",
          quantity: 10,
          material: "PLA",
          process: "FFF",
          finishes: [],
          unitPrice: 7.3695,
          totalPrice: 73.69,
          materialCost: 2.6,
          laborCost: 26.25,
          overheadCost: 27.83,
          margin: 17.01,
          marginPercent: 30,
          volumeDiscount: 0.3,
          leadTime: 3,
          machineHours: 5.11,
          mass: 0.1042,
        },
      ],
      summary: {
        subtotal: 73.69,
        rushFee: 0,
        volumeDiscount: 0.3,
        tax: 11.74,
        total: 85.13,
        currency: "USD",
        validUntil: "2025-01-31T12:00:00.000Z",
        leadTime: 3,
      },
      pricing: {
        adjustments: [
          { code: "VOLUME_DISCOUNT", name: "Volume discount", item: 0, base: 73.69, amount: -0.3 },
          { code: "TAX", name: "VAT", percent: 16, base: 73.39, amount: 11.74 },
        ],
        notes: [],
      },
    });
  });

  test("a milled and anodized cube in a hurry", async () => {
    const item = { ...milled, finishOptions: ["anodized"] };
    expect(await quoted({ items: [item], rushOrder: true })).toMatchObject({
      items: [
        {
          material: "ALUMINIUM_6061",
          finishes: ["ANODIZED"],
          unitPrice: 120.4191,
          totalPrice: 120.42,
          materialCost: 0.57,
          laborCost: 75.72,
          overheadCost: 16.34,
          margin: 27.79,
          leadTime: 5,
        },
      ],
      summary: { subtotal: 120.42, rushFee: 30.11, volumeDiscount: 0, tax: 24.08, total: 174.61 },
      pricing: {
        adjustments: [
          { code: "RUSH_FEE", percent: 25, base: 120.42, amount: 30.11 },
          { code: "TAX", base: 150.53, amount: 24.08 },
        ],
      },
    });
  });

  test("a plate cut by laser", async () => {
    const item = { fileId: "plate", quantity: 1, material: "acrylic", process: "LASER_2D" };
    const { items } = await quoted({ items: [item] });
    // Piece: material 19800 mm³ = 0.023364 kg = 0.23364; labor 0.7; machine 0.006 h = 0.3;
    // overhead 0.3 + 15 % of 1.23364 = 0.485046; 1.418686 + 30 % = 1.8442918.
    // Set-up: 8.75 + 15 % = 10.0625, + 30 % = 13.08125.
    expect(items).toMatchObject([
      { totalPrice: 14.93, materialCost: 0.23, laborCost: 9.45, overheadCost: 1.8, leadTime: 4 },
    ]);
  });
});

test("reports find the latest calculation of a quote", async () => {
  await quoted({ quoteId: "Q-kept", items: [{ ...pla, quantity: 1 }] });
  const { summary } = await quoted({ quoteId: "Q-kept", items: [pla] });
  expect(await knownQuote(files.of(TENANT), "Q-kept")).toMatchObject({
    quoteId: "Q-kept",
    summary,
  });
});

test("supports cost material and time", async () => {
  const { items } = await quoted({ items: [{ ...pla, fileId: "table", quantity: 1 }] });
  // 8000 + 15 % of 4000 = 8600 mm³ printed, 9030 with waste: 0.0111972 kg.
  expect(items).toMatchObject([{ materialCost: 0.28, machineHours: 0.55, mass: 0.0112 }]);
});

test("a part that was analysed can be quoted", async () => {
  const tenant = "fresh";
  await mkdir(join(files.root, tenant));
  await writeFile(join(files.root, tenant, "part.stl"), binaryStl(cube(20)));
  const file = { fileId: "7", fileUrl: "part.stl", fileName: "part.stl", fileType: "stl" };
  await runHandler(fileAnalysisHandler({ files }), file, { tenant });
  const { items } = await quoted({ items: [{ ...pla, fileId: "7" }] }, tenant);
  expect(items).toMatchObject([{ fileName: "part.stl", totalPrice: 73.69 }]);
  expect(await faultOf({ items: [{ ...pla, fileId: "7" }] })).toMatch(/7 has not been analysed/);
});

describe("faults name item and field", () => {
  test.each([
    [
      "an unknown file",
      [pla, { ...pla, fileId: "who" }],
      "items.1.fileId: who has not been analysed: a file-analysis of it must complete first",
    ],
    [
      "an unknown material",
      [{ ...pla, material: "butter" }],
      /^items\.0\.material: butter is not in the catalogue: PLA, ABS, /,
    ],
    [
      "a material that the process cannot work",
      [{ ...pla, process: "CNC_3AXIS" }],
      "items.0.process: PLA is not worked by CNC_3AXIS, but by FFF",
    ],
    [
      "a part too large",
      [{ ...pla, fileId: "beam" }],
      "items.0: beam.stl measures 400 x 20 x 20 mm, and FFF takes parts of up to 300 x 300 x 300 mm",
    ],
    ["a part without volume", [{ ...pla, fileId: "open" }], /^items\.0: open\.stl has no volume/],
    [
      "an unknown finish",
      [{ ...pla, finishOptions: ["gilded"] }],
      /^items\.0\.finishOptions\.0: gilded is not in the catalogue's finishes: SANDED, /,
    ],
    [
      "a finish that the process does not get",
      [{ ...pla, finishOptions: { anodized: true } }],
      "items.0.finishOptions.anodized: ANODIZED is not done on parts made by FFF",
    ],
  ])("%s", async (_, items, message) => {
    const told = await faultOf({ items });
    if (typeof message === "string") expect(told).toBe(message);
    else expect(told).toMatch(message);
  });

  test("a quantity of zero or less, or broken", async () => {
    const { data } = quoteCalculationHandler({ files }).type;
    for (const quantity of [0, -1, 1.5, 1_000_001, "1", null]) {
      expect(data.safeParse({ quoteId: "Q", items: [{ ...pla, quantity }] }).success).toBe(false);
    }
  });

  test("a currency without exchange rate", async () => {
    expect(await faultOf({ items: [pla], currency: "EUR" })).toBe(
      "currency: prices are in USD, and the catalogue has no exchange rate for EUR",
    );
  });
});

test("finishes as an object: names, values, and what has no price", async () => {
  const finishOptions = {
    painted: true,
    sanding: false,
    surface: "sanded",
    color: "red",
    layer: 2,
  };
  const { items, pricing } = await quoted({ items: [{ ...pla, finishOptions }] });
  expect(items).toMatchObject([{ finishes: ["PAINTED", "SANDED"] }]);
  expect(pricing.notes).toEqual([
    "items.0.finishOptions.color is in no finish's price",
    "items.0.finishOptions.layer is in no finish's price",
  ]);
});

describe("a tenant's catalogue", () => {
  const tenant = "prices";
  const keep = (content: unknown) =>
    writeFile(
      join(files.root, tenant, "catalogue.json"),
      typeof content === "string" ? content : JSON.stringify(content),
    );

  test("stands over the default, section by section and entry by entry", async () => {
    await keep({
      currency: "MXN",
      exchangeRates: { JPY: "7.77", USD: 0.05 },
      materials: {
        PLA: { density: 1.24, pricePerKg: "500.125", processes: ["FFF"] },
        WOOD: { density: 0.7, pricePerKg: 40, processes: ["LASER_2D"] },
        ABS: null,
      },
      taxes: [],
    });
    const { summary, items } = await quoted({ items: [pla] }, tenant);
    expect(items).toMatchObject([{ materialCost: 52.09 }]);
    expect(summary).toMatchObject({ currency: "MXN", tax: 0 });
    const yen = await quoted({ items: [pla], currency: "jpy" }, tenant);
    expect(yen.summary.currency).toBe("JPY");
    expect(yen.items).toMatchObject([{ materialCost: 405 }]);
    expect(Number.isInteger(yen.summary.total)).toBe(true);
    expect(await faultOf({ items: [{ ...pla, material: "ABS" }] }, tenant)).toMatch(
      /ABS is not in/,
    );
    const wood = { fileId: "plate", quantity: 1, material: "wood", process: "LASER_2D" };
    expect((await quoted({ items: [wood] }, tenant)).items).toHaveLength(1);
  });

  test("prices of zero make a total of zero", async () => {
    const free = { density: 1.24, pricePerKg: 0, processes: ["FFF"] };
    const rates = { ...defaults.processes?.FFF, laborRatePerHour: 0, machineRatePerHour: "0" };
    await keep({ materials: { PLA: free }, processes: { FFF: rates } });
    const { items, summary } = await quoted({ items: [pla], rushOrder: true }, tenant);
    expect(items).toMatchObject([{ unitPrice: 0, totalPrice: 0, materialCost: 0, margin: 0 }]);
    expect(summary).toMatchObject({ subtotal: 0, rushFee: 0, volumeDiscount: 0, tax: 0, total: 0 });
  });

  test("the documented one is taken", async () => {
    const page = new URL("../../../../docs/job-types/quote-calculation.md", import.meta.url);
    const [, example = ""] =
      /```json catalogue\n([^]*?)```/.exec(await readFile(page, "utf8")) ?? [];
    await keep(example);
    const item = { ...pla, material: "pa 12", finishOptions: ["dyed"] };
    const { summary } = await quoted({ items: [item], currency: "USD" }, tenant);
    expect(summary).toMatchObject({ currency: "USD", validUntil: "2025-01-16T12:00:00.000Z" });
  });

  test.each([
    [
      "a negative price",
      { materials: { PLA: { density: 1, pricePerKg: -5, processes: ["FFF"] } } },
      "catalogue.json: materials.PLA.pricePerKg: Must not be negative",
    ],
    [
      "a negative price as text",
      { finishes: { X: { processes: ["FFF"], pricePerPart: "-0.01" } } },
      "catalogue.json: finishes.X.pricePerPart: Must not be negative",
    ],
    [
      "a density of 0",
      { materials: { PLA: { density: 0, pricePerKg: 5, processes: ["FFF"] } } },
      "catalogue.json: materials.PLA.density: Must be above 0",
    ],
    [
      "a price that is no number",
      { materials: { PLA: { density: 1, pricePerKg: "a lot", processes: ["FFF"] } } },
      "catalogue.json: materials.PLA.pricePerKg: Must be a number, or decimal digits as text",
    ],
    [
      "a misspelt field",
      { rush: { feePercent: 1, timeSavedPercent: 1, fee: 1 } },
      /^catalogue\.json: rush: Unrecognized key: "fee"/,
    ],
    [
      "an unknown process",
      { processes: { KNITTING: {} } },
      /^catalogue\.json: processes: Unrecognized key/,
    ],
    [
      "tiers out of order",
      {
        volumeDiscounts: [
          { fromQuantity: 50, percent: 1 },
          { fromQuantity: 10, percent: 2 },
        ],
      },
      "catalogue.json: volumeDiscounts: Must be in order of fromQuantity, each once",
    ],
    [
      "a discount of more than all",
      { volumeDiscounts: [{ fromQuantity: 50, percent: 101 }] },
      "catalogue.json: volumeDiscounts.0.percent: Must be at most 100 percent",
    ],
    ["a list", [], "catalogue.json: Must be an object"],
    ["no JSON", "{ oops", /^catalogue\.json: .*JSON/],
  ])("%s", async (_, content, message) => {
    await keep(content);
    const told = await faultOf({ items: [pla] }, tenant, "INVALID_CATALOGUE");
    if (typeof message === "string") expect(told).toBe(message);
    else expect(told).toMatch(message);
  });

  test("a process it does without", async () => {
    await keep({ processes: { FFF: null } });
    expect(await faultOf({ items: [pla] }, tenant)).toBe(
      "items.0: the catalogue has no process FFF",
    );
    await rm(join(files.root, tenant, "catalogue.json"));
  });
});

describe("for any quote", () => {
  const item = fc.record({
    fileId: fc.constantFrom("cube", "plate", "table"),
    quantity: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 1_000_000 })),
    material: fc.constant("PLA"),
    process: fc.constant("FFF"),
    finishOptions: fc.subarray(["SANDED", "PAINTED"]),
  });
  const cents = (amount: number): number => {
    const whole = Math.round(amount * 100);
    expect(Math.abs(whole - amount * 100)).toBeLessThan(0.01);
    return whole;
  };
  const sum = (amounts: readonly number[]) =>
    amounts.reduce((total, amount) => total + cents(amount), 0);

  test("the sums are right to the cent", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(item, { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        async (items, rushOrder) => {
          const quote = await quoted({ items, rushOrder });
          const { subtotal, volumeDiscount, rushFee, tax, total } = quote.summary;
          expect(sum(quote.items.map(({ totalPrice }) => totalPrice))).toBe(cents(subtotal));
          expect(sum(quote.items.map((line) => line.volumeDiscount))).toBe(cents(volumeDiscount));
          expect(cents(subtotal) - cents(volumeDiscount) + cents(rushFee) + cents(tax)).toBe(
            cents(total),
          );
          const adjusted = sum(quote.pricing.adjustments.map(({ amount }) => amount));
          expect(cents(subtotal) + adjusted).toBe(cents(total));
          for (const line of quote.items) {
            const parts = [line.materialCost, line.laborCost, line.overheadCost, line.margin];
            expect(sum(parts)).toBe(cents(line.totalPrice));
            expect(Math.min(...parts, line.volumeDiscount)).toBeGreaterThanOrEqual(0);
            expect(line.volumeDiscount).toBeLessThanOrEqual(line.totalPrice);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("more pieces cost no less together and no more each, and take no less time", async () => {
    await fc.assert(
      fc.asyncProperty(item, fc.integer({ min: 1, max: 300 }), async (line, more) => {
        const quantity = Math.min(line.quantity, 1_000_000 - more);
        const one = await quoted({ items: [{ ...line, quantity }] });
        const other = await quoted({ items: [{ ...line, quantity: quantity + more }] });
        expect(other.summary.subtotal).toBeGreaterThanOrEqual(one.summary.subtotal);
        expect(other.summary.total).toBeGreaterThanOrEqual(one.summary.total);
        expect(other.items[0]!.unitPrice).toBeLessThanOrEqual(one.items[0]!.unitPrice);
        expect(other.summary.leadTime).toBeGreaterThanOrEqual(one.summary.leadTime);
      }),
      { numRuns: 60 },
    );
  });

  test("haste costs more and takes no longer", async () => {
    await fc.assert(
      fc.asyncProperty(item, async (line) => {
        const calm = await quoted({ items: [line] });
        const hasty = await quoted({ items: [line], rushOrder: true });
        expect(hasty.summary.total).toBeGreaterThan(calm.summary.total);
        expect(hasty.summary.subtotal).toBe(calm.summary.subtotal);
        expect(hasty.summary.leadTime).toBeLessThanOrEqual(calm.summary.leadTime);
      }),
      { numRuns: 30 },
    );
  });
});
