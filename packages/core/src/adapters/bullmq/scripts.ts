import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

export interface Script {
  readonly lua: string;
  readonly sha: string;
}

const folder = new URL("./scripts/", import.meta.url);
const INCLUDE = /^--- @include "(.+)"$/gm;

/** Parts of scripts, which are no steps of their own. */
const parts = new Set([
  "answers",
  "base",
  "erase",
  "filling",
  "hooks",
  "lane",
  "leadership",
  "matches",
  "payload-paths",
  "tallies",
  "transitions",
  "wanted",
]);

/** Steps that lead to less being kept: taken even when Redis is at its memory limit, or it could never get below. */
const relieving = new Set([
  "administer",
  "alive",
  "claim",
  "complete",
  "due",
  "fail",
  "prune",
  "release",
  "renew",
]);

/** All scripts by name, each with its includes, once each, in front of where they are asked for. */
export function loadScripts(): ReadonlyMap<string, Script> {
  const names = readdirSync(folder).map((file) => file.replace(/\.lua$/, ""));
  const source = (name: string): string => readFileSync(new URL(`${name}.lua`, folder), "utf8");
  const scripts = new Map<string, Script>();
  for (const name of names) {
    if (parts.has(name)) continue;
    const flags = relieving.has(name) ? "#!lua flags=allow-oom\n" : "";
    const lua = flags + resolve(source(name), source, new Set());
    scripts.set(name, { lua, sha: createHash("sha1").update(lua).digest("hex") });
  }
  return scripts;
}

function resolve(text: string, source: (name: string) => string, seen: Set<string>): string {
  return text.replaceAll(INCLUDE, (_, name: string) => {
    if (seen.has(name)) return "";
    seen.add(name);
    return resolve(source(name), source, seen);
  });
}
