import { OpenAPIHono } from "@hono/zod-openapi";
import { isDeepStrictEqual } from "node:util";
import about from "../../package.json" with { type: "json" };
import type { Dialect } from "../dialect.ts";
import type { Operation } from "../operations.ts";

export type OpenApiDocument = ReturnType<OpenAPIHono["getOpenAPI31Document"]>;

type Schemas = NonNullable<NonNullable<OpenApiDocument["components"]>["schemas"]>;
type Paths = NonNullable<OpenApiDocument["paths"]>;

/** The part of a dialect that a document is made of. */
export type Documented = Pick<
  Dialect,
  "name" | "title" | "summary" | "operations" | "asksForToken"
>;

/** Wherever the document was fetched from. */
const servers = [{ url: "/" }];

const bearer = {
  type: "http",
  scheme: "bearer",
  description: "A JWT or an API token",
} as const;

/**
 * OpenAPI 3.1 of one dialect's operations.
 * @throws Error when two of them share an address, an id, or a component's name with another schema behind it
 */
export function documentOf(dialect: Documented): OpenApiDocument {
  const { title, summary, operations, asksForToken } = dialect;
  const schemas: Schemas = {};
  const paths: Paths = {};
  const ids = new Set<string>();
  // Each by itself: made together, the second schema of a name would be taken for the first without a word.
  for (const operation of Object.values(operations)) {
    const { operationId } = operation;
    if (ids.has(operationId)) throw clash(dialect, "operationId", operationId);
    ids.add(operationId);
    const own = generate(operation);
    for (const [name, schema] of Object.entries(own.components?.schemas ?? {})) {
      if (!isDeepStrictEqual(schemas[name] ?? schema, schema)) throw clash(dialect, "schema", name);
      schemas[name] = schema;
    }
    for (const [path, item] of Object.entries(own.paths ?? {})) {
      if (paths[path]?.[operation.method] !== undefined) throw clash(dialect, "address", path);
      paths[path] = { ...paths[path], ...item };
    }
  }
  return {
    openapi: "3.1.0",
    info: infoOf(`Jobyard: ${title}`, summary),
    servers,
    // An open server takes calls without a token, where the dialect does.
    security: asksForToken === "always" ? [{ bearer: [] }] : [{ bearer: [] }, {}],
    paths,
    components: { schemas, securitySchemes: { bearer } },
  };
}

/** All dialects in one document; the names of components and operations begin with their dialect's. */
export function joinedDocument(dialects: readonly Documented[]): OpenApiDocument {
  const schemas: Schemas = {};
  const paths: Paths = {};
  for (const dialect of dialects) {
    const { name, title } = dialect;
    const document = renamed(documentOf(dialect), name);
    Object.assign(schemas, document.components?.schemas);
    for (const [path, item] of Object.entries(document.paths ?? {})) {
      paths[path] ??= {};
      for (const method of Object.keys(item) as "get"[]) {
        const operation = item[method];
        if (operation === undefined) continue;
        if (paths[path][method] !== undefined) throw clash(dialect, "address", path);
        paths[path][method] = {
          ...operation,
          operationId: `${name}_${operation.operationId}`,
          tags: [title],
          security: document.security ?? [],
        };
      }
    }
  }
  return {
    openapi: "3.1.0",
    info: infoOf("Jobyard", "All dialects of one job service"),
    servers,
    tags: dialects.map(({ title, summary }) => ({ name: title, description: summary })),
    paths,
    components: { schemas, securitySchemes: { bearer } },
  };
}

function infoOf(title: string, description: string): OpenApiDocument["info"] {
  return {
    title,
    description,
    version: about.version,
    license: { name: about.license, identifier: about.license },
  };
}

function generate(operation: Operation): OpenApiDocument {
  const registrar = new OpenAPIHono();
  registrar.openAPIRegistry.registerPath(operation);
  const document = registrar.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "", version: "" },
  });
  return JSON.parse(JSON.stringify(document), (key, value: unknown) =>
    key === "pattern" && typeof value === "string" ? withoutFlags(value) : value,
  ) as OpenApiDocument;
}

/** The generator leaves a regular expression's flag on its end; the document's are all read as having it. */
function withoutFlags(pattern: string): string {
  return pattern.replace(/(?<!\\)\/u$/, "");
}

const SCHEMAS = "#/components/schemas/";

/** With `name.` before the names of all components. */
function renamed(document: OpenApiDocument, name: string): OpenApiDocument {
  const { components, ...rest } = document;
  const schemas = Object.entries(components?.schemas ?? {}).map(
    ([key, schema]) => [`${name}.${key}`, schema] as const,
  );
  const text = JSON.stringify({
    ...rest,
    components: { ...components, schemas: Object.fromEntries(schemas) },
  });
  return JSON.parse(text, (_, value: unknown) =>
    typeof value === "string" && value.startsWith(SCHEMAS)
      ? `${SCHEMAS}${name}.${value.slice(SCHEMAS.length)}`
      : value,
  ) as OpenApiDocument;
}

function clash({ name }: Documented, what: string, which: string): Error {
  return new Error(`The dialect ${name} has the ${what} ${which} twice, and they differ`);
}
