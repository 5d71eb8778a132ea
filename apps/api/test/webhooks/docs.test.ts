import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { signatureOf } from "../../src/webhooks/sender.ts";
import { temporaryFolder } from "../running-server.ts";

const docs = join(import.meta.dirname, "../../../../docs/webhooks.md");

test("the check of signatures in the documentation tells right from wrong", async () => {
  const [, code] =
    /```js examples\/signature.mjs\n(.*?)```/s.exec(await readFile(docs, "utf8")) ?? [];
  const file = join(await temporaryFolder(), "check.mjs");
  await writeFile(file, code ?? "");
  const { isFromJobyard } = (await import(pathToFileURL(file).href)) as {
    isFromJobyard(body: Uint8Array, signature: string | undefined, secret: string): boolean;
  };
  const body = Buffer.from('{"event":"job.pushed","data":"ö"}');
  const signature = signatureOf("shared", body);
  expect(isFromJobyard(body, signature, "shared")).toBe(true);
  expect(isFromJobyard(body, signature, "other")).toBe(false);
  expect(isFromJobyard(Buffer.concat([body, Buffer.from(" ")]), signature, "shared")).toBe(false);
  expect(isFromJobyard(body, signature.slice(2), "shared")).toBe(false);
  expect(isFromJobyard(body, undefined, "shared")).toBe(false);
});
