import { currencyOf, label, type Language, languageOf, valueText } from "../wording.ts";

/** What a message says, before it becomes HTML and text. Plain text throughout. */
export interface Letter {
  readonly language: Language;
  readonly subject: string;
  readonly heading: string;
  readonly greeting: string | null;
  readonly paragraphs: readonly string[];
  readonly facts: readonly { readonly label: string; readonly value: string }[];
  readonly tables: readonly Table[];
  /** An http(s) address to go to. */
  readonly action: { readonly label: string; readonly url: string } | null;
  readonly closing: string;
}

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Rows left out. */
  readonly more: number;
}

/** The fields of an e-mail job that decide what the message says. */
export interface LetterData {
  readonly type?: string | undefined;
  readonly notificationType?: string | undefined;
  readonly reminderType?: string | undefined;
  readonly alertType?: string | undefined;
  readonly emailType?: string | undefined;
  readonly recipientName?: string | undefined;
  readonly subject?: string | undefined;
  readonly message?: string | undefined;
  readonly templateData?: Readonly<Record<string, unknown>> | undefined;
  /** `en` or `es`, also with a region; here or in `templateData`. Default `en`. */
  readonly language?: unknown;
}

type Both<T> = Readonly<Record<Language, T>>;

interface Template {
  /** Given the document's number with a space before it, or nothing. */
  readonly subject: Both<(number: string) => string>;
  readonly heading: Both<string>;
  readonly body: Both<(number: string) => readonly string[]>;
  readonly action: Both<string>;
  /** Fields of `templateData` that may hold the number, and those that may hold the link. */
  readonly number: readonly string[];
  readonly link: readonly string[];
}

const quoteNumber = ["quoteNumber", "quoteId", "number"];
const quoteLink = ["quoteUrl", "quoteLink", "viewUrl", "url", "link"];

const templates: Readonly<Record<string, Template>> = {
  "quote-ready": {
    subject: {
      en: (number) => `Your quote${number} is ready`,
      es: (number) => `Su cotización${number} está lista`,
    },
    heading: { en: "Your quote is ready", es: "Su cotización está lista" },
    body: {
      en: (number) => [
        `We have finished your quote${number}. The details are below.`,
        "Reply to this message if anything should be different.",
      ],
      es: (number) => [
        `Hemos terminado su cotización${number}. A continuación encontrará los detalles.`,
        "Responda a este mensaje si desea cambiar algo.",
      ],
    },
    action: { en: "View the quote", es: "Ver la cotización" },
    number: quoteNumber,
    link: quoteLink,
  },
  "quote-accepted": {
    subject: {
      en: (number) => `Quote${number} accepted`,
      es: (number) => `Cotización${number} aceptada`,
    },
    heading: { en: "Thank you for your order", es: "Gracias por su pedido" },
    body: {
      en: (number) => [
        `Quote${number} has been accepted and goes into production. We will write again when it ships.`,
      ],
      es: (number) => [
        `La cotización${number} fue aceptada y pasa a producción. Le escribiremos de nuevo cuando se envíe.`,
      ],
    },
    action: { en: "View the order", es: "Ver el pedido" },
    number: quoteNumber,
    link: ["orderUrl", "orderLink", ...quoteLink],
  },
  "quote-expired": {
    subject: {
      en: (number) => `Quote${number} has expired`,
      es: (number) => `La cotización${number} ha vencido`,
    },
    heading: { en: "Your quote has expired", es: "Su cotización ha vencido" },
    body: {
      en: (number) => [
        `The prices of quote${number} no longer hold. Ask for a new quote and we will send you current ones.`,
      ],
      es: (number) => [
        `Los precios de la cotización${number} ya no son vigentes. Solicite una nueva y le enviaremos los actuales.`,
      ],
    },
    action: { en: "Ask for a new quote", es: "Solicitar una nueva cotización" },
    number: quoteNumber,
    link: ["renewUrl", ...quoteLink],
  },
  "order-shipped": {
    subject: {
      en: (number) => `Your order${number} has shipped`,
      es: (number) => `Su pedido${number} ha sido enviado`,
    },
    heading: { en: "Your order is on its way", es: "Su pedido está en camino" },
    body: {
      en: (number) => [`Your order${number} has left our workshop.`],
      es: (number) => [`Su pedido${number} ha salido de nuestro taller.`],
    },
    action: { en: "Track the parcel", es: "Rastrear el paquete" },
    number: ["orderNumber", "orderId", "number"],
    link: ["trackingUrl", "trackingLink", "orderUrl", "url", "link"],
  },
};

/** Of wellflow's free notifications, by the field that names them. */
const kinds = [
  ["alertType", { en: "Alert", es: "Alerta" }],
  ["reminderType", { en: "Reminder", es: "Recordatorio" }],
  ["notificationType", { en: "Notification", es: "Notificación" }],
  ["emailType", { en: "", es: "" }],
  ["type", { en: "", es: "" }],
] as const;

const genericLink = ["actionUrl", "url", "link", "dashboardUrl", "reportUrl"];

/** Told in the sentences or used for layout: not listed again. */
const notFacts = new Set(["language", "locale", "message", "subject", "recipientName"]);
const MOST_ROWS = 200;
const MOST_COLUMNS = 12;
const MOST_SUBJECT_CHARACTERS = 200;

/** What a job's message says, in its language. */
export function letterOf(data: LetterData): Letter {
  const values = data.templateData ?? {};
  const language = languageOf(data.language ?? values["language"] ?? values["locale"]);
  const template = Object.hasOwn(templates, data.type ?? "")
    ? templates[data.type ?? ""]
    : undefined;
  const number = template === undefined ? null : firstText(values, template.number);
  const link = firstLink(values, template?.link ?? genericLink);
  const name = oneLine(data.recipientName ?? textOf(values["recipientName"]) ?? "");
  const message = data.message ?? textOf(values["message"]);
  const numbered = number === null ? "" : ` ${number}`;
  const title = template?.heading[language] ?? genericTitle(data, language);
  const subject =
    data.subject ?? textOf(values["subject"]) ?? template?.subject[language](numbered) ?? title;
  const said = new Set([...notFacts, ...(link === null ? [] : [link.field])]);
  return {
    language,
    subject: shorten(oneLine(subject), MOST_SUBJECT_CHARACTERS) || title,
    heading: title,
    greeting: name === "" ? null : { en: `Hello ${name},`, es: `Hola, ${name}:` }[language],
    paragraphs: [
      ...(template?.body[language](numbered) ?? []),
      ...(message === null
        ? []
        : message.split(/\r?\n\s*\r?\n/).filter((text) => text.trim() !== "")),
    ],
    ...contentOf(values, said, language),
    action:
      link === null
        ? null
        : {
            label: template?.action[language] ?? { en: "Open", es: "Abrir" }[language],
            url: link.url,
          },
    closing: {
      en: "This message was sent automatically.",
      es: "Este mensaje se envió automáticamente.",
    }[language],
  };
}

function genericTitle(data: LetterData, language: Language): string {
  for (const [field, prefix] of kinds) {
    const kind = oneLine(data[field] ?? "");
    if (kind === "") continue;
    const title = label(kind, language);
    return prefix[language] === "" ? title : `${prefix[language]}: ${title}`;
  }
  return { en: "Notification", es: "Notificación" }[language];
}

function contentOf(
  values: Readonly<Record<string, unknown>>,
  said: ReadonlySet<string>,
  language: Language,
): Pick<Letter, "facts" | "tables"> {
  const facts: Letter["facts"][number][] = [];
  const tables: Table[] = [];
  const currency = currencyOf(values["currency"]);
  for (const [field, value] of Object.entries(values)) {
    if (said.has(field)) continue;
    const text = valueText(field, value, language, currency);
    if (text !== null) {
      facts.push({ label: label(field, language), value: text });
    } else if (Array.isArray(value)) {
      const objects = value.filter(isRecord);
      if (objects.length > 0 && objects.length === value.length) {
        tables.push(tableOf(label(field, language), objects, language, currency));
      } else {
        const texts = value.map((item) => valueText(field, item, language, currency) ?? "");
        const joined = texts.filter((item) => item !== "").join(", ");
        if (joined !== "") facts.push({ label: label(field, language), value: joined });
      }
    } else if (isRecord(value)) {
      for (const [inner, innerValue] of Object.entries(value)) {
        const innerText = valueText(inner, innerValue, language, currency);
        if (innerText === null) continue;
        facts.push({
          label: `${label(field, language)}: ${label(inner, language)}`,
          value: innerText,
        });
      }
    }
  }
  return { facts, tables };
}

function tableOf(
  title: string,
  objects: readonly Readonly<Record<string, unknown>>[],
  language: Language,
  currency: string | undefined,
): Table {
  const shown = objects.slice(0, MOST_ROWS);
  const fields = [...new Set(shown.flatMap((row) => Object.keys(row)))].slice(0, MOST_COLUMNS);
  return {
    title,
    columns: fields.map((field) => label(field, language)),
    rows: shown.map((row) =>
      fields.map((field) => valueText(field, row[field], language, currency) ?? ""),
    ),
    more: objects.length - shown.length,
  };
}

function firstText(
  values: Readonly<Record<string, unknown>>,
  fields: readonly string[],
): string | null {
  for (const field of fields) {
    const text = textOf(values[field]);
    if (text !== null) return shorten(oneLine(text), 100);
  }
  return null;
}

/** Only web addresses become links: a `javascript:` one stays text. */
function firstLink(
  values: Readonly<Record<string, unknown>>,
  fields: readonly string[],
): { field: string; url: string } | null {
  for (const field of fields) {
    const text = textOf(values[field]);
    if (text === null || !URL.canParse(text)) continue;
    const { protocol, href } = new URL(text);
    if (protocol === "https:" || protocol === "http:") return { field, url: href };
  }
  return null;
}

function textOf(value: unknown): string | null {
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  return typeof value === "string" && value.trim() !== "" ? value : null;
}

/** Line ends and other control characters become spaces: what follows them starts no header. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, " ").trim();
}

function shorten(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).toWellFormed()}…`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
