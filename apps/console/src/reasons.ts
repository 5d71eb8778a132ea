import { JobyardError } from "@jobyard/sdk";
import { useCallback } from "preact/hooks";
import type { Formats } from "./formats.ts";
import { usePreferences } from "./preferences.tsx";
import type { Label, Translate } from "./words.ts";

/** Codes that say all that can be said in the viewer's language. */
const plain = {
  INVALID_JOB_DATA: "reasonInvalid",
  JOB_NOT_FOUND: "reasonNoJob",
  QUEUE_NOT_FOUND: "reasonNoQueue",
  SCHEDULE_NOT_FOUND: "reasonNoSchedule",
  WEBHOOK_NOT_FOUND: "reasonNoWebhook",
  FILE_NOT_FOUND: "reasonNoFile",
  DUPLICATE_SCHEDULE: "reasonDuplicateSchedule",
  QUEUE_FULL: "reasonFull",
  AUTHORIZATION_ERROR: "reasonRole",
  SYSTEM_ERROR: "reasonServer",
  NETWORK_ERROR: "reasonNoAnswer",
  TIMEOUT: "reasonLate",
} as const;

const states: readonly string[] = [
  "waiting",
  "delayed",
  "blocked",
  "active",
  "completed",
  "failed",
  "cancelled",
] satisfies readonly Label[];

/** Why something was refused, or could not be asked; in the viewer's language where its code is known. */
export function useReasons(): (error: unknown) => string {
  const { t, formats } = usePreferences();
  return useCallback((error) => reasonOf(error, t, formats), [t, formats]);
}

function reasonOf(error: unknown, t: Translate, formats: Formats): string {
  if (error instanceof SyntaxError) return t("reasonNotJson", { reason: error.message });
  if (!(error instanceof JobyardError)) {
    return error instanceof Error ? error.message : String(error);
  }
  const { code, details, retryAfter } = error;
  const reason = serverWords(error);
  const { state, limitBytes, jobId } = details;
  if (typeof state === "string" && states.includes(state)) {
    return t("reasonState", { state: t(state as Label), reason });
  }
  if (typeof limitBytes === "number") {
    return t("reasonTooLarge", { size: formats.bytes(limitBytes), reason });
  }
  if (code === "DUPLICATE_JOB" && typeof jobId === "string") {
    return t("reasonDuplicateJob", { id: jobId, reason });
  }
  if (code === "RATE_LIMIT_EXCEEDED" && retryAfter !== undefined) {
    return t("reasonTooOften", { seconds: formats.number(retryAfter), reason });
  }
  return Object.hasOwn(plain, code) ? t(plain[code as keyof typeof plain], { reason }) : reason;
}

interface FieldError {
  readonly field: string;
  readonly message: string;
}

/** Each wrong field included. */
function serverWords({ message, details }: JobyardError): string {
  const fields = (details["errors"] ?? []) as readonly FieldError[];
  const told = fields.map(({ field, message: wrong }) => `${field}: ${wrong}`).join("; ");
  return told === "" ? message : `${message} (${told})`;
}
