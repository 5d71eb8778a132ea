import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { Job, JobOutline } from "../../job.ts";
import { jobStates } from "../../job.ts";
import type { JobFilter, JobList, Page } from "../../queue-adapter.ts";
import { jobSpec, jobSpecs, spec } from "../job-factory.ts";
import { at, counts, ids, useDriver } from "./driver.ts";
import type { Driver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";
import { holds, PROPERTY_TIMEOUT_MS } from "./property.ts";

/** What a filter means. */
function matches(job: Job, filter: JobFilter): boolean {
  const { queues, states, name, tag, project, batch, schedule, priority, created, error } = filter;
  return (
    (filter.tenant === "*" || job.tenant === filter.tenant) &&
    (queues === undefined || queues.includes(job.queue)) &&
    (states === undefined || states.includes(job.state)) &&
    (name === undefined || job.name === name) &&
    (tag === undefined || job.tags.includes(tag)) &&
    (project === undefined || job.project === project) &&
    (batch === undefined || job.batch === batch) &&
    (schedule === undefined || job.origin?.schedule === schedule) &&
    (priority?.min === undefined || job.priority >= priority.min) &&
    (priority?.max === undefined || job.priority <= priority.max) &&
    (created?.from === undefined || job.createdAt >= created.from) &&
    (created?.to === undefined || job.createdAt < created.to) &&
    (filter.ids === undefined || filter.ids.includes(job.id)) &&
    (error === undefined ||
      (job.state !== "cancelled" && job.error?.message.includes(error) === true))
  );
}

function list(
  d: Driver,
  filter: Partial<JobFilter> = {},
  page: Partial<Page> = {},
): Promise<JobList<JobOutline>> {
  return d.adapter.list({
    filter: { tenant: "default", ...filter },
    page: { limit: 100, order: "asc", ...page },
  });
}

function outlineOf({ data: _data, result: _result, ...outline }: Job): JobOutline {
  return outline;
}

/** Leaves out what is undefined: optional fields of the port are absent or there. */
function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

export function describeFilters(factory: EngineFactory): void {
  describe("filters", () => {
    const d = useDriver(factory);

    async function found(filter: Partial<JobFilter>): Promise<number[]> {
      const { jobs, total } = await list(d, filter);
      expect(total).toBe(jobs.length);
      const tally = Object.values(await d.count(filter)).reduce((sum, count) => sum + count, 0);
      expect(tally).toBe(total);
      return ids(jobs);
    }

    it("find by queue", async () => {
      const [a, b, c] = await d.addAll(jobSpecs(3, (index) => ({ queue: `q${index}` })));
      expect(await found({ queues: ["q0", "q2", "none"] })).toEqual([a, c]);
      expect(await found({ queues: ["q1"] })).toEqual([b]);
      expect(await found({ queues: [] })).toEqual([]);
      expect(await found({})).toEqual([a, b, c]);
    });

    it("find by state", async () => {
      const blocker = await d.add({ queue: "other" });
      const blocked = await d.add({ dependsOn: [blocker] });
      const delayed = await d.add({ delayMs: 1000 });
      const [completed, failed, cancelled, active] = await d.addAll(jobSpecs(4));
      const runs = await d.claim();
      await d.complete(at(runs, 0));
      await d.fail(at(runs, 1));
      await d.cancel(cancelled!);
      const expected = { waiting: blocker, delayed, blocked, active, completed, failed, cancelled };
      for (const state of jobStates) {
        expect(await found({ states: [state] })).toEqual([expected[state]]);
      }
      expect(await found({ states: ["failed", "completed"] })).toEqual([completed, failed]);
      expect(await found({ states: [] })).toEqual([]);
      expect(await d.count({ states: ["failed"] })).toEqual(counts({ failed: 1 }));
    });

    it("find by name, tag, project and batch", async () => {
      const a = await d.add({ name: "x", tags: ["t", "u"], project: "p", batch: "b" });
      const b = await d.add({ name: "y", tags: ["u"], project: "q", batch: "b" });
      const c = await d.add();
      expect(await found({ name: "x" })).toEqual([a]);
      expect(await found({ tag: "u" })).toEqual([a, b]);
      expect(await found({ tag: "t" })).toEqual([a]);
      expect(await found({ tag: "%" })).toEqual([]);
      expect(await found({ tag: "u", states: [] })).toEqual([]);
      expect(await found({ project: "q" })).toEqual([b]);
      expect(await found({ batch: "b" })).toEqual([a, b]);
      expect(await found({ batch: "b", tag: "t", name: "y" })).toEqual([]);
      expect(await found({ name: "X" })).toEqual([]);
      expect(await found({})).toEqual([a, b, c]);
    });

    it("find the runs of a schedule", async () => {
      const origin = { via: "native", schedule: "nightly" };
      const a = await d.add({ origin, tags: ["schedule:hourly"] });
      const b = await d.add({ origin, queue: "other" });
      await d.add({ origin: { via: "native" }, name: "nightly" });
      const theirs = await d.add({ origin, tenant: "acme" });
      expect(await found({ schedule: "nightly" })).toEqual([a, b]);
      expect(await found({ schedule: "nightly", tenant: "*" })).toEqual([a, b, theirs]);
      expect(await found({ schedule: "hourly" })).toEqual([]);
      await d.remove(a);
      expect(await found({ schedule: "nightly" })).toEqual([b]);
    });

    it("find by ids", async () => {
      const [a, b] = await d.addAll(jobSpecs(2, () => ({ tags: ["t"] })));
      const theirs = await d.add({ tenant: "acme" });
      expect(await found({ ids: [b!, 999_999_999, a!, theirs, a!] })).toEqual([a, b]);
      expect(await found({ ids: [b!], tag: "t", states: ["waiting"] })).toEqual([b]);
      expect(await found({ ids: [] })).toEqual([]);
      const one = await list(d, { ids: [a!, b!] }, { limit: 1, order: "desc" });
      expect([ids(one.jobs), one.total]).toEqual([[b], 2]);
    });

    it("find by priority, both ends included", async () => {
      const given = await d.addAll(jobSpecs(5, (index) => ({ priority: index - 2 })));
      expect(await found({ priority: { min: -1, max: 1 } })).toEqual(given.slice(1, 4));
      expect(await found({ priority: { min: 2 } })).toEqual(given.slice(4));
      expect(await found({ priority: { max: -2 } })).toEqual(given.slice(0, 1));
      expect(await found({ priority: { min: 1, max: 0 } })).toEqual([]);
      expect(await found({ priority: {} })).toEqual(given);
    });

    it("find by creation time, from included and to excluded", async () => {
      const start = d.now();
      const given: number[] = [];
      for (let turn = 0; turn < 4; turn++) {
        given.push(await d.add());
        await d.advance(100);
      }
      expect(await found({ created: { from: start + 100 } })).toEqual(given.slice(1));
      expect(await found({ created: { to: start + 100 } })).toEqual(given.slice(0, 1));
      const between = { from: start + 100, to: start + 300 };
      expect(await found({ created: between })).toEqual(given.slice(1, 3));
    });

    it("page by offset, in both orders, with the exact total", async () => {
      const given = await d.addAll(jobSpecs(25));
      const second = await list(d, {}, { limit: 10, offset: 10 });
      expect([ids(second.jobs), second.total]).toEqual([given.slice(10, 20), 25]);
      const last = await list(d, {}, { limit: 10, offset: 20, order: "desc" });
      expect([ids(last.jobs), last.total]).toEqual([given.slice(0, 5).toReversed(), 25]);
      const past = await list(d, {}, { limit: 10, offset: 30 });
      expect([past.jobs, past.total]).toEqual([[], 25]);
    });

    it("page by the last id seen, stable while jobs come and go", async () => {
      const given = await d.addAll(jobSpecs(20));
      const down = await list(d, {}, { limit: 5, order: "desc" });
      expect(ids(down.jobs)).toEqual(given.slice(15).toReversed());
      const newer = await d.addAll(jobSpecs(3));
      await d.remove(at(given, 15));
      const on = await list(d, {}, { limit: 5, order: "desc", after: at(given, 15) });
      expect(ids(on.jobs)).toEqual(given.slice(10, 15).toReversed());
      expect(on.total).toBe(22);
      const up = await list(d, {}, { limit: 5, after: at(given, 17) });
      expect(ids(up.jobs)).toEqual([...given.slice(18), ...newer]);
      const none = await list(d, {}, { limit: 5, after: at(newer, 2) });
      expect([none.jobs, none.total]).toEqual([[], 22]);
    });

    it("find jobs as they are now", async () => {
      const id = await d.add({ tags: ["t"] });
      const { jobs } = await list(d, { tag: "t" });
      expect(jobs).toEqual([outlineOf(await d.job(id))]);
      const run = await d.take();
      expect((await list(d, { states: ["waiting"] })).total).toBe(0);
      await d.complete(run, { result: "1" });
      const done = await list(d, { states: ["completed"] });
      expect(done.jobs).toEqual([outlineOf(await d.job(id))]);
    });

    it("count large numbers exactly", async () => {
      for (let batch = 0; batch < 5; batch++) {
        await d.addAll(jobSpecs(1000, (index) => ({ tags: index % 2 === 0 ? ["even"] : [] })));
      }
      await d.claim({ limit: 700 });
      expect(await d.count()).toEqual(counts({ waiting: 4300, active: 700 }));
      expect((await list(d, { tag: "even" }, { limit: 3 })).total).toBe(2500);
      expect(await d.count({ tag: "even" })).toEqual(counts({ waiting: 2150, active: 350 }));
    });

    it(
      "find exactly what matches, page by page",
      async () => {
        const label = fc.constantFrom("alpha", "beta", "gamma");
        const some = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
          fc.option(value, { nil: undefined, freq: 2 });
        const bound = some(fc.integer({ min: -3, max: 3 }));
        const moment = some(fc.integer({ min: 0, max: 5 }));
        const filter = fc.record({
          tenant: fc.constantFrom("default", "acme", "*"),
          queues: some(fc.subarray(["work", "mail", "video"])),
          states: some(fc.subarray([...jobStates])),
          name: some(label),
          tag: some(label),
          project: some(label),
          batch: some(label),
          schedule: some(label),
          priority: some(fc.record({ min: bound, max: bound })),
          created: some(fc.record({ from: moment, to: moment })),
          ids: fc.option(fc.array(fc.integer({ min: 1, max: 40 })), { nil: undefined, freq: 8 }),
          error: fc.option(fc.constantFrom("broke", "x"), { nil: undefined, freq: 4 }),
        });
        const input = fc.record({
          batches: fc.array(fc.array(spec, { minLength: 1, maxLength: 10 }), { maxLength: 6 }),
          ends: fc.array(fc.constantFrom("complete", "fail", "again", "cancel", "leave"), {
            maxLength: 20,
          }),
          filters: fc.array(filter, { minLength: 1, maxLength: 8 }),
          order: fc.constantFrom("asc", "desc"),
          limit: fc.integer({ min: 1, max: 9 }),
        });
        await holds(factory, input, async (driver, { batches, ends, filters, order, limit }) => {
          const start = driver.now();
          const given: number[] = [];
          for (const batch of batches) {
            given.push(...(await driver.addAll(batch.map(jobSpec))));
            await driver.advance(1);
          }
          for (const end of ends) {
            const [run] = await driver.claim({ limit: 1, leaseMs: 1_000_000 });
            if (run === undefined) break;
            if (end === "complete") await driver.complete(run);
            if (end === "fail") await driver.fail(run);
            if (end === "again") {
              await driver.fail(run, { error: { message: "x" }, retryAt: driver.now() });
            }
            if (end === "cancel") await driver.cancel(run.id);
          }
          const found = await driver.adapter.get({ tenant: "*", ids: given });
          const all = found.filter((job) => job !== null);

          for (const { priority, created, ...rest } of filters) {
            const since = (tick: number | undefined): number | undefined =>
              tick === undefined ? undefined : start + tick;
            const wanted: JobFilter = defined({
              ...rest,
              priority: priority && defined(priority),
              created: created && defined({ from: since(created.from), to: since(created.to) }),
            });
            const expected = all.filter((job) => matches(job, wanted));
            if (order === "desc") expected.reverse();
            const tally = counts({});
            for (const job of expected) Object.assign(tally, { [job.state]: tally[job.state] + 1 });
            expect(await driver.count(wanted)).toEqual(tally);

            const byId: JobOutline[] = [];
            const byOffset: JobOutline[] = [];
            for (;;) {
              const last = byId.at(-1)?.id;
              const cursor = last === undefined ? {} : { after: last };
              const next = await list(driver, wanted, { limit, order, ...cursor });
              const offset = await list(driver, wanted, { limit, order, offset: byOffset.length });
              expect([next.total, offset.total]).toEqual([expected.length, expected.length]);
              byId.push(...next.jobs);
              byOffset.push(...offset.jobs);
              if (next.jobs.length < limit) break;
            }
            expect(byId).toEqual(expected.map(outlineOf));
            expect(byOffset).toEqual(expected.map(outlineOf));
          }
        });
      },
      PROPERTY_TIMEOUT_MS,
    );
  });
}
