import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { dialects } from "../../../apps/api/src/dialects/index.ts";
import { documentOf } from "../../../apps/api/src/openapi/documents.ts";
import { generatedFiles } from "../generate.ts";

test("the generated files are those of the interface as it is", async () => {
  const documents = new Map(
    dialects.map((dialect) => [dialect.name, JSON.parse(JSON.stringify(documentOf(dialect)))]),
  );
  const folder = new URL("../src/generated/", import.meta.url);
  const expected = await generatedFiles(documents);
  expect(readdirSync(folder).sort()).toEqual([...expected.keys()].sort());
  for (const [name, text] of expected) {
    const current = readFileSync(new URL(name, folder), "utf8") === text;
    expect(current, `${name} is out of date: npm run generate`).toBe(true);
  }
});
