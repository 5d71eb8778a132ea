import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { limits } from "./limits.ts";

export interface Reject {
  /** Counted from 1. */
  readonly line: number;
  readonly reason: string;
}

const FIRST = 100;
const FLUSH_CHARACTERS = 64 * 1024;

/** Rows that could not be taken: the first of them at hand, all of them (to a limit) in a file. */
export class Rejects {
  readonly first: Reject[] = [];
  count = 0;
  readonly path: string;
  #pending = "";

  constructor(folder: string) {
    this.path = join(folder, "rejected.ndjson");
  }

  add(line: number, reason: string): void {
    this.count++;
    if (this.first.length < FIRST) this.first.push({ line, reason });
    if (this.count > limits.rejectsKept) return;
    this.#pending += `${JSON.stringify({ line, reason })}\n`;
    if (this.#pending.length > FLUSH_CHARACTERS) this.flush();
  }

  clear(): void {
    this.first.length = 0;
    this.count = 0;
    this.#pending = "";
    appendFileSync(this.path, "", { flag: "w" });
  }

  flush(): void {
    if (this.#pending !== "") appendFileSync(this.path, this.#pending);
    this.#pending = "";
  }
}
