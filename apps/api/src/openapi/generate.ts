import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dialects } from "../dialects/index.ts";
import { documentOf } from "./documents.ts";

const folder = new URL("../../openapi/", import.meta.url);
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
for (const dialect of dialects) {
  const text = JSON.stringify(documentOf(dialect), null, 2);
  writeFileSync(new URL(`${dialect.name}.json`, folder), `${text}\n`);
}
