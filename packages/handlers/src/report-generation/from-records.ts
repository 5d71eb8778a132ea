import { HandlerError } from "@jobyard/core";
import { VALIDATIONS } from "../data-validation/handler.ts";
import { thresholds } from "../data-validation/thresholds.ts";
import { knownQuote, quotesIn } from "../quote-record.ts";
import type { TenantFiles } from "../storage.ts";
import { label, type Language } from "../wording.ts";
import {
  type Content,
  hiddenOf,
  languageIn,
  type Making,
  type Period,
  periodOf,
  reportOf,
  text,
} from "./build.ts";
import { reportKinds, type ReportData } from "./kinds.ts";
import { cellText, type Chart, type Fact, type Report, type Table } from "./report.ts";
import { chartOf, type DataRow, tabulate, withTotals } from "./tabulate.ts";

/** Records of made reports. */
export const REPORTS = "reports";

/**
 * A report over what the tenant's jobs have left.
 * @throws HandlerError, a fault of the data, where there is nothing that it could be about
 */
export async function reportOnRecords(
  data: ReportData,
  files: TenantFiles,
  making: Making,
): Promise<Report> {
  const period = periodOf(data, making.now);
  const content = await fromRecords(data, period, languageIn(data), files);
  return reportOf(data, content, making, data.entityId === undefined);
}

async function fromRecords(
  data: ReportData,
  period: Period,
  language: Language,
  files: TenantFiles,
): Promise<Content> {
  switch (reportKinds[data.reportType].source) {
    case "validations":
      return validationContent(data, await validationsIn(data, period, files), language);
    case "production":
      return productionContent(await productionIn(data, period, files), language);
    case "leases":
      return leaseContent(await productionIn(data, period, files), language);
    case "quotes":
      return quoteContent(data, period, files, language);
    case "activity":
      return activityContent(period, files, language);
    case "none":
      throw new HandlerError(
        "NO_DATA",
        `A ${data.reportType} report needs rows or datasetId: no job brings such data by itself`,
        { dataFault: true, stage: "gather" },
      );
  }
}

/** Validated rows of the organization, wells and leases asked for; those that name none are anybody's. */
async function validationsIn(
  { organizationId, wellIds, leaseIds }: ReportData,
  period: Period,
  files: TenantFiles,
): Promise<DataRow[]> {
  const rows: DataRow[] = [];
  for await (const { at, value } of files.listRecords(VALIDATIONS, period)) {
    const row = value as DataRow;
    const of = row["organizationId"];
    if (of != null && organizationId !== undefined && of !== organizationId) continue;
    if (wellIds !== undefined && !wellIds.includes(String(row["wellId"]))) continue;
    if (leaseIds !== undefined && !leaseIds.includes(String(row["leaseId"]))) continue;
    rows.push({ at: new Date(at).toISOString(), ...row });
  }
  return rows;
}

/**
 * For a period that was asked for, a row that names its own counts by that: January's production is validated
 * in February.
 */
async function productionIn(
  data: ReportData,
  period: Period,
  files: TenantFiles,
): Promise<DataRow[]> {
  if (data.dateRange === undefined && data.reportPeriod === undefined) {
    return validationsIn(data, period, files);
  }
  const rows = await validationsIn(data, { from: period.from, to: Infinity }, files);
  return rows.filter((row) => {
    const told = typeof row["period"] === "string" ? row["period"] : "";
    const [, day, month] = /^((\d{4}-\d\d)(?:-\d\d)?)/.exec(told) ?? [];
    if (day === undefined || month === undefined) return Date.parse(String(row["at"])) <= period.to;
    const [first, last] = [period.from, period.to].map((at) => new Date(at).toISOString());
    return day === month
      ? month >= String(first).slice(0, 7) && month <= String(last).slice(0, 7)
      : day >= String(first).slice(0, 10) && day <= String(last).slice(0, 10);
  });
}

function validationContent(
  data: ReportData,
  rows: readonly DataRow[],
  language: Language,
): Content {
  const words = text[language];
  const passed = rows.filter((row) => row["passed"] === true).length;
  const wells = new Set(rows.map((row) => row["wellId"] ?? row["leaseId"])).size;
  const rate = rows.length === 0 ? 0 : (passed / rows.length) * 100;
  const integer = (value: number) => cellText(value, "integer", language, null);
  const first = reportKinds[data.reportType].first;
  const shown = rows.map((row) => {
    const findings = Array.isArray(row["findings"]) ? row["findings"].join("; ") : null;
    return Object.fromEntries(
      first.map((field) => [field, field === "findings" ? findings : (row[field] ?? null)]),
    );
  });
  const days = new Map<string, [number, number]>();
  for (const row of rows) {
    const day = String(row["at"]).slice(0, 10);
    const counts = days.get(day) ?? [0, 0];
    counts[row["passed"] === true ? 0 : 1]++;
    days.set(day, counts);
  }
  const chart: Chart = {
    title: words.validationsByDay,
    kind: "bar",
    labels: [...days.keys()],
    series: [
      { name: words.passed, values: [...days.values()].map(([count]) => count) },
      { name: words.failed, values: [...days.values()].map(([, count]) => count) },
    ],
  };
  const table = tabulate(shown, { language, title: words.validations, first });
  return {
    subtitle: words.checkedSubtitle(integer(wells), integer(rows.length)),
    facts: [
      {
        label: words.passed,
        value: `${integer(passed)} (${cellText(rate, "percent", language, null)})`,
      },
      { label: words.failed, value: integer(rows.length - passed) },
    ],
    charts: rows.length === 0 ? [] : [chart],
    tables: [emptyOr(table, first, language)],
  };
}

/** A table without rows has no fields to tell its columns from. */
function emptyOr(table: Table, first: readonly string[], language: Language): Table {
  if (table.columns.length > 0) return table;
  const columns = first.map((field) => ({
    field,
    label: label(field, language),
    type: "text" as const,
  }));
  return { ...table, columns };
}

function amount(row: DataRow, field: string): number {
  const value = row[field];
  return typeof value === "number" && value >= 0 ? value : 0;
}

/** Sums of the rows that have production, by whatever `key` tells. */
function summed(rows: readonly DataRow[], key: (row: DataRow) => DataRow): Map<string, SummedRow> {
  const groups = new Map<string, SummedRow>();
  for (const row of rows) {
    if (typeof row["oil"] !== "number") continue;
    const names = key(row);
    const id = JSON.stringify(names);
    let group = groups.get(id);
    if (group === undefined) {
      group = { names, wells: new Set(), reports: 0, daysOn: 0, oil: 0, gas: 0, water: 0 };
      groups.set(id, group);
    }
    group.wells.add(row["wellId"]);
    group.reports++;
    group.daysOn += amount(row, "daysOn");
    for (const fluid of ["oil", "gas", "water"] as const) group[fluid] += amount(row, fluid);
  }
  return groups;
}

interface SummedRow {
  readonly names: DataRow;
  readonly wells: Set<unknown>;
  reports: number;
  daysOn: number;
  oil: number;
  gas: number;
  water: number;
}

/** `2026-02` of a period or moment. */
function monthOf(row: DataRow): string {
  const told = row["period"];
  const month = typeof told === "string" ? /^\d{4}-\d\d/.exec(told)?.[0] : undefined;
  return month ?? String(row["at"]).slice(0, 7);
}

function productionContent(all: readonly DataRow[], language: Language): Content {
  const words = text[language];
  const rows = latestOnly(all);
  const wells = summed(rows, ({ wellId = null, leaseId = null }) => ({ wellId, leaseId }));
  const data = [...wells.values()].map(({ names, reports, daysOn, oil, gas, water }) => ({
    ...names,
    reports,
    daysOn,
    oil,
    gas,
    water,
    boe: rounded(oil + gas / thresholds.mcfPerBoe),
    gor: oil === 0 ? null : rounded((gas * 1000) / oil),
    waterCut: oil + water === 0 ? null : rounded((water / (oil + water)) * 100),
  }));
  const fields = [
    "wellId",
    "leaseId",
    "reports",
    "daysOn",
    "oil",
    "gas",
    "water",
    "boe",
    "gor",
    "waterCut",
  ];
  const table = withTotals(
    tabulate(data, { language, title: words.byWell, first: fields }),
    language,
  );
  const byMonth = monthsChart(rows, language);
  const byWell = chartOf(table, words.byWell, language);
  return {
    subtitle: null,
    facts: totalsOf(data, language),
    charts: data.length === 0 ? [] : [byMonth, ...(byWell === null ? [] : [byWell])],
    tables: [emptyOr(table, fields, language)],
  };
}

function monthsChart(rows: readonly DataRow[], language: Language): Chart {
  const months = [...summed(rows, (row) => ({ month: monthOf(row) })).values()]
    .map((group) => ({ month: String(group.names["month"]), ...group }))
    .sort((a, b) => (a.month < b.month ? -1 : 1));
  return {
    title: text[language].byMonth,
    kind: months.length > 2 ? "line" : "bar",
    labels: months.map(({ month }) => month),
    series: (["oil", "gas", "water"] as const).map((fluid) => ({
      name: label(fluid, language),
      values: months.map((month) => month[fluid]),
    })),
  };
}

/** Of several validations of one well and period, only the last counts. */
function latestOnly(rows: readonly DataRow[]): DataRow[] {
  const latest = new Map<string, DataRow>();
  for (const row of rows) {
    const { wellId, leaseId, validationType, period, at } = row;
    latest.set(JSON.stringify([wellId, leaseId, validationType, period ?? at]), row);
  }
  return [...latest.values()];
}

function leaseContent(all: readonly DataRow[], language: Language): Content {
  const words = text[language];
  const rows = latestOnly(all);
  const groups = summed(rows, (row) => ({
    leaseId: row["leaseId"] ?? row["wellId"] ?? null,
    operatorId: row["operatorId"] ?? null,
    period: monthOf(row),
  }));
  const data = [...groups.values()].map(({ names, wells, daysOn, oil, gas, water }) => ({
    ...names,
    wells: wells.size,
    daysOn,
    oil,
    gas,
    water,
  }));
  const fields = reportKinds.form_pr.first;
  const table = withTotals(
    tabulate(data, { language, title: words.byLease, first: fields }),
    language,
  );
  return {
    subtitle: null,
    facts: totalsOf(data, language),
    charts: data.length === 0 ? [] : [monthsChart(rows, language)],
    tables: [emptyOr(table, fields, language)],
  };
}

function totalsOf(rows: readonly DataRow[], language: Language): Fact[] {
  return (["oil", "gas", "water"] as const).map((fluid) => ({
    label: label(fluid, language),
    value: cellText(
      rows.reduce((sum, row) => sum + amount(row, fluid), 0),
      "number",
      language,
      null,
    ),
  }));
}

async function quoteContent(
  data: ReportData,
  period: Period,
  files: TenantFiles,
  language: Language,
): Promise<Content> {
  const words = text[language];
  const { entityId } = data;
  if (entityId !== undefined) {
    const quote = await knownQuote(files, entityId);
    if (quote === null) {
      throw new HandlerError("ENTITY_NOT_FOUND", `There is no calculated quote ${entityId}`, {
        dataFault: true,
        stage: "gather",
      });
    }
    const { items, summary } = quote;
    const currency = typeof summary["currency"] === "string" ? summary["currency"] : null;
    const hidden = new Set([
      ...hiddenOf(data),
      "materialCost",
      "laborCost",
      "overheadCost",
      "margin",
    ]);
    const { first } = reportKinds[data.reportType];
    const table = withTotals(tabulate(items, { language, first, hidden, currency }), language);
    const facts = Object.entries(summary).flatMap(([field, value]): Fact[] => {
      if (typeof value === "number") {
        return [
          { label: label(field, language), value: cellText(value, "money", language, currency) },
        ];
      }
      return typeof value === "string"
        ? [{ label: label(field, language), value: dayText(value, language) }]
        : [];
    });
    const chart = chartOf(table, words.byItem, language);
    return { subtitle: null, facts, charts: chart === null ? [] : [chart], tables: [table] };
  }
  const rows: DataRow[] = [];
  for await (const { at, quoteId, items, summary } of quotesIn(files, period)) {
    const { subtotal, tax, total, currency, validUntil } = summary;
    rows.push({
      date: new Date(at).toISOString().slice(0, 10),
      quoteId,
      items: items.length,
      subtotal,
      tax,
      total,
      currency,
      validUntil,
    });
  }
  const fields = ["date", "quoteId", "items", "subtotal", "tax", "total", "currency", "validUntil"];
  const plain = tabulate(rows, { language, title: words.quotes, first: fields });
  // Amounts in several currencies do not add up.
  const table = rows.length > 0 && plain.currency === null ? plain : withTotals(plain, language);
  const chart = chartOf(table, words.quotes, language);
  return {
    subtitle: null,
    facts: [{ label: words.quotes, value: cellText(rows.length, "integer", language, null) }],
    charts: chart === null ? [] : [chart],
    tables: [emptyOr(table, fields, language)],
  };
}

function dayText(value: string, language: Language): string {
  const at = /^\d{4}-\d\d-\d\d/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? value : cellText(at, "date", language, null);
}

/** What the tenant's jobs did, by day and kind. */
async function activityContent(
  period: Period,
  files: TenantFiles,
  language: Language,
): Promise<Content> {
  const words = text[language];
  const kinds = [
    ["validations", words.validations, files.listRecords(VALIDATIONS, period)],
    ["quotes", words.quotes, quotesIn(files, period)],
    ["reports", words.reports, files.listRecords(REPORTS, period)],
  ] as const;
  const days = new Map<string, number[]>();
  const totals = kinds.map(() => 0);
  for (const [index, [, , records]] of kinds.entries()) {
    for await (const { at } of records) {
      const day = new Date(at).toISOString().slice(0, 10);
      const counts = days.get(day) ?? kinds.map(() => 0);
      counts[index] = (counts[index] ?? 0) + 1;
      totals[index] = (totals[index] ?? 0) + 1;
      days.set(day, counts);
    }
  }
  const sorted = [...days].sort(([a], [b]) => (a < b ? -1 : 1));
  const columns: Table["columns"] = [
    { field: "date", label: label("date", language), type: "date" },
    ...kinds.map(([field, label]) => ({ field, label, type: "integer" as const })),
  ];
  const table: Table = {
    title: words.byDay,
    columns,
    rows: sorted.map(([day, counts]) => [Date.parse(day), ...counts]),
    totals: null,
    currency: null,
  };
  const chart: Chart = {
    title: words.byDay,
    kind: sorted.length > 2 ? "line" : "bar",
    labels: sorted.map(([day]) => day),
    series: kinds.map(([, name], i) => ({
      name,
      values: sorted.map(([, counts]) => counts[i] ?? 0),
    })),
  };
  return {
    subtitle: null,
    facts: kinds.map(([, name], i) => ({
      label: name,
      value: cellText(totals[i] ?? 0, "integer", language, null),
    })),
    charts: sorted.length === 0 ? [] : [chart],
    tables: [table],
  };
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
