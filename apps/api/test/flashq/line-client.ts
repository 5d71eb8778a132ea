import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type JobQueue, parseConfig } from "@jobyard/core";
import { createLogger, type Logger } from "@jobyard/core/process";
import { onTestFinished } from "vitest";
import { authenticator } from "../../src/auth/authenticate.ts";
import { startTcp, type TcpLimits, type TcpServer } from "../../src/transports/tcp/server.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- whatever an answer holds: the test knows
export type Answer = any;

export interface Lines {
  readonly server: TcpServer;
  readonly port: number;
  /** Connected, gone after the test. */
  client(): Promise<LineClient>;
}

export interface LinesSetup {
  readonly env?: Record<string, string>;
  readonly limits?: Partial<TcpLimits>;
  readonly log?: Logger;
}

/** The line protocol over a queue, on a free port. */
export async function lines(queue: JobQueue, setup: LinesSetup = {}): Promise<Lines> {
  const config = parseConfig({ TCP_PORT: "0", ...setup.env });
  const authenticate = authenticator(config.auth, config.auth.open ? DEVELOPMENT_SECRET : null);
  const server = await startTcp({
    queue,
    authenticate,
    anonymous: config.auth.open ? await authenticate(undefined) : null,
    log: setup.log ?? createLogger("silent", false),
    host: "localhost",
    ...config.tcp,
    maxLineBytes: config.limits.maxBatchBytes,
    maxConnections: config.limits.connections,
    limits: { checkMs: 20, ...setup.limits },
  });
  onTestFinished(() => server.close());
  const port = portOf(server.urls[0]);
  return { server, port, client: () => LineClient.connect({ port }) };
}

export const DEVELOPMENT_SECRET = "a development secret of 32 bytes!";

function portOf(url: string | undefined): number {
  return Number(/:(\d+)$/.exec(url ?? "")?.[1]);
}

/** A connection that speaks lines; answers come in the order of the commands. */
export class LineClient {
  readonly socket: Socket;
  /** Resolves when the connection is over, with what came and was not asked for. */
  readonly closed: Promise<readonly Answer[]>;
  readonly #answers: Answer[] = [];
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];
  #text = "";

  static async connect(to: { port: number } | { path: string }): Promise<LineClient> {
    const socket = connect("port" in to ? { host: "127.0.0.1", ...to } : to);
    await once(socket, "connect");
    const client = new LineClient(socket);
    onTestFinished(() => void socket.destroy());
    return client;
  }

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => {
      this.#text += text;
      const lines = this.#text.split("\n");
      this.#text = lines.pop() ?? "";
      for (const line of lines) this.#onAnswer(JSON.parse(line));
    });
    socket.on("error", () => undefined);
    this.closed = new Promise((resolve) => {
      socket.on("close", () => {
        for (const { reject } of this.#waiting) reject(new Error("The connection was closed"));
        resolve(this.#answers);
      });
    });
  }

  #onAnswer(answer: Answer): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#answers.push(answer);
    else waiting.resolve(answer);
  }

  send(...commands: readonly (object | string | Uint8Array)[]): void {
    for (const command of commands) {
      const raw = typeof command === "string" || command instanceof Uint8Array;
      this.socket.write(raw ? command : `${JSON.stringify(command)}\n`);
    }
  }

  next(): Promise<Answer> {
    if (this.#answers.length > 0) return Promise.resolve(this.#answers.shift());
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  ask(command: object | string): Promise<Answer> {
    this.send(command);
    return this.next();
  }

  /** One packet as far as the sender is concerned. */
  askAll(commands: readonly object[]): Promise<readonly Answer[]> {
    this.send(commands.map((command) => `${JSON.stringify(command)}\n`).join(""));
    return Promise.all(commands.map(() => this.next()));
  }

  /** Whether nothing has come that was not asked for. */
  get silent(): boolean {
    return this.#answers.length === 0;
  }
}
