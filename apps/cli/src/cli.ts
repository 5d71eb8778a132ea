import type { Jobyard } from "@jobyard/sdk";
import type { Command } from "commander";
import { CliError, exitCodes } from "./errors.ts";
import { Output } from "./output.ts";
import { type Connection, connectionOf, type Environment, type Wishes } from "./profiles.ts";

/** Options that every command takes. */
interface GlobalOptions extends Wishes {
  readonly json?: boolean;
  readonly color: boolean;
  readonly debug?: boolean;
}

/** What a command works with. */
export class Cli {
  readonly env: Environment;
  /** Every command with its options, for what is made of them. */
  readonly commands: () => Promise<Command>;
  readonly #program: Command;
  #out: Output | undefined;
  #connection: Promise<Connection> | undefined;
  #client: Promise<Jobyard> | undefined;
  #serving = false;
  #finishing = false;

  constructor(program: Command, env: Environment, commands: () => Promise<Command>) {
    this.commands = commands;
    this.#program = program;
    this.env = env;
  }

  get options(): GlobalOptions {
    return this.#program.opts();
  }

  get out(): Output {
    const { json = false, color } = this.options;
    const colour =
      color && !this.env["NO_COLOR"] && process.stdout.isTTY && this.env["TERM"] !== "dumb";
    return (this.#out ??= new Output({ json, colour }));
  }

  /** @throws CliError where the profile or the address is wrong */
  connection(): Promise<Connection> {
    return (this.#connection ??= connectionOf(this.options, this.env));
  }

  /** The SDK is loaded here, for those that call a server. */
  client(): Promise<Jobyard> {
    return (this.#client ??= this.#connect());
  }

  async #connect(): Promise<Jobyard> {
    const { url, token, tenant } = await this.connection();
    const { Jobyard } = await import("@jobyard/sdk");
    return new Jobyard({
      baseURL: url,
      ...(token !== undefined && { token }),
      ...(tenant !== undefined && { tenant }),
      ...(this.options.debug === true && { fetch: loud }),
    });
  }

  /**
   * For commands that tell what they have done when they are interrupted: the first Ctrl-C or SIGTERM aborts the signal with
   * an `Interruption`, a second one ends the process.
   */
  interruptible(): AbortSignal {
    const interrupted = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        if (interrupted.signal.aborted) process.exit(exitCodes.interrupted);
        interrupted.abort(new Interruption());
      });
    }
    return interrupted.signal;
  }

  /** The command has started what goes on by itself, with its own signals and exit codes. */
  serves(): void {
    this.#serving = true;
  }

  /** The command changes things one after the other: it goes on to its end, even if nobody reads what it tells. */
  finishes(): void {
    this.#finishing = true;
  }

  get finishing(): boolean {
    return this.#finishing;
  }

  get serving(): boolean {
    return this.#serving;
  }
}

/** Ctrl-C; whoever was at work says in `message` what was done. */
export class Interruption extends CliError {
  constructor(message = "Interrupted") {
    super("interrupted", message);
  }
}

async function loud(...[input, init]: Parameters<typeof fetch>): Promise<Response> {
  const began = performance.now();
  const call = `${init?.method ?? "GET"} ${input instanceof Request ? input.url : input.toString()}`;
  const told = (end: string): void => {
    const ms = Math.round(performance.now() - began);
    process.stderr.write(`debug: ${call}: ${end}, ${ms} ms\n`);
  };
  process.stderr.write(`debug: ${call}\n`);
  try {
    const response = await fetch(input, init);
    told(String(response.status));
    return response;
  } catch (error) {
    told(String(error));
    throw error;
  }
}
