import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { jobTypeOf } from "@jobyard/core";
import { describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { projectSchema } from "../../../../packages/handlers/src/process-batch/project.ts";
import { ensureSystemTools } from "../../../../scripts/system-tools.ts";
import { type Block, documentation, root } from "./blocks.ts";
import { isRun, programOf, segmentsOf, showsRightly } from "./segments.ts";
import { assertRuns } from "./session.ts";

/*
 * Every block of the documentation is run, or checked in the way that its language says: CONTRIBUTING.md tells how.
 */

const pages = await documentation();
ensureSystemTools("curl", "nc", "python3");

describe.concurrent("pages", () => {
  const run = pages.filter((page) => segmentsOf(page).length > 0);

  test.each(run.map((page) => [page.path, page] as const))(
    "%s does what it says",
    { timeout: 180_000 },
    async (_, page) => {
      await assertRuns(page);
    },
  );
});

const all = pages.flatMap(({ path, blocks }) => blocks.map((block) => ({ path, block })));
const whereOf = ({ path, block }: (typeof all)[number]): string => `${path}:${block.line}`;

test("every block has a language that says how it is checked", () => {
  const unchecked = all.filter(
    ({ block }) => !isRun(block) && checks[block.language] === undefined,
  );
  expect(unchecked.map(whereOf)).toEqual([]);
});

test("what is not run is well formed", async () => {
  for (const one of all) {
    if (isRun(one.block)) continue;
    const faults = await checks[one.block.language]?.(one.block);
    expect(faults, whereOf(one)).toBeUndefined();
  }
});

test("TypeScript type-checks", async () => {
  const folder = await mkdtemp(join(tmpdir(), "jobyard-docs-types-"));
  try {
    await symlink(join(root, "examples/node_modules"), join(folder, "node_modules"));
    for (const { path, blocks } of pages) {
      for (const program of blocks.map(programOf)) {
        if (program?.language !== "ts") continue;
        const file = join(folder, path, program.path);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, program.text);
      }
    }
    const settings = {
      compilerOptions: {
        strict: true,
        target: "esnext",
        module: "nodenext",
        customConditions: ["@jobyard/source"],
        allowImportingTsExtensions: true,
        erasableSyntaxOnly: true,
        noEmit: true,
        types: ["node"],
        typeRoots: [join(root, "node_modules/@types")],
      },
      include: ["**/*.ts"],
    };
    await writeFile(join(folder, "package.json"), '{ "type": "module" }');
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(settings));
    const tsc = join(root, "node_modules/.bin/tsc");
    const faults = await promisify(execFile)(tsc, ["-p", folder, "--pretty", "false"]).then(
      () => "",
      (error: { readonly stdout: string }) => error.stdout,
    );
    expect(faults).toBe("");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("links lead to what is there", () => {
  const dead = pages.flatMap(({ path, links }) =>
    links.filter((link) => !leadsSomewhere(path, link)).map((link) => `${path}: ${link}`),
  );
  expect(dead).toEqual([]);
});

test("what was printed may differ where the page says so, and nowhere else", () => {
  expect(showsRightly('{"id":1,"at":…}', ' {"id":1, "at":"2026"}\n', "ends")).toBe(true);
  expect(showsRightly('{"id":1,…}', '{"id":2,"at":"2026"}', "ends")).toBe(false);
  expect(showsRightly('{"id":1', '{"id":1}', "ends")).toBe(false);
  expect(showsRightly('{"id":1', '{"id":1}', "holds")).toBe(true);
});

/** By language: what is wrong with a block that is not run. */
const checks: Readonly<Record<string, (block: Block) => unknown>> = {
  /** A picture. */
  text: () => undefined,
  /** A request as it is on the wire. */
  http: ({ text }) =>
    /^(?:GET|POST|PUT|PATCH|DELETE) \/\S* HTTP\/1\.1\n/.test(text) ? undefined : "no request",
  /** What it is, is said: `data=<queue>` is a job's data. */
  json({ text, meta }) {
    const value: unknown = JSON.parse(text);
    const [kind = "", queue = ""] = meta.split("=");
    switch (kind) {
      case "data":
        return jobTypeOf(queue)?.data.safeParse(value).error ?? unknownQueue(queue);
      case "project":
        return projectSchema.safeParse(value).error;
      case "catalogue": // The quotes' own tests calculate with it.
      case "webhook": // The page's receiver prints one.
        return undefined;
      default:
        return `nobody knows what "${meta}" is`;
    }
  },
  yaml: ({ text }) => parseAllDocuments(text).flatMap(({ errors }) => errors)[0],
  console: readOnly,
  sh: readOnly,
};

function unknownQueue(queue: string): string | undefined {
  return jobTypeOf(queue) === undefined ? `${queue} has no job type` : undefined;
}

/** For a machine that has more than a clone: read by bash, not run; the repository's files that it names have to be there. */
async function readOnly({ text }: Block): Promise<string | undefined> {
  const { stderr } = await promisify(execFile)("bash", ["-n", "-c", text]);
  const missing = [...text.matchAll(/(?<![\w/.-])deploy\/[\w./-]+/g)].filter(
    ([path]) => !existsSync(join(root, path)),
  );
  return stderr === "" && missing.length === 0 ? undefined : `${stderr}${missing.join(" ")}`;
}

function leadsSomewhere(from: string, link: string): boolean {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? from : join(dirname(from), path);
  if (!existsSync(join(root, target))) return false;
  const page = pages.find((one) => one.path === target);
  return anchor === undefined || page === undefined || page.anchors.includes(anchor);
}
