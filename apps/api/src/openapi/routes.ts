import { Hono } from "hono";
import type { ApiEnv } from "../dialect.ts";
import { RequestError } from "../request-error.ts";
import { type Documented, documentOf, joinedDocument } from "./documents.ts";
import { referencePage, referencePolicy } from "./reference-page.ts";

const JSON_TYPE = "application/json";

/** `/openapi.json` of everything, `/openapi/{dialect}.json` of each, `/docs` for people. */
export function documentRoutes(dialects: readonly Documented[]): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();
  const serve = (
    path: string,
    headers: Record<string, string>,
    make: () => string | Promise<string>,
  ): void => {
    let made: string | Promise<string> | undefined;
    app.get(path, async (c) => c.body(await (made ??= make()), 200, headers));
    app.all(path, () => {
      throw new RequestError("METHOD_NOT_ALLOWED", "Only GET here", { Allow: "GET" });
    });
  };
  serve("/openapi.json", { "Content-Type": JSON_TYPE }, () =>
    JSON.stringify(joinedDocument(dialects)),
  );
  for (const dialect of dialects) {
    serve(`/openapi/${dialect.name}.json`, { "Content-Type": JSON_TYPE }, () =>
      JSON.stringify(documentOf(dialect)),
    );
  }
  serve(
    "/docs",
    {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": referencePolicy,
    },
    () => referencePage(joinedDocument(dialects)),
  );
  return app;
}
