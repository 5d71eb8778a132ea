import { Command, Option } from "commander";
import about from "../package.json" with { type: "json" };
import { Cli } from "./cli.ts";
import { commands } from "./commands/index.ts";
import { exitCodes, failureOf } from "./errors.ts";
import { shown } from "./output.ts";
import type { Environment } from "./profiles.ts";

/**
 * Runs one command line; answers the exit code, or nothing where a server was started, which ends the process itself.
 * Nothing is thrown.
 */
export async function run(argv: readonly string[], env: Environment): Promise<number | undefined> {
  const program = newProgram();
  const cli: Cli = new Cli(program, env, () => wholeProgram(cli));
  let exitCode: number | undefined;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") {
      // `jobs list | head`: whoever reads has read enough.
      if (!cli.finishing || exitCode !== undefined) process.exit(exitCode ?? 0);
      return;
    }
    process.stderr.write(`jobs: Standard output cannot be written: ${error.message}\n`);
    process.exit(exitCode || exitCodes.failed);
  });
  // Where nobody reads what is wrong, the exit code still tells.
  process.stderr.on("error", () => undefined);
  exitCode = await ended(program, cli, argv);
  return exitCode;
}

async function ended(
  program: Command,
  cli: Cli,
  argv: readonly string[],
): Promise<number | undefined> {
  try {
    await program.parseAsync(await prepared(program, cli, argv), { from: "user" });
    return cli.serving ? undefined : 0;
  } catch (error) {
    // Where the command line itself is wrong, its options are not parsed.
    const asked = (option: string): boolean => argv.includes(option);
    return tell(error, { json: asked("--json"), debug: asked("--debug") });
  }
}

/** The whole tree, with every command's options. */
async function wholeProgram(cli: Cli): Promise<Command> {
  const program = newProgram();
  for (const { name, load } of commands) (await load()).define(commandOf(program, name), cli);
  return program;
}

function newProgram(): Command {
  const program = new Command("jobs")
    .description("Jobyard's command line: docs/cli.md")
    .version(about.version, "-V, --version", "Print the version")
    .helpOption("-h, --help", "Print this help")
    .helpCommand("help [command]", "Print the help of a command")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .option("--json", "Print JSON")
    .option("--profile <name>", "Call this server of the configuration file (JOBS_PROFILE)")
    .addOption(
      new Option("--url <url>", "Call the server at this address (JOBS_URL)").conflicts("profile"),
    )
    .option("--token <token>", "With this token (JOBS_TOKEN)")
    .option("--tenant <name>", "For a token of all tenants: the one that is meant (JOBS_TENANT)")
    .option("--debug", "Tell every call, and more of errors")
    .addOption(new Option("--no-color", "Print without colours (NO_COLOR)"));
  // Only the program itself writes help of its own accord; what went wrong is told at one place.
  for (const { name, summary, group } of commands) {
    program.command(name).summary(summary).description(summary).helpGroup(group);
  }
  return program;
}

function commandOf(program: Command, name: string): Command {
  const found = program.commands.find((command) => command.name() === name);
  if (found === undefined) throw new Error(`There is no command ${name}`);
  return found;
}

/** Loads the command that is called. A group that is called by itself lists. */
async function prepared(
  program: Command,
  cli: Cli,
  argv: readonly string[],
): Promise<readonly string[]> {
  const { operands, unknown } = program.parseOptions([...argv]);
  if (operands.length + unknown.length === 0) return ["--help"];
  const [name = "", first] = operands[0] === "help" ? operands.slice(1) : operands;
  const entry = commands.find((one) => one.name === name);
  const helps = operands[0] === "help";
  if (entry === undefined) return helps && name !== "" ? [name] : argv;
  const command = commandOf(program, name);
  (await entry.load()).define(command, cli);
  if (helps) return [...operands.slice(1), "--help"];
  const asksHelp = unknown.some((word) => word === "-h" || word === "--help");
  const lists = command.commands.some((one) => one.name() === "list");
  const alone = operands[0] === name && first === undefined && !asksHelp;
  return alone && lists ? [name, "list", ...unknown] : argv;
}

function tell(error: unknown, { json, debug }: { json: boolean; debug: boolean }): number {
  const failure = failureOf(error);
  if (failure === null) return 0;
  const { exitCode, code, message, details } = failure;
  const text = json
    ? JSON.stringify({ error: { code, message, exitCode } })
    : `jobs: ${shown(message)}`;
  process.stderr.write(`${text}\n`);
  if (debug) {
    if (details !== undefined) process.stderr.write(`debug: ${JSON.stringify(details)}\n`);
    process.stderr.write(`${stackOf(error)}\n`);
  }
  return exitCode;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { stack, message, cause } = error;
  const told = stack ?? message;
  return cause === undefined ? told : `${told}\ncaused by ${stackOf(cause)}`;
}
