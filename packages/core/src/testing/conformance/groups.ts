import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { QueueError } from "../../errors.ts";
import type { ClaimedJob } from "../../job.ts";
import type { ClaimParams, JobSpec } from "../../queue-adapter.ts";
import type { QueueGroup } from "../../queue-groups.ts";
import { jobSpec, jobSpecs } from "../job-factory.ts";
import {
  at,
  counts,
  expectRefused,
  expectRejected,
  ids,
  isPending,
  only,
  useDriver,
} from "./driver.ts";
import type { Driver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";
import { holds, PROPERTY_TIMEOUT_MS } from "./property.ts";

export const groups: readonly QueueGroup[] = [
  { name: "data", queues: ["scan", "export", "import"], maxRunning: 3, maxUnfinished: 6 },
  { name: "models", queues: ["train", "infer"], maxRunning: 1, maxUnfinished: null },
];

const asked = (...queues: string[]): Exclude<ClaimParams["queues"], string> =>
  queues.map((queue) => ({ queue, limit: 1000 }));

const outcomeOf = (outcome: unknown): unknown =>
  outcome instanceof QueueError ? outcome.code : typeof outcome;

export function describeGroups(factory: EngineFactory): void {
  describe("running jobs of a group of queues", () => {
    const d = useDriver(factory, groups);
    const all = asked("scan", "export", "import");

    const fill = (): Promise<number[]> =>
      d.addAll([
        ...jobSpecs(2, () => ({ queue: "scan" })),
        ...jobSpecs(2, () => ({ queue: "export", maxAttempts: 2 })),
        ...jobSpecs(2, () => ({ queue: "import" })),
      ]);

    it("are so many at most, over its queues, in one claim or several", async () => {
      await fill();
      const first = await d.claim({ queues: all });
      expect(first).toHaveLength(3);
      // Its queues take turns.
      expect(new Set(first.map(({ queue }) => queue)).size).toBe(3);
      expect(await d.claim({ queues: all })).toEqual([]);
      for (const queue of ["scan", "export", "import"])
        expect(await d.claim({ queue })).toEqual([]);
      await d.complete(at(first, 0));
      await d.complete(at(first, 1));
      expect(await d.claim({ queue: "import", limit: 1 })).toHaveLength(1);
      expect(await d.claim({ queues: all })).toHaveLength(1);
      expect(await d.claim({ queues: all })).toEqual([]);
      expect(await d.count()).toEqual(counts({ waiting: 1, active: 3, completed: 2 }));
    });

    it("are counted for each tenant and group by itself", async () => {
      await fill();
      await d.addAll(jobSpecs(4, () => ({ queue: "scan", tenant: "acme" })));
      await d.addAll(jobSpecs(2, (index) => ({ queue: index === 0 ? "train" : "infer" })));
      const runs = await d.claim({ tenant: "*", queues: [...all, ...asked("train", "infer")] });
      const tell = ({ tenant, queue }: ClaimedJob): string =>
        `${tenant} ${["train", "infer"].includes(queue) ? "models" : "data"}`;
      expect(runs.map(tell).toSorted()).toEqual([
        ...Array<string>(3).fill("acme data"),
        ...Array<string>(3).fill("default data"),
        "default models",
      ]);
    });

    it("hold up no other queue of a claim", async () => {
      await fill();
      const given = await d.addAll(jobSpecs(5));
      const runs = await d.claim({ queues: [...all, ...asked("work")] });
      expect(runs.filter(({ queue }) => queue !== "work")).toHaveLength(3);
      expect(ids(runs.filter(({ queue }) => queue === "work"))).toEqual(given);
      const [later] = await d.addAll(jobSpecs(1));
      expect(ids(await d.claim({ queues: [...all, ...asked("work")], limit: 1 }))).toEqual([later]);
    });

    it.each(["complete", "fail", "retry", "cancel", "release", "crash", "silence"] as const)(
      "make room by their end (%s) for the next waiting claim, of whichever queue",
      async (how) => {
        await d.addAll(jobSpecs(3, () => ({ queue: "export", maxAttempts: 2, priority: 5 })));
        const runs = await d.claim({ queue: "export", leaseMs: how === "silence" ? 1000 : 90_000 });
        const scan = d.claim({ queue: "scan", waitMs: 60_000, limit: 1 });
        const both = d.claim({ queues: asked("import", "work"), waitMs: 60_000, limit: 1 });
        await d.addAll([jobSpec({ queue: "import" }), jobSpec({ queue: "scan" })]);
        expect(await isPending(d, scan)).toBe(true);
        expect(await isPending(d, both)).toBe(true);
        for (const run of runs.slice(0, how === "silence" ? 0 : 2)) {
          if (how === "complete") await d.complete(run);
          if (how === "fail") await d.fail(run);
          if (how === "retry") await d.fail(run, { retryAt: d.now() + 1_000_000 });
          if (how === "cancel") await d.cancel(run.id);
          if (how === "release") await d.release(run);
          if (how === "crash") await d.release(run, { message: "gone" });
        }
        if (how === "silence") await d.advance(1000);
        expect(only(await scan).queue).toBe("scan");
        expect(only(await both).queue).toBe("import");
        expect((await d.count()).active).toBeLessThanOrEqual(3);
      },
    );

    it("leave the room that a paused queue cannot use to the others", async () => {
      await fill();
      await d.configure({ paused: true }, "scan");
      await d.configure({ concurrency: 1 }, "export");
      const runs = await d.claim({ queues: all });
      expect(runs.map(({ queue }) => queue).toSorted()).toEqual(["export", "import", "import"]);
      await d.complete(at(runs, 0));
      const claim = d.claim({ queue: "scan", waitMs: 60_000 });
      expect(await isPending(d, claim)).toBe(true);
      await d.configure({ paused: false }, "scan");
      expect(await claim).toHaveLength(1);
    });

    it("are so many at most, whoever asks at the same time, and are all done in the end", async () => {
      const given = await fill();
      const done: number[] = [];
      for (let round = 0; done.length < given.length; round++) {
        expect(round).toBeLessThan(10);
        const claims = await Promise.all(
          Array.from({ length: 12 }, (_, i) =>
            d.claim({ queue: at(["scan", "export", "import"], i % 3), limit: 1 + (i % 2) }),
          ),
        );
        const runs = claims.flat();
        expect(runs).toHaveLength(Math.min(3, given.length - done.length));
        for (const run of runs) await d.complete(run);
        done.push(...ids(runs));
      }
      expect(done.toSorted((a, b) => a - b)).toEqual(given);
    });
  });

  describe("unfinished jobs of a group of queues", () => {
    const d = useDriver(factory, groups);
    const scans = (count: number, more: Partial<JobSpec> = {}): JobSpec[] =>
      jobSpecs(count, () => ({ queue: "scan", ...more }));

    it("are so many at most; each job of a batch is taken or refused alone", async () => {
      await d.addAll(scans(4));
      const outcomes = await d.offer([
        ...scans(1),
        jobSpec(),
        jobSpec({ queue: "export" }),
        jobSpec({ queue: "import" }),
        ...scans(1),
        jobSpec(),
      ]);
      expect(outcomes.map(outcomeOf)).toEqual([
        "number",
        "number",
        "number",
        "LIMIT_REACHED",
        "LIMIT_REACHED",
        "number",
      ]);
      expect(expectRefused(outcomes[3], "LIMIT_REACHED")).toMatchObject({ index: 3, limit: 6 });
      // A queue is not made for a job that is refused.
      const queues = await d.adapter.listQueues({ tenant: "*" });
      expect(queues.map(({ queue }) => queue)).toEqual(["export", "scan", "work"]);
      expect(await d.count()).toEqual(counts({ waiting: 8 }));
    });

    it("refuse an atomic batch whole", async () => {
      await d.addAll(scans(4));
      const batch = [jobSpec({ queue: "new" }), ...scans(2), jobSpec({ queue: "export" })];
      const details = await expectRejected(d.offer(batch, true), "LIMIT_REACHED");
      expect(details).toMatchObject({ index: 3, limit: 6 });
      expect(await d.adapter.listQueues({ tenant: "*" })).toHaveLength(1);
      expect(await d.offer(batch.slice(0, 3), true)).toHaveLength(3);
      expect(await d.count()).toEqual(counts({ waiting: 7 }));
    });

    it("are those of every state but the finished ones, and of each tenant by itself", async () => {
      const blocker = await d.add();
      await d.addAll([
        ...scans(3),
        ...scans(1, { delayMs: 1000 }),
        ...scans(1, { dependsOn: [blocker] }),
        ...scans(1, { ttlMs: 500, priority: 3 }),
      ]);
      const full = async (): Promise<boolean> => {
        const [outcome] = await d.offer([jobSpec({ queue: "export", name: "probe" })]);
        if (typeof outcome === "number") await d.remove(outcome);
        return outcome instanceof QueueError;
      };
      expect(await full()).toBe(true);
      const [first, second, third] = await d.claim({ queue: "scan" });
      expect(await full()).toBe(true);
      const ends: (() => Promise<unknown>)[] = [
        () => d.complete(first!),
        () => d.fail(second!),
        () => d.cancel(third!.id),
        () => d.remove(third!.id + 1),
        () => d.cancel(blocker),
        () => d.advance(500),
      ];
      expect(await d.state(third!.id + 1)).toBe("delayed");
      for (const end of ends) {
        await end();
        expect(await full()).toBe(false);
        await d.add({ queue: "import", delayMs: 1_000_000 });
        expect(await full()).toBe(true);
      }
      expect(await d.offer(scans(1, { tenant: "acme" }))).toEqual([expect.any(Number)]);
    });

    it("are as many as allowed, exactly, however many calls add at the same time", async () => {
      const calls = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          d.offer(jobSpecs(1 + (i % 3), () => ({ queue: at(["scan", "export"], i % 2) }))),
        ),
      );
      expect(calls.flat().filter((outcome) => typeof outcome === "number")).toHaveLength(6);
      expect(await d.count()).toEqual(counts({ waiting: 6 }));
    });

    it("count a job that was refused for another reason not at all", async () => {
      await d.addAll(scans(4, {}));
      await d.add({ queue: "scan", uniqueKey: "k" });
      const outcomes = await d.offer([
        ...scans(1, { uniqueKey: "k" }),
        ...scans(1, { dependsOn: [1_000_000_000] }),
        ...scans(1),
        // What it would be refused for at any time comes before what may pass.
        ...scans(1, { uniqueKey: "k" }),
        ...scans(1, { uniqueKey: "l" }),
        jobSpec({ queue: "work", dependsOnSiblings: [4] }),
      ]);
      expect(outcomes.map(outcomeOf)).toEqual([
        "DUPLICATE_JOB",
        "DEPENDENCY_NOT_FOUND",
        "number",
        "DUPLICATE_JOB",
        "LIMIT_REACHED",
        "DEPENDENCY_NOT_FOUND",
      ]);
      // A refused job holds no key.
      await d.complete(await d.take({ queue: "scan" }));
      await d.add({ queue: "scan", uniqueKey: "l" });
    });

    it("hold for schedules, which go on", async () => {
      await d.addAll(scans(6));
      const due = d.now();
      await d.adapter.putSchedule({
        schedule: {
          tenant: "default",
          name: "s",
          cron: "* * * * *",
          timezone: "UTC",
          enabled: true,
          description: null,
          queue: "scan",
          template: "{}",
          via: "test",
          createdAt: due,
          nextRun: due,
          lastRun: null,
        },
        replaces: null,
      });
      const fire = (at: number): ReturnType<typeof d.adapter.fireSchedule> =>
        d.adapter.fireSchedule({
          tenant: "default",
          name: "s",
          due: at,
          nextRun: at + 60_000,
          job: jobSpec({ queue: "export" }),
        });
      expectRefused(await fire(due), "LIMIT_REACHED");
      await d.complete(await d.take({ queue: "scan" }));
      expect(await fire(due + 60_000)).toBeTypeOf("number");
    });

    it("let a job be retried only when there is room", async () => {
      await d.addAll(scans(3));
      const runs = await d.claim({ queue: "scan" });
      for (const run of runs) await d.fail(run);
      await d.addAll(scans(5));
      expect(await d.retry(at(runs, 0).id)).toBe(true);
      expect(expectRefused(await d.retry(at(runs, 1).id), "LIMIT_REACHED")).toMatchObject({
        limit: 6,
      });
      expect(await d.state(at(runs, 1).id)).toBe("failed");
      await d.complete(await d.take({ queue: "scan" }));
      const filter = { tenant: "default", states: ["failed"] } as const;
      const bulk = { filter, action: "retry", reason: "again", limit: 10 } as const;
      expect(await d.adapter.applyToMany(bulk)).toMatchObject({ applied: 1, refused: 1 });
      expect(await d.count()).toEqual(counts({ waiting: 6, completed: 1, failed: 1 }));
    });

    it("leave no answer behind with an idempotency key, unless some were added", async () => {
      await d.addAll(scans(5));
      const call = (key: string, jobs: readonly JobSpec[], atomic = false) =>
        d.adapter.enqueueOnce({ jobs, atomic, tenant: "default", key, note: "" });
      const part = await call("part", scans(2));
      expect((part.outcome as unknown[]).map(outcomeOf)).toEqual(["number", "LIMIT_REACHED"]);
      expectRefused(((await call("none", scans(1))).outcome as unknown[])[0], "LIMIT_REACHED");
      expectRefused((await call("whole", scans(2), true)).outcome, "LIMIT_REACHED");
      for (const run of await d.claim({ queue: "scan" })) await d.complete(run);
      expect(await call("part", scans(2))).toEqual({ ...part, repeated: true });
      expect(await call("none", scans(1))).toMatchObject({ repeated: false });
      expect((await call("whole", scans(2), true)).outcome).toHaveLength(2);
    });
  });

  describe("groups of queues", () => {
    it(
      "keep their limits through anything, and use them to the full",
      () => holds(factory, histories, checkHistory, groups),
      PROPERTY_TIMEOUT_MS,
    );
  });
}

type Step =
  | { readonly do: "add"; readonly queue: string; readonly count: number; readonly delayMs: number }
  | { readonly do: "claim"; readonly queues: readonly string[]; readonly limit: number }
  | { readonly do: "end"; readonly how: number; readonly pick: number }
  | { readonly do: "pause"; readonly queue: string; readonly paused: boolean }
  | { readonly do: "retry" | "remove"; readonly pick: number }
  | { readonly do: "advance" };

const queue = fc.constantFrom("scan", "export", "train", "work");
const pick = fc.nat(1000);
const histories: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("add" as const),
        queue,
        count: fc.integer({ min: 1, max: 4 }),
        delayMs: fc.constantFrom(0, 0, 500),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant("claim" as const),
        queues: fc.uniqueArray(queue, { minLength: 1, maxLength: 4 }),
        limit: fc.integer({ min: 1, max: 6 }),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constant("end" as const), how: fc.nat(5), pick }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("pause" as const), queue, paused: fc.boolean() }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constantFrom("retry" as const, "remove" as const), pick }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("advance" as const) }) },
  ),
  { minLength: 5, maxLength: 40 },
);

async function checkHistory(d: Driver, steps: readonly Step[]): Promise<void> {
  const paused = new Set<string>();
  const known: number[] = [];
  const among = async (queues: readonly string[]) => d.count({ queues });
  const room = async (name: string): Promise<{ readonly runs: number; readonly jobs: number }> => {
    const group = groups.find(({ queues }) => queues.includes(name));
    if (group === undefined) return { runs: Infinity, jobs: Infinity };
    const { waiting, delayed, blocked, active } = await among(group.queues);
    return {
      runs: (group.maxRunning ?? Infinity) - active,
      jobs: (group.maxUnfinished ?? Infinity) - waiting - delayed - blocked - active,
    };
  };
  for (const step of steps) {
    switch (step.do) {
      case "add": {
        const { queue, count, delayMs } = step;
        const left = (await room(queue)).jobs;
        const outcomes = await d.offer(jobSpecs(count, () => ({ queue, delayMs, maxAttempts: 2 })));
        const added = outcomes.filter((outcome) => typeof outcome === "number");
        expect(added).toHaveLength(Math.min(count, left));
        known.push(...added);
        break;
      }
      case "claim": {
        const { queues, limit } = step;
        const runs = await d.claim({ queues: asked(...queues), limit, leaseMs: 900 });
        if (runs.length < limit) {
          // Nothing is left that could have been given.
          for (const name of queues.filter((one) => !paused.has(one))) {
            const { waiting } = await among([name]);
            expect(waiting === 0 || (await room(name)).runs === 0, name).toBe(true);
          }
        }
        break;
      }
      case "end": {
        const page = { limit: 100, order: "asc" } as const;
        const { jobs } = await d.adapter.list({
          filter: { tenant: "default", states: ["active"] },
          page,
        });
        const job = jobs[step.pick % Math.max(1, jobs.length)];
        if (job === undefined) break;
        if (step.how === 0) await d.complete(job);
        if (step.how === 1) await d.fail(job);
        if (step.how === 2) await d.fail(job, { retryAt: d.now() + 500 });
        if (step.how === 3) await d.release(job);
        if (step.how === 4) await d.cancel(job.id);
        if (step.how === 5) await d.fail(job, { retryAt: d.now() });
        break;
      }
      case "pause":
        await d.configure({ paused: step.paused }, step.queue);
        if (step.paused) paused.add(step.queue);
        else paused.delete(step.queue);
        break;
      case "retry":
      case "remove": {
        const id = known[step.pick % Math.max(1, known.length)];
        if (id !== undefined) await d[step.do](id);
        break;
      }
      case "advance":
        await d.advance(500);
    }
    for (const { queues } of groups) {
      const left = await room(at(queues, 0));
      expect(Math.min(left.runs, left.jobs)).toBeGreaterThanOrEqual(0);
    }
  }
}
