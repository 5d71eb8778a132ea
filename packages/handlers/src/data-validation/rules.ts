import type { JobData, jobTypes } from "@jobyard/core";
import {
  BORDER_TOLERANCE_KM,
  countiesNamed,
  countyAt,
  distanceKm,
  stateOf,
  stateOfApiNumber,
} from "./counties.ts";
import { thresholds } from "./thresholds.ts";

export type ValidationData = JobData<(typeof jobTypes)["data-validation"]>;
export type ValidationType = ValidationData["validationType"];

export interface Finding {
  readonly rule: string;
  readonly field: string;
  readonly value: unknown;
  readonly limit: unknown;
  readonly message: string;
}

export interface Findings {
  readonly errors: Finding[];
  readonly warnings: Finding[];
  /** Fields that were there and that a rule looked at. */
  readonly validatedFields: string[];
}

/** A period's production as `history` and the tenant's own records give it. */
export interface HistoryRow {
  readonly [field: string]: unknown;
}

export interface Subject {
  readonly data: ValidationData;
  readonly history: readonly HistoryRow[];
  /** Epoch ms. */
  readonly now: number;
}

type Fluid = "oil" | "gas" | "water";
const fluids: readonly Fluid[] = ["oil", "gas", "water"];

interface Report {
  error(field: string, value: unknown, limit: unknown, message: string): void;
  warning(field: string, value: unknown, limit: unknown, message: string): void;
  /** Notes that a field was looked at. */
  saw(...fields: string[]): void;
}

interface Rule {
  readonly id: string;
  /** Absent: every type. */
  readonly types?: readonly ValidationType[];
  check(subject: Subject, report: Report): void;
}

const productionTypes = [
  "production_data",
  "daily_production",
  "monthly_summary",
  "annual_report",
  "compliance",
  "performance",
] as const;

/** In the order in which their findings are told. */
const rules: readonly Rule[] = [
  { id: "required", check: checkRequired },
  { id: "production.range", check: checkVolumes },
  { id: "production.days-on", check: checkDaysOn },
  { id: "production.pressure", check: checkPressure },
  { id: "production.temperature", check: checkTemperature },
  { id: "production.gas-oil-ratio", check: checkGasOilRatio },
  { id: "production.water-cut", check: checkWaterCut },
  { id: "production.uptime", types: ["performance"], check: checkUptime },
  { id: "location.coordinates", check: checkLocation },
  { id: "well.api-number", check: checkApiNumber },
  { id: "history.trend", check: checkTrend },
  { id: "history.outlier", check: checkOutlier },
  { id: "ownership.sum", check: checkOwnership },
  { id: "revenue.amounts", check: checkRevenue },
  { id: "equipment.status", check: checkEquipment },
];

export const ruleIds: readonly string[] = rules.map(({ id }) => id);

/**
 * Runs the rules that the validation type has; `validationRules`, where it names any of them (`production.range`,
 * or a group such as `production`), narrows them down, but never leaves out `required`.
 */
export function validate(subject: Subject): Findings {
  const { validationType, validationRules = [] } = subject.data;
  const findings: Findings = { errors: [], warnings: [], validatedFields: [] };
  const seen = new Set<string>();
  const wanted = validationRules.filter((name) => rules.some((rule) => names(name, rule)));
  for (const name of validationRules) {
    if (wanted.includes(name)) continue;
    findings.warnings.push({
      rule: "rules",
      field: "validationRules",
      value: name,
      limit: ruleIds,
      message: `There is no rule ${name}`,
    });
  }
  for (const rule of rules) {
    if (rule.types !== undefined && !rule.types.includes(validationType)) continue;
    const chosen = rule.id === "required" || wanted.some((name) => names(name, rule));
    if (wanted.length > 0 && !chosen) continue;
    const tell =
      (to: Finding[]) =>
      (field: string, value: unknown, limit: unknown, message: string): void => {
        seen.add(field);
        to.push({ rule: rule.id, field, value: value ?? null, limit, message });
      };
    rule.check(subject, {
      error: tell(findings.errors),
      warning: tell(findings.warnings),
      saw: (...fields) => fields.forEach((field) => seen.add(field)),
    });
  }
  const there = [...seen].filter((field) => valueAt(subject.data, field) !== undefined);
  findings.validatedFields.push(...there);
  return findings;
}

function names(name: string, { id }: Rule): boolean {
  return id === name || id.startsWith(`${name}.`);
}

export interface Derived {
  /** Gas-oil ratio, cubic feet a barrel. */
  readonly gor: number | null;
  /** Water-oil ratio. */
  readonly wor: number | null;
  /** Percent of all liquid. */
  readonly waterCut: number | null;
  /** Barrels of oil equivalent. */
  readonly boe: number | null;
}

/** null where there is nothing to divide by, or a volume is negative. */
export function derive(production: ValidationData["production"]): Derived {
  const none = { gor: null, wor: null, waterCut: null, boe: null };
  if (production === undefined) return none;
  const { oil, gas, water } = production;
  if (oil < 0 || gas < 0 || water < 0) return none;
  const liquid = oil + water;
  return {
    gor: oil === 0 ? null : round((gas * 1000) / oil),
    wor: oil === 0 ? null : round(water / oil),
    waterCut: liquid === 0 ? null : round((water / liquid) * 100),
    boe: round(oil + gas / thresholds.mcfPerBoe),
  };
}

/** Days of the period that the volumes are of. */
function daysInPeriod({ data }: Subject): number {
  if (data.validationType === "daily_production") return 1;
  const month = monthOf(data);
  if (data.validationType === "annual_report") {
    return month === null || isLeap(month.year) ? 366 : 365;
  }
  return month === null ? 31 : new Date(Date.UTC(month.year, month.month, 0)).getUTCDate();
}

/** The first of `productionDate`, `reportingPeriod`, `period`, `month`, `date` that names one. */
function monthOf(data: ValidationData): { year: number; month: number } | null {
  for (const field of ["productionDate", "reportingPeriod", "period", "month", "date"]) {
    const value = data[field] ?? data.production?.[field];
    if (typeof value !== "string") continue;
    const [, year, month] = /^(\d{4})(?:-(\d\d))?(?:-\d\d)?(?:T|$)/.exec(value) ?? [];
    if (year !== undefined && Number(month ?? 1) >= 1 && Number(month ?? 1) <= 12) {
      return { year: Number(year), month: Number(month ?? 1) };
    }
  }
  return null;
}

function isLeap(year: number): boolean {
  return new Date(Date.UTC(year, 1, 29)).getUTCMonth() === 1;
}

/** Days that the well produced on, where told and possible; else the period's. */
function producingDays(subject: Subject): number {
  const most = daysInPeriod(subject);
  const daysOn = subject.data.production?.daysOn;
  return daysOn !== undefined && daysOn > 0 && daysOn <= most ? daysOn : most;
}

function checkRequired({ data }: Subject, report: Report): void {
  const { validationType: type } = data;
  const missing = (field: string, why = `a ${type} validation needs it`) =>
    report.error(field, null, "required", `${field} is missing: ${why}`);
  if (productionTypes.some((known) => known === type) && data.production === undefined) {
    missing("production");
  }
  if (type === "compliance") {
    if (data.operatorId === undefined) missing("operatorId");
    if (data.location === undefined) missing("location");
    if (data.production !== undefined && data.production.daysOn === undefined) {
      missing("production.daysOn");
    }
  }
  if (type === "integrity" && data.production === undefined && data.location === undefined) {
    missing("production", "an integrity validation needs production or location");
  }
  if (type === "ownership" && ownersOf(data) === null) missing("ownership");
  if (type === "revenue" && !isRecord(data["revenue"])) missing("revenue");
  if (type === "equipment_status") {
    const { pressure, temperature } = data.production ?? {};
    if (data["equipment"] === undefined && pressure === undefined && temperature === undefined) {
      missing("equipment", "or production.pressure or production.temperature");
    }
  }
  report.saw("wellId", "leaseId", "operatorId");
}

const volumeLimits = {
  oil: { ...thresholds.oilBblPerDay, unit: "bbl" },
  gas: { ...thresholds.gasMcfPerDay, unit: "Mcf" },
  water: { ...thresholds.waterBblPerDay, unit: "bbl" },
};

function checkVolumes(subject: Subject, report: Report): void {
  const { production, validationType } = subject.data;
  if (production === undefined) return;
  const days = producingDays(subject);
  for (const fluid of fluids) {
    const field = `production.${fluid}`;
    const value = production[fluid];
    const { warning, error, unit } = volumeLimits[fluid];
    report.saw(field);
    if (value < 0) {
      report.error(field, value, 0, `${fluid} of ${value} ${unit} is negative`);
    } else if (value > error * days) {
      report.error(
        field,
        value,
        error * days,
        `${fluid} of ${value} ${unit} in ${days} days is more than a well can make`,
      );
    } else if (value > warning * days) {
      report.warning(
        field,
        value,
        warning * days,
        `${fluid} of ${value} ${unit} in ${days} days is very high`,
      );
    }
  }
  const idle = fluids.every((fluid) => production[fluid] === 0);
  if (idle && validationType === "performance") {
    report.warning("production", 0, "more than 0", "The well produced nothing");
  }
}

function checkDaysOn(subject: Subject, report: Report): void {
  const { production } = subject.data;
  const daysOn = production?.daysOn;
  if (production === undefined || daysOn === undefined) return;
  const most = daysInPeriod(subject);
  const field = "production.daysOn";
  const produced = fluids.some((fluid) => production[fluid] > 0);
  report.saw(field);
  if (daysOn < 0 || daysOn > most) {
    report.error(field, daysOn, most, `${daysOn} days on: the period has ${most}`);
  } else if (daysOn === 0 && produced) {
    report.error(field, daysOn, "more than 0", "There is production, but on no day");
  } else if (daysOn > 0 && !produced) {
    report.warning(field, daysOn, 0, `${daysOn} days on without any production`);
  }
}

function checkPressure({ data }: Subject, report: Report): void {
  const pressure = data.production?.pressure;
  if (pressure === undefined) return;
  const { min, warning, error } = thresholds.pressurePsi;
  const field = "production.pressure";
  report.saw(field);
  if (pressure < min) {
    report.error(field, pressure, min, `A pressure of ${pressure} psi is negative`);
  } else if (pressure > error) {
    report.error(field, pressure, error, `A pressure of ${pressure} psi is above all equipment`);
  } else if (pressure > warning) {
    report.warning(field, pressure, warning, `A pressure of ${pressure} psi is very high`);
  }
}

function checkTemperature({ data }: Subject, report: Report): void {
  const temperature = data.production?.temperature;
  if (temperature === undefined) return;
  const { min, warningBelow, warning, error } = thresholds.temperatureF;
  const field = "production.temperature";
  report.saw(field);
  if (temperature < min || temperature > error) {
    const limit = temperature < min ? min : error;
    report.error(field, temperature, limit, `A temperature of ${temperature} °F is not plausible`);
  } else if (temperature < warningBelow || temperature > warning) {
    const limit = temperature < warningBelow ? warningBelow : warning;
    report.warning(field, temperature, limit, `A temperature of ${temperature} °F is unusual`);
  }
}

function checkGasOilRatio({ data }: Subject, report: Report): void {
  const { gor } = derive(data.production);
  const field = "production.gas";
  if (gor === null) return;
  report.saw("production.oil", field);
  const { gorGasWell, gorOilWell } = thresholds;
  const state = data.location === undefined ? undefined : stateOf(data.location.state);
  const ratio = `The gas-oil ratio is ${Math.round(gor)} cubic feet a barrel`;
  if (gor === 0) {
    report.warning(field, gor, "more than 0", "Oil without any gas is unusual: was gas measured?");
  } else if (gor >= gorGasWell) {
    report.warning(field, gor, gorGasWell, `${ratio}: a gas well by 16 TAC 3.79`);
  } else if (gor > gorOilWell && (state?.code === "TX" || data.validationType === "compliance")) {
    report.warning(
      field,
      gor,
      gorOilWell,
      `${ratio}: an oil well in Texas needs an exception for it (16 TAC 3.49)`,
    );
  }
}

function checkWaterCut({ data }: Subject, report: Report): void {
  const { waterCut } = derive(data.production);
  if (waterCut === null) return;
  const { warning, error } = thresholds.waterCutPercent;
  const field = "production.water";
  report.saw("production.oil", field);
  const text = `Water is ${waterCut}% of the liquid`;
  if (waterCut > error && data.production?.oil !== 0) {
    report.error(field, waterCut, error, `${text}, yet oil is reported`);
  } else if (waterCut > warning) {
    report.warning(field, waterCut, warning, text);
  }
}

function checkUptime(subject: Subject, report: Report): void {
  const daysOn = subject.data.production?.daysOn;
  if (daysOn === undefined) return;
  const days = daysInPeriod(subject);
  const uptime = round(daysOn / days);
  if (daysOn < 0 || uptime >= thresholds.uptimeFraction) return;
  report.warning(
    "production.daysOn",
    daysOn,
    round(days * thresholds.uptimeFraction),
    `The well was on for ${Math.round(uptime * 100)}% of ${days} days`,
  );
}

function checkLocation({ data }: Subject, report: Report): void {
  const { location } = data;
  if (location === undefined) return;
  const { latitude, longitude } = location;
  report.saw("location.latitude", "location.longitude", "location.state", "location.county");
  let possible = true;
  for (const [field, value, most] of [
    ["location.latitude", latitude, 90],
    ["location.longitude", longitude, 180],
  ] as const) {
    if (Math.abs(value) <= most) continue;
    possible = false;
    report.error(field, value, [-most, most], `${value} is not between -${most} and ${most}`);
  }
  const state = stateOf(location.state);
  if (state === undefined) {
    const message = `${location.state} is no state of the United States`;
    report.error("location.state", location.state, "a state's name or postal code", message);
    return;
  }
  const named = countiesNamed(location.county, state);
  if (named.length === 0) {
    const message = `${state.name} has no ${location.county} County`;
    report.error("location.county", location.county, `a county of ${state.code}`, message);
  }
  if (!possible) return;
  const point = { latitude, longitude };
  const actual = countyAt(point);
  const place = `${latitude}, ${longitude}`;
  const where =
    actual === undefined ? "in no county" : `in ${actual.name} County, ${actual.state.code}`;
  if (named.length === 0) {
    if (actual === undefined || actual.state.fips !== state.fips) {
      report.error("location", point, state.code, `${place} is ${where}, not in ${state.name}`);
    }
    return;
  }
  const away = Math.min(...named.map((county) => distanceKm(point, county)));
  if (away === 0) return;
  const distance = `${away < 10 ? away.toFixed(1) : Math.round(away)} km`;
  const county = `${named[0]?.name} County, ${state.code}`;
  if (away <= BORDER_TOLERANCE_KM) {
    const message = `${place} is at the border of ${county}: ${distance} outside, ${where}`;
    report.warning("location", point, BORDER_TOLERANCE_KM, message);
    return;
  }
  const mended = [
    { point: { latitude, longitude: -longitude }, hint: "the longitude's sign is wrong" },
    { point: { latitude: longitude, longitude: latitude }, hint: "the two are exchanged" },
    { point: { latitude: -latitude, longitude }, hint: "the latitude's sign is wrong" },
  ].find(({ point }) => named.some(({ fips }) => countyAt(point)?.fips === fips));
  const hint = mended === undefined ? "" : `; it seems that ${mended.hint}`;
  const message = `${place} is ${where}, ${distance} from ${county}${hint}`;
  report.error("location", point, county, message);
}

function checkApiNumber({ data }: Subject, report: Report): void {
  if (data.wellId === undefined || data.location === undefined) return;
  const state = stateOfApiNumber(data.wellId);
  const told = stateOf(data.location.state);
  if (state === undefined || told === undefined || state.fips === told.fips) return;
  const message = `API number ${data.wellId} is of ${state.name}, the location in ${told.name}`;
  report.warning("wellId", data.wellId, told.code, message);
}

/** Volumes a day, oldest first, of the rows that have one. */
function ratesOf(history: readonly HistoryRow[], fluid: Fluid): number[] {
  const dated = history.map((row, index) => ({ row, index, at: timeOf(row) }));
  // Rows without a date stay where they are: as they came, oldest first.
  if (dated.every(({ at }) => at !== null)) {
    dated.sort((a, b) => (a.at ?? 0) - (b.at ?? 0) || a.index - b.index);
  }
  return dated.flatMap(({ row }) => {
    const volume = row[fluid];
    const days = row["daysOn"];
    if (typeof volume !== "number" || volume < 0) return [];
    return [typeof days === "number" && days > 0 ? volume / days : volume];
  });
}

function timeOf(row: HistoryRow): number | null {
  for (const field of ["date", "productionDate", "period", "month", "reportingPeriod"]) {
    const value = row[field];
    if (typeof value !== "string") continue;
    const at = Date.parse(value);
    if (!Number.isNaN(at)) return at;
  }
  return null;
}

/** As the history's rows: by day where they tell their days on. */
function currentRate({ data, history }: Subject, fluid: Fluid): number | null {
  const { production } = data;
  if (production === undefined) return null;
  const { daysOn } = production;
  const byDay = history.some((row) => typeof row["daysOn"] === "number" && row["daysOn"] > 0);
  return byDay && daysOn !== undefined && daysOn > 0
    ? production[fluid] / daysOn
    : production[fluid];
}

function checkTrend(subject: Subject, report: Report): void {
  const { data, history } = subject;
  if (data.includeHistorical === true && history.length === 0) {
    const message = "There is no history to compare with";
    report.warning("history", null, "rows", message);
  }
  const { below, above, trendRows } = thresholds.history;
  for (const fluid of ["oil", "gas"] as const) {
    const rates = ratesOf(history, fluid);
    const rate = currentRate(subject, fluid);
    const expected = expectedRate(rates, trendRows);
    if (rate === null || expected === null) continue;
    report.saw("history", `production.${fluid}`);
    const ratio = rate / expected;
    if (ratio >= below && ratio <= above) continue;
    const basis = rates.length >= trendRows ? "its decline lets expect" : "the last row has";
    const limit = round(expected * (ratio < below ? below : above));
    const percent = Math.round(Math.abs(ratio - 1) * 100);
    const message = `${fluid} is ${percent}% ${ratio < 1 ? "less" : "more"} than ${basis} (${round(expected)})`;
    report.warning(`production.${fluid}`, data.production?.[fluid], limit, message);
  }
}

/** Exponential decline (Arps, b = 0) through the rows by least squares; few rows: the last one. */
function expectedRate(rates: readonly number[], trendRows: number): number | null {
  const points = rates.flatMap((rate, x) => (rate > 0 ? [{ x, y: Math.log(rate) }] : []));
  const last = points.at(-1);
  if (last === undefined) return null;
  if (points.length < trendRows) return Math.exp(last.y);
  const meanX = mean(points.map(({ x }) => x));
  const meanY = mean(points.map(({ y }) => y));
  let covariance = 0;
  let variance = 0;
  for (const { x, y } of points) {
    covariance += (x - meanX) * (y - meanY);
    variance += (x - meanX) ** 2;
  }
  return Math.exp(meanY + (covariance / variance) * (rates.length - meanX));
}

function checkOutlier(subject: Subject, report: Report): void {
  const { outlierScore, outlierRows } = thresholds.history;
  for (const fluid of fluids) {
    const rates = ratesOf(subject.history, fluid);
    const rate = currentRate(subject, fluid);
    if (rate === null || rates.length < outlierRows) continue;
    report.saw("history", `production.${fluid}`);
    const middle = median(rates);
    // Equal rows have no spread: then a tenth of them is taken for it.
    const spread = median(rates.map((value) => Math.abs(value - middle))) || Math.abs(middle) / 10;
    if (spread === 0) continue;
    const score = (0.6745 * (rate - middle)) / spread;
    if (Math.abs(score) <= outlierScore) continue;
    const message = `${fluid} is an outlier among ${rates.length} rows of history: modified z-score ${score.toFixed(1)}, their median is ${round(middle)}`;
    report.warning(`production.${fluid}`, subject.data.production?.[fluid], outlierScore, message);
  }
}

const interestFields = [
  "interest",
  "decimalInterest",
  "workingInterest",
  "netRevenueInterest",
  "royaltyInterest",
  "ownershipPercentage",
  "percentage",
];
/** Not every one of these sums to the whole: royalty is a part of the net revenue interests. */
const wholeFields = new Set(interestFields.filter((field) => field !== "royaltyInterest"));

/** `ownership` or `owners`: rows, or an object with `owners`; null: none. */
function ownersOf(data: ValidationData): readonly unknown[] | null {
  for (const value of [data["ownership"], data["owners"]]) {
    if (Array.isArray(value)) return value;
    if (isRecord(value) && Array.isArray(value["owners"])) return value["owners"];
  }
  return null;
}

function checkOwnership({ data }: Subject, report: Report): void {
  const owners = ownersOf(data);
  if (owners === null) return;
  const top = data["ownership"] === undefined ? "owners" : "ownership";
  report.saw(top);
  if (owners.length === 0) {
    report.error(top, owners, "at least one owner", "There are no owners");
    return;
  }
  const sums = new Map<string, number>();
  const known = new Set<string>();
  for (const [index, owner] of owners.entries()) {
    const field = `${top}[${index}]`;
    const fields = isRecord(owner) ? interestFields.filter((name) => owner[name] != null) : [];
    if (!isRecord(owner) || fields.length === 0) {
      report.error(field, owner, interestFields, `${field} has no interest`);
      continue;
    }
    const name = owner["ownerId"] ?? owner["owner"] ?? owner["name"];
    const interestType = owner["interestType"] ?? owner["type"];
    if (typeof name === "string") {
      const key = JSON.stringify([name, interestType]);
      if (known.has(key)) report.warning(field, name, "once", `${name} is there twice`);
      known.add(key);
    }
    for (const interest of fields) {
      const value = owner[interest];
      const percent = interest.toLowerCase().includes("percent");
      const whole = percent ? 100 : 1;
      if (typeof value !== "number" || value < 0 || value > whole) {
        const message = `${field}.${interest} of ${String(value)} is not between 0 and ${whole}`;
        report.error(`${field}.${interest}`, value, [0, whole], message);
      }
      const kind = typeof interestType === "string" ? `${interest} (${interestType})` : interest;
      const share = typeof value === "number" ? value / whole : 0;
      if (wholeFields.has(interest)) sums.set(kind, (sums.get(kind) ?? 0) + share);
    }
  }
  for (const [kind, sum] of sums) {
    if (Math.abs(sum - 1) <= thresholds.ownershipSum) continue;
    const hint = Math.abs(sum - 100) < 0.01 ? ": they look like percent" : "";
    const total = Number(sum.toFixed(8));
    report.error(top, total, 1, `The owners' ${kind} adds up to ${total}, not to 1${hint}`);
  }
}

function checkRevenue({ data }: Subject, report: Report): void {
  const { revenue, production } = data;
  if (!isRecord(revenue)) return;
  report.saw("revenue");
  const amount = (name: string): number | null => {
    const value = revenue[name];
    if (value === undefined || value === null) return null;
    const field = `revenue.${name}`;
    report.saw(field);
    if (typeof value === "number" && value >= 0) return value;
    report.error(field, value, 0, `${field} of ${JSON.stringify(value)} is no amount`);
    return null;
  };
  const same = (field: string, value: number, expected: number, what: string): void => {
    const off = Math.abs(value - expected);
    if (off <= thresholds.revenueAmount + Math.abs(expected) * 1e-9) return;
    const message = `${field} is ${value}, but ${what} is ${round(expected)}`;
    report.error(`revenue.${field}`, value, round(expected), message);
  };
  const gross = amount("gross") ?? amount("grossRevenue");
  const grossField = revenue["gross"] === undefined ? "grossRevenue" : "gross";
  const net = amount("net") ?? amount("netRevenue");
  const taxes = amount("taxes") ?? 0;
  const deductions = amount("deductions") ?? 0;
  const oilPrice = amount("oilPrice");
  const gasPrice = amount("gasPrice");
  if (gross === null) {
    report.error("revenue.gross", null, "required", "revenue.gross is missing");
    return;
  }
  if (production !== undefined && (oilPrice !== null || gasPrice !== null)) {
    const value = production.oil * (oilPrice ?? 0) + production.gas * (gasPrice ?? 0);
    same(grossField, gross, value, "volume times price");
  }
  if (net !== null) {
    const field = revenue["net"] === undefined ? "netRevenue" : "net";
    same(field, net, gross - taxes - deductions, "gross less taxes and deductions");
  }
}

const statuses = new Set([
  "active",
  "operational",
  "running",
  "ok",
  "idle",
  "standby",
  "maintenance",
  "inactive",
  "shut-in",
  "shut_in",
  "failed",
  "fault",
  "alarm",
]);
const badStatuses = new Set(["failed", "fault", "alarm"]);
const DAY_MS = 86_400_000;

function checkEquipment({ data, now }: Subject, report: Report): void {
  const { equipment } = data;
  if (equipment === undefined) return;
  report.saw("equipment");
  const items = Array.isArray(equipment) ? equipment : [equipment];
  for (const [index, item] of items.entries()) {
    const at = Array.isArray(equipment) ? `equipment[${index}]` : "equipment";
    if (!isRecord(item)) {
      report.error(at, item, "an object", `${at} is no object`);
      continue;
    }
    const { status, pressure, maxPressure, lastInspection } = item;
    if (typeof status !== "string" || !statuses.has(status.toLowerCase())) {
      const message = `${at} has no known status`;
      report.error(`${at}.status`, status, [...statuses], message);
    } else if (badStatuses.has(status.toLowerCase())) {
      report.error(`${at}.status`, status, "working", `${at} reports ${status}`);
    }
    if (typeof pressure === "number" && typeof maxPressure === "number" && pressure > maxPressure) {
      const message = `${at} is at ${pressure} psi, rated for ${maxPressure}`;
      report.error(`${at}.pressure`, pressure, maxPressure, message);
    }
    const inspected = typeof lastInspection === "string" ? Date.parse(lastInspection) : Number.NaN;
    if (lastInspection === undefined) continue;
    const days = Math.floor((now - inspected) / DAY_MS);
    if (Number.isNaN(inspected) || days < 0) {
      const message = `${at}.lastInspection is no past day`;
      report.error(`${at}.lastInspection`, lastInspection, "a past day", message);
    } else if (days > thresholds.inspectionDays) {
      const message = `${at} was inspected ${days} days ago`;
      report.warning(`${at}.lastInspection`, lastInspection, thresholds.inspectionDays, message);
    }
  }
}

function valueAt(data: unknown, field: string): unknown {
  let value: unknown = data;
  for (const key of field.split(/[.[\]]+/).filter((part) => part !== "")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2;
}

/** To four places. */
function round(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
