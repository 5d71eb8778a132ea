import type { JobData, jobTypes } from "@jobyard/core";

export type ReportData = JobData<(typeof jobTypes)["report-generation"]>;
export type ReportType = ReportData["reportType"];

export interface ReportKind {
  readonly title: { readonly en: string; readonly es: string };
  /** Columns that come first, where the rows have them. */
  readonly first: readonly string[];
  /** What the report is over where neither rows nor a dataset are given. */
  readonly source: "validations" | "production" | "leases" | "quotes" | "activity" | "none";
  /** Days back from now where no period is given. */
  readonly days: number;
}

const checked = [
  "at",
  "wellId",
  "leaseId",
  "county",
  "state",
  "validationType",
  "period",
  "passed",
  "errors",
  "warnings",
  "findings",
];
const lines = [
  "item",
  "name",
  "description",
  "fileId",
  "material",
  "process",
  "quantity",
  "unitPrice",
];

export const reportKinds: Readonly<Record<ReportType, ReportKind>> = {
  compliance_weekly: {
    title: { en: "Weekly compliance report", es: "Informe semanal de cumplimiento" },
    first: checked,
    source: "validations",
    days: 7,
  },
  monthly_compliance: {
    title: { en: "Monthly compliance report", es: "Informe mensual de cumplimiento" },
    first: checked,
    source: "validations",
    days: 31,
  },
  quarterly_compliance: {
    title: { en: "Quarterly compliance report", es: "Informe trimestral de cumplimiento" },
    first: checked,
    source: "validations",
    days: 92,
  },
  annual_compliance: {
    title: { en: "Annual compliance report", es: "Informe anual de cumplimiento" },
    first: checked,
    source: "validations",
    days: 366,
  },
  production_summary: {
    title: { en: "Production summary", es: "Resumen de producción" },
    first: ["wellId", "leaseId", "period", "date", "oil", "gas", "water", "boe"],
    source: "production",
    days: 31,
  },
  form_pr: {
    title: { en: "Form PR: monthly production report", es: "Formulario PR: producción mensual" },
    first: ["leaseId", "operatorId", "period", "wells", "daysOn", "oil", "gas", "water"],
    source: "leases",
    days: 31,
  },
  jib_statement: {
    title: {
      en: "Joint interest billing statement",
      es: "Estado de facturación de intereses comunes",
    },
    first: [
      "date",
      "wellId",
      "leaseId",
      "category",
      "description",
      "grossAmount",
      "interest",
      "netAmount",
    ],
    source: "none",
    days: 31,
  },
  quote: {
    title: { en: "Quote", es: "Cotización" },
    first: lines,
    source: "quotes",
    days: 31,
  },
  order: {
    title: { en: "Order", es: "Pedido" },
    first: lines,
    source: "quotes",
    days: 31,
  },
  invoice: {
    title: { en: "Invoice", es: "Factura" },
    first: lines,
    source: "quotes",
    days: 31,
  },
  analytics: {
    title: { en: "Analytics", es: "Analítica" },
    first: ["date", "kind", "count"],
    source: "activity",
    days: 31,
  },
};

/** Shown only where `includeTechnicalSpecs` does not say no. */
export const technicalFields = [
  "material",
  "process",
  "finish",
  "finishOptions",
  "volume",
  "surfaceArea",
  "boundingBox",
  "tolerance",
  "complexity",
  "weight",
];

export const standardTerms = {
  en: [
    "Prices hold until the date shown and for the quantities shown.",
    "Lead times count from the acceptance of the order, in working days.",
    "Taxes are those of the place of delivery.",
  ],
  es: [
    "Los precios son válidos hasta la fecha indicada y para las cantidades indicadas.",
    "Los tiempos de entrega se cuentan desde la aceptación del pedido, en días hábiles.",
    "Los impuestos son los del lugar de entrega.",
  ],
} as const;
