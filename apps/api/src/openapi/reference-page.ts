import { createHash } from "node:crypto";
import { html, raw } from "hono/html";
import type { OpenApiDocument } from "./documents.ts";

/*
 * The reference for people: one page without scripts, links to elsewhere or files beside it. A browser sends no token
 * with a page's parts, and saved (`curl -H "Authorization: ..." .../docs > docs.html`) it is complete.
 */

type Html = ReturnType<typeof html>;

/** As much of JSON Schema as our schemas are made of. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: boolean | Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly [rule: string]: unknown;
}

interface Content {
  readonly description?: string;
  readonly content?: Readonly<
    Record<string, { readonly schema?: Schema; readonly example?: unknown }>
  >;
}

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly schema?: Schema;
  readonly description?: string;
}

interface Operation {
  readonly operationId: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: Content;
  readonly responses?: Readonly<Record<string, Content>>;
  readonly "x-access"?: string;
}

interface Call extends Operation {
  readonly method: string;
  readonly path: string;
}

const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --quiet: #888; --link: #2563eb; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; display: grid; grid-template-columns: 20rem minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1rem; border-right: 1px solid var(--line); font-size: 13px; }
nav h2 { font-size: 13px; margin: 1rem 0 .25rem; }
nav a { display: flex; color: inherit; text-decoration: none; padding: .1rem 0; }
nav a span + span { overflow-wrap: anywhere; }
nav a:hover { text-decoration: underline; }
main { padding: 1rem 2rem 4rem; max-width: 70rem; }
h1 { margin: 0 0 .5rem; }
h2 { margin: 2.5rem 0 .5rem; }
h4 { margin: 1rem 0 .25rem; font-size: 13px; color: var(--quiet); text-transform: uppercase; letter-spacing: .05em; }
article { border: 1px solid var(--line); border-radius: 6px; margin: .75rem 0; padding: .75rem 1rem; scroll-margin-top: 1rem; }
article:target { border-color: var(--link); }
article h3 { margin: 0; font-size: 15px; font-weight: 600; overflow-wrap: anywhere; }
article p { margin: .25rem 0; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .6rem .8rem; border-radius: 4px; overflow: auto; max-height: 24rem; margin: .4rem 0; }
a { color: var(--link); }
.method { font: 600 12px ui-monospace, monospace; text-transform: uppercase; display: inline-block; min-width: 3.6rem; }
.get { color: #16803c; } .post { color: #2563eb; } .put, .patch { color: #b45309; } .delete { color: #dc2626; }
.quiet { color: var(--quiet); font-size: 13px; }
details { margin: .4rem 0; }
summary { cursor: pointer; }
ul { list-style: none; margin: 0; padding-left: 1rem; border-left: 1px solid var(--line); }
ul ul { margin-left: .4rem; }
li { padding: .1rem 0; overflow-wrap: anywhere; }
.needed::after { content: " required"; color: #b45309; font-size: 12px; }
@media (max-width: 60rem) { body { display: block; } nav { position: static; height: auto; border: 0; } main { padding: 1rem; } }
`;

/** Nothing but its own style, to the letter: whatever slipped into the page could not run. */
export const referencePolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** @param document the joined one: its tags are the chapters. */
export function referencePage(document: OpenApiDocument): Html {
  const { info, paths = {}, components, tags = [] } = document;
  const calls = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item as Record<string, Operation>).map(([method, operation]): Call => ({
      ...operation,
      method,
      path,
    })),
  );
  const chapters = tags.map(({ name, description }) => ({
    name,
    description,
    calls: calls.filter((call) => call.tags?.includes(name) === true),
  }));
  const schemas = Object.entries((components?.schemas ?? {}) as Record<string, Schema>);
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${info.title} ${info.version}: reference</title>
        ${raw(`<style>${style}</style>`)}
      </head>
      <body>
        <nav aria-label="Calls">
          ${chapters.map(
            ({ name, calls }) =>
              html`<h2>${name}</h2>
                ${calls.map(
                  ({ operationId, method, path }) =>
                    html`<a href="#${operationId}"
                      ><span class="method ${method}">${method}</span><span>${path}</span></a
                    >`,
                )}`,
          )}
          <h2><a href="#schemas">Schemas</a></h2>
        </nav>
        <main>
          <h1>${info.title} ${info.version}</h1>
          <p>
            ${info.description ?? ""}. For programs: <code>/openapi.json</code>, and
            <code>/openapi/{dialect}.json</code> of each dialect.
          </p>
          ${chapters.map(
            ({ name, description, calls }) =>
              html`<h2>${name}</h2>
                <p>${description ?? ""}</p>
                ${calls.map(article)}`,
          )}
          <h2 id="schemas">Schemas</h2>
          ${schemas.map(
            ([name, schema]) =>
              html`<article id="schema-${name}">
                <h3>${name}</h3>
                ${fields(schema)}
              </article>`,
          )}
        </main>
      </body>
    </html>`;
}

function article(call: Call): Html {
  const { operationId, method, path, summary, description, parameters = [], requestBody } = call;
  const responses = Object.entries(call.responses ?? {});
  return html`<article id="${operationId}">
    <h3><span class="method ${method}">${method}</span> <code>${path}</code></h3>
    <p>
      ${summary ?? ""}<span class="quiet">
        · ${operationId} · access: ${call["x-access"] ?? ""}</span
      >
    </p>
    ${description === undefined ? "" : html`<p>${prose(description)}</p>`}
    ${
      parameters.length === 0
        ? ""
        : html`<h4>Parameters</h4>
            <ul>
              ${parameters.map((one) =>
                field(
                  `${one.name} (${one.in})`,
                  { ...one.schema, ...describedBy(one) },
                  one.required === true,
                ),
              )}
            </ul>`
    }
    ${
      requestBody === undefined
        ? ""
        : html`<h4>Body</h4>
            ${contents(requestBody)}`
    }
    <h4>Answers</h4>
    ${responses.filter(([status]) => status < "400").map(answered)} ${refusalsOf(responses)}
  </article>`;
}

/** Behind one line: most are the same for every call. */
function refusalsOf(responses: readonly (readonly [string, Content])[]): Html {
  const refusals = responses.filter(([status]) => status >= "400");
  return html`<details>
    <summary class="quiet">refused: ${refusals.map(([status]) => status).join(", ")}</summary>
    ${refusals.map(answered)}
  </details>`;
}

function answered([status, answer]: readonly [string, Content]): Html {
  return html`<details>
    <summary><b>${status}</b> ${prose(answer.description)}</summary>
    ${contents(answer)}
  </details>`;
}

/** Of Markdown, what the descriptions have: names between backticks. */
function prose(text = ""): Html {
  return html`${text.split("`").map((part, n) => (n % 2 === 0 ? part : html`<code>${part}</code>`))}`;
}

function describedBy({ description }: Parameter): { description?: string } {
  return description === undefined ? {} : { description };
}

function contents({ content = {} }: Content): Html {
  return html`${Object.entries(content).map(
    ([type, { schema, example }]) =>
      html`${
        type === "application/json" ? "" : html`<p class="quiet">${type}</p>`
      }${example === undefined ? "" : html`<pre>${JSON.stringify(example, null, 2)}</pre>`}${
        schema === undefined
          ? ""
          : html`<details>
              <summary class="quiet">schema: ${nameOf(schema)}</summary>
              ${fields(schema)}
            </details>`
      }`,
  )}`;
}

/** What is inside a schema; empty for one that its line says all about. */
function fields(schema: Schema): Html | string {
  const { properties, required = [], items, additionalProperties } = schema;
  const choices = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (properties !== undefined) {
    return html`<ul>
      ${Object.entries(properties).map(([name, one]) => field(name, one, required.includes(name)))}
    </ul>`;
  }
  if (items !== undefined) return fields(items);
  if (typeof additionalProperties === "object") return fields(additionalProperties);
  if (choices === undefined) return "";
  return html`<ul>
    ${choices.map((one) => html`<li>${line(one)}${fields(one)}</li>`)}
  </ul>`;
}

function field(name: string, schema: Schema, needed: boolean): Html {
  return html`<li>
    <code class="${needed ? "needed" : "free"}">${name}</code> ${line(schema)}${fields(schema)}
  </li>`;
}

function line(schema: Schema): Html {
  const { $ref, description, enum: words, const: only, default: standard } = schema;
  const rules = Object.entries(schema).filter(([rule]) => shownRules.has(rule));
  return html`<span class="quiet"
      >${
        $ref === undefined
          ? nameOf(schema)
          : html`<a href="#schema-${refName($ref)}">${refName($ref)}</a>`
      }${words === undefined ? "" : html` · ${words.map((word) => JSON.stringify(word)).join(", ")}`}${
        only === undefined ? "" : html` · ${JSON.stringify(only)}`
      }${rules.map(([rule, value]) => html` · ${rule} ${JSON.stringify(value)}`)}${
        standard === undefined ? "" : html` · default ${JSON.stringify(standard)}`
      }</span
    >${description === undefined ? "" : html` ${prose(description)}`}`;
}

const shownRules = new Set([
  "format",
  "pattern",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
]);

function nameOf({ $ref, type, items, oneOf, anyOf, allOf }: Schema): string {
  if ($ref !== undefined) return refName($ref);
  if (items !== undefined) return `list of ${nameOf(items)}`;
  if (oneOf !== undefined || anyOf !== undefined) return "one of";
  if (allOf !== undefined) return "all of";
  if (type === undefined) return "any";
  return typeof type === "string" ? type : type.join(" or ");
}

function refName($ref: string): string {
  return $ref.slice($ref.lastIndexOf("/") + 1);
}
