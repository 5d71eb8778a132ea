import {
  type IncomingMessage,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
  ServerResponse,
} from "node:http";

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

/** Value after name, as Node takes them fastest. */
const standard = Object.entries(onEveryAnswer).flat();
/** Where the values stand. */
const places = new Map(
  Object.keys(onEveryAnswer).map((name, i) => [name.toLowerCase(), 2 * i + 1]),
);

/** Writes its headers at once: to be set one by one beforehand, they would cost Node several times as much. */
export class Answer<Asked extends IncomingMessage = IncomingMessage> extends ServerResponse<Asked> {
  /** Goes back in `X-Request-Id`. */
  requestId: string | undefined;

  override writeHead(status: number, ...rest: readonly unknown[]): this {
    const headers: OutgoingHttpHeader[] = standard.slice();
    if (this.requestId !== undefined) headers.push("X-Request-Id", this.requestId);
    const own = rest.at(-1);
    if (typeof own === "object" && own !== null) {
      for (const [name, value] of Object.entries(own as OutgoingHttpHeaders)) {
        if (value === undefined) continue;
        const place = places.get(name.toLowerCase());
        if (place === undefined) headers.push(name, value);
        else headers[place] = value;
      }
    }
    return super.writeHead(status, headers);
  }
}
