import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { operations } from "../src/dialects/v1/operations.ts";
import { serve } from "./running-server.ts";

test("the document that is served is the one that is generated", async () => {
  const { url } = await serve({ handlers: [] });
  const served: unknown = await (await fetch(`${url}/openapi.json`)).json();
  const file = new URL("../openapi/v1.json", import.meta.url);
  expect(served).toEqual(JSON.parse(readFileSync(file, "utf8")));
});

test("the examples are what their schemas say", () => {
  let checked = 0;
  const contents: Content[] = Object.values(operations).flatMap((operation) =>
    Object.values<{ readonly description: string; readonly content?: Content }>(
      operation.responses,
    ).map(({ content = {} }) => content),
  );
  contents.push(operations.create.request.body.content, operations.wait.request.body.content);
  for (const content of contents) {
    for (const { schema, example } of Object.values(content)) {
      if (example === undefined || !("safeParse" in schema)) continue;
      expect(schema.safeParse(example)).toMatchObject({ success: true });
      checked++;
    }
  }
  expect(checked).toBeGreaterThan(30);
});

type Content = Readonly<
  Record<
    string,
    {
      readonly schema: object | { safeParse(value: unknown): { readonly success: boolean } };
      readonly example?: unknown;
    }
  >
>;
