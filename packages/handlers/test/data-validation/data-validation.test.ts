import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  countiesNamed,
  countyAt,
  distanceKm,
  stateOf,
} from "../../src/data-validation/counties.ts";
import { dataValidationHandler } from "../../src/data-validation/handler.ts";
import {
  derive,
  type Findings,
  ruleIds,
  validate,
  type ValidationData,
} from "../../src/data-validation/rules.ts";
import { thresholds } from "../../src/data-validation/thresholds.ts";
import type { FollowUp } from "../../src/handler-deps.ts";
import type { Storage } from "../../src/storage.ts";
import { newStorage, runHandler, TENANT } from "../run-handler.ts";

const NOW = Date.parse("2026-03-01T00:00:00Z");
/** Big Spring, the county seat. */
const howard = { latitude: 32.2504, longitude: -101.4787, county: "Howard", state: "TX" };
const production = { oil: 300, gas: 400, water: 100 };

function check(fields: Partial<ValidationData> & Record<string, unknown>): Findings {
  const data = { wellId: "W-1", validationType: "production_data" as const, production, ...fields };
  return validate({ data, history: data.history ?? [], now: NOW });
}

const rulesOf = (found: readonly { rule: string; field: string }[]) =>
  found.map(({ rule, field }) => `${rule} ${field}`);

describe("counties", () => {
  it.each([
    ["tx", "Howard"],
    ["Texas", "howard county"],
    ["NM", "Dona Ana"],
    ["NM", "Doña Ana"],
    ["TX", "De Witt"],
    ["LA", "St Mary Parish"],
    ["LA", "Saint Mary"],
    ["AK", "North Slope Borough"],
  ])("knows %s, %s", (state, county) => {
    expect(countiesNamed(county, stateOf(state)!)).toHaveLength(1);
  });

  it.each([
    [32.2504, -101.4787, "Howard", "TX"],
    [31.9973, -102.0779, "Midland", "TX"],
    [47.8, -103.28, "McKenzie", "ND"],
    [40.42, -104.69, "Weld", "CO"],
    [40.7831, -73.9712, "New York", "NY"],
    [70.2, -148.4, "North Slope", "AK"],
  ])("%f, %f is in %s, %s", (latitude, longitude, name, code) => {
    const county = countyAt({ latitude, longitude })!;
    expect([county.name, county.state.code]).toEqual([name, code]);
    expect(distanceKm({ latitude, longitude }, county)).toBe(0);
  });

  it("knows points in no county", () => {
    expect(countyAt({ latitude: 27, longitude: -94 })).toBeUndefined();
    expect(stateOf("Chihuahua")).toBeUndefined();
  });

  it("agrees about inside and distance", () => {
    const [county] = countiesNamed("Howard", stateOf("TX")!);
    fc.assert(
      fc.property(
        fc.double({ min: 31.9, max: 32.7, noNaN: true }),
        fc.double({ min: -101.9, max: -101, noNaN: true }),
        (latitude, longitude) => {
          const inside = countyAt({ latitude, longitude })?.fips === county!.fips;
          return (distanceKm({ latitude, longitude }, county!) === 0) === inside;
        },
      ),
    );
  });
});

describe("location", () => {
  it("passes a well in its county", () => {
    const { errors, warnings, validatedFields } = check({ location: howard });
    expect([errors, warnings]).toEqual([[], []]);
    expect(validatedFields).toContain("location.latitude");
  });

  it("tells that the document's example is not in Howard County, and where it is", () => {
    const location = { ...howard, latitude: 32.164755413290436, longitude: -97.86549451222577 };
    const { errors } = check({ location, production: { oil: 518, gas: 1854, water: 21 } });
    expect(rulesOf(errors)).toEqual(["location.coordinates location"]);
    expect(errors[0]!.message).toMatch(/is in \w+ County, TX, 3\d\d km from Howard County, TX$/);
  });

  it.each([
    [{ longitude: 101.4787 }, "longitude's sign"],
    [{ latitude: -101.4787, longitude: 32.2504 }, "exchanged"],
  ])("sees what was mistaken in %j", (fields, hint) => {
    const { errors } = check({ location: { ...howard, ...fields } });
    expect(errors.map(({ message }) => message).join()).toContain(
      hint === "exchanged" ? "is not between" : hint,
    );
  });

  it.each([
    [{ latitude: 91 }, "location.latitude"],
    [{ longitude: -181 }, "location.longitude"],
    [{ state: "XX" }, "location.state"],
    [{ county: "Atlantis" }, "location.county"],
  ])("refuses %j", (fields, field) => {
    const { errors } = check({ location: { ...howard, ...fields } });
    expect(errors.map((error) => error.field)).toEqual([field]);
  });

  it("only warns at the border, where the shapes are not exact", () => {
    const [county] = countiesNamed("Howard", stateOf("TX")!);
    // West of the western border.
    const outside = [-101.7, -101.705, -101.71].map((longitude) => ({ latitude: 32.3, longitude }));
    const near = outside.find((point) => {
      const km = distanceKm(point, county!);
      return km > 0 && km < 2;
    })!;
    const { errors, warnings } = check({ location: { ...howard, ...near } });
    expect(errors).toEqual([]);
    expect(rulesOf(warnings)).toEqual(["location.coordinates location"]);
  });

  it("compares the API number's state", () => {
    expect(rulesOf(check({ wellId: "42-227-12345", location: howard }).warnings)).toEqual([]);
    const { warnings } = check({ wellId: "35-227-12345-00-00", location: howard });
    expect(warnings[0]!.message).toContain("Oklahoma");
  });
});

describe("production", () => {
  it.each([
    ["production_data", { oil: -1 }, "production.range production.oil"],
    ["daily_production", { oil: 50_001 }, "production.range production.oil"],
    ["daily_production", { gas: 500_001 }, "production.range production.gas"],
    ["daily_production", { water: 250_001 }, "production.range production.water"],
    ["daily_production", { daysOn: 2 }, "production.days-on production.daysOn"],
    ["monthly_summary", { daysOn: 32 }, "production.days-on production.daysOn"],
    ["monthly_summary", { daysOn: -1 }, "production.days-on production.daysOn"],
    ["monthly_summary", { daysOn: 0 }, "production.days-on production.daysOn"],
    ["annual_report", { daysOn: 367 }, "production.days-on production.daysOn"],
    ["production_data", { pressure: -1 }, "production.pressure production.pressure"],
    ["production_data", { pressure: 20_001 }, "production.pressure production.pressure"],
    ["production_data", { temperature: 501 }, "production.temperature production.temperature"],
    ["production_data", { oil: 1, water: 9999 }, "production.water-cut production.water"],
  ] as const)("%s with %j is an error", (validationType, fields, expected) => {
    const { errors } = check({ validationType, production: { ...production, ...fields } });
    expect(rulesOf(errors)).toContain(expected);
  });

  it.each([
    ["daily_production", { oil: 10_001 }, "production.range production.oil"],
    ["production_data", { pressure: 10_001 }, "production.pressure production.pressure"],
    ["production_data", { temperature: 0 }, "production.temperature production.temperature"],
    ["production_data", { oil: 4, water: 96 }, "production.water-cut production.water"],
    ["production_data", { gas: 0 }, "production.gas-oil-ratio production.gas"],
    ["production_data", { oil: 1, gas: 100 }, "production.gas-oil-ratio production.gas"],
    ["performance", { daysOn: 20 }, "production.uptime production.daysOn"],
    ["performance", { oil: 0, gas: 0, water: 0 }, "production.range production"],
  ] as const)("%s with %j is a warning", (validationType, fields, expected) => {
    const { warnings } = check({ validationType, production: { ...production, ...fields } });
    expect(rulesOf(warnings)).toContain(expected);
  });

  it("counts the month's own days", () => {
    const at = (month: string, daysOn: number) =>
      check({ validationType: "monthly_summary", month, production: { ...production, daysOn } });
    expect(at("2026-02", 28).errors).toEqual([]);
    expect(at("2026-02", 29).errors).toHaveLength(1);
    expect(at("2024-02", 29).errors).toEqual([]);
  });

  it("the Texas gas-oil ratio holds in Texas", () => {
    const gassy = { oil: 100, gas: 300, water: 0 };
    expect(check({ production: gassy }).warnings).toEqual([]);
    expect(rulesOf(check({ production: gassy, location: howard }).warnings)).toEqual([
      "production.gas-oil-ratio production.gas",
    ]);
  });

  it("derives ratios in the units they are told in", () => {
    expect(derive({ oil: 100, gas: 300, water: 300 })).toEqual({
      gor: 3000,
      wor: 3,
      waterCut: 75,
      boe: 150,
    });
    expect(derive({ oil: 0, gas: 0, water: 0 })).toEqual({
      gor: null,
      wor: null,
      waterCut: null,
      boe: 0,
    });
    expect(derive({ oil: -1, gas: 0, water: 0 }).boe).toBeNull();
    expect(derive(undefined).boe).toBeNull();
  });
});

describe("what each type needs", () => {
  it.each([
    ["production_data", ["production"]],
    ["daily_production", ["production"]],
    ["monthly_summary", ["production"]],
    ["annual_report", ["production"]],
    ["performance", ["production"]],
    ["integrity", ["production"]],
    ["compliance", ["production", "operatorId", "location"]],
    ["ownership", ["ownership"]],
    ["revenue", ["revenue"]],
    ["equipment_status", ["equipment"]],
  ] as const)("%s without anything", (validationType, missing) => {
    const { errors } = check({ validationType, production: undefined });
    expect(rulesOf(errors)).toEqual(missing.map((field) => `required ${field}`));
    expect(errors[0]!.message).toContain("missing");
  });
});

describe("history", () => {
  const declining = Array.from({ length: 8 }, (_, i) => ({
    date: `2025-0${i + 1}-01`,
    oil: 1000 * 0.9 ** i,
    gas: 1500 * 0.9 ** i,
    water: 200,
  }));
  const next = { oil: 1000 * 0.9 ** 8, gas: 1500 * 0.9 ** 8, water: 200 };

  it("lets a decline go on, in whatever order the rows come", () => {
    expect(check({ history: declining, production: next }).warnings).toEqual([]);
    expect(check({ history: declining.toReversed(), production: next }).warnings).toEqual([]);
  });

  it("warns of a break in it", () => {
    const drop = check({ history: declining, production: { ...next, oil: next.oil * 0.4 } });
    expect(rulesOf(drop.warnings)).toContain("history.trend production.oil");
    const rise = check({ history: declining, production: { ...next, gas: next.gas * 2.1 } });
    expect(rulesOf(rise.warnings)).toContain("history.trend production.gas");
  });

  it("warns of outliers", () => {
    const history = [100, 101, 99, 100, 102, 98].map((water) => ({ oil: 300, gas: 400, water }));
    const { warnings } = check({ history, production: { ...production, water: 150 } });
    expect(rulesOf(warnings)).toEqual(["history.outlier production.water"]);
  });

  it("compares by producing day where the rows tell their days", () => {
    const history = [{ oil: 300, gas: 400, water: 100, daysOn: 30 }];
    const half = { oil: 150, gas: 200, water: 50, daysOn: 15 };
    expect(check({ history, production: half }).warnings).toEqual([]);
    expect(check({ history, production: { ...half, daysOn: 30, oil: 140 } }).warnings).toHaveLength(
      1,
    );
  });

  it("survives rows that make no sense", () => {
    const history = [{}, { oil: "x" }, { oil: null, date: 5 }, { oil: -4 }, { oil: 0 }];
    expect(check({ history }).errors).toEqual([]);
  });
});

describe("ownership", () => {
  const owners = (...interests: number[]) =>
    interests.map((interest, i) => ({ owner: `O-${i}`, interest }));
  const of = (ownership: unknown) =>
    check({ validationType: "ownership", production: undefined, ownership });

  it("adds up to 1", () => {
    expect(of(owners(0.75, 0.125, 0.125)).errors).toEqual([]);
    expect(of(owners(...Array<number>(10).fill(0.1))).errors).toEqual([]);
    expect(of({ owners: [{ owner: "a", ownershipPercentage: 100 }] }).errors).toEqual([]);
  });

  it("or is told not to", () => {
    expect(of(owners(0.5, 0.4)).errors[0]).toMatchObject({
      rule: "ownership.sum",
      value: 0.9,
      limit: 1,
    });
    expect(of(owners(50, 50)).errors.at(-1)!.message).toContain("percent");
    expect(of([]).errors).toHaveLength(1);
    expect(of([{ owner: "a" }, 5]).errors).toHaveLength(2);
    expect(
      of([
        { owner: "a", interest: 0.5 },
        { owner: "a", interest: 0.5 },
      ]).warnings,
    ).toHaveLength(1);
  });
});

describe("revenue", () => {
  const of = (revenue: unknown) => check({ validationType: "revenue", revenue });

  it("adds up", () => {
    const gross = 300 * 70 + 400 * 3;
    const net = gross - 1500;
    const fine = { gross, oilPrice: 70, gasPrice: 3, taxes: 1000, deductions: 500, net };
    expect(of(fine).errors).toEqual([]);
    expect(rulesOf(of({ ...fine, net: net + 1 }).errors)).toEqual(["revenue.amounts revenue.net"]);
    expect(rulesOf(of({ ...fine, oilPrice: 71 }).errors)).toEqual([
      "revenue.amounts revenue.gross",
    ]);
    expect(of({ ...fine, taxes: -1 }).errors.length).toBeGreaterThan(0);
    expect(of({}).errors).toHaveLength(1);
  });
});

describe("equipment", () => {
  const of = (equipment: unknown) => check({ validationType: "equipment_status", equipment });

  it("works, is within its rating and was inspected", () => {
    expect(of([{ status: "active", lastInspection: "2026-01-01" }]).errors).toEqual([]);
    expect(rulesOf(of([{ status: "failed" }]).errors)).toEqual([
      "equipment.status equipment[0].status",
    ]);
    expect(of([{ status: "active", pressure: 10, maxPressure: 9 }]).errors).toHaveLength(1);
    expect(of([{ status: "active", lastInspection: "2024-01-01" }]).warnings).toHaveLength(1);
    expect(of([{ status: "active", lastInspection: "soon" }]).errors).toHaveLength(1);
    expect(of("broken").errors).toHaveLength(1);
  });
});

describe("validationRules", () => {
  it("narrows the rules down, by name or group", () => {
    const bad = { ...production, oil: -1, pressure: -1 };
    expect(
      rulesOf(check({ production: bad, validationRules: ["production.pressure"] }).errors),
    ).toEqual(["production.pressure production.pressure"]);
    expect(check({ production: bad, validationRules: ["location"] }).errors).toEqual([]);
  });

  it("warns of unknown ones, and runs all where none is known", () => {
    const { errors, warnings } = check({
      production: { ...production, oil: -1 },
      validationRules: ["no_such_rule"],
    });
    expect(errors).toHaveLength(1);
    expect(rulesOf(warnings)).toEqual(["rules validationRules"]);
  });
});

it("never throws, whatever the figures", () => {
  const figure = fc.oneof(fc.double(), fc.integer(), fc.constant(0));
  fc.assert(
    fc.property(
      fc.record({ oil: figure, gas: figure, water: figure, daysOn: figure, pressure: figure }),
      fc.array(fc.record({ oil: figure, gas: figure, water: figure })),
      fc.anything(),
      (production, history, extra) => {
        const { errors } = check({
          production,
          history,
          location: { ...howard, latitude: production.oil },
          ownership: extra,
          revenue: extra,
          equipment: extra,
        });
        return Array.isArray(errors);
      },
    ),
  );
});

describe("the handler", () => {
  let files: Storage;
  beforeEach(async () => {
    files = await newStorage();
  });
  afterEach(() => files.close());

  const failing = {
    wellId: "WELL-1250",
    validationType: "production_data",
    production: { oil: -5, gas: 1, water: 1 },
    notifyOnFailure: true,
  };

  it("keeps the row as a record", async () => {
    const data = { wellId: "W", validationType: "production_data", production };
    await runHandler(dataValidationHandler({ files }), data, { jobId: 8 });
    const record = await files.of(TENANT).getRecord("validations", "8");
    expect(record!.value).toMatchObject({ wellId: "W", oil: 300, passed: true, boe: 366.6667 });
  });

  it("queues an e-mail about a failure, once", async () => {
    const queued: FollowUp[] = [];
    const enqueue = async (_tenant: string, job: FollowUp) => queued.push(job);
    const handler = dataValidationHandler({ files, notifyEmail: "ops@example.com", enqueue });
    const { result } = await runHandler(handler, failing, { jobId: 3 });
    expect(result).toMatchObject({
      passed: false,
      notification: { jobId: 1, to: "ops@example.com" },
    });
    expect(queued).toMatchObject([
      { queue: "email-notifications", uniqueKey: "validation-failed-3" },
    ]);
  });

  it("warns where nobody can be told", async () => {
    const { result } = await runHandler(dataValidationHandler({ files }), failing);
    expect(result["warnings"]).toMatchObject([{ rule: "notification", limit: "NOTIFY_EMAIL" }]);
  });

  it("compares with the well's own past where asked to", async () => {
    const handler = dataValidationHandler({ files });
    const data = { wellId: "W", validationType: "monthly_summary", includeHistorical: true };
    const first = await runHandler(
      handler,
      { ...data, month: "2026-01", production },
      { jobId: 1 },
    );
    expect(first.result["warnings"]).toMatchObject([{ rule: "history.trend", field: "history" }]);
    const half = { ...production, oil: 100 };
    const second = await runHandler(
      handler,
      { ...data, month: "2026-02", production: half },
      { jobId: 2 },
    );
    expect(second.result["warnings"]).toMatchObject([
      { rule: "history.trend", field: "production.oil", value: 100, limit: 150 },
    ]);
  });
});

it("the documentation lists every rule and every threshold", async () => {
  const page = await readFile(
    new URL("../../../../docs/job-types/data-validation.md", import.meta.url),
    "utf8",
  );
  for (const id of ruleIds) expect(page).toContain(`\`${id}\``);
  const figures = Object.values(thresholds).flatMap((value): number[] =>
    typeof value === "number" ? [value] : Object.values(value),
  );
  for (const figure of figures)
    expect(page).toContain(figure.toLocaleString("en-US", { maximumFractionDigits: 6 }));
});
