import { expect, test } from "vitest";
import { SqliteAdapter } from "../src/adapters/sqlite/index.ts";
import type { JobFilter } from "../src/queue-adapter.ts";
import { jobSpecs } from "../src/testing/job-factory.ts";

const QUEUES = ["pumps", "valves", "meters"];

test("a page however deep, of several queues and states, is the part of the whole list that it is", async () => {
  const adapter = new SqliteAdapter({ path: ":memory:" });
  await adapter.open();
  try {
    const specs = jobSpecs(24_000, (index) => ({
      queue: QUEUES[index % 7 < 4 ? 0 : index % 7 < 6 ? 1 : 2] as string,
      delayMs: index % 5 === 0 ? 3_600_000 : 0,
    }));
    const ids: number[] = [];
    for (let at = 0; at < specs.length; at += 1000) {
      const outcomes = await adapter.enqueue({ jobs: specs.slice(at, at + 1000), atomic: true });
      ids.push(...outcomes.map(Number));
    }
    // A wide gap, and jobs in other tables.
    const gone = ids.slice(4000, 9000);
    await adapter.remove({ tenant: "default", ids: gone });
    await adapter.cancel({ tenant: "default", ids: ids.slice(0, 500), running: true, reason: "x" });
    const left = ids.map((id, index) => ({ id, index, ...specs[index] }));
    const filters: [Omit<JobFilter, "tenant">, (job: (typeof left)[number]) => boolean][] = [
      [{}, () => true],
      [{ queues: ["pumps", "meters"] }, ({ queue }) => queue !== "valves"],
      [{ states: ["waiting"] }, ({ index }) => index >= 500 && index % 5 !== 0],
      [
        { queues: ["pumps"], states: ["waiting", "delayed", "blocked"] },
        ({ queue, index }) => queue === "pumps" && index >= 500,
      ],
    ];
    for (const [filter, matches] of filters) {
      const all = left.filter((job) => (job.index < 4000 || job.index >= 9000) && matches(job));
      const whole = all.map(({ id }) => id);
      for (const order of ["asc", "desc"] as const) {
        const sorted = order === "asc" ? whole : whole.toReversed();
        for (const offset of [
          0,
          4999,
          5001,
          7000,
          Math.floor(whole.length / 2),
          whole.length - 3,
          whole.length,
          50_000,
        ]) {
          const page = { limit: 10, offset, order };
          const { jobs, total } = await adapter.list({
            filter: { tenant: "default", ...filter },
            page,
          });
          expect(total).toBe(whole.length);
          expect(jobs.map(({ id }) => id)).toEqual(sorted.slice(offset, offset + 10));
        }
        const after = sorted[100] as number;
        const { jobs } = await adapter.list({
          filter: { tenant: "default", ...filter },
          page: { limit: 10, offset: 5500, order, after },
        });
        expect(jobs.map(({ id }) => id)).toEqual(sorted.slice(101 + 5500, 111 + 5500));
      }
    }
  } finally {
    await adapter.close();
  }
});
