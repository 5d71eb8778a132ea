import { describe, expect, it } from "vitest";

import type { ErrorGroup, ErrorGroupsParams, JobFilter, Page } from "../../queue-adapter.ts";
import { jobSpecs } from "../job-factory.ts";
import { at, counts, ids, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

const HOUR = 3_600_000;

export function describeErrors(factory: EngineFactory): void {
  describe("errors", () => {
    const d = useDriver(factory);

    async function found(filter: Partial<JobFilter>): Promise<number[]> {
      const wanted = { tenant: "default", ...filter };
      const page = { limit: 1000, order: "asc" } as const;
      const { jobs, total } = await d.adapter.list({ filter: wanted, page });
      expect(total).toBe(jobs.length);
      const tally = Object.values(await d.count(filter)).reduce((sum, n) => sum + n, 0);
      expect(tally).toBe(total);
      const down = await d.adapter.list({ filter: wanted, page: { limit: 1000, order: "desc" } });
      expect(ids(down.jobs).toReversed()).toEqual(ids(jobs));
      return ids(jobs);
    }

    /** Adds a job and has its only run fail. */
    async function failed(message: string, queue = "work", tenant = "default"): Promise<number> {
      const id = await d.add({ queue, tenant });
      await d.fail(await d.take({ queue, tenant }), { error: { message }, tenant });
      return id;
    }

    const groups = (params: Partial<ErrorGroupsParams> = {}): Promise<readonly ErrorGroup[]> =>
      d.adapter.errorGroups({ tenant: "default", limit: 100, ...params });

    it("find jobs by their text, in either case, of what failed and of what tries again", async () => {
      const a = await failed("Connection to DB-7 refused: Überlast");
      const b = await failed("no such file", "mail");
      const again = await d.add({ maxAttempts: 3 });
      const failure = { error: { message: "connection reset" } };
      await d.fail(await d.take(), { ...failure, retryAt: d.now() + 500 });
      expect(await found({ error: "CONNECTION" })).toEqual([a, again]);
      expect(await found({ error: "überLAST" })).toEqual([a]);
      expect(await found({ error: "file", queues: ["mail"] })).toEqual([b]);
      expect(await found({ error: "file", queues: ["work"] })).toEqual([]);
      expect(await found({ error: "connection", states: ["delayed"] })).toEqual([again]);
      expect(await found({ error: "connection", ids: [b, again] })).toEqual([again]);
      expect(await found({ error: "%" })).toEqual([]);
      await d.advance(500);
      const run = await d.take();
      expect(await found({ error: "connection", states: ["active"] })).toEqual([again]);
      await d.complete(run);
      expect(await found({ error: "connection" })).toEqual([a]);
      await d.retry(a);
      expect(await found({ error: "connection" })).toEqual([]);
      await d.cancel(a, { reason: "connection gone" });
      expect(await found({ error: "connection" })).toEqual([]);
      await d.remove(b);
      expect(await found({ error: "file" })).toEqual([]);
    });

    it("are looked for in a job's last failure alone, whatever becomes of the job", async () => {
      const id = await d.add();
      const failWith = async (message: string, retryAt: number | null): Promise<unknown> =>
        d.fail(await d.take(), { error: { message }, retryAt });
      await failWith("quota of disk 1", d.now());
      expect(await found({ error: "disk" })).toEqual([id]);
      await failWith("quota of disk 2", d.now() + 500);
      expect(await found({ error: "disk 1" })).toEqual([]);
      expect(await found({ error: "disk 2" })).toEqual([id]);
      await d.promote(id);
      await d.release(await d.take());
      await d.release(await d.take(), { message: "killed" });
      expect(await found({ error: "disk 2" })).toEqual([id]);
      await failWith("no disk left", null);
      expect(await found({ error: "quota" })).toEqual([]);
      expect(await found({ error: "no disk", states: ["failed"] })).toEqual([id]);
      await d.retry(id);
      expect(await found({ error: "disk" })).toEqual([]);
      await failWith("no tape left", null);
      expect(await found({ error: "disk" })).toEqual([]);
      expect(await found({ error: "tape" })).toEqual([id]);
      const hour = { completedBefore: d.now() + HOUR, failedBefore: d.now() + HOUR, limit: 10 };
      await d.adapter.prune(hour);
      expect(await found({ error: "tape" })).toEqual([]);
    });

    it("are none of the reasons for which jobs were cancelled, nor another tenant's", async () => {
      const theirs = await failed("disk full", "work", "acme");
      const tried = await d.addAll(jobSpecs(2));
      for (const run of await d.claim()) {
        await d.fail(run, { error: { message: "disk full" }, retryAt: d.now() });
      }
      expect(await found({ error: "disk" })).toEqual(tried);
      const [running] = await d.claim({ limit: 1 });
      for (const id of [...tried, await d.add()]) await d.cancel(id, { reason: "disk sold" });
      if (running !== undefined) expect(await d.state(running.id)).toBe("cancelled");
      expect(await found({ error: "disk" })).toEqual([]);
      expect(await found({ error: "disk", tenant: "*" })).toEqual([theirs]);
      await d.retry(at(tried, 0));
      await d.fail(await d.take(), { error: { message: "disk gone" } });
      expect(await found({ error: "disk" })).toEqual([tried[0]]);
    });

    it("are found among many jobs, until they are removed", async () => {
      const given: number[] = [];
      for (let n = 0; n < 3; n++) given.push(...(await d.addAll(jobSpecs(1000))));
      const broken: number[] = [];
      for (let n = 0; n < 3; n++) {
        const runs = (await d.claim()).map(({ id, lease }) => ({
          ...(lease === undefined ? { id } : { id, lease }),
          error: { message: id % 3 === 0 ? `Row ${id} is bad ${"-".repeat(id % 200)}` : "no" },
          // Some for good, some to try again.
          retryAt: id % 2 === 0 ? null : d.now() + HOUR,
          attempt: 1,
        }));
        await d.adapter.fail({ tenant: "default", runs });
        broken.push(...runs.map(({ id }) => id).filter((id) => id % 3 === 0));
      }
      expect(broken).toHaveLength(given.filter((id) => id % 3 === 0).length);
      broken.sort((a, b) => a - b);
      const bad = { tenant: "default", error: "IS BAD" };
      const pageOf = async (page: Partial<Page>): Promise<[number[], number]> => {
        const list = await d.adapter.list({
          filter: bad,
          page: { limit: 5, order: "asc", ...page },
        });
        return [ids(list.jobs), list.total];
      };
      expect(await pageOf({})).toEqual([broken.slice(0, 5), broken.length]);
      expect(await pageOf({ offset: 600 })).toEqual([broken.slice(600, 605), broken.length]);
      expect(await pageOf({ after: at(broken, 499) })).toEqual([
        broken.slice(500, 505),
        broken.length,
      ]);
      expect((await pageOf({ order: "desc" }))[0]).toEqual(broken.slice(-5).toReversed());
      const failedOnes = broken.filter((id) => id % 2 === 0);
      expect(await d.count({ error: "is bad" })).toEqual(
        counts({ failed: failedOnes.length, delayed: broken.length - failedOnes.length }),
      );
      await d.adapter.remove({ tenant: "default", ids: failedOnes });
      expect(await d.count({ error: "is bad" })).toEqual(
        counts({ delayed: broken.length - failedOnes.length }),
      );
    });

    it("are grouped by what they have in common, the largest group first", async () => {
      const start = d.now();
      await failed("Job 17 of user 'mia' timed out after 300 ms");
      await d.advance(10);
      const second = await failed("Job 4 of user 'o' timed out after 12.5 ms");
      await d.advance(10);
      await failed("Job 4 of user 'o' timed out after 12.5 ms", "mail");
      await d.advance(10);
      const last = await failed("Job 99 of user 'zoe' timed out after 1 ms");
      const other = await failed("disk full");
      await failed("disk full", "work", "acme");
      const now = Array.from({ length: 24 }, (_, i) => (i === 23 ? 3 : 0));
      const found = await groups();
      expect(found.map(({ count, queue }) => [count, queue])).toEqual([
        [3, "work"],
        [1, "work"],
        [1, "mail"],
      ]);
      expect(found[0]).toEqual({
        fingerprint: found[0]?.fingerprint,
        queue: "work",
        message: "Job <n> of user <text> timed out after <n> ms",
        count: 3,
        firstAt: start,
        lastAt: start + 30,
        sampleId: last,
        sampleMessage: "Job 99 of user 'zoe' timed out after 1 ms",
        perHour: now,
      });
      expect(new Set(found.map(({ fingerprint }) => fingerprint)).size).toBe(3);
      expect(await groups({ limit: 1 })).toEqual(found.slice(0, 1));
      expect(await groups({ queues: ["mail", "none"] })).toEqual(found.slice(2));
      expect(await groups({ from: start + 10, to: start + 30, queues: ["work"] })).toMatchObject([
        { count: 1, firstAt: start + 10, lastAt: start + 10, sampleId: second },
      ]);
      const all = await groups({ tenant: "*" });
      expect(all.map(({ count }) => count)).toEqual([3, 2, 1]);
      expect(all[1]?.fingerprint).toBe(found[1]?.fingerprint);
      expect(await found1(found[1])).toEqual([other]);
    });

    async function found1(group: ErrorGroup | undefined): Promise<number[]> {
      return found({ errorGroup: group?.fingerprint ?? "" });
    }

    it("are told hour by hour, and forgotten with their jobs", async () => {
      await failed("late 1");
      await d.advance(25 * HOUR);
      const [a, b] = [await failed("late 2"), await failed("late 3")];
      await d.advance(2 * HOUR);
      const c = await failed("late 4");
      const [group] = await groups();
      expect(group?.count).toBe(4);
      expect(group?.perHour).toEqual([...Array.from({ length: 21 }, () => 0), 2, 0, 1]);
      await d.retry(a);
      await d.remove(b);
      const cut = d.now() - 26 * HOUR;
      await d.adapter.prune({ completedBefore: cut, failedBefore: cut, limit: 10 });
      expect(await groups()).toMatchObject([{ count: 1, sampleId: c, firstAt: d.now() }]);
      await d.remove(c);
      expect(await groups()).toEqual([]);
    });

    it("of a group are retried together", async () => {
      const mine = [await failed("row 1 is bad"), await failed("row 2 is bad")];
      const others = [await failed("row 3 is bad", "mail"), await failed("bad")];
      const theirs = await failed("row 4 is bad", "work", "acme");
      const [group] = await groups({ queues: ["work"] });
      const filter = { tenant: "default", errorGroup: group?.fingerprint ?? "" };
      expect(await found(filter)).toEqual(mine);
      const step = { filter, action: "retry", reason: "x", limit: 1 } as const;
      const one = await d.adapter.applyToMany(step);
      expect(one).toMatchObject({ applied: 1, refused: 0, next: mine[0] });
      const two = await d.adapter.applyToMany({ ...step, limit: 9, after: one.next ?? 0 });
      expect(two).toMatchObject({ applied: 1, refused: 0, next: null });
      expect(await d.states([...mine, ...others, theirs])).toEqual([
        "waiting",
        "waiting",
        "failed",
        "failed",
        "failed",
      ]);
      expect(await found(filter)).toEqual([]);
      expect(await found({ errorGroup: "0123456789abcdef.work" })).toEqual([]);
    });

    it("are grouped whatever made the job fail", async () => {
      await d.add({ ttlMs: 5 });
      await d.add({ queue: "timed", timeoutMs: 10 });
      await d.take({ queue: "timed" });
      const parent = await d.add({ queue: "parent" });
      const [child] = await d.addAll(jobSpecs(1, () => ({ queue: "child", dependsOn: [parent] })));
      await d.cancel(parent);
      await d.add({ queue: "dying" });
      for (let crash = 0; crash < 5; crash++) {
        await d.release(await d.take({ queue: "dying" }), { message: `killed by ${crash}` });
      }
      await d.advance(20);
      const byQueue = new Map((await groups()).map((group) => [group.queue, group]));
      expect([...byQueue.keys()].toSorted()).toEqual(["child", "dying", "timed", "work"]);
      for (const [queue, group] of byQueue) {
        const [id] = await found1(group);
        const job = await d.job(id!);
        expect(await found({ error: job.error?.message ?? "", queues: [queue] })).toEqual([id]);
        expect([group.sampleId, group.sampleMessage]).toEqual([id, job.error?.message]);
        // By the same rule, wherever it is applied.
        await failed(at([job.error?.message ?? ""], 0), queue);
        expect((await groups({ queues: [queue] })).map(({ count }) => count)).toEqual([2]);
      }
      expect(byQueue.get("child")?.sampleId).toBe(child);
    });
  });
}
