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
  "metricsToken",
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
  if (terminal) {
    const pretty = { sync: true, ignore: "pid,hostname", translateTime: "HH:MM:ss.l" };
    return pino(options, PinoPretty(pretty));
  }
  const output = pino.destination({ fd: 1, sync: true, contentMode: "buffer" });
  // Its types do not know that this mode takes bytes.
  return pino(options, new Lines((bytes) => output.write(bytes as never)));
}

const unwritten = new Set<Lines>();
process.on("exit", () => {
  for (const lines of unwritten) lines.flushSync();
});

/**
 * Writes synchronously, what is logged in one go of the event loop at once: before anything else comes to pass, and
 * before the process ends, for the last lines are the ones that matter.
 */
class Lines {
  readonly #write: (bytes: Buffer) => unknown;
  #text = "";

  constructor(write: (bytes: Buffer) => unknown) {
    this.#write = write;
  }

  write(line: string): void {
    // Ticks come after all that promises have to do.
    if (this.#text === "") {
      unwritten.add(this);
      process.nextTick(() => this.flushSync());
    }
    this.#text += line;
  }

  /** pino calls it after a fatal line, too. */
  flushSync(): void {
    const text = this.#text;
    if (text === "") return;
    this.#text = "";
    unwritten.delete(this);
    this.#write(Buffer.from(text));
  }
}
