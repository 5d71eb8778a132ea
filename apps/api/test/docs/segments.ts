import type { Block, Page } from "./blocks.ts";

/** A part of a page that is run as a whole, and what it has to print. */
export interface Segment {
  readonly line: number;
  readonly code: string;
  /** Goes on while what follows is run. */
  readonly background: boolean;
  /** As the page shows it; null: it does not. */
  readonly printed: string | null;
}

/** Languages whose blocks are programs; a name in `meta` makes them files that a command runs. */
const programs: Readonly<Record<string, { readonly command: string; readonly ending: string }>> = {
  ts: { command: "node --conditions=@jobyard/source", ending: ".ts" },
  js: { command: "node --conditions=@jobyard/source", ending: ".mjs" },
  python: { command: "python3", ending: ".py" },
};

const BACKGROUND = /[ \t]+# in (?:one terminal|a terminal of its own)\b.*$/;
const STARTS = /^(?:[A-Z_]+=\S* )*npx -y pnpm@12 (?:start|worker)\s*(?:#.*)?$/;

/** Programs that a clone cannot count on. */
const ELSEWHERE = /^(?:docker|kubectl|systemctl)\b/m;

/** Whether a block is run where its page is; else it is for a machine that has more than a clone. */
export function isRun({ language, meta, text }: Block): boolean {
  if (language === "sh" || language === "bash") return !ELSEWHERE.test(text);
  return language in programs || meta === "printed";
}

export interface Program {
  readonly path: string;
  readonly text: string;
  readonly language: string;
  readonly line: number;
}

/** Where a program of a page is written, from the folder in which the page is run. */
export function programOf({ language, meta, text, line }: Block): Program | undefined {
  const program = programs[language];
  if (program === undefined) return undefined;
  const named = meta !== "";
  return { path: named ? meta : `examples/line-${line}${program.ending}`, text, language, line };
}

/** What of a page is run, in its order. */
export function segmentsOf(page: Page): readonly Segment[] {
  const segments: Segment[] = [];
  for (const block of page.blocks) {
    const { language, meta, line, text } = block;
    const program = programOf(block);
    if (!isRun(block)) continue;
    if (language === "sh" || language === "bash") segments.push(...ofShell(block));
    else if (program !== undefined && meta === "") {
      const code = `${programs[language]?.command} ${program.path}\n`;
      segments.push({ line, code, background: false, printed: null });
    } else if (meta === "printed") {
      const before = segments.pop();
      if (before === undefined) throw new Error(`${page.path}:${line}: nothing has printed this`);
      segments.push({ ...before, printed: text });
    }
  }
  return segments;
}

/**
 * A comment directly below a command is what it prints. A command that says so, or serves, goes on in the background.
 */
function ofShell({ line: fence, text }: Block): Segment[] {
  const segments: Segment[] = [];
  let code = "";
  let printed: string[] = [];
  let from = fence + 1;
  const flush = (next: number): void => {
    if (code.trim() !== "") {
      const shown = printed.length === 0 ? null : printed.join("\n");
      segments.push({ line: from, code, background: false, printed: shown });
    }
    code = "";
    printed = [];
    from = next;
  };
  let before = "";
  for (const [index, line] of text.split("\n").entries()) {
    const at = fence + 1 + index;
    const comment = line.startsWith("#");
    if (comment && (printed.length > 0 || (before.trim() !== "" && !before.startsWith("#")))) {
      const last = segments.at(-1);
      if (code.trim() === "" && last?.background === true) {
        const shown = line.slice(1).trim();
        segments[segments.length - 1] = {
          ...last,
          printed: last.printed === null ? shown : `${last.printed}\n${shown}`,
        };
        before = line;
        continue;
      }
      printed.push(line.slice(1).trim());
    } else {
      if (printed.length > 0) flush(at);
      if (BACKGROUND.test(line) || STARTS.test(line)) {
        flush(at);
        segments.push({
          line: at,
          code: `${line.replace(BACKGROUND, "")}\n`,
          background: true,
          printed: null,
        });
        from = at + 1;
      } else code += `${line}\n`;
    }
    before = line;
  }
  flush(0);
  return segments;
}

/** Whether what was printed is what the page shows; `…` in the page stands for anything, white space for none. */
export function showsRightly(shown: string, printed: string, whole: "ends" | "holds"): boolean {
  const parts = squash(shown)
    .split("…")
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`${parts.join("[^]*?")}${whole === "ends" ? "$" : ""}`).test(squash(printed));
}

function squash(text: string): string {
  return text.replaceAll(/\s+/g, "");
}
