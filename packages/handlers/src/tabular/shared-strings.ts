import { closeSync, openSync, readSync, writeSync } from "node:fs";

const PAGE = 1024 * 1024;
/** Pages of the file that are held in memory. */
const HELD = 32;

/** Any number of texts by their index, kept in a file. */
export class SharedStrings {
  readonly #file: number;
  #offsets = new Float64Array(1024);
  #count = 0;
  #pending: string[] = [];
  #pendingBytes = 0;
  readonly #pages = new Map<number, Buffer>();

  constructor(path: string) {
    this.#file = openSync(path, "wx+");
  }

  get count(): number {
    return this.#count;
  }

  add(text: string): void {
    this.#pending.push(text);
    const bytes = Buffer.byteLength(text);
    this.#pendingBytes += bytes;
    this.#count++;
    if (this.#count >= this.#offsets.length) {
      const larger = new Float64Array(this.#offsets.length * 2);
      larger.set(this.#offsets);
      this.#offsets = larger;
    }
    this.#offsets[this.#count] = (this.#offsets[this.#count - 1] ?? 0) + bytes;
    if (this.#pendingBytes > PAGE) this.#flush();
  }

  /** undefined if there is none of that index. All are added before the first is read. */
  get(index: number): string | undefined {
    if (!Number.isInteger(index) || index < 0 || index >= this.#count) return undefined;
    if (this.#pendingBytes > 0) this.#flush();
    const start = this.#offsets[index] as number;
    const end = this.#offsets[index + 1] as number;
    const number = Math.floor(start / PAGE);
    const from = start - number * PAGE;
    const page = this.#page(number);
    if (from + end - start <= page.length) return page.toString("utf8", from, from + end - start);
    const own = Buffer.alloc(end - start);
    readSync(this.#file, own, 0, own.length, start);
    return own.toString("utf8");
  }

  close(): void {
    closeSync(this.#file);
  }

  #page(number: number): Buffer {
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = Buffer.alloc(PAGE);
      page = page.subarray(0, readSync(this.#file, page, 0, PAGE, number * PAGE));
    } else this.#pages.delete(number);
    // The one used last is the last.
    this.#pages.set(number, page);
    if (this.#pages.size > HELD) {
      for (const oldest of this.#pages.keys()) {
        this.#pages.delete(oldest);
        break;
      }
    }
    return page;
  }

  #flush(): void {
    writeSync(this.#file, this.#pending.join(""));
    this.#pending = [];
    this.#pendingBytes = 0;
  }
}
