import { type Logger, pino } from "pino";
import { PinoPretty } from "pino-pretty";

export type { Logger };

/** Wherever they stand in what is logged. */
const secretFields = [
  "authorization",
  "cookie",
  "token",
  "secret",
  "password",
  "jwtSecret",
  "apiTokens",
];

/** JSON lines on standard output; readable ones where that is a terminal. */
export function createLogger(level: string, terminal: boolean): Logger {
  const options = {
    level,
    redact: {
      paths: secretFields.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
      censor: "[hidden]",
    },
  };
  // Both write synchronously: the last lines before an exit are the ones that matter.
  return terminal
    ? pino(options, PinoPretty({ sync: true, ignore: "pid,hostname", translateTime: "HH:MM:ss.l" }))
    : pino(options, pino.destination({ fd: 1, sync: true }));
}
