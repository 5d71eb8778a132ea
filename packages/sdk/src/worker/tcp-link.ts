import type { Socket } from "node:net";
import { JobyardError } from "../errors.ts";
import type { ClientOptions } from "../http.ts";
import type { Claim, Ended, Link, Load, Refusals, Report, RunRef } from "./link.ts";

type Token = ClientOptions["token"];

interface WireJob {
  readonly id: number;
  readonly lease: string;
  readonly data: unknown;
  readonly attempts: number;
  readonly max_attempts: number;
}

interface Answer {
  readonly ok: boolean;
  readonly error?: string;
  readonly jobs?: readonly WireJob[];
  readonly state?: string | null;
}

const CONNECT_MS = 10_000;

/** flashQ's lines. Pulls have a connection of their own: answers come in the order of the commands. */
export class TcpLink implements Link {
  readonly #pulls: Lines;
  readonly #reports: Lines;
  readonly #queue: string;
  readonly #worker: string;

  constructor(address: string, token: Token, queue: string, worker: string) {
    this.#pulls = new Lines(address, token);
    this.#reports = new Lines(address, token);
    this.#queue = queue;
    this.#worker = worker;
  }

  async pull(limit: number, signal: AbortSignal): Promise<readonly Claim[]> {
    if (signal.aborted) return [];
    // What is claimed already still comes; nothing else does.
    const callOff = (): void => this.#pulls.finish();
    signal.addEventListener("abort", callOff);
    try {
      const command = { cmd: "PULLB", queue: this.#queue, count: limit, worker: this.#worker };
      const { jobs = [] } = await this.#pulls.ask(JSON.stringify(command));
      return jobs.map((job) => ({
        id: String(job.id),
        lease: job.lease,
        name: null,
        data: job.data,
        attempt: job.attempts,
        maxAttempts: job.max_attempts,
        leaseMs: undefined,
      }));
    } catch (error) {
      if (signal.aborted) return [];
      throw error;
    } finally {
      signal.removeEventListener("abort", callOff);
    }
  }

  end(ended: readonly Ended[]): Promise<Refusals> {
    const lines = ended.map(({ run: { id, lease }, ending }) => {
      const run = `"id":${id},"lease":${JSON.stringify(lease)}`;
      if (ending.kind === "completed") {
        const { result } = ending;
        return `{"cmd":"ACK",${run}${result === undefined ? "" : `,"result":${result}`}}`;
      }
      const { error, code, final } = ending;
      return JSON.stringify({ cmd: "FAIL", id: Number(id), lease, error, code, final });
    });
    return this.#each(lines);
  }

  async report(reports: readonly Report[]): Promise<void> {
    const lines = reports.flatMap(({ run, progress, lines }) => {
      const ref = { id: Number(run.id), lease: run.lease };
      const commands: string[] = [];
      if (progress !== undefined) {
        const { percent, message } = progress;
        commands.push(JSON.stringify({ cmd: "PROGRESS", ...ref, progress: percent, message }));
      }
      if (lines.length > 0) commands.push(JSON.stringify({ cmd: "LOG", ...ref, lines }));
      return commands;
    });
    await this.#each(lines);
  }

  async renew(runs: readonly RunRef[]): Promise<readonly RunRef[]> {
    // The worker's heartbeat keeps its leases; here is found out who has been cancelled.
    const answers = await Promise.all(
      runs.map(({ id }) => this.#reports.ask(`{"cmd":"GETSTATE","id":${id}}`, true)),
    );
    return runs.filter((_, i) => answers[i]?.state !== "active");
  }

  async heartbeat({ jobsProcessed, ...load }: Load): Promise<void> {
    const who = { worker: this.#worker, queues: [this.#queue] };
    const command = { cmd: "HEARTBEAT", ...who, ...load, jobs_processed: jobsProcessed };
    await this.#reports.ask(JSON.stringify(command));
  }

  close(): Promise<void> {
    // Runs that are left come back when nobody renews them.
    this.#pulls.finish();
    this.#reports.finish();
    return Promise.resolve();
  }

  async #each(lines: readonly string[]): Promise<Refusals> {
    const answers = await Promise.all(lines.map((line) => this.#reports.ask(line, true)));
    return answers.map(({ ok, error }) =>
      ok ? undefined : new JobyardError(error ?? "Refused", { code: "REFUSED" }),
    );
  }
}

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
  readonly refusable: boolean;
}

/** A connection of lines, made when it is needed and anew when it is lost. */
class Lines {
  readonly #host: string;
  readonly #port: number;
  readonly #token: Token;
  #connecting: Promise<Socket> | undefined;
  #socket: Socket | undefined;
  #waiting: Waiting[] = [];
  /** Of those waiting, how many are answered. */
  #answered = 0;
  #out: string[] = [];

  constructor(address: string, token: Token) {
    const { hostname, port } = new URL(address);
    this.#host = hostname.replace(/^\[|\]$/g, "");
    this.#port = port === "" ? 6789 : Number(port);
    this.#token = token;
  }

  /** @throws JobyardError where there is no answer, or, unless `refusable`, where it is a refusal */
  async ask(line: string, refusable = false): Promise<Answer> {
    const socket = this.#socket ?? (await (this.#connecting ??= this.#connect()));
    return this.#send(socket, line, refusable);
  }

  /** Takes the answers that are under way, and closes. */
  finish(): void {
    this.#socket?.end();
  }

  #send(socket: Socket, line: string, refusable: boolean): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (!socket.writable) return reject(lost("The connection is closed"));
      this.#waiting.push({ resolve, reject, refusable });
      // Everything asked for in this turn leaves in one piece.
      if (this.#out.push(line) === 1) {
        queueMicrotask(() => {
          const text = `${this.#out.join("\n")}\n`;
          this.#out = [];
          socket.write(text);
        });
      }
    });
  }

  async #connect(): Promise<Socket> {
    try {
      const { connect } = await import("node:net");
      const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
      const timer = setTimeout(
        () => socket.destroy(new Error("No connection in time")),
        CONNECT_MS,
      );
      let failure: Error | undefined;
      let rest = "";
      socket.setEncoding("utf8");
      socket.on("data", (chunk: string) => {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() as string;
        for (const line of lines) this.#take(line);
      });
      socket.on("error", (error) => (failure = error));
      await new Promise<void>((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("close", () => {
          const { code, message } = (failure ?? {}) as Partial<NodeJS.ErrnoException>;
          // Of several addresses tried, the error has no message of its own.
          const why = (message || code) ?? "the connection was closed";
          const error = lost(`Lost tcp://${this.#host}:${this.#port}: ${why}`);
          this.#socket = undefined;
          const unanswered = this.#waiting.slice(this.#answered);
          this.#waiting = [];
          this.#answered = 0;
          this.#out = [];
          for (const { reject } of unanswered) reject(error);
          reject(error);
        });
      }).finally(() => clearTimeout(timer));
      const token = typeof this.#token === "function" ? await this.#token() : this.#token;
      if (token) {
        const auth = this.#send(socket, JSON.stringify({ cmd: "AUTH", token }), false);
        await auth.catch((error: unknown) => {
          socket.destroy();
          throw error;
        });
      }
      return (this.#socket = socket);
    } finally {
      this.#connecting = undefined;
    }
  }

  #take(line: string): void {
    const waiting = this.#waiting[this.#answered++];
    if (this.#answered === this.#waiting.length) {
      this.#waiting = [];
      this.#answered = 0;
    }
    let answer: Answer;
    try {
      answer = JSON.parse(line) as Answer;
    } catch {
      return waiting?.reject(new JobyardError("Not a line of JSON", { code: "INVALID_ANSWER" }));
    }
    if (answer.ok || waiting?.refusable === true) waiting?.resolve(answer);
    else waiting?.reject(new JobyardError(answer.error ?? "Refused", { code: "REFUSED" }));
  }
}

function lost(message: string): JobyardError {
  return new JobyardError(message, { code: "NETWORK_ERROR" });
}
