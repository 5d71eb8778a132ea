import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { z } from "@hono/zod-openapi";
import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, test } from "vitest";
import { dialects } from "../src/dialects/index.ts";
import { documentOf, joinedDocument } from "../src/openapi/documents.ts";
import { operation } from "../src/operations.ts";
import { serve } from "./running-server.ts";

const folder = new URL("../openapi/", import.meta.url);

test.each(dialects.map((dialect) => [dialect.name, dialect] as const))(
  "%s: the document that is served is the one that is committed, and is OpenAPI 3.1",
  async (name) => {
    const { url } = await serve({ handlers: [] });
    const response = await fetch(`${url}/openapi/${name}.json`);
    expect(response.headers.get("content-type")).toBe("application/json");
    const served = (await response.json()) as Record<string, unknown>;
    expect(served).toEqual(JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8")));
    const { valid, errors } = await new Validator().validate(served);
    expect([valid, errors]).toEqual([true, undefined]);
    expect(served).toMatchObject({ openapi: "3.1.0" });
  },
);

test("no document is left of a dialect that is gone", () => {
  expect(readdirSync(folder).sort()).toEqual(dialects.map(({ name }) => `${name}.json`).sort());
});

test("the joined document is OpenAPI 3.1 and has every call of every dialect", async () => {
  const { url } = await serve({ handlers: [] });
  const served = (await (await fetch(`${url}/openapi.json`)).json()) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, { operationId: string }>>>>;
  };
  const { valid, errors } = await new Validator().validate(served);
  expect([valid, errors]).toEqual([true, undefined]);
  const calls = Object.values(served.paths).flatMap((item) =>
    Object.values(item).map(({ operationId }) => operationId),
  );
  const expected = dialects.flatMap(({ name, operations }) =>
    Object.values(operations).map(({ operationId }) => `${name}_${operationId}`),
  );
  expect(calls.sort()).toEqual(expected.sort());
  expect(new Set(calls).size).toBe(calls.length);
});

const thing = (size: z.ZodType) => z.object({ size }).openapi("Thing");

function call(path: string, operationId: string, schema: z.ZodType) {
  return operation("read", {
    method: "get",
    path,
    operationId,
    responses: { 200: { description: "", content: { "application/json": { schema } } } },
  });
}

function dialectOf(name: string, ...calls: ReturnType<typeof call>[]) {
  const operations = Object.fromEntries(calls.map((one, i) => [`call${i}`, one]));
  return { name, title: name, summary: "", asksForToken: "unless open" as const, operations };
}

test("two schemas of one name in a dialect are refused", () => {
  const a = call("/a", "a", thing(z.string()));
  const same = call("/b", "b", thing(z.string()));
  const other = call("/b", "b", thing(z.number()));
  expect(documentOf(dialectOf("x", a, same)).components?.schemas).toHaveProperty("Thing");
  expect(() => documentOf(dialectOf("x", a, other))).toThrow("the schema Thing twice");
  expect(() => documentOf(dialectOf("x", a, call("/b", "a", z.null())))).toThrow(
    "the operationId a twice",
  );
  expect(() => documentOf(dialectOf("x", a, call("/a", "b", z.null())))).toThrow(
    "the address /a twice",
  );
});

test("schemas of one name in two dialects stay apart", () => {
  const joined = joinedDocument([
    dialectOf("x", call("/a", "get", thing(z.string()))),
    dialectOf("y", call("/b", "get", thing(z.number()))),
  ]);
  const { "x.Thing": ofX, "y.Thing": ofY, ...others } = joined.components?.schemas ?? {};
  expect(ofX).toMatchObject({ properties: { size: { type: "string" } } });
  expect(ofY).toMatchObject({ properties: { size: { type: "number" } } });
  expect(others).toEqual({});
  expect(JSON.stringify(joined.paths?.["/b"])).toContain("#/components/schemas/y.Thing");
});

interface Content {
  readonly schema: { safeParse(value: unknown): { readonly success: boolean } };
  readonly example?: unknown;
}

test.each(dialects.map((dialect) => [dialect.name, dialect] as const))(
  "%s: the examples are what their schemas say, and every body has one",
  (_, { operations }) => {
    for (const { operationId, request, responses } of Object.values(operations)) {
      const bodies = [request?.body, ...Object.values(responses)] as (
        | { content?: object }
        | undefined
      )[];
      for (const body of bodies) {
        for (const [type, content] of Object.entries(body?.content ?? {})) {
          if (type !== "application/json") continue;
          const { schema, example } = content as Content;
          expect([operationId, example]).not.toEqual([operationId, undefined]);
          expect([operationId, example, schema.safeParse(example)]).toMatchObject([
            operationId,
            example,
            { success: true },
          ]);
        }
      }
    }
  },
);

test("the reference page shows every call and could run nothing", async () => {
  const { url } = await serve({ handlers: [] });
  const response = await fetch(`${url}/docs`);
  expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  const policy = response.headers.get("content-security-policy");
  const page = await response.text();
  const style = page.slice(page.indexOf("<style>") + "<style>".length, page.indexOf("</style>"));
  const digest = createHash("sha256").update(style).digest("base64");
  expect(policy).toContain(`default-src 'none'; style-src 'sha256-${digest}'; `);
  expect(page).not.toMatch(/<script|<link|\son\w+=|(src|href)="(?!#)/);
  for (const { name, operations } of dialects) {
    for (const { operationId, path } of Object.values(operations)) {
      expect(page).toContain(`<article id="${name}_${operationId}">`);
      expect(page).toContain(`<code>${path}</code>`);
    }
  }
  // Every link leads somewhere.
  const targets = new Set([...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
  for (const [, to] of page.matchAll(/href="#([^"]+)"/g)) expect(targets).toContain(to);
});

test("documents and the reference need a token where one is configured, and only GET reads them", async () => {
  const { url } = await serve({ handlers: [], env: { API_TOKENS: "reader-of-documents" } });
  const headers = { Authorization: "Bearer reader-of-documents" };
  for (const path of ["/docs", "/openapi.json", "/openapi/v1.json"]) {
    expect((await fetch(`${url}${path}`)).status).toBe(401);
    expect((await fetch(`${url}${path}?token=reader-of-documents`)).status).toBe(401);
    expect((await fetch(`${url}${path}`, { headers })).status).toBe(200);
    const post = await fetch(`${url}${path}`, { method: "POST", headers });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  }
});
