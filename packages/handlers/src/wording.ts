/** The languages that messages and reports are written in. */
export type Language = "en" | "es";

/** The language of a tag such as `es`, `es-MX` or `en`; English where it is neither. */
export function languageOf(tag: unknown): Language {
  return typeof tag === "string" && /^es(?:[-_]|$)/i.test(tag.trim()) ? "es" : "en";
}

const locales: Readonly<Record<Language, string>> = { en: "en-US", es: "es-MX" };

/** `quoteNumber` or `quote_number` as a person writes it: "Quote number". */
export function label(field: string, language: Language): string {
  const known = labels[field.toLowerCase().replace(/[^a-z]/g, "")];
  if (known !== undefined) return known[language];
  const words = field
    .replace(/([a-z\d])([A-Z])/g, "$1 $2")
    .replace(/[_\-.\s]+/g, " ")
    .trim();
  if (words === "") return field;
  const spaced = words
    .split(" ")
    .map((word) => (/^[A-Z\d]{2,}$/.test(word) ? word : word.toLowerCase()))
    .join(" ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

const MONEY = /(?:total|subtotal|amount|price|cost|tax|fee|discount|balance|revenue|deposit)$/i;

/** A template value as text; null: it has no short text of its own (a list, an object, nothing). */
export function valueText(
  field: string,
  value: unknown,
  language: Language,
  currency: string | undefined,
): string | null {
  if (typeof value === "number" && Number.isFinite(value)) {
    const money = currency !== undefined && MONEY.test(field);
    return new Intl.NumberFormat(locales[language], {
      maximumFractionDigits: 6,
      ...(money && { style: "currency", currency, maximumFractionDigits: 2 }),
    }).format(value);
  }
  if (typeof value === "boolean") return yesNo[language][value ? 0 : 1];
  if (typeof value !== "string" || value.trim() === "") return null;
  return dateText(value, language) ?? value;
}

const yesNo = { en: ["Yes", "No"], es: ["Sí", "No"] } as const;

/** A day or moment as ISO 8601 writes it, for a reader; null for any other text. Moments in UTC. */
function dateText(text: string, language: Language): string | null {
  const [, day, time] =
    /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d))?$/.exec(text) ?? [];
  if (day === undefined) return null;
  const at = Date.parse(text);
  if (Number.isNaN(at)) return null;
  return new Intl.DateTimeFormat(locales[language], {
    dateStyle: "long",
    ...(time !== undefined && { timeStyle: "short" }),
    timeZone: "UTC",
  })
    .format(at)
    .concat(time === undefined ? "" : " UTC");
}

/** A currency code that Intl takes; else undefined. */
export function currencyOf(code: unknown): string | undefined {
  return typeof code === "string" && /^[A-Za-z]{3}$/.test(code) ? code.toUpperCase() : undefined;
}

/** By field name in lower case, letters only. */
const labels: Readonly<Record<string, Readonly<Record<Language, string>>>> = {
  quotenumber: { en: "Quote number", es: "Número de cotización" },
  quoteid: { en: "Quote", es: "Cotización" },
  ordernumber: { en: "Order number", es: "Número de pedido" },
  orderid: { en: "Order", es: "Pedido" },
  invoicenumber: { en: "Invoice number", es: "Número de factura" },
  customername: { en: "Customer", es: "Cliente" },
  companyname: { en: "Company", es: "Empresa" },
  company: { en: "Company", es: "Empresa" },
  projectname: { en: "Project", es: "Proyecto" },
  item: { en: "Item", es: "Concepto" },
  items: { en: "Items", es: "Conceptos" },
  name: { en: "Name", es: "Nombre" },
  description: { en: "Description", es: "Descripción" },
  quantity: { en: "Quantity", es: "Cantidad" },
  material: { en: "Material", es: "Material" },
  process: { en: "Process", es: "Proceso" },
  unitprice: { en: "Unit price", es: "Precio unitario" },
  price: { en: "Price", es: "Precio" },
  totalprice: { en: "Price", es: "Importe" },
  subtotal: { en: "Subtotal", es: "Subtotal" },
  discount: { en: "Discount", es: "Descuento" },
  tax: { en: "Tax", es: "Impuestos" },
  total: { en: "Total", es: "Total" },
  totalamount: { en: "Total", es: "Total" },
  amount: { en: "Amount", es: "Importe" },
  currency: { en: "Currency", es: "Moneda" },
  leadtime: { en: "Lead time", es: "Tiempo de entrega" },
  validuntil: { en: "Valid until", es: "Válida hasta" },
  expirydate: { en: "Expires", es: "Vence" },
  expiresat: { en: "Expires", es: "Vence" },
  expiredat: { en: "Expired", es: "Venció" },
  acceptedat: { en: "Accepted", es: "Aceptada" },
  shippedat: { en: "Shipped", es: "Enviado" },
  carrier: { en: "Carrier", es: "Paquetería" },
  trackingnumber: { en: "Tracking number", es: "Número de guía" },
  estimateddelivery: { en: "Estimated delivery", es: "Entrega estimada" },
  deliverydate: { en: "Delivery", es: "Entrega" },
  shippingaddress: { en: "Shipping address", es: "Dirección de envío" },
  duedate: { en: "Due", es: "Fecha límite" },
  wellid: { en: "Well", es: "Pozo" },
  leaseid: { en: "Lease", es: "Arrendamiento" },
  operatorid: { en: "Operator", es: "Operador" },
  organizationid: { en: "Organization", es: "Organización" },
  county: { en: "County", es: "Condado" },
  state: { en: "State", es: "Estado" },
  status: { en: "Status", es: "Estado" },
  date: { en: "Date", es: "Fecha" },
  period: { en: "Period", es: "Periodo" },
  severity: { en: "Severity", es: "Gravedad" },
  message: { en: "Message", es: "Mensaje" },
  rule: { en: "Rule", es: "Regla" },
  field: { en: "Field", es: "Campo" },
  value: { en: "Value", es: "Valor" },
  limit: { en: "Limit", es: "Límite" },
  oil: { en: "Oil (bbl)", es: "Petróleo (bbl)" },
  gas: { en: "Gas (Mcf)", es: "Gas (Mcf)" },
  water: { en: "Water (bbl)", es: "Agua (bbl)" },
  at: { en: "Checked", es: "Revisado" },
  validationtype: { en: "Validation", es: "Validación" },
  passed: { en: "Passed", es: "Aprobada" },
  errors: { en: "Errors", es: "Errores" },
  warnings: { en: "Warnings", es: "Avisos" },
  findings: { en: "Findings", es: "Hallazgos" },
  wells: { en: "Wells", es: "Pozos" },
  reports: { en: "Reports", es: "Informes" },
  dayson: { en: "Days on", es: "Días activos" },
  boe: { en: "BOE", es: "BOE" },
  gor: { en: "GOR (cf/bbl)", es: "RGP (pc/bbl)" },
  wor: { en: "WOR", es: "RAP" },
  watercut: { en: "Water cut", es: "Corte de agua" },
  category: { en: "Category", es: "Categoría" },
  grossamount: { en: "Gross amount", es: "Importe bruto" },
  netamount: { en: "Net amount", es: "Importe neto" },
  interest: { en: "Interest", es: "Participación" },
  rushfee: { en: "Rush fee", es: "Cargo por urgencia" },
  volumediscount: { en: "Volume discount", es: "Descuento por volumen" },
  month: { en: "Month", es: "Mes" },
  fileid: { en: "File", es: "Archivo" },
};
