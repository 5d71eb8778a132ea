import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { QueueError } from "../../src/errors.ts";
import type { BulkAction, JobSpec, QueueAdapter, RunRef } from "../../src/queue-adapter.ts";
import { jobSpec } from "../../src/testing/index.ts";
import { FailingDisk, type Fault } from "./failing-disk.ts";
import { idempotencyKeys, runOrder, StoreOnDisk, visible } from "./store-on-disk.ts";

/**
 * What a call changes in memory is taken back when its group does not reach the disk. Whatever the calls and wherever
 * the disk fails: memory shows what another process would read from the file.
 */

const long = process.env["JOBYARD_LONG"] === "1";
const runs = long ? 3000 : 80;

type Op =
  | {
      readonly op: "add";
      readonly specs: readonly Wish[];
      readonly atomic: boolean;
      readonly key: string | null;
    }
  | { readonly op: "claim"; readonly lane: number; readonly limit: number; readonly wait: boolean }
  | {
      readonly op: "complete" | "release" | "crash" | "progress" | "renew" | "log";
      readonly run: number;
    }
  | { readonly op: "fail"; readonly run: number; readonly after: number | null }
  | { readonly op: "cancel" | "retry" | "promote" | "remove"; readonly job: number }
  | { readonly op: "bulk"; readonly action: BulkAction; readonly tag: string }
  | {
      readonly op: "configure";
      readonly lane: number;
      readonly paused: boolean;
      readonly concurrency: number | null;
    }
  | { readonly op: "putSchedule" | "fireSchedule" | "deleteSchedule" | "webhook" | "prune" }
  | { readonly op: "advance"; readonly ms: number };

interface Wish {
  readonly lane: number;
  readonly priority: number;
  readonly lifo: boolean;
  readonly delayMs: number;
  readonly ttlMs: number | null;
  readonly timeoutMs: number | null;
  readonly uniqueKey: string | null;
  /** Job known so far to depend on. */
  readonly parent: number | null;
  readonly sibling: boolean;
  readonly tags: readonly string[];
  readonly project: string | null;
}

const lanes = [
  { tenant: "default", queue: "work", typed: false },
  { tenant: "acme", queue: "work", typed: false },
  { tenant: "default", queue: "data_export", typed: true },
  { tenant: "default", queue: "mail", typed: false },
] as const;
const shared = { name: "shared", queues: ["mail", "data_export"], maxRunning: 2, maxUnfinished: 6 };
const laneAt = (n: number) => lanes[n % lanes.length]!;

const wish: fc.Arbitrary<Wish> = fc.record({
  lane: fc.constantFrom(0, 0, 0, 1, 2, 3),
  priority: fc.constantFrom(0, 0, 0, -1, 2),
  lifo: fc.constantFrom(false, false, true),
  delayMs: fc.constantFrom(0, 0, 0, 500),
  ttlMs: fc.constantFrom(null, null, null, 700),
  timeoutMs: fc.constantFrom(null, null, 900),
  uniqueKey: fc.constantFrom(null, null, "k", "l"),
  parent: fc.option(fc.nat(), { freq: 4 }),
  sibling: fc.boolean(),
  tags: fc.constantFrom([], ["red"], ["red", "blue"]),
  project: fc.constantFrom(null, null, "p"),
});

const which = fc.nat();
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant("add"),
      specs: fc.array(wish, { minLength: 1, maxLength: 3 }),
      atomic: fc.boolean(),
      key: fc.constantFrom(null, null, ...idempotencyKeys),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant("claim"),
      lane: fc.nat(3),
      limit: fc.constantFrom(1, 1, 2, 5),
      wait: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constantFrom("complete", "complete", "release", "crash", "progress", "renew", "log"),
      run: which,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant("fail"),
      run: which,
      after: fc.constantFrom(null, 0, 300),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constantFrom("cancel", "cancel", "retry", "promote", "remove"),
      job: which,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant("bulk"),
      action: fc.constantFrom("cancel", "retry", "remove", "promote"),
      tag: fc.constantFrom("red", "blue"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant("configure"),
      lane: fc.nat(3),
      paused: fc.boolean(),
      concurrency: fc.constantFrom(null, 1, 2),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constantFrom("putSchedule", "fireSchedule", "deleteSchedule", "webhook", "prune"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant("advance"), ms: fc.constantFrom(1, 300, 500, 1000) }),
  },
) as fc.Arbitrary<Op>;

interface Group {
  readonly ops: readonly Op[];
  readonly fault: { readonly kind: Fault; readonly after: number } | null;
}

const group: fc.Arbitrary<Group> = fc.record({
  ops: fc.array(op, { minLength: 1, maxLength: 4 }),
  fault: fc.option(
    fc.record({
      kind: fc.constantFrom<Fault>("disk full", "I/O error", "odd statement"),
      // Rather often nothing but the commit itself.
      after: fc.oneof(fc.nat(12), fc.constant(Infinity)),
    }),
    { freq: 2 },
  ),
});

/** Carries out operations, and remembers what there is to name. */
class Actor {
  readonly store: StoreOnDisk;
  readonly ids: number[] = [];
  readonly runs: (RunRef & { readonly attempt: number })[] = [];
  readonly calledOff = new AbortController();

  constructor(store: StoreOnDisk) {
    this.store = store;
  }

  spec(wish: Wish, index: number): JobSpec {
    const { lane, parent, sibling, ...rest } = wish;
    const on = parent === null ? undefined : this.ids[parent % Math.max(1, this.ids.length)];
    return jobSpec({
      ...laneAt(lane),
      ...rest,
      maxAttempts: 3,
      dependsOn: on === undefined ? [] : [on],
      dependsOnSiblings: sibling && index > 0 ? [index - 1] : [],
    });
  }

  /** Rejections are the caller's; what is refused does not matter here. */
  async carryOut(op: Op): Promise<void> {
    const { adapter, clock } = this.store;
    const tenant = "*";
    const run = "run" in op ? this.runs[op.run % Math.max(1, this.runs.length)] : undefined;
    const runs = run === undefined ? [] : [run];
    const ref = run === undefined ? undefined : { id: run.id, lease: run.lease! };
    switch (op.op) {
      case "add": {
        const jobs = op.specs.map((wish, i) => this.spec(wish, i));
        const { atomic, key } = op;
        const call = { tenant: "default", note: "" };
        const added =
          key === null
            ? await adapter.enqueue({ jobs, atomic })
            : (await adapter.enqueueOnce({ jobs, atomic, key, ...call })).outcome;
        for (const id of added instanceof QueueError ? [] : added)
          if (typeof id === "number") this.ids.push(id);
        return;
      }
      case "claim":
        return this.claim(op);
      case "complete":
        await adapter.complete({
          tenant,
          runs: runs.map((run) => ({ ...run, result: "1", tokens: 2 })),
        });
        return;
      case "release":
        await adapter.release({ tenant, runs });
        return;
      case "crash":
        await adapter.release({ tenant, runs, crashed: { message: "gone" } });
        return;
      case "fail": {
        const retryAt = op.after === null ? null : clock.now() + op.after;
        const failures = runs.map((run) => ({ ...run, error: { message: "broke" }, retryAt }));
        await adapter.fail({ tenant, runs: failures });
        return;
      }
      case "progress": {
        const reports = runs.map((run) => ({ ...run, progress: op.run % 101, message: "on it" }));
        await adapter.progress({ tenant, reports, leaseMs: 1000 });
        return;
      }
      case "renew":
        await adapter.renew({ tenant, runs, leaseMs: 1000 });
        return;
      case "log":
        if (ref !== undefined) await adapter.log({ tenant, run: ref, lines: ["a line"] });
        return;
      case "cancel":
      case "retry":
      case "promote":
      case "remove": {
        const id = this.ids[op.job % Math.max(1, this.ids.length)];
        if (id === undefined) return;
        const params = { tenant, ids: [id] };
        if (op.op === "cancel")
          await adapter.cancel({ ...params, running: true, reason: "enough" });
        else await adapter[op.op](params);
        return;
      }
      case "bulk": {
        const filter = { tenant, tag: op.tag };
        await adapter.applyToMany({ filter, action: op.action, reason: "all", limit: 100 });
        return;
      }
      case "configure": {
        const { paused, concurrency } = op;
        await adapter.configureQueue({ ...laneAt(op.lane), settings: { paused, concurrency } });
        return;
      }
      case "putSchedule":
        {
          const [old] = await adapter.listSchedules({ tenant: "default" });
          const replaces = old?.version ?? null;
          await adapter.putSchedule({ schedule: schedule(clock.now()), replaces });
        }
        return;
      case "fireSchedule":
        await fire(adapter);
        return;
      case "deleteSchedule":
        await adapter.deleteSchedule({ tenant, name: "s" });
        return;
      case "webhook":
        await adapter.putWebhook({ tenant: "acme", ...webhook });
        return;
      case "prune": {
        const before = clock.now() - 400;
        await adapter.prune({ completedBefore: before, failedBefore: before, limit: 3 });
        return;
      }
      case "advance":
        clock.advance(op.ms);
        await adapter.upkeep();
    }
  }

  async claim(op: Extract<Op, { op: "claim" }>): Promise<void> {
    const { tenant, queue } = laneAt(op.lane);
    const claim = this.store.adapter
      .claim({
        tenant: op.limit === 5 ? "*" : tenant,
        queues: [{ queue, limit: op.limit }],
        limit: op.limit,
        worker: "w",
        leaseMs: 1000,
        inProcess: false,
        timeoutFrom: "progress",
        waitMs: op.wait ? 1500 : 0,
        signal: this.calledOff.signal,
      })
      .then((jobs) => {
        for (const { id, lease, attemptsMade } of jobs) {
          this.runs.push({ id, lease, attempt: attemptsMade + 1 });
        }
      });
    // One that waits is answered in a later group, or never.
    if (op.wait) claim.catch(() => undefined);
    else await claim;
  }
}

function schedule(now: number) {
  return {
    tenant: "default",
    name: "s",
    cron: "* * * * *",
    timezone: "UTC",
    enabled: true,
    description: null,
    queue: "work",
    template: "{}",
    via: "test",
    createdAt: now,
    nextRun: now,
    lastRun: null,
  };
}

async function fire(adapter: QueueAdapter): Promise<void> {
  const due = (await adapter.listSchedules({ tenant: "default" }))[0]?.nextRun;
  if (due == null) return;
  const job = jobSpec({ data: '"scheduled"' });
  await adapter.fireSchedule({ tenant: "default", name: "s", due, nextRun: due + 60_000, job });
}

const webhook = {
  url: "https://example.com/",
  events: ["job.completed"],
  queue: null,
  secret: null,
  shape: "native",
  enabled: true,
};

async function check(groups: readonly Group[], disk: FailingDisk): Promise<void> {
  const store = await StoreOnDisk.open([shared]);
  try {
    const { adapter } = store;
    const actor = new Actor(store);
    for (const { ops, fault } of groups) {
      const before = await visible(adapter);
      const due = fault !== null && ops.some(({ op }) => op === "advance");
      if (fault !== null) disk.failAt(fault.kind, fault.after);
      const outcomes = await Promise.allSettled(ops.map((op) => actor.carryOut(op)));
      await setImmediate();
      const struck = fault !== null && !disk.waits;
      disk.mend();
      for (const outcome of outcomes) {
        if (outcome.status === "fulfilled") continue;
        expect(outcome.reason).toBeInstanceOf(QueueError);
        if (!struck)
          expect(["UNAVAILABLE", "INTERNAL"]).not.toContain((outcome.reason as QueueError).code);
      }
      // Time moved: what came due is done at the next occasion, if not now.
      if (struck && fault.kind !== "odd statement" && !due) {
        expect(await visible(adapter)).toEqual(before);
      }
      await adapter.upkeep();
      const copy = await store.reopened();
      expect(await visible(adapter)).toEqual(await visible(copy.adapter));
      await copy.adapter.close();
    }
    actor.calledOff.abort();
    await adapter.upkeep();
    const copy = await store.reopened();
    expect(await runOrder(store)).toEqual(await runOrder(copy));
    expect(await visible(adapter)).toEqual(await visible(copy.adapter));
    await copy.adapter.close();
  } finally {
    disk.mend();
    await store.dispose();
  }
}

describe("a group that does not reach the disk", () => {
  test(
    "leaves memory as the disk has it, whatever was asked for and wherever it failed",
    { timeout: long ? 3_600_000 : 120_000 },
    async () => {
      const disk = FailingDisk.install();
      let groupsMade = 0;
      let histories = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(group, { minLength: 1, maxLength: 14 }), async (groups) => {
          groupsMade += groups.length;
          histories++;
          await check(groups, disk);
        }),
        // The usual run is the same each time, as far as a busy machine gets.
        long
          ? { numRuns: runs, endOnFailure: false }
          : { numRuns: runs, seed: 20250101, interruptAfterTimeLimit: 15_000 },
      );
      expect(disk.failures).toBeGreaterThan(histories / 2);
      if (long) {
        // oxlint-disable-next-line no-console
        console.log(
          `rollback: ${runs} histories, ${groupsMade} groups, ${disk.failures} failures injected`,
        );
      }
    },
  );
});
