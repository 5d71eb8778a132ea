import { HandlerError } from "@jobyard/core";
import { AddressRefused } from "./public-http.ts";

export function refused(message: string): HandlerError {
  return new HandlerError("FILE_REFUSED", message, { dataFault: true, stage: "files" });
}

export function notFound(named: string): HandlerError {
  return new HandlerError("FILE_NOT_FOUND", `${named}: no such file`, {
    dataFault: true,
    stage: "files",
  });
}

export function tooLarge(named: string, bytes: number, maxBytes: number): HandlerError {
  const message = `${named}: ${bytes} bytes or more, at most ${maxBytes} are taken`;
  return new HandlerError("FILE_TOO_LARGE", message, { dataFault: true, stage: "files" });
}

export function httpError(url: string, status: number): HandlerError {
  const message = `${url}: answered ${status}`;
  const passing = status >= 500 || status === 408 || status === 425 || status === 429;
  if (passing) return new HandlerError("TEMPORARY_FAILURE", message, { stage: "files" });
  const missing = status === 404 || status === 410;
  return new HandlerError(missing ? "FILE_NOT_FOUND" : "FILE_REFUSED", message, {
    dataFault: true,
    stage: "files",
  });
}

export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" ? code : undefined;
}

const networkCodes: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
  "ENOTFOUND",
]);
const passingCodes: ReadonlySet<string> = new Set([
  "ENOSPC",
  "EDQUOT",
  "EMFILE",
  "ENFILE",
  "EIO",
  "EBUSY",
]);

/** As `fileError`, of bytes on their way: what the disk has no code for is the network's, a wrong checksum for example. */
export function transferError(error: unknown, named: string): unknown {
  const told = fileError(error, named);
  if (told instanceof HandlerError || codeOf(told) !== undefined) return told;
  const message = error instanceof Error ? error.message : String(error);
  return new HandlerError("NETWORK_ERROR", `${named}: ${message}`, {
    stage: "files",
    cause: error,
  });
}

/** What a failed file operation means for the job; the file is called as its producer called it. */
export function fileError(error: unknown, named: string): unknown {
  if (error instanceof HandlerError) return error;
  if (error instanceof AddressRefused) return refused(`${named}: ${error.message}`);
  const code = codeOf(error);
  if (code === undefined || !(error instanceof Error)) return error;
  const options = { stage: "files", cause: error };
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return notFound(named);
    case "ELOOP":
      return refused(`${named}: is a link`);
    case "EACCES":
    case "EPERM":
    case "ENAMETOOLONG":
    case "EISDIR":
      return refused(`${named}: cannot be opened (${code})`);
    default:
  }
  if (networkCodes.has(code) || code.startsWith("UND_ERR") || code.includes("CERT")) {
    return new HandlerError("NETWORK_ERROR", `${named}: ${error.message}`, options);
  }
  if (passingCodes.has(code)) {
    return new HandlerError("TEMPORARY_FAILURE", `${named}: ${code}`, options);
  }
  return error;
}
