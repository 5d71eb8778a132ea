import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { accessRoles, type Role } from "../../src/auth/caller.ts";
import { operations } from "../../src/dialects/native/operations.ts";
import { root } from "./blocks.ts";

const limits = rowsOf("docs/limits.md").map(([what = "", value = "", by = ""]) => ({
  what,
  value,
  by: quoted(by),
}));
const settings = new Map(
  rowsOf("docs/configuration.md").map(([name = "", value = ""]) => [bare(name), bare(value)]),
);

describe("limits are what settings and the code say", () => {
  test.each(limits)("$what: $value", ({ value, by }) => {
    const [place = "", constant] = by;
    if (constant === undefined) {
      expect(value.replace(/ (?:ms|bytes)$/, "")).toBe(settings.get(place));
      return;
    }
    const file = join(root, place);
    expect(existsSync(file)).toBe(true);
    const [, digits = ""] =
      new RegExp(`\\b${constant}\\b\\s*[=:]\\s*([\\d_]+)\\b`).exec(readFileSync(file, "utf8")) ??
      [];
    expect(Number(value.replaceAll(/[^\d]/g, ""))).toBe(Number(digits.replaceAll("_", "")));
  });
});

test("the roles are what the operations ask for", () => {
  const may = (access: keyof typeof accessRoles, role: Role): string => {
    const allowed: readonly Role[] = accessRoles[access];
    if (!allowed.includes(role)) return "no";
    return access === "system" ? "of all tenants" : "yes";
  };
  const rows = (Object.keys(accessRoles) as (keyof typeof accessRoles)[]).map((access) => [
    access,
    may(access, "MANAGER"),
    may(access, "OPERATOR"),
    may(access, "ADMIN"),
    ...Object.values(operations)
      .filter((operation) => operation["x-access"] === access)
      .map(({ operationId }) => operationId)
      .toSorted(),
  ]);
  const shown = rowsOf("docs/security.md")
    .filter((cells) => cells.length === 5)
    .map(([access = "", ...others]) => {
      const calls = others.pop() ?? "";
      return [bare(access), ...others, ...quoted(calls).toSorted()];
    });
  expect(shown).toEqual(rows);
});

test("the files that the architecture names are there", () => {
  const page = readFileSync(join(root, "docs/ARCHITECTURE.md"), "utf8");
  const named = quoted(page.replaceAll(/^```[^]*?^```/gm, ""))
    .filter((name) =>
      /^(?:apps|packages|bench|docs|scripts|deploy|examples)\/[^<>{}*\s]*$/.test(name),
    )
    .filter((name) => !existsSync(join(root, name)));
  expect(named).toEqual([]);
});

/** The cells of a page's tables, without their heads. */
function rowsOf(path: string): string[][] {
  const page = readFileSync(join(root, path), "utf8");
  const tables = page.matchAll(/^\|.*\n\|(?:-+\|)+\n((?:\|.*\n)+)/gm);
  return Array.from(tables, ([, rows = ""]) => rows.trimEnd().split("\n"))
    .flat()
    .map((row) =>
      row
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.trim()),
    );
}

function quoted(cell: string): string[] {
  return Array.from(cell.matchAll(/`([^`]+)`/g), ([, name = ""]) => name);
}

function bare(cell: string): string {
  return cell.replaceAll("`", "");
}
