import { languageOf, type Language } from "../wording.ts";
import { reportKinds, type ReportData, standardTerms, technicalFields } from "./kinds.ts";
import { cellText, type Chart, type Fact, type Report, type Table } from "./report.ts";
import { chartOf, type DataRow, tabulate, withTotals } from "./tabulate.ts";

/** Epoch ms, both ends included. */
export interface Period {
  readonly from: number;
  readonly to: number;
}

const DAY_MS = 86_400_000;

/** As asked for, the last day whole; else what the report's kind looks back over. */
export function periodOf(data: ReportData, now: number): Period {
  const asked = data.dateRange ?? data.reportPeriod;
  if (asked === undefined)
    return { from: now - reportKinds[data.reportType].days * DAY_MS, to: now };
  const { startDate, endDate } = asked;
  return { from: utcMillis(startDate), to: utcMillis(endDate) + (isDay(endDate) ? DAY_MS - 1 : 0) };
}

function isDay(moment: string): boolean {
  return !moment.includes("T");
}

function utcMillis(moment: string): number {
  const zoned = isDay(moment) || /(?:Z|[+-]\d\d:?\d\d)$/i.test(moment);
  return Date.parse(zoned ? moment : `${moment}Z`);
}

/** Which report, and when it is made (epoch ms). */
export interface Making {
  readonly reportId: string;
  readonly now: number;
}

/** A report over rows as they were sent or as a dataset holds them. */
export function reportOnRows(data: ReportData, rows: readonly DataRow[], making: Making): Report {
  const content = fromRows(data, rows, languageIn(data));
  const asked = data.dateRange !== undefined || data.reportPeriod !== undefined;
  return reportOf(data, content, making, asked);
}

export function languageIn(data: ReportData): Language {
  return languageOf(data.options?.language ?? data["language"]);
}

export function reportOf(
  data: ReportData,
  content: Content,
  { reportId, now }: Making,
  showPeriod: boolean,
): Report {
  const kind = reportKinds[data.reportType];
  const language = languageIn(data);
  const period = periodOf(data, now);
  const date = (at: number) => cellText(at, "date", language, null);
  const words = text[language];
  const facts: Fact[] = [
    ...(data.organizationId === undefined
      ? []
      : [{ label: words.organization, value: data.organizationId }]),
    ...(data.entityId === undefined ? [] : [{ label: kind.title[language], value: data.entityId }]),
    ...(showPeriod
      ? [{ label: words.period, value: `${date(period.from)} – ${date(period.to)}` }]
      : []),
    { label: words.created, value: cellText(now, "time", language, null) },
    ...(data.wellIds === undefined ? [] : [{ label: words.wells, value: data.wellIds.join(", ") }]),
    ...(data.leaseIds === undefined
      ? []
      : [{ label: words.leases, value: data.leaseIds.join(", ") }]),
    ...content.facts,
    { label: words.report, value: reportId },
  ];
  const detailed = data.format !== "pdf" || data.options?.includeItemDetails !== false;
  return {
    language,
    title: kind.title[language],
    subtitle: content.subtitle,
    facts,
    charts: data.includeCharts === true ? content.charts : [],
    tables: detailed ? content.tables : [],
    terms: data.options?.includeTerms === true ? termsOf(data, language) : [],
    createdAt: now,
    reportId,
  };
}

export interface Content {
  readonly subtitle: string | null;
  readonly facts: readonly Fact[];
  readonly charts: readonly Chart[];
  readonly tables: readonly Table[];
}

function fromRows(data: ReportData, rows: readonly DataRow[], language: Language): Content {
  const { first, title } = reportKinds[data.reportType];
  const hidden = hiddenOf(data);
  const options = { language, first, hidden, currency: currencyOf(data) };
  const table = withTotals(tabulate(rows, options), language);
  const chart = chartOf(table, title[language], language);
  const facts: Fact[] = [
    { label: text[language].rows, value: cellText(rows.length, "integer", language, null) },
    ...table.columns.flatMap(({ label, type }, i) => {
      const total = table.totals?.[i] ?? null;
      return typeof total === "number"
        ? [
            {
              label: label === "Total" ? label : `Total: ${label}`,
              value: cellText(total, type, language, table.currency),
            },
          ]
        : [];
    }),
  ];
  return { subtitle: null, facts, charts: chart === null ? [] : [chart], tables: [table] };
}

export function hiddenOf({ options }: ReportData): Set<string> {
  return new Set(options?.includeTechnicalSpecs === false ? technicalFields : []);
}

function currencyOf(data: ReportData): string | null {
  const code = data["currency"];
  return typeof code === "string" && /^[A-Za-z]{3}$/.test(code) ? code.toUpperCase() : null;
}

function termsOf(data: ReportData, language: Language): readonly string[] {
  const { terms } = data;
  if (typeof terms === "string") return [terms];
  if (Array.isArray(terms)) return terms.filter((term) => typeof term === "string");
  return standardTerms[language];
}

/** What reports say besides the names of fields. */
export const text = {
  en: {
    organization: "Organization",
    period: "Period",
    created: "Created",
    wells: "Wells",
    leases: "Leases",
    report: "Report",
    rows: "Rows",
    passed: "Passed",
    failed: "Failed",
    validations: "Validations",
    validationsByDay: "Validations by day",
    checkedSubtitle: (wells: string, checks: string) =>
      `${wells} wells and leases, ${checks} validations`,
    byWell: "Production by well",
    byLease: "Production by lease and month",
    byMonth: "Production by month",
    byItem: "By item",
    byDay: "Activity by day",
    quotes: "Quotes",
    reports: "Reports",
  },
  es: {
    organization: "Organización",
    period: "Periodo",
    created: "Creado",
    wells: "Pozos",
    leases: "Arrendamientos",
    report: "Informe",
    rows: "Filas",
    passed: "Aprobadas",
    failed: "Rechazadas",
    validations: "Validaciones",
    validationsByDay: "Validaciones por día",
    checkedSubtitle: (wells: string, checks: string) =>
      `${wells} pozos y arrendamientos, ${checks} validaciones`,
    byWell: "Producción por pozo",
    byLease: "Producción por arrendamiento y mes",
    byMonth: "Producción por mes",
    byItem: "Por concepto",
    byDay: "Actividad por día",
    quotes: "Cotizaciones",
    reports: "Informes",
  },
};
