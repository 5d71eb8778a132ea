/** A line on a terminal's standard error that is drawn over as long work goes on; elsewhere nothing is drawn. */
export class Progress {
  readonly #drawn: boolean;
  readonly #label: string;
  #last = -Infinity;

  /** `quiet`: nothing is drawn, as with `--json`. */
  constructor(label: string, quiet = false) {
    this.#label = label;
    this.#drawn = process.stderr.isTTY && !quiet;
  }

  /** `total` undefined: it is not known how much there is. */
  at(done: number, total?: number, more = ""): void {
    if (!this.#drawn) return;
    const now = performance.now();
    if (now - this.#last < REDRAW_MS && done !== total) return;
    this.#last = now;
    const share = total === undefined || total === 0 ? undefined : Math.min(1, done / total);
    const bar = share === undefined ? "" : ` ${drawing(share)} ${percent(share)}`;
    const count = total === undefined ? number(done) : `${number(done)} of ${number(total)}`;
    const line = `${this.#label}${bar}  ${count}${more === "" ? "" : `  ${more}`}`;
    process.stderr.write(`\r${CLEAR}${line.slice(0, (process.stderr.columns || 80) - 1)}`);
  }

  /** Takes the line away; what came out is told by whoever did the work. */
  end(): void {
    if (this.#drawn && this.#last > -Infinity) process.stderr.write(`\r${CLEAR}`);
    this.#last = -Infinity;
  }
}

const REDRAW_MS = 50;
const WIDTH = 24;
const CLEAR = "\u001B[K";

function drawing(share: number): string {
  const full = Math.round(share * WIDTH);
  return "█".repeat(full) + "░".repeat(WIDTH - full);
}

function percent(share: number): string {
  return `${Math.floor(share * 100)} %`.padStart(5);
}

function number(value: number): string {
  return value.toLocaleString("en");
}
