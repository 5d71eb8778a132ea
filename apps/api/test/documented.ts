import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { dialects } from "../src/dialects/index.ts";
import { joinedDocument, type OpenApiDocument } from "../src/openapi/documents.ts";

/** One request and its answer, as they went over the wire. */
export interface Exchange {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** JSON value; undefined when there was none, or no JSON. */
  readonly sent: unknown;
  readonly status: number;
  readonly answered: unknown;
}

/**
 * Holds an exchange against the OpenAPI document: the status is one that it names, the answer is what it says there,
 * and so is a request that was taken.
 * @throws Error that says what is not as documented
 */
export function assertDocumented(exchange: Exchange): void {
  const { method, path, sent, status, answered } = exchange;
  const route = routeOf(path.split("?")[0] as string);
  const operation = route?.item[method.toLowerCase()];
  // Of what is not there the dialects' own tests know the answer.
  if (route === undefined || operation === undefined) return;
  const place = `/paths/${escaped(route.template)}/${method.toLowerCase()}`;
  const response = operation.responses[String(status)];
  if (response === undefined) {
    throw new Error(
      `${method} ${route.template} answered ${status}, which is not in its document: ${JSON.stringify(answered)}`,
    );
  }
  if (response.content?.["application/json"] !== undefined) {
    const where = `${place}/responses/${status}/content/application~1json/schema`;
    check(where, answered, `${method} ${route.template} ${status}: the answer`);
  }
  const takes = operation.requestBody?.content["application/json"] !== undefined;
  if (status < 300 && sent !== undefined && takes) {
    const where = `${place}/requestBody/content/application~1json/schema`;
    check(where, sent, `${method} ${route.template}: the request`);
  }
}

/** Whether the document of a call does not allow this JSON text as its body. */
export function refusedByDocument(method: string, template: string, text: string): boolean {
  const route = routeOf(template.replaceAll(/\{\w+\}/g, "x"));
  if (route === undefined) throw new Error(`${template} is in no document`);
  const where = `/paths/${escaped(route.template)}/${method.toLowerCase()}/requestBody/content/application~1json/schema`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return true;
  }
  return !validatorOf(where)(value);
}

interface Described {
  readonly content?: Readonly<Record<string, unknown>>;
}

type Item = Readonly<
  Record<
    string,
    {
      readonly responses: Readonly<Record<string, Described | undefined>>;
      readonly requestBody?: Required<Described>;
    }
  >
>;

interface Route {
  readonly template: string;
  readonly pattern: RegExp;
  readonly item: Item;
}

const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
let known: readonly Route[] | undefined;
const validators = new Map<string, ValidateFunction>();

function routeOf(path: string): Route | undefined {
  known ??= prepare(joinedDocument(dialects));
  return known.find(({ pattern }) => pattern.test(path));
}

function prepare(document: OpenApiDocument): Route[] {
  ajv.addSchema(document, "document");
  const routes = Object.entries(document.paths ?? {}).map(([template, item]) => ({
    template,
    pattern: new RegExp(`^${template.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}$`),
    item: item as Item,
  }));
  // The more literal one is the one that is called.
  const holes = ({ template }: Route): number => template.split("{").length;
  return routes.sort((a, b) => holes(a) - holes(b));
}

function validatorOf(where: string): ValidateFunction {
  const known = validators.get(where);
  if (known !== undefined) return known;
  const validate = ajv.compile({ $ref: `document#${encodeURI(where)}` });
  validators.set(where, validate);
  return validate;
}

function check(where: string, value: unknown, what: string): void {
  const validate = validatorOf(where);
  if (validate(value)) return;
  const faults = ajv.errorsText(validate.errors, { dataVar: "it" });
  throw new Error(`${what} is not as documented: ${faults}\n${JSON.stringify(value)}`);
}

function escaped(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}
