import type { Socket } from "node:net";
import type { ClaimedJob } from "@jobyard/core";
import type { Session } from "../../dialects/flashq/commands.ts";

export type Run = Pick<ClaimedJob, "id" | "lease">;

/** What an answer hands out, and to whom. */
export interface Handed {
  readonly session: Session;
  readonly runs: readonly Run[];
}

/** The place of one answer. */
export interface Slot {
  /** Of the command's line. */
  readonly bytes: number;
  text: string | undefined;
  handed: Handed | undefined;
  next: Slot | undefined;
}

/** Handed to the socket at once; the next piece waits until it was taken. */
const PIECE = 262_144;

/** The answers of one connection: settled in any order, sent in the order of their commands. */
export class Answers {
  readonly #socket: Socket;
  readonly #onSent: () => void;
  #first: Slot | undefined;
  #last: Slot | undefined;
  #rest: Buffer | undefined;
  #planned = false;
  #writing = false;
  /** Told of in what is being written. */
  #written: Handed[] = [];
  #closed = false;
  /** Commands without a sent answer, and the bytes of their lines. */
  count = 0;
  lineBytes = 0;
  /** Characters settled and not yet sent. */
  unsent = 0;
  /** When the piece that the reader has not taken yet was handed over; 0: none. */
  writingSince = 0;

  /** `onSent`: answers have left, or the next one to be sent is another one. */
  constructor(socket: Socket, onSent: () => void) {
    this.#socket = socket;
    this.#onSent = onSent;
  }

  /** Whose answer holds up all others. */
  get first(): Slot | undefined {
    return this.#first;
  }

  open(bytes: number): Slot {
    const slot: Slot = { bytes, text: undefined, handed: undefined, next: undefined };
    if (this.#last === undefined) this.#first = slot;
    else this.#last.next = slot;
    this.#last = slot;
    this.count++;
    this.lineBytes += bytes;
    return slot;
  }

  settle(slot: Slot, text: string, handed?: Handed): void {
    slot.text = text;
    slot.handed = handed;
    this.unsent += text.length;
    if (slot === this.#first && !this.#planned) {
      // Once for all that are settled in this turn.
      this.#planned = true;
      process.nextTick(() => {
        this.#planned = false;
        this.#send();
      });
    }
  }

  /** Whether a part of an answer is still to be sent. */
  get midAnswer(): boolean {
    return this.#rest !== undefined;
  }

  /** Sends nothing more, but perhaps a last piece; answers with what nobody will hear of, in its order. */
  close(options: { readonly lastPiece: boolean }): Handed[] {
    const handed = this.#writing ? this.#written : [];
    if (options.lastPiece) this.#send();
    this.#closed = true;
    for (let slot = this.#first; slot !== undefined; slot = slot.next) {
      if (slot.handed !== undefined) handed.push(slot.handed);
    }
    this.#first = this.#last = undefined;
    return handed;
  }

  #send(): void {
    if (this.#writing || this.#closed) return;
    const lines: string[] = [];
    let length = 0;
    let slot = this.#first;
    while (slot?.text !== undefined && length < PIECE) {
      lines.push(slot.text);
      length += slot.text.length;
      this.unsent -= slot.text.length;
      this.count--;
      this.lineBytes -= slot.bytes;
      if (slot.handed !== undefined) this.#written.push(slot.handed);
      slot = slot.next;
    }
    if (lines.length === 0) return;
    this.#first = slot;
    if (slot === undefined) this.#last = undefined;
    // The last newline with the others: appended, it would have the whole text copied once more.
    lines.push("");
    const text = lines.join("\n");
    if (length <= 2 * PIECE) this.#write(text);
    else this.#write(this.#cut(Buffer.from(text)));
    this.#onSent();
  }

  #write(piece: string | Buffer): void {
    this.#writing = true;
    this.writingSince = Date.now();
    this.#socket.write(piece, (error) => {
      // The connection is about to close: what this piece told of is given back then.
      if (error != null || this.#closed) return;
      this.#writing = false;
      this.writingSince = 0;
      if (this.#rest === undefined) {
        this.#written = [];
        this.#send();
      } else {
        this.#write(this.#cut(this.#rest));
      }
      this.#onSent();
    });
  }

  #cut(bytes: Buffer): Buffer {
    this.#rest = bytes.length > PIECE ? bytes.subarray(PIECE) : undefined;
    return bytes.subarray(0, PIECE);
  }

  /** Whether all that was asked has been answered and handed over. */
  get idle(): boolean {
    return this.count === 0 && !this.#writing;
  }
}
