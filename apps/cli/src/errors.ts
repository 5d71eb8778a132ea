import type { JobyardError } from "@jobyard/sdk";
import { CommanderError } from "commander";

/** What scripts can go by; docs/cli.md tells them. */
export const exitCodes = {
  ok: 0,
  /** A job did not complete, or a part of what was asked could not be done. */
  failed: 1,
  /** The command line, or what it was given, is wrong. */
  usage: 2,
  notFound: 3,
  /** No token, a bad one, or one that may not do this. */
  refused: 4,
  /** The server cannot be reached, or cannot serve. */
  unreachable: 5,
  /** A wait ran out. */
  timeout: 6,
  /** The state of things forbids it: a duplicate, a job that has ended, a limit. */
  conflict: 7,
  /** A fault of this program. */
  fault: 70,
  interrupted: 130,
} as const;

export type Outcome = keyof typeof exitCodes;

/** An end that is not a success, told in one line. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly outcome: Outcome;
  /** For programs. */
  readonly code: string;

  constructor(outcome: Outcome, message: string, code: string = codes[outcome]) {
    super(message);
    this.outcome = outcome;
    this.code = code;
  }
}

const codes: Readonly<Record<Outcome, string>> = {
  ok: "OK",
  failed: "FAILED",
  usage: "USAGE",
  notFound: "NOT_FOUND",
  refused: "REFUSED",
  unreachable: "UNREACHABLE",
  timeout: "TIMEOUT",
  conflict: "CONFLICT",
  fault: "FAULT",
  interrupted: "INTERRUPTED",
};

export interface Failure {
  readonly exitCode: number;
  readonly code: string;
  /** What is wrong and what to do, in one line. */
  readonly message: string;
  /** For `--debug`. */
  readonly details?: unknown;
}

/** Any error as what is told of it; null: help or the version was asked for, and shown. */
export function failureOf(error: unknown): Failure | null {
  if (error instanceof CliError) {
    return { exitCode: exitCodes[error.outcome], code: error.code, message: error.message };
  }
  if (error instanceof CommanderError) return usageFailure(error);
  if (isJobyardError(error)) return refusalFailure(error);
  const { code, path, message } = error as NodeJS.ErrnoException;
  if (typeof code === "string" && typeof path === "string") {
    const told = fileFaults[code] ?? message;
    return { exitCode: exitCodes.usage, code, message: `${path}: ${told}` };
  }
  if (code === "EISDIR") {
    const message = "A folder was named where a file is meant";
    return { exitCode: exitCodes.usage, code, message };
  }
  // A name or path that cannot be one.
  if (code === "ERR_INVALID_ARG_VALUE") return { exitCode: exitCodes.usage, code, message };
  // What core refuses, where a command uses it itself.
  if (error instanceof Error && /^(Queue|Config)Error$/.test(error.name)) {
    return { exitCode: exitCodes.failed, code: code ?? "FAILED", message };
  }
  const text = error instanceof Error ? message : String(error);
  return {
    exitCode: exitCodes.fault,
    code: "FAULT",
    message: `A fault of this program: ${text}. --debug shows where; please report it`,
  };
}

export function isJobyardError(error: unknown): error is JobyardError {
  return error instanceof Error && error.name === "JobyardError";
}

const fileFaults: Readonly<Record<string, string>> = {
  ENOENT: "There is no such file",
  EACCES: "You may not read or write it",
  EISDIR: "It is a folder",
  EEXIST: "It exists already",
  ENOSPC: "The disk is full",
};

function usageFailure({ code, message }: CommanderError): Failure | null {
  if (/^commander\.(help|helpDisplayed|version)$/.test(code)) return null;
  const [first = "", ...more] = message.replace(/^error: /, "").split("\n");
  const line = [first[0]?.toUpperCase() + first.slice(1), ...more].join(" ");
  return { exitCode: exitCodes.usage, code: "USAGE", message: line };
}

function refusalFailure(error: JobyardError): Failure {
  const { status, code, details } = error;
  const outcome = outcomeOf(error);
  const hint = hints[code] ?? "";
  return {
    exitCode: exitCodes[outcome],
    code,
    message: `${messageOf(error)}${hint === "" ? "" : `. ${hint}`}`,
    details: { status, ...details },
  };
}

function outcomeOf({ status }: JobyardError): Outcome {
  if (status === 0 || status >= 500) return "unreachable";
  return outcomes[status] ?? (status < 400 ? "unreachable" : "usage");
}

const outcomes: Readonly<Record<number, Outcome>> = {
  401: "refused",
  403: "refused",
  404: "notFound",
  408: "timeout",
  409: "conflict",
  429: "conflict",
};

const hints: Readonly<Record<string, string>> = {
  NETWORK_ERROR:
    "Start a server with `jobs start`, or name another one with --url, JOBS_URL or a profile",
  TIMEOUT: "`jobs doctor` looks for the cause",
  INVALID_ANSWER: "Name a Jobyard server with --url, JOBS_URL or a profile",
  NOT_FOUND: "Is this a Jobyard server, and as new as this program? `jobs doctor` tells",
  AUTHENTICATION_ERROR:
    "Give a token with --token, JOBS_TOKEN or a profile; `jobs token create` makes one for a server on this machine",
  AUTHORIZATION_ERROR: "`jobs token show` tells what yours may do",
};

/** The server's words, with every field that is wrong. */
function messageOf({ message, details }: JobyardError): string {
  const errors = details["errors"];
  const fields = Array.isArray(errors) ? (errors as { field: string; message: string }[]) : [];
  const all = fields.map(({ field, message }) => (field === "" ? message : `${field}: ${message}`));
  const told = all.length === 0 ? message : all.join("; ");
  return told.replaceAll(/\s+/g, " ").replace(/\.$/, "");
}
