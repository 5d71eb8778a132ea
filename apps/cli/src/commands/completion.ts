import { Argument, type Command } from "commander";
import type { Cli } from "../cli.ts";
import { CliError } from "../errors.ts";

const shells = ["bash", "zsh", "fish"] as const;

/** A place in the command line: `jobs`, `jobs queues`, `jobs queues drain`. */
interface Place {
  readonly path: readonly string[];
  readonly words: readonly { readonly word: string; readonly about: string }[];
}

export function define(command: Command, cli: Cli): void {
  command
    .description(
      'Print a script that completes commands and options: eval "$(jobs completion bash)"',
    )
    .addArgument(new Argument("<shell>").choices(shells))
    .action(async (shell: (typeof shells)[number]) => {
      const places = placesOf(await cli.commands());
      if (cli.out.json) throw new CliError("usage", "A script is no JSON");
      cli.out.line(scripts[shell](places));
    });
}

function placesOf(command: Command, path: readonly string[] = []): Place[] {
  const help = command.createHelp();
  const visible = help.visibleCommands(command);
  const options = [...help.visibleOptions(command), ...(path.length === 0 ? [] : globals(command))];
  const words = [
    ...visible.map((one) => ({ word: one.name(), about: one.summary() || one.description() })),
    ...options.flatMap(({ long, description }) =>
      long == null ? [] : [{ word: long, about: description }],
    ),
  ];
  return [
    { path, words },
    ...command.commands.flatMap((one) => placesOf(one, [...path, one.name()])),
  ];
}

function globals(command: Command): Command["options"] {
  let top = command;
  while (top.parent !== null) top = top.parent;
  return top.options;
}

/** Words that stand for commands, one after the other; options and what follows them are passed over. */
const scripts: Readonly<Record<(typeof shells)[number], (places: readonly Place[]) => string>> = {
  bash: (places) => `_jobs() {
  local cur=\${COMP_WORDS[COMP_CWORD]} path="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
${places
  .filter(({ path }) => path.length > 0)
  .map(
    ({ path }) =>
      `      "${bashPath(path.slice(0, -1))} ${path.at(-1)}") path="${bashPath(path)}" ;;`,
  )
  .join("\n")}
    esac
  done
  local words=""
  case "$path" in
${places.map(({ path, words }) => `    "${bashPath(path)}") words="${words.map(({ word }) => word).join(" ")}" ;;`).join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [[ \${#COMPREPLY[@]} -eq 0 ]]; then COMPREPLY=($(compgen -f -- "\${cur#@}")); fi
}
complete -F _jobs jobs`,

  zsh: (places) => `#compdef jobs
_jobs() {
  local place="" word
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$place $word" in
${places
  .filter(({ path }) => path.length > 0)
  .map(
    ({ path }) =>
      `      "${bashPath(path.slice(0, -1))} ${path.at(-1)}") place="${bashPath(path)}" ;;`,
  )
  .join("\n")}
    esac
  done
  local -a choices
  case "$place" in
${places
  .map(
    ({ path, words }) =>
      `    "${bashPath(path)}") choices=(${words.map(({ word, about }) => quoted(`${word.replaceAll(":", "\\:")}:${about}`)).join(" ")}) ;;`,
  )
  .join("\n")}
  esac
  _describe "jobs" choices || _files
}
if [[ \${funcstack[1]} == _jobs ]]; then _jobs "$@"; else compdef _jobs jobs; fi`,

  fish: (places) => `function __jobs_at
  set -l place
  set -l tokens (commandline -opc)
  for word in $tokens[2..-1]
    switch "$place $word"
${places
  .filter(({ path }) => path.length > 0)
  .map(
    ({ path }) =>
      `      case "${bashPath(path.slice(0, -1))} ${path.at(-1)}"\n        set place "${bashPath(path)}"`,
  )
  .join("\n")}
    end
  end
  test "$place" = "$argv[1]"
end
${places
  .flatMap(({ path, words }) =>
    words.map(({ word, about }) => {
      const when = `-n '__jobs_at "${bashPath(path)}"'`;
      const what = word.startsWith("--") ? `-l ${word.slice(2)}` : `-f -a ${word}`;
      return `complete -c jobs ${when} ${what} -d ${quoted(about)}`;
    }),
  )
  .join("\n")}`,
};

function bashPath(path: readonly string[]): string {
  return path.join("/");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "’").replaceAll("\\", "")}'`;
}
