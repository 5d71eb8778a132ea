import type { Socket } from "node:net";
import { type JobQueue, type JsonFault, parseJson } from "@jobyard/core";
import type { Logger } from "@jobyard/core/process";
import { z } from "zod";
import type { Authenticate } from "../../auth/authenticate.ts";
import { type Caller, requireAccess } from "../../auth/caller.ts";
import { giveBack, PULL_ACCESS, type Session } from "../../dialects/flashq/commands.ts";
import { refuse } from "../../dialects/flashq/errors.ts";
import { pullBatchInput } from "../../dialects/flashq/schemas.ts";
import { parseInput } from "../../operations.ts";
import { RequestError } from "../../request-error.ts";
import { Answers, type Slot } from "./answers.ts";
import { Claims } from "./claims.ts";
import { LineReader, type UnfinishedLines } from "./line-reader.ts";
import { authFirst, Login } from "./login.ts";
import { Singles } from "./singles.ts";
import { Turns } from "./turns.ts";
import { DONE, perform, refusalText, wireCommands } from "./wire-commands.ts";

export interface ConnectionOptions {
  readonly queue: JobQueue;
  readonly authenticate: Authenticate;
  /** Who calls without a token; null where one is needed. */
  readonly anonymous: Caller | null;
  readonly log: Logger;
  readonly maxLineBytes: number;
  readonly unfinished: UnfinishedLines;
  readonly limits: ConnectionLimits;
}

export interface ConnectionLimits {
  /** Without a command under way, ms. */
  readonly idleMs: number;
  /** Until the first AUTH where one is needed, ms. */
  readonly loginMs: number;
  /** From a line's first byte to its end, ms. */
  readonly lineMs: number;
  /** For a piece of an answer to be taken, ms. */
  readonly readMs: number;
  readonly failedLogins: number;
  /** Commands under way from which on no more are read. */
  readonly inFlight: number;
}

const authInput = z.object({ token: z.string() });

/** Longer lines can hold payloads that are written to files first: these are carried out one by one. */
const LONG_LINE = 300_000;
/** Of those parsed off the event loop: more would take seconds and gigabytes. */
const MAX_VALUES = 1_000_000;
/** Answers with payloads that are made at once. */
const MAX_LOADS = 16;
/** Until a dropped connection is cut, ms. */
const FAREWELL_MS = 1000;
/** What a browser sends here was meant for an HTTP server. */
const HTTP = /^[A-Z]+ \S+ HTTP\/\d/;

/** A command that has been read. */
interface Asked {
  readonly slot: Slot;
  readonly long: boolean;
  readonly cmd: string;
  readonly input: object;
}

/** A line that is parsed when its turn comes. */
interface Unparsed {
  readonly slot: Slot;
  readonly bytes: Buffer;
}

const stopping = { error: "The server is stopping" };

/** What a server that goes down refuses. */
const TAKES_ON: ReadonlySet<string> = new Set(["PUSH", "PUSHB", "PULL", "PULLB"]);

/** One client: reads its commands, carries them out in its order, and answers in it. */
export class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #onGone: () => void;
  readonly #reader: LineReader;
  readonly #answers: Answers;
  readonly #claims: Claims;
  readonly #singles: Singles;
  readonly #login: Login;
  readonly #turns = new Turns<Asked | Unparsed>(
    (asked) => this.#begin(asked),
    () => this.#flush(),
  );
  /** Answers for which payloads are being read. */
  #loads = 0;
  #paused = false;
  #stopping = false;
  #inputEnded = false;
  #dropped = false;
  #gone = false;
  readonly #openedAt = Date.now();
  #activeAt = this.#openedAt;
  #lineBegunAt = 0;
  #droppedAt = 0;

  constructor(socket: Socket, options: ConnectionOptions, onGone: () => void) {
    this.#socket = socket;
    this.#options = options;
    this.#onGone = onGone;
    this.#reader = new LineReader(options.maxLineBytes, options.unfinished, {
      onLine: (line, bytes) => this.#onLine(line, bytes),
      onLongLine: (bytes) => this.#onLongLine(bytes),
      onBadLine: (why) => this.#onBadLine(why),
      onEndless: () => this.drop("Payload too large: a line has no end"),
    });
    this.#answers = new Answers(socket, () => this.#onSent());
    this.#singles = new Singles({
      turns: this.#turns,
      settle: (slot, text) => this.#settle(slot, text),
      refusalOf: (error) => this.#refusal(error),
    });
    this.#claims = new Claims({
      answers: this.#answers,
      maxBytes: options.maxLineBytes,
      maxUnsent: this.#maxUnsent,
      refusalOf: (error) => this.#refusal(error),
      onLook: () => this.#turns.began(),
      onLooked: () => this.#turns.ended(),
    });
    this.#login = new Login({
      ...options,
      failures: options.limits.failedLogins,
      onTooMany: () => this.drop("Too many failed AUTHs"),
      onExpired: () => this.#refusePulls(),
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    socket.on("data", (chunk) => this.#onData(chunk));
    socket.on("end", () => this.#onEnd());
    // What follows is the end.
    socket.on("error", () => undefined);
    socket.on("close", () => this.#onClose());
  }

  /** Says why, and closes. */
  drop(reason: string): void {
    if (this.#dropped || this.#gone) return;
    this.#dropped = true;
    this.#droppedAt = Date.now();
    this.#reader.close();
    this.#options.log.info({ peer: this.#socket.remoteAddress, reason }, "A connection is closed");
    this.#abandon(true);
    this.#socket.pause();
    // In the middle of an answer nothing else can be said.
    if (this.#answers.midAnswer) this.#socket.end();
    else this.#socket.end(`${refusalText({ error: reason })}\n`);
  }

  /** Takes on no more jobs and hands none out; what is under way may be reported. */
  stop(): void {
    this.#stopping = true;
    this.#claims.end(refusalText(stopping));
  }

  /** Answers what was asked, then closes. */
  finish(): void {
    this.stop();
    this.#reader.close();
    this.#inputEnded = true;
    this.#endIfDone();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Looks whether some limit is passed. */
  check(now: number): void {
    const { idleMs, loginMs, lineMs, readMs } = this.#options.limits;
    if (this.#dropped) {
      if (now - this.#droppedAt > FAREWELL_MS) this.destroy();
      return;
    }
    const { writingSince, count } = this.#answers;
    if (writingSince > 0 && now - writingSince > readMs) {
      return this.drop("Answers are not read");
    }
    if (this.#lineBegunAt > 0 && !this.#paused && now - this.#lineBegunAt > lineMs) {
      return this.drop("A line is sent too slowly");
    }
    if (this.#login.isNeeded && now - this.#openedAt > loginMs && count === 0) {
      return this.drop("Authentication required");
    }
    if (count === 0 && now - this.#activeAt > idleMs) return this.drop("Idle for too long");
    this.#login.check(now);
  }

  // ---- reading

  #onData(chunk: Buffer): void {
    this.#activeAt = Date.now();
    this.#reader.read(chunk);
    this.#flush();
    if (!this.#reader.midLine) this.#lineBegunAt = 0;
    else if (this.#lineBegunAt === 0 || chunk.includes(0x0a)) this.#lineBegunAt = this.#activeAt;
    this.#throttle();
  }

  #throttle(): void {
    const { limits, maxLineBytes } = this.#options;
    const { count, lineBytes, unsent } = this.#answers;
    const much =
      count >= limits.inFlight || lineBytes > 2 * maxLineBytes || unsent > this.#maxUnsent;
    if (much === this.#paused || this.#dropped || this.#gone) return;
    this.#paused = much;
    if (much) {
      this.#socket.pause();
    } else {
      // Time in which it could not send does not count.
      if (this.#lineBegunAt > 0) this.#lineBegunAt = Date.now();
      this.#socket.resume();
    }
  }

  get #maxUnsent(): number {
    return 2 * this.#options.maxLineBytes;
  }

  #onSent(): void {
    this.#activeAt = Date.now();
    this.#throttle();
    this.#claims.flush();
    this.#turns.tryAgain();
    this.#endIfDone();
  }

  #onEnd(): void {
    if (this.#dropped) return;
    this.#inputEnded = true;
    this.#claims.end(refusalText({ error: "The connection was closed" }));
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#inputEnded && this.#answers.idle && !this.#dropped) this.#socket.end();
  }

  #onClose(): void {
    this.#gone = true;
    this.#reader.close();
    this.#abandon(false);
    this.#onGone();
  }

  /** Gives back what nobody will hear of. */
  #abandon(lastPiece: boolean): void {
    this.#turns.clear();
    this.#singles.clear();
    this.#claims.close();
    const handed = this.#answers.close({ lastPiece });
    // From the last, so that each finds its place in front of the others.
    for (const { session, runs } of handed.reverse()) void giveBack(session, runs);
  }

  // ---- lines

  #onBadLine(fault: "too long" | JsonFault): void {
    if (!this.#dropped) this.#answers.settle(this.#answers.open(0), this.#badLine(fault));
  }

  #badLine(fault: "too long" | JsonFault): string {
    const error = {
      "not UTF-8": "Invalid UTF-8",
      "not JSON": "Invalid JSON",
      "too long": `Payload too large: a line may have ${this.#options.maxLineBytes} bytes`,
      "too many values": `Payload too large: a line may hold ${MAX_VALUES} values`,
    }[fault];
    return refusalText({ error });
  }

  #onLine(line: string, bytes: number): void {
    if (this.#dropped || line.trim() === "") return;
    const slot = this.#answers.open(bytes);
    let input: unknown;
    try {
      input = JSON.parse(line);
    } catch {
      if (HTTP.test(line)) this.drop("This port does not speak HTTP");
      else this.#answers.settle(slot, this.#badLine("not JSON"));
      return;
    }
    const asked = this.#command(slot, input, bytes > LONG_LINE);
    if (asked !== undefined) this.#turns.add(asked);
  }

  #onLongLine(bytes: Buffer): void {
    if (!this.#dropped) this.#turns.add({ slot: this.#answers.open(bytes.length), bytes });
  }

  #command(slot: Slot, input: unknown, long: boolean): Asked | undefined {
    const { cmd } = (input ?? {}) as { readonly cmd?: unknown };
    if (typeof cmd === "string") return { slot, long, cmd, input: input as object };
    const error = "A command must be a JSON object with a text cmd";
    this.#answers.settle(slot, refusalText({ error }));
    return undefined;
  }

  // ---- carrying out

  /** False where it has to wait for what was asked for earlier; pulls that found nothing hold up nobody. */
  #begin(asked: Asked | Unparsed): boolean {
    if ("bytes" in asked) {
      // AUTH is short: nothing else is worth the work yet.
      if (this.#login.isNeeded) {
        this.#answers.settle(asked.slot, this.#refusal(authFirst()));
        return true;
      }
      this.#turns.began();
      this.#turns.shutOut();
      void this.#parse(asked);
      return false;
    }
    try {
      return this.#take(asked);
    } catch (error) {
      this.#answers.settle(asked.slot, this.#refusal(error));
      return true;
    }
  }

  /** The first of those held, which takes its own place when it has been parsed. */
  async #parse({ slot, bytes }: Unparsed): Promise<void> {
    const parsed = await Promise.resolve(parseJson(bytes, { maxValues: MAX_VALUES })).catch(
      (error: unknown) => this.#settle(slot, this.#refusal(error)),
    );
    if (this.#dropped || this.#gone) return;
    let asked: Asked | undefined;
    if (parsed !== undefined && "value" in parsed) asked = this.#command(slot, parsed.value, true);
    else if (parsed !== undefined) this.#settle(slot, this.#badLine(parsed.fault));
    this.#turns.replaceFirst(...(asked === undefined ? [] : [asked]));
    this.#turns.ended();
  }

  #take(asked: Asked): boolean {
    const { slot, cmd, input, long } = asked;
    if (cmd === "AUTH") {
      const { token } = parseInput(authInput, input);
      this.#singles.flush();
      this.#run(slot, this.#logIn(token), true);
      return true;
    }
    const session = this.#login.session();
    if (this.#stopping && TAKES_ON.has(cmd)) {
      this.#answers.settle(slot, refusalText(stopping));
      return true;
    }
    if (cmd === "PULL" || cmd === "PULLB") {
      this.#pull(session, slot, cmd === "PULLB", input);
      return true;
    }
    if (long) {
      this.#singles.flush();
      if (this.#turns.changing) return false;
    }
    if (cmd === "PUSH") {
      this.#singles.push(session, slot, input);
    } else if (cmd === "ACK") {
      this.#singles.ack(session, slot, input);
    } else {
      const command = wireCommands.get(cmd);
      if (command === undefined) {
        const error = `Unknown command: ${cmd.slice(0, 64).toWellFormed()}`;
        this.#answers.settle(slot, refusalText({ error }));
        return true;
      }
      this.#flush();
      if (!command.changes && this.#turns.changing) return false;
      if (command.loads && !this.#mayLoad) return false;
      const { log, maxLineBytes: maxBytes } = this.#options;
      const done = perform(command, { session, cmd, input, maxBytes, log });
      if (command.changes) this.#run(slot, done, long);
      else if (command.loads) this.#load(slot, done);
      else void this.#answer(slot, done);
      return true;
    }
    if (long) {
      this.#singles.flush();
      this.#turns.shutOut();
    }
    return true;
  }

  /** A change: what reads later waits for it, and if it is exclusive, so does all else. */
  #run(slot: Slot, done: Promise<string>, exclusive: boolean): void {
    this.#turns.began();
    if (exclusive) this.#turns.shutOut();
    void this.#answer(slot, done).then(() => this.#turns.ended());
  }

  /** What is read for answers lies in memory: not while much waits to be sent. */
  get #mayLoad(): boolean {
    return this.#loads < MAX_LOADS && this.#answers.unsent <= this.#maxUnsent;
  }

  #load(slot: Slot, done: Promise<string>): void {
    this.#loads++;
    void this.#answer(slot, done).then(() => {
      this.#loads--;
      this.#turns.tryAgain();
    });
  }

  async #answer(slot: Slot, done: Promise<string>): Promise<void> {
    let text: string;
    try {
      text = await done;
    } catch (error) {
      text = this.#refusal(error);
    }
    this.#settle(slot, text);
  }

  #settle(slot: Slot, text: string): void {
    if (!this.#dropped && !this.#gone) this.#answers.settle(slot, text);
  }

  #flush(): void {
    this.#singles.flush();
    this.#claims.flush();
  }

  #refusal(error: unknown): string {
    return refusalText(refuse(error, this.#options.log));
  }

  async #logIn(token: string): Promise<string> {
    await this.#login.authenticate(token);
    return DONE;
  }

  /** Who waits is told that his token has expired. */
  #refusePulls(): void {
    this.#claims.refuseAll(this.#refusal(new RequestError("UNAUTHENTICATED", "Expired")));
  }

  #pull(session: Session, slot: Slot, list: boolean, input: object): void {
    requireAccess(session.caller, PULL_ACCESS);
    const { queue, worker, count } = parseInput(
      pullBatchInput,
      list ? input : { ...input, count: 1 },
    );
    this.#claims.add(session, slot, { queue, worker: worker ?? null, count: count ?? 1, list });
  }
}
