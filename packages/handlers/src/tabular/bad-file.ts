import { HandlerError } from "@jobyard/core";

/** The file's own fault, told by its name as the producer knows it. */
export function badFile(message: string, code = "INVALID_FILE"): HandlerError {
  return new HandlerError(code, message, { dataFault: true, stage: "read" });
}
