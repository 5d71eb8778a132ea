import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface Got {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- which of it, the test knows
  readonly body: any;
}

export type Respond = (got: Got, response: ServerResponse, n: number) => void;

/** Takes deliveries on a port of its own; gone after the test. */
export class Receiver {
  readonly got: Got[] = [];
  url = "";
  port = 0;
  #respond: Respond;
  #news: () => void = () => undefined;

  private constructor(respond: Respond) {
    this.#respond = respond;
  }

  /** `at`: of this machine's own addresses. */
  static async start(
    respond: Respond = (_, response) => response.end("ok"),
    at: { readonly host?: string; readonly port?: number } = {},
  ): Promise<Receiver> {
    const { host = "127.0.0.1", port = 0 } = at;
    const receiver = new Receiver(respond);
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const { url: path = "", headers } = request;
        const got = { path, headers, text, body: JSON.parse(text) as unknown };
        receiver.got.push(got);
        receiver.#respond(got, response, receiver.got.length);
        receiver.#news();
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.on("error", reject);
      server.listen(port, host, resolve);
    });
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    receiver.port = (server.address() as AddressInfo).port;
    receiver.url = `http://${host}:${receiver.port}`;
    return receiver;
  }

  /** From the next delivery on. */
  respond(respond: Respond): void {
    this.#respond = respond;
  }

  /** All that came, once there are so many. */
  async has(count: number): Promise<readonly Got[]> {
    while (this.got.length < count) await new Promise<void>((resolve) => (this.#news = resolve));
    return this.got;
  }
}
