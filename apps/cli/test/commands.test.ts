import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { expect, test } from "vitest";
import { Cli } from "../src/cli.ts";
import { commands } from "../src/commands/index.ts";
import { main } from "./running-cli.ts";

const root = join(import.meta.dirname, "../../..");

/** Of each place in the command line: the words that can stand there. */
const places = new Map<string, string[]>([["help", []]]);
const program = new Command("jobs");
for (const { name, load } of commands) {
  const command = program.command(name);
  (await load()).define(command, new Cli(program, {}, () => Promise.resolve(program)));
  enter(command, name);
}

function enter(command: Command, path: string): void {
  const below = command.commands.map((one) => one.name());
  const options = command.options.map(({ long }) => long as string);
  places.set(path, [...below, ...options]);
  for (const one of command.commands) enter(one, `${path}/${one.name()}`);
}

const globals = ["--json", "--profile", "--url", "--token", "--tenant", "--debug", "--no-color"];

function completion(shell: string): string {
  const args = ["--conditions=@jobyard/source", main, "completion", shell];
  return spawnSync(process.execPath, args, { encoding: "utf8" }).stdout;
}

test("completions know every command and every option of it", { timeout: 60_000 }, () => {
  const [bash, zsh, fish] = ["bash", "zsh", "fish"].map(completion) as [string, string, string];
  expect(places.size).toBeGreaterThan(50);
  for (const [path, words] of places) {
    if (path === "help") continue;
    const line = (script: string) =>
      script.split("\n").find((one) => /^ +"/.test(one) && one.includes(`"${path}") `)) ?? "";
    const last = (script: string, set: string) =>
      script.split("\n").find((one) => one.includes(`"${path}") ${set}`)) ?? line(script);
    const bashWords = (/words="(.*)"/.exec(last(bash, "words="))?.[1] ?? "").split(" ");
    expect(bashWords, path).toEqual(expect.arrayContaining([...words, ...globals]));
    const zshWords = last(zsh, "choices=");
    for (const word of [...words, ...globals]) expect(zshWords, path).toContain(`'${word}:`);
    for (const word of [...words, ...globals]) {
      const what = word.startsWith("--") ? `-l ${word.slice(2)} ` : `-f -a ${word} `;
      expect(fish, path).toContain(`-n '__jobs_at "${path}"' ${what}`);
    }
  }
});

test("what pages say of `jobs` in passing is there", async () => {
  const paths = ["README.md", "CONTRIBUTING.md"];
  for await (const path of glob("docs/**/*.md", { cwd: root })) paths.push(path);
  const known = (path: string) => [...(places.get(path) ?? []), ...globals];
  const wrong: string[] = [];
  let seen = 0;
  for (const path of paths) {
    const prose = readFileSync(join(root, path), "utf8").replaceAll(/^( *)```[^]*?^\1```/gm, "");
    for (const [said, line = ""] of prose.matchAll(/`(?:[^`\n]*-s )?jobs ([a-z][^`]*)`/g)) {
      const words = line.split(/\s+/);
      let place = words.shift() as string;
      if (words[0] !== undefined && places.has(`${place}/${words[0]}`))
        place += `/${words.shift()}`;
      const options = words.filter((word) => word.startsWith("--"));
      const fine = places.has(place) && options.every((one) => known(place).includes(one));
      if (!fine) wrong.push(`${path}: ${said}`);
      seen++;
    }
  }
  expect(wrong).toEqual([]);
  expect(seen).toBeGreaterThan(5);
});
