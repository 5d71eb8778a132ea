import { type IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from "node:http";

/**
 * Unless an answer has its own: a page says what it may load, a file whether it may be kept. That a whole domain is reached
 * by TLS only, is for whoever terminates it to say.
 */
const onEveryAnswer: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
};

const spellings = new Map(Object.keys(onEveryAnswer).map((name) => [name.toLowerCase(), name]));

/** Writes its headers at once: to be set one by one beforehand, they would cost Node several times as much. */
export class Answer<Asked extends IncomingMessage = IncomingMessage> extends ServerResponse<Asked> {
  /** Goes back in `X-Request-Id`. */
  requestId: string | undefined;

  override writeHead(status: number, ...rest: readonly unknown[]): this {
    const headers: OutgoingHttpHeaders = { ...onEveryAnswer };
    if (this.requestId !== undefined) headers["X-Request-Id"] = this.requestId;
    const own = rest.at(-1);
    if (typeof own === "object" && own !== null) {
      for (const [name, value] of Object.entries(own as OutgoingHttpHeaders)) {
        headers[spellings.get(name.toLowerCase()) ?? name] = value;
      }
    }
    return super.writeHead(status, headers);
  }
}
