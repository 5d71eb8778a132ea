import { readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { join } from "node:path";

export const root = join(import.meta.dirname, "../../../..");

/** A fenced block of a page. */
export interface Block {
  /** Of its fence, in the page. */
  readonly line: number;
  readonly language: string;
  /** What stands after the language. */
  readonly meta: string;
  readonly text: string;
}

export interface Page {
  /** From the repository's root. */
  readonly path: string;
  readonly blocks: readonly Block[];
  /** To other files of the repository, and within pages. */
  readonly links: readonly string[];
  /** That its headings can be linked by. */
  readonly anchors: readonly string[];
}

const FENCE = /^( *)(`{3,})(\S*)[ \t]*(.*)\n([\s\S]*?)^\1\2[ \t]*$/gm;

/** What people read first, and all of docs/. */
export async function documentation(): Promise<readonly Page[]> {
  const paths = ["README.md", "CONTRIBUTING.md"];
  for await (const path of glob("docs/**/*.md", { cwd: root })) paths.push(path);
  return paths.toSorted().map(pageAt);
}

function pageAt(path: string): Page {
  const text = readFileSync(join(root, path), "utf8");
  const prose = text.replaceAll(FENCE, "");
  const links = Array.from(prose.matchAll(/\]\(([^)\s]+)\)/g), ([, link = ""]) => link);
  const headings = Array.from(prose.matchAll(/^#+ (.*)$/gm), ([, heading = ""]) => heading);
  return {
    path,
    blocks: blocksOf(text),
    links: links.filter((link) => !/^[a-z]+:/.test(link)),
    anchors: headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  };
}

function blocksOf(page: string): readonly Block[] {
  return Array.from(page.matchAll(FENCE), (found) => {
    const [, indent = "", , language = "", meta = "", text = ""] = found;
    return {
      line: page.slice(0, found.index).split("\n").length,
      language,
      meta: meta.trim(),
      text: indent === "" ? text : text.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
    };
  });
}
