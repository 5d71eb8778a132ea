import type { Route } from "../operations.ts";
import { type Documented, documentOf, joinedDocument } from "./documents.ts";
import { referencePage, referencePolicy } from "./reference-page.ts";

/** `/openapi.json` of everything, `/openapi/{dialect}.json` of each, `/docs` for people. */
export function documentRoutes(dialects: readonly Documented[]): readonly Route[] {
  const serve = (
    path: string,
    headers: Record<string, string>,
    make: () => string | Promise<string>,
  ): Route => {
    let made: string | Promise<string> | undefined;
    return {
      method: "GET",
      path,
      handle: async (c) => c.body(await (made ??= make()), 200, headers),
    };
  };
  const json = { "Content-Type": "application/json" };
  const page = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": referencePolicy,
  };
  return [
    serve("/openapi.json", json, () => JSON.stringify(joinedDocument(dialects))),
    ...dialects.map((dialect) =>
      serve(`/openapi/${dialect.name}.json`, json, () => JSON.stringify(documentOf(dialect))),
    ),
    serve("/docs", page, () => referencePage(joinedDocument(dialects))),
  ];
}
