import fc from "fast-check";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { Committer, type Journal, type Transaction } from "../src/adapters/sqlite/committer.ts";
import { QueueError } from "../src/errors.ts";

/** The store itself failed: all callers are concerned, or the one whose statement it was. */
class Fault extends Error {
  readonly wide: boolean;

  constructor(wide: boolean) {
    super(wide ? "disk full" : "odd statement");
    this.wide = wide;
  }
}

const refusal = (message = "no"): QueueError => new QueueError("INVALID_STATE", message);

/** A journal that writes down what is asked of it, and keeps numbers. */
class Ledger implements Journal {
  readonly said: string[] = [];
  /** Committed groups. */
  readonly groups: number[][] = [];
  pending: number[] = [];
  failBegin: Fault | undefined;
  failCommit: (group: readonly number[]) => Fault | undefined = () => undefined;
  inTransaction = false;

  now(): number {
    return 42;
  }

  begin(): void {
    this.said.push("begin");
    if (this.failBegin !== undefined) throw this.failBegin;
    if (this.inTransaction) throw new Error("a transaction within another");
    this.inTransaction = true;
  }

  beforeCommit(): void {
    this.said.push("before commit");
  }

  commit(): void {
    const fault = this.failCommit(this.pending);
    if (fault !== undefined) throw fault;
    this.said.push("commit");
    this.inTransaction = false;
    this.groups.push(this.pending);
    this.pending = [];
  }

  rollback(): void {
    this.said.push("rollback");
    this.inTransaction = false;
    this.pending = [];
  }

  isRefusal(error: unknown): error is QueueError {
    return error instanceof QueueError;
  }

  translate(error: unknown): { error: QueueError; wide: boolean } {
    const wide = !(error instanceof Fault) || error.wide;
    return { error: new QueueError(wide ? "UNAVAILABLE" : "INTERNAL", "store", {}, error), wide };
  }

  get kept(): number[] {
    return this.groups.flat();
  }
}

let ledger: Ledger;
let committer: Committer;

beforeEach(() => {
  ledger = new Ledger();
  committer = new Committer(ledger);
});

function put(n: number): Promise<number> {
  return committer.submit(() => {
    ledger.pending.push(n);
    return n;
  });
}

function broken(wide: boolean): Promise<never> {
  return committer.submit((): never => {
    throw new Fault(wide);
  });
}

async function codes(calls: readonly Promise<unknown>[]): Promise<unknown[]> {
  const settled = await Promise.allSettled(calls);
  return settled.map((one) =>
    one.status === "fulfilled" ? one.value : (one.reason as QueueError).code,
  );
}

describe("groups", () => {
  test("calls of one turn share a commit, in their order", async () => {
    await expect(codes([put(1), put(2), put(3)])).resolves.toEqual([1, 2, 3]);
    expect(ledger.groups).toEqual([[1, 2, 3]]);
    expect(ledger.said).toEqual(["begin", "before commit", "commit"]);
  });

  test("calls made while a group is written form the next one", async () => {
    const later: Promise<number>[] = [];
    const first = committer.submit(() => {
      ledger.pending.push(1);
      later.push(put(3), put(4));
    });
    await Promise.all([first, put(2)]);
    await Promise.all(later);
    expect(ledger.groups).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  test("a group that takes too long is committed, and the rest goes into the next", async () => {
    const slow = vi.spyOn(performance, "now");
    let time = 0;
    slow.mockImplementation(() => (time += 2));
    const calls = [1, 2, 3, 4, 5, 6, 7, 8].map(put);
    // Comes meanwhile: behind all that were there before.
    calls.push(put(9));
    expect(await codes(calls)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    slow.mockRestore();
    expect(ledger.groups.length).toBeGreaterThan(1);
    expect(ledger.groups.every((group) => group.length > 0)).toBe(true);
    expect(ledger.kept).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("nobody is answered, and nothing told, before the commit", async () => {
    const told: string[] = [];
    ledger.commit = () => {
      told.push("commit");
      ledger.inTransaction = false;
    };
    const call = committer
      .submit((tx) => {
        tx.onCommit(() => told.push("after"));
        told.push("apply");
      })
      .then(() => told.push("answer"));
    expect(told).toEqual([]);
    await call;
    expect(told).toEqual(["apply", "commit", "after", "answer"]);
  });

  test("settled waits for everything that was asked for, and for what follows from it", async () => {
    await committer.settled();
    const order: string[] = [];
    void put(1).then(() => put(2).then(() => order.push("second")));
    await committer.settled();
    await committer.settled();
    order.push("settled");
    expect(ledger.kept).toEqual([1, 2]);
    expect(order).toEqual(["second", "settled"]);
  });
});

describe("refusals", () => {
  test("concern their caller alone", async () => {
    const refused = committer.submit(() => {
      throw refusal();
    });
    expect(await codes([put(1), refused, put(2)])).toEqual([1, "INVALID_STATE", 2]);
    expect(ledger.groups).toEqual([[1, 2]]);
  });

  test("are answered after the commit as well: what they were judged by must be true", async () => {
    ledger.failCommit = () => new Fault(true);
    const refused = committer.submit(() => {
      throw refusal();
    });
    expect(await codes([put(1), refused])).toEqual(["UNAVAILABLE", "UNAVAILABLE"]);
  });
});

describe("a failing store", () => {
  test("refuses the whole group, takes it back, last change first, and tells nothing", async () => {
    ledger.failCommit = () => new Fault(true);
    const told: string[] = [];
    const call = (name: string) =>
      committer.submit((tx) => {
        tx.onRollback(() => told.push(`undo ${name} 1`));
        tx.onRollback(() => told.push(`undo ${name} 2`));
        tx.onCommit(() => told.push(`after ${name}`));
      });
    expect(await codes([call("a"), call("b")])).toEqual(["UNAVAILABLE", "UNAVAILABLE"]);
    expect(told).toEqual(["undo b 2", "undo b 1", "undo a 2", "undo a 1"]);
    // Once: where all would fail alike, nothing is gained by trying each.
    expect(ledger.said).toEqual(["begin", "before commit", "rollback"]);
  });

  test("goes on with the next group", async () => {
    ledger.failCommit = (group) => (group.includes(1) ? new Fault(true) : undefined);
    expect(await codes([put(1), put(2)])).toEqual(["UNAVAILABLE", "UNAVAILABLE"]);
    expect(await codes([put(3)])).toEqual([3]);
    await committer.settled();
  });

  test("that cannot even begin has nothing to take back", async () => {
    ledger.failBegin = new Fault(true);
    expect(await codes([put(1), put(2)])).toEqual(["UNAVAILABLE", "UNAVAILABLE"]);
    expect(ledger.said).toEqual(["begin"]);
    ledger.failBegin = undefined;
    expect(await codes([put(3)])).toEqual([3]);
  });

  test("in one call's statement: the others are tried alone, and kept", async () => {
    expect(await codes([put(1), broken(false), put(2), put(3)])).toEqual([1, "INTERNAL", 2, 3]);
    expect(ledger.kept).toEqual([1, 2, 3]);
  });

  test("in one call's change, found at the commit: that call alone", async () => {
    ledger.failCommit = (group) => (group.includes(2) ? new Fault(false) : undefined);
    expect(await codes([put(1), put(2), put(3)])).toEqual([1, "INTERNAL", 3]);
    expect(ledger.kept).toEqual([1, 3]);
  });

  test("does not hold up calls when what they asked to be told throws", async () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
    const careless = committer.submit((tx) => {
      tx.onCommit(() => {
        throw new Error("careless listener");
      });
    });
    await careless;
    expect(await codes([put(1)])).toEqual([1]);
    await committer.settled();
    expect(warned).toHaveBeenCalledOnce();
    warned.mockRestore();
  });
});

test("whatever fails, answers and the ledger agree", async () => {
  const kind = fc.constantFrom(
    "put",
    "put",
    "put",
    "refuse",
    "narrow",
    "narrow commit",
    "wide commit",
  );
  const turns = fc.array(fc.array(kind, { maxLength: 6 }), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(turns, async (turns) => {
      const ledger = new Ledger();
      const committer = new Committer(ledger);
      /** State in memory, which the undos have to keep true. */
      const memory: number[] = [];
      const narrow = new Set<number>();
      const wide = new Set<number>();
      ledger.failCommit = (group) =>
        group.some((n) => wide.has(n))
          ? new Fault(true)
          : group.some((n) => narrow.has(n))
            ? new Fault(false)
            : undefined;
      let n = 0;
      for (const turn of turns) {
        const calls = turn.map(async (kind) => {
          const mine = n++;
          if (kind === "narrow commit") narrow.add(mine);
          if (kind === "wide commit") wide.add(mine);
          const apply = (tx: Transaction): number => {
            if (kind === "refuse") throw refusal();
            memory.push(mine);
            tx.onRollback(() => expect(memory.pop()).toBe(mine));
            ledger.pending.push(mine);
            if (kind === "narrow") throw new Fault(false);
            return mine;
          };
          const outcome = await committer.submit(apply).catch((error: QueueError) => error.code);
          return { kind, mine, outcome };
        });
        const answers = await Promise.all(calls);
        for (const { kind, mine, outcome } of answers) {
          const kept = ledger.kept.includes(mine);
          expect(typeof outcome === "number").toBe(kept);
          if (kind === "refuse") expect(["INVALID_STATE", "UNAVAILABLE"]).toContain(outcome);
          if (kind === "narrow" || kind === "narrow commit") expect(kept).toBe(false);
          if (kind === "put" && !turn.includes("wide commit")) expect(kept).toBe(true);
        }
      }
      expect(memory).toEqual(ledger.kept);
      expect(new Set(ledger.kept).size).toBe(ledger.kept.length);
    }),
    { numRuns: 200 },
  );
});
