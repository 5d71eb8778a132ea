const NEWLINE = 10;

export interface Line {
  /** From 1. */
  readonly number: number;
  readonly bytes: Buffer;
}

/** Lines of bytes, without their ends; at most one line and one piece are held. */
export async function* linesOf(
  input: AsyncIterable<Buffer>,
): AsyncGenerator<Line, void, undefined> {
  let number = 0;
  let parts: Buffer[] = [];
  for await (const piece of input) {
    let from = 0;
    for (;;) {
      const end = piece.indexOf(NEWLINE, from);
      if (end === -1) break;
      parts.push(piece.subarray(from, end));
      yield { number: ++number, bytes: Buffer.concat(parts) };
      parts = [];
      from = end + 1;
    }
    if (from < piece.length) parts.push(piece.subarray(from));
  }
  if (parts.length > 0) yield { number: ++number, bytes: Buffer.concat(parts) };
}
